//! Commands that a message advises, with names that can be pasted into a shell.

use std::path::Path;

use crate::escaped::Escaped;
use crate::jobs::quoted;
use crate::protocol::FileName;

/// Fetches `name` in place of the file at `path`.
pub(super) fn replace(name: &FileName<'_>, path: &Path) -> String {
    let path = path_word(path);
    match name.as_str().starts_with('-') {
        true => format!("get -o {path} --force -- {}", word(name.as_str())),
        false => format!("get {} -o {path} --force", word(name.as_str())),
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

fn path_word(path: &Path) -> String {
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
            replace(&name, Path::new(path))
        };
        assert_eq!(
            command("big.iso", "tr.iso"),
            "get big.iso -o tr.iso --force"
        );
        assert_eq!(
            command("it's", "my copy"),
            r"get 'it'\''s' -o 'my copy' --force"
        );
        assert_eq!(command("-n", "-p"), "get -o ./-p --force -- -n");
        assert_eq!(cut(Path::new("~a"), 5), "truncate -s 5 '~a'");
    }
}
