//! Certificates that somebody vouches for, with unmodified clients: `curl` and a browser.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use peerline::tls::KeyId;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    PublicKeyData,
};
use tempfile::TempDir;

use crate::support::{Browser, Server, ask, folder, http_program, is_missing, node, relay};

/// An authority, with a folder for its files.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("random bytes");
        let mut params = CertificateParams::default();
        // A name of its own: clients look for the authority by its name.
        params.distinguished_name = DistinguishedName::new();
        let name = KeyId::of(&key.subject_public_key_info()).to_string();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let folder = folder(&[]);
        fs::write(folder.path().join("authority.pem"), issuer.pem()).expect("a file");
        Self { issuer, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn path(&self, name: &str) -> String {
        let file = self.file(name);
        file.to_str().expect("a temporary name is text").to_owned()
    }

    /// The id of its key.
    fn id(&self) -> String {
        KeyId::of(&self.issuer.key().subject_public_key_info()).to_string()
    }

    /// Vouches for a new key of this machine. Returns the flags of a server that shows it, and
    /// the id of the key.
    fn vouch(&self) -> ([String; 4], String) {
        let key = KeyPair::generate().expect("random bytes");
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let params = CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &self.issuer);
        let certificate = certificate.expect("a certificate").pem();
        fs::write(self.file("key.pem"), key.serialize_pem()).expect("a file");
        let is_secret = fs::Permissions::from_mode(0o600);
        fs::set_permissions(self.file("key.pem"), is_secret).expect("it is ours");
        let chain = format!("{certificate}{}", self.issuer.pem());
        fs::write(self.file("certificate.pem"), chain).expect("a file");
        let (key_file, certificate_file) = (self.path("key.pem"), self.path("certificate.pem"));
        let flags = [
            "--key".to_owned(),
            key_file,
            "--certificate".to_owned(),
            certificate_file,
        ];
        (flags, KeyId::of(&key.subject_public_key_info()).to_string())
    }
}

/// A node that shares one file, and shows a certificate of an authority.
fn node_of(authority: &Authority, relay: &Server, share: &TempDir) -> (Server, String) {
    let (flags, id) = authority.vouch();
    let node = node(relay, share.path(), &flags.each_ref().map(String::as_str));
    (node, id)
}

#[test]
fn curl_trusts_the_authority_that_has_vouched_for_a_node() {
    if is_missing("curl") {
        return;
    }
    let (relay, share) = (relay(&[]), folder(&[("five.txt", b"Hello")]));
    let (authority, other) = (Authority::new(), Authority::new());
    let (node, id) = node_of(&authority, &relay, &share);
    let curl = |flags: &[&str]| {
        let url = format!("https://{}/five.txt", node.address());
        let args = [
            &["--silent", "--show-error", "--max-time", "60"],
            flags,
            &[&url],
        ]
        .concat();
        http_program("curl", authority.folder.path(), &args)
    };
    let known = authority.path("authority.pem");
    assert_eq!(curl(&["--cacert", &known]).expect_code(0).text(), "Hello");
    let pinned = ["--cacert", &known, "--pinnedpubkey", &id];
    assert_eq!(curl(&pinned).expect_code(0).text(), "Hello");
    // 60: the certificate is not trusted.
    curl(&["--cacert", &other.path("authority.pem")]).expect_code(60);
    curl(&[]).expect_code(60);
}

#[test]
fn a_node_registers_with_the_key_for_which_an_authority_vouches() {
    let mut relay = relay(&[]);
    let line = relay.line();
    let (_, relay_id) = line.split_once(" id ").expect("an id");
    let share = folder(&[]);
    let authority = Authority::new();
    let (flags, id) = authority.vouch();
    let flags = [
        &flags.each_ref().map(String::as_str)[..],
        &["--relay-id", relay_id],
    ]
    .concat();
    let node = node(&relay, share.path(), &flags);
    let listed = format!("NODES 1\n{} {id}\n", node.wire_address());
    assert_eq!(ask(relay.address(), b"LIST\n"), listed);
}

#[test]
fn a_browser_shows_the_pages_of_a_node_that_its_authority_knows() {
    let Some(browser) = Browser::new() else {
        return;
    };
    let (relay, share) = (relay(&[]), folder(&[("five.txt", b"Hello")]));
    let authority = Authority::new();
    let (node, id) = node_of(&authority, &relay, &share);
    let address = format!("https://{}/", node.address());
    let refused = browser.open(&address).document;
    assert!(!refused.contains("five.txt"), "{refused}");
    // The authority, or the node itself: its id is what a browser compares.
    for trusted in [authority.id(), id.clone()] {
        let browser = Browser::new().expect("it was there").trusting(&trusted);
        let visit = browser.open(&address);
        assert!(visit.document.contains("five.txt"), "{}", visit.document);
        assert!(visit.document.contains(&*id), "{}", visit.document);
        assert_eq!(visit.console, [""; 0]);
        assert!(visit.requests.len() > 1, "style and script are requested");
        let is_encrypted = |request: &String| request.starts_with(&address);
        assert!(
            visit.requests.iter().all(is_encrypted),
            "{:?}",
            visit.requests
        );
    }
    let other = Browser::new()
        .expect("it was there")
        .trusting(&Authority::new().id());
    let refused = other.open(&address).document;
    assert!(!refused.contains("five.txt"), "{refused}");
}
