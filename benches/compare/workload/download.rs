//! Downloads whose content is checked: one large file from one node and from four, and
//! many small files from three. The clients are whole programs, from start to exit.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ScratchFolders;
use super::stream::{NAME, PIECES, RATE, have_equal_content, make_file};
use crate::process::Server;
use crate::report::{Comparison, Unit};
use crate::rounds::{Contender, RoundResult, run_rounds};
use crate::{command, limit, other_servers, own_programs};

const ROUNDS: usize = 5;

/// The rate of each of four slow nodes, in bytes a second, and the size of the file.
const SLOW_RATE: u64 = 20_000_000;
const SLOW_SIZE: usize = 40_000_000;
const SLOW_ROUNDS: usize = 3;

/// The small files, their folder, and the nodes that share them.
const FILES: usize = 10_000;
const FILE_SIZE: usize = 1024;
const FOLDER: &str = "small";
const SMALL_NODES: usize = 3;

const FILE_RATE: Unit = Unit {
    name: "files/s",
    more_is_better: true,
    each: "file",
};

/// One large file, from one node and from several.
pub(super) fn large(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let folder = scratch.memory().join("large");
    let file = make_file(&folder)?;
    let mut comparisons = Vec::new();
    for (count, name) in [(1, "one node"), (4, "four nodes")] {
        let source = LargeSource::start(scratch, &folder, count, &[])?;
        for (kind, target) in [("tmpfs", scratch.memory()), ("disk", scratch.disk())] {
            let target = target.join("downloaded");
            let series = run_rounds(ROUNDS, source.contenders(&file, &target)?)?;
            let title = format!("1 GiB from {name} onto {kind}, checked; CPU of the client");
            let comparison = Comparison::new(format!("large-{count}-{kind}"), title, RATE, series)
                .at_least(2.5, "aria2c")
                .at_least(0.9, "limit")
                .processor_at_most(1.15, "limit");
            comparisons.push(comparison);
        }
    }
    comparisons.extend(slow(scratch)?);
    Ok(comparisons)
}

/// Four slow nodes against one, for our client and for aria2c.
pub(super) fn slow(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let folder = scratch.memory().join("slow");
    fs::create_dir_all(&folder)?;
    let file = folder.join(NAME);
    let content: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
        .take(SLOW_SIZE)
        .collect();
    fs::write(&file, content)?;
    let rate = SLOW_RATE.to_string();
    let flags = ["--limit-rate", &*rate];
    let four = LargeSource::start(scratch, &folder, 4, &flags)?;
    let one = LargeSource::start(scratch, &folder, 1, &flags)?;
    let target = scratch.memory().join("downloaded");
    let contenders = vec![
        four.peerline("four nodes", &file, &target),
        one.peerline("one node", &file, &target),
    ];
    let series = run_rounds(SLOW_ROUNDS, contenders)?;
    let title = "40 MB from four nodes of 20 MB/s each, and from one";
    let slow = Comparison::new("large-slow", title, RATE, series).at_least(3.8, "one node");
    let mut comparisons = vec![slow];
    if other_servers::has("aria2c") {
        let folder = scratch.memory().join("metalink");
        fs::create_dir_all(&folder)?;
        let contenders = vec![
            four.metalink("four nodes", &file, &folder),
            one.metalink("one node", &file, &folder),
        ];
        let series = run_rounds(SLOW_ROUNDS, contenders)?;
        let title = "the same by aria2c, with the relay's Metalink";
        let comparison = Comparison::new("http-metalink", title, RATE, series);
        comparisons.push(comparison.at_least(3.5, "one node"));
    }
    Ok(comparisons)
}

/// Servers that share a large file.
struct LargeSource {
    relay: Server,
    nodes: Vec<Server>,
    nginx: Vec<Server>,
    limit: Server,
}

impl LargeSource {
    fn start(
        scratch: &ScratchFolders,
        folder: &Path,
        count: usize,
        flags: &[&str],
    ) -> io::Result<Self> {
        let relay = own_programs::relay(&[])?;
        let nodes = own_programs::hashing_nodes(&relay, folder, count, flags)?;
        own_programs::hash_of(&relay, NAME, count)?;
        Ok(Self {
            relay,
            nodes,
            nginx: start_nginx(scratch, folder, count)?,
            limit: own_programs::limit("file-server", &[&folder.to_string_lossy()])?,
        })
    }

