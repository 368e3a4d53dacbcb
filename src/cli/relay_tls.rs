//! How the connections to a relay are encrypted.

use std::str::FromStr;
use std::sync::Arc;

use log::warn;

use crate::cli::relay_address::{ChosenRelay, FoundRelay};
use crate::cli::{Exit, StartupError};
use crate::logging::OPERATOR;
use crate::tls::{
    Certificates, KeyId, KnownKeys, KnownRelays, KnownRelaysWorker, RelayTrust, ServerTrust,
    StateFileError, TlsConnector, TlsMode,
};

/// How a client speaks TLS.
#[derive(Clone, Copy, clap::Args)]
#[command(next_help_heading = "TLS")]
pub(super) struct ClientTlsArgs {
    /// Encrypted connections: off, auto or required. With auto, connections to a relay are
    /// encrypted if its key is known, or if it is on another machine and speaks TLS; connections
    /// to a node, if the relay tells its id, or if it speaks nothing else
    #[arg(long, value_name = "MODE", default_value = "auto", global = true, value_parser = TlsMode::from_str)]
    pub(super) tls: TlsMode,
    /// With --from, connect only to the node that prints this id when it starts
    #[arg(long, value_name = "ID", global = true, value_parser = KeyId::from_str)]
    pub(super) node_id: Option<KeyId>,
}

impl ClientTlsArgs {
    /// The flags of a command that speaks TLS likewise. Each is one word.
    pub(super) fn flags(self) -> impl Iterator<Item = String> {
        let mode = match self.tls {
            TlsMode::Auto => None,
            mode => Some(format!("--tls={mode}")),
        };
        let id = self.node_id.map(|id| format!("--node-id={id}"));
        mode.into_iter().chain(id)
    }
}

/// How to connect to relays.
#[derive(Clone)]
pub(super) struct RelayTls {
    pub(super) mode: TlsMode,
    /// Whether requests go over UDP.
    pub(super) is_udp: bool,
    /// What relays are shown, if anything.
    pub(super) certificates: Option<Arc<Certificates>>,
    /// The file of known relays. It must be readable: a sandbox could hide it.
    pub(super) file: Option<KnownRelays>,
}

impl RelayTls {
    /// [`RelayTls::connector`] for each of these relays.
    pub(super) fn connectors(
        &self,
        relays: &[FoundRelay],
    ) -> Result<Vec<Option<TlsConnector>>, StartupError> {
        relays.iter().map(|relay| self.connector(relay)).collect()
    }

    /// The TLS of connections to a relay; none if they are not encrypted.
    pub(super) fn connector(
        &self,
        relay: &FoundRelay,
    ) -> Result<Option<TlsConnector>, StartupError> {
        let &Self { mode, is_udp, .. } = self;
        if is_udp && mode == TlsMode::Required {
            return Err(StartupError::usage(
                "--udp is not encrypted; write --udp or --tls required, not both",
            ));
        }
        let trust = match (relay.id, mode) {
            (Some(_), TlsMode::Off) => {
                return Err(StartupError::usage(
                    "--relay-id needs TLS; write --relay-id or --tls off, not both",
                ));
            }
            (Some(id), _) => RelayTrust::pinned(id),
            (None, _) => match remembered(relay, mode, is_udp, self.file.clone())? {
                Some(trust) if matches!(relay.chosen, ChosenRelay::Auto) => trust.unrecorded(),
                Some(trust) => trust,
                None => return Ok(None),
            },
        };
        let certificates = self.certificates.clone();
        let connector = TlsConnector::new(ServerTrust::Relay(Arc::new(trust)), certificates);
        connector
            .map(Some)
            .map_err(StartupError::system("cannot start TLS"))
    }
}

/// A relay whose key the user has not pinned. None for plain connections.
fn remembered(
    relay: &FoundRelay,
    mode: TlsMode,
    is_udp: bool,
    file: Option<KnownRelays>,
) -> Result<Option<RelayTrust>, StartupError> {
    let names = relay.names();
    let known = find(file.as_ref(), &names)?;
    if let Some(file) = file.as_ref().filter(|_| !known.keys.is_empty()) {
        // Nobody must be able to talk us out of TLS, by whatever advice.
        let plain = match (mode, is_udp) {
            (TlsMode::Off, _) => Some("--tls off"),
            (_, true) => Some("--udp"),
            (_, false) => None,
        };
        if let Some(flag) = plain {
            let (name, removal) = (&relay.source.name, file.removal(&known));
            return Err(StartupError::usage(format_args!(
                "{flag} is not encrypted, but the key of {name} is known; omit {flag}; or, to \
                 forget the key, {removal}"
            )));
        }
    } else if mode == TlsMode::Off || is_udp {
        return Ok(None);
    }
    let worker = |file: KnownRelays| Ok((file.clone(), KnownRelaysWorker::start(file)?));
    let file = file.map(worker).transpose();
    let file = file.map_err(StartupError::system("cannot start a thread"))?;
    let is_required = mode == TlsMode::Required;
    Ok(Some(RelayTrust::remembered(
        names,
        is_required,
        known,
        file,
    )))
}

/// What the file of known relays says about this one.
fn find(file: Option<&KnownRelays>, names: &[String]) -> Result<KnownKeys, StartupError> {
    let Some(file) = file else {
        return Ok(KnownKeys::default());
    };
    let known = match file.find(names) {
        Ok(known) => known,
        // What a program cannot reach, it cannot have written.
        Err(StateFileError::Unavailable(..)) => KnownKeys::default(),
        Err(error @ StateFileError::Refused(..)) => {
            return Err(StartupError::new(Exit::System, error));
        }
    };
    if let [first, others @ ..] = &known.damaged[..] {
        let path = file.path().display();
        let others = match others.len() {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        warn!(
            target: OPERATOR,
            "{path}: line {first}{others} is damaged and ignored; a line is HOST:PORT and an id"
        );
    }
    Ok(known)
}
