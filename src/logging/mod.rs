//! Log lines: the thread that writes them, and how many may be written a second.

mod async_log_writer;
mod log_queue;
mod rate_limited_log;

pub use async_log_writer::AsyncLogWriter;
pub(crate) use async_log_writer::LogWriterShared;
pub(crate) use log_queue::LogQueue;
#[cfg(test)]
pub(crate) use log_queue::MAX_WAITING;
pub(crate) use rate_limited_log::RateLimitedLog;
