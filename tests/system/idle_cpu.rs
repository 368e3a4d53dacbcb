//! A server that waits for others does nothing meanwhile.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Nc, Server, large_file, node_with_relay};

/// The processor time that a process has used, in hundredths of a second.
fn time_used(server: &Server) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid()));
    let stat = stat.expect("it runs");
    // Fields are counted from the one after the name, which may hold blanks.
    let fields = stat.rsplit(')').next().expect("a part").split_whitespace();
    let times: Vec<u64> = fields.skip(11).take(2).flat_map(str::parse).collect();
    times.iter().sum()
}

/// What it does in half a second must be next to nothing.
#[track_caller]
pub fn assert_does_not_spin(server: &mut Server) {
    let before = time_used(server);
    assert!(server.runs_on_for(Duration::from_millis(500)));
    let used = time_used(server) - before;
    assert!(used < 20, "{used} of 50 hundredths of a second were used");
}

/// Some of each kind that keep a server waiting.
fn everybody_who_waits(node: &Server) -> Vec<Nc> {
    let large = "GET large\n";
    [
        String::new(),
        "GET lar".into(),
        "PING\n".into(),
        "PING\nPIN".into(),
        large.into(),
        large.repeat(10),
        large.repeat(1000),
        format!("{large}QUIT\n"),
        format!("{large}what?\n"),
    ]
    .iter()
    .flat_map(|request| {
        [false, true].map(|half_close| {
            let mut nc = Nc::connect(node.address());
            nc.send(request);
            if half_close {
                nc.half_close();
            }
            nc
        })
    })
    .collect()
}

#[test]
fn whoever_keeps_a_server_waiting_does_not_make_it_work() {
    let share = large_file(64 << 20);
    let (mut node, _relay) = node_with_relay(share.path(), &["--drain", "600"]);
    let crowd = everybody_who_waits(&node);
    let mut last = Nc::connect(node.address());
    assert_eq!(last.ask("PING"), "PONG");
    assert_does_not_spin(&mut node);
    // To finish what is begun is to wait as well.
    node.signal(Signal::TERM);
    node.log_until("unregistered");
    assert_eq!(last.rest_text(), "");
    assert_does_not_spin(&mut node);
    drop(crowd);
    assert_eq!(node.wait().code(), Some(0), "nobody is left to be cut");
}
