//! The pages of a relay: the files and the nodes of the network.

use std::net::SocketAddr;
use std::time::Duration;

use askama::Template;

use crate::byte_size::ByteSize;
use crate::protocol::{FileItem, FileName, HashPrefix, MaybeHash};
use crate::tls::KeyId;
use crate::web::shell::{HostWords, ShellWord};
use crate::web::text;

/// Digits of a hash in a link: enough that nobody finds another content with the same ones.
const LINK_DIGITS: usize = HashPrefix::PROOF_DIGITS;

/// Digits of a hash that people compare, as the programs print them.
const SHORT_DIGITS: usize = 8;

/// The files of the network, or those that a search has found.
#[derive(Template)]
#[template(path = "network.html", config = "src/web/askama.toml")]
pub(crate) struct NetworkPage<'a> {
    /// The host that the browser has asked.
    pub(crate) host: &'a str,
    /// The text or glob of the search; empty for all files.
    pub(crate) search: &'a str,
    /// How many files there are, as far as it is known.
    pub(crate) count: String,
    /// How many nodes there are.
    pub(crate) nodes: String,
    /// Whether the relay shares its directory with others at present, if it is meant to.
    pub(crate) registry: Option<String>,
    /// The id of the relay, if it speaks TLS.
    pub(crate) id: Option<KeyId>,
    /// Whether the client may see who is connected.
    pub(crate) is_trusted: bool,
    pub(crate) rows: Vec<FileRow<'a>>,
    /// Whether files are before these.
    pub(crate) is_later_page: bool,
    /// The name after which the next page begins, if there is one.
    pub(crate) next: Option<&'a str>,
}

/// A content of a file.
pub(crate) struct FileRow<'a> {
    pub(crate) file: FileItem<'a>,
    /// How long the relay has known it.
    age: Duration,
    /// What follows the name in a link, if other contents have the name, too.
    query: String,
    /// Which content of the name it is, and of how many, if there are several.
    choice: Option<(usize, usize)>,
}

/// The nodes of the network.
#[derive(Template)]
#[template(path = "nodes.html", config = "src/web/askama.toml")]
pub(crate) struct NodesPage<'a> {
    pub(crate) host: &'a str,
    pub(crate) count: String,
    /// See [`NetworkPage::registry`].
    pub(crate) registry: Option<String>,
    pub(crate) rows: Vec<NodeRow>,
    pub(crate) is_later_page: bool,
    /// The value of `after` for the next page, if there is one.
    pub(crate) next: Option<&'a str>,
}

/// A node.
pub(crate) struct NodeRow {
    pub(crate) address: SocketAddr,
    /// Its id, if it has shown its key.
    pub(crate) id: Option<KeyId>,
    pub(crate) files: u64,
    /// The time since its last registration.
    pub(crate) age: Duration,
    /// The time until its lease ends.
    pub(crate) expires_in: Duration,
}

/// A node that has a content.
pub(crate) struct HolderRow {
    pub(crate) address: SocketAddr,
    /// Its id, if it has shown its key.
    pub(crate) id: Option<KeyId>,
}

/// A content of a file, its holders, and the ways to fetch it.
#[derive(Template)]
#[template(path = "holders.html", config = "src/web/askama.toml")]
pub(crate) struct HoldersPage<'a> {
    pub(crate) host: &'a str,
    pub(crate) name: &'a str,
    pub(crate) size: u64,
    pub(crate) hash: Option<String>,
    /// As its holders have announced it, if they agree.
    pub(crate) sha256: Option<String>,
    /// What follows the name in a link to this content: with a question mark, or empty.
    pub(crate) query: String,
    pub(crate) holders: Vec<HolderRow>,
}

/// The contents of a file, to choose from.
#[derive(Template)]
#[template(path = "contents.html", config = "src/web/askama.toml")]
pub(crate) struct ContentsPage<'a> {
    pub(crate) host: &'a str,
    pub(crate) name: &'a str,
    /// How many there are. The page has the first ones.
    pub(crate) count: usize,
    pub(crate) rows: Vec<ContentRow>,
}

/// A content.
pub(crate) struct ContentRow {
    /// Leads to what the client has asked for.
    pub(crate) link: String,
    /// What follows the name in a link to this content.
    pub(crate) query: String,
    pub(crate) size: u64,
    pub(crate) hash: Option<String>,
    /// How long the relay has known it.
    pub(crate) age: Option<Duration>,
    pub(crate) holders: usize,
    /// A few of the holders.
    pub(crate) nodes: Vec<SocketAddr>,
}

