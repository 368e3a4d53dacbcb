//! Log output: the thread that writes it, its queue, and a limit on lines a second.

mod async_log_writer;
mod log_queue;
mod rate_limited_log;

pub use async_log_writer::AsyncLogWriter;
pub(crate) use async_log_writer::LogBuffer;
pub(crate) use log_queue::LogQueue;
#[cfg(test)]
pub(crate) use log_queue::MAX_QUEUED;
pub(crate) use rate_limited_log::RateLimitedLog;
