//! Conversations: the client listens, says what its user wants to say on the
//! same connection, and shows what arrives. One line is on its way at a time:
//! the next one is asked for when the relay has answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::{Client, ClientSession};
use crate::close_reason::CloseReason;
use crate::exit::Exit;
use crate::jobs::{BLANKS, Failure, Listing, PromptKind, Query, UserEvent};
use crate::protocol::{Code, NodeAddress, Text};
use crate::relay_link::Backoff;
use crate::relay_link::{MessageSubscription, SubscriptionEvent};
use crate::role::{ConnId, Context, Input, ReadNext};

/// Who was too fast says it once more after this time: any relay allows one
/// message a second.
const SLOW_DOWN: Duration = Duration::from_secs(1);

/// What ends a conversation.
const QUIT: &str = "/quit";

/// A conversation.
pub(super) struct Chat {
    relay: Backoff,
    mailbox: MessageSubscription,
    words: Words,
    /// What has no answer yet, or is not even sent.
    said: Option<Query>,
    haste: Haste,
    /// Who spoke last.
    last: Option<NodeAddress>,
    /// How long to listen on after the last word, and until when that is.
    wait: Duration,
    until: Option<Instant>,
    /// All is said; only the connection is still there.
    over: bool,
}

/// Whether what was said came too fast for the relay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Haste {
    /// It has not said so.
    None,
    /// It did: it is said once more at this time.
    Until(Instant),
    /// It was said once more.
    Over,
}

/// Where words come from.
enum Words {
    /// The user types them, for this one or for whoever spoke last.
    Typed(Option<NodeAddress>),
    /// There are no others.
    Given,
}

impl Chat {
    /// What the user types is said to `to`, or to whoever spoke last. `relay` is
    /// not empty.
    pub(super) fn typed(relay: Vec<SocketAddr>, to: Option<NodeAddress>, wait: Duration) -> Self {
        Self {
            relay: Backoff::new(relay, 0),
            mailbox: MessageSubscription::new(None),
            words: Words::Typed(to),
            said: None,
            haste: Haste::None,
            last: None,
            wait,
            until: None,
            over: false,
        }
    }

    /// This is said, and then there is only to wait for answers.
    pub(super) fn given(
        relay: Vec<SocketAddr>,
        to: NodeAddress,
        text: Text<'static>,
        wait: Duration,
    ) -> Self {
        Self {
            words: Words::Given,
            said: Some(Query::Message(to, text)),
            ..Self::typed(relay, None, wait)
        }
    }

    /// When [`Client::chat_due`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match self.haste {
            Haste::Until(again) => Some(again),
            Haste::None | Haste::Over => self.until,
        }
    }

    /// There will be no more words.
    pub(super) fn listen_on(&mut self, now: Instant) {
        self.until = Some(now + self.wait);
    }

    /// What the next line is to be.
    pub(super) fn wanted(&self) -> PromptKind {
        PromptKind::Words(match self.words {
            Words::Typed(to) => to,
            Words::Given => None,
        })
    }

    /// Whoever is to hear what is typed.
    fn partner(&self) -> Option<NodeAddress> {
        match self.words {
            Words::Typed(Some(to)) => Some(to),
            Words::Typed(None) | Words::Given => self.last,
        }
    }
}

impl Client {
    pub(super) fn begin_chat(&mut self, context: &mut Context<'_, Self>, chat: Chat) {
        context
            .out
            .dial(chat.relay.address(), ClientSession::MessageSubscription);
        self.chat = Some(chat);
    }

    /// Something was heard from the relay.
    pub(super) fn chat_heard(
        &mut self,
        context: &mut Context<'_, Self>,
        conn: ConnId,
        heard: Input<'_>,
    ) -> ReadNext {
        let Some(chat) = &mut self.chat else {
            return ReadNext::Close(CloseReason::Completed);
        };
        let user = self.jobs.user();
        let (next, mail) = chat.mailbox.on_input(context.out, conn, heard);
        match mail {
            // What became of it is told when the connection has ended.
            None | Some(SubscriptionEvent::Replaced) => {}
            Some(SubscriptionEvent::Open(address)) => {
                user.on_event(UserEvent::Listening(address));
                match &chat.said {
                    Some(Query::Message(to, text)) => {
                        chat.mailbox.send(context.out, *to, text.clone());
                    }
                    _ => self.ready(),
                }
            }
            Some(SubscriptionEvent::Refused(code, text)) => {
                self.chat_failed(&Failure::Error(code, text.into_owned()));
            }
            Some(SubscriptionEvent::Message(delivery)) => {
                chat.last = Some(delivery.from);
                if let Err(why) = user.show(Listing::Message(&delivery)) {
                    chat.over = true;
                    if !why.reader_gone {
                        user.on_event(UserEvent::NotShown(&why));
                        self.exit = self.exit.or(Exit::StoreError);
                    }
                    return ReadNext::Close(CloseReason::Completed);
                }
            }
            Some(SubscriptionEvent::Sent(_)) => {
                chat.said = None;
                chat.haste = Haste::None;
                match chat.words {
                    Words::Typed(_) => self.ready(),
                    Words::Given => {
                        chat.listen_on(context.now);
                        user.on_event(UserEvent::Sent);
                    }
                }
            }
            Some(SubscriptionEvent::NotSent(_, Code::SlowDown, _)) if chat.haste == Haste::None => {
                chat.haste = Haste::Until(context.now + SLOW_DOWN);
            }
            Some(SubscriptionEvent::NotSent(_, code, text)) => {
                return self.not_sent(code, text.into_owned());
            }
        }
        next
    }