impl NetworkPage<'_> {
    fn relay(&self) -> HostWords<'_> {
        HostWords::parse(self.host)
    }

    fn first_page_link(&self) -> String {
        match self.search {
            "" => "/".to_owned(),
            search => format!("/?q={}", text::query(search)),
        }
    }

    /// The link to the page after the file `after`.
    fn page_link(&self, after: &str) -> String {
        let after = text::query(after);
        match self.search {
            "" => format!("/?after={after}"),
            search => format!("/?q={}&after={after}", text::query(search)),
        }
    }
}

impl<'a> FileRow<'a> {
    /// The rows of files in name order, each with its age.
    pub(crate) fn list(files: impl Iterator<Item = (FileItem<'a>, Duration)>) -> Vec<Self> {
        let rows = files.map(|(file, age)| Self {
            file,
            age,
            query: String::new(),
            choice: None,
        });
        let mut rows: Vec<Self> = rows.collect();
        for same in rows.chunk_by_mut(|a, b| a.file.name == b.file.name) {
            let count = same.len();
            for (index, row) in same.iter_mut().enumerate().filter(|_| count > 1) {
                row.query = content_query(row.file.size, row.file.hash);
                row.choice = Some((index + 1, count));
            }
        }
        rows
    }

    fn name(&self) -> &str {
        self.file.name.as_str()
    }

    /// The first digits of the hash.
    fn hash(&self) -> String {
        self.file
            .hash
            .0
            .map_or_else(|| "–".to_owned(), |hash| hash.short())
    }

    /// The digits by which a command chooses this content, if there are others.
    fn hash_digits(&self) -> Option<String> {
        let hash = self.file.hash.0.filter(|_| self.choice.is_some())?;
        Some(digits(&hash.to_string(), LINK_DIGITS).to_owned())
    }

    /// Whether the row has the command that saves the file. Of several contents, one without a
    /// known hash cannot be chosen. A stranger has chosen a hidden name.
    fn has_command(&self) -> bool {
        let is_clear = self.choice.is_none() || self.file.hash.0.is_some();
        is_clear && !self.file.name.is_hidden()
    }
}

impl ContentsPage<'_> {
    fn relay(&self) -> HostWords<'_> {
        HostWords::parse(self.host)
    }

    /// Whether the page has commands that save the file: a stranger has chosen a hidden name.
    fn has_commands(&self) -> bool {
        FileName::parse(self.name).is_ok_and(|name| !name.is_hidden())
    }
}

impl ContentRow {
    /// The first digits of the hash, for people.
    fn short_hash(&self) -> Option<&str> {
        self.hash.as_deref().map(|hash| digits(hash, SHORT_DIGITS))
    }

    /// The first digits of the hash, for a command.
    fn hash_digits(&self) -> Option<&str> {
        self.hash.as_deref().map(|hash| digits(hash, LINK_DIGITS))
    }

    /// How many holders the row does not name.
    fn other_nodes(&self) -> usize {
        self.holders - self.nodes.len()
    }
}

/// What follows the name in a link to one content of a file.
pub(crate) fn content_query(size: u64, hash: MaybeHash) -> String {
    match hash.0 {
        Some(hash) => format!("?hash={}", digits(&hash.to_string(), LINK_DIGITS)),
        None => format!("?hash=-&size={size}"),
    }
}

fn digits(hash: &str, count: usize) -> &str {
    hash.get(..count).unwrap_or(hash)
}

impl HoldersPage<'_> {
    fn relay(&self) -> HostWords<'_> {
        HostWords::parse(self.host)
    }

    /// The first digits of the hash, for a command.
    fn hash_digits(&self) -> Option<&str> {
        self.hash.as_deref().map(|hash| digits(hash, LINK_DIGITS))
    }

    /// Where curl and aria2c save the file. None for a hidden file: a stranger has chosen the
    /// name, and programs read their settings from such files.
    fn local_file(&self) -> Option<String> {
        let name = FileName::parse(self.name).ok()?;
        let last = self.name.rsplit('/').next()?;
        (!name.is_hidden()).then(|| format!("./{last}"))
    }

    /// The address of one of the relay's paths for the file.
    fn url(&self, path: &str, extension: &str) -> String {
        let name = text::path(self.name);
        format!("http://{}{path}{name}{extension}{}", self.host, self.query)
    }
}
