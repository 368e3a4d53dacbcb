//! Commands that a person copies from a page into a shell. Names are foreign: whatever they
//! contain, the shell must take them for words.

use std::fmt::{self, Display, Formatter};

use crate::name_glob;

/// A text as one word of a command of a POSIX shell.
pub(crate) struct ShellWord<'w>(pub(crate) &'w str);

impl Display for ShellWord<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._/:".contains(c);
        if !self.0.is_empty() && self.0.chars().all(is_plain) {
            return f.write_str(self.0);
        }
        // Within single quotes, only the quote itself is special.
        f.write_str("'")?;
        for (index, part) in self.0.split('\'').enumerate() {
            f.write_str(if index == 0 { "" } else { r"'\''" })?;
            f.write_str(part)?;
        }
        f.write_str("'")
    }
}

/// The host that a browser asked, as other programs want it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct HostWords<'h> {
    host: &'h str,
    port: &'h str,
}

impl<'h> HostWords<'h> {
    /// Parses the value of a header `Host`.
    pub(crate) fn parse(host: &'h str) -> Self {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, port),
            _ => (host, "80"),
        };
        let bare = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        Self {
            host: bare.unwrap_or(name),
            port,
        }
    }

    /// The command of the client that saves a file.
    pub(crate) fn get(self, name: &str, hash: Option<&str>) -> impl Display {
        fmt::from_fn(move |f| {
            let (host, port) = (ShellWord(self.host), ShellWord(self.port));
            write!(f, "peer-client {host} {port} get -d . ")?;
            if let Some(hash) = hash {
                write!(f, "--hash {hash} ")?;
            }
            // A name that begins with a dash is no flag.
            let end = if name.starts_with('-') { "-- " } else { "" };
            // The client takes some names for globs, which stand for other files, too.
            write!(f, "{end}{}", ShellWord(&name_glob::escape(name)))
        })
    }

    /// The command that sends a request of the line protocol about a file.
    pub(crate) fn request(self, verb: &str, name: &str) -> impl Display {
        fmt::from_fn(move |f| {
            // A percent sign is special in the format of printf; a name has no backslash.
            let format = format!("{verb} {}\\n", name.replace('%', "%%"));
            let (host, port) = (ShellWord(self.host), ShellWord(self.port));
            write!(f, "printf {} | nc -N {host} {port}", ShellWord(&format))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_word_is_quoted_if_it_must_be() {
        let word = |text| ShellWord(text).to_string();
        assert_eq!(word("dir/a-b.txt"), "dir/a-b.txt");
        assert_eq!(word(""), "''");
        assert_eq!(word("a b"), "'a b'");
        assert_eq!(word("it's $(x) `y`"), r"'it'\''s $(x) `y`'");
    }

    #[test]
    fn hosts_are_split() {
        let words = |host| {
            let HostWords { host, port } = HostWords::parse(host);
            (host, port)
        };
        assert_eq!(words("localhost:8888"), ("localhost", "8888"));
        assert_eq!(words("192.0.2.1"), ("192.0.2.1", "80"));
        assert_eq!(words("[::1]:8888"), ("::1", "8888"));
        assert_eq!(words("[::1]"), ("::1", "80"));
    }

    /// What a shell makes of a command whose program is replaced by `printf`.
    fn words(command: &str) -> Vec<String> {
        let script = format!("printf '<%s>\\n' {command}");
        let output = Command::new("sh").arg("-c").arg(script).output();
        let text = String::from_utf8(output.expect("a shell").stdout).expect("text");
        let words = text.split_terminator(">\n");
        words
            .map(|word| word.trim_start_matches('<').to_owned())
            .collect()
    }

    #[test]
    fn a_shell_reads_the_name_that_is_meant() {
        for name in [
            "a b.txt",
            "it's",
            "$(exit 1)",
            "`x`;&|<b>\"#",
            "100%.txt",
            "größe",
            "*",
        ] {
            let get = HostWords::parse("h:1").get(name, None).to_string();
            let word = name_glob::escape(name);
            assert_eq!(words(&get).last().expect("a word"), &word, "{get}");
            let request = HostWords::parse("h:1").request("FIND", name).to_string();
            let (printf, _) = request.rsplit_once(" | ").expect("a pipe");
            let output = Command::new("sh").arg("-c").arg(printf).output();
            let sent = String::from_utf8(output.expect("a shell").stdout).expect("text");
            assert_eq!(sent, format!("FIND {name}\n"), "{request}");
        }
        let dash = HostWords::parse("h:1")
            .get("-f", Some("01234567"))
            .to_string();
        assert_eq!(dash, "peer-client h 1 get -d . --hash 01234567 -- -f");
        let star = HostWords::parse("h:1").get("*", None).to_string();
        assert_eq!(star, r"peer-client h 1 get -d . '\*'");
    }
}
