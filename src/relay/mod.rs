//! The relay: a directory of nodes and their files, and messages between clients.
//! It never connects to anyone.

mod address_turns;
mod cookie;
mod datagrams;
mod directory;
mod files;
mod http;
mod index;
mod listener_list;
mod message_listeners;
mod messages;
mod node_entry;
mod node_list;
mod per_audience;
mod prefetch;
mod registrant;
mod registration;
mod remote_listeners;
mod search;
mod session;
pub mod shared_directory;
mod stats;
mod table;
mod trust;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::debug;

pub use index::Quota;
pub use session::RelaySession;
pub use trust::{Network, Trust};

use crate::close_reason::{CloseReason, ResourceLimit};
use crate::escaped::Escaped;
use crate::protocol::{Rejection, Request, ServerKind, fold_work};
use crate::rate_limiter::KeyedRateLimiter;
use crate::relay::cookie::Cookies;
use crate::relay::datagrams::ReplyLimiter;
use crate::relay::directory::Directory;
use crate::relay::index::{Index, NameQuery, Search, SearchOptions};
use crate::relay::message_listeners::MessageListeners;
use crate::relay::search::SearchQueue;
use crate::relay::session::Registration;
use crate::relay::shared_directory::{RegistryUpdate, SendCommand, SharedDirectory};
use crate::relay::stats::RelayCounters;
use crate::role::{ConnId, ConnectionInfo, Context, Input, LastRequest, ReadNext, Role, UdpPeer};
use crate::session::http::HttpSettings;
use crate::session::server::{self, RequestContext};
use crate::session::{AccessControl, AccessSettings};
use crate::tls::{Certificates, ConnectionSecurity, KeyId};

/// The most memory for a node in the directory, in bytes, without its key.
pub const BYTES_PER_NODE: u64 = 125;
// Nodes without a key pay nothing for the keys of others.
const _: () = assert!(size_of::<node_entry::NodeEntry>() <= 56);
/// The most memory for the key of a node: leaves of a B-tree that are half full.
pub const BYTES_PER_KEY: u64 = 110;
/// The most memory for a file in the index, without the bytes of its name: reached if more than 32
/// nodes have a file of this name, each with another content.
pub const BYTES_PER_FILE: u64 = 200;
/// The most memory for the digest of a file: leaves of a B-tree that are half full.
pub const BYTES_PER_DIGEST: u64 = 90;
/// The same for the first digest of a node: a leaf that is nearly empty.
pub const BYTES_OF_FIRST_DIGEST: u64 = 420;

/// The settings of a relay.
#[derive(Clone, Debug)]
pub struct RelaySettings {
    /// How long an entry lives unless it is renewed; whole seconds.
    pub lease: Duration,
    /// Nodes in the directory.
    pub max_nodes: usize,
    /// Nodes per address; trusted addresses have no such limit.
    pub max_nodes_per_address: usize,
    /// Bytes of a line in a datagram, with its end.
    pub max_line: usize,
    /// Unknown commands until a connection is closed.
    pub max_unknown: u16,
    /// Datagrams with a wrong cookie that are answered per second.
    pub wrong_cookie_rate: u32,
    /// Datagrams that are answered per second and address; trusted addresses have no such
    /// limit.
    pub datagram_rate: u32,
    /// How much nodes may share.
    pub quota: Quota,
    /// Messages per second and connection.
    pub message_rate: u32,
    /// Messages per second and address; trusted addresses have no such limit.
    pub message_rate_per_address: u32,
    /// Which clients may register addresses other than their own.
    pub trust: Trust,
    /// Who the relay is, if it speaks TLS.
    pub certificates: Option<Arc<Certificates>>,
    /// How requests in HTTP are answered.
    pub http: HttpSettings,
    /// Who may use the relay.
    pub access: AccessSettings,
}

/// A request to the relay.
type RelayRequest<'a> = RequestContext<'a, Relay, RelaySession>;

/// The role of the relay.
pub struct Relay {
    settings: RelaySettings,
    started: Instant,
    access: AccessControl,
    directory: Directory,
    index: Index,
    searches: SearchQueue,
    message_listeners: MessageListeners,
    /// By the sender's address.
    message_limiter: KeyedRateLimiter,
    cookies: Cookies,
    reply_limiter: ReplyLimiter,
    counters: RelayCounters,
    /// The number of the newest registration or renewal.
    last_registration: u64,
    /// With which of its holders the next reply to `FIND` starts.
    next_rotation: usize,
    /// The epoch of an entry is this number plus the number of the registration that
    /// created the entry.
    first_epoch: u64,
    /// Set if the directory is shared with other relays.
    shared: Option<Box<SharedDirectory>>,
}