    fn contenders<'a>(&'a self, file: &'a Path, target: &Path) -> io::Result<Vec<Contender<'a>>> {
        let mut contenders = vec![self.peerline("peerline", file, target)];
        let path = target.to_string_lossy().into_owned();
        if !self.nginx.is_empty() && other_servers::has("aria2c") {
            let sum = command::output_of("sha256sum", &[&file.to_string_lossy()])?;
            let sum = sum.split(' ').next().unwrap_or_default();
            let checksum = format!("--checksum=sha-256={sum}");
            let folder = target.parent().unwrap_or(target).to_string_lossy();
            let name = target.file_name().unwrap_or_default().to_string_lossy();
            let servers = self.nginx.len().to_string();
            let mut args: Vec<&str> = "-q --file-allocation=none --allow-overwrite=true -k 1M"
                .split(' ')
                .collect();
            args.extend(["-x", &*servers, "-s", &*servers, &*checksum]);
            args.extend(["-d", &*folder, "-o", &*name]);
            let urls = self
                .nginx
                .iter()
                .map(|server| format!("http://{}/{NAME}", server.address));
            let urls: Vec<String> = urls.collect();
            args.extend(urls.iter().map(String::as_str));
            contenders.push(fetching("aria2c", "aria2c", &args, file, target));
        }
        let this = std::env::current_exe()?;
        let address = self.limit.address.to_string();
        let args = [limit::WORD, "fetch-checked", &*address, NAME, &*path];
        let this = this.to_string_lossy();
        contenders.push(fetching("limit", &this, &args, file, target));
        Ok(contenders)
    }

    fn peerline<'a>(&self, name: &'static str, file: &'a Path, target: &Path) -> Contender<'a> {
        debug_assert!(!self.nodes.is_empty());
        let (relay, path) = (self.relay.address.to_string(), target.to_string_lossy());
        let args = [&*relay, "--quiet", "get", NAME, "-o", &*path];
        fetching(name, own_programs::CLIENT, &args, file, target)
    }
}

impl LargeSource {
    /// Aria2c, which takes the file into `folder` from all nodes that the relay names.
    fn metalink<'a>(&self, name: &'static str, file: &'a Path, folder: &Path) -> Contender<'a> {
        let url = format!("http://{}/metalink/{NAME}.meta4", self.relay.address);
        let split = self.nodes.len().to_string();
        let into = folder.to_string_lossy();
        let mut args = vec!["-q", "--file-allocation=none", "--allow-overwrite=true"];
        // For aria2c, all nodes at one address are one server.
        args.extend([
            "--follow-metalink=mem",
            "-k",
            "1M",
            "-s",
            &*split,
            "-x",
            &*split,
        ]);
        args.extend(["-d", &*into, &*url]);
        fetching(name, "aria2c", &args, file, &folder.join(NAME))
    }
}

/// A client program that fetches `file` into `target`.
fn fetching<'a>(
    name: &'static str,
    client: &str,
    args: &[&str],
    file: &'a Path,
    target: &Path,
) -> Contender<'a> {
    let (client, target) = (client.to_owned(), target.to_owned());
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    let mut is_compared = false;
    Contender::new(name, move || {
        let (time, processor) = run_client(&client, &args)?;
        let size = fs::metadata(file)?.len();
        let mut is_right = fs::metadata(&target)?.len() == size;
        if !std::mem::replace(&mut is_compared, true) {
            is_right &= have_equal_content(&target, file)?;
        }
        fs::remove_file(&target)?;
        let units = size as f64 / (PIECES << 20) as f64;
        Ok(RoundResult {
            figure: units / time.as_secs_f64(),
            units,
            processor,
            faults: u64::from(!is_right),
        })
    })
}

