//! Where a node reports its events: in the log, or at its console.

use std::time::Instant;

use log::Level;

use crate::counted::Counted;
use crate::logging::OPERATOR;
use crate::node::{NodeEvent, NodeReport};
use crate::rate_limiter::RateLimiter;
use crate::terminal::TerminalOutput;

/// Prints events at the console. Messages of others must not flood it.
pub(super) struct ConsoleEvents {
    output: TerminalOutput,
    /// Messages per second.
    rate: u32,
    limiter: RateLimiter,
    /// Messages that were not printed since the last event.
    omitted: u64,
}

impl ConsoleEvents {
    pub(super) fn new(output: &TerminalOutput, rate: u32) -> Self {
        Self {
            output: output.clone(),
            rate,
            limiter: RateLimiter::new(rate, Instant::now()),
            omitted: 0,
        }
    }

    pub(super) fn print(&mut self, report: &NodeReport<'_>) {
        if let NodeEvent::Message(_) = report.event
            && !self.limiter.allows(self.rate, Instant::now())
        {
            self.omitted += 1;
            return;
        }
        match std::mem::take(&mut self.omitted) {
            0 => {}
            omitted => self
                .output
                .eprintln(format_args!("({} omitted)", Counted(omitted, "message"))),
        }
        self.output.eprintln(report);
    }
}

/// Logs an event.
pub(super) fn log_event(report: &NodeReport<'_>) {
    let level = match report.event {
        NodeEvent::RegistrationFailed(_)
        | NodeEvent::Unreachable(_)
        | NodeEvent::ListenFailed(_)
        | NodeEvent::ListenerReplaced
        | NodeEvent::MessageNotSent(..)
        | NodeEvent::AnswerNotSent(..) => Level::Warn,
        NodeEvent::Registered(_)
        | NodeEvent::Unregistered
        | NodeEvent::Listening(_)
        | NodeEvent::Message(_)
        | NodeEvent::MessageSent(_) => Level::Info,
    };
    let target = match report.event {
        // Strangers send messages without end.
        NodeEvent::Message(_) | NodeEvent::AnswerNotSent(..) => module_path!(),
        _ => OPERATOR,
    };
    log::log!(target: target, level, "{report}");
}