impl Relay {
    /// An empty relay, started at `now`. The `secret` must be random and unknown to others.
    #[must_use]
    pub fn new(settings: RelaySettings, secret: [u8; 32], now: Instant) -> Self {
        Self {
            first_epoch: first_epoch(&secret),
            cookies: Cookies::new(secret, settings.wrong_cookie_rate, now),
            reply_limiter: ReplyLimiter::new(settings.datagram_rate, now),
            access: AccessControl::new(ServerKind::Relay, &settings.access, now),
            message_limiter: KeyedRateLimiter::new(settings.message_rate_per_address, now),
            settings,
            started: now,
            directory: Directory::new(now),
            index: Index::default(),
            searches: SearchQueue::new(now),
            message_listeners: MessageListeners::default(),
            counters: RelayCounters::default(),
            last_registration: 0,
            next_rotation: 0,
            shared: None,
        }
    }

    /// How long the relay has run.
    fn uptime(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// The id of the relay, if it speaks TLS.
    fn id(&self) -> Option<KeyId> {
        Some(self.settings.certificates.as_ref()?.id())
    }

    /// Shares the directory with other relays from `now` on. What the engine tells arrives
    /// as messages.
    pub fn share_directory(&mut self, send: SendCommand, now: Instant) {
        let shared = SharedDirectory::new(send, self.settings.lease, now);
        self.shared = Some(Box::new(shared));
    }

    /// Reads one request from a connection or datagram and answers it.
    fn answer(&mut self, request: &mut RelayRequest<'_>, input: Input<'_>) -> ReadNext {
        let max_unknown = self.settings.max_unknown;
        let parsed = match request.session.read(input, max_unknown, &mut request.reply) {
            Ok(parsed) => parsed,
            Err(next) => return next,
        };
        let (source, reply) = (request.source(), &mut request.reply);
        let session = request.session.server();
        if let Some(next) = self.access.check(&parsed, source, session, reply) {
            if let Request::Register(..) = parsed {
                request.session.extended().registration = Registration::Rejected;
            }
            return next;
        }
        let ip = request.ip;
        debug!("{ip}: request: {}", Escaped::text(&parsed.to_string()));
        match (parsed, request.conn) {
            (Request::Banner, _) => self.banner(request),
            (Request::Register(ip, port), _) => self.register(request, ip, port),
            (Request::Unregister(ip, port), _) => self.unregister(request, ip, port),
            (Request::List, _) => self.list(request),
            (Request::Share(size, hash, name), _) => self.share(request, size, hash, &name),
            (Request::ShareDigest(hash, digest, name), _) => {
                self.share_digest(request, hash, digest, &name)
            }
            (Request::Unshare(name), _) => self.unshare(request, &name),
            (Request::Find(name), _) => self.find(request, &name),
            (Request::Digest(name), Some(_)) => self.digest(request, &name),
            (Request::Ping, _) => request.reply.pong(),
            (Request::Search(text), Some(conn)) => {
                request.reply.add_work(fold_work(text));
                let (query, options) = (NameQuery::text(text), SearchOptions::default());
                self.search(request, conn, Search::new(query, options, None))
            }
            (Request::More, Some(conn)) => self.more(request, conn),
            (Request::Listen, Some(conn)) => self.listen(request, conn),
            (Request::Who, Some(_)) => self.who(request),
            (Request::Send(to, text), Some(_)) => self.send(request, &to, text),
            (Request::Stats, Some(_)) => self.stats(request),
            (Request::Connections, Some(_)) => {
                let is_trusted = self.settings.trust.contains(ip);
                server::list_connections(request, is_trusted)
            }
            (Request::Help, Some(_)) => request.reply.help(ServerKind::Relay),
            (Request::Quit, Some(_)) => request.reply.bye(),
            (
                Request::Get(_) | Request::Range { .. } | Request::Pieces(_) | Request::Stat(_),
                Some(_),
            ) => request.reply.reject(Rejection::OnlyNode),
            // They were answered above.
            (Request::Auth(_) | Request::Prove(_), Some(_)) => ReadNext::Line,
            (_, None) => request.reply.reject(Rejection::OnlyTcp),
        }
    }
}

impl Role for Relay {
    type Session = RelaySession;
    /// The relay sends no files.
    type File = std::os::fd::OwnedFd;
    type Message = RegistryUpdate;

