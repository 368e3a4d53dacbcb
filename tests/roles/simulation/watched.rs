//! The relay beside its model. Whatever it is asked, the model is asked as well,
//! and both must say the same; and whenever it may have changed, two observers
//! look at all of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Instant;

use peerline::close_reason::CloseReason;
use peerline::relay::Relay;

use super::model::{Model, PromptHandle, may_change};
use super::network::{Plays, Wish};
use crate::machine::{Event, Machine};

/// One who sees nodes on loopback, and one who does not.
const OBSERVERS: [(u32, IpAddr); 2] = [
    (1, IpAddr::V4(Ipv4Addr::LOCALHOST)),
    (2, IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1))),
];

pub struct Watched {
    relay: Machine<Relay, Vec<Event<OwnedFd>>>,
    model: Rc<RefCell<Model>>,
    askers: BTreeMap<u32, Conversation>,
    /// What observers ask.
    questions: String,
    /// Something was said since they asked that may have changed something.
    changed: bool,
    wishes: Vec<Wish>,
    /// Whether it sends epochs, as relays of older versions do not.
    has_epochs: bool,
}

struct Conversation {
    asker: PromptHandle,
    /// The last line, as far as it has come.
    begun: Vec<u8>,
}

impl Watched {
    /// A relay that has just started. `names` are those that nodes may share.
    pub fn new(
        relay: Relay,
        model: Rc<RefCell<Model>>,
        has_epochs: bool,
        now: Instant,
        names: &[&str],
    ) -> Self {
        let mut watched = Self {
            relay: Machine::new(relay, now, Vec::new()),
            model,
            askers: BTreeMap::new(),
            questions: "LIST\nSEARCH\nSEARCH E\n".to_owned(),
            changed: true,
            wishes: Vec::new(),
            has_epochs,
        };
        let finds = names.iter().map(|name| format!("FIND {name}\n"));
        watched.questions.extend(finds);
        for (number, ip) in OBSERVERS {
            watched.connect(number, SocketAddr::new(ip, 50_000));
        }
        watched
    }

    fn connect(&mut self, number: u32, from: SocketAddr) {
        self.relay.accept(number, from).expect("a new number");
        let conversation = Conversation {
            asker: PromptHandle::new(from.ip()),
            begun: Vec::new(),
        };
        self.askers.insert(number, conversation);
    }

    /// Lets both hear the lines; returns what the relay says.
    fn ask(&mut self, number: u32, bytes: &[u8]) -> Vec<Wish> {
        Plays::arrive(&mut self.relay, number, bytes);
        let mut said = Plays::wishes(&mut self.relay);
        let now = self.relay.now;
        let Conversation { asker, begun } = self.askers.get_mut(&number).expect("it is there");
        begun.extend_from_slice(bytes);
        let whole = begun
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let rest = begun.split_off(whole);
        let lines = String::from_utf8(mem::replace(begun, rest)).expect("all here is text");
        let mut answers = Vec::new();
        for wish in &mut said {
            if let Wish::Send(to, bytes) = wish {
                assert_eq!(*to, number, "nobody listens here");
                answers.extend_from_slice(bytes);
                if !self.has_epochs {
                    *bytes = without_epochs(bytes);
                }
            }
        }
        let answers = String::from_utf8(answers).expect("answers are text");
        let mut answers = answers.lines();
        for line in lines.lines() {
            self.changed |= may_change(line);
            let mut model = self.model.borrow_mut();
            let expected = model.answer(now, asker, line);
            let mut answer: Vec<&str> = answers.by_ref().take(expected.len()).collect();
            if let [head] = answer.as_mut_slice()
                && let Some((registered, address, epoch)) = split_epoch(head)
            {
                model.check_epoch(&address, epoch);
                *head = registered;
            }
            assert_eq!(sorted(line, answer), sorted(line, expected), "{line}");
        }
        assert_eq!(answers.next(), None, "more than what was asked");
        said
    }

    /// Both are asked for all that they know.
    fn look(&mut self) {
        let questions = mem::take(&mut self.questions);
        for (number, _) in OBSERVERS {
            self.ask(number, questions.as_bytes());
        }
        self.questions = questions;
        self.changed = false;
    }

    /// What is behind in the index is done, and looked at before and after.
    fn settle(&mut self) {
        if self.changed {
            self.look();
        }
        while Plays::next_deadline(&self.relay).is_some_and(|due| due <= self.relay.now) {
            Plays::on_timer(&mut self.relay);
            self.look();
        }
    }
}

/// Splits the reply to `REGISTER` into the known fields, the address among them, and
/// the epoch.
fn split_epoch(line: &str) -> Option<(&str, String, &str)> {
    let fields: Vec<&str> = line.split(' ').collect();
    let ["OK", _, ip, port, _, epoch] = fields.as_slice() else {
        return None;
    };
    let registered = &line[..line.len() - epoch.len() - 1];
    Some((registered, format!("{ip} {port}"), epoch))
}

/// Removes the epochs from replies.
fn without_epochs(replies: &[u8]) -> Vec<u8> {
    let replies = std::str::from_utf8(replies).expect("replies are text");
    let lines = replies.lines().map(|line| {
        let registered = split_epoch(line).map_or(line, |(registered, ..)| registered);
        format!("{registered}\n")
    });
    lines.collect::<String>().into_bytes()
}

/// Of most lists the order is not what is looked at here.
fn sorted(line: &str, answer: Vec<impl Into<String>>) -> Vec<String> {
    let mut answer: Vec<String> = answer.into_iter().map(Into::into).collect();
    if line != "LIST" && !answer.is_empty() {
        answer[1..].sort();
    }
    answer
}

impl Plays for Watched {
    fn set_time(&mut self, now: Instant) {
        Plays::set_time(&mut self.relay, now);
    }

    fn accept(&mut self, from: SocketAddr) -> u32 {
        let number = self.relay.next_number();
        self.connect(number, from);
        number
    }

    fn reached(&mut self, _: u32) {
        unreachable!("a relay dials nobody");
    }

    fn arrive(&mut self, number: u32, bytes: &[u8]) {
        let said = self.ask(number, bytes);
        self.wishes.extend(said);
        self.settle();
    }

    fn end(&mut self, number: u32) {
        Plays::end(&mut self.relay, number);
    }

    fn over(&mut self, number: u32, end: &CloseReason) {
        Plays::over(&mut self.relay, number, end);
    }

    fn next_deadline(&self) -> Option<Instant> {
        Plays::next_deadline(&self.relay)
    }

    fn on_timer(&mut self) {
        Plays::on_timer(&mut self.relay);
        self.settle();
    }

    fn on_external_event(&mut self) {}

    fn drain(&mut self) {
        Plays::drain(&mut self.relay);
    }

    fn wishes(&mut self) -> Vec<Wish> {
        let mut wishes = mem::take(&mut self.wishes);
        wishes.extend(Plays::wishes(&mut self.relay));
        wishes
    }
}
