//! The command line of `peer-client`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use log::LevelFilter;

use crate::cli::logging::LogArgs;
use crate::cli::relay_address::RelayAddressArgs;
use crate::cli::values;
use crate::limits::Timeouts;
use crate::protocol::{ContentHash, FileName, Port, Text};
use crate::quantity;
use crate::terminal::HistoryArgs;

const ABOUT: &str = "\
Fetches files by name from a Peerline network.

  peer-client 127.0.0.1:8888 ls
  peer-client 127.0.0.1:8888 get hello.txt -o copy.txt

The client gets the list of nodes from the relay. Then it asks one node after the other for the \
file. Without a command, it shows a prompt, where `help` lists the commands.";

/// See [`crate::cli::usage::parse`].
pub(super) const HINTS: &str = "\
unknown flag | -p --port -H --host --ip --addr --address --relay --server | \
    the relay's address is an argument: peer-client 127.0.0.1:8888 ls
missing | no-command | write its address: peer-client 127.0.0.1:8888 ls
missing | RELAY | write its address before the command: peer-client {words}
missing | find | write the name of a file: find hello.txt
missing | get | write the name of a file: get hello.txt
missing | chat | write: chat IP PORT
missing | send | write: send IP PORT 'TEXT'
unexpected word | send | write the message in quotes
unexpected word | search find | write a text with blanks in quotes
unexpected word | chat | chat reads messages from its input
unexpected word | ls | to search for a text: search {subject}
unexpected word | no-command | to fetch a file of that name: get {subject}
unknown command | list dir files | the command is ls
unknown command | download fetch cat wget curl | the command is get NAME
unknown command | peers node | the command is nodes
unknown command | grep locate | the command is search TEXT";

/// The command line of `peer-client`.
#[derive(Parser)]
#[command(name = "peer-client", version, about = ABOUT, max_term_width = 100)]
pub(super) struct ClientArgs {
    #[command(flatten)]
    pub(super) relay: RelayAddressArgs,
    #[command(subcommand)]
    pub(super) command: Option<ClientCommand>,
    #[command(flatten)]
    pub(super) reporter: ReporterArgs,
    /// Maximum number of nodes to accept from the relay
    #[arg(long, value_name = "N", default_value = "1000000", global = true,
          value_parser = quantity::whole_number::<u64>(0..))]
    pub(super) max_nodes: u64,
    /// Query the relay over UDP; use TCP if UDP fails or the answer is too long
    #[arg(long, global = true)]
    pub(super) udp: bool,
    #[command(flatten)]
    pub(super) timeouts: Timeouts,
    #[command(flatten)]
    pub(super) history: HistoryArgs,
    #[command(flatten)]
    pub(super) log: LogArgs,
}

/// How a client reports to its user.
#[derive(clap::Args)]
pub(super) struct ReporterArgs {
    /// Print only results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Log at level debug
    #[arg(short, long, global = true)]
    pub(super) verbose: bool,
    /// Print results as JSON, one object per line: to stdout, or to stderr if file contents
    /// go to stdout
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Print control characters and binary content on a terminal as they are
    #[arg(long, global = true)]
    pub(super) raw: bool,
}

impl ReporterArgs {
    pub(super) fn log_level(&self) -> LevelFilter {
        match self.verbose {
            true => LevelFilter::Debug,
            false => LevelFilter::Warn,
        }
    }
}

/// What a client is to do.
#[derive(Subcommand)]
pub(super) enum ClientCommand {
    /// Fetch files, and print or save them
    Get(GetArgs),
    /// List the nodes that are registered with the relay
    Nodes,
    /// List all files that the nodes have announced
    Ls,
    /// List the files whose names contain a text, ignoring case
    Search {
        /// The text; without it, all files are listed
        #[arg(default_value = "", hide_default_value = true)]
        text: String,
    },
    /// List the nodes that have a file of exactly this name: ip port size hash
    Find {
        /// The name of the file
        #[arg(value_parser = values::file_name)]
        name: FileName<'static>,
    },
    /// Send a message to the node or client that receives messages at an address
    Send {
        /// The receiver's IP address
        #[arg(value_parser = values::receiver_ip)]
        ip: IpAddr,
        /// The receiver's port
        #[arg(value_parser = values::port)]
        port: Port,
        /// The message, in quotes if it contains blanks
        #[arg(value_parser = values::message_text)]
        text: Text<'static>,
        /// Also receive messages for this long, and print them: ip port text
        #[arg(long, value_name = "SECONDS", value_parser = quantity::seconds)]
        wait: Option<Duration>,
    },
    /// Chat: send each line that is typed, print each message that arrives; /quit ends it
    Chat {
        /// The receiver's IP address; without it, the sender of the last message
        #[arg(requires = "port", value_parser = values::receiver_ip)]
        ip: Option<IpAddr>,
        /// The receiver's port
        #[arg(value_parser = values::port)]
        port: Option<Port>,
        /// How long to go on receiving after the end of input that is not a terminal
        #[arg(long, value_name = "SECONDS", default_value = "1",
              value_parser = quantity::seconds_or_zero)]
        wait: Duration,
    },
}

/// What to fetch, and where to store it.
#[derive(Default, clap::Args)]
pub(super) struct GetArgs {
    /// The names of the files
    #[arg(value_name = "NAME", required = true, value_parser = values::file_name)]
    pub(super) names: Vec<FileName<'static>>,
    /// Accept only the content with this BLAKE3 hash
    #[arg(long, value_name = "HASH", value_parser = values::content_hash)]
    pub(super) hash: Option<ContentHash>,
    /// Save to this file; - is stdout
    #[arg(short, long, value_name = "FILE", conflicts_with = "dir")]
    pub(super) output: Option<PathBuf>,
    /// Save into this folder, under the names of the files
    #[arg(short, long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Replace existing files
    #[arg(short, long)]
    pub(super) force: bool,
}
