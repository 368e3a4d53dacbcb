//! TLS 1.3, with the keys and certificates of the programs. Connections are in `reactor`.

mod acceptor;
mod certificates;
mod connector;
mod error;
mod identity;
mod identity_file;
mod key_id;

pub use acceptor::TlsAcceptor;
pub use certificates::Certificates;
pub use connector::TlsConnector;
pub use error::TlsError;
pub use identity::Identity;
pub use identity_file::{IdentityError, IdentityFile, read_identity};
pub use key_id::KeyId;
