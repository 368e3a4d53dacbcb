//! A logger that writes lines.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use log::{LevelFilter, Log, Metadata, Record};

use crate::logging::LogFormat;

/// Writes each record as a line.
pub struct LineLogger<W> {
    level: LevelFilter,
    format: LogFormat,
    out: Mutex<W>,
}

impl<W: Write + Send> LineLogger<W> {
    /// Writes the records of this level and of more serious ones.
    #[must_use]
    pub fn new(level: LevelFilter, format: LogFormat, out: W) -> Self {
        let out = Mutex::new(out);
        Self { level, format, out }
    }
}

impl<W: Write + Send> Log for LineLogger<W> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = self.format.line(record);
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
