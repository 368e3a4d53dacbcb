//! The flags of a node's group on the DHT.

use crate::cli::discovery::BrowseArgs;
use crate::cli::{StartupError, rights};
use crate::discovery::DhtGroup;
use crate::protocol::{Port, Text};

/// Whether others find the node by the name of its group.
#[derive(clap::Args)]
#[command(next_help_heading = "DHT")]
pub(super) struct GroupArgs {
    /// Announce the node as a member of --group on BitTorrent's DHT, for `dht:NAME`
    #[arg(long, requires = "group")]
    dht: bool,
    /// Name of the group. Whoever knows or guesses it finds the node
    #[arg(long, value_name = "NAME", requires = "dht", value_parser = group_name)]
    group: Option<String>,
}

impl GroupArgs {
    /// Starts a thread that announces the node, if the user wants it. To be called before the
    /// node gives up its rights: the thread has others.
    pub(super) fn announce(
        &self,
        browse: &BrowseArgs,
        port: Port,
        has_sandbox: bool,
    ) -> Result<(), StartupError> {
        let Some(name) = &self.group else {
            return Ok(());
        };
        // It talks to strangers, and looks names up now and later.
        let sandbox = has_sandbox.then(rights::of_look_ups);
        let announced = browse.dht().announce(DhtGroup::new(name), port, sandbox);
        announced.map_err(StartupError::system("cannot start a thread"))
    }
}

/// Parses the name of a group: any text on one line.
pub(super) fn group_name(text: &str) -> Result<String, String> {
    match Text::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
