//! The key of a program, and the certificate that it shows.

use std::fs::File;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::tls::key_id::KeyId;

/// The name in a certificate of our own. Clients look at the key, not at the name.
const NAME: &str = "peerline";

/// A private key with its certificates.
#[derive(Clone, Debug)]
pub struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    id: KeyId,
    /// The file of the key, locked as long as a server uses it.
    lock: Option<Arc<File>>,
}

impl Identity {
    /// Makes a key (ECDSA on P-256: curl and browsers accept it) and a certificate that it has
    /// signed itself. Returns both as PEM.
    ///
    /// # Errors
    /// The system provides no random bytes.
    pub fn generate() -> Result<String, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let names = vec![NAME.to_owned(), "localhost".to_owned()];
        let mut certificate = CertificateParams::new(names)?;
        certificate.distinguished_name = rcgen::DistinguishedName::new();
        let name = rcgen::DnType::CommonName;
        certificate.distinguished_name.push(name, NAME);
        let certificate = certificate.self_signed(&key)?;
        Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
    }

    /// Reads a private key, and its certificate with those that vouch for it, all as PEM.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_pem(key: &[u8], certificates: &[u8]) -> Result<Self, &'static str> {
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| "no private key")?;
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(certificates).collect();
        let certificates = certificates.map_err(|_| "the certificate is damaged")?;
        if certificates.is_empty() {
            return Err("no certificate");
        }
        let key = CertifiedKey::from_der(certificates, key, &ring::default_provider());
        let key = key.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => "the certificate is for another key",
            rustls::Error::InvalidCertificate(_) => "the certificate is damaged",
            _ => "the private key is damaged, or of an unknown kind",
        })?;
        let public_key = key.key.public_key().ok_or("no public key")?;
        let id = KeyId::of(public_key.as_ref());
        let key = Arc::new(key);
        let lock = None;
        Ok(Self { key, id, lock })
    }

    /// Keeps the locked file of the key open.
    pub fn keep_lock(&mut self, file: File) {
        self.lock = Some(Arc::new(file));
    }

    /// The id of the key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }
}
