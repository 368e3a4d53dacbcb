//! A role without its loop: bytes go in, and what the role wants comes out as
//! [`Event`]s. Connections are only numbers, and the clock is set from outside.

use std::collections::BTreeMap;
use std::mem;
use std::net::SocketAddr;
use std::time::Instant;

use peerline::close_reason::CloseReason;
use peerline::protocol::MAX_LINE;
use peerline::role::{
    Action, ConnId, Context, FramingError, Input, Output, ReadNext, Role, Traffic, UdpPeer,
};
use peerline::session::inbox::{Inbox, Piece};

pub struct Machine<R: Role, W: Observer<R::File>> {
    role: R,
    pub now: Instant,
    pub witness: W,
    traffic: Traffic,
    out: Output<R>,
    peers: BTreeMap<u32, Peer<R::Session>>,
    /// The highest number of a connection so far.
    last: u32,
}

struct Peer<S> {
    address: SocketAddr,
    session: S,
    inbox: Inbox,
    /// The role works on its answer: what arrives stays in the inbox.
    waits: bool,
    /// The input has ended behind what is in the inbox.
    ended: bool,
}

/// What the role wants of the world.
pub enum Event<F> {
    /// Bytes for a connection.
    Sent { to: u32, bytes: Vec<u8> },
    /// A datagram.
    Datagram { to: UdpPeer, bytes: Vec<u8> },
    /// A part of a file for a connection.
    File {
        to: u32,
        file: F,
        offset: u64,
        length: u64,
    },
    /// The connection may be silent.
    Kept { number: u32 },
    /// It may not: an answer is due.
    Owes { number: u32 },
    /// It connects; the connection has this number from now on.
    Dialled {
        number: u32,
        address: SocketAddr,
        session: String,
    },
    /// The connection is over on this side, after what was sent. `how` tells the name
    /// of the reason, and the session as it prints.
    Over { number: u32, how: String },
    /// It wants the program to stop. It is told so behind all this.
    Stops,
    /// Its work is done.
    Finished,
}

/// Sees all that a role wants, in order.
pub trait Observer<F> {
    fn see(&mut self, event: Event<F>);
}

/// Keeps it for later.
impl<F> Observer<F> for Vec<Event<F>> {
    fn see(&mut self, event: Event<F>) {
        self.push(event);
    }
}

/// Whether there is such a connection.
pub type Known<T = ()> = Result<T, &'static str>;

const UNKNOWN: &str = "it is not connected";

impl<R: Role, W: Observer<R::File>> Machine<R, W> {
    /// A role that starts `now`.
    pub fn new(role: R, now: Instant, witness: W) -> Self {
        let mut machine = Self {
            role,
            now,
            witness,
            traffic: Traffic::default(),
            out: Output::default(),
            peers: BTreeMap::new(),
            last: 0,
        };
        machine.call(R::start);
        machine
    }

    pub fn role(&self) -> &R {
        &self.role
    }

