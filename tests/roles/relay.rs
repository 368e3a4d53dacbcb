//! Scripts for the relay. Commands beside those of the stage:
//!
//! - `relay lease=TIME max-nodes=N max-line=N max-unknown=N wrong-cookies=N trust=NETWORK…
//!   message-rate=N max-shared=N max-shared-bytes=N public-metrics=BOOL secret=TEXT
//!   guess-rate=N`: starts the relay.
//! - `register-many N COUNT`: registers COUNT nodes over connection N.
//! - `share-many N PORT COUNT`: registers a node over connection N and shares COUNT
//!   files of 1 byte, with numbers as names.
//! - `repeat N COUNT LINE`: sends the line COUNT times in one go. Equal replies in
//!   sequence are shown once, with their number.
//! - `pad N COUNT LINE`: sends the line and COUNT letters; the letters are shown by
//!   their number.
//! - `figures N "NAME …"`: sends `STATS` and shows these figures.
//! - `http N TARGET`: sends a request in HTTP, and shows the status, the headers that depend
//!   on the request, and the content. `http-status N TARGET` shows the status only.
//! - `secret TEXT`: another secret counts from now on.
//! - `brief N LINE`: as `say`, but shows only the ends of a long reply.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime};

use goldenscript::{Command, Context as ScriptContext};
use peerline::protocol::{Delivery, FileItem, HolderItem, NodeAddress, Reply, SharedSecret};
use peerline::relay::{Relay, RelaySettings, Trust};
use peerline::role::{Context, Output, Role, Traffic, UdpPeer};
use peerline::session::GroupSecret;

use proptest::prelude::*;

use crate::defaults::defaults;
use crate::processor_time::processor_time;
use crate::stage::{Stage, StageResult, abbreviate, time};

#[derive(Default)]
pub struct Play {
    stage: Option<Stage<Relay>>,
    speaks_http: bool,
    secret: Option<Arc<GroupSecret>>,
}

/// A relay with a fixed secret: its cookies are always the same.
pub fn relay(settings: RelaySettings, began: Instant) -> Relay {
    Relay::new(settings, [7; 32], began)
}

pub fn stage(settings: RelaySettings) -> Stage<Relay> {
    let began = Instant::now();
    let relay = relay(settings, began);
    let (_, news) = channel();
    let show_file = |_: &_| unreachable!("a relay sends no files");
    Stage::new(relay, began, news, show_file)
}

impl Play {
    fn start(&mut self, command: &Command) -> StageResult {
        let mut args = command.consume_args();
        let mut settings = defaults();
        let mut trusted = Vec::new();
        while let Some((key, value)) = args.next_key() {
            match key {
                "lease" => settings.lease = time(value)?,
                "max-nodes" => settings.max_nodes = value.parse()?,
                "max-of-host" => settings.max_nodes_per_address = value.parse()?,
                "max-line" => settings.max_line = value.parse()?,
                "wrong-cookies" => settings.wrong_cookie_rate = value.parse()?,
                "max-unknown" => settings.max_unknown = value.parse()?,
                "message-rate" => settings.message_rate = value.parse()?,
                "message-rate-per-address" => settings.message_rate_per_address = value.parse()?,
                "max-shared" => settings.quota.node_files = value.parse()?,
                "max-shared-in-all" => settings.quota.all_files = value.parse()?,
                "max-shared-bytes-in-all" => settings.quota.all_bytes = value.parse()?,
                "max-shared-bytes-per-address" => settings.quota.address_bytes = value.parse()?,
                "max-shared-bytes" => settings.quota.node_bytes = value.parse()?,
                "secret" => {
                    let secret = GroupSecret::new(SharedSecret::new(value)?);
                    settings.access.secret = Some(Arc::new(secret));
                }
                "guess-rate" => settings.access.guess_rate = value.parse()?,
                "public-metrics" => settings.http.public_metrics = value.parse()?,
                "trust" => trusted.push(value.parse()?),
                key => return Err(format!("a relay has no {key}").into()),
            }
        }
        settings.trust = Trust::new(trusted);
        self.secret.clone_from(&settings.access.secret);
        self.stage = Some(stage(settings));
        args.reject_next()
    }

    fn change_secret(&self, command: &Command) -> StageResult {
        let mut args = command.consume_args();
        let text = args.next_pos().ok_or("which secret?")?;
        let secret = self.secret.as_ref().ok_or("the relay has no secret")?;
        assert!(secret.replace(SharedSecret::new(text)?), "it is another");
        args.reject_next()
    }

