//! The flags of TLS, and the identity of a server.

use std::fs::TryLockError;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::thread;

use log::{error, info, warn};

use crate::cli::{Exit, StartupError, signals};
use crate::logging::OPERATOR;
use crate::terminal::TerminalOutput;
use crate::tls::{
    Certificates, Identity, IdentityFile, KeyId, StateFileError, TlsAcceptor, TlsMode,
    read_identity,
};

/// The mode of TLS that `what` needs, if the user has chosen this one.
pub(super) fn required(what: &str, mode: TlsMode, is_udp: bool) -> Result<TlsMode, StartupError> {
    let flag = match mode {
        _ if is_udp => "--udp",
        TlsMode::Off => "--tls off",
        TlsMode::Auto | TlsMode::Required => return Ok(TlsMode::Required),
    };
    Err(StartupError::usage(format_args!(
        "{what} needs TLS; leave {flag} out"
    )))
}

/// How a server speaks TLS.
#[derive(clap::Args)]
#[command(next_help_heading = "TLS")]
pub(super) struct ServerTlsArgs {
    /// Encrypted connections: off, auto or required. With auto, clients may encrypt or not
    #[arg(long, value_name = "MODE", default_value = "auto", value_parser = TlsMode::from_str)]
    tls: TlsMode,
    #[command(flatten)]
    key: KeyArgs,
}

/// The key of a server.
#[derive(clap::Args)]
pub(super) struct KeyArgs {
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
    pub(super) id: Option<ServerId>,
}

/// Who a server is.
#[derive(Clone, Copy)]
pub(super) struct ServerId {
    /// The id of its key.
    pub(super) key: KeyId,
    /// Whether another server of the user runs with the same key.
    is_shared: bool,
}

impl ServerTlsArgs {
    /// Whether SIGHUP reads files again.
    pub(super) fn has_files(&self) -> bool {
        self.key.files().is_some()
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
        let Some(mut identity) = self.identity(program)? else {
            return Ok(ServerTls::default());
        };
        let id = Some(ServerId {
            key: identity.id(),
            is_shared: !self.key.lock(program, &mut identity),
        });
        let certificates = Certificates::new(identity);
        if let Some((key, certificate)) = self.key.files() {
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

    /// None if its key has no place, and TLS is not required.
    fn identity(&self, program: &str) -> Result<Option<Identity>, StartupError> {
        match self.key.find(program)? {
            Ok(identity) => Ok(Some(identity)),
            Err(text) if self.is_required() => Err(StartupError::new(Exit::System, text)),
            Err(text) => {
                warn!(target: OPERATOR, "TLS is off: {text}, or --tls off");
                Ok(None)
            }
        }
    }
}

impl KeyArgs {
    /// The files of the user, if there are some.
    fn files(&self) -> Option<(&PathBuf, &PathBuf)> {
        self.key.as_ref().zip(self.certificate.as_ref())
    }

    /// Marks a key in the state folder as used. Returns false if another server uses it.
    fn lock(&self, program: &str, identity: &mut Identity) -> bool {
        let own = self.files().is_none().then(|| IdentityFile::of(program));
        match own.flatten().map(|file| file.lock()) {
            Some(Ok(file)) => identity.keep_lock(file),
            Some(Err(TryLockError::WouldBlock)) => return false,
            // The user chose the key, or nobody can know.
            Some(Err(TryLockError::Error(_))) | None => {}
        }
        true
    }

    /// The identity of a program, such as `relay`. The first time, a key is made.
    pub(super) fn identity(&self, program: &str) -> Result<Identity, StartupError> {
        self.find(program)?
            .map_err(|text| StartupError::new(Exit::System, text))
    }

    /// The identity in the user's files or in the state folder, or why it has no place.
    fn find(&self, program: &str) -> Result<Result<Identity, String>, StartupError> {
        if let Some((key, certificate)) = self.files() {
            return read_identity(key, certificate)
                .map(Ok)
                .map_err(startup_error);
        }
        let reason = match IdentityFile::of(program).map(|file| file.open()) {
            Some(Ok(identity)) => return Ok(Ok(identity)),
            Some(Err(error @ StateFileError::Refused(..))) => return Err(startup_error(error)),
            Some(Err(error @ StateFileError::Unavailable(..))) => error.to_string(),
            None => "neither HOME nor XDG_STATE_HOME is set".to_owned(),
        };
        Ok(Err(format!(
            "no place for a key: {reason}; write --key and --certificate"
        )))
    }
}

/// Says who a server is.
pub(super) fn print_id(
    output: &TerminalOutput,
    program: &str,
    id: Option<ServerId>,
    has_console: bool,
) {
    let Some(ServerId { key, is_shared }) = id else {
        return;
    };
    output.println(format_args!("{program} id {key}"));
    if is_shared {
        // A client of several relays takes nodes of one id for one node with several addresses.
        let text = format!(
            "another {program} of this user has the same key and id; to give one of them its \
             own, start it with XDG_STATE_HOME=DIR, or with --key and --certificate"
        );
        match has_console {
            // A terminal that is stopped (ctrl-S) must not hold up the start.
            true => {
                let output = output.clone();
                thread::spawn(move || output.eprintln(text));
            }
            false => info!(target: OPERATOR, "{text}"),
        }
    }
}

fn startup_error(error: StateFileError) -> StartupError {
    StartupError::new(Exit::System, error)
}
