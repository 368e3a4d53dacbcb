//! The same over HTTP: small files beside nginx and the line protocol, and a large one to
//! curl.

use std::io;

use super::server_under_load::{ServerUnderLoad, run_tcp};
use super::stream::{NAME, PIECES, RATE, make_file};
use super::{REQUESTS, ScratchFolders, directory, get};
use crate::process::Server;
use crate::report::Comparison;
use crate::request_spec::{ReplyFormat, RequestSpec, Template};
use crate::rounds::{Contender, RoundResult, run_rounds};
use crate::{command, other_servers, own_programs};

const ROUNDS: usize = 5;

/// The files on a page of the relay.
const FILES_PER_PAGE: usize = 50;

/// A range that leaves out the first MiB of the large file.
const RANGE: &str = "1048576-";

pub(super) fn run(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let mut comparisons = small_files(scratch)?;
    comparisons.push(page()?);
    if other_servers::has("curl") {
        comparisons.extend(large_file(scratch)?);
    }
    Ok(comparisons)
}

fn small_files(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let folder = scratch.disk().join("small");
    let body = get::make_files(&folder)?;
    let relay = own_programs::relay(&[])?;
    let node = || own_programs::unlisted_node(&relay, &folder);
    let mut all = vec![
        ServerUnderLoad::new("peer-node", node()?, get::over_http(&body)),
        ServerUnderLoad::new("lines", node()?, get::ours(&body)),
    ];
    if let Some(server) = other_servers::nginx(scratch.disk(), &folder)? {
        all.push(ServerUnderLoad::new("nginx", server, get::over_http(&body)));
    }
    let many = "files of 1 KiB over HTTP, 64 connections with 1 request in flight";
    let pipelined = "files of 1 KiB over HTTP, 64 connections with 16 requests in flight";
    let compare = |name, title, in_flight| -> io::Result<Comparison> {
        let series = run_tcp(&all, 64, in_flight)?;
        let comparison = Comparison::new(name, title, REQUESTS, series);
        Ok(comparison.at_least(1.5, "nginx").at_least(0.8, "lines"))
    };
    Ok(vec![
        compare("http-64x1", many, 1)?,
        compare("http-64x16", pipelined, 16)?,
    ])
}

/// The relay's page of the first 50 among a million files.
fn page() -> io::Result<Comparison> {
    let relay = own_programs::relay(&["--lease", "86400"])?;
    directory::share_files(&relay, directory::MANY)?;
    let target = "GET /?q=music HTTP/1.1\r\nHost: localhost\r\n";
    // All answers must equal the first one.
    let answer = own_programs::ask(relay.address, &format!("{target}Connection: close\r\n\r\n"))?;
    let (_, page) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| io::Error::other("no page"))?;
    if page.matches("<tr>").count() < FILES_PER_PAGE {
        return Err(io::Error::other("the page has too few files"));
    }
    let spec = RequestSpec {
        request: Template::verbatim(format!("{target}\r\n")),
        reply: Template::verbatim(page),
        format: ReplyFormat::Http,
        numbers: 1,
    };
    let all = [ServerUnderLoad::new("relay", relay, spec)];
    let title = "the relay's page of 50 hits among a million names, 16 connections";
    let series = run_tcp(&all, 16, 1)?;
    Ok(Comparison::new("http-page", title, REQUESTS, series).figure_at_least(5000.0))
}

fn large_file(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let folder = scratch.memory().join("large");
    make_file(&folder)?;
    let relay = own_programs::relay(&[])?;
    let node = own_programs::unlisted_node(&relay, &folder)?;
    let nginx = other_servers::nginx(scratch.disk(), &folder)?;
    let compare = |name, title, range: &[&str]| -> io::Result<Comparison> {
        let mut contenders = vec![to_curl("peer-node", &node, "http", range)];
        let nginx = nginx.as_ref();
        contenders.extend(nginx.map(|nginx| to_curl("nginx", nginx, "http", range)));
        let comparison = Comparison::new(name, title, RATE, run_rounds(ROUNDS, contenders)?);
        Ok(comparison
            .at_least(1.0, "nginx")
            .processor_at_most(1.1, "nginx"))
    };
    let part = "1 GiB to curl without its first MiB, by a range";
    Ok(vec![
        compare("http-stream", "1 GiB to curl", &[])?,
        compare("http-range", part, &["--range", RANGE])?,
    ])
}

/// Fetches the large file, or a part of it, to /dev/null. Curl's exit code tells whether all
/// of it has arrived.
pub(super) fn to_curl<'a>(
    name: &'static str,
    server: &'a Server,
    scheme: &str,
    options: &[&str],
) -> Contender<'a> {
    let url = format!("{scheme}://{}/{NAME}", server.address);
    let args = ["--silent", "--fail", "--output", "/dev/null", &*url];
    fetching(name, server, "curl", &[&args, options].concat())
}

/// A client program that fetches the large file from a server, and fails if a part is
/// missing.
pub(super) fn fetching<'a>(
    name: &'static str,
    server: &'a Server,
    client: &'static str,
    args: &[&str],
) -> Contender<'a> {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    Contender::new(name, move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let before = server.processor_time();
        let time = command::run(client, &args)?;
        Ok(RoundResult {
            figure: (PIECES as f64 / 1024.0) / time.as_secs_f64(),
            units: PIECES as f64 / 1024.0,
            processor: server.processor_time() - before,
            faults: 0,
        })
    })
}
