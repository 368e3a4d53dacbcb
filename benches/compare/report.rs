//! The report: a table for people or lines of JSON for programs, with the demands and
//! whether they are reached.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::rounds::{Series, median};

/// The unit of the figures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unit {
    pub(crate) name: &'static str,
    /// Otherwise lower is better.
    pub(crate) more_is_better: bool,
    /// What processor time is divided by, such as `request`.
    pub(crate) each: &'static str,
}

/// One comparison.
pub(crate) struct Comparison {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) unit: Unit,
    /// Our program is the first.
    pub(crate) series: Vec<Series>,
    pub(crate) demands: Vec<DemandResult>,
}

/// A demand and its result.
pub(crate) struct DemandResult {
    pub(crate) demand: String,
    pub(crate) measured: Option<f64>,
    pub(crate) is_reached: Option<bool>,
}

impl Comparison {
    pub(crate) fn new(
        name: impl Into<String>,
        title: impl Into<String>,
        unit: Unit,
        series: Vec<Series>,
    ) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            unit,
            series,
            demands: Vec::new(),
        }
    }

    /// Demands that ours is at least `times` times as good as another.
    pub(crate) fn at_least(mut self, times: f64, other: &'static str) -> Self {
        let ratio = self.ratios(other).map(|ratios| median(&ratios));
        self.demands.push(DemandResult {
            demand: format!("at least {times} times {other}"),
            measured: ratio,
            is_reached: ratio.map(|ratio| ratio >= times),
        });
        self
    }

    /// Demands that our server's processor time is at most `times` times that of
    /// another.
    pub(crate) fn processor_at_most(mut self, times: f64, other: &'static str) -> Self {
        let cost = |series: &Series| series.processor.as_secs_f64() / series.units;
        let ratio = self
            .find(other)
            .map(|other| cost(&self.series[0]) / cost(other));
        self.demands.push(DemandResult {
            demand: format!("server's processor time at most {times} times {other}'s"),
            measured: ratio,
            is_reached: ratio.map(|ratio| ratio <= times),
        });
        self
    }

    /// Demands a maximum for a figure.
    pub(crate) fn at_most(mut self, what: &str, most: f64, measured: f64) -> Self {
        self.demands.push(DemandResult {
            demand: format!("{what} at most {most}"),
            measured: Some(measured),
            is_reached: Some(measured <= most),
        });
        self
    }

    /// Demands a minimum for our own figure.
    pub(crate) fn figure_at_least(mut self, least: f64) -> Self {
        let measured = median(&self.series[0].figures);
        self.demands.push(DemandResult {
            demand: format!("at least {least} {}", self.unit.name),
            measured: Some(measured),
            is_reached: Some(measured >= least),
        });
        self
    }

    /// Wrong and missing replies.
    pub(crate) fn faults(&self) -> u64 {
        self.series.iter().map(|series| series.faults).sum()
    }

    fn find(&self, name: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.name == name)
    }

    /// How many times as good as another ours is, for each round.
    fn ratios(&self, other: &str) -> Option<Vec<f64>> {
        let (ours, other) = (self.series.first()?, self.find(other)?);
        if ours.figures.len() != other.figures.len() {
            // The rounds of the two do not correspond.
            return None;
        }
        let pairs = ours.figures.iter().zip(&other.figures);
        Some(
            pairs
                .map(|(ours, other)| {
                    if self.unit.more_is_better {
                        ours / other
                    } else {
                        other / ours
                    }
                })
                .collect(),
        )
    }

    /// The table for people.
    pub(crate) fn table(&self) -> String {
        let Unit {
            name: unit, each, ..
        } = self.unit;
        let mut text = format!("\n{}: {}\n", self.name, self.title);
        let _ = writeln!(
            text,
            "  {:<16}{:>12}{:>12}{:>12}  {:<20}{:>14}{:>8}",
            unit, "median", "minimum", "maximum", "ours is", "CPU/", "wrong"
        );
        for (nth, series) in self.series.iter().enumerate() {
            let ratio = match self.ratios(series.name) {
                Some(ratios) if nth > 0 => spread(&ratios),
                _ => String::new(),
            };
            let _ = writeln!(
                text,
                "  {:<16}{:>12}{:>12}{:>12}  {:<20}{:>14}{:>8}",
                series.name,
                figure(median(&series.figures)),
                figure(least(&series.figures)),
                figure(most(&series.figures)),
                ratio,
                cost(series, each),
                series.faults
            );
        }
        for demand in &self.demands {
            let (measured, is_reached) = match (demand.measured, demand.is_reached) {
                (Some(measured), Some(true)) => (figure(measured), "reached"),
                (Some(measured), _) => (figure(measured), "NOT REACHED"),
                (None, _) => ("-".into(), "not measured: there is nobody to compare with"),
            };
            let _ = writeln!(text, "  {}: {measured}, {is_reached}", demand.demand);
        }
        text
    }

    /// The JSON object for programs.
    pub(crate) fn json(&self) -> Value {
        let series: Vec<Value> = self
            .series
            .iter()
            .map(|series| {
                json!({
                    "name": series.name,
                    "median": median(&series.figures),
                    "minimum": least(&series.figures),
                    "maximum": most(&series.figures),
                    "ratio": self.ratios(series.name).map(|ratios| median(&ratios)),
                    "processor_seconds": series.processor.as_secs_f64(),
                    "units": series.units,
                    "wrong": series.faults,
                })
            })
            .collect();
        let demands: Vec<Value> = self
            .demands
            .iter()
            .map(|demand| {
                json!({
                    "demand": demand.demand,
                    "measured": demand.measured,
                    "reached": demand.is_reached,
                })
            })
            .collect();
        json!({
            "name": self.name,
            "title": self.title,
            "unit": self.unit.name,
            "series": series,
            "demands": demands,
        })
    }
}

fn least(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// `1.23 (1.10…1.31)`
fn spread(ratios: &[f64]) -> String {
    let (median, least, most) = (median(ratios), least(ratios), most(ratios));
    format!("{median:.2} ({least:.2}…{most:.2})")
}

/// Prints three significant digits.
fn figure(figure: f64) -> String {
    let digits = match figure.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{figure:.digits$}")
}

/// The server's processor time for each unit of work.
fn cost(series: &Series, each: &str) -> String {
    if series.units == 0.0 || series.processor == Duration::ZERO {
        return "-".into();
    }
    let seconds = series.processor.as_secs_f64() / series.units;
    match seconds {
        seconds if seconds >= 0.1 => format!("{seconds:.2} s/{each}"),
        seconds if seconds >= 1e-3 => format!("{:.2} ms/{each}", seconds * 1e3),
        seconds => format!("{:.2} µs/{each}", seconds * 1e6),
    }
}
