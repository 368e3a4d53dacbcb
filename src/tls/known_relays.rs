//! The file with the keys of the relays that programs of the user have connected to, like
//! `known_hosts` of ssh.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::thread;

use crate::system_error::Reason;
use crate::tls::key_id::KeyId;
use crate::tls::state_file::{self, StateFileError};

/// The file. A line is `HOST:PORT ID`; a relay may have several. Empty lines and those that
/// begin with `#` mean nothing.
#[derive(Clone, Debug)]
pub struct KnownRelays(PathBuf);

/// What the file says about one relay, under all of its names.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct KnownKeys {
    /// The keys that the relay may have, and the numbers of their lines, from 1 on.
    pub keys: Vec<(KeyId, usize)>,
    /// The numbers of damaged lines, which say nothing about this relay.
    pub damaged: Vec<usize>,
}

impl KnownRelays {
    /// The file in the user's state folder, or in that of another user with this `home` folder.
    /// None without such a folder.
    #[must_use]
    pub fn of_user(home: Option<&Path>) -> Option<Self> {
        let folder = crate::xdg::user_folder("XDG_STATE_HOME", ".local/state", home)?;
        Some(Self(folder.join("known_relays")))
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Which lines of the file have these keys, for people.
    pub(super) fn lines(&self, known: &KnownKeys) -> String {
        let lines = known.keys.iter().map(|(_, line)| line.to_string());
        let lines = lines.collect::<Vec<_>>().join(", ");
        format!("line {lines} of {}", self.0.display())
    }

    /// What removes these keys from the file, for people: all lines that have one.
    #[must_use]
    pub fn removal(&self, known: &KnownKeys) -> String {
        let lines = known.keys.iter().map(|(_, line)| format!("{line}d"));
        let lines = lines.collect::<Vec<_>>().join(";");
        format!("type sed -i '{lines}' '{}'", self.0.display())
    }

    /// Looks a relay up, of which each name is `HOST:PORT`. No relay is known without the file.
    ///
    /// # Errors
    /// The file must not be used.
    pub fn find(&self, names: &[String]) -> Result<KnownKeys, StateFileError> {
        let content = self.read()?;
        self.find_in(&content, names)
    }

    /// Adds the first key of a relay, under the first of its names. Does nothing if another
    /// program was faster. Returns what the file says then.
    ///
    /// # Errors
    /// The file cannot be changed, or must not be used.
    pub fn add_first(&self, names: &[String], id: KeyId) -> Result<KnownKeys, StateFileError> {
        let path = self.path();
        // A fault of the disk must not look like a file that cannot be made.
        let known = self.find(names)?;
        if !known.keys.is_empty() {
            return Ok(known);
        }
        let unavailable = |error| StateFileError::Unavailable(path.to_owned(), error);
        state_file::create_folder(path).map_err(unavailable)?;
        // One program at a time. The file itself is replaced, so its folder is locked.
        let folder = File::open(state_file::folder_of(path)).map_err(unavailable)?;
        folder.lock().map_err(unavailable)?;
        let mut content = self.read()?;
        let known = self.find_in(&content, names)?;
        if !known.keys.is_empty() {
            return Ok(known);
        }
        if content.last().is_some_and(|byte| *byte != b'\n') {
            content.push(b'\n');
        }
        let name = names.first().map_or("", String::as_str);
        content.extend(format!("{name} {id}\n").into_bytes());
        state_file::write_part(path, &content)
            .and_then(|part| fs::rename(part, path))
            .map_err(unavailable)?;
        self.find_in(&content, names)
    }

    fn find_in(&self, content: &[u8], names: &[String]) -> Result<KnownKeys, StateFileError> {
        let mut known = KnownKeys::default();
        let names: Vec<String> = names.iter().map(|name| canonical(name)).collect();
        for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let line = String::from_utf8_lossy(line);
            let mut words = line.split_whitespace();
            let Some(name) = words.next().filter(|name| !name.starts_with('#')) else {
                continue;
            };
            let is_wanted = names.contains(&canonical(name));
            let id = words.next().map(str::parse::<KeyId>);
            match (id, words.next()) {
                (Some(Ok(id)), None) if is_wanted => known.keys.push((id, index + 1)),
                (Some(Ok(_)), None) => {}
                _ if is_wanted => {
                    let reason = format!(
                        "line {} is damaged, and says which key {name} has; repair or remove it",
                        index + 1
                    );
                    return Err(StateFileError::Refused(self.0.clone(), reason));
                }
                _ => known.damaged.push(index + 1),
            }
        }
        Ok(known)
    }

    fn read(&self) -> Result<Vec<u8>, StateFileError> {
        let Self(path) = self;
        let refused = |reason| StateFileError::Refused(path.clone(), reason);
        let from_system = |error: io::Error| refused(Reason(&error).to_string());
        match fs::metadata(path) {
            Ok(_) => {}
            Err(error) => match error.kind() {
                ErrorKind::NotFound => return Ok(Vec::new()),
                // Where the program can reach no file, it has made none.
                ErrorKind::PermissionDenied | ErrorKind::NotADirectory => {
                    return Err(StateFileError::Unavailable(path.clone(), error));
                }
                // The file may be there, with keys in it.
                _ => return Err(from_system(error)),
            },
        }
        let file = state_file::open(path).map_err(from_system)?;
        let mode = file.metadata().map_err(from_system)?.mode() & 0o777;
        if mode & 0o022 != 0 {
            let path = path.display();
            return Err(refused(format!(
                "others can change it (mode {mode:03o}); write chmod 600 {path}"
            )));
        }
        state_file::read(file).map_err(from_system)
    }
}

/// The same for each way to write `HOST:PORT`.
fn canonical(name: &str) -> String {
    match name.parse::<SocketAddr>() {
        Ok(mut address) => {
            // It keeps the zone of a link-local address.
            address.set_ip(address.ip().to_canonical());
            address.to_string()
        }
        Err(_) => name.to_ascii_lowercase(),
    }
}

/// Uses the file in a thread of its own, which keeps the rights that the program has at its
/// start.
#[derive(Debug)]
pub struct KnownRelaysWorker(Sender<KeyQuery>);

/// A query for the keys of a relay.
struct KeyQuery {
    names: Vec<String>,
    /// The key to add if there is none.
    first: Option<KeyId>,
    reply: Sender<Result<KnownKeys, StateFileError>>,
}

impl KnownRelaysWorker {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system starts no thread.
    pub fn start(file: KnownRelays) -> io::Result<Self> {
        let (sender, queries) = mpsc::channel::<KeyQuery>();
        let body = move || {
            for query in queries {
                let keys = match query.first {
                    Some(id) => file.add_first(&query.names, id),
                    None => file.find(&query.names),
                };
                // Without a receiver, the program ends.
                let _ = query.reply.send(keys);
            }
        };
        thread::Builder::new()
            .name("known-relays".into())
            .spawn(body)?;
        Ok(Self(sender))
    }

    /// The keys of a relay, after its first one is added if it is given and there is none. None
    /// if the thread has ended.
    pub(super) fn keys(
        &self,
        names: &[String],
        first: Option<KeyId>,
    ) -> Option<Result<KnownKeys, StateFileError>> {
        let (reply, answer) = mpsc::channel();
        let query = KeyQuery {
            names: names.to_vec(),
            first,
            reply,
        };
        self.0.send(query).ok()?;
        answer.recv().ok()
    }
}
