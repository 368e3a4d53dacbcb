//! Scripts of the client, with a user that records every call. Commands of their own:
//!
//! - `client get NAME…`, `client nodes`, `client ls`, `client search TEXT`, `client find NAME`,
//!   `client send IP PORT TEXT`, `client chat [IP PORT]`, `client prompt`, `client list`: starts
//!   the client. Keys: `relay=IP:PORT` (repeatable): an address of the relay;
//!   `next-relay=IP:PORT` (repeatable): another relay; `node=IP:PORT` (repeatable): a node that
//!   is asked instead of relays; `wait=TIME`: how long to wait for messages; `max-nodes=N`,
//!   `max-listed=N`, `max-failures=N`, `head=BYTES` (0 by default); `shows=BYTES`: how many bytes
//!   of a discarded file count as printed; `blocks=TIME`: how long a write took;
//!   `fails=show|open|write|commit|full-disk|reader`: the call that fails; `output=file`: bytes
//!   may be written in any order; `stored=INDEX,…`: the pieces that are there already;
//!   `unchecked=INDEX,…`: those that may be there, and `wrong=INDEX,…` those of them that are not
//!   right; `patience=TIME`: how long to wait for a holder; `require-hash=yes`; `rate=BYTES`,
//!   `rate-per-peer=BYTES`: the client's own limits for a second; `jobs=N`: the most files at
//!   once; `chooses=yes`: the user can choose one of several contents.
//! - the commands of [`Keyboard`].
//! - commands for a content of three pieces: `holders N NODE…`: the relay names the nodes
//!   that have it. `list N [wrong=yes]`: a node lists its pieces. `piece N INDEX
//!   [wrong=yes]`: a node sends a piece, or with `bytes=COUNT` only the start of the reply.
//!   `whole N`: a node sends all pieces as one content. With `of=five` it is a content of
//!   five pieces.
//! - `found IP:PORT…`: further nodes are found.
//! - `exit`: prints the result of the task.

use std::num::ParseIntError;
use std::sync::mpsc::channel;
use std::time::Instant;

use goldenscript::{ArgumentConsumer, Command, Context};
use peerline::client::{Client, ClientMessage, Task};
use peerline::jobs::{FilePattern, JobRunner, Opened, PeerSource, PieceSet, Query};
use peerline::limits::{JobLimits, RateLimits};
use peerline::protocol::{FileName, NodeAddress, Text};
use peerline::role::Role;

use crate::keyboard::Keyboard;
use crate::long_content::{FIVE_PIECES, THREE_PIECES};
use crate::recording_user::{FailingCall, RecordingUser};
use crate::stage::{self, Stage, StageResult};

#[derive(Default)]
pub struct Play {
    stage: Option<Stage<Client>>,
    keyboard: Keyboard,
}

fn pieces(list: &str) -> Result<PieceSet, ParseIntError> {
    list.split(',').map(str::parse).collect()
}

impl Play {
    fn start(&mut self, command: &Command) -> StageResult {
        let mut args = command.consume_args();
        let (sender, events) = channel();
        let mut user = RecordingUser::new(sender);
        let (mut relay, mut hash, mut chooses) = (Vec::new(), None, false);
        let (mut relays, mut nodes) = (Vec::new(), Vec::new());
        let mut limits = JobLimits {
            max_nodes: 100,
            head_size: 0,
            ..JobLimits::default()
        };
        let (mut wait, mut max_downloads) = (None, None);
        let mut rates = RateLimits::default();
        while let Some((key, value)) = args.next_key() {
            match (key, value) {
                ("relay", address) => relay.push(address.parse()?),
                ("next-relay", address) => relays.push(vec![address.parse()?]),
                ("node", address) => {
                    nodes.push(PeerSource::node(address, vec![address.parse()?]));
                }
                ("hash", value) => hash = Some(value.parse()?),
                ("wait", time) => wait = Some(stage::time(time)?),
                ("max-nodes", count) => limits.max_nodes = count.parse()?,
                ("head", bytes) => limits.head_size = bytes.parse()?,
                ("max-listed", count) => limits.max_listed = count.parse()?,
                ("max-failures", count) => limits.max_failures = count.parse()?,
                ("chooses", "yes") => chooses = true,
                ("jobs", count) => max_downloads = Some(count.parse()?),
                ("patience", time) => limits.wait = stage::time(time)?,
                ("sources", count) => limits.sources = count.parse()?,
                ("rate", bytes) => rates.limit_rate = Some(bytes.parse()?),
                ("rate-per-peer", bytes) => rates.limit_rate_per_peer = Some(bytes.parse()?),
                ("require-hash", "yes") => limits.require_hash = true,
                ("output", "file") => user.opened = Opened::Empty,
                ("stored", list) => {
                    let (pieces, unchecked) = (pieces(list)?, PieceSet::default());
                    user.opened = Opened::Part { pieces, unchecked };
                }
                ("unchecked", list) => {
                    let (pieces, unchecked) = (PieceSet::default(), pieces(list)?);
                    user.opened = Opened::Part { pieces, unchecked };
                }
                ("wrong", list) => user.wrong = pieces(list)?,
                ("shows", bytes) => user.discarded.printed = bytes.parse()?,
                ("blocks", value) => user.discarded.longest_write = stage::time(value)?,
                ("fails", "show") => user.failing_call = Some(FailingCall::Show),
                ("fails", "open") => user.failing_call = Some(FailingCall::Open),
                ("fails", "write") => user.failing_call = Some(FailingCall::Write),
                ("fails", "commit") => user.failing_call = Some(FailingCall::Commit),
                ("fails", "full-disk") => user.failing_call = Some(FailingCall::FullDisk),
                ("fails", "reader") => user.failing_call = Some(FailingCall::Reader),
                (key, value) => return Err(format!("no client has {key}={value}").into()),
            }
        }
        if relay.is_empty() {
            relay.push(([192, 0, 2, 1], 4000).into());
        }
        let mut sources = vec![PeerSource::relay("relay 1", relay)];
        for (relay, number) in relays.into_iter().zip(2..) {
            sources.push(PeerSource::relay(format!("relay {number}"), relay));
        }
        if !nodes.is_empty() {
            sources = nodes;
        }
        let task = match args.next_pos().ok_or("what is it to do?")? {
            "nodes" => Task::Query(Query::Nodes),
            "who" => Task::Query(Query::Listeners),
            "ls" => Task::Query(Query::Files(String::new())),
            "search" => {
                let text = args.next_pos().unwrap_or_default();
                Task::Query(Query::files(text)?)
            }
            "find" => {
                let name = args.next_pos().ok_or("which name?")?;
                Task::Query(Query::Holders(FileName::parse(name)?.into_owned()))
            }
            "send" => {
                let to = address(&mut args)?.ok_or("to whom?")?;
                let text = Text::parse(args.next_pos().ok_or("which text?")?)?.into_owned();
                match wait {
                    Some(wait) => Task::SendAndWait(to, text, wait),
                    None => Task::Query(Query::Message(to, text)),
                }
            }
            "list" => Task::GetList(hash),
            "chat" => Task::Chat(address(&mut args)?, wait.unwrap_or_default()),
            "prompt" => Task::Prompt,
            "get" => {
                let names = std::iter::from_fn(|| args.next_pos());
                let names = names.map(FilePattern::parse);
                Task::Get(names.collect::<Result<_, _>>()?, hash)
            }
            other => return Err(format!("no client can {other}").into()),
        };
        let mut jobs = JobRunner::new(user, sources, limits.with_rates(&rates));
        jobs.set_may_choose(chooses);
        let mut client = Client::new(jobs, task);
        if let Some(count) = max_downloads {
            client.set_max_downloads(count);
            client.set_saves_files();
        }
        let show_file = |_: &_| unreachable!("a client sends no files");
        self.stage = Some(Stage::new(client, Instant::now(), events, show_file));
        args.reject_next()
    }
}

