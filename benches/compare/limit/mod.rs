//! Limit programs: they do only the transfer, without checks, limits and error
//! handling. Their rates are the upper bound for this machine and kernel.

mod create_files;
mod directory;
mod fetch;
mod file_server;
mod line_server;
mod search;
mod shared_reply;
mod template_reply;
mod tls_sender;
mod udp_server;

use std::io;

/// The hidden argument that calls [`run`].
pub(crate) const WORD: &str = "limit";

/// Runs the program that the first argument names, until it is killed.
pub(crate) fn run(args: &[String]) -> io::Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["template-reply", reply] => template_reply::run(reply),
        ["shared-reply", reply] => shared_reply::run(reply),
        ["udp-server", reply] => udp_server::run(reply),
        ["directory"] => directory::run(),
        ["create-files", folder, count] => create_files::run(folder, count),
        ["search"] => search::run(),
        ["file-server", folder] => file_server::run(folder),
        ["tls-sender", file, identity] => tls_sender::run(file, identity),
        ["fetch", address, name, target] => fetch::run(address, name, target, None),
        ["fetch-checked", address, name, target] => {
            fetch::run(address, name, target, Some(blake3::Hasher::new()))
        }
        _ => Err(io::Error::other("no such limit program")),
    }
}
