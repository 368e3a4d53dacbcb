//! A server that waits uses no processor time.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Nc, Server, folder, large_file, node_with_relay};

/// The processor time that a process has used, in hundredths of a second.
pub fn cpu_time(server: &Server) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid()));
    let stat = stat.expect("it runs");
    // The fields after the name, which may contain blanks (proc(5)).
    let fields = stat.rsplit(')').next().expect("a part").split_whitespace();
    let times: Vec<u64> = fields.skip(11).take(2).flat_map(str::parse).collect();
    times.iter().sum()
}

/// Fails if the server uses much processor time within half a second.
#[track_caller]
pub fn assert_does_not_spin(server: &mut Server) {
    let before = cpu_time(server);
    assert!(server.is_running_after(Duration::from_millis(500)));
    let used = cpu_time(server) - before;
    assert!(used < 20, "{used} of 50 hundredths of a second were used");
}

/// Connections in every state in which a server waits for the client.
fn waiting_connections(node: &Server) -> Vec<Nc> {
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
fn waiting_connections_use_no_cpu_time() {
    let share = large_file(64 << 20);
    let (mut node, _relay) = node_with_relay(share.path(), &["--drain", "600"]);
    let connections = waiting_connections(&node);
    let mut last = Nc::connect(node.address());
    assert_eq!(last.ask("PING"), "PONG");
    assert_does_not_spin(&mut node);
    // The drain is a wait as well.
    node.signal(Signal::TERM);
    node.log_until("unregistered");
    assert_eq!(last.rest_text(), "");
    assert_does_not_spin(&mut node);
    drop(connections);
    assert_eq!(node.wait().code(), Some(0), "nobody is left to be cut");
}

/// CLOCK_BOOTTIME, which runs during a suspend.
const BOOT_TIME: &str = "clockid: 7";

#[test]
fn servers_wait_by_a_clock_that_runs_during_a_suspend() {
    let share = folder(&[]);
    let (node, relay) = node_with_relay(share.path(), &[]);
    for server in [&node, &relay] {
        let timers = fs::read_dir(format!("/proc/{}/fdinfo", server.pid()))
            .expect("it runs")
            .filter_map(|entry| fs::read_to_string(entry.expect("a descriptor").path()).ok())
            .filter(|info| info.contains("clockid: "));
        let timers: Vec<String> = timers.collect();
        assert!(!timers.is_empty());
        assert!(
            timers.iter().all(|info| info.contains(BOOT_TIME)),
            "{timers:?}"
        );
    }
}
