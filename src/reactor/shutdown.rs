//! How the loop comes to its end.

use std::os::fd::AsFd;
use std::time::Instant;

use log::info;

use crate::close_reason::CloseReason;
use crate::reactor::Reactor;
use crate::reactor::connection::{Origin, Phase, Waiting};
use crate::role::Role;

/// How a loop ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoopOutcome {
    /// The role's work is done.
    Finished,
    /// It was told to stop, and finished what was begun.
    Drained,
    /// It was told to stop, and cut so many connections that were not finished.
    Cut(usize),
}

/// Whether the loop is to end.
pub(super) enum Stopping {
    No,
    /// Until then there is time to finish; so many were cut.
    Draining(Instant, usize),
    /// At once.
    Now(LoopOutcome),
}

impl<R: Role> Reactor<R>
where
    R::File: AsFd,
{
    /// Whether the loop is over.
    pub(super) fn outcome(&self) -> Option<LoopOutcome> {
        match self.stopping {
            Stopping::Now(outcome) => Some(outcome),
            Stopping::Draining(until, _) if self.role.has_open_requests() && self.now < until => {
                None
            }
            Stopping::Draining(_, 0) if self.connections.is_empty() => Some(LoopOutcome::Drained),
            Stopping::Draining(_, cut) if self.connections.is_empty() => {
                Some(LoopOutcome::Cut(cut))
            }
            Stopping::No | Stopping::Draining(..) => None,
        }
    }

    pub(super) fn read_signals(&mut self) {
        let Some(signals) = &mut self.signals else {
            return;
        };
        let count = signals.pending().count();
        for _ in 0..count {
            self.stop();
        }
    }

    /// The first time: finish what is begun. The second time: end.
    pub(super) fn stop(&mut self) {
        match self.stopping {
            Stopping::No => self.drain(),
            Stopping::Draining(..) => self.cut_all(),
            Stopping::Now(_) => {}
        }
    }

    pub(super) fn drain(&mut self) {
        info!("stopping");
        self.stopping = Stopping::Draining(self.now + self.settings.limits.drain, 0);
        self.listeners.clear();
        let accepted: Vec<usize> = self
            .connections
            .iter()
            .filter(|(_, conn)| conn.origin == Origin::Accepted)
            .map(|(slot, _)| slot)
            .collect();
        for slot in accepted {
            let conn = &mut self.connections[slot];
            if conn.phase == Phase::Open && conn.waiting != Waiting::No {
                // It ends when it has its answer.
                continue;
            }
            if conn.phase == Phase::Open && !conn.outbox.is_empty() {
                conn.end = Some(Box::new(CloseReason::Shutdown));
                conn.phase = Phase::Closing;
            } else if conn.phase == Phase::Open {
                self.end(slot, CloseReason::Shutdown);
            }
        }
        self.call_role(R::drain);
    }

    pub(super) fn cut_all(&mut self) {
        let slots: Vec<usize> = self.connections.iter().map(|(slot, _)| slot).collect();
        let mut cut = 0;
        for slot in slots {
            cut += usize::from(!self.connections[slot].outbox.is_empty());
            self.end(slot, CloseReason::Aborted);
        }
        self.stopping = Stopping::Draining(self.now, cut);
    }
}