    /// Lets the role do something that is no matter of one connection.
    pub fn call(&mut self, act: impl FnOnce(&mut R, &mut Context<'_, R>)) {
        self.turn(act);
        self.apply();
    }

    fn turn<T>(&mut self, act: impl FnOnce(&mut R, &mut Context<'_, R>) -> T) -> T {
        let mut context = Context {
            now: self.now,
            traffic: &self.traffic,
            out: &mut self.out,
        };
        act(&mut self.role, &mut context)
    }

    /// Somebody connects, and gets this number.
    pub fn connect(&mut self, number: u32, from: SocketAddr) -> Known {
        let session = self.role.on_accept(from);
        self.add(number, from, session)
    }

    /// A number that no connection has had.
    pub fn fresh(&self) -> u32 {
        self.last + 1
    }

    pub fn is_connected(&self, number: u32) -> bool {
        self.peers.contains_key(&number)
    }

    fn add(&mut self, number: u32, address: SocketAddr, session: R::Session) -> Known {
        let peer = Peer {
            address,
            session,
            inbox: Inbox::default(),
            waits: false,
            ended: false,
        };
        if self.peers.insert(number, peer).is_some() {
            return Err("that connection is still there");
        }
        self.last = self.last.max(number);
        Ok(())
    }

    /// A dial succeeded.
    pub fn reached(&mut self, number: u32) -> Known {
        let next = self.hear(number, Input::Connected)?;
        self.apply();
        self.close(number, next)
    }

    /// Bytes arrive; the answers to all that is whole leave together.
    pub fn arrive(&mut self, number: u32, bytes: &[u8]) -> Known {
        let peer = self.peers.get_mut(&number).ok_or(UNKNOWN)?;
        let mut inbox = mem::take(&mut peer.inbox);
        let mut unread = inbox.open(bytes);
        let mut waits = peer.waits;
        let mut close = None;
        while close.is_none() && !waits {
            let heard = match unread.next(MAX_LINE) {
                None => break,
                Some(Piece::Line(line)) => Input::Line(line),
                Some(Piece::Body(bytes)) => Input::Body(bytes),
                Some(Piece::TooLong) => Input::FramingError(FramingError::LineTooLong),
            };
            match self.hear(number, heard)? {
                ReadNext::Line => {}
                ReadNext::Body(length) => unread.expect_body(length),
                ReadNext::Wait => waits = true,
                end @ ReadNext::Close(_) => close = Some(end),
            }
        }
        inbox.keep(unread);
        let peer = self.peers.get_mut(&number).ok_or(UNKNOWN)?;
        let cut = !inbox.is_empty();
        peer.inbox = inbox;
        peer.waits = waits;
        let ended = peer.ended && !waits;
        self.apply();
        match close {
            Some(close) => self.close(number, close),
            None if ended && cut => self.broken(number, FramingError::UnexpectedEof),
            None if ended => self.over(number, &CloseReason::EndOfInput),
            None => Ok(()),
        }
    }

    /// The input ends.
    pub fn end(&mut self, number: u32) -> Known {
        self.peers.get_mut(&number).ok_or(UNKNOWN)?.ended = true;
        self.arrive(number, b"")
    }

    /// The input cannot be read on.
    pub fn broken(&mut self, number: u32, fault: FramingError) -> Known {
        let next = self.hear(number, Input::FramingError(fault))?;
        self.apply();
        self.close(number, next)
    }

    /// The connection is over.
    pub fn over(&mut self, number: u32, end: &CloseReason) -> Known {
        let peer = self.peers.remove(&number).ok_or(UNKNOWN)?;
        let how = format!("{} ({})", end.name(), peer.session);
        self.witness.see(Event::Over { number, how });
        self.call(|role, context| role.on_close(context, peer.session, end));
        Ok(())
    }

    fn close(&mut self, number: u32, next: ReadNext) -> Known {
        match next {
            ReadNext::Line | ReadNext::Body(_) | ReadNext::Wait => Ok(()),
            ReadNext::Close(end) => self.over(number, &end),
        }
    }

    fn hear(&mut self, number: u32, heard: Input<'_>) -> Known<ReadNext> {
        let mut peer = self.peers.remove(&number).ok_or(UNKNOWN)?;
        let conn = ConnId {
            slot: number,
            serial: number,
        };
        let next = self.turn(|role, context| {
            role.on_input(context, conn, peer.address, &mut peer.session, heard)
        });
        self.peers.insert(number, peer);
        Ok(next)
    }

    /// The answer that a connection waits for is complete.
    fn resume(&mut self, number: u32) -> Known {
        let Some(peer) = self.peers.get_mut(&number) else {
            return Ok(());
        };
        peer.waits = false;
        let next = self.hear(number, Input::Resumed)?;
        self.apply();
        self.close(number, next)?;
        if self.is_connected(number) {
            // What has waited in its inbox.
            self.arrive(number, b"")?;
        }
        Ok(())
    }

    /// Lets the witness see what the role wants, and does what can be done here.
    fn apply(&mut self) {
        let (text, steps) = self.out.take();
        let mut start = 0;
        // These may have more to say, and it comes behind all this.
        let (mut resumed, mut closed, mut stops) = (Vec::new(), Vec::new(), false);
        for step in steps {
            let event = match step {
                // What is sent tells by itself whether it was asked for.
                Action::Text { to, end, .. } => Event::Sent {
                    to: to.slot,
                    bytes: text[mem::replace(&mut start, end)..end].to_vec(),
                },
                Action::Datagram { to, end } => Event::Datagram {
                    to,
                    bytes: text[mem::replace(&mut start, end)..end].to_vec(),
                },
                Action::Shared { to, bytes } => Event::Sent {
                    to: to.slot,
                    bytes: bytes.to_vec(),
                },
                Action::File {
                    to,
                    file,
                    offset,
                    length,
                } => Event::File {
                    to: to.slot,
                    file,
                    offset,
                    length,
                },
                Action::AllowIdle { conn } => Event::Kept { number: conn.slot },
                Action::ExpectReply { conn } => Event::Owes { number: conn.slot },
                Action::Dial { address, session } => {
                    let number = self.fresh();
                    let shown = session.to_string();
                    self.add(number, address, session).expect("a new number");
                    Event::Dialled {
                        number,
                        address,
                        session: shown,
                    }
                }
                Action::ShutDown => {
                    stops = true;
                    Event::Stops
                }
                Action::StopLoop => Event::Finished,
                Action::Resume { conn } => {
                    resumed.push(conn.slot);
                    continue;
                }
                Action::Close { conn, reason } => {
                    closed.push((conn.slot, reason));
                    continue;
                }
            };
            self.witness.see(event);
        }
        for (number, end) in closed {
            self.over(number, &end).expect("it is connected");
        }
        for number in resumed {
            self.resume(number).expect("it is connected");
        }
        if stops {
            self.call(R::drain);
        }
    }
}
