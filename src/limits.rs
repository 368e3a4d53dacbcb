//! Every limit of the two servers, with its default and its flag.

use std::str::FromStr;
use std::time::Duration;

use crate::protocol::MAX_LINE;

/// How much one peer may take of a server's time and memory.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Connections in all [default: from the limit on open files]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub max_connections: Option<usize>,
    /// Connections from one address; loopback has no such limit
    #[arg(long, value_name = "N", default_value = "512", value_parser = at_least_one)]
    pub max_per_address: usize,
    /// Bytes of a line with its end
    #[arg(long, value_name = "BYTES", default_value_t = MAX_LINE, value_parser = line_length)]
    pub max_line: usize,
    /// Unknown commands until a connection is closed
    #[arg(long, value_name = "N", default_value = "10",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub max_unknown: u16,
    /// Bytes that may wait to be sent to a peer before its next request is read
    #[arg(long, value_name = "BYTES", default_value = "262144", value_parser = at_least_one)]
    pub max_queue: usize,
    /// Seconds until the first line must have come
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub first_line: Duration,
    /// Seconds without a request until a connection is closed
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    pub idle: Duration,
    /// Seconds in which a peer takes nothing of what is sent until it is cut off
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub stall: Duration,
    /// Seconds to finish what is being sent when told to stop
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds_or_none)]
    pub drain: Duration,
}

impl Default for Limits {
    /// The same as without any flag.
    fn default() -> Self {
        without_flags()
    }
}

/// How long to wait for others.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Timeouts")]
pub struct Timeouts {
    /// Seconds to wait for a connection
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = seconds,
          global = true)]
    pub connect_timeout: Duration,
    /// Seconds without progress after which the other side is given up
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds,
          global = true)]
    pub timeout: Duration,
}

impl Default for Timeouts {
    /// The same as without any flag.
    fn default() -> Self {
        without_flags()
    }
}

/// The defaults stand once, in the attributes above.
fn without_flags<A: clap::Args + clap::FromArgMatches>() -> A {
    let command = A::augment_args(clap::Command::new("defaults").no_binary_name(true));
    let matches = command.get_matches_from(std::iter::empty::<&str>());
    A::from_arg_matches(&matches).expect("every argument has a default")
}

/// The longest time that may be given on a command line: a year.
const MAX_SECONDS: f64 = 366.0 * 86_400.0;

/// Reads a time in seconds, above zero; fractions are allowed.
///
/// # Errors
/// A text that says what is allowed.
pub fn seconds(text: &str) -> Result<Duration, String> {
    match seconds_or_none(text)? {
        Duration::ZERO => Err("more than 0 seconds are needed".into()),
        duration => Ok(duration),
    }
}

/// Reads a time in seconds, from zero up.
///
/// # Errors
/// A text that says what is allowed.
pub fn seconds_or_none(text: &str) -> Result<Duration, String> {
    f64::from_str(text)
        .ok()
        .filter(|seconds| (0.0..=MAX_SECONDS).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "a number of seconds from 0 to a year is needed".into())
}

/// Reads a lease: whole seconds, as it is announced on the wire.
///
/// # Errors
/// A text that says what is allowed.
pub fn lease(text: &str) -> Result<Duration, String> {
    let seconds: u64 = text.parse().map_err(|_| "whole seconds are needed")?;
    if (1..=86_400).contains(&seconds) {
        Ok(Duration::from_secs(seconds))
    } else {
        Err("from 1 second to a day (86400)".into())
    }
}

/// Reads a count above zero.
///
/// # Errors
/// A text that says what is allowed.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a whole number from 1 up is needed".into()),
        Ok(count) => Ok(count),
    }
}

/// Reads the length of a line: shorter than our own requests makes no sense,
/// longer ones would only be a way to fill our memory.
fn line_length(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|length| (64..=65_536).contains(length))
        .ok_or_else(|| "from 64 to 65536 bytes".into())
}
