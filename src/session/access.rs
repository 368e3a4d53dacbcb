//! Who may use a server: those who know the secret of a group, and lists of keys.
//!
//! A connection to a server with a secret begins locked. `AUTH` and `PROVE` unlock it; until
//! then, only requests that reveal nothing are executed. Another secret locks all connections
//! again: somebody who is to lose access may have one. In HTTP each request brings the secret,
//! because a proxy may send the requests of several people on one connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use log::warn;

use crate::protocol::{
    AccessRejection, Banner, Proof, Proven, Prover, Request, ServerKind, SharedSecret,
    address_group,
};
use crate::rate_limiter::KeyedRateLimiter;
use crate::role::{ReadNext, Role};
use crate::session::ServerSession;
use crate::session::group_secret::{GroupSecret, VersionedSecret};
use crate::session::http::HttpRequest;
use crate::session::http::error::HttpError;
use crate::session::id_rules::IdRules;
use crate::session::responder::Responder;
use crate::tls::KeyId;

/// The settings of [`AccessControl`].
#[derive(Clone, Default, Debug)]
pub struct AccessSettings {
    /// What clients have to know; nothing if everybody may use the server.
    pub secret: Option<Arc<GroupSecret>>,
    /// The most wrong secrets per second from one address.
    pub guess_rate: u32,
    /// Which keys may fetch from a node, or register with a relay.
    pub ids: Option<Arc<IdRules>>,
    /// Whether others may only read from a relay, and send no messages.
    pub is_read_only: bool,
}

/// Decides which requests of a client are executed.
pub struct AccessControl {
    server: ServerKind,
    lock: Option<Lock>,
    ids: Option<Arc<IdRules>>,
    is_read_only: bool,
}

/// The secret of a server, and the wrong ones that were tried.
struct Lock {
    secret: Arc<GroupSecret>,
    guess_rate: u32,
    guesses: KeyedRateLimiter,
}

/// The sender of a request.
#[derive(Clone, Copy)]
pub(crate) struct RequestSource {
    pub(crate) ip: IpAddr,
    /// When the request arrived.
    pub(crate) now: Instant,
}

impl AccessControl {
    /// For a server of this kind that starts at `now`.
    #[must_use]
    pub fn new(server: ServerKind, settings: &AccessSettings, now: Instant) -> Self {
        let guess_rate = settings.guess_rate;
        let lock = settings.secret.as_ref().map(|secret| Lock {
            secret: Arc::clone(secret),
            guess_rate,
            guesses: KeyedRateLimiter::new(guess_rate, now),
        });
        Self {
            server,
            lock,
            ids: settings.ids.clone(),
            is_read_only: settings.is_read_only,
        }
    }

    /// Whether clients have to know a secret.
    pub(crate) fn has_secret(&self) -> bool {
        self.lock.is_some()
    }

    /// Whether a client that has shown this version of the secret has to show the current one.
    fn is_locked(&self, version: u32) -> bool {
        let lock = self.lock.as_ref();
        lock.is_some_and(|lock| lock.secret.versioned().version != version)
    }

    /// Answers a request that unlocks the connection, or that the client may not make. None if
    /// the request is to be executed.
    pub(crate) fn check<R: Role>(
        &mut self,
        request: &Request<'_>,
        source: RequestSource,
        session: &mut ServerSession,
        reply: &mut Responder<'_, R>,
    ) -> Option<ReadNext> {
        let result = match request {
            Request::Auth(_) | Request::Prove(_) if self.lock.is_none() => {
                return Some(reply.reject(AccessRejection::NoSecret.into()));
            }
            Request::Auth(text) => self.check_secret(text, source, session, "AUTH"),
            Request::Prove(proof) => match self.check_proof(*proof, source, session) {
                Ok(own) => return Some(reply.proven(Proven(own))),
                Err(rejection) => Err(rejection),
            },
            _ if !self.is_locked(session.secret_version()) => match &self.ids {
                Some(ids) if self.is_restricted(request) => ids.check(id_of(session)),
                _ => return None,
            },
            Request::Help | Request::Quit | Request::Ping => return None,
            Request::Banner => return Some(reply.banner(Banner::Locked(self.server))),
            _ => Err(AccessRejection::SecretRequired {
                is_private: is_private(source, session),
            }),
        };
        match result {
            Ok(()) if !matches!(request, Request::Auth(_)) => None,
            result => Some(reply.ok_or_error(result.map_err(Into::into))),
        }
    }

