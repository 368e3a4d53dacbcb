//! The client side of TLS.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, version,
};

use crate::tls::TlsClock;
use crate::tls::certificates::Certificates;
use crate::tls::error::{TlsError, UnexpectedKey};
use crate::tls::id_list::IdList;
use crate::tls::key_id::KeyId;
use crate::tls::relay_trust::RelayTrust;
use crate::tls::signature_check::SignatureCheck;

/// The name in the handshake: the key is checked, not the name.
const NAME: &str = "peerline";

/// Which key a server must have.
#[derive(Clone, Debug)]
pub enum ServerTrust {
    /// Any key.
    Any,
    /// This key.
    Key(KeyId),
    /// One of these keys.
    Listed(Arc<IdList>),
    /// The one of the relay.
    Relay(Arc<RelayTrust>),
}

/// Starts TLS on connections to one server, or to all whose key does not matter.
#[derive(Clone)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
    trust: ServerTrust,
}

impl TlsConnector {
    /// Accepts servers with a trusted key, and no other. Shows them `certificates`, if there are
    /// some.
    ///
    /// # Errors
    /// The cryptography of this build has no TLS 1.3.
    pub fn new(trust: ServerTrust, certificates: Option<Arc<Certificates>>) -> io::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let verifier = TrustedKey {
            trust: trust.clone(),
            signatures: SignatureCheck::new(),
        };
        let builder = ClientConfig::builder_with_details(provider, Arc::new(TlsClock))
            .with_protocol_versions(&[&version::TLS13])
            .map_err(io::Error::other)?;
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match certificates {
            Some(certificates) => {
                let mut config = builder.with_client_cert_resolver(certificates);
                // The server takes the key of a resumed session from its ticket: it would see the
                // key that was shown at first, even after `Certificates::replace`.
                config.resumption = Resumption::disabled();
                config
            }
            None => builder.with_no_client_auth(),
        };
        config.enable_sni = false;
        if let ServerTrust::Any | ServerTrust::Listed(_) = trust {
            // Its connections lead to several servers, which know no tickets of each other.
            config.resumption = Resumption::disabled();
        }
        Ok(Self {
            config: Arc::new(config),
            trust,
        })
    }

    /// The session of a new connection to this address. None if the connection begins without
    /// TLS, as those to a relay on loopback whose key is not known.
    ///
    /// # Errors
    /// The system provides no random bytes.
    pub fn connect(&self, ip: IpAddr) -> io::Result<Option<ClientConnection>> {
        if let ServerTrust::Relay(relay) = &self.trust
            && relay.starts_plain(ip)
        {
            return Ok(None);
        }
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(&self.config), name);
        connection.map(Some).map_err(io::Error::other)
    }

    /// The server says that it speaks no TLS. Returns whether to connect once more, without.
    #[must_use]
    pub fn accept_plain(&self) -> bool {
        match &self.trust {
            ServerTrust::Relay(relay) => relay.accept_plain(),
            ServerTrust::Any | ServerTrust::Key(_) | ServerTrust::Listed(_) => false,
        }
    }

    /// Why the handshake with the server has failed. Says more if the server speaks no TLS
    /// although its key is known.
    #[must_use]
    pub fn explain(&self, error: io::Error) -> io::Error {
        let is_plain = TlsError::of(&error).is_some_and(TlsError::is_plain);
        match &self.trust {
            ServerTrust::Relay(relay) if is_plain => match relay.known_key() {
                Some(text) => io::Error::new(error.kind(), TlsError::KeyIsKnown(text)),
                None => error,
            },
            _ => error,
        }
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector").finish_non_exhaustive()
    }
}

/// Checks the key of the server. Nobody has to vouch for it, but the server must prove that the
/// key is its own.
#[derive(Debug)]
struct TrustedKey {
    trust: ServerTrust,
    signatures: SignatureCheck,
}

impl ServerCertVerifier for TrustedKey {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let id = id_of(certificate)?;
        let result = match &self.trust {
            ServerTrust::Any => Ok(()),
            ServerTrust::Key(known) if *known == id => Ok(()),
            ServerTrust::Key(_) => Err(format!("another key, {id}, than the one that is expected")),
            ServerTrust::Listed(ids) if ids.contains(&id) => Ok(()),
            ServerTrust::Listed(_) => Err(format!("{id} is not in --allow-ids")),
            ServerTrust::Relay(relay) => relay.check(id),
        };
        result.map_err(UnexpectedKey)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let valid = self.signatures.tls13(message, certificate, signature)?;
        if let ServerTrust::Relay(relay) = &self.trust {
            let result = relay.on_proof(id_of(certificate)?);
            result.map_err(UnexpectedKey)?;
        }
        Ok(valid)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.schemes()
    }
}

fn id_of(certificate: &CertificateDer<'_>) -> Result<KeyId, Error> {
    Ok(KeyId::of_certificate(&ParsedCertificate::try_from(
        certificate,
    )?))
}
