//! The page of a folder, or of the files that a search has found.

use askama::Template;

use crate::byte_size::ByteSize;
use crate::tls::KeyId;
use crate::web::text;

/// Files and folders, and what a person can do with them.
#[derive(Template)]
#[template(path = "folder.html", config = "src/web/askama.toml")]
pub(crate) struct FolderPage<'a> {
    /// The host that the browser has asked.
    pub(crate) host: &'a str,
    /// The parts of the folder's name; none for all of the share.
    pub(crate) folders: Vec<&'a str>,
    /// The text of the search, if the entries are its results.
    pub(crate) search: Option<&'a str>,
    /// The link to the page: its address without the order of the entries.
    pub(crate) address: String,
    /// Whether there is a QR code of it.
    pub(crate) has_qr: bool,
    /// How many entries there are.
    pub(crate) count: &'a str,
    /// The id of the node, if it speaks TLS and the page is that of a folder.
    pub(crate) id: Option<KeyId>,
    /// The heads of the columns name, size and date.
    pub(crate) columns: [ColumnHead; 3],
    pub(crate) rows: Vec<FolderRow<'a>>,
    /// The links to the pages before and behind this one.
    pub(crate) previous: Option<String>,
    pub(crate) next: Option<String>,
}

/// The head of a column.
#[derive(Default)]
pub(crate) struct ColumnHead {
    /// The link that sorts by this column, if the entries can be sorted.
    pub(crate) link: Option<String>,
    /// Whether the entries are sorted by it, and how.
    pub(crate) arrow: &'static str,
}

/// A line of the table.
pub(crate) struct FolderRow<'a> {
    pub(crate) name: &'a str,
    /// Where the name leads, encoded.
    pub(crate) link: String,
    pub(crate) file: Option<FileCells>,
}

/// The columns of a file.
pub(crate) struct FileCells {
    pub(crate) size: u64,
    /// In seconds since 1970.
    pub(crate) mtime: i64,
    /// The first digits, if the hash is known.
    pub(crate) hash: String,
}

impl FolderPage<'_> {
    fn title(&self) -> &str {
        let folder = self.folders.last().copied();
        self.search.or(folder).unwrap_or(self.host)
    }

    /// The names of the folder and of those around it, with their links.
    fn breadcrumb(&self) -> impl Iterator<Item = (&str, String)> {
        let mut link = String::from("/");
        self.folders.iter().map(move |name| {
            link.push_str(&text::path(name).to_string());
            link.push('/');
            (*name, link.clone())
        })
    }
}
