//! The warnings of a role, as a part of its script.

use std::cell::RefCell;

use log::{LevelFilter, Log, Metadata, Record};

/// Stores warnings by thread, and with it by script.
struct WarningLog;

thread_local! {
    static WARNINGS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

impl Log for WarningLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        WARNINGS.with_borrow_mut(|warnings| warnings.push(record.args().to_string()));
    }

    fn flush(&self) {}
}

/// Stores the warnings from now on.
pub fn install() {
    // It fails if another script has done it already.
    let _ = log::set_logger(&WarningLog);
    log::set_max_level(LevelFilter::Warn);
}

/// Takes the warnings since the last call.
pub fn take() -> Vec<String> {
    WARNINGS.take()
}
