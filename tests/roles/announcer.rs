//! The announcer sends exactly the changes of a share, however many pages it has.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

use peerline::node::Announcer;
use peerline::protocol::{Registered, Reply, Request};
use peerline::role::{Input, ReadNext};
use peerline::session::requests::RequestQueue;

use crate::memory::{Entry, Files, Memory};

/// An announcer and a relay that accepts everything.
#[derive(Default)]
struct Announcement {
    announcer: Announcer,
    /// What the relay has recorded.
    names: BTreeSet<String>,
    /// How many requests the last update took.
    requests: usize,
}

impl Announcement {
    fn update(&mut self, share: &mut Memory) {
        self.requests = 0;
        let registered = format!("60 192.0.2.7 9 {} 1", self.names.len());
        let registered = Registered::parse(&registered).expect("a reply");
        assert!(!self.announcer.compare_record(&registered));
        let (mut queue, mut out) = (RequestQueue::default(), Vec::new());
        let mut next = self.announcer.start(share, &mut queue, &mut out);
        loop {
            for line in std::mem::take(&mut out).split_inclusive(|byte| *byte == b'\n') {
                self.requests += 1;
                self.execute(line.trim_ascii_end());
                let Ok(Some((_, Some(change)))) = queue.on_input(Input::Line(b"OK")) else {
                    panic!("there is a request");
                };
                let reply = Reply::DONE;
                next = self
                    .announcer
                    .on_reply(share, change, reply, &mut queue, &mut out);
            }
            match next {
                ReadNext::Line => assert!(!out.is_empty(), "no request is outstanding"),
                _ => break,
            }
        }
        self.announcer.on_close([].into_iter());
    }

    fn execute(&mut self, line: &[u8]) {
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
    let mut announcement = Announcement::default();
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
        let difference = announcement.names.symmetric_difference(&names).count();
        announcement.update(&mut share);
        assert!(announcement.names == names, "{numbers:?}");
        assert_eq!(announcement.requests, difference, "{numbers:?}");
        announcement.update(&mut share);
        assert_eq!(announcement.requests, 0, "{numbers:?}");
    }
}
