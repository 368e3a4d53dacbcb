//! The limits of the servers and the timeouts of their own requests, with the flag,
//! the default and the help text of each.
//!
//! The structs derive [`clap::Args`] although the reactor uses them: a copy without
//! flags would repeat every field.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::protocol::MAX_LINE;
use crate::quantity::{bytes, bytes_per_second, integer, seconds, seconds_or_zero};

/// The accepted limits of a line: `REGISTER` must fit, and memory is not wasted. A relay with a
/// low limit refuses long names, and the node says so.
const LINE_LENGTHS: RangeInclusive<u64> = 64..=65_536;

/// How much time and memory of a server one peer may use.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Maximum number of connections [default: from the limit on open files]
    #[arg(long, value_name = "N", value_parser = integer::<usize>(1..))]
    pub max_connections: Option<usize>,
    /// Maximum number of connections from one address; loopback is exempt
    #[arg(long, value_name = "N", default_value = "512", value_parser = integer::<usize>(1..))]
    pub max_per_address: usize,
    /// Maximum length of a request line, with its line end
    #[arg(long, value_name = "BYTES", default_value_t = MAX_LINE,
          value_parser = bytes::<usize>(LINE_LENGTHS))]
    pub max_line: usize,
    /// Maximum length of the request line and the headers of a request in HTTP
    #[arg(long, value_name = "BYTES", default_value = "16384",
          value_parser = bytes::<usize>(256..=1_048_576))]
    pub max_head: usize,
    /// Close a connection after this many unknown commands
    #[arg(long, value_name = "N", default_value = "10", value_parser = integer::<u16>(1..))]
    pub max_unknown: u16,
    /// Read no more requests from a peer while more than this is queued for it
    #[arg(long, value_name = "BYTES", default_value = "262144", value_parser = bytes::<usize>(1..))]
    pub max_queue: usize,
    /// Close the connections with the most data queued while more than this is queued for all
    #[arg(long, value_name = "BYTES", default_value = "268435456", value_parser = bytes::<usize>(65_536..))]
    pub max_queue_total: usize,
    /// Close a connection that sends no complete line within this time
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub first_line: Duration,
    /// Maximum number of handshakes of TLS at the same time
    #[arg(long, value_name = "N", default_value = "1024", value_parser = integer::<usize>(1..))]
    pub max_handshakes: usize,
    /// Maximum number of handshakes of TLS per second from one address; loopback is exempt
    #[arg(long, value_name = "N", default_value = "50", value_parser = integer::<u32>(1..))]
    pub handshake_rate: u32,
    /// Close a connection that sends no request for this time
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    pub idle: Duration,
    /// Close a connection that accepts no data for this time
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub stall: Duration,
    /// Close a connection that accepts less data than this per second while data waits for it
    #[arg(long, value_name = "BYTES", default_value = "1024", value_parser = bytes::<u64>(1..))]
    pub min_read_rate: u64,
    /// Time to finish transfers after the first stop signal
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds_or_zero)]
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        without_flags()
    }
}

/// How long to wait for relays and nodes.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Timeouts")]
pub struct Timeouts {
    /// Give up on a connection that is not established within this time
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = seconds, global = true)]
    pub connect_timeout: Duration,
    /// Give up on a relay or a node that sends nothing for this time
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds,
          global = true)]
    pub timeout: Duration,
    /// Give up on a relay or a node that sends less than this per second
    #[arg(long, value_name = "BYTES", default_value = "1024", value_parser = bytes::<u64>(1..),
          global = true)]
    pub min_rate: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        without_flags()
    }
}

/// How fast content is sent and received.
#[derive(Clone, Copy, Default, Debug, clap::Args)]
#[command(next_help_heading = "Rates")]
pub struct RateLimits {
    /// Send and receive no more content than this per second, such as 500k, 20M or 1.5MiB; M is
    /// MiB, MB is 10^6 bytes
    #[arg(long, value_name = "RATE", value_parser = bytes_per_second, global = true)]
    pub limit_rate: Option<u64>,
    /// The same for each peer: an address that fetches, or a node that sends
    #[arg(long, value_name = "RATE", value_parser = bytes_per_second, global = true)]
    pub limit_rate_per_peer: Option<u64>,
}

