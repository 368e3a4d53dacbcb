//! A search in the names of a share, which takes several turns.

use memchr::memmem::Finder;

use crate::counted::Counted;
use crate::node::http::folder_listing::{FolderEntry, PAGE_SIZE};
use crate::node::http::json::json_list;
use crate::node::http::list::{FileList, ListSubject};
use crate::node::share::Share;
use crate::protocol::{fold, fold_work};
use crate::session::http::{Document, HttpRequest};
use crate::web::text;

/// The names in ASCII that are compared in one turn: of others less, because to fold them is work.
const NAMES_PER_TURN: usize = 2000;
/// Names in ASCII whose comparison is as much work as a short line.
const NAMES_PER_WORK: usize = 16;

/// A search that has not looked at all names yet. Upper and lower case are the same to it, as
/// to a search at the relay.
pub(super) struct ShareSearch {
    text: String,
    folded: Finder<'static>,
    /// The place in the list of files from which the search goes on.
    start: String,
    found: Vec<FolderEntry>,
    host: String,
    as_json: bool,
}

impl ShareSearch {
    /// The search that a request wants, if it does: `search=text&after=name`.
    pub(super) fn of(http: &HttpRequest<'_>) -> Option<Self> {
        let text = http.parameter("search").filter(|text| !text.is_empty())?;
        let after = http.parameter("after");
        Some(Self {
            folded: Finder::new(fold(&text).as_bytes()).into_owned(),
            text: text.into_owned(),
            // No name has a NUL, so no name lies between.
            start: after.map_or_else(String::new, |after| format!("{after}\0")),
            found: Vec::new(),
            host: http.host().to_owned(),
            as_json: http.has_parameter("json"),
        })
    }

    /// The work of [`ShareSearch::of`], in short lines.
    pub(super) fn parse_work(&self) -> usize {
        fold_work(&self.text)
    }

    /// Compares some names. Returns whether the search is complete, and the work in short lines.
    pub(super) fn step<S: Share>(&mut self, share: &mut S) -> (bool, usize) {
        let start = std::mem::take(&mut self.start);
        let (mut room, mut spent) = (NAMES_PER_TURN, 0);
        share.visit_files(&start, &mut |file| {
            if room == 0 {
                file.name.clone_into(&mut self.start);
                return false;
            }
            let work = 1 + NAMES_PER_WORK * fold_work(file.name);
            room = room.saturating_sub(work);
            spent += work;
            if self.folded.find(fold(file.name).as_bytes()).is_some() {
                self.found.push(FolderEntry {
                    name: file.name.to_owned(),
                    file: Some(file.into()),
                });
            }
            // One more than the page shows whether there is another page.
            self.found.len() <= PAGE_SIZE
        });
        (self.start.is_empty(), spent / NAMES_PER_WORK)
    }

    /// The result of a complete search.
    pub(super) fn document(&mut self) -> Document<'static> {
        let has_more = self.found.len() > PAGE_SIZE;
        self.found.truncate(PAGE_SIZE);
        let last = self.found.last().filter(|_| has_more);
        let next = last.map(|last| last.name.clone());
        let subject = ListSubject::Search(&self.text);
        if self.as_json {
            return json_list(subject, &self.found, next.as_deref());
        }
        let list = FileList {
            subject,
            count: match has_more {
                true => format!("{PAGE_SIZE} files, and more"),
                false => format!("{} found", Counted(self.found.len() as u64, "file")),
            },
            entries: std::mem::take(&mut self.found),
            id: None,
            order: None,
            previous: None,
            next: next.map(|next| {
                let (search, after) = (text::query(&self.text), text::query(&next));
                format!("search={search}&after={after}")
            }),
        };
        list.page(&self.host)
    }
}
