//! The command line of `peer-node`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Parser;

use crate::cli::exit::Exit;
use crate::cli::relay_address::{RELAY_FLAGS, RelayAddressArgs};
use crate::cli::usage::{Mistake, MistakeKind};
use crate::cli::{ConsoleArgs, HistoryArgs, LogArgs, Program, StartupError, node, values};
use crate::limits::{Limits, Timeouts};
use crate::protocol::ClaimedIp;
use crate::quantity;

const ABOUT: &str = "\
Shares a folder in a Peerline network.

  peer-node 127.0.0.1:8888 --share DIR --port 9001
  printf 'GET hello.txt\\n' | nc -N 127.0.0.1 9001

The node registers with the relay. Then it serves files to everybody who connects.";

/// The command line of `peer-node`.
#[derive(Clone, Debug, Parser)]
#[command(name = "peer-node", version, about = ABOUT, max_term_width = 100)]
pub struct NodeArgs {
    /// The relay's address.
    #[command(flatten)]
    pub relay: RelayAddressArgs,
    /// Folder to share, with its sub-folders
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub share: PathBuf,
    /// Also share files and folders whose names start with a dot
    #[arg(long)]
    pub hidden: bool,
    /// Compute no hashes; lists then show - instead of each hash
    #[arg(long)]
    pub no_hashes: bool,
    /// Keep computed hashes in this file [default: peerline/hashes in the user's cache folder]
    #[arg(long, value_name = "FILE")]
    pub hash_cache: Option<PathBuf>,
    /// Do not keep hashes; each start computes them again
    #[arg(long, conflicts_with = "hash_cache")]
    pub no_hash_cache: bool,
    /// Maximum number of files to share
    #[arg(long, value_name = "N", default_value = "1000000",
          value_parser = quantity::whole_number::<usize>(1..))]
    pub max_files: usize,
    /// Memory for the content of small files; 0 disables this cache
    #[arg(long = "max-kept", value_name = "BYTES", default_value = "16777216",
          value_parser = quantity::bytes::<usize>(0..))]
    pub max_cached: usize,
    /// Address to listen on [default: the local address from which the relay is reached]
    #[arg(long, value_name = "ADDR", value_parser = values::ip)]
    pub listen: Option<IpAddr>,
    /// Port to listen on; 0 lets the system choose
    #[arg(long, value_name = "PORT", default_value = "0", value_parser = values::listen_port)]
    pub port: u16,
    /// Address under which the relay lists the node; * is the address that the relay sees
    #[arg(long, value_name = "IP", default_value = "*", value_parser = values::claimed_ip)]
    pub advertise: ClaimedIp,
    /// Receive messages that are sent to the node's address [default: with a console]
    #[arg(long, overrides_with = "no_listen_messages")]
    pub listen_messages: bool,
    /// Receive no messages
    #[arg(long)]
    pub no_listen_messages: bool,
    /// Use UDP for requests to the relay, and TCP only if UDP fails
    #[arg(long)]
    pub udp: bool,
    /// The console.
    #[command(flatten)]
    pub console: ConsoleArgs,
    /// The history of the console.
    #[command(flatten)]
    pub history: HistoryArgs,
    /// The limits of connections.
    #[command(flatten)]
    pub limits: Limits,
    /// How long to wait for relay and nodes.
    #[command(flatten)]
    pub timeouts: Timeouts,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

impl NodeArgs {
    /// The file of hashes, if hashes are kept.
    pub(super) fn hash_cache_path(&self) -> Option<PathBuf> {
        if self.no_hash_cache {
            return None;
        }
        let default = || Some(crate::xdg::user_folder("XDG_CACHE_HOME", ".cache")?.join("hashes"));
        self.hash_cache.clone().or_else(default)
    }
}

/// Flags by which other programs take the folder to share.
const FOLDER_FLAGS: [&str; 6] = ["-d", "--dir", "--directory", "--folder", "-s", "--path"];

impl Program for NodeArgs {
    fn run(&self) -> Result<Exit, StartupError> {
        node::run(self)
    }

    fn hint(mistake: &Mistake<'_>) -> Option<String> {
        Some(match mistake.kind {
            MistakeKind::UnknownFlag if mistake.subject == "-p" => "write --port PORT".into(),
            MistakeKind::UnknownFlag if mistake.is_about(&FOLDER_FLAGS) => {
                "write --share DIR".into()
            }
            MistakeKind::UnknownFlag if mistake.is_about(&RELAY_FLAGS) => {
                "the relay's address is an argument: peer-node 127.0.0.1:8888".into()
            }
            MistakeKind::Missing => {
                "write its address: peer-node 127.0.0.1:8888 --share DIR".into()
            }
            MistakeKind::UnexpectedWord => {
                format!("to share a folder: --share {}", mistake.subject)
            }
            _ => return None,
        })
    }
}
