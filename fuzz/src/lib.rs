//! The targets of `cargo fuzz`: the functions that `tests/fuzz` runs as property tests.

#[path = "../../tests/fuzz/targets/mod.rs"]
pub mod targets;
