//! `--user`: the user as whom a server goes on once its sockets are bound.

use std::env;
use std::ffi::CString;
use std::io;
use std::path::Path;
use std::process::Command;

use log::info;
use nix::unistd::{Uid, User, initgroups, setgid, setuid};

use crate::cli::{Exit, StartupError};
use crate::logging::OPERATOR;
use crate::system_error::Reason;

#[derive(Clone, clap::Args)]
pub(super) struct UserArgs {
    /// Go on as this user once the sockets are bound and the keys are read; only root can
    #[arg(long, value_name = "NAME", value_parser = system_user)]
    user: Option<User>,
}

impl UserArgs {
    /// The home folder of the user, if there is one.
    pub(super) fn home(&self) -> Option<&Path> {
        self.user.as_ref().map(|user| user.dir.as_path())
    }

    /// Gives a command the environment of the user, unless it has this already: root's home folder
    /// is not the user's.
    pub(super) fn set_environment(&self, command: &mut Command) {
        let home = env::var_os("HOME");
        let is_other = |user: &&User| home.as_deref() != Some(user.dir.as_os_str());
        let Some(user) = self.user.as_ref().filter(is_other) else {
            return;
        };
        for (variable, _) in env::vars_os() {
            if variable.as_encoded_bytes().starts_with(b"XDG_") {
                command.env_remove(variable);
            }
        }
        command.env("HOME", &user.dir);
        command.env("USER", &user.name).env("LOGNAME", &user.name);
    }

    /// Gives the process, with all its threads, the rights of the user and of this user's groups,
    /// for ever. Does nothing without a user, or if the process runs as this user already.
    pub(super) fn switch(&self) -> Result<(), StartupError> {
        let Some(user) = &self.user else {
            return Ok(());
        };
        // Only root can change groups: another user has been given them on purpose.
        let own = (Uid::current(), Uid::effective());
        if !user.uid.is_root() && own == (user.uid, user.uid) {
            return Ok(());
        }
        let name = CString::new(user.name.as_str()).map_err(io::Error::from);
        // The groups first: the user may not change them (setuid(2)).
        name.and_then(|name| {
            initgroups(&name, user.gid)?;
            setgid(user.gid)?;
            setuid(user.uid)?;
            Ok(())
        })
        .map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::PermissionDenied => "; start as root, or without --user",
                _ => "",
            };
            let operation = format!("cannot go on as user {}", user.name);
            StartupError::new(
                Exit::System,
                format_args!("{operation}: {}{advice}", Reason(&error)),
            )
        })?;
        info!(target: OPERATOR, "running as user {}", user.name);
        Ok(())
    }
}

/// Looks the user up in the system's database.
fn system_user(name: &str) -> Result<User, String> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err("there is no such user; getent passwd lists all".to_owned()),
        Err(error) => Err(format!("cannot look the user up: {}", error.desc())),
    }
}
