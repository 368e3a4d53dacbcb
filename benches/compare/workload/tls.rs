//! The same over TLS 1.3: a large file, handshakes, small files and idle connections,
//! beside nginx with the same key, certificate and cipher.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use peerline::tls::{Identity, ServerTrust, TlsConnector};

use super::server_under_load::{ServerUnderLoad, run_contenders};
use super::stream::{NAME, RATE, make_file};
use super::{REQUESTS, ScratchFolders, get, http, idle};
use crate::other_servers::CIPHER;
use crate::process::Server;
use crate::report::{Comparison, Unit};
use crate::rounds::run_rounds;
use crate::tcp_load::TcpLoad;
use crate::{other_servers, own_programs};

const ROUNDS: usize = 5;

const HANDSHAKES: Unit = Unit {
    name: "handshakes/s",
    more_is_better: true,
    each: "handshake",
};

pub(super) fn run(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let identity = &make_identity(scratch)?;
    let mut comparisons = Vec::new();
    if other_servers::has("curl") {
        comparisons.extend(large_file(scratch, identity)?);
    }
    comparisons.extend(small_files(scratch, identity)?);
    comparisons.push(idle_connections(scratch, identity)?);
    Ok(comparisons)
}

/// Creates a file with a key and its certificate, for all servers. Returns its path.
fn make_identity(scratch: &ScratchFolders) -> io::Result<String> {
    let path = scratch.disk().join("identity.pem");
    let identity = Identity::generate().map_err(io::Error::other)?;
    let mut options = OpenOptions::new();
    // A node refuses a key that others can read.
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    file.write_all(identity.as_bytes())?;
    Ok(path.to_string_lossy().into_owned())
}

fn large_file(scratch: &ScratchFolders, identity: &str) -> io::Result<[Comparison; 2]> {
    let folder = scratch.memory().join("large");
    let file = make_file(&folder)?;
    let relay = own_programs::relay(&[])?;
    let node = own_programs::node_with_key(&relay, &folder, identity)?;
    let nginx = other_servers::nginx_over_tls(scratch.disk(), &folder, identity)?;
    let limit = own_programs::limit("tls-sender", &[&file.to_string_lossy(), identity])?;
    let curl = |name, server| {
        let options = ["--insecure", "--tls13-ciphers", CIPHER];
        http::to_curl(name, server, "https", &options)
    };
    let from = node.address.to_string();
    let client = ["--from", &from, "--tls", "required", "--quiet"];
    let client = [&client[..], &["get", NAME, "-o", "/dev/null"]].concat();

    let mut to_curl = vec![curl("peer-node", &node)];
    let client = http::fetching("peerline", &node, own_programs::CLIENT, &client);
    let mut to_client = vec![client];
    if let Some(nginx) = &nginx {
        to_curl.push(curl("nginx", nginx));
        to_client.push(curl("nginx+curl", nginx));
    }
    to_curl.push(curl("limit", &limit));
    let title = format!("1 GiB to curl over TLS 1.3, {CIPHER}");
    let to_curl = Comparison::new("tls-curl", title, RATE, run_rounds(ROUNDS, to_curl)?)
        .at_least(1.2, "nginx")
        .at_least(0.85, "limit");
    let title = "1 GiB from peer-node to peer-client over TLS, to /dev/null";
    let to_client = Comparison::new("tls-client", title, RATE, run_rounds(ROUNDS, to_client)?)
        .at_least(1.5, "nginx+curl");
    Ok([to_curl, to_client])
}

/// Connections without tickets of earlier ones, each with one request: above all, this is
/// the handshake. The load needs more processor time for it than a server, so the processor
/// time of the servers tells them apart.
fn small_files(scratch: &ScratchFolders, identity: &str) -> io::Result<[Comparison; 2]> {
    let folder = scratch.disk().join("small");
    let body = get::make_files(&folder)?;
    let relay = own_programs::relay(&[])?;
    let node = own_programs::node_with_key(&relay, &folder, identity)?;
    let mut all = vec![ServerUnderLoad::new(
        "peer-node",
        node,
        get::over_http(&body),
    )];
    if let Some(server) = other_servers::nginx_over_tls(scratch.disk(), &folder, identity)? {
        all.push(ServerUnderLoad::new("nginx", server, get::over_http(&body)));
    }
    let tls = TlsConnector::new(ServerTrust::Any, None)?;
    let load = |reconnects| {
        run_contenders(&all, |to| {
            let (address, group) = (to.server.address, to.group(64, 1));
            match reconnects {
                true => TcpLoad::reconnecting_over_tls(address, group, tls.clone()),
                false => TcpLoad::over_tls(address, group, tls.clone()),
            }
        })
    };
    let anew = "full handshakes, each with a file of 1 KiB over HTTP, 64 connections at once";
    let kept = "files of 1 KiB over HTTP and TLS, 64 connections with 1 request in flight";
    Ok([
        Comparison::new("tls-handshake", anew, HANDSHAKES, load(true)?)
            .at_least(1.0, "nginx")
            .processor_at_most(1.0, "nginx"),
        Comparison::new("tls-64x1", kept, REQUESTS, load(false)?).at_least(1.3, "nginx"),
    ])
}

fn idle_connections(scratch: &ScratchFolders, identity: &str) -> io::Result<Comparison> {
    let folder = scratch.disk().join("small");
    let body = get::make_files(&folder)?;
    let relay = own_programs::relay(&[])?;
    let tls = TlsConnector::new(ServerTrust::Any, None)?;
    let idle = |name, server: Server| {
        idle::idle(name, server, get::over_http(&body), |address, group| {
            TcpLoad::over_tls(address, group, tls.clone())
        })
    };
    let node = own_programs::node_with_key(&relay, &folder, identity)?;
    let mut all = vec![idle("peer-node", node)?];
    if let Some(server) = other_servers::nginx_over_tls(scratch.disk(), &folder, identity)? {
        all.push(idle("nginx", server)?);
    }
    let title = "ten thousand connections over TLS that have spoken once: memory of the process";
    Ok(Comparison::new("tls-idle", title, idle::MEMORY, all))
}
