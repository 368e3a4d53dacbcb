//! Signals: each that can be handled ends a program properly; SIGHUP can be ignored, and
//! opens a log file again.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::pipe::fcntl_getpipe_size;
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Action, tcflow};

use crate::support::{
    Nc, RunningProgram, Server, ask, client_command, eventually, folder, large_file, node,
    node_command, node_with_relay, noise, relay, relay_command, run,
};

/// A program, after `set-up` in the shell.
fn after(set_up: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{set_up}\nexec \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args());
    shell
}

#[test]
fn every_ending_signal_ends_a_server_like_sigterm() {
    let relay = relay(&[]);
    let share = folder(&[]);
    for signal in [
        Signal::HUP,
        Signal::QUIT,
        Signal::USR1,
        Signal::USR2,
        Signal::ALARM,
        Signal::VTALARM,
        Signal::PROF,
        Signal::XCPU,
        Signal::IO,
        Signal::POWER,
        Signal::STKFLT,
    ] {
        let mut node = node(&relay, share.path(), &[]);
        node.signal(signal);
        assert_eq!(node.wait().code(), Some(0), "{signal:?}");
        node.log_until("unregistered");
    }
    assert_eq!(relay.stat("nodes"), 0);
}

/// SIGRTMIN, SIGRTMAX, and the one by which systemd(1) stops a container.
#[test]
fn a_real_time_signal_ends_a_program_like_sigterm() {
    let share = large_file(64 << 20);
    let kill = |signal: &str, process: u32| {
        let mut kill = Command::new("kill");
        let status = kill.args([signal, &process.to_string()]).status();
        assert!(status.expect("it starts").success());
    };
    let mut relay = relay(&[]);
    for signal in ["-34", "-37", "-64"] {
        let mut node = node(&relay, share.path(), &[]);
        let mut get = client_command(relay.address(), &["get", "large"]);
        get.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut client = RunningProgram::start(&mut get);
        let mut stdout = client.child.stdout.take().expect("a pipe");
        stdout.read_exact(&mut [0]).expect("a byte");
        kill(signal, client.child.id());
        assert_eq!(client.wait(), Some(130), "{signal}");
        kill(signal, node.pid());
        assert_eq!(node.wait().code(), Some(0), "{signal}");
        node.log_until("unregistered");
    }
    kill("-37", relay.pid());
    assert_eq!(relay.wait().code(), Some(0));
}

/// Nobody reads its stdout. A disk that does not answer blocks a server in the same way.
#[test]
fn the_second_signal_ends_a_blocked_server() {
    let (reader, mut stdout) = pipe().expect("a pipe");
    let size = fcntl_getpipe_size(&stdout).expect("a pipe");
    stdout.write_all(&vec![b'\n'; size]).expect("there is room");
    let mut command = relay_command(&[]);
    command.stdout(stdout).stderr(Stdio::piped());
    let mut relay = RunningProgram::start(&mut command);
    drop(command);
    let stderr = relay.child.stderr.take().expect("a pipe");
    let mut log = BufReader::new(stderr).lines();
    assert!(log.any(|line| line.expect("text").contains("limits: ")));
    relay.signal(Signal::TERM);
    assert!(relay.is_running_after(Duration::from_secs(6)));
    relay.signal(Signal::TERM);
    assert_eq!(relay.wait(), Some(10));
    drop(reader);
}

#[test]
fn a_server_that_ignores_sighup_goes_on() {
    let mut relay = Server::start(after("trap '' HUP", &relay_command(&[])));
    relay.signal(Signal::HUP);
    assert!(relay.is_running_after(Duration::from_millis(200)));
    assert_eq!(ask(relay.address(), b"PING\n"), "PONG\n");
    assert_eq!(relay.stop(), Some(0));
}

#[test]
fn sighup_opens_the_log_file_again() {
    let home = folder(&[]);
    let log = home.path().join("log");
    let file = log.to_str().expect("a text");
    let command = relay_command(&["--log-level", "debug", "--log-file", file]);
    // A server that was started by nohup opens it as well.
    for command in [
        after("trap - HUP", &command),
        after("trap '' HUP", &command),
    ] {
        let mut relay = Server::start(command);
        for (number, name) in ["log.1", "log.2"].into_iter().enumerate() {
            let find = |name| ask(relay.address(), format!("FIND {name}\n").as_bytes());
            let logged = |path: &Path, name| {
                fs::read_to_string(path).is_ok_and(|log| log.contains(&format!("FIND {name}")))
            };
            find("before");
            eventually("it is logged", || logged(&log, "before"));
            let old = home.path().join(name);
            fs::rename(&log, &old).expect("a log");
            relay.signal(Signal::HUP);
            let after = format!("after{number}");
            eventually("the new file is used", || {
                find(&after);
                logged(&log, &after)
            });
        }
        assert_eq!(relay.stop(), Some(0));
    }
}

