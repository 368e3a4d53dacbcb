//! Files that the console is fetching into the share: others can fetch the pieces that are
//! there already.

use std::sync::Arc;
use std::time::Instant;

use crate::jobs::PartialFile;
use crate::node::Node;
use crate::node::requests::{NodeRequest, check_content, part, unavailable};
use crate::node::share::{Share, Unavailable};
use crate::protocol::{FileName, MaybeHash, PieceList, Rejection};
use crate::role::ReadNext;

impl<S: Share> Node<S> {
    /// The file of this name, if the console is fetching it.
    pub(super) fn partial_file(&self, name: &FileName<'_>) -> Option<PartialFile<'_>> {
        let console = self.console.as_ref()?;
        console.partial_files().find(|file| file.name() == name)
    }

    /// Lists the files that the console is fetching, if they are other ones now.
    pub(super) fn list_partial_files(&mut self, now: Instant) {
        let Some(console) = &self.console else {
            return;
        };
        let revision = console.jobs.partial_revision();
        if std::mem::replace(&mut self.partial_revision, revision) == revision {
            return;
        }
        let items: Vec<_> = console.partial_files().collect();
        let items = items.iter().map(PartialFile::item).collect();
        if let Some(delay) = self.share.set_partial_files(items) {
            self.renew_within(now, delay);
        }
    }

    /// Sends a range of an incomplete file, if all of it is there.
    pub(super) fn partial_range(
        &mut self,
        request: &mut NodeRequest<'_, S>,
        (offset, length): (u64, u64),
        wanted: MaybeHash,
        name: &FileName<'_>,
    ) -> ReadNext {
        let reply = &mut request.reply;
        let Some(file) = self.partial_file(name) else {
            return reply.not_found();
        };
        let (hash, size) = file.content();
        let checked = check_content(wanted, || Some(hash));
        let part = match checked.and_then(|()| part(size, offset, length)) {
            Ok(part) if file.has(&part) => part,
            Ok(_) => return reply.reject(Rejection::PartMissing),
            Err(rejection) => return reply.reject(rejection),
        };
        let opened = file.open();
        match opened.and_then(|opened| self.share.open_part(opened)) {
            Some(file) => self.send_part(request, name, file, part),
            None => unavailable(name, &Unavailable::Busy, reply),
        }
    }

    /// The values of the pieces of an incomplete file.
    pub(super) fn partial_pieces(&self, name: &FileName<'_>) -> Option<Arc<PieceList>> {
        self.partial_file(name)?.piece_list().map(Arc::new)
    }
}
