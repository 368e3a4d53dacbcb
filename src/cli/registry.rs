//! The flags of a directory that several relays share, and its start.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::cli::{Exit, StartupError, rights};
use crate::logging::OPERATOR;
use crate::reactor::Handle;
use crate::registry::{
    RegistryAccess, RegistryAddress, RegistryClient, RegistryHost, trust_authorities,
};
use crate::relay::Relay;
use crate::relay::shared_directory::RegistryUpdate;
use crate::system_error::Reason;
use crate::tls::{read_option_file, read_private_file};

/// The longest password, in bytes.
const MAX_PASSWORD: usize = 4096;

/// How relays share a directory.
#[derive(clap::Args)]
#[command(next_help_heading = "Registry")]
pub(super) struct RegistryArgs {
    /// Share the directory with other relays through Redis or Valkey: redis://HOST:PORT/DB,
    /// rediss://… with TLS, or unix:///PATH
    #[arg(long, value_name = "URL")]
    registry: Option<RegistryAddress>,
    /// File with the password for --registry, which others cannot read;
    /// PEERLINE_REGISTRY_PASSWORD may hold the password instead
    #[arg(long, value_name = "FILE", requires = "registry")]
    registry_password_file: Option<PathBuf>,
    /// Authorities that vouch for the certificate of a rediss:// registry, as PEM
    #[arg(long, value_name = "FILE", requires = "registry")]
    registry_ca: Option<PathBuf>,
}

/// A registry that is connected, or will be.
pub(super) struct PreparedRegistry {
    client: RegistryClient,
    address: RegistryAddress,
}

impl RegistryArgs {
    /// Makes the relay share its directory, and loads what is there.
    pub(super) fn prepare(
        &self,
        relay: &mut Relay,
        now: Instant,
    ) -> Result<Option<PreparedRegistry>, StartupError> {
        let Some(address) = &self.registry else {
            return Ok(None);
        };
        check_socket(address)?;
        let (mut client, send) = RegistryClient::new(self.access(address)?);
        relay.share_directory(send, now);
        client
            .load(|updates| relay.load_from_registry(updates, Instant::now))
            .map_err(|error| StartupError::new(Exit::Relay, format_args!("{address}: {error}")))?;
        let address = address.clone();
        Ok(Some(PreparedRegistry { client, address }))
    }

    fn access(&self, address: &RegistryAddress) -> Result<RegistryAccess, StartupError> {
        let is_encrypted = matches!(address.host, RegistryHost::Tcp(_, _, true));
        let tls = match (&self.registry_ca, is_encrypted) {
            (Some(file), true) => {
                let pem = read_option_file(file).map_err(|error| refused(file, Reason(&error)))?;
                Some(trust_authorities(&pem).map_err(|reason| refused(file, reason))?)
            }
            (None, true) => {
                let text = "rediss:// needs --registry-ca FILE, the authorities to trust";
                return Err(StartupError::usage(text));
            }
            (Some(_), false) => {
                let text = "--registry-ca is for rediss:// only";
                return Err(StartupError::usage(text));
            }
            (None, false) => None,
        };
        Ok(RegistryAccess {
            address: address.clone(),
            password: self.password()?,
            tls,
        })
    }

    fn password(&self) -> Result<Option<String>, StartupError> {
        let Some(file) = &self.registry_password_file else {
            return Ok(std::env::var("PEERLINE_REGISTRY_PASSWORD").ok());
        };
        let content = read_private_file(file, 0o077).map_err(|reason| refused(file, reason))?;
        let text = String::from_utf8(content).map_err(|_| refused(file, "not UTF-8"))?;
        let password = text.lines().next().unwrap_or_default();
        if password.is_empty() || password.len() > MAX_PASSWORD {
            return Err(refused(file, "the first line must be the password"));
        }
        Ok(Some(password.to_owned()))
    }
}

impl PreparedRegistry {
    /// Starts the threads. With a sandbox, they can connect to the engine only.
    pub(super) fn start(
        self,
        has_sandbox: bool,
        handle: Handle<RegistryUpdate>,
    ) -> Result<(), StartupError> {
        let sandbox = has_sandbox.then(|| rights::of_registry(&self.address));
        let enter_sandbox = move || {
            if let Some(Err(error)) = sandbox.map(|sandbox| sandbox.enter()) {
                log::warn!(target: OPERATOR, "sandbox of the registry: {error}");
            }
        };
        self.client
            .start(enter_sandbox, move |update| handle.send(update))
            .map_err(StartupError::system("cannot start a thread"))
    }
}

/// An engine that starts later makes its socket, but in place of no other file.
fn check_socket(address: &RegistryAddress) -> Result<(), StartupError> {
    let RegistryHost::Unix(path) = &address.host else {
        return Ok(());
    };
    match path.metadata() {
        Ok(found) if !found.file_type().is_socket() => Err(refused(path, "not a socket")),
        _ => Ok(()),
    }
}

fn refused(file: &Path, reason: impl std::fmt::Display) -> StartupError {
    StartupError::usage(format_args!("{}: {reason}", file.display()))
}