#[test]
fn sighup_twice_is_no_second_signal() {
    const LARGE: u64 = 64 << 20;
    let share = large_file(LARGE);
    let (mut node, _relay) = node_with_relay(share.path(), &["--drain", "600"]);
    let mut nc = Nc::connect(node.address());
    assert_eq!(nc.ask("GET large"), format!("FOUND {LARGE}"));
    // A closed terminal sends it to the shell, which sends it again.
    node.signal(Signal::HUP);
    node.log_until("stopping");
    node.signal(Signal::HUP);
    assert_eq!(nc.rest().len() as u64, LARGE);
    drop(nc);
    assert_eq!(node.wait().code(), Some(0));
}

#[test]
fn a_limit_on_file_sizes_is_a_full_disk() {
    let home = folder(&[]);
    let share = folder(&[("large", &noise(3_000_000, 5))]);
    let log = |name| home.path().join(name).to_str().expect("a text").to_owned();
    let relay = relay_command(&["--log-level", "debug", "--log-file", &log("relay")]);
    let relay = Server::start(after("ulimit -f 2", &relay));
    let node = node_command(
        relay.address(),
        share.path(),
        &["--log-level", "debug", "--log-file", &log("node")],
    );
    let node = Server::start(after("ulimit -f 2", &node));
    for server in [&relay, &node] {
        let mut nc = Nc::connect(server.address());
        for _ in 0..100 {
            assert_eq!(nc.ask("PING"), "PONG");
            assert_eq!(ask(server.address(), b"PING\n"), "PONG\n");
        }
    }
    let path = home.path().join("copy");
    let mut get = client_command(relay.address(), &["get", "large", "-o"]);
    get.arg(&path);
    let output = run(after("ulimit -f 100", &get), b"").expect_code(6);
    assert!(
        output.stderr.contains("File too large"),
        "{}",
        output.stderr
    );
    let left: Vec<_> = fs::read_dir(home.path()).expect("a folder").collect();
    assert_eq!(left.len(), 2, "only the logs: {left:?}");
}

/// A terminal: its two ends.
fn terminal() -> (OwnedFd, File) {
    let master =
        openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&master).expect("it is ours");
    unlockpt(&master).expect("it is ours");
    let name = ptsname(&master, Vec::new()).expect("its name");
    let name = name.to_str().expect("a text");
    let slave = File::options().read(true).write(true).open(name);
    (master, slave.expect("the terminal"))
}

#[test]
fn a_signal_ends_a_node_at_a_suspended_terminal() {
    let relay = relay(&[]);
    let share = folder(&[]);
    let (master, slave) = terminal();
    // As ctrl-S does.
    tcflow(&slave, Action::OOff).expect("a terminal");
    let mut command = node_command(relay.address(), share.path(), &["--console"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(slave);
    let mut node = RunningProgram::start(&mut command);
    drop(command);
    eventually("it is registered", || relay.stat("nodes") == 1);
    node.signal(Signal::HUP);
    assert_eq!(node.wait(), Some(10));
    drop(master);
}

/// A node with a console at a terminal that is then closed.
fn node_that_loses_its_terminal(relay: &Server, home: &Path, set_up: &str) -> RunningProgram {
    let (master, slave) = terminal();
    let mut node = node_command(relay.address(), home, &["--no-history"]);
    if set_up.is_empty() {
        node.arg("--log-file").arg(home.join("log"));
    }
    let stream = || slave.try_clone().expect("a descriptor");
    let mut command = Command::new("setsid");
    let shell = after(set_up, &node);
    command
        .arg("--ctty")
        .arg(shell.get_program())
        .args(shell.get_args())
        .env("TERM", "xterm")
        .stdin(stream())
        .stdout(stream())
        .stderr(stream());
    let program = RunningProgram::start(&mut command);
    drop((command, slave));
    let (mut master, mut shown) = (File::from(master), Vec::new());
    while !shown.windows(10).any(|text| text == b"peerline> ") {
        let mut bytes = [0; 1000];
        let length = master.read(&mut bytes).expect("it is shown");
        shown.extend_from_slice(&bytes[..length]);
    }
    eventually("it is registered", || relay.stat("nodes") == 1);
    program
}

#[test]
fn a_closed_terminal_ends_a_node_unless_it_ignores_sighup() {
    let relay = relay(&[]);
    let share = folder(&[]);
    // The signal opens a log file again; then the end of the console ends the node.
    for set_up in ["trap - HUP", ""] {
        let mut node = node_that_loses_its_terminal(&relay, share.path(), set_up);
        assert_eq!(node.wait(), Some(0));
        assert_eq!(relay.stat("nodes"), 0);
    }
    let mut node = node_that_loses_its_terminal(&relay, share.path(), "trap '' HUP");
    assert!(node.is_running_after(Duration::from_millis(300)));
    assert_eq!(relay.stat("nodes"), 1);
    node.signal(Signal::TERM);
    assert_eq!(node.wait(), Some(0));
}
