//! The command line of `peer-client`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use log::LevelFilter;

use crate::cli::exit::Exit;
use crate::cli::relay_address::{RELAY_FLAGS, RelayAddressArgs, has_port};
use crate::cli::usage::{Mistake, MistakeKind};
use crate::cli::{HistoryArgs, LogArgs, Program, StartupError, client, values};
use crate::limits::Timeouts;
use crate::protocol::{ContentHash, FileName, Port, Text};
use crate::quantity;

const ABOUT: &str = "\
Fetches files by name from a Peerline network.

  peer-client 127.0.0.1:8888 ls
  peer-client 127.0.0.1:8888 get hello.txt -o copy.txt

The client gets the list of nodes from the relay. Then it asks one node after the other for the \
file. Without a command, it shows a prompt, where `help` lists the commands.";

/// The command line of `peer-client`.
#[derive(Clone, Debug, Parser)]
#[command(name = "peer-client", version, about = ABOUT, max_term_width = 100)]
pub struct ClientArgs {
    /// The relay's address.
    #[command(flatten)]
    pub relay: RelayAddressArgs,
    /// What to do. Without a command: a prompt.
    #[command(subcommand)]
    pub command: Option<ClientCommand>,
    /// How to report.
    #[command(flatten)]
    pub reporter: ReporterArgs,
    /// Maximum number of nodes to accept from the relay
    #[arg(long, value_name = "N", default_value = "1000000", global = true,
          value_parser = quantity::whole_number::<u64>(0..))]
    pub max_nodes: u64,
    /// Query the relay over UDP; use TCP if UDP fails or the answer is too long
    #[arg(long, global = true)]
    pub udp: bool,
    /// How long to wait for relay and nodes.
    #[command(flatten)]
    pub timeouts: Timeouts,
    /// The history of the prompt.
    #[command(flatten)]
    pub history: HistoryArgs,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// How a client reports to its user.
#[derive(Clone, Debug, clap::Args)]
pub struct ReporterArgs {
    /// Print only results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Log at level debug
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Print results as JSON, one object per line: to stdout, or to stderr if file contents
    /// go to stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Print control characters and binary content on a terminal as they are
    #[arg(long, global = true)]
    pub raw: bool,
}

impl ReporterArgs {
    pub(super) fn log_level(&self) -> LevelFilter {
        if self.verbose {
            LevelFilter::Debug
        } else {
            LevelFilter::Warn
        }
    }
}

/// What a client is to do.
#[derive(Clone, Debug, Subcommand)]
pub enum ClientCommand {
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
#[derive(Clone, Debug, clap::Args)]
pub struct GetArgs {
    /// The names of the files
    #[arg(value_name = "NAME", required = true, value_parser = values::file_name)]
    pub names: Vec<FileName<'static>>,
    /// Accept only the content with this BLAKE3 hash
    #[arg(long, value_name = "HASH", value_parser = values::content_hash)]
    pub hash: Option<ContentHash>,
    /// Save to this file; - is stdout
    #[arg(short, long, value_name = "FILE", conflicts_with = "dir")]
    pub output: Option<PathBuf>,
    /// Save into this folder, under the names of the files
    #[arg(short, long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Replace existing files
    #[arg(short, long)]
    pub force: bool,
}

/// Commands of other programs that do the same.
const SYNONYMS: [(&[&str], &str); 4] = [
    (&["list", "dir", "files"], "ls"),
    (&["download", "fetch", "cat", "wget", "curl"], "get NAME"),
    (&["peers", "node"], "nodes"),
    (&["grep", "locate"], "search TEXT"),
];

impl Program for ClientArgs {
    fn run(&self) -> Result<Exit, StartupError> {
        client::run(self)
    }

    fn hint(mistake: &Mistake<'_>) -> Option<String> {
        let subject = mistake.subject;
        let has = |command: &str| mistake.words.iter().any(|word| word == command);
        Some(match mistake.kind {
            MistakeKind::UnknownFlag if mistake.is_about(&RELAY_FLAGS) => {
                "the relay's address is an argument: peer-client 127.0.0.1:8888 ls".into()
            }
            MistakeKind::Missing if subject == "RELAY" => match mistake.words {
                [] => "write its address: peer-client 127.0.0.1:8888 ls".into(),
                words => {
                    let words = address_first(words).join(" ");
                    format!("write its address before the command: peer-client {words}")
                }
            },
            MistakeKind::Missing if has("find") => {
                "write the name of a file: find hello.txt".into()
            }
            MistakeKind::Missing if has("chat") => "write: chat IP PORT".into(),
            MistakeKind::Missing if has("get") => "write the name of a file: get hello.txt".into(),
            MistakeKind::Missing if has("send") => "write: send IP PORT 'TEXT'".into(),
            MistakeKind::UnexpectedWord if has("send") => "write the message in quotes".into(),
            MistakeKind::UnexpectedWord if has("search") || has("find") => {
                "write a text with blanks in quotes".into()
            }
            MistakeKind::UnexpectedWord if has("chat") => {
                "chat reads messages from its input".into()
            }
            MistakeKind::UnexpectedWord if has("ls") => {
                format!("to search for a text: search {subject}")
            }
            MistakeKind::UnknownCommand => {
                let (_, command) = SYNONYMS
                    .iter()
                    .find(|(words, _)| words.contains(&subject))?;
                format!("the command is {command}")
            }
            MistakeKind::UnexpectedWord if !has("nodes") => {
                format!("to fetch a file of that name: get {subject}")
            }
            _ => return None,
        })
    }
}

/// The words with the relay's address at the front, or with an example of one.
fn address_first(words: &[String]) -> Vec<&str> {
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    let is_host = |word: &str| word == "localhost" || word.parse::<IpAddr>().is_ok();
    let pair = words
        .windows(2)
        .position(|pair| is_host(pair[0]) && values::port(pair[1]).is_ok());
    if let Some(host) = pair {
        words[..host + 2].rotate_right(2);
    } else if let Some(address) = words.iter().position(|word| has_port(word)) {
        words[..=address].rotate_right(1);
    } else {
        words.insert(0, "127.0.0.1:8888");
    }
    words
}
