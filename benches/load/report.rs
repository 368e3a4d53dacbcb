//! The table: a line for each row, and whether the demands are met.

use std::time::Duration;

use crate::attackers::Damage;
use crate::habits::Repeats;
use crate::rows::Row;
use crate::users::User;

/// The longest answer time for 99 of 100 requests.
const MAX_P99: Duration = Duration::from_millis(50);

/// The most bytes of log in a second: a few hundred lines.
const MAX_LOG: u64 = 64 * 1024;

/// What was measured in one row.
pub(crate) struct Measured {
    pub(crate) users: Vec<User>,
    pub(crate) damage: Damage,
    /// The peak of the memory of each server under attack, in MiB.
    pub(crate) memory: Vec<u64>,
    /// The processor time of each of them, for one second.
    pub(crate) processor: Vec<f64>,
    /// The time for which they waited for their processor in a second, because other
    /// programs used it.
    pub(crate) kept_waiting: f64,
    /// Bytes of log that they write in a second.
    pub(crate) log: u64,
    /// What grows during a soak.
    pub(crate) growth: Vec<String>,
}

/// The answer times of the users with one habit.
struct AnswerTimes {
    habit: &'static str,
    p50: Duration,
    p99: Duration,
    max: Duration,
}

/// The head of the table.
pub(crate) fn head() -> String {
    format!(
        "{:<11}{:<16}{:>8}{:>8}{:>8}{:>8}{:>8}{:>9}{:>6}{:>7}{:>8}{:>10}{:>9}{:>9}  {}",
        "attack",
        "slowest users",
        "p50 ms",
        "p99 ms",
        "max ms",
        "answers",
        "errors",
        "MiB",
        "of",
        "CPU %",
        "waits %",
        "log KiB/s",
        "sent MiB",
        "connects",
        "verdict"
    )
}

impl Measured {
    /// The line of a row, and whether all demands are met.
    pub(crate) fn line(&self, row: &Row) -> (String, bool) {
        let slowest = self.slowest_habit();
        let answers: usize = self.users.iter().map(|user| user.times.len()).sum();
        let errors: usize = self.users.iter().map(|user| user.errors).sum();
        let mut missed = Vec::new();
        if slowest.p99 > MAX_P99 {
            missed.push(format!("p99 over {} ms", MAX_P99.as_millis()));
        }
        if errors > 0 {
            missed.push("errors".to_owned());
        }
        if self.memory.iter().any(|memory| *memory > row.memory) {
            missed.push("memory".to_owned());
        }
        if self.log > MAX_LOG {
            missed.push("log".to_owned());
        }
        missed.extend_from_slice(&self.growth);
        let verdict = match missed.is_empty() {
            true => "ok".to_owned(),
            false => format!("MISSED: {}", missed.join(", ")),
        };
        let processor = self.processor.iter().map(|share| (share * 100.0) as u64);
        let mut line = format!(
            "{:<11}{:<16}{:>8}{:>8}{:>8}{:>8}{:>8}{:>9}{:>6}{:>7}{:>8}{:>10}{:>9}{:>9}  {}",
            row.name,
            slowest.habit,
            milliseconds(slowest.p50),
            milliseconds(slowest.p99),
            milliseconds(slowest.max),
            answers,
            errors,
            joined(self.memory.iter().copied()),
            row.memory,
            joined(processor),
            (self.kept_waiting * 100.0) as u64,
            self.log >> 10,
            self.damage.bytes >> 20,
            self.damage.connections,
            verdict
        );
        for users in self.habits() {
            if let Some(error) = users.iter().find_map(|user| user.first_error.as_ref()) {
                line += &format!("\n{:<11}an error of {error}", "");
            }
        }
        (line, missed.is_empty())
    }

    /// The users of each habit.
    fn habits(&self) -> impl Iterator<Item = &[User]> {
        self.users.chunk_by(|a, b| a.habit.name == b.habit.name)
    }

    /// The habit whose users wait longest. A few answers have no 99th percentile, so requests that
    /// are sent only once do not count; other habits connect at the same time.
    fn slowest_habit(&self) -> AnswerTimes {
        let repeats = |users: &&[User]| users[0].habit.repeats != Repeats::Never;
        let all = self.habits().filter(repeats).map(|users| {
            let times = users.iter().flat_map(|user| &user.times);
            let mut times: Vec<Duration> = times.copied().collect();
            times.sort();
            AnswerTimes {
                habit: users[0].habit.name,
                p50: quantile(&times, 0.5),
                p99: quantile(&times, 0.99),
                max: times.last().copied().unwrap_or_default(),
            }
        });
        all.max_by_key(|times| times.p99)
            .expect("each row has users")
    }
}

/// The figure below which this part of all lies.
fn quantile(sorted: &[Duration], part: f64) -> Duration {
    let at = (sorted.len() as f64 * part) as usize;
    let at = at.min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

/// `12+34`
fn joined(figures: impl Iterator<Item = u64>) -> String {
    let figures: Vec<String> = figures.map(|figure| figure.to_string()).collect();
    figures.join("+")
}
