//! Log lines: the thread that writes them, and how many may be written a second.

mod async_log_writer;
mod log_queue;
mod rate_limited_log;

pub(crate) use async_log_writer::Desk;
pub use async_log_writer::Scribe;
pub(crate) use log_queue::Backlog;
#[cfg(test)]
pub(crate) use log_queue::MAX_WAITING;
pub(crate) use rate_limited_log::Journal;
