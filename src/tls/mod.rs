//! TLS 1.3, with the keys and certificates of the programs. Connections are in `reactor`.

mod acceptor;
mod any_client;
mod certificates;
mod connection_security;
mod connector;
mod error;
mod id_list;
mod identity;
mod identity_file;
mod key_id;
mod known_relays;
mod mode;
mod relay_trust;
mod signature_check;
mod state_file;
mod tls_clock;

pub use acceptor::TlsAcceptor;
pub use certificates::Certificates;
pub use connection_security::ConnectionSecurity;
pub use connector::{ServerTrust, TlsConnector};
pub use error::{TlsError, UnexpectedKey};
pub use id_list::{IdList, IdListError};
pub use identity::Identity;
pub use identity_file::{IdentityFile, read_identity, read_private_file};
pub use key_id::KeyId;
pub use known_relays::{KnownKeys, KnownRelays, KnownRelaysWorker};
pub use mode::TlsMode;
pub use relay_trust::RelayTrust;
pub use state_file::{StateFileError, read_option_file};
pub(crate) use tls_clock::TlsClock;
