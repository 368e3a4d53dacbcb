//! The settings of a runner.

use std::time::Duration;

use crate::jobs::node_tls::NodeTls;
use crate::jobs::runner::JobRunner;
use crate::protocol::NodeAddress;

impl JobRunner {
    /// Whether the user can choose one of several contents, and answer questions.
    pub fn set_may_choose(&mut self, may_choose: bool) {
        self.context.may_choose = may_choose;
    }

    /// See [`JobRunner::set_may_choose`].
    #[must_use]
    pub fn may_choose(&self) -> bool {
        self.context.may_choose
    }

    /// How to connect to nodes.
    pub fn set_node_tls(&mut self, node_tls: NodeTls) {
        self.context.node_tls = node_tls;
    }

    /// The address at which a source lists this node: nothing is fetched from there.
    pub fn set_own_address(&mut self, source: usize, address: NodeAddress) {
        self.context.own_addresses.insert(source, address);
    }

    /// Jobs wait this long for a node that has a file.
    pub fn set_wait(&mut self, wait: Duration) {
        self.context.limits.wait = wait;
    }
}
