//! The flags of TLS, and the identity of a server.

use std::path::PathBuf;
use std::sync::Arc;

use log::{error, info, warn};

use crate::cli::{Exit, StartupError, signals};
use crate::logging::OPERATOR;
use crate::terminal::TerminalOutput;
use crate::tls::{
    Certificates, Identity, IdentityFile, KeyId, StateFileError, TlsAcceptor, read_identity,
};

/// Whether connections are encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TlsMode {
    Off,
    Auto,
    Required,
}

/// How a server speaks TLS.
#[derive(clap::Args)]
#[command(next_help_heading = "TLS")]
pub(super) struct ServerTlsArgs {
    /// Encrypted connections: off, auto or required; with auto, each client chooses, and a node
    /// chooses for its relay as a client does
    #[arg(long, value_name = "MODE", default_value = "auto", value_parser = mode)]
    tls: TlsMode,
    /// Private key of the server, as PEM [default: one of its own, in the user's state folder]
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Certificate for --key, followed by those that vouch for it; SIGHUP reads both again
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
}

/// The TLS of a server; nothing if it speaks none.
#[derive(Default)]
pub(super) struct ServerTls {
    pub(super) acceptor: Option<TlsAcceptor>,
    /// What the server shows to others.
    pub(super) certificates: Option<Arc<Certificates>>,
    /// Who the server is.
    pub(super) id: Option<KeyId>,
}

impl ServerTlsArgs {
    /// Whether SIGHUP reads files again.
    pub(super) fn has_files(&self) -> bool {
        self.key.is_some()
    }

    pub(super) fn mode(&self) -> TlsMode {
        self.tls
    }

    pub(super) fn is_required(&self) -> bool {
        self.tls == TlsMode::Required
    }

    /// The TLS of a program, such as `relay`. The first start makes a key. To be called before
    /// the program gives up its rights.
    pub(super) fn prepare(&self, program: &str) -> Result<ServerTls, StartupError> {
        if self.tls == TlsMode::Off {
            return Ok(ServerTls::default());
        }
        let identity = match (&self.key, &self.certificate) {
            (Some(key), Some(certificate)) => {
                read_identity(key, certificate).map_err(startup_error)?
            }
            _ => match self.own_identity(program)? {
                Some(identity) => identity,
                None => return Ok(ServerTls::default()),
            },
        };
        let id = Some(identity.id());
        let certificates = Certificates::new(identity);
        if let (Some(key), Some(certificate)) = (&self.key, &self.certificate) {
            let (key, certificate) = (key.clone(), certificate.clone());
            let certificates = Arc::clone(&certificates);
            signals::handle_hangups(move || match read_identity(&key, &certificate) {
                Ok(identity) => {
                    info!(target: OPERATOR, "certificate read again, id {}", identity.id());
                    certificates.replace(identity);
                }
                Err(error) => error!(target: OPERATOR, "certificate kept: {error}"),
            })?;
        }
        let acceptor = TlsAcceptor::new(certificates.clone(), self.is_required())
            .map_err(StartupError::system("cannot start TLS"))?;
        Ok(ServerTls {
            acceptor: Some(acceptor),
            certificates: Some(certificates),
            id,
        })
    }

    /// The identity in the user's state folder. None if it has no place, and TLS is not
    /// required.
    fn own_identity(&self, program: &str) -> Result<Option<Identity>, StartupError> {
        let reason = match IdentityFile::of(program).map(|file| file.open()) {
            Some(Ok(identity)) => return Ok(Some(identity)),
            Some(Err(error @ StateFileError::Refused(..))) => return Err(startup_error(error)),
            Some(Err(error @ StateFileError::Unavailable(..))) => error.to_string(),
            None => "neither HOME nor XDG_STATE_HOME is set".to_owned(),
        };
        let text = format!("no place for a key: {reason}; write --key and --certificate");
        if self.is_required() {
            return Err(StartupError::new(Exit::System, text));
        }
        warn!(target: OPERATOR, "TLS is off: {text}, or --tls off");
        Ok(None)
    }
}

/// Says who a server is.
pub(super) fn print_id(output: &TerminalOutput, program: &str, id: Option<KeyId>) {
    if let Some(id) = id {
        output.println(format_args!("{program} id {id}"));
    }
}

fn startup_error(error: StateFileError) -> StartupError {
    StartupError::new(Exit::System, error)
}

pub(super) fn mode(text: &str) -> Result<TlsMode, &'static str> {
    match text {
        "off" => Ok(TlsMode::Off),
        "auto" => Ok(TlsMode::Auto),
        "required" => Ok(TlsMode::Required),
        _ => Err("write off, auto or required"),
    }
}
