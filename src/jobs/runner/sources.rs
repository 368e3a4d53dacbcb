//! Whom the jobs ask.

use crate::jobs::listed_nodes::ListedNodes;
use crate::jobs::peer_source::PeerSource;
use crate::jobs::runner::JobRunner;

impl JobRunner {
    /// The relays that have addresses, each with its index. Messages go through relays only.
    #[must_use]
    pub fn relays(&self) -> Vec<(usize, PeerSource)> {
        self.sources.relays()
    }

    /// Asks these sources, too, from the next query on.
    pub fn add_sources(&mut self, sources: Vec<PeerSource>) {
        self.sources.add(sources);
        self.context.has_several_sources = self.sources.are_several();
        if self.context.is_direct {
            self.context.nodes = ListedNodes::from(self.sources.nodes());
        }
    }
}
