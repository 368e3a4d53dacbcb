//! The flags that say who may use a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::{error, info};

use crate::cli::secret::SecretArgs;
use crate::cli::tls::{ServerTls, required};
use crate::cli::{Exit, StartupError, signals};
use crate::counted::Counted;
use crate::logging::OPERATOR;
use crate::quantity::integer;
use crate::session::{AccessSettings, IdRules};
use crate::system_error::Reason;
use crate::tls::{Certificates, IdList, IdentityFile, TlsMode, read_option_file};

/// What a client shows to servers.
#[derive(clap::Args)]
#[command(next_help_heading = "Access")]
pub(super) struct ClientAccessArgs {
    #[command(flatten)]
    pub(super) secret: SecretArgs,
    /// Authenticate to servers with a key of your own, so that they recognise you; some serve
    /// only listed ids. The first use makes the key, in the user's state folder. All connections
    /// are encrypted
    #[arg(long, global = true)]
    show_id: bool,
    /// File with the ids of the only nodes to use, one per line; a # starts a comment. All
    /// connections are encrypted
    #[arg(long, value_name = "FILE", global = true)]
    allow_ids: Option<PathBuf>,
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
    /// File with the only ids that are let in, one per line; a # starts a comment. The server
    /// reads the file again on SIGHUP
    #[arg(long, value_name = "FILE")]
    allow_ids: Option<PathBuf>,
    /// File with the ids that are refused, in the same form. With either file, clients must show
    /// an id
    #[arg(long, value_name = "FILE")]
    deny_ids: Option<PathBuf>,
}

impl ClientAccessArgs {
    /// The flags of a command that shows the same to servers. Each is one word.
    pub(super) fn flags(&self) -> impl Iterator<Item = String> {
        let path = |flag: &str, path: &PathBuf| format!("{flag}={}", path.display());
        let secret = self.secret.file().map(|file| path("--secret-file", file));
        let show_id = self.show_id.then(|| "--show-id".to_owned());
        let ids = self.allow_ids.as_ref();
        let ids = ids.map(|ids| path("--allow-ids", ids));
        [secret, show_id, ids].into_iter().flatten()
    }

    /// See [`SecretArgs::tls_mode`].
    pub(super) fn tls_mode(&self, mode: TlsMode, is_udp: bool) -> Result<TlsMode, StartupError> {
        match (self.show_id, &self.allow_ids) {
            (true, _) => required("--show-id", mode, is_udp),
            (false, Some(_)) => required("--allow-ids", mode, is_udp),
            (false, None) => self.secret.tls_mode(mode, is_udp),
        }
    }

    /// The only ids that nodes may have, if there is a list.
    pub(super) fn node_ids(&self) -> Result<Option<Arc<IdList>>, StartupError> {
        let ids = self.allow_ids.as_deref().map(read_ids).transpose();
        let ids = ids.map_err(|error| StartupError::new(Exit::System, error))?;
        Ok(ids.map(Arc::new))
    }

    /// The key that servers are shown, if any.
    pub(super) fn certificates(&self) -> Result<Option<Arc<Certificates>>, StartupError> {
        if !self.show_id {
            return Ok(None);
        }
        let file = IdentityFile::of("client").ok_or_else(|| {
            let text = "no place for a key: neither HOME nor XDG_STATE_HOME is set";
            StartupError::new(Exit::System, text)
        })?;
        let identity = file.open();
        let identity = identity.map_err(|error| StartupError::new(Exit::System, error))?;
        Ok(Some(Certificates::new(identity)))
    }
}

impl AccessArgs {
    /// Whether SIGHUP reads files again.
    pub(super) fn has_files(&self) -> bool {
        self.has_lists() || self.secret.file().is_some()
    }

    fn has_lists(&self) -> bool {
        self.allow_ids.is_some() || self.deny_ids.is_some()
    }

    /// Reads the files, and does so again after each SIGHUP. To be called before the program
    /// gives up its rights.
    pub(super) fn settings(&self, tls: &ServerTls) -> Result<AccessSettings, StartupError> {
        let secret = self.secret.watch()?;
        for (is_set, what) in [
            (secret.is_some(), "a secret"),
            (self.has_lists(), "a list of ids"),
        ] {
            if is_set && tls.acceptor.is_none() {
                let text = format_args!("{what} needs TLS; leave --tls off out");
                return Err(StartupError::usage(text));
            }
        }
        if secret.is_some() {
            info!(target: OPERATOR, "only clients that know the secret are served");
        }
        Ok(AccessSettings {
            secret,
            guess_rate: self.guess_rate,
            ids: self.id_rules()?,
            is_read_only: false,
        })
    }

    fn id_rules(&self) -> Result<Option<Arc<IdRules>>, StartupError> {
        if !self.has_lists() {
            return Ok(None);
        }
        let read = |path: &Option<PathBuf>| path.as_deref().map(read_ids).transpose();
        let lists = (read(&self.allow_ids), read(&self.deny_ids));
        let error = |error| StartupError::new(Exit::System, error);
        let rules = IdRules::new(lists.0.map_err(error)?, lists.1.map_err(error)?);
        let rules = Arc::new(rules);
        for (path, replace) in [
            (
                &self.allow_ids,
                IdRules::set_allowed as fn(&IdRules, IdList),
            ),
            (&self.deny_ids, IdRules::set_denied),
        ] {
            let Some(path) = path.clone() else { continue };
            let rules = Arc::clone(&rules);
            signals::handle_hangups(move || match read_ids(&path) {
                Ok(list) => {
                    let ids = Counted(list.len() as u64, "id");
                    replace(&rules, list);
                    info!(target: OPERATOR, "{} read again: {ids}", path.display());
                }
                Err(error) => error!(target: OPERATOR, "keeping the previous list of ids: {error}"),
            })?;
        }
        Ok(Some(rules))
    }
}

/// Reads a list of ids.
fn read_ids(path: &Path) -> Result<IdList, String> {
    let name = path.display();
    let content = read_option_file(path);
    let content = content.map_err(|error| format!("{name}: {}", Reason(&error)))?;
    let text = String::from_utf8(content).map_err(|_| format!("{name}: not UTF-8"))?;
    IdList::parse(&text).map_err(|error| format!("{name}: {error}"))
}
