//! Rounds in which the contenders take turns, and what they amount to: what a
//! shared machine does to one round it does to all who run in it, so ratios of
//! one round say more than figures of different ones.

use std::io;
use std::time::Duration;

use crate::load::{Load, Sample, Until};
use crate::process::Server;

/// One of those who are compared; ours comes first.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'static str,
    /// Runs one round.
    act: Box<dyn FnMut() -> io::Result<Round> + 'a>,
}

/// What one contender did in one round.
pub(crate) struct Round {
    /// In the unit of the comparison.
    pub(crate) figure: f64,
    /// How many of what the server's processor time is told for.
    pub(crate) units: f64,
    pub(crate) processor: Duration,
    /// Answers that were wrong or did not come.
    pub(crate) faults: u64,
}

/// All rounds of one contender.
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) figures: Vec<f64>,
    pub(crate) units: f64,
    pub(crate) processor: Duration,
    pub(crate) faults: u64,
}

impl Series {
    /// Nothing yet.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            figures: Vec::new(),
            units: 0.0,
            processor: Duration::ZERO,
            faults: 0,
        }
    }

    /// What need not be measured again: it is the same each time.
    pub(crate) fn once(name: &'static str, figure: f64) -> Self {
        Self {
            figures: vec![figure],
            ..Self::new(name)
        }
    }
}

impl<'a> Contender<'a> {
    pub(crate) fn new(name: &'static str, act: impl FnMut() -> io::Result<Round> + 'a) -> Self {
        Self {
            name,
            act: Box::new(act),
        }
    }

    /// A server under a load: replies a second.
    pub(crate) fn loaded(
        name: &'static str,
        server: &'a Server,
        mut load: Load,
        time: Duration,
    ) -> Self {
        Self::new(name, move || {
            let before = server.processor_time();
            let samples = load.run(Until::Time(time))?;
            let processor = server.processor_time() - before;
            Ok(Round::of(&samples, processor))
        })
    }
}

impl Round {
    pub(crate) fn of(samples: &[Sample], processor: Duration) -> Self {
        let replies = samples.iter().map(|sample| sample.replies).sum::<u64>() as f64;
        let seconds = samples
            .first()
            .map_or(1.0, |sample| sample.time.as_secs_f64());
        Self {
            figure: replies / seconds,
            units: replies,
            processor,
            faults: samples
                .iter()
                .map(|sample| sample.wrong + sample.lost)
                .sum(),
        }
    }
}

/// Each contender runs once to warm up, then `rounds` times, in an order that
/// turns with each round.
pub(crate) fn alternate(
    rounds: usize,
    mut contenders: Vec<Contender<'_>>,
) -> io::Result<Vec<Series>> {
    let mut all: Vec<Series> = contenders
        .iter()
        .map(|contender| Series::new(contender.name))
        .collect();
    let count = contenders.len();
    for round in 0..=rounds {
        for turn in 0..count {
            let which = (round + turn) % count;
            let done = (contenders[which].act)()
                .map_err(|error| io::Error::other(format!("{}: {error}", all[which].name)))?;
            let series = &mut all[which];
            series.faults += done.faults;
            if round > 0 {
                series.figures.push(done.figure);
                series.units += done.units;
                series.processor += done.processor;
            }
        }
    }
    Ok(all)
}

/// The one below which a part of all figures lies.
pub(crate) fn quantile(figures: &[f64], part: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * part) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// The middle one.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}
