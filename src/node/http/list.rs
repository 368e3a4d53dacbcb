//! Pages of lists: the entries of a folder, and the files that a search has found.

use crate::counted::Counted;
use crate::node::Node;
use crate::node::http::folder_listing::{FolderEntry, FolderListing, SortKey, SortOrder};
use crate::node::http::no_such_file;
use crate::node::requests::NodeRequest;
use crate::node::share::Share;
use crate::role::ReadNext;
use crate::session::http::{Document, HttpRequest, Status};
use crate::tls::KeyId;
use crate::web::{ColumnHead, FileCells, FolderPage, FolderRow, has_qr_code, text};

/// One page of a list.
pub(super) struct FileList<'l> {
    pub(super) subject: ListSubject<'l>,
    pub(super) entries: Vec<FolderEntry>,
    /// None if the entries cannot be sorted.
    pub(super) order: Option<SortOrder>,
    /// The id of the node, if the page shows it.
    pub(super) id: Option<KeyId>,
    /// The number of entries, for people.
    pub(super) count: String,
    /// The queries of the pages before and behind this one.
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
}

/// What a list is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum ListSubject<'l> {
    /// A folder: empty for all of the share, else a name and a slash.
    Folder(&'l str),
    /// The text of a search. The entries have whole names.
    Search(&'l str),
}

impl<S: Share> Node<S> {
    /// Lists a folder: empty for all of the share, else a name and a slash.
    pub(super) fn http_folder(
        &mut self,
        request: &mut NodeRequest<'_, S>,
        http: &HttpRequest<'_>,
        folder: &str,
    ) -> ReadNext {
        let order = SortOrder::of(http);
        let page = http.parameter("page").and_then(|page| page.parse().ok());
        let after = http.parameter("after").unwrap_or_default();
        let (listing, work) =
            FolderListing::of(&mut self.share, folder, order, page.unwrap_or(1), &after);
        request.reply.add_work(work);
        let subject = ListSubject::Folder(folder);
        let list = match listing {
            FolderListing::Missing => return no_such_file(request, folder),
            FolderListing::Sorted {
                entries,
                page,
                last_page,
                totals,
            } => FileList {
                subject,
                entries,
                id: self.id(),
                order: Some(order),
                count: count_text(totals),
                previous: (page > 1).then(|| order.query(Some(page - 1))),
                next: (page < last_page).then(|| order.query(Some(page + 1))),
            },
            FolderListing::Unsorted { entries, next } => FileList {
                subject,
                entries,
                id: self.id(),
                order: None,
                count: "too many entries to sort".to_owned(),
                previous: None,
                next: next.map(|after| format!("after={}", text::query(&after))),
            },
        };
        request.reply.document(&list.page(http.host()))
    }
}

/// The number of folders and files, for people.
fn count_text((folders, files): (usize, usize)) -> String {
    let folders = Counted(folders as u64, "folder");
    let files = Counted(files as u64, "file");
    match (folders.0, files.0) {
        (0, _) => files.to_string(),
        (_, 0) => folders.to_string(),
        (_, _) => format!("{folders}, {files}"),
    }
}

/// Where a browser that has reached the node as `host` finds a folder.
pub(super) fn folder_address(host: &str, folder: &str) -> String {
    format!("http://{host}/{}", text::path(folder))
}

impl FileList<'_> {
    /// The page for a client that has reached the node as `host`.
    pub(super) fn page(&self, host: &str) -> Document<'static> {
        let (folder, search) = match self.subject {
            ListSubject::Folder(folder) => (folder, None),
            ListSubject::Search(text) => ("", Some(text)),
        };
        let rows = self.entries.iter().map(|entry| FolderRow {
            name: &entry.name,
            link: match (search, entry.file) {
                (Some(_), _) => format!("/{}", text::path(&entry.name)),
                (None, Some(_)) => text::path(&entry.name).to_string(),
                (None, None) => format!("{}/", text::path(&entry.name)),
            },
            file: entry.file.map(|file| FileCells {
                size: file.size,
                mtime: file.mtime,
                hash: file.hash.0.map_or_else(String::new, |hash| hash.short()),
            }),
        });
        let query = search.map(|search| format!("?search={}", text::query(search)));
        let link = |query: &String| format!("?{query}");
        let page = FolderPage {
            host,
            folders: folder.split_terminator('/').collect(),
            search,
            address: format!("/{}{}", text::path(folder), query.unwrap_or_default()),
            has_qr: has_qr_code(&folder_address(host, folder)),
            count: &self.count,
            id: self.id,
            columns: [SortKey::Name, SortKey::Size, SortKey::Date].map(|key| self.head(key)),
            rows: rows.collect(),
            previous: self.previous.as_ref().map(link),
            next: self.next.as_ref().map(link),
        };
        Document::page(Status::OK, &page)
    }

    /// The head of a column: a click sorts by it, another one the other way round.
    fn head(&self, key: SortKey) -> ColumnHead {
        let Some(order) = self.order else {
            return ColumnHead::default();
        };
        let is_current = order.key == key;
        let is_descending = match is_current {
            true => !order.is_descending,
            // First the largest, and the newest.
            false => key != SortKey::Name,
        };
        let new_order = SortOrder { key, is_descending };
        ColumnHead {
            link: Some(format!("?{}", new_order.query(None))),
            arrow: match (is_current, order.is_descending) {
                (true, true) => " ↓",
                (true, false) => " ↑",
                (false, _) => "",
            },
        }
    }
}

impl SortOrder {
    /// The order that a request wants: `sort=size&order=desc`.
    fn of(http: &HttpRequest<'_>) -> Self {
        Self {
            key: match http.parameter("sort").as_deref() {
                Some("size") => SortKey::Size,
                Some("date") => SortKey::Date,
                _ => SortKey::Name,
            },
            is_descending: http.parameter("order").as_deref() == Some("desc"),
        }
    }

    /// The query for a page in this order.
    fn query(self, page: Option<usize>) -> String {
        let key = match self.key {
            SortKey::Name => "name",
            SortKey::Size => "size",
            SortKey::Date => "date",
        };
        let order = if self.is_descending { "desc" } else { "asc" };
        let page = page.map_or_else(String::new, |page| format!("&page={page}"));
        format!("sort={key}&order={order}{page}")
    }
}
