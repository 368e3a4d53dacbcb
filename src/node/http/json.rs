//! Lists of files for programs, in JSON. protocol.md specifies them; their members are never
//! removed or changed.

use serde_json::{Value, json};

use crate::node::Node;
use crate::node::http::folder_listing::{FolderEntry, entries_after, entries_work};
use crate::node::http::list::ListSubject;
use crate::node::http::no_such_file;
use crate::node::requests::NodeRequest;
use crate::node::share::Share;
use crate::role::ReadNext;
use crate::session::http::{Document, HttpRequest, Status};

impl<S: Share> Node<S> {
    /// One batch of a folder: empty for all of the share, else a name and a slash.
    pub(super) fn json_folder(
        &mut self,
        request: &mut NodeRequest<'_, S>,
        http: &HttpRequest<'_>,
        folder: &str,
    ) -> ReadNext {
        let after = http.parameter("after").unwrap_or_default();
        let (entries, next) = entries_after(&mut self.share, folder, &after);
        request.reply.add_work(entries_work(&entries));
        if entries.is_empty() && after.is_empty() && !folder.is_empty() {
            return no_such_file(request, folder);
        }
        let list = json_list(ListSubject::Folder(folder), &entries, next.as_deref());
        request.reply.document(&list)
    }
}

/// A batch of a list; the next one is `after` the entry `next`.
pub(super) fn json_list(
    subject: ListSubject<'_>,
    entries: &[FolderEntry],
    next: Option<&str>,
) -> Document<'static> {
    let entries: Vec<Value> = entries.iter().map(entry_object).collect();
    let object = match subject {
        ListSubject::Folder(folder) => {
            json!({ "folder": folder, "entries": entries, "next": next })
        }
        ListSubject::Search(text) => json!({ "search": text, "entries": entries, "next": next }),
    };
    Document::json(Status::OK, &object)
}

fn entry_object(entry: &FolderEntry) -> Value {
    match entry.file {
        None => json!({ "type": "folder", "name": entry.name }),
        Some(file) => json!({
            "type": "file",
            "name": entry.name,
            "size": file.size,
            "mtime": file.mtime,
            "hash": file.hash.0.map(|hash| hash.to_string()),
        }),
    }
}