/// See [`JobLimits::head_size`].
const HEAD_SIZE: u64 = 64 * 1024;

/// Under a rate limit, each node that sends pieces of a file gets at least this share of it,
/// in bytes per second: a node closes the connection of a client that reads too slowly.
const SOURCE_RATE: u64 = 2048;

/// How much a client takes from a relay, and how long it tries nodes.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Downloads")]
pub struct JobLimits {
    /// Maximum number of nodes to accept from the relay
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = integer::<u64>(0..),
          global = true)]
    pub max_nodes: u64,
    /// Maximum number of files to accept from the relay in one list
    #[arg(long, value_name = "N", default_value = "10000000", value_parser = integer::<u64>(0..),
          global = true)]
    pub max_listed: u64,
    /// Maximum length of all file names to accept from the relay in one list
    #[arg(long, value_name = "BYTES", default_value = "1073741824", value_parser = bytes::<u64>(0..),
          global = true)]
    pub max_listed_bytes: u64,
    /// Once one relay has answered, wait this long for the others
    #[arg(long, value_name = "SECONDS", default_value = "0.3", value_parser = seconds_or_zero,
          global = true)]
    pub relay_delay: Duration,
    /// Ask the next node as well if a node has not answered within this time
    #[arg(long, value_name = "SECONDS", default_value = "0.25", value_parser = seconds,
          global = true)]
    pub try_delay: Duration,
    /// Give up on a file after this many nodes have failed
    #[arg(long, value_name = "N", default_value = "50", value_parser = integer::<usize>(1..),
          global = true)]
    pub max_failures: usize,
    /// Maximum number of nodes that send pieces of one file at once
    #[arg(long, value_name = "N", default_value = "8", value_parser = integer::<usize>(1..),
          global = true)]
    pub sources: usize,
    /// Fetch a file only if its hash is known, so that the content can be checked
    #[arg(long, global = true)]
    pub require_hash: bool,
    /// Maximum number of connections that files fetched from one node share
    #[arg(long, value_name = "N", default_value = "1", value_parser = integer::<usize>(1..),
          global = true)]
    pub connections: usize,
    /// How long to wait for a node that has the file, or the rest of it.
    #[arg(skip)]
    pub wait: Duration,
    /// Bytes of a file that are held back until the node is chosen to send all of it.
    #[arg(skip = HEAD_SIZE)]
    pub head_size: u64,
    /// The limit in bytes per second, if all nodes together have one.
    #[arg(skip)]
    pub rate: Option<u64>,
    /// The lower one of that limit and the one for each node, if there is one: no node can
    /// send more. See [`RateLimits`].
    #[arg(skip)]
    pub lowest_rate: Option<u64>,
}

impl JobLimits {
    /// These limits for jobs whose content comes at a limited rate, if `rates` has a limit.
    #[must_use]
    pub fn with_rates(self, rates: &RateLimits) -> Self {
        let lowest_rate = rates
            .limit_rate
            .into_iter()
            .chain(rates.limit_rate_per_peer);
        let lowest_rate = lowest_rate.min();
        let sources = rates.limit_rate.map(|rate| (rate / SOURCE_RATE).max(1));
        let sources = sources.and_then(|count| usize::try_from(count).ok());
        Self {
            sources: self.sources.min(sources.unwrap_or(usize::MAX)),
            rate: rates.limit_rate,
            lowest_rate,
            ..self
        }
    }
}

impl Default for JobLimits {
    fn default() -> Self {
        without_flags()
    }
}

/// Takes the defaults from the attributes above, so that they are written once.
pub(crate) fn without_flags<A: clap::Args + clap::FromArgMatches>() -> A {
    let command = A::augment_args(clap::Command::new("defaults").no_binary_name(true));
    let matches = command.get_matches_from(std::iter::empty::<&str>());
    A::from_arg_matches(&matches).expect("every argument has a default")
}