    fn start(&mut self, _: &mut Context<'_, Self>) {}

    fn on_accept(&mut self, _: SocketAddr) -> RelaySession {
        RelaySession::default()
    }

    fn on_encrypted(&mut self, session: &mut RelaySession, security: ConnectionSecurity) {
        session.server().on_encrypted(security);
    }

    fn is_known(&self, ip: IpAddr) -> bool {
        self.directory.has_nodes_of(ip)
    }

    fn on_refuse(&self, limit: ResourceLimit, text: &mut Vec<u8>) {
        server::refuse(text, limit);
    }

    fn prefetch<'a>(&self, batch: impl Iterator<Item = (SocketAddr, &'a [u8])>) {
        self.prefetch_batch(batch);
    }

    fn on_input(
        &mut self,
        context: &mut Context<'_, Self>,
        conn: ConnId,
        peer: SocketAddr,
        session: &mut RelaySession,
        input: Input<'_>,
    ) -> ReadNext {
        let mut request = RelayRequest::of_connection(context, conn, peer, session);
        if input == Input::Resumed {
            let pending = request.session.extended().pending_connections.take();
            return match pending {
                Some(pending) => pending.finish(&mut request),
                None => self.finish_search(&mut request, conn),
            };
        }
        if input.is_http() {
            return self.answer_http(&mut request, conn, input);
        }
        let (ip, position) = (request.ip, self.change_position());
        let next = self.answer(&mut request, input);
        if let ReadNext::Close(_) = next {
            self.stop_listening(request.session, request.now);
        }
        match position {
            Some(position) => self.limit_changes((ip, conn), position, next),
            None => next,
        }
    }

    fn write_connections(
        &self,
        session: &RelaySession,
        total: u64,
        connections: &[ConnectionInfo],
        text: &mut Vec<u8>,
    ) {
        match session.pending_connections() {
            Some(pending) => pending.write_to(total, connections, text),
            None => server::write_connections(total, connections, text),
        }
    }

    fn last_request(session: &RelaySession) -> Option<LastRequest<'_>> {
        session.last_request()
    }

    fn on_datagram(&mut self, context: &mut Context<'_, Self>, from: UdpPeer, bytes: &[u8]) {
        self.answer_datagram(context, from, bytes);
    }

    fn on_close(
        &mut self,
        context: &mut Context<'_, Self>,
        session: RelaySession,
        _: &CloseReason,
    ) {
        let extended = session.into_extended();
        if let Some((address, conn)) = extended.listens_at {
            self.remove_listener(address, conn, context.now);
        }
        if let Some(conn) = extended.pending_search {
            self.searches.cancel(conn);
        }
    }

    fn on_message(&mut self, _: &mut Context<'_, Self>, message: RegistryUpdate) {
        self.queue_registry_update(message);
    }

    fn has_work(&self) -> bool {
        let shared = self.shared.as_ref();
        self.has_departed_files()
            || self.searches.has_work()
            || self.message_listeners.have_ended()
            || shared.is_some_and(|shared| shared.has_work())
    }

    fn next_deadline(&self) -> Option<Instant> {
        let shared = self.shared.as_ref();
        let publication = shared.and_then(|shared| shared.next_deadline());
        let lease = self.directory.next_deadline();
        [lease, publication].into_iter().flatten().min()
    }

    fn on_timer(&mut self, context: &mut Context<'_, Self>) {
        self.expire_leases(context.now);
        self.remove_departed_files();
        self.continue_searches(context.out);
        self.handle_registry(context.out, context.now);
    }

    fn drain(&mut self, _: &mut Context<'_, Self>) {}
}

/// A number of ten digits that is different in each process. It reveals nothing about
/// the `secret`.
fn first_epoch(secret: &[u8; 32]) -> u64 {
    let [a, b, c, d, ..] = blake3::derive_key("peerline 2026 epoch of a registration", secret);
    1_000_000_000 + u64::from(u32::from_le_bytes([a, b, c, d]))
}
