//! A logger that writes JSON.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use log::{LevelFilter, Log, Metadata, Record};

use crate::logging::log_format::json_line;

/// Writes each record as one JSON object on a line of its own.
pub struct JsonLogger<W> {
    level: LevelFilter,
    out: Mutex<W>,
}

impl<W: Write + Send> JsonLogger<W> {
    /// Writes the records of this level and of more serious ones.
    #[must_use]
    pub fn new(level: LevelFilter, out: W) -> Self {
        let out = Mutex::new(out);
        Self { level, out }
    }
}

impl<W: Write + Send> Log for JsonLogger<W> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = json_line(record);
            let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody could be told that the log cannot be written.
            let _ = out.write_all(line.as_bytes());
        }
    }

    fn flush(&self) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = out.flush();
    }
}
