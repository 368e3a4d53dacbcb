//! The command line of `peer-client`.

use std::net::IpAddr;
use std::time::Duration;

use clap::{Parser, Subcommand};
use log::LevelFilter;

use crate::cli::access::ClientAccessArgs;
use crate::cli::get::GetArgs;
use crate::cli::host_port::{HostPort, node_host};
use crate::cli::logging::LogArgs;
use crate::cli::relay_address::RelayAddressArgs;
use crate::cli::relay_tls::ClientTlsArgs;
use crate::cli::values;
use crate::cli::verify::VerifyArgs;
use crate::jobs::quoted;
use crate::limits::{JobLimits, RateLimits, Timeouts};
use crate::protocol::{FileName, Port, Text};
use crate::quantity::{seconds, seconds_or_zero};
use crate::terminal::HistoryArgs;

const ABOUT: &str = "\
Fetches files by name from a Peerline network.

  peer-client 127.0.0.1:8888 ls
  peer-client 127.0.0.1:8888 get hello.txt -o copy.txt

The client asks the relay which nodes have the file, and fetches it from one of them, or a large \
file in pieces from several. Without a command, it shows a prompt, where `help` lists the commands.";

/// See [`crate::cli::usage::parse`].
pub(super) const HINTS: &str = "\
hidden flag | --try-delay --max-failures --sources --require-hash --connections --limit-rate \
    --limit-rate-per-peer | nodes ls search find who send chat
hidden flag | --max-listed --max-listed-bytes | nodes find who send chat
hidden flag | --max-nodes | ls search send chat
hidden flag | --from | who send chat
hidden flag | --udp | ls search who send chat
hidden flag | --raw | nodes find who send
unknown flag | --share | to serve what is fetched: peer-node RELAY --share DIR --get NAME
unknown flag | -p --port -H --host --ip --addr --address --server | \
    the relay's address is an argument: peer-client 127.0.0.1:8888 ls
missing | no-command | write its address: peer-client 127.0.0.1:8888 ls
missing | RELAY | write its address before the command: peer-client {words}
missing | find | write the name of a file: find hello.txt
missing | get | write the name of a file: get hello.txt
missing | verify | write the path of a file: verify hello.txt
missing | chat | write: chat IP PORT
missing | send | write: send IP PORT 'TEXT'
unexpected word | send | write the message in quotes
unexpected word | search find | write a text with blanks in quotes
unexpected word | chat | chat reads messages from its input
unexpected word | ls | to search for a text: peer-client {before}search {subject}
unexpected word | no-command | to fetch a file of that name: peer-client {before}get {subject}
unknown command | list dir files | the command is ls
unknown command | download fetch cat wget curl | the command is get NAME
unknown command | check repair | the command is verify FILE
unknown command | peers node | the command is nodes
unknown command | grep locate | the command is search TEXT";

/// The command line of `peer-client`.
#[derive(Parser)]
#[command(name = "peer-client", version, about = ABOUT, max_term_width = 100)]
pub(super) struct ClientArgs {
    #[command(flatten)]
    pub(super) relay: RelayAddressArgs,
    /// Use no relay: fetch from this node, and list its files. HOST:PORT, or HOST and PORT as two
    /// words
    #[arg(long, value_name = "NODE", value_parser = node_host, global = true,
          conflicts_with_all = ["udp", "more_relays"])]
    pub(super) from: Option<HostPort>,
    #[command(subcommand)]
    pub(super) command: Option<ClientCommand>,
    #[command(flatten)]
    pub(super) reporter: ReporterArgs,
    /// Query the relay over UDP; use TCP if UDP fails or the answer is too long
    #[arg(long, global = true)]
    pub(super) udp: bool,
    #[command(flatten)]
    pub(super) access: ClientAccessArgs,
    #[command(flatten)]
    pub(super) limits: JobLimits,
    #[command(flatten)]
    pub(super) timeouts: Timeouts,
    #[command(flatten)]
    pub(super) rates: RateLimits,
    #[command(flatten)]
    pub(super) tls: ClientTlsArgs,
    #[command(flatten)]
    pub(super) history: HistoryArgs,
    #[command(flatten)]
    pub(super) log: LogArgs,
}

impl ClientArgs {
    /// How a command for the same servers begins, with a blank at the end. It has the same flags
    /// for access and TLS.
    pub(super) fn command_start(&self) -> String {
        let server = match &self.from {
            Some(node) => format!("--from={node}"),
            None => self.relay.word(),
        };
        let mut words = vec!["peer-client".to_owned(), server];
        words.extend(self.relay.id_flags());
        words.extend(self.access.flags());
        words.extend(self.tls.flags());
        words.extend(self.udp.then(|| "--udp".to_owned()));
        let quoted = words.iter().map(|word| quoted(word) + " ");
        quoted.collect()
    }
}

/// How a client reports to its user.
#[derive(clap::Args)]
pub(super) struct ReporterArgs {
    /// Print only results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Log at level debug. When many files are fetched, print each step: which node is asked, and
    /// what it answers
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
    /// Check a file or folder on disk, and fetch wrong and missing pieces again
    Verify(VerifyArgs),
    /// List the nodes that are registered with the relay; into a pipe: ip port id
    Nodes,
    /// List all files that the nodes have announced
    Ls {
        /// Show whole hashes on a terminal
        #[arg(short, long)]
        long: bool,
    },
    /// List the files whose names contain a text, ignoring case, or match a glob
    Search {
        /// The text, or a glob in quotes, such as '*.txt'; without it, all files are listed
        #[arg(default_value = "", hide_default_value = true)]
        text: String,
        /// Show whole hashes on a terminal
        #[arg(short, long)]
        long: bool,
    },
    /// List the nodes that have a file of exactly this name; into a pipe: ip port size hash id
    Find {
        /// The name of the file
        #[arg(value_parser = values::file_name)]
        name: FileName<'static>,
    },
    /// List the addresses at which nodes and clients receive messages
    Who,
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
        #[arg(long, value_name = "SECONDS", value_parser = seconds)]
        wait: Option<Duration>,
    },
    /// Chat: send each line that you type, and print each message that arrives; /quit ends it
    Chat {
        /// The receiver's IP address; without it, the sender of the last message
        #[arg(requires = "port", value_parser = values::receiver_ip)]
        ip: Option<IpAddr>,
        /// The receiver's port
        #[arg(value_parser = values::port)]
        port: Option<Port>,
        /// How long to go on receiving after piped input has ended
        #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds_or_zero)]
        wait: Duration,
    },
}
