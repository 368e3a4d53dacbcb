//! Keeps the node in the relay's directory: registers, renews at a third of the
//! lease, tries again with growing pauses while the relay is away, and takes
//! the node out when it stops.
//!
//! Each contact is one short conversation: connect, one line, its answer, close.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::escaped::Escaped;
use crate::node::event::NodeEvent;
use crate::protocol::{ClaimedIp, Port, Registered, Reply, ReplyError, Request};
use crate::relay_link::{Backoff, BackoffState};
use crate::role::{Input, ReadNext};
use crate::session::server::say;

/// Leases that make sense: a relay's word does not keep us busy, or away for ever.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);
const LONGEST_LEASE: Duration = Duration::from_secs(86_400);

/// The node's side of its registration.
pub struct Registrar {
    relay: Backoff,
    ip: ClaimedIp,
    port: Port,
    state: RegistrationState,
    /// There is news for the relay since the conversation began.
    hurry: Option<Duration>,
    listed: Option<Registered>,
}

enum RegistrationState {
    /// Nothing to do before this.
    Waiting(Instant),
    /// A conversation is going on.
    Talking,
    /// The node stops. It is `listed`, or may be in a moment, until it has
    /// begun to say goodbye; not before a conversation that goes on is over.
    Leaving { listed: bool, talking: bool },
}

/// One conversation with the relay.
#[derive(Debug)]
pub struct Contact {
    purpose: ContactPurpose,
    answered: bool,
    /// How many files of ours the relay has, once it has registered us.
    files: Option<u64>,
    restart: Restart,
}

/// Whether the relay forgets us before it registers us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Restart {
    No,
    /// The next answer is that to an `UNREGISTER` before the `REGISTER`.
    Asked,
    /// It has answered that.
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ContactPurpose {
    Register,
    Unregister,
}

impl Contact {
    /// To be listed, or to stay so.
    #[must_use]
    pub fn register() -> Self {
        Self {
            purpose: ContactPurpose::Register,
            answered: false,
            files: None,
            restart: Restart::No,
        }
    }

    /// How many files of ours the relay has, once it has registered us.
    #[must_use]
    pub fn files(&self) -> Option<u64> {
        self.files
    }

    /// The same purpose, from the beginning.
    #[must_use]
    pub fn again(&self) -> Self {
        match self.purpose {
            ContactPurpose::Register => Self::register(),
            ContactPurpose::Unregister => Self::unregister(),
        }
    }

    /// Whether it is to leave.
    #[must_use]
    pub fn is_goodbye(&self) -> bool {
        self.purpose == ContactPurpose::Unregister
    }

    /// Whether the relay was asked to forget us before that, and has answered.
    #[must_use]
    pub fn is_restarted(&self) -> bool {
        self.restart == Restart::Done
    }

    /// To be listed no longer.
    #[must_use]
    pub fn unregister() -> Self {
        Self {
            purpose: ContactPurpose::Unregister,
            answered: false,
            files: None,
            restart: Restart::No,
        }
    }
}

impl Registrar {
    /// Will register the port at the relay, from `now` on. `relay` is not empty.
    #[must_use]
    pub fn new(relay: Vec<SocketAddr>, ip: ClaimedIp, port: Port, seed: u64, now: Instant) -> Self {
        Self {
            relay: Backoff::new(relay, seed),
            ip,
            port,
            state: RegistrationState::Waiting(now),
            hurry: None,
            listed: None,
        }
    }

