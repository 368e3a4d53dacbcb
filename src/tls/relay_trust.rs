//! Whose key a relay must have: the one that the user has pinned, or else the one that it
//! had when it was first connected to.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::tls::key_id::KeyId;
use crate::tls::known_relays::{KnownKeys, KnownRelays, KnownRelaysWorker};
use crate::tls::state_file::StateFileError;

/// What is known of one relay. All connections to it share this.
#[derive(Debug)]
pub struct RelayTrust {
    /// `HOST:PORT`, as in the file of known relays. Several, if the network has told the
    /// addresses: a key that is known for one of them holds for all.
    names: Vec<String>,
    /// Whether the relay must speak TLS.
    is_required: bool,
    /// Whether the first key goes into the file. Not if the network has told the address: it
    /// may be that of another server.
    is_recorded: bool,
    /// The file, and the thread that uses it; none if there is no place for it, or if the user
    /// has pinned the key.
    file: Option<(KnownRelays, KnownRelaysWorker)>,
    state: Mutex<TrustState>,
}

#[derive(Debug)]
enum TrustState {
    /// The relay has shown no key yet. Whether the user knows that it speaks no TLS.
    Unknown { is_plain_reported: bool },
    /// The user has pinned this key.
    Pinned(KeyId),
    /// The file has these keys.
    Known(KnownKeys),
    /// There was no place for this first key.
    FirstKey(KeyId),
}

impl From<KnownKeys> for TrustState {
    fn from(known: KnownKeys) -> Self {
        match known.keys.is_empty() {
            true => Self::Unknown {
                is_plain_reported: false,
            },
            false => Self::Known(known),
        }
    }
}

impl RelayTrust {
    /// The relay must have this key.
    #[must_use]
    pub fn pinned(id: KeyId) -> Self {
        Self {
            names: Vec::new(),
            is_required: true,
            is_recorded: false,
            file: None,
            state: Mutex::new(TrustState::Pinned(id)),
        }
    }

    /// The relay with these names, at least one, must have one of these keys, or if there are
    /// none, the first one that it shows, which goes into `file`. A relay that `is_required` to
    /// speak TLS must do so from the first time on.
    #[must_use]
    pub fn remembered(
        names: Vec<String>,
        is_required: bool,
        known: KnownKeys,
        file: Option<(KnownRelays, KnownRelaysWorker)>,
    ) -> Self {
        Self {
            names,
            is_required,
            is_recorded: true,
            file,
            state: Mutex::new(known.into()),
        }
    }

    /// Does not put the first key into the file.
    #[must_use]
    pub fn unrecorded(self) -> Self {
        let is_recorded = false;
        Self {
            is_recorded,
            ..self
        }
    }

    fn state(&self) -> MutexGuard<'_, TrustState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a connection to this address of the relay begins without TLS: nobody listens on
    /// loopback.
    pub(super) fn starts_plain(&self, ip: IpAddr) -> bool {
        let is_unknown = matches!(*self.state(), TrustState::Unknown { .. });
        is_unknown && !self.is_required && ip.to_canonical().is_loopback()
    }

    /// The relay says that it speaks no TLS. Returns whether to go on without, on this one
    /// connection: not if a key is known, for anybody on the way could have said so.
    pub(super) fn accept_plain(&self) -> bool {
        let mut state = self.state();
        self.read_again(&mut state);
        let TrustState::Unknown { is_plain_reported } = &mut *state else {
            return false;
        };
        if self.is_required {
            return false;
        }
        // Another program may have connected meanwhile.
        match self.keys(None) {
            Some(Ok(known)) if !known.keys.is_empty() => {
                *state = TrustState::Known(known);
                return false;
            }
            Some(Err(error @ StateFileError::Refused(..))) => {
                log::warn!("{error}");
                return false;
            }
            _ => {}
        }
        if !std::mem::replace(is_plain_reported, true) {
            log::warn!(
                "the relay {} speaks no TLS: nothing is encrypted; --tls required refuses such a \
                 relay",
                self.name()
            );
        }
        true
    }

