//! Log output: its formats, the limit on lines a second, the thread that writes the lines, its
//! queue, and the file of a log.

mod async_log_writer;
mod json_logger;
mod log_file;
mod log_format;
mod log_queue;
mod rate_limited_logger;

pub use async_log_writer::AsyncLogWriter;
pub(crate) use async_log_writer::LogBuffer;
pub use json_logger::JsonLogger;
pub use log_file::LogFile;
pub use log_format::LogFormat;
pub(crate) use log_format::TIMESTAMP;
pub(crate) use log_queue::LogQueue;
#[cfg(test)]
pub(crate) use log_queue::MAX_QUEUED;
pub(crate) use rate_limited_logger::OPERATOR;
pub use rate_limited_logger::RateLimitedLogger;
