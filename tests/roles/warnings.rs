//! What a role warns of is a part of the story.

use std::cell::RefCell;

use log::{LevelFilter, Log, Metadata, Record};

/// Keeps warnings for the thread that they were made on: that of the script.
struct Keeper;

thread_local! {
    static KEPT: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

impl Log for Keeper {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        KEPT.with_borrow_mut(|kept| kept.push(record.args().to_string()));
    }

    fn flush(&self) {}
}

/// From now on warnings are kept.
pub fn keep() {
    // Another script has done it already, perhaps.
    let _ = log::set_logger(&Keeper);
    log::set_max_level(LevelFilter::Warn);
}

/// Those since the last time.
pub fn take() -> Vec<String> {
    KEPT.take()
}