    /// Whether only clients with a listed key may make this request.
    fn is_restricted(&self, request: &Request<'_>) -> bool {
        // No wildcard: whoever adds a request decides here who may make it.
        match request {
            Request::Banner
            | Request::Help
            | Request::Quit
            | Request::Ping
            | Request::Auth(_)
            | Request::Prove(_) => false,
            Request::Register(..)
            | Request::Unregister(..)
            | Request::Share(..)
            | Request::ShareDigest(..)
            | Request::Unshare(_) => true,
            Request::Listen | Request::Send(..) => match self.server {
                ServerKind::Relay => self.is_read_only,
                ServerKind::Node => true,
            },
            Request::List
            | Request::Find(_)
            | Request::Search(_)
            | Request::More
            | Request::Get(_)
            | Request::Range { .. }
            | Request::Pieces(_)
            | Request::Digest(_)
            | Request::Stat(_)
            | Request::Who
            | Request::Stats
            | Request::Connections => self.server == ServerKind::Node,
        }
    }

    /// Whether a client that has shown this key and this version of the secret may receive
    /// messages from a relay.
    pub(crate) fn may_listen(&self, id: Option<KeyId>, secret_version: u32) -> bool {
        match &self.ids {
            _ if self.is_locked(secret_version) => false,
            Some(ids) if self.is_restricted(&Request::Listen) => ids.check(id).is_ok(),
            _ => true,
        }
    }

    /// Answers a request in HTTP that does not bring the secret, or that the client may not
    /// make: HTTP only reads, so a relay asks for no key. None if the request is to be executed.
    pub(crate) fn check_http<R: Role>(
        &mut self,
        request: &HttpRequest<'_>,
        source: RequestSource,
        session: &mut ServerSession,
        reply: &mut Responder<'_, R>,
    ) -> Option<ReadNext> {
        if let Some(next) = self.check_password(request, source, session, reply) {
            return Some(next);
        }
        let ids = self
            .ids
            .as_ref()
            .filter(|_| self.server == ServerKind::Node)?;
        let rejection = ids.check(id_of(session)).err()?;
        Some(reply.reject_in_http(&rejection))
    }

    fn check_password<R: Role>(
        &mut self,
        request: &HttpRequest<'_>,
        source: RequestSource,
        session: &mut ServerSession,
        reply: &mut Responder<'_, R>,
    ) -> Option<ReadNext> {
        self.lock.as_ref()?;
        if !is_private(source, session) {
            // A browser that is asked for the secret would send it in clear text.
            let error = HttpError::TlsRequired(request.encrypted_address());
            return Some(reply.http_error(&error));
        }
        let result = match request.password() {
            Some(text) => self.check_secret(&text, source, session, "HTTP"),
            None => Err(AccessRejection::SecretRequired { is_private: true }),
        };
        result
            .err()
            .map(|rejection| reply.reject_in_http(&rejection))
    }

    fn check_secret(
        &mut self,
        text: &str,
        source: RequestSource,
        session: &mut ServerSession,
        verb: &str,
    ) -> Result<(), AccessRejection> {
        if !is_private(source, session) {
            return Err(AccessRejection::SecretUnencrypted);
        }
        let lock = self.lock.as_mut().ok_or(AccessRejection::NoSecret)?;
        let shown = lock.check(source, verb, |secret| secret.is(text))?;
        session.unlock(shown.version);
        Ok(())
    }

    /// Returns the proof of the server.
    fn check_proof(
        &mut self,
        proof: Proof,
        source: RequestSource,
        session: &mut ServerSession,
    ) -> Result<Proof, AccessRejection> {
        let lock = self.lock.as_mut().ok_or(AccessRejection::NoSecret)?;
        let security = session
            .security()
            .ok_or(AccessRejection::ProofUnencrypted)?;
        let exporter = security.exporter;
        let shown = lock.check(source, "PROVE", |secret| {
            secret.proof(Prover::Client, &exporter) == proof
        })?;
        session.unlock(shown.version);
        Ok(shown.secret.proof(Prover::Server, &exporter))
    }
}

impl Lock {
    /// Returns the secret that the client has shown.
    fn check(
        &mut self,
        source: RequestSource,
        verb: &str,
        is_right: impl FnOnce(&SharedSecret) -> bool,
    ) -> Result<VersionedSecret, AccessRejection> {
        let RequestSource { ip, now } = source;
        let (rate, group) = (self.guess_rate, address_group(ip));
        // Beyond the rate not even the right secret counts: it would end a search.
        if !self.guesses.allows(group, 0, rate, now) {
            return Err(AccessRejection::TooManyGuesses(rate));
        }
        let current = self.secret.versioned();
        if is_right(&current.secret) {
            return Ok(current);
        }
        self.guesses.allows(group, 1, rate, now);
        warn!("{ip}: wrong secret ({verb})");
        Err(AccessRejection::WrongSecret)
    }
}

/// The key that the client has shown.
fn id_of(session: &ServerSession) -> Option<KeyId> {
    session.security()?.peer
}

/// Whether nobody else reads the connection.
fn is_private(source: RequestSource, session: &ServerSession) -> bool {
    session.security().is_some() || source.ip.is_loopback()
}
