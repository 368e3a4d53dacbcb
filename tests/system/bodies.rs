//! What a file's content meets on its way: every size, many clients at once,
//! and nodes that die in the middle.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Barrier;
use std::thread;

use rustix::process::Signal;

use crate::fake::{Fake, unregister};
use crate::running::Running;
use crate::support::{client, client_command, eventually, folder, node, relay, run};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Bytes of all values without a short period.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes
}

#[test]
fn a_small_file_comes_every_time() {
    let relay = relay(&[]);
    let share = folder(&[("hello.txt", b"Hello, Peerline!\n")]);
    let node = node(&relay, share.path(), &[]);
    for _ in 0..200 {
        let done = client(&relay, &["get", "hello.txt"]).expect_code(0);
        assert_eq!(done.stdout, b"Hello, Peerline!\n");
    }
    assert_eq!(node.stat("gets_found"), 200);
}

#[test]
fn every_size_comes_byte_for_byte() {
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
        let done = client(&relay, &["get", name]).expect_code(0);
        // Not assert_eq: it would print megabytes.
        assert!(done.stdout == *content, "{name}: {}", done.stderr);
        let plural = if name == "1" { "" } else { "s" };
        let says = format!("received {name} byte{plural}, 0 remaining");
        assert!(done.stderr.contains(&says), "{}", done.stderr);
    }
    // One after the other they come out as one stream.
    let names = files.each_ref().map(|(name, _)| &name[..]);
    let done = client(&relay, &[&["get"], &names[..]].concat()).expect_code(0);
    assert!(done.stdout == files.map(|(_, content)| content).concat());
}

#[test]
fn names_are_taken_as_they_are() {
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
        let done = client(&relay, &["get", "--", name]).expect_code(0);
        assert_eq!(done.text(), name);
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
                let done = client(&relay, &["get", "file"]).expect_code(0);
                assert!(done.stdout == content, "{}", done.stderr);
            });
        }
    });
    assert_eq!(node.stat("gets_found"), CLIENTS as u64);
}

/// Reads to the end and compares; returns how many bytes came.
fn compare(mut came: impl Read, original: &File) -> u64 {
    let (mut piece, mut expected) = (vec![0; MIB], vec![0; MIB]);
    let mut offset = 0;
    loop {
        let length = came.read(&mut piece).expect("bytes");
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

/// Makes a file that takes little room, with marks at these places.
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
fn three_gibibytes_come_whole() {
    const SIZE: u64 = 3 << 30;
    // Around the places where a 32-bit number would turn over, and elsewhere.
    let turn = 1 << 31;
    let marks = [0, turn - 8, turn, turn + 12_345, (5 << 29) - 3, SIZE - 8];
    let share = folder(&[]);
    let original = sparse(&share.path().join("large"), SIZE, &marks);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let mut client = Running::start(
        client_command(relay.address(), &["get", "large", "-q"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped()),
    );
    let stdout = client.child.stdout.take().expect("it is a pipe");
    assert_eq!(compare(stdout, &original), SIZE);
    assert_eq!(client.end(), Some(0));
}

#[test]
fn a_large_file_is_saved_whole() {
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
fn what_broke_off_early_is_not_printed_and_the_next_node_is_asked() {
    let content = noise(2 * MIB, 7);
    let head = format!("FOUND {}\n", content.len()).into_bytes();
    // One byte less than what the client prints before a file is complete.
    let cut = Fake::saying([&head, &content[..MIB - 1]].concat());
    let torn_head = head.clone();
    let torn = Fake::new(move |mut caller| {
        caller.line();
        caller.say([&torn_head, &b"of another file"[..]].concat());
        caller.reset();
    });
    let share = folder(&[("file", &content)]);
    let node = node(&relay(&[]), share.path(), &[]);
    let relay = Fake::relay(&[cut.address(), torn.address(), node.address()]);
    let done = run(client_command(relay.address(), &["get", "file"]), b"").expect_code(0);
    assert!(done.stdout == content, "{}", done.stderr);
    assert_eq!((cut.calls(), torn.calls()), (1, 1));
}

#[test]
fn what_breaks_off_late_was_printed_and_the_client_says_how_much() {
    let content = noise(2 * MIB, 8);
    let head = format!("FOUND {}\n", content.len()).into_bytes();
    let dies = Fake::saying([&head, &content[..MIB + 77]].concat());
    let share = folder(&[("file", &content)]);
    let other = node(&relay(&[]), share.path(), &[]);
    let relay = Fake::relay(&[dies.address(), other.address()]);
    let done = run(client_command(relay.address(), &["get", "file"]), b"").expect_code(4);
    assert!(done.stdout == content[..MIB + 77], "{}", done.stderr);
    let says = "file: incomplete: 1048653 of 2097152 bytes were printed";
    assert!(done.stderr.contains(says), "{}", done.stderr);
    // Printing the same again from another node would not be the file.
    assert_eq!(other.stat("gets"), 0);
}

#[test]
fn a_node_that_freezes_or_dies_in_the_middle_is_given_up() {
    // More than the pipe and all buffers of the sockets hold.
    const SIZE: u64 = 200 << 20;
    let share = folder(&[]);
    sparse(&share.path().join("file"), SIZE, &[]);
    let relay = relay(&[]);
    for signal in [Signal::STOP, Signal::KILL] {
        let node = node(&relay, share.path(), &[]);
        let mut client = Running::start(
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
        let came = (first.len() + rest.len()) as u64;
        assert!(came < SIZE);
        assert_eq!(client.end(), Some(4));
        let mut complaint = String::new();
        let stderr = client.child.stderr.as_mut().expect("it is a pipe");
        stderr.read_to_string(&mut complaint).expect("text");
        let says = format!("incomplete: {came} of {SIZE} bytes");
        assert!(complaint.contains(&says), "{complaint}");
        unregister(&relay, node.address());
    }
}

#[test]
fn a_client_whose_output_nobody_takes_is_ended_by_a_second_signal() {
    let share = folder(&[("file", &[7; 2 * MIB])]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let mut client = Running::start(
        client_command(relay.address(), &["get", "file", "-q"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped()),
    );
    let mut stdout = client.child.stdout.take().expect("it is a pipe");
    stdout.read_exact(&mut [0]).expect("a byte");
    // The pipe is full: the program waits in a write. Two signals may become one.
    eventually("the end", || {
        client.signal(Signal::INT);
        client.child.try_wait().expect("a child").is_some()
    });
    // The second signal ends it as if nobody had listened for it.
    assert_eq!(client.end(), None);
}
