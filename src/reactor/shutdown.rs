//! Graceful shutdown: finish the requests in progress, then end the loop.

use std::time::Instant;

use log::info;
use signal_hook::consts::SIGHUP;

use crate::close_reason::CloseReason;
use crate::logging::OPERATOR;
use crate::reactor::Reactor;
use crate::reactor::connection::{Origin, Phase};
use crate::reactor::transport::Transport;
use crate::role::Role;

/// How a loop ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoopOutcome {
    /// The role finished its work.
    Finished,
    /// The loop was stopped, and every connection was finished.
    Drained,
    /// The loop was stopped, and this many connections were aborted with unsent bytes.
    Aborted(usize),
}

/// Whether the loop is stopping.
pub(super) enum Stopping {
    No,
    /// The loop ends when the connections are finished.
    Draining {
        /// Connections may finish until this time.
        until: Instant,
        /// Connections that were aborted with unsent bytes.
        aborted: usize,
    },
    /// The loop ends at once.
    Now(LoopOutcome),
}

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    /// The outcome, once the loop may end.
    pub(super) fn outcome(&self) -> Option<LoopOutcome> {
        let (until, aborted) = match self.stopping {
            Stopping::No => return None,
            Stopping::Draining { until, aborted } => (until, aborted),
            Stopping::Now(outcome) => return Some(outcome),
        };
        let has_requests = self.role.has_open_requests() && self.now < until;
        match aborted {
            _ if has_requests || !self.connections.is_empty() => None,
            0 => Some(LoopOutcome::Drained),
            aborted => Some(LoopOutcome::Aborted(aborted)),
        }
    }

    pub(super) fn read_signals(&mut self) {
        let signals: Vec<i32> = match &mut self.signals {
            Some(signals) => signals.pending().collect(),
            None => return,
        };
        for signal in signals {
            // A terminal that is closed sends SIGHUP more than once.
            if matches!(self.stopping, Stopping::Draining { .. }) && signal != SIGHUP {
                self.abort_all();
            } else {
                self.stop();
            }
        }
    }

    /// Starts to drain, unless the loop is stopping already.
    pub(super) fn stop(&mut self) {
        if !matches!(self.stopping, Stopping::No) {
            return;
        }
        info!(target: OPERATOR, "stopping");
        if let Some(report) = self.on_stopping.take() {
            report();
        }
        self.stopping = Stopping::Draining {
            until: self.now + self.settings.limits.drain,
            aborted: 0,
        };
        self.listeners.clear();
        let accepted: Vec<usize> = self
            .connections
            .iter()
            .filter(|(_, conn)| conn.origin == Origin::Inbound)
            .map(|(slot, _)| slot)
            .collect();
        for slot in accepted {
            let conn = &mut self.connections[slot];
            let Phase::Open(driver) = &conn.phase else {
                continue;
            };
            if driver.state().has_open_answer() {
                // The connection closes after the answer.
            } else if !conn.has_output() {
                self.close_now(slot, CloseReason::Shutdown);
            } else {
                self.start_closing(slot, CloseReason::Shutdown);
            }
        }
        self.call_role(R::drain);
    }

    /// The loop ends at once: ends the encrypted streams, as far as the kernel takes that now.
    /// Else the other sides take them for cut off.
    pub(super) fn end_streams(&mut self) {
        for (_, conn) in &mut self.connections {
            conn.close_tls(false);
        }
    }

    /// Closes all connections. May be called again before they are removed.
    pub(super) fn abort_all(&mut self) {
        let slots: Vec<usize> = self.connections.iter().map(|(slot, _)| slot).collect();
        let mut aborted = match self.stopping {
            Stopping::Draining { aborted, .. } => aborted,
            Stopping::No | Stopping::Now(_) => 0,
        };
        for slot in slots {
            aborted += usize::from(self.connections[slot].has_output());
            self.close_now(slot, CloseReason::Aborted);
        }
        self.stopping = Stopping::Draining {
            until: self.now,
            aborted,
        };
    }
}
