//! Does what is typed at the console and concerns the node itself.

use crate::escaped::Visible;
use crate::jobs::{Message, News, Question};
use crate::node::share::{Share, Unavailable};
use crate::node::{Listener, Node};
use crate::protocol::{ContentHash, FileName, NodeAddress, Text};
use crate::role::{Role, Turn};

/// What the console cannot do by itself.
pub(super) enum Order<'a> {
    /// Fetch this file, unless it is here or on its way.
    Get(FileName<'a>, Option<ContentHash>),
    /// Share what lies here.
    Share(&'a str),
    /// Share this no longer.
    Unshare(FileName<'a>),
    /// Send a message.
    Send(NodeAddress, Text<'static>),
    /// Send one to whoever wrote last.
    Reply(Text<'static>),
    /// Stop the node.
    Stop,
}

impl<S: Share> Node<S> {
    /// Something was typed at the console.
    pub(super) fn obey(&mut self, turn: &mut Turn<'_, Self>, message: Message) {
        let Some(console) = &mut self.console else {
            return;
        };
        match message {
            // Nothing new is begun.
            Message::Typed(_) | Message::Complete { .. } if self.registrar.is_leaving() => {}
            Message::Typed(line) => {
                if let Some(order) = console.typed(turn, &line) {
                    self.carry_out(turn, order);
                }
            }
            Message::Complete { prefix, answer } => console.complete(turn, prefix, answer),
            Message::EndOfInput => turn.out.stop(),
            Message::Interrupt => {
                let was_choosing = !self.registrar.is_leaving() && console.give_up();
                if !was_choosing {
                    turn.out.stop();
                }
            }
        }
    }

    fn carry_out(&mut self, turn: &mut Turn<'_, Self>, order: Order<'_>) {
        let Some(console) = &mut self.console else {
            return;
        };
        match order {
            Order::Get(name, _) if console.is_coming(&name) => {
                let name = Visible::text(name.as_str());
                console.answer(News::Wrong(&format!("{name} is on its way already")));
            }
            Order::Get(name, hash) => match self.share.stat(&name) {
                Err(Unavailable::NotFound) => console.get(turn, name.into_owned(), hash),
                Ok(_) | Err(_) => {
                    let name = Visible::text(name.as_str());
                    console.answer(News::Wrong(&format!(
                        "{name} is shared here already; move it away or unshare it to fetch another"
                    )));
                }
            },
            Order::Share(path) => {
                match self.share.add(path) {
                    Ok(added) => console.answer(News::Note(&added.to_string())),
                    Err(why) => console.answer(News::Wrong(&why.to_string())),
                }
                self.noticed(turn);
            }
            Order::Unshare(name) => {
                match self.share.remove(&name) {
                    Ok(removed) => console.answer(News::Note(&removed.to_string())),
                    Err(why) => console.answer(News::Wrong(&why.to_string())),
                }
                self.noticed(turn);
            }
            // Said from our own address it can be answered.
            Order::Send(to, text) if self.listener.is_some() => self.say(turn, to, text),
            Order::Send(to, text) => console.ask(turn, Question::Message(to, text)),
            Order::Reply(text) => match self.listener.as_ref().and_then(Listener::last) {
                Some(to) => self.say(turn, to, text),
                None => console.answer(News::NobodyYet),
            },
            Order::Stop => turn.out.stop(),
        }
    }
}
