//! Whatever has changed in a share of several pages, the relay is told of that,
//! and of nothing else.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

use peerline::node::Announcer;
use peerline::protocol::Request;
use peerline::role::ReadNext;

use crate::memory::{Entry, Files, Memory};

/// A relay that takes everything, and what it was told.
#[derive(Default)]
struct Told {
    announcer: Announcer,
    names: BTreeSet<String>,
    lines: usize,
}

impl Told {
    /// A conversation.
    fn hears(&mut self, share: &mut Memory) {
        self.lines = 0;
        let files = self.names.len() as u64;
        let mut said = Vec::new();
        let mut next = self.announcer.begin(share, files, &mut said);
        loop {
            for line in std::mem::take(&mut said).split_inclusive(|byte| *byte == b'\n') {
                self.lines += 1;
                self.does(line.trim_ascii_end());
                next = self.announcer.answered(share, b"OK", &mut said);
            }
            match next {
                ReadNext::Line => assert!(!said.is_empty(), "it waits for nothing"),
                _ => break,
            }
        }
        self.announcer.over();
    }

    fn does(&mut self, line: &[u8]) {
        match Request::parse(line) {
            Ok(Request::Share(_, _, name)) => self.names.insert(name.to_string()),
            Ok(Request::Unshare(name)) => self.names.remove(name.as_str()),
            other => panic!("{other:?}"),
        };
    }
}

fn name(number: u32) -> String {
    format!("file {number:05}")
}

#[test]
fn pages_are_compared_wherever_they_are_cut() {
    let files = Rc::new(RefCell::new(Files::default()));
    let mut share = Memory::new(Rc::clone(&files));
    let mut told = Told::default();
    let rounds: [[Range<u32>; 2]; 13] = [
        [0..1000, 0..0],
        [0..2000, 0..0],
        [0..999, 0..0],
        [1..1001, 0..0],
        [0..1, 1000..2001],
        [0..7000, 0..0],
        [0..500, 2600..7000],
        [0..10, 6990..7001],
        [3000..6000, 0..0],
        [2000..2500, 5500..9000],
        [0..0, 0..0],
        [5..6, 0..0],
        [4..5, 0..0],
    ];
    for numbers in rounds {
        let names: BTreeSet<String> = numbers.iter().cloned().flatten().map(name).collect();
        files.borrow_mut().change(|entries| {
            entries.retain(|name, _| names.contains(name));
            for name in &names {
                let entry = || Entry::Small(String::new());
                entries.entry(name.clone()).or_insert_with(entry);
            }
        });
        let difference = told.names.symmetric_difference(&names).count();
        told.hears(&mut share);
        assert!(told.names == names, "{numbers:?}");
        assert_eq!(told.lines, difference, "{numbers:?}");
        told.hears(&mut share);
        assert_eq!(told.lines, 0, "{numbers:?}");
    }
}
