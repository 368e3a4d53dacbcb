//! The secret of a group, in a file or in the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::{error, info};

use crate::cli::tls::required;
use crate::cli::{Exit, StartupError, signals};
use crate::logging::OPERATOR;
use crate::protocol::SharedSecret;
use crate::session::GroupSecret;
use crate::tls::{TlsMode, read_private_file};

/// The environment variable that stands in for the file with the secret.
const SECRET_VARIABLE: &str = "PEERLINE_SECRET";

/// The secret of a group.
#[derive(clap::Args)]
#[command(next_help_heading = "Access")]
pub(super) struct SecretArgs {
    /// File with the secret of a group, at least 16 bytes. Programs with a secret use TLS, and
    /// communicate only with programs that have the same secret. To make one: openssl rand
    /// -base64 24. SIGHUP makes a server read it again [env: PEERLINE_SECRET is the secret
    /// itself]
    #[arg(long, value_name = "FILE", global = true)]
    secret_file: Option<PathBuf>,
    /// Only the file counts.
    #[arg(skip)]
    ignores_variable: bool,
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
        match self.is_set() {
            true => required("a secret", mode, is_udp),
            false => Ok(mode),
        }
    }

    /// The file with the secret, if there is one.
    pub(super) fn file(&self) -> Option<&PathBuf> {
        self.secret_file.as_ref()
    }

    /// Reads the secret, if there is one.
    pub(super) fn read(&self) -> Result<Option<Arc<GroupSecret>>, StartupError> {
        let secret = match (&self.secret_file, self.variable()) {
            (Some(path), _) => read_file(path),
            (None, Some(text)) => parse(SECRET_VARIABLE, text.into_encoded_bytes()),
            (None, None) => return Ok(None),
        };
        let secret = secret.map_err(|error| StartupError::new(Exit::System, error))?;
        Ok(Some(Arc::new(GroupSecret::new(secret))))
    }

    /// Does the same, and reads the file again after each SIGHUP. To be called before the
    /// program gives up its rights.
    pub(super) fn watch(&self) -> Result<Option<Arc<GroupSecret>>, StartupError> {
        let secret = self.read()?;
        if let (Some(secret), Some(path)) = (&secret, &self.secret_file) {
            let (secret, path) = (Arc::clone(secret), path.clone());
            signals::handle_hangups(move || match read_file(&path) {
                Ok(new) => {
                    let change = match secret.replace(new) {
                        true => "a new secret: clients have to show it",
                        false => "the same secret",
                    };
                    info!(target: OPERATOR, "{} read again: {change}", path.display());
                }
                Err(error) => error!(target: OPERATOR, "keeping the previous secret: {error}"),
            })?;
        }
        Ok(secret)
    }
}

/// Reads a secret that nobody else may read.
fn read_file(path: &Path) -> Result<SharedSecret, String> {
    let name = path.display().to_string();
    let content = read_private_file(path, 0o077);
    let content = content.map_err(|reason| format!("{name}: {reason}"))?;
    parse(&name, content)
}

/// Reads a secret, which may be followed by the end of its line.
fn parse(source: &str, text: Vec<u8>) -> Result<SharedSecret, String> {
    let text = String::from_utf8(text).map_err(|_| format!("{source}: the secret is not UTF-8"))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    SharedSecret::new(line).map_err(|reason| format!("{source}: {reason}"))
}