/// The nodes of a command.
fn found_nodes(command: &Command) -> StageResult<ClientMessage> {
    let mut args = command.consume_args();
    let mut nodes = Vec::new();
    while let Some(address) = args.next_pos() {
        nodes.push(PeerSource::node(address, vec![address.parse()?]));
    }
    args.reject_next()?;
    Ok(ClientMessage::NodesFound(nodes))
}

/// `IP PORT`, if there is more.
fn address(args: &mut ArgumentConsumer<'_>) -> StageResult<Option<NodeAddress>> {
    let Some(ip) = args.next_pos() else {
        return Ok(None);
    };
    let port = args.next_pos().ok_or("which port?")?;
    Ok(Some(NodeAddress::parse(&format!("{ip} {port}"))?))
}

/// Executes the commands for the content of three pieces.
fn send_long_content(stage: &mut Stage<Client>, command: &Command) -> StageResult<bool> {
    let mut args = command.consume_args();
    let content = match args.take_key("of") {
        Some("five") => &*FIVE_PIECES,
        _ => &*THREE_PIECES,
    };
    let (hash, size) = (content.hash, content.bytes.len());
    if !["holders", "list", "piece", "whole"].contains(&command.name.as_str()) {
        return Ok(false);
    }
    let number: u32 = args
        .next_pos()
        .ok_or("the connection is missing")?
        .parse()?;
    let is_wrong = args.take_key("wrong") == Some("yes");
    let mut bytes = match command.name.as_str() {
        "holders" => {
            let nodes: Vec<_> = std::iter::from_fn(|| args.next_pos()).collect();
            let lines = nodes.iter().map(|node| format!("{node} {size} {hash}\n"));
            format!("HOLDERS {}\n{}", nodes.len(), lines.collect::<String>()).into_bytes()
        }
        "list" => content.list(is_wrong).into_bytes(),
        "whole" => {
            let head = format!("FOUND {}\n", content.bytes.len());
            [head.as_bytes(), &content.bytes].concat()
        }
        _ => content.reply(args.next_pos().ok_or("which piece?")?.parse()?, is_wrong),
    };
    if let Some(count) = args.take_key("bytes") {
        bytes.truncate(count.parse()?);
    }
    args.reject_next()?;
    stage.arrive(number, &bytes)?;
    Ok(true)
}

impl goldenscript::Runner for Play {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> StageResult<String> {
        if command.name == "client" {
            self.start(command)?;
        }
        let stage = self.stage.as_mut().ok_or("start with: client")?;
        if let Some(message) = self.keyboard.press(command)? {
            stage.call(|client, context| client.on_message(context, message.into()));
            return Ok(stage.take_text() + &self.keyboard.completed());
        }
        match command.name.as_str() {
            "client" => {}
            _ if send_long_content(stage, command)? => {}
            "found" => {
                let nodes = found_nodes(command)?;
                stage.call(|client, context| client.on_message(context, nodes));
            }
            "exit" => return Ok(format!("{:?}", stage.role().result())),
            _ => stage.run(command)?,
        }
        Ok(stage.take_text() + &self.keyboard.completed())
    }
}
