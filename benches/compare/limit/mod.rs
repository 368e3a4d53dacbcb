//! Programs that do nothing but the transfer: no checks, no limits, no errors
//! that anybody could learn from. What they reach is what this machine and this
//! kernel leave to reach.

mod datagrams;
mod directory;
mod fetch;
mod lines;
mod memory;
mod same;
mod search;
mod stream;

use std::io;

/// The hidden word that makes this program one of them.
pub(crate) const WORD: &str = "limit";

/// Runs the one that is named first, until it is ended.
pub(crate) fn run(args: &[String]) -> io::Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["memory", reply] => memory::run(reply),
        ["same", reply] => same::run(reply),
        ["datagrams", reply] => datagrams::run(reply),
        ["directory"] => directory::run(),
        ["search"] => search::run(),
        ["stream", folder] => stream::run(folder),
        ["fetch", address, name, target] => fetch::run(address, name, target, None),
        ["fetch-checked", address, name, target] => {
            fetch::run(address, name, target, Some(blake3::Hasher::new()))
        }
        _ => Err(io::Error::other("no such limit program")),
    }
}