    /// When [`Registrar::dial`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            RegistrationState::Waiting(until) => Some(until),
            RegistrationState::Talking | RegistrationState::Leaving { .. } => None,
        }
    }

    /// The address to connect to now, if it is time.
    pub fn dial(&mut self, now: Instant) -> Option<SocketAddr> {
        if self.next_deadline().is_none_or(|due| due > now) {
            return None;
        }
        self.state = RegistrationState::Talking;
        Some(self.relay.address())
    }

    /// There is news for the relay: turn to it after `pause` at the latest.
    pub fn soon(&mut self, now: Instant, pause: Duration) {
        match &mut self.state {
            // While the relay is away the pauses are there for a reason.
            RegistrationState::Waiting(until) if !self.relay.is_away() => {
                *until = (*until).min(now + pause)
            }
            RegistrationState::Waiting(_) | RegistrationState::Leaving { .. } => {}
            RegistrationState::Talking => self.hurry = Some(pause),
        }
    }

    /// The node stops; [`Registrar::goodbye`] is next.
    pub fn leave(&mut self) {
        let talking = matches!(self.state, RegistrationState::Talking);
        let listed = self.listed.is_some() || talking;
        self.state = RegistrationState::Leaving { listed, talking };
    }

    /// Whether the node stops.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        matches!(self.state, RegistrationState::Leaving { .. })
    }

    /// The address at which to say goodbye, if the node stops and the relay lists
    /// us; not as long as the relay might hear that and `REGISTER` in the wrong
    /// order.
    pub fn goodbye(&mut self) -> Option<SocketAddr> {
        let RegistrationState::Leaving {
            listed: listed @ true,
            talking: false,
        } = &mut self.state
        else {
            return None;
        };
        *listed = false;
        Some(self.relay.address())
    }

    /// Something was heard from the relay.
    pub fn on_input(
        &mut self,
        now: Instant,
        contact: &mut Contact,
        heard: Input<'_>,
        reply: &mut Vec<u8>,
    ) -> (ReadNext, Option<NodeEvent<'static>>) {
        let line = match heard {
            Input::Connected => {
                let (ip, port) = (self.ip, self.port);
                match contact.purpose {
                    ContactPurpose::Register => say(reply, Request::Register(ip, port)),
                    ContactPurpose::Unregister => say(reply, Request::Unregister(ip, port)),
                }
                return (ReadNext::Line, None);
            }
            Input::Line(line) => line,
            Input::Resumed => return (ReadNext::Line, None),
            Input::Body(_) | Input::FramingError(_) => {
                return (ReadNext::Close(CloseReason::ProtocolError), None);
            }
        };
        if contact.restart == Restart::Asked {
            contact.restart = Restart::Done;
            // If it has forgotten us by itself, so much the better.
            return (ReadNext::Line, None);
        }
        contact.answered = true;
        self.over();
        let news = match (contact.purpose, Reply::parse(line)) {
            (ContactPurpose::Unregister, Ok(Reply::Ok(_))) => Some(NodeEvent::Unregistered),
            // It forgot us already, or it will when the lease ends.
            (ContactPurpose::Unregister, _) => None,
            (ContactPurpose::Register, Ok(Reply::Ok(text))) => match Registered::parse(&text) {
                Ok(registered) => {
                    contact.files = Some(registered.files);
                    self.registered(now, registered)
                }
                Err(error) => self.failed(now, error.to_string()),
            },
            (ContactPurpose::Register, Ok(Reply::Error(code, text))) => {
                let text = Escaped::text(&text);
                self.failed(now, format!("the relay says {} {text}", code.number()))
            }
            (ContactPurpose::Register, Ok(_) | Err(_)) => self.failed(now, ReplyError.to_string()),
        };
        (ReadNext::Close(CloseReason::Completed), news)
    }

    /// The relay, which has just registered us, is to forget all that it knows of
    /// us and register us anew. Both in one piece: nobody misses us in a list.
    pub fn start_over(&mut self, contact: &mut Contact, reply: &mut Vec<u8>) -> ReadNext {
        let (ip, port) = (self.ip, self.port);
        say(reply, Request::Unregister(ip, port));
        say(reply, Request::Register(ip, port));
        *contact = Contact {
            restart: Restart::Asked,
            ..Contact::register()
        };
        self.state = RegistrationState::Talking;
        ReadNext::Line
    }

    /// A conversation is over.
    pub fn on_close(
        &mut self,
        now: Instant,
        contact: Contact,
        end: &CloseReason,
    ) -> Option<NodeEvent<'static>> {
        if contact.answered || contact.purpose == ContactPurpose::Unregister {
            return None;
        }
        self.over();
        let relay = self.relay.address();
        let why = match end {
            CloseReason::EndOfInput => "it closed the connection too early".to_owned(),
            end => end.to_string(),
        };
        self.failed(now, format!("relay {relay}: {why}"))
    }

    fn registered(&mut self, now: Instant, registered: Registered) -> Option<NodeEvent<'static>> {
        let third = registered.lease.clamp(SHORTEST_LEASE, LONGEST_LEASE) / 3;
        let pause = self.relay.earlier(third, 0.1);
        let hurry = self.hurry.take().unwrap_or(pause);
        self.wait_until(now + pause.min(hurry));
        let was_away = self.relay.worked();
        let was = self.listed.replace(registered).map(|was| was.address);
        (was_away || was != Some(registered.address)).then_some(NodeEvent::Registered(registered))
    }

    fn failed(&mut self, now: Instant, why: String) -> Option<NodeEvent<'static>> {
        let BackoffState { pause, is_news } = self.relay.failed();
        self.wait_until(now + pause);
        // Who leaves does not try again. It may list us still, until the lease ends.
        (is_news && !self.is_leaving()).then_some(NodeEvent::RelayAway(why))
    }

    /// The relay has said what it had to say, or will not.
    fn over(&mut self) {
        if let RegistrationState::Leaving { talking, .. } = &mut self.state {
            *talking = false;
        }
    }

    fn wait_until(&mut self, until: Instant) {
        if let RegistrationState::Talking = self.state {
            self.state = RegistrationState::Waiting(until);
        }
    }
}