    fn register_many(stage: &mut Stage<Relay>, command: &Command) -> StageResult {
        let mut args = command.consume_args();
        let conn = args.next_pos().ok_or("which connection?")?.parse()?;
        let count: u16 = args.next_pos().ok_or("how many?")?.parse()?;
        for port in 1..=count {
            stage.arrive(conn, format!("REGISTER * {port}\n").as_bytes())?;
        }
        let answers = stage.take_text();
        let registered = answers.matches("< OK ").count();
        assert_eq!(registered, usize::from(count), "{answers}");
        Ok(())
    }
}

impl Play {
    fn share_many(stage: &mut Stage<Relay>, command: &Command) -> StageResult {
        let mut args = command.consume_args();
        let conn = args.next_pos().ok_or("which connection?")?.parse()?;
        let port = args.next_pos().ok_or("which port?")?;
        let count: u32 = args.next_pos().ok_or("how many?")?.parse()?;
        stage.arrive(conn, format!("REGISTER * {port}\n").as_bytes())?;
        let shares = (1..=count).map(|number| format!("SHARE 1 - f{number:05}\n"));
        stage.arrive(conn, shares.collect::<String>().as_bytes())?;
        let accepted = stage.take_text().matches("< OK").count();
        assert_eq!(accepted, count as usize + 1);
        args.reject_next()
    }

    fn repeat(stage: &mut Stage<Relay>, command: &Command) -> StageResult<String> {
        let mut args = command.consume_args();
        let conn = args.next_pos().ok_or("which connection?")?.parse()?;
        let count: usize = args.next_pos().ok_or("how often?")?.parse()?;
        let line = args.next_pos().ok_or("which line?")?;
        args.reject_next()?;
        stage.arrive(conn, format!("{line}\n").repeat(count).as_bytes())?;
        let seen = stage.take_text();
        let lines: Vec<&str> = seen.lines().collect();
        let same = lines.chunk_by(|line, next| line == next);
        Ok(same
            .map(|same| format!("{} x {}\n", same.len(), same[0]))
            .collect())
    }

    fn pad(stage: &mut Stage<Relay>, command: &Command) -> StageResult<String> {
        let mut args = command.consume_args();
        let conn = args.next_pos().ok_or("which connection?")?.parse()?;
        let count: usize = args.next_pos().ok_or("how many?")?.parse()?;
        let line = args.next_pos().ok_or("which line?")?;
        args.reject_next()?;
        let letters = "x".repeat(count);
        stage.arrive(conn, format!("{line}{letters}\n").as_bytes())?;
        Ok(stage
            .take_text()
            .replace(&letters, &format!("({count} letters)")))
    }

    fn figures(stage: &mut Stage<Relay>, command: &Command) -> StageResult<String> {
        let mut args = command.consume_args();
        let conn = args.next_pos().ok_or("which connection?")?.parse()?;
        let names: Vec<&str> = args.next_pos().ok_or("which?")?.split(' ').collect();
        args.reject_next()?;
        stage.arrive(conn, b"STATS\n")?;
        let is_shown = |line: &str| names.contains(&line.split(' ').nth(2).unwrap_or_default());
        let seen = stage.take_text();
        let shown = seen.lines().filter(|line| is_shown(line));
        Ok(shown.map(|line| format!("{line}\n")).collect())
    }

    fn http(stage: &mut Stage<Relay>, command: &Command) -> StageResult {
        let mut args = command.consume_args();
        let conn = args.next_pos().ok_or("which connection?")?.parse()?;
        let target = args.next_pos().ok_or("which address?")?;
        args.reject_next()?;
        stage.allow_http();
        let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stage.arrive(conn, head.as_bytes())
    }

    fn brief(stage: &mut Stage<Relay>, command: &Command) -> StageResult<String> {
        let mut args = command.consume_args();
        let conn = args.next_pos().ok_or("which connection?")?.parse()?;
        let line = args.next_pos().ok_or("which line?")?;
        args.reject_next()?;
        stage.arrive(conn, format!("{line}\n").as_bytes())?;
        Ok(abbreviate(&stage.take_text()))
    }
}

impl goldenscript::Runner for Play {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &ScriptContext) -> StageResult<String> {
        if command.name == "relay" {
            self.start(command)?;
        }
        if command.name == "secret" {
            self.change_secret(command)?;
            return Ok(String::new());
        }
        let stage = self.stage.as_mut().ok_or("start with: relay")?;
        match command.name.as_str() {
            "relay" => {}
            "register-many" => Self::register_many(stage, command)?,
            "share-many" => Self::share_many(stage, command)?,
            "repeat" => return Self::repeat(stage, command),
            "pad" => return Self::pad(stage, command),
            "http" | "http-status" => {
                self.speaks_http = true;
                Self::http(stage, command)?;
            }
            "brief" => return Self::brief(stage, command),
            "figures" => return Self::figures(stage, command),
            _ => stage.run(command)?,
        }
        let seen = stage.take_text();
        if command.name == "http-status" {
            let status = seen.lines().next().unwrap_or_default();
            return Ok(format!("{status}\n"));
        }
        Ok(match self.speaks_http {
            true => without_common_headers(&seen),
            false => seen,
        })
    }
}

