//! Standard streams that are full, closed by their reader, or non-blocking because
//! another program shares them.

use std::fs::File;
use std::io::{Read, Write, pipe};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::support::{
    RunningProgram, Server, ask, client_command, eventually, folder, node, noise, relay,
    relay_command, run,
};

/// Programs that do not wait have ended by then.
const PATIENCE: Duration = Duration::from_millis(200);

fn make_non_blocking(stream: impl AsFd) {
    let flags = fcntl_getfl(&stream).expect("a stream");
    fcntl_setfl(&stream, flags | OFlags::NONBLOCK).expect("a stream");
}

fn full_disk() -> File {
    let full = File::options().write(true).open("/dev/full");
    full.expect("a device")
}

#[test]
fn what_cannot_be_printed_is_a_failure() {
    let share = folder(&[("hello.txt", b"Hello!\n")]);
    let home = folder(&[]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let dir = home.path().to_str().expect("a text");
    for args in [
        &["get", "hello.txt"][..],
        &["get", "hello.txt", "--json"],
        &["ls"],
        &["nodes"],
        &["find", "hello.txt", "--json"],
        &["get", "hello.txt", "-f", "--json", "-d", dir],
        &["--help"],
        &["get", "--help"],
        &["--version"],
    ] {
        let command = || client_command(relay.address(), args);
        let mut client = RunningProgram::start(
            command()
                .stdin(Stdio::null())
                .stdout(full_disk())
                .stderr(Stdio::null()),
        );
        assert_eq!(client.wait(), Some(6), "{args:?}");
        // A reader may go away.
        let (reader, writer) = pipe().expect("a pipe");
        drop(reader);
        let mut client = RunningProgram::start(
            command()
                .stdin(Stdio::null())
                .stdout(writer)
                .stderr(Stdio::piped()),
        );
        assert_eq!(client.wait(), Some(6), "{args:?}");
        let mut stderr = String::new();
        let pipe = client.child.stderr.as_mut().expect("it is a pipe");
        pipe.read_to_string(&mut stderr).expect("text");
        let is_reported = stderr.contains("Broken pipe");
        // The results of files that are saved go to stdout, those of others to stderr.
        let reports = args.last() == Some(&"--json");
        assert_eq!(is_reported, reports, "{args:?}: {stderr}");
    }
}

#[test]
fn an_input_that_cannot_be_read_is_a_failure() {
    let relay = relay(&[]);
    for args in [&[][..], &["chat"]] {
        let mut client = RunningProgram::start(
            client_command(relay.address(), args)
                .stdin(File::open("/").expect("a folder"))
                .stdout(Stdio::null())
                .stderr(Stdio::piped()),
        );
        assert_eq!(client.wait(), Some(6), "{args:?}");
        let mut stderr = String::new();
        let pipe = client.child.stderr.as_mut().expect("it is a pipe");
        pipe.read_to_string(&mut stderr).expect("text");
        assert!(
            stderr.contains("cannot read stdin: Is a directory"),
            "{stderr}"
        );
    }
}

#[test]
fn a_closed_stdin_is_an_empty_one() {
    let relay = relay(&[]);
    for args in [&[][..], &["get", "-i", "-"]] {
        let client = client_command(relay.address(), args);
        for redirection in ["<&-", "</dev/null"] {
            let mut shell = Command::new("sh");
            let script = format!("exec \"$@\" {redirection}");
            shell.args(["-c", &script, "sh"]).arg(client.get_program());
            shell.args(client.get_args());
            let output = run(shell, b"").expect_code(0);
            assert!(output.stdout.is_empty(), "{args:?} {redirection}");
        }
    }
}

#[test]
fn output_waits_for_a_non_blocking_reader() {
    let content = noise(3_000_000, 5);
    let share = folder(&[("large", &content)]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let (mut reader, writer) = pipe().expect("a pipe");
    make_non_blocking(&writer);
    let mut client = RunningProgram::start(
        client_command(relay.address(), &["get", "large"])
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(Stdio::null()),
    );
    eventually("the pipe is full", || {
        rustix::io::ioctl_fionread(&reader).is_ok_and(|length| length == 65_536)
    });
    assert!(client.is_running_after(PATIENCE));
    let mut received = vec![0; content.len()];
    reader.read_exact(&mut received).expect("the content");
    assert!(received == content);
    assert_eq!(client.wait(), Some(0));
}

#[test]
fn the_prompt_waits_for_non_blocking_input() {
    let share = folder(&[("one", b"1")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let (reader, mut writer) = pipe().expect("a pipe");
    make_non_blocking(&reader);
    let mut client = RunningProgram::start(
        client_command(relay.address(), &["-q"])
            .stdin(reader)
            .stdout(Stdio::piped())
            .stderr(Stdio::null()),
    );
    assert!(client.is_running_after(PATIENCE), "it waits for a line");
    let stdout = client.child.stdout.as_mut().expect("it is a pipe");
    for _ in 0..2 {
        writer.write_all(b"one\n").expect("it reads");
        let mut one = [0];
        stdout.read_exact(&mut one).expect("an answer");
        assert_eq!(&one, b"1");
    }
    drop(writer);
    assert_eq!(client.wait(), Some(0));
}

#[test]
fn no_log_line_is_lost_on_a_non_blocking_stderr() {
    let (mut reader, writer) = pipe().expect("a pipe");
    make_non_blocking(&writer);
    let mut command = relay_command(&["--log-level", "debug", "--log-rate", "100000"]);
    command.stderr(writer);
    let mut relay = Server::start_with_own_stderr(command);
    // More than a pipe holds.
    let long = "x".repeat(1000);
    for number in 0..200 {
        let find = format!("FIND {number}-{long}.\n");
        assert_eq!(ask(relay.address(), find.as_bytes()), "NOTFOUND\n");
    }
    assert_eq!(relay.stat("nodes"), 0);
    let mut log = String::new();
    let reader = std::thread::spawn(move || reader.read_to_string(&mut log).map(|_| log));
    assert_eq!(relay.stop(), Some(0));
    drop(relay);
    let log = reader.join().expect("a reader").expect("text");
    for number in 0..200 {
        assert!(log.contains(&format!("FIND {number}-{long}.")), "{number}");
    }
}
