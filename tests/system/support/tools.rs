//! Tools of other people that speak TLS, and what they are told.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::support::{Server, run};

/// Whether a tool is there; says so if not.
pub fn has(tool: &str) -> bool {
    let mut command = Command::new(tool);
    command
        .arg("version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let is_there = command.status().is_ok();
    if !is_there {
        eprintln!("skipped: {tool} is not installed");
    }
    is_there
}

/// What a server answers to lines that are typed into `openssl s_client`.
pub fn s_client(address: SocketAddr, lines: &str) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-connect", &address.to_string()]);
    run(command, lines.as_bytes()).text()
}

/// The id that a server prints behind its addresses.
pub fn server_id(server: &mut Server) -> String {
    let line = server.line();
    let (_, id) = line.split_once(" id ").expect("an id");
    assert!(id.starts_with("sha256//"), "{line}");
    id.to_owned()
}