/// Leaves out the headers of responses that are the same everywhere.
fn without_common_headers(seen: &str) -> String {
    let is_common = |line: &&str| {
        let header = line.split(" < ").nth(1).unwrap_or_default();
        let names = [
            "Date: ",
            "X-",
            "Referrer-",
            "Cross-",
            "Content-",
            "Cache-",
            "\\r",
        ];
        names.iter().any(|name| header.starts_with(name)) || header.trim().is_empty()
    };
    let shown = seen.lines().filter(|line| !is_common(line));
    shown.map(|line| format!("{line}\n")).collect()
}

/// An event on one of a few connections.
#[derive(Clone, Debug)]
enum Event {
    /// Lines arrive together.
    Lines(u32, Vec<&'static str>),
    Lose(u32),
    Advance(u64),
}

/// The second one is on loopback; the first and the third have the same address.
const PEERS: [&str; 4] = ["192.0.2.7", "127.0.0.1", "192.0.2.7", "2001:db8::5"];

const LINES: [&str; 28] = [
    "",
    "REGISTER * 40001",
    "REGISTER 192.0.2.7 40001",
    "REGISTER * 40002",
    "REGISTER * 50001",
    "REGISTER x",
    "UNREGISTER * 40001",
    "LIST",
    "SHARE 1 - a",
    "SHARE 2 - a",
    "SHARE 1 - B a",
    "SHARE 1 - c/ä",
    "UNSHARE a",
    "FIND a",
    "FIND b",
    "DIGEST a",
    "SEARCH",
    "SEARCH A",
    "MORE",
    "LISTEN",
    "WHO",
    "SEND 192.0.2.7 50000 to the first",
    "SEND 127.0.0.1 50001 to the second",
    "SEND 192.0.2.7 40001 to a node",
    "SEND 192.0.2.7 50001 to a node",
    "SEND 127.0.0.1 40001 to another",
    "STATS",
    "PING",
];

fn events() -> impl Strategy<Value = Event> {
    let peer = 0..PEERS.len() as u32;
    let lines = prop::collection::vec(prop::sample::select(&LINES[..]), 1..6);
    prop_oneof![
        8 => (peer.clone(), lines).prop_map(|(peer, lines)| Event::Lines(peer, lines)),
        1 => peer.prop_map(Event::Lose),
        1 => prop::sample::select(&[0, 1, 400, 3000][..]).prop_map(Event::Advance),
    ]
}

/// Splits what a connection received into the first lines of the replies and the
/// messages between them.
fn answers<'a>(mut lines: impl Iterator<Item = &'a str>) -> (Vec<Reply<'a>>, Vec<Delivery<'a>>) {
    let (mut replies, mut messages) = (Vec::new(), Vec::new());
    while let Some(line) = lines.next() {
        if let Some(message) = Delivery::parse(line) {
            messages.push(message);
            continue;
        }
        let reply = Reply::parse(line.as_bytes()).unwrap_or_else(|_| panic!("{line:?}"));
        let (count, is_item): (u64, fn(&str) -> bool) = match reply {
            Reply::Nodes(count) => (count.shown(), |line| NodeAddress::parse(line).is_ok()),
            Reply::Holders(count) => (count.shown(), |line| HolderItem::parse(line).is_ok()),
            Reply::Files { shown, .. } => (shown, |line| FileItem::parse(line).is_ok()),
            Reply::Stats(count) => (count, |line| line.split(' ').count() == 2),
            _ => (0, |_| false),
        };
        for _ in 0..count {
            let item = lines.next().unwrap_or_default();
            assert!(is_item(item), "{item:?} in a list of {line:?}");
        }
        replies.push(reply);
    }
    (replies, messages)
}