    /// What to say to the user if the relay speaks no TLS although its key is known; none if no
    /// key is.
    pub(super) fn known_key(&self) -> Option<String> {
        let mut state = self.state();
        self.read_again(&mut state);
        let (known, advice) = match &*state {
            TrustState::Unknown { .. } => return None,
            TrustState::Pinned(_) => ("--relay-id".to_owned(), "omit --relay-id".to_owned()),
            TrustState::FirstKey(_) => (
                "its first connection".to_owned(),
                "start this program again".to_owned(),
            ),
            TrustState::Known(known) => (self.lines(known), self.removal(known)),
        };
        Some(format!(
            "the other side does not speak TLS, but the key of the relay is known from {known}; \
             the relay was started with --tls off, or another server answers in its place; if the \
             administrator of the relay confirms that it speaks no TLS, {advice}"
        ))
    }

    /// Whether the relay may have this key. It has not proved yet that the key is its own.
    pub(super) fn check(&self, id: KeyId) -> Result<(), String> {
        let mut state = self.state();
        if let TrustState::Known(known) = &*state
            && self.compare(known, id).is_err()
        {
            self.read_again(&mut state);
        }
        match &*state {
            TrustState::Pinned(known) if *known != id => Err(unexpected(id, "--relay-id")),
            TrustState::FirstKey(known) if *known != id => {
                Err(unexpected(id, "the id at the first connection"))
            }
            TrustState::Pinned(_) | TrustState::FirstKey(_) => Ok(()),
            TrustState::Known(known) => self.compare(known, id),
            TrustState::Unknown { .. } => Ok(()),
        }
    }

    /// The relay has proved that this key is its own: the first one is remembered.
    pub(super) fn on_proof(&self, id: KeyId) -> Result<(), String> {
        let mut state = self.state();
        let TrustState::Unknown { .. } = *state else {
            drop(state);
            return self.check(id);
        };
        let relay = self.name();
        let place = match self.keys(self.is_recorded.then_some(id)) {
            Some(Ok(known)) if known.keys.is_empty() => {
                *state = TrustState::FirstKey(id);
                "not remembered: the relay was found on the network".to_owned()
            }
            Some(Ok(known)) => {
                let result = self.compare(&known, id);
                *state = TrustState::Known(known);
                result?;
                format!("saved in {}", self.path())
            }
            Some(Err(StateFileError::Refused(path, reason))) => {
                return Err(format!("{}: {reason}", path.display()));
            }
            Some(Err(error @ StateFileError::Unavailable(..))) => {
                *state = TrustState::FirstKey(id);
                format!("not remembered: {error}")
            }
            None => {
                *state = TrustState::FirstKey(id);
                "not remembered: there is no folder for it".to_owned()
            }
        };
        log::warn!(
            "first connection to the relay {relay}: compare its id, {id}, with the one that the \
             relay prints when it starts ({place})"
        );
        Ok(())
    }

    /// The user may have removed or added lines since the file was read.
    fn read_again(&self, state: &mut TrustState) {
        if let TrustState::Known(_) = state
            && let Some(Ok(known)) = self.keys(None)
        {
            *state = known.into();
        }
    }

    fn compare(&self, known: &KnownKeys, id: KeyId) -> Result<(), String> {
        if known.keys.iter().any(|(key, _)| *key == id) {
            return Ok(());
        }
        let reason = unexpected(id, &self.lines(known));
        let removal = self.removal(known);
        Err(format!(
            "{reason}; if the administrator of the relay confirms that id, {removal}"
        ))
    }

    /// Where the keys are in the file.
    fn lines(&self, known: &KnownKeys) -> String {
        let file = self.file.as_ref();
        file.map_or_else(String::new, |(file, _)| file.lines(known))
    }

    /// What removes the keys from the file.
    fn removal(&self, known: &KnownKeys) -> String {
        let file = self.file.as_ref();
        file.map_or_else(String::new, |(file, _)| file.removal(known))
    }

    /// The keys in the file, after `first` is added if there was none. None without a file.
    fn keys(&self, first: Option<KeyId>) -> Option<Result<KnownKeys, StateFileError>> {
        let (file, worker) = self.file.as_ref()?;
        let keys = worker.keys(&self.names, first);
        Some(keys.unwrap_or_else(|| {
            let reason = "the thread that reads it has ended".to_owned();
            Err(StateFileError::Refused(file.path().to_owned(), reason))
        }))
    }

    /// The name for people.
    fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    fn path(&self) -> String {
        let file = self.file.as_ref();
        file.map_or(String::new(), |(file, _)| file.path().display().to_string())
    }
}

/// Why a key is refused.
fn unexpected(id: KeyId, expected: &str) -> String {
    format!(
        "the relay has another key than expected: its id is {id}, which does not match {expected}; \
         it has a new key, or another server answers in its place"
    )
}
