//! A client of TLS whose hello is that of today's browsers: it offers the group
//! X25519MLKEM768, whose share alone nearly fills a packet. No server here knows the group, so
//! the share is random bytes.

use std::sync::Arc;

use rustls::crypto::ring::kx_group::X25519;
use rustls::crypto::{ActiveKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup, ring};
use rustls::{ClientConfig, ClientConnection, Error, NamedGroup, version};

use super::tls_session::{AnyServer, session_of};

/// The bytes of a share: a key of ML-KEM-768, and one of X25519.
const SHARE: usize = 1184 + 32;

/// The group, with the share of X25519 that browsers send beside it, or without.
#[derive(Debug)]
struct PostQuantumGroup {
    has_classical_share: bool,
}

static BOTH_SHARES: PostQuantumGroup = PostQuantumGroup {
    has_classical_share: true,
};
static ONE_SHARE: PostQuantumGroup = PostQuantumGroup {
    has_classical_share: false,
};

impl SupportedKxGroup for PostQuantumGroup {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut share = vec![0; SHARE];
        let random = ring::default_provider().secure_random;
        random
            .fill(&mut share)
            .map_err(|_| Error::FailedToGetRandomBytes)?;
        Ok(Box::new(PostQuantumShare {
            share,
            classical: X25519.start()?,
            has_classical_share: self.has_classical_share,
        }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }
}

/// The shares of one hello.
struct PostQuantumShare {
    share: Vec<u8>,
    classical: Box<dyn ActiveKeyExchange>,
    has_classical_share: bool,
}

impl ActiveKeyExchange for PostQuantumShare {
    fn complete(self: Box<Self>, _: &[u8]) -> Result<SharedSecret, Error> {
        panic!("the server knows the group: let this test use it");
    }

    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        let component = (NamedGroup::X25519, self.classical.pub_key());
        self.has_classical_share.then_some(component)
    }

    fn complete_hybrid_component(self: Box<Self>, share: &[u8]) -> Result<SharedSecret, Error> {
        self.classical.complete(share)
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }
}

/// A new session, which sends a share of X25519 as well, or waits until the server asks for it.
pub fn post_quantum_session(has_classical_share: bool) -> ClientConnection {
    let group = if has_classical_share {
        &BOTH_SHARES
    } else {
        &ONE_SHARE
    };
    let provider = CryptoProvider {
        kx_groups: vec![group, X25519],
        ..ring::default_provider()
    };
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&version::TLS13])
        .expect("the version is known")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer::new()))
        .with_no_client_auth();
    session_of(&Arc::new(config))
}