/// Many small files.
pub(super) fn small(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let root = scratch.memory().join("many");
    make_small_files(&root.join(FOLDER))?;
    let target = scratch.memory().join("downloaded-files");
    let relay = own_programs::relay(&[])?;
    let nodes = own_programs::hashing_nodes(&relay, &root, SMALL_NODES, &[])?;
    own_programs::hash_of(&relay, &small_name(FILES - 1), nodes.len())?;
    let nginx = start_nginx(scratch, &root, SMALL_NODES)?;
    let rsync = other_servers::rsync(scratch.disk(), &root)?;
    let path = target.to_string_lossy();
    let address = relay.address.to_string();
    let folder = format!("{FOLDER}/");
    let get = [
        &*address, "--quiet", "get", &*folder, "-d", &*path, "--mkdir",
    ];
    let mut contenders = vec![saving("peerline", own_programs::CLIENT, &get, &target)];
    let list = scratch.disk().join("urls");
    if !nginx.is_empty() && other_servers::has("aria2c") {
        let urls = (0..FILES).map(|number| {
            let (server, name) = (nginx[number % nginx.len()].address, small_name(number));
            format!("http://{server}/{name}\n  out={name}\n")
        });
        fs::write(&list, urls.collect::<String>())?;
        let list = list.to_string_lossy();
        let args = [
            "-q",
            "-j16",
            "--file-allocation=none",
            "-i",
            &*list,
            "-d",
            &*path,
        ];
        contenders.push(saving("aria2c", "aria2c", &args, &target));
    }
    if let Some(rsync) = &rsync {
        let url = format!("rsync://{}/share/", rsync.address);
        contenders.push(saving("rsync", "rsync", &["-r", &url, &path], &target));
    }
    let this = std::env::current_exe()?;
    let inner = target.join(FOLDER);
    let (count, inner) = (FILES.to_string(), inner.to_string_lossy());
    let args = [limit::WORD, "create-files", &*inner, &*count];
    contenders.push(saving("limit", &this.to_string_lossy(), &args, &target));
    let title = "10,000 files of 1 KiB from three nodes into a folder on tmpfs; CPU of the client";
    let series = run_rounds(ROUNDS, contenders)?;
    Ok(vec![
        Comparison::new("small-files", title, FILE_RATE, series)
            .at_least(3.0, "aria2c")
            .at_least(2.0, "rsync")
            .at_least(0.6, "limit"),
    ])
}

/// A client program that saves all small files below `target`.
fn saving<'a>(name: &'static str, client: &str, args: &[&str], target: &Path) -> Contender<'a> {
    let (client, target) = (client.to_owned(), target.to_owned());
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    Contender::new(name, move || {
        let (time, processor) = run_client(&client, &args)?;
        let is_whole = |number: &usize| {
            let saved = fs::metadata(target.join(small_name(*number)));
            saved.is_ok_and(|saved| saved.len() == FILE_SIZE as u64)
        };
        let whole = (0..FILES).filter(is_whole).count();
        fs::remove_dir_all(&target)?;
        Ok(RoundResult {
            figure: whole as f64 / time.as_secs_f64(),
            units: FILES as f64,
            processor,
            faults: (FILES - whole) as u64,
        })
    })
}

/// Runs a client. Returns its time, and its processor time.
fn run_client(client: &str, args: &[String]) -> io::Result<(Duration, Duration)> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let before = command::processor_time()?;
    let time = command::run(client, &args)?;
    Ok((time, command::processor_time()? - before))
}

fn start_nginx(scratch: &ScratchFolders, root: &Path, count: usize) -> io::Result<Vec<Server>> {
    let started = (0..count).map(|number| {
        let folder = scratch.disk().join(format!("server-{number}"));
        other_servers::nginx(&folder, root)
    });
    started.filter_map(Result::transpose).collect()
}

fn small_name(number: usize) -> String {
    format!("{FOLDER}/{number}.bin")
}

fn make_small_files(folder: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    for number in 0..FILES {
        let mut content = vec![b'.'; FILE_SIZE];
        content[..8].copy_from_slice(&(number as u64).to_le_bytes());
        fs::write(folder.join(format!("{number}.bin")), content)?;
    }
    Ok(folder.to_owned())
}
