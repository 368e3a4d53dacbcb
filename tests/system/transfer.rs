//! Transfers of content: every size, many clients at once, and nodes that stop in
//! mid-body.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{ChildStdout, Stdio};
use std::sync::Barrier;
use std::thread;

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::io::ioctl_fionread;
use rustix::pipe::fcntl_getpipe_size;
use rustix::process::Signal;

use crate::support::fake_server::{FakeServer, unregister};
use crate::support::{
    RunningProgram, Server, client, client_command, eventually, folder, node, noise, relay, run,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

#[test]
fn a_small_file_arrives_200_times() {
    let relay = relay(&[]);
    let share = folder(&[("hello.txt", b"Hello, Peerline!\n")]);
    let node = node(&relay, share.path(), &[]);
    for _ in 0..200 {
        let output = client(&relay, &["get", "hello.txt"]).expect_code(0);
        assert_eq!(output.stdout, b"Hello, Peerline!\n");
    }
    assert_eq!(node.stat("gets_found"), 200);
}

#[test]
fn every_size_arrives_byte_for_byte() {
    let sizes = [
        0,
        1,
        255,
        256,
        4095,
        4096,
        64 * KIB,
        64 * KIB + 1,
        MIB,
        MIB + 1,
        20 * MIB,
    ];
    let files = sizes.map(|size| (size.to_string(), noise(size, size as u64)));
    let list = files
        .each_ref()
        .map(|(name, bytes)| (&name[..], &bytes[..]));
    let share = folder(&list);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    for (name, content) in &files {
        let output = client(&relay, &["get", name]).expect_code(0);
        // assert_eq would print megabytes.
        assert!(output.stdout == *content, "{name}: {}", output.stderr);
        let plural = if name == "1" { "" } else { "s" };
        let message = format!("received {name} byte{plural}, 0 remaining");
        assert!(output.stderr.contains(&message), "{}", output.stderr);
    }
    // Several files are printed as one stream.
    let names = files.each_ref().map(|(name, _)| &name[..]);
    let output = client(&relay, &[&["get"], &names[..]].concat()).expect_code(0);
    assert!(output.stdout == files.map(|(_, content)| content).concat());
}

#[test]
fn unusual_file_names() {
    let long = format!("{}/{}.txt", "d".repeat(255), "f".repeat(251));
    let names = [
        "two generals.txt",
        "größe/日本語 🙂.txt",
        "-o",
        "quote's \"and\" $HOME; *.txt",
        "ends with a dot.",
        "GET x",
        "e\u{301} is not \u{e9}",
        "\u{e9}",
        &long,
    ];
    let list = names.map(|name| (name, name.as_bytes()));
    let share = folder(&list);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    for name in names {
        // With -o a name that looks like a glob is a name.
        let output = client(&relay, &["get", "-o", "-", "--", name]).expect_code(0);
        assert_eq!(output.text(), name);
    }
    client(&relay, &["get", "e\u{301}"]).expect_code(1);
}

#[test]
fn a_hundred_clients_are_served_at_once() {
    const CLIENTS: usize = 100;
    let content = noise(300 * KIB, 100);
    let share = folder(&[("file", &content)]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &[]);
    let start = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                start.wait();
                let output = client(&relay, &["get", "file"]).expect_code(0);
                assert!(output.stdout == content, "{}", output.stderr);
            });
        }
    });
    assert_eq!(node.stat("gets_found"), CLIENTS as u64);
}

/// Compares a stream with a file. Returns the number of bytes in the stream.
fn compare(mut stream: impl Read, original: &File) -> u64 {
    let (mut piece, mut expected) = (vec![0; MIB], vec![0; MIB]);
    let mut offset = 0;
    loop {
        let length = stream.read(&mut piece).expect("bytes");
        if length == 0 {
            return offset;
        }
        let expected = &mut expected[..length];
        original
            .read_exact_at(expected, offset)
            .expect("no more came than there is");
        assert!(piece[..length] == *expected, "near byte {offset}");
        offset += length as u64;
    }
}

/// Creates a sparse file that contains each mark at its own offset.
fn sparse(path: &Path, size: u64, marks: &[u64]) -> File {
    let file = File::create_new(path).expect("a file");
    file.set_len(size).expect("a sparse file");
    for mark in marks {
        file.write_all_at(&mark.to_be_bytes(), *mark)
            .expect("bytes");
    }
    File::open(path).expect("the file")
}

