//! The flags that say who may use a server.

use std::ffi::OsString;
use std::path::PathBuf;

use log::info;

use crate::cli::tls::{ServerTls, TlsMode};
use crate::cli::{Exit, StartupError};
use crate::logging::OPERATOR;
use crate::protocol::SharedSecret;
use crate::quantity::integer;
use crate::session::AccessSettings;
use crate::tls::read_private_file;

/// The environment variable that stands in for the file with the secret.
const SECRET_VARIABLE: &str = "PEERLINE_SECRET";

const NO_TLS: &str = "a secret needs TLS; leave --tls off out";

/// The secret of a group.
#[derive(clap::Args)]
#[command(next_help_heading = "Access")]
pub(super) struct SecretArgs {
    /// File with the secret of a group, at least 16 bytes: programs speak TLS only, and only to
    /// those that know it, too. Make one by: openssl rand -base64 24 [env: PEERLINE_SECRET is
    /// the secret itself]
    #[arg(long, value_name = "FILE", global = true)]
    secret_file: Option<PathBuf>,
    /// Only the file counts.
    #[arg(skip)]
    ignores_variable: bool,
}

/// Who may use a server.
#[derive(clap::Args)]
#[command(next_help_heading = "Access")]
pub(super) struct AccessArgs {
    #[command(flatten)]
    pub(super) secret: SecretArgs,
    /// Maximum number of wrong secrets per second from one address
    #[arg(long, value_name = "N", default_value = "5", value_parser = integer::<u32>(1..))]
    guess_rate: u32,
}

impl SecretArgs {
    /// Whether the program has a secret.
    pub(super) fn is_set(&self) -> bool {
        self.secret_file.is_some() || self.variable().is_some()
    }

    /// Uses no secret of the environment: for the demo, which encrypts nothing.
    pub(super) fn ignore_variable(&mut self) {
        self.ignores_variable = true;
    }

    fn variable(&self) -> Option<OsString> {
        std::env::var_os(SECRET_VARIABLE).filter(|_| !self.ignores_variable)
    }

    /// How the program connects to others, if the user has chosen this mode. `is_udp` says
    /// whether requests go over UDP.
    pub(super) fn tls_mode(&self, mode: TlsMode, is_udp: bool) -> Result<TlsMode, StartupError> {
        match (self.is_set(), mode) {
            (false, mode) => Ok(mode),
            (true, _) if is_udp => Err(StartupError::usage("a secret needs TLS; leave --udp out")),
            (true, TlsMode::Off) => Err(StartupError::usage(NO_TLS)),
            (true, _) => Ok(TlsMode::Required),
        }
    }

    /// Reads the secret, if there is one.
    pub(super) fn read(&self) -> Result<Option<SharedSecret>, StartupError> {
        let (source, text) = match (&self.secret_file, self.variable()) {
            (Some(path), _) => {
                let name = path.display().to_string();
                let content = read_private_file(path, 0o077);
                let content = content.map_err(|reason| refused(&name, reason))?;
                (name, String::from_utf8(content).map_err(|_| ()))
            }
            (None, Some(text)) => {
                let text = text.into_string().map_err(|_| ());
                (SECRET_VARIABLE.to_owned(), text)
            }
            (None, None) => return Ok(None),
        };
        let text = text.map_err(|()| refused(&source, "the secret is not UTF-8"))?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let secret = SharedSecret::new(line);
        secret.map(Some).map_err(|reason| refused(&source, reason))
    }
}

impl AccessArgs {
    /// Reads the files.
    pub(super) fn settings(&self, tls: &ServerTls) -> Result<AccessSettings, StartupError> {
        let secret = self.secret.read()?;
        if secret.is_some() && tls.acceptor.is_none() {
            return Err(StartupError::usage(NO_TLS));
        }
        if secret.is_some() {
            info!(target: OPERATOR, "only clients that know the secret are served");
        }
        let guess_rate = self.guess_rate;
        Ok(AccessSettings { secret, guess_rate })
    }
}

fn refused(source: &str, reason: impl std::fmt::Display) -> StartupError {
    StartupError::new(Exit::System, format_args!("{source}: {reason}"))
}