    /// The relay did not pass on what was said.
    fn not_sent(&mut self, code: Code, text: String) -> ReadNext {
        let Some(chat) = &mut self.chat else {
            return ReadNext::Close(CloseReason::Completed);
        };
        chat.haste = Haste::None;
        let user = self.jobs.user();
        if let Some(question) = chat.said.take() {
            user.on_event(UserEvent::RelayFailed(
                &question,
                &Failure::Error(code, text),
            ));
        }
        self.exit = self.exit.or(match code {
            Code::NoSuchNode => Exit::NotFound,
            _ => Exit::Relay,
        });
        match chat.words {
            Words::Typed(_) => {
                self.ready();
                ReadNext::Line
            }
            Words::Given => {
                chat.over = true;
                ReadNext::Close(CloseReason::Completed)
            }
        }
    }

    /// The connection is over, or there was none.
    pub(super) fn chat_ended(&mut self, context: &mut Context<'_, Self>, end: &CloseReason) {
        let Some(chat) = &mut self.chat else { return };
        if !chat.over {
            if chat.mailbox.address().is_none() && chat.relay.failed().pause.is_zero() {
                chat.mailbox = MessageSubscription::new(None);
                return context
                    .out
                    .dial(chat.relay.address(), ClientSession::MessageSubscription);
            }
            self.chat_failed(&Failure::Ended(end));
        }
        self.chat = None;
        self.over(context, Exit::Success);
    }

    fn chat_failed(&mut self, trouble: &Failure<'_>) {
        let Some(chat) = &mut self.chat else { return };
        chat.over = true;
        self.jobs.user().on_event(match &chat.said {
            Some(question) => UserEvent::RelayFailed(question, trouble),
            None => UserEvent::NotListening(trouble),
        });
        self.exit = self.exit.or(Exit::Relay);
    }

    /// The user has typed a line.
    pub(super) fn chat_typed(&mut self, context: &mut Context<'_, Self>, line: &str) {
        let Some(chat) = &mut self.chat else { return };
        let user = self.jobs.user();
        match (line.trim_matches(BLANKS), chat.partner()) {
            ("", _) => {}
            (QUIT, _) => return self.end_chat(context),
            (_, None) => {
                user.on_event(UserEvent::NobodyYet);
                self.exit = self.exit.or(Exit::NotFound);
            }
            (line, Some(to)) => match Text::parse(line) {
                Ok(text) => {
                    let text = text.into_owned();
                    chat.said = Some(Query::Message(to, text.clone()));
                    // It is open, or else its end says that nothing was sent.
                    chat.mailbox.send(context.out, to, text);
                    return;
                }
                Err(why) => {
                    user.on_event(UserEvent::Wrong(&why.to_string()));
                    self.exit = self.exit.or(Exit::Usage);
                }
            },
        }
        self.ready();
    }

    /// The user has typed a line for a conversation that had ended meanwhile: it is
    /// no command.
    pub(super) fn said_too_late(&mut self, line: &str) {
        if !matches!(line.trim_matches(BLANKS), "" | QUIT) {
            let user = self.jobs.user();
            user.on_event(UserEvent::Wrong("not sent: the conversation is over"));
            self.exit = self.exit.or(Exit::Relay);
        }
        self.ready();
    }

    /// If it is time, what came too fast is said once more, or there is nothing more
    /// to wait for.
    pub(super) fn chat_due(&mut self, context: &mut Context<'_, Self>) {
        let Some(chat) = &mut self.chat else { return };
        if chat.next_deadline().is_none_or(|due| due > context.now) {
            return;
        }
        if let (Haste::Until(_), Some(Query::Message(to, text))) = (chat.haste, &chat.said) {
            chat.haste = Haste::Over;
            chat.mailbox.send(context.out, *to, text.clone());
            return;
        }
        if let (Words::Given, None) = (&chat.words, chat.last) {
            let wait = chat.wait;
            self.jobs.user().on_event(UserEvent::NoAnswer(wait));
            self.exit = self.exit.or(Exit::NotFound);
        }
        self.end_chat(context);
    }

    fn end_chat(&mut self, context: &mut Context<'_, Self>) {
        let Some(chat) = &mut self.chat else { return };
        chat.over = true;
        chat.until = None;
        if let Some(conn) = chat.mailbox.conn() {
            context.out.close(conn, CloseReason::Completed);
        }
    }
}
