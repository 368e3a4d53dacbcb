//! Commands that a message advises, with names that can be pasted into a shell.

use std::path::Path;

use crate::escaped::Escaped;
use crate::jobs::quoted;
use crate::protocol::{FileName, HashPrefix};

/// How the commands of the user's program begin.
#[derive(Clone, Default, Debug)]
pub struct AdvisedCommands {
    /// The program and the servers that the user has named, such as `peer-client 127.0.0.1:8888 `,
    /// with a blank at the end. Empty at the prompt.
    pub start: String,
    /// The content that the user wants.
    pub hash: Option<HashPrefix>,
}

impl AdvisedCommands {
    /// A command with this verb. `rest` are its further words, quoted.
    #[must_use]
    pub fn command(&self, verb: &str, rest: &str) -> String {
        let start = &self.start;
        match self.hash {
            Some(hash) => format!("{start}{verb} --hash {hash} {rest}"),
            None => format!("{start}{verb} {rest}"),
        }
    }

    /// Fetches `name` into the file at `path`, which does not exist.
    pub(super) fn fetch(&self, name: &FileName<'_>, path: &Path) -> String {
        self.get(name, path, "")
    }

    /// Fetches `name` in place of the file at `path`.
    pub(super) fn replace(&self, name: &FileName<'_>, path: &Path) -> String {
        self.get(name, path, " --force")
    }

    fn get(&self, name: &FileName<'_>, path: &Path, flag: &str) -> String {
        let (name, path) = (name.as_str(), path_word(path));
        let rest = match name.starts_with('-') {
            true => format!("-o {path}{flag} -- {}", word(name)),
            false => format!("{} -o {path}{flag}", word(name)),
        };
        self.command("get", &rest)
    }
}

/// Cuts the file at `path` to so many bytes.
pub(super) fn cut(path: &Path, size: u64) -> String {
    format!("truncate -s {size} {}", path_word(path))
}

/// A name, for the place where no option can be.
pub(super) fn word(text: &str) -> String {
    Escaped::text(&quoted(text)).to_string()
}

/// A path, for the place where no option can be.
pub(super) fn path_word(path: &Path) -> String {
    let text = path.to_string_lossy();
    match text.starts_with('-') {
        true => word(&format!("./{text}")),
        false => word(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_for_a_shell() {
        let command = |name, path| {
            let name = FileName::parse(name).expect("a name");
            let commands = AdvisedCommands {
                start: "peer-client h:1 ".into(),
                hash: "01234567".parse().ok(),
            };
            commands.replace(&name, Path::new(path))
        };
        assert_eq!(
            command("big.iso", "tr.iso"),
            "peer-client h:1 get --hash 01234567 big.iso -o tr.iso --force"
        );
        assert_eq!(
            command("it's", "my copy"),
            r"peer-client h:1 get --hash 01234567 'it'\''s' -o 'my copy' --force"
        );
        assert_eq!(
            command("-n", "-p"),
            "peer-client h:1 get --hash 01234567 -o ./-p --force -- -n"
        );
        assert_eq!(cut(Path::new("~a"), 5), "truncate -s 5 '~a'");
    }
}