#[test]
fn three_gibibytes_arrive() {
    const SIZE: u64 = 3 << 30;
    // Around the offsets at which a 32-bit integer overflows, and elsewhere.
    let turn = 1 << 31;
    let marks = [0, turn - 8, turn, turn + 12_345, (5 << 29) - 3, SIZE - 8];
    let share = folder(&[]);
    let original = sparse(&share.path().join("large"), SIZE, &marks);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let mut client = RunningProgram::start(
        client_command(relay.address(), &["get", "large", "-q"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped()),
    );
    let stdout = client.child.stdout.take().expect("it is a pipe");
    assert_eq!(compare(stdout, &original), SIZE);
    assert_eq!(client.wait(), Some(0));
}

#[test]
fn a_large_file_is_saved() {
    const SIZE: u64 = 200 << 20;
    let (share, home) = (folder(&[]), folder(&[]));
    let marks = [0, (64 << 20) - 3, SIZE / 2, SIZE - 8];
    let original = sparse(&share.path().join("large"), SIZE, &marks);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let path = home.path().join("large");
    let target = path.to_str().expect("a text");
    client(&relay, &["get", "large", "-o", target]).expect_code(0);
    let saved = File::open(path).expect("the file");
    assert_eq!(compare(saved, &original), SIZE);
}

#[test]
fn an_early_abort_prints_nothing_and_asks_the_next_node() {
    let content = noise(2 * MIB, 7);
    let head = format!("FOUND {}\n", content.len()).into_bytes();
    // One byte less than the client buffers before it prints.
    let cut = FakeServer::replying([&head, &content[..MIB - 1]].concat());
    let torn_head = head.clone();
    let torn = FakeServer::new(move |mut connection| {
        connection.line();
        connection.send([&torn_head, &b"of another file"[..]].concat());
        connection.reset();
    });
    let share = folder(&[("file", &content)]);
    let node = node(&relay(&[]), share.path(), &[]);
    let relay = FakeServer::relay(&[cut.address(), torn.address(), node.address()]);
    let output = run(client_command(relay.address(), &["get", "file"]), b"").expect_code(0);
    assert!(output.stdout == content, "{}", output.stderr);
    assert_eq!((cut.connections(), torn.connections()), (1, 1));
}

#[test]
fn a_late_abort_reports_the_printed_bytes() {
    let content = noise(2 * MIB, 8);
    let head = format!("FOUND {}\n", content.len()).into_bytes();
    let aborting = FakeServer::replying([&head, &content[..MIB + 77]].concat());
    let share = folder(&[("file", &content)]);
    let other = node(&relay(&[]), share.path(), &[]);
    let relay = FakeServer::relay(&[aborting.address(), other.address()]);
    let output = run(client_command(relay.address(), &["get", "file"]), b"").expect_code(4);
    assert!(output.stdout == content[..MIB + 77], "{}", output.stderr);
    let message = "file: incomplete: 1048653 of 2097152 bytes were printed";
    assert!(output.stderr.contains(message), "{}", output.stderr);
    // Another node must not be asked: its content would follow the printed part.
    assert_eq!(other.stat("gets"), 0);
}

#[test]
fn a_node_that_stops_mid_body_is_given_up() {
    // More than the pipe and the socket buffers hold.
    const SIZE: u64 = 200 << 20;
    let share = folder(&[]);
    sparse(&share.path().join("file"), SIZE, &[]);
    let relay = relay(&[]);
    for signal in [Signal::STOP, Signal::KILL] {
        let node = node(&relay, share.path(), &[]);
        let mut client = RunningProgram::start(
            client_command(relay.address(), &["get", "file", "-q", "--timeout", "1"])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped()),
        );
        let mut stdout = client.child.stdout.take().expect("it is a pipe");
        let mut first = vec![0; 2 * MIB];
        stdout.read_exact(&mut first).expect("the first part");
        node.signal(signal);
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).expect("what was under way");
        let received = (first.len() + rest.len()) as u64;
        assert!(received < SIZE);
        assert_eq!(client.wait(), Some(4));
        let mut complaint = String::new();
        let stderr = client.child.stderr.as_mut().expect("it is a pipe");
        stderr.read_to_string(&mut complaint).expect("text");
        let message = format!("incomplete: {received} of {SIZE} bytes");
        assert!(complaint.contains(&message), "{complaint}");
        unregister(&relay, node.address());
    }
}

/// A client with a full pipe on stdout, and the other end of that.
fn blocked_client(relay: &Server) -> (RunningProgram, ChildStdout) {
    let mut client = RunningProgram::start(
        client_command(relay.address(), &["get", "file", "-q"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped()),
    );
    let stdout = client.child.stdout.take().expect("it is a pipe");
    let capacity = fcntl_getpipe_size(&stdout).expect("it is a pipe");
    eventually("the pipe is full", || {
        ioctl_fionread(&stdout).is_ok_and(|length| length == capacity as u64)
    });
    (client, stdout)
}

#[test]
fn the_first_signal_of_any_kind_ends_a_client_blocked_in_a_write() {
    let share = folder(&[("file", &[7; 2 * MIB])]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::USR1] {
        let (mut client, _stdout) = blocked_client(&relay);
        client.signal(signal);
        assert_eq!(client.wait(), Some(130), "{signal:?}");
    }
}

/// The first signal is handled, and the program waits for a reader of its stderr.
#[test]
fn a_signal_ends_a_client_whose_stderr_is_full() {
    let share = folder(&[("file", &[7; 2 * MIB])]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let (_reader, mut writer) = io::pipe().expect("a pipe");
    let size = fcntl_getpipe_size(&writer).expect("it is a pipe");
    writer.write_all(&vec![0; size]).expect("there is room");
    let mut command = client_command(relay.address(), &["get", "file", "-q"]);
    command.args(["--limit-rate", "500k"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut client = RunningProgram::start(command.stderr(writer));
    let mut stdout = client.child.stdout.take().expect("it is a pipe");
    stdout.read_exact(&mut [0]).expect("a byte");
    client.signal(Signal::TERM);
    assert_eq!(client.wait(), Some(130));
}

#[test]
fn a_signal_ends_a_client_that_waits_for_the_reader_of_a_fifo() {
    let share = folder(&[("file", b"content")]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &[]);
    let fifo = share.path().join(".fifo");
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).expect("a FIFO");
    let before = node.stat("gets_found");
    let mut command = client_command(relay.address(), &["get", "file", "-o"]);
    command.arg(&fifo).stdin(Stdio::null());
    let mut client = RunningProgram::start(&mut command);
    eventually("the request", || node.stat("gets_found") > before);
    client.signal(Signal::HUP);
    assert_eq!(client.wait(), Some(130));
}