proptest! {
    #[test]
    fn each_request_has_one_reply_and_each_accepted_message_is_delivered_once(
        events in prop::collection::vec(events(), 1..40),
    ) {
        let lease = Duration::from_secs(2);
        let mut stage = stage(RelaySettings { lease, message_rate: 5, ..defaults() });
        for event in events {
            for (peer, ip) in (0..).zip(PEERS) {
                if !stage.is_connected(peer) {
                    let ip: IpAddr = ip.parse().expect("an address");
                    stage.connect(peer, ip).expect("it is not connected");
                }
            }
            let (peer, sent_lines) = match event {
                Event::Lines(peer, lines) => (peer, lines),
                Event::Lose(peer) => {
                    stage.reset(peer).expect("it is connected");
                    continue;
                }
                Event::Advance(millis) => {
                    stage.advance(Duration::from_millis(millis));
                    continue;
                }
            };
            stage.take_text();
            let text: String = sent_lines.iter().map(|line| format!("{line}\n")).collect();
            stage.arrive(peer, text.as_bytes()).expect("it is connected");
            let seen = stage.take_text();
            let mut received: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
            for (to, line) in seen.lines().filter_map(|line| line.split_once(" < ")) {
                received.entry(to.parse().expect("a number")).or_default().push(line);
            }
            let mut messages = 0_usize;
            for (to, lines) in received {
                let (replies, here) = answers(lines.into_iter());
                messages = messages.wrapping_add(here.len());
                if to == peer {
                    prop_assert_eq!(replies.len(), sent_lines.len(), "{:?}: {}", sent_lines, seen);
                    let sent = sent_lines.iter().zip(&replies).filter(|(line, reply)| {
                        line.starts_with("SEND") && **reply == Reply::Ok("".into())
                    });
                    messages = messages.wrapping_sub(sent.count());
                } else {
                    // Besides messages others receive only that they are replaced.
                    let replaced = |reply: &Reply<'_>| reply.to_string() == "ERROR 409 replaced by a newer listener";
                    prop_assert!(replies.iter().all(replaced), "{:?}: {}", sent_lines, seen);
                    prop_assert_eq!(stage.is_connected(to), replies.is_empty());
                }
            }
            prop_assert_eq!(messages, 0, "{:?}: {}", sent_lines, seen);
        }
    }
}

/// The relay's replies to lines in a datagram with a valid cookie.
pub fn in_a_datagram(relay: &mut Relay, now: Instant, lines: &str) -> String {
    let address = "192.0.2.7:5000".parse().expect("an address");
    let from = UdpPeer { socket: 0, address };
    let traffic = Traffic::default();
    let mut answer = |datagram: &str| {
        let mut out = Output::default();
        let mut context = Context {
            now,
            wall_clock: || SystemTime::UNIX_EPOCH,
            traffic: &traffic,
            out: &mut out,
        };
        relay.on_datagram(&mut context, from, datagram.as_bytes());
        String::from_utf8(out.take().0).expect("text")
    };
    let cookie = answer("PING\n");
    answer(&format!("{} {lines}", cookie.trim()))
}

/// A client must not hold up all others with a few small datagrams.
#[test]
fn a_list_in_a_datagram_costs_no_more_than_it_shows() {
    let now = Instant::now();
    let mut relay = relay(
        RelaySettings {
            max_nodes_per_address: usize::MAX,
            datagram_rate: u32::MAX,
            ..defaults()
        },
        now,
    );
    for ports in (1..=20_000_u32).collect::<Vec<_>>().chunks(20) {
        let lines: String = ports
            .iter()
            .map(|port| format!("REGISTER * {port}\n"))
            .collect();
        in_a_datagram(&mut relay, now, &lines);
    }
    let began = processor_time();
    for _ in 0..500 {
        let changed = "UNREGISTER * 20000\nREGISTER * 20000\n";
        let replies = in_a_datagram(&mut relay, now, changed);
        assert!(
            replies.starts_with("OK\nOK 60 192.0.2.7 20000 0 "),
            "{replies}"
        );
        let list = in_a_datagram(&mut relay, now, "LIST\n");
        assert!(
            list.ends_with('\n') && list.contains(" 20000\n192.0.2.7 1\n"),
            "{list}"
        );
    }
    // Each complete list would take some milliseconds.
    let used = processor_time().saturating_sub(began);
    assert!(used < Duration::from_secs(1), "{used:?}");
}

/// Nodes that register and unregister at once must not accumulate.
#[test]
fn a_node_that_leaves_without_files_leaves_no_work_behind() {
    let now = Instant::now();
    let mut relay = relay(defaults(), now);
    let answer = in_a_datagram(&mut relay, now, "REGISTER * 9\nUNREGISTER * 9\n");
    assert!(answer.starts_with("OK 60 192.0.2.7 9 0 "), "{answer}");
    assert!(answer.ends_with("\nOK\n"), "{answer}");
    assert!(!relay.has_work());
    assert_eq!(relay.next_deadline(), None);
}
