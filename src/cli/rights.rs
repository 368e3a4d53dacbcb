//! The rights that a server keeps after its start.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::logging::OPERATOR;
use crate::registry::{RegistryAddress, RegistryHost};
use crate::sandbox::Sandbox;

/// What a relay needs: it opens no file, connects to nothing and signals nobody.
pub(super) fn of_relay() -> Sandbox {
    Sandbox {
        readable: Some(Vec::new()),
        ..Sandbox::default()
    }
}

/// What the thread of a registry needs: it connects to the engine, and may have to look up
/// its name.
pub(super) fn of_registry(address: &RegistryAddress) -> Sandbox {
    let resolver = ["/etc", "/run", "/lib", "/lib64", "/usr/lib"];
    let (readable, connect_ports) = match &address.host {
        RegistryHost::Tcp(host, port, _) if host.parse::<IpAddr>().is_err() => {
            (resolver.map(PathBuf::from).into(), vec![*port])
        }
        RegistryHost::Tcp(_, port, _) => (Vec::new(), vec![*port]),
        RegistryHost::Unix(_) => (Vec::new(), Vec::new()),
    };
    Sandbox {
        readable: Some(readable),
        connect_ports,
        ..Sandbox::default()
    }
}

/// What a node needs. `files` are those that it writes. They must be there: the folder of a file
/// may be a home folder. With a command for messages, it kills this command.
pub(super) fn of_node(
    share: &Path,
    files: impl IntoIterator<Item = PathBuf>,
    has_command: bool,
) -> Sandbox {
    let mut readable = vec![share.to_owned()];
    readable.extend(folders_around(share));
    Sandbox {
        readable: Some(readable),
        writable: files.into_iter().filter(|file| file.is_file()).collect(),
        has_network: true,
        may_signal: has_command,
        ..Sandbox::default()
    }
}

/// What a node with a console needs: `share PATH` takes any file, and what is fetched goes
/// into the share or another of `save_folders`. Ctrl-Z stops the other programs of its job, too.
pub(super) fn of_console(
    share: &Path,
    files: impl IntoIterator<Item = PathBuf>,
    save_folders: Vec<PathBuf>,
) -> Sandbox {
    let mut sandbox = of_node(share, files, true);
    sandbox.readable = None;
    sandbox.writable.extend(save_folders);
    sandbox
}

/// What a thread needs that looks up names of hosts: the files and libraries of the system's
/// name service.
pub(super) fn of_look_ups() -> Sandbox {
    let readable = ["/etc", "/lib", "/lib64", "/run", "/usr/lib", "/usr/lib64"];
    Sandbox {
        readable: Some(readable.map(PathBuf::from).into()),
        has_network: true,
        ..Sandbox::default()
    }
}

/// What a thread needs that waits for relays to be announced: their keys may be known.
pub(super) fn of_discovery() -> Sandbox {
    Sandbox {
        has_network: true,
        ..Sandbox::default()
    }
}

/// Gives up all other rights. Threads that run already keep theirs: that of the log opens
/// its file anew, and that of the resolver reads the system's settings.
pub(super) fn keep_only(sandbox: &Sandbox) {
    match sandbox.enter() {
        Ok(enforcement) => log::info!(target: OPERATOR, "sandbox: {enforcement}"),
        Err(error) => log::warn!(target: OPERATOR, "sandbox: {error}"),
    }
}

/// The folders in which another share may appear under the same path: a folder that is made
/// again, or the next target of a link. Not a home folder, nor one that contains it.
fn folders_around(share: &Path) -> Vec<PathBuf> {
    let named = std::path::absolute(share).ok();
    let paths = [named, share.canonicalize().ok()].into_iter().flatten();
    let folders = paths.filter_map(|path| path.parent()?.canonicalize().ok());
    folders.filter(|folder| !has_home_folders(folder)).collect()
}

/// Whether a folder is a home folder or contains some: `/`, `/home`, `/home/NAME`.
pub(super) fn has_home_folders(folder: &Path) -> bool {
    let is_above = |home: PathBuf| {
        // A home folder may be behind a link.
        let real = home.canonicalize();
        home.starts_with(folder) || real.is_ok_and(|real| real.starts_with(folder))
    };
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let is_home = folder
        .parent()
        .is_none_or(|parent| parent == Path::new("/home"));
    is_home
        || folder == Path::new("/home")
        || folder == Path::new("/root")
        || home.is_some_and(is_above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Enforcement;
    use std::fs;
    use std::thread;

    #[test]
    fn a_file_that_a_node_writes_gives_no_right_to_its_folder() {
        let home = tempfile::tempdir().expect("a folder");
        let path = |name: &str| home.path().join(name);
        fs::create_dir(path("share")).expect("a new folder");
        for name in ["hashes", ".profile"] {
            fs::write(path(name), "old\n").expect("a new file");
        }
        let sandbox = of_node(&path("share"), [path("hashes")], false);
        let tries = || {
            if sandbox.enter().expect("the rules are valid") != Enforcement::Full {
                return;
            }
            fs::write(path("hashes"), "new\n").expect("writable");
            assert_eq!(fs::read(path("hashes")).expect("readable"), b"new\n");
            fs::write(path(".profile"), "new\n").expect_err("another file");
            fs::write(path("new"), "").expect_err("a new file");
            fs::remove_file(path("hashes")).expect_err("its folder is not writable");
        };
        thread::scope(|scope| scope.spawn(tries).join()).expect("nothing has failed");
        assert_eq!(fs::read(path(".profile")).expect("readable"), b"old\n");
    }
}
