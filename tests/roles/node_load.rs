//! Requests of strangers that could hold up everybody else at a node.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use peerline::node::{Node, Registrar};
use peerline::protocol::{ClaimedIp, MAX_LISTED_FILES, Port};
use peerline::role::Input;

use crate::alone::handle_alone;
use crate::memory::{Entry, Files, Memory, OPEN_WORK};

/// Entries of a folder that is sorted.
const ENTRIES: usize = 4000;

/// A node with a file of 3 bytes, and a folder of files with these letters in their names.
fn node(letters: &str) -> Node<Memory> {
    let files = Rc::new(RefCell::new(Files::watched()));
    files.borrow_mut().change(|entries| {
        let names = (0..ENTRIES).map(|number| format!("big/{letters}{number:05}"));
        let all = names.chain(["small/file".into()]);
        entries.extend(all.map(|name| (name, Entry::Small("abc".into()))));
    });
    let now = Instant::now();
    let relay: SocketAddr = ([192, 0, 2, 1], 4000).into();
    let port = Port::new(40_001).expect("it is not zero");
    let registrar = Registrar::new(vec![relay], ClaimedIp::Source, port, 1, now);
    Node::new(Memory::new(files), vec![registrar], 10, now, |_| {})
}

/// The time that a request takes in one turn, and the work that the node counts for it.
fn handle(node: &mut Node<Memory>, target: &str) -> (Duration, usize) {
    handle_with(node, target, "")
}

/// The same, with further headers.
fn handle_with(node: &mut Node<Memory>, target: &str, headers: &str) -> (Duration, usize) {
    let head = format!("HEAD {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    handle_alone(node, Input::HttpHead(head.as_bytes()))
}

#[test]
fn work_that_no_byte_shows_counts() {
    let mut node = node("é");
    let mut work = |target| handle(&mut node, target).1;
    assert_eq!(work("/small/file"), OPEN_WORK);
    // Beside the entries, each row of a page counts, of which there are 500 at most.
    assert!((1..100).contains(&work("/small/")));
    for order in ["/big/", "/big/?sort=size", "/big/?sort=date&page=8"] {
        let rows = work(order) - ENTRIES;
        assert!((500..1500).contains(&rows), "{order}: {rows}");
    }
    assert!((1000..2000).contains(&work("/big/?json")));
    // The address is http://localhost/small/.
    assert!((16 + 23 / 2 + 1..100).contains(&work("/small/?qr")));
    let get = handle_alone(&mut node, Input::Line(b"GET small/file"));
    assert_eq!(get.1, OPEN_WORK);
    let list = handle_alone(&mut node, Input::Line(b"LIST"));
    assert_eq!(list.1, MAX_LISTED_FILES);
    let mut work = |target| handle(&mut node, target).1;
    // A step of a search folds a bounded number of bytes.
    let search = work("/?search=none");
    assert!((100..200).contains(&search), "{search}");
    let page = work("/big/");
    let compressed = handle_with(&mut node, "/big/", "Accept-Encoding: gzip\r\n").1;
    assert!(compressed > page + 500, "{compressed}, {page}");
}

#[test]
fn names_beyond_ascii_do_not_make_a_turn_long() {
    let (mut ascii, mut other) = (node(&"x".repeat(60)), node(&"é".repeat(30)));
    for target in ["/big/", "/?search=none"] {
        let shortest = |node: &mut Node<Memory>| (0..5).map(|_| handle(node, target).0).min();
        let (ascii, other) = (shortest(&mut ascii), shortest(&mut other));
        let (ascii, other) = ascii.zip(other).expect("several attempts");
        assert!(other < 5 * ascii, "{target}: {ascii:?}, {other:?}");
    }
}
