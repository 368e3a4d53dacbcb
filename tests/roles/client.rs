//! The client on its stage, with a user who writes everything down. Its own
//! commands:
//!
//! - `client get NAME…`, `client nodes`, `client ls`, `client search TEXT`, `client
//!   find NAME`, `client send IP PORT TEXT`, `client chat [IP PORT]`, `client
//!   prompt`: it starts. Keys: `relay=IP:PORT` (repeatable); `wait=TIME`: for what
//!   is said to it; `max-nodes=N`; `shows=BYTES`: so many bytes
//!   of a file that is broken off were shown; `fails=show|begin|take|finish|reader`:
//!   where storing fails; `asks=yes`: the user can be asked to choose.
//! - those of [`Keyboard`].
//! - `exit`: the exit code.

use std::sync::mpsc::channel;
use std::time::Instant;

use goldenscript::{ArgumentConsumer, Command, Context};
use peerline::client::{Client, Task};
use peerline::jobs::Query;
use peerline::protocol::{FileName, NodeAddress, Text};
use peerline::role::Role;

use crate::keyboard::Keyboard;
use crate::notes::{Fails, Notes};
use crate::stage::{self, Stage, StageResult};

#[derive(Default)]
pub struct Play {
    stage: Option<Stage<Client>>,
    keyboard: Keyboard,
}

impl Play {
    fn start(&mut self, command: &Command) -> StageResult {
        let mut args = command.consume_args();
        let (told, news) = channel();
        let mut notes = Notes::new(told);
        let (mut relay, mut max_nodes, mut wanted, mut asks) = (Vec::new(), 100, None, false);
        let mut wait = None;
        while let Some((key, value)) = args.next_key() {
            match (key, value) {
                ("relay", address) => relay.push(address.parse()?),
                ("hash", hash) => wanted = Some(hash.parse()?),
                ("wait", time) => wait = Some(stage::time(time)?),
                ("max-nodes", count) => max_nodes = count.parse()?,
                ("asks", "yes") => asks = true,
                ("shows", bytes) => notes.shows = bytes.parse()?,
                ("fails", "show") => notes.fails = Some(Fails::Show),
                ("fails", "begin") => notes.fails = Some(Fails::Begin),
                ("fails", "take") => notes.fails = Some(Fails::Take),
                ("fails", "finish") => notes.fails = Some(Fails::Finish),
                ("fails", "reader") => notes.fails = Some(Fails::Reader),
                (key, value) => return Err(format!("no client has {key}={value}").into()),
            }
        }
        if relay.is_empty() {
            relay.push(([192, 0, 2, 1], 4000).into());
        }
        let task = match args.next_pos().ok_or("what is it to do?")? {
            "nodes" => Task::Ask(Query::Nodes),
            "ls" => Task::Ask(Query::Files(String::new())),
            "search" => {
                let text = args.next_pos().unwrap_or_default();
                Task::Ask(Query::files(text)?)
            }
            "find" => {
                let name = args.next_pos().ok_or("which name?")?;
                Task::Ask(Query::Holders(FileName::parse(name)?.into_owned()))
            }
            "send" => {
                let to = address(&mut args)?.ok_or("to whom?")?;
                let text = Text::parse(args.next_pos().ok_or("which text?")?)?.into_owned();
                match wait {
                    Some(wait) => Task::SendAndWait(to, text, wait),
                    None => Task::Ask(Query::Message(to, text)),
                }
            }
            "chat" => Task::Chat(address(&mut args)?, wait.unwrap_or_default()),
            "prompt" => Task::Prompt,
            "get" => {
                let names = std::iter::from_fn(|| args.next_pos());
                let names = names.map(|name| FileName::parse(name).map(FileName::into_owned));
                Task::Get(names.collect::<Result<_, _>>()?, wanted)
            }
            other => return Err(format!("no client can {other}").into()),
        };
        let client = Client::new(notes, relay, max_nodes, task).asking(asks);
        let show_file = |_: &_| unreachable!("a client sends no files");
        self.stage = Some(Stage::new(client, Instant::now(), news, show_file));
        args.reject_next()
    }
}

/// `IP PORT`, if there is more.
fn address(args: &mut ArgumentConsumer<'_>) -> StageResult<Option<NodeAddress>> {
    let Some(ip) = args.next_pos() else {
        return Ok(None);
    };
    let port = args.next_pos().ok_or("which port?")?;
    Ok(Some(NodeAddress::parse(&format!("{ip} {port}"))?))
}

impl goldenscript::Runner for Play {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> StageResult<String> {
        if command.name == "client" {
            self.start(command)?;
        }
        let stage = self.stage.as_mut().ok_or("start with: client")?;
        if let Some(message) = self.keyboard.press(command)? {
            stage.call(|client, context| client.on_message(context, message));
            return Ok(stage.take_text() + &self.keyboard.completed());
        }
        match command.name.as_str() {
            "client" => {}
            "exit" => return Ok(format!("{:?}", stage.role().exit())),
            _ => stage.run(command)?,
        }
        Ok(stage.take_text() + &self.keyboard.completed())
    }
}
