//! Log output: the limit on lines a second, the thread that writes the lines, its queue, and
//! the file of a log.

mod async_log_writer;
mod log_file;
mod log_queue;
mod rate_limited_logger;

pub use async_log_writer::AsyncLogWriter;
pub(crate) use async_log_writer::LogBuffer;
pub use log_file::LogFile;
pub(crate) use log_queue::LogQueue;
#[cfg(test)]
pub(crate) use log_queue::MAX_QUEUED;
pub(crate) use rate_limited_logger::OPERATOR;
pub use rate_limited_logger::RateLimitedLogger;
