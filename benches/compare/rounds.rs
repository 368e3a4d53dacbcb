//! Rounds in which the contenders take turns. Other load on the machine affects all
//! contenders of a round, so a ratio within one round says more than figures from
//! different rounds.

use std::io;
use std::time::Duration;

use crate::process::Server;
use crate::tcp_load::{Sample, StopWhen, TcpLoad};

/// A program to compare. Ours is the first contender.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'static str,
    /// Runs one round.
    run_once: Box<dyn FnMut() -> io::Result<RoundResult> + 'a>,
}

/// The result of one contender in one round.
pub(crate) struct RoundResult {
    /// In the unit of the comparison.
    pub(crate) figure: f64,
    /// What the processor time was used for, such as the number of requests.
    pub(crate) units: f64,
    pub(crate) processor: Duration,
    /// Wrong and missing replies.
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
    /// A series without rounds.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            figures: Vec::new(),
            units: 0.0,
            processor: Duration::ZERO,
            faults: 0,
        }
    }

    /// A series of one figure that is the same in each round.
    pub(crate) fn once(name: &'static str, figure: f64) -> Self {
        Self {
            figures: vec![figure],
            ..Self::new(name)
        }
    }
}

impl<'a> Contender<'a> {
    pub(crate) fn new(
        name: &'static str,
        run_once: impl FnMut() -> io::Result<RoundResult> + 'a,
    ) -> Self {
        Self {
            name,
            run_once: Box::new(run_once),
        }
    }

    /// A server under TCP load. The figure is replies a second.
    pub(crate) fn under_load(
        name: &'static str,
        server: &'a Server,
        mut load: TcpLoad,
        time: Duration,
    ) -> Self {
        Self::new(name, move || {
            let before = server.processor_time();
            let samples = load.run(StopWhen::Elapsed(time))?;
            let processor = server.processor_time() - before;
            Ok(RoundResult::from_samples(&samples, processor))
        })
    }
}

impl RoundResult {
    pub(crate) fn from_samples(samples: &[Sample], processor: Duration) -> Self {
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

/// Runs each contender once to warm up, then `rounds` times. The order rotates with
/// each round.
pub(crate) fn run_rounds(
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
            let done = (contenders[which].run_once)()
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

/// The figure below which the given part of all figures lies.
pub(crate) fn quantile(figures: &[f64], part: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * part) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// The median.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}
