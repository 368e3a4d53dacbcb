//! `--user`: servers that root starts, and that go on without its rights.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use rustix::process::geteuid;

use crate::messages::listener;
use crate::support::{Server, ask, folder, node_command, relay, relay_command, run};

const NOBODY: u32 = 65_534;

/// The values of a field in the status of each thread of a server (proc_pid_status(5)).
fn of_all_threads(server: &Server, field: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).expect("it runs");
    let statuses = tasks.map(|task| {
        let path = task.expect("an entry").path().join("status");
        fs::read_to_string(path).expect("the thread runs")
    });
    let value = |status: String| {
        let mut lines = status.lines();
        let value = lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(":\t"));
        value
            .expect("the field")
            .replace('\t', " ")
            .trim()
            .to_owned()
    };
    statuses.map(value).collect()
}

#[track_caller]
fn assert_is_nobody(server: &Server) {
    let ids = format!("{NOBODY} {NOBODY} {NOBODY} {NOBODY}");
    for (field, expected) in [
        ("Uid", ids.as_str()),
        ("Gid", ids.as_str()),
        ("Groups", "65534"),
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
    ] {
        let values = of_all_threads(server, field);
        assert!(
            values.iter().all(|value| value == expected),
            "{field}: {values:?}"
        );
    }
}

#[test]
fn servers_that_root_starts_go_on_as_another_user() {
    if !geteuid().is_root() {
        eprintln!("not tried: only root can become another user");
        return;
    }
    let relay = relay(&["--user", "nobody"]);
    assert_is_nobody(&relay);
    relay.log_until("running as user nobody");
    let share = folder(&[("closed", b"c"), ("open", b"o")]);
    let mode = |path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
    mode(share.path(), 0o755).expect("root may");
    mode(&share.path().join("closed"), 0o600).expect("root may");
    let command = node_command(relay.address(), share.path(), &["--user", "nobody"]);
    let node = Server::start(command);
    assert_is_nobody(&node);
    node.log_until("registered as");
    // The folder is read with the rights of the user.
    assert_eq!(ask(node.address(), b"LIST\n"), "FILES 1 1\n1 - 1 open\n");
    assert_eq!(ask(node.address(), b"GET open\n"), "FOUND 1\no");
    let denied = ask(node.address(), b"GET closed\n");
    assert_eq!(denied, "ERROR 403 no permission to read the file\n");
}

#[test]
fn a_command_for_messages_has_the_environment_of_the_user() {
    if !geteuid().is_root() {
        eprintln!("not tried: only root can become another user");
        return;
    }
    let relay = relay(&[]);
    let (mut nc, _) = listener(&relay);
    let share = folder(&[]);
    let mode = fs::set_permissions(share.path(), Permissions::from_mode(0o755));
    mode.expect("root may");
    let echo = "[ \"$HOME\" = ~nobody ] && echo \"$USER $LOGNAME ${XDG_CACHE_HOME-none}\"";
    let args = ["--user", "nobody", "--on-message", echo];
    let mut command = node_command(relay.address(), share.path(), &args);
    command
        .env("HOME", "/root")
        .env("XDG_CACHE_HOME", "/root/.cache");
    let node = Server::start(command);
    node.log_until("arrive here");
    nc.send(format!("SEND {} text\n", node.wire_address()));
    assert_eq!(nc.line(), "OK");
    let answer = format!("FROM {} nobody nobody none", node.wire_address());
    assert_eq!(nc.line(), answer);
}

#[test]
fn a_user_who_does_not_exist_is_reported() {
    let output = run(relay_command(&["--user", "no-such-user"]), b"").expect_code(2);
    let why = "there is no such user; getent passwd lists all";
    assert!(output.stderr.contains(why), "{}", output.stderr);
}

#[test]
fn only_root_becomes_another_user() {
    let mut command = relay_command(&["--user", "root", "--tls", "off"]);
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = run(command, b"").expect_code(11);
    let why =
        "cannot go on as user root: Operation not permitted; start as root, or without --user";
    assert!(output.stderr.contains(why), "{}", output.stderr);
}
