//! How long the contents of a name have been known.

use std::collections::HashMap;

use crate::protocol::FileName;
use crate::relay::index::{ContentId, Index, Minute, Visibility};

impl Index {
    /// Since when the contents of a name have had holders that the requester may see; at most
    /// `max` of them.
    pub(in crate::relay) fn content_times(
        &self,
        name: &FileName<'_>,
        visibility: &Visibility<'_>,
        max: usize,
    ) -> HashMap<ContentId, Minute> {
        let mut contents = Vec::new();
        if let Some(id) = self.entries.find(name.as_str()) {
            let holders = &self.entries[id].holders;
            holders.contents(visibility, max, &mut contents);
        }
        let times = contents.iter().map(|found| (found.content, found.since));
        times.collect()
    }
}
