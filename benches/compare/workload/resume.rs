//! A large download that was broken off at 90 %: how soon it goes on, and how fast its part is
//! checked if the record of its pieces is damaged.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::ScratchFolders;
use super::stream::RATE;
use crate::process::Server;
use crate::report::{Comparison, Unit};
use crate::rounds::{Contender, RoundResult, median, run_rounds};
use crate::{command, host, other_servers, own_programs};

const NAME: &str = "image.bin";
/// The size of the file. It takes little room at the node: most of it is a hole.
const SIZE: u64 = 10 << 30;
/// The size of a piece, and the bytes after which a download goes on for certain.
const PIECE: u64 = 1 << 20;
const ROUNDS: usize = 3;
/// How often the node is asked how much it has sent.
const INTERVAL: Duration = Duration::from_millis(2);
/// A download that gains nothing for this long has failed.
const TIMEOUT: Duration = Duration::from_secs(120);

const WAIT: Unit = Unit {
    name: "seconds",
    more_is_better: false,
    each: "start",
};

pub(super) fn run(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let folder = scratch.disk().join("image");
    fs::create_dir_all(&folder)?;
    make_file(&folder.join(NAME))?;
    let relay = own_programs::relay(&[])?;
    let node = own_programs::hashing_nodes(&relay, &folder, 1, &[])?.remove(0);
    own_programs::hash_of(&relay, NAME, 1)?;
    let download = Download::new(&relay, node, scratch.disk());
    download.run_for(SIZE / 10 * 9)?;

    let mut most_memory = 0;
    let goes_on = Contender::new("peerline", || {
        let (time, memory) = download.run_for(PIECE)?;
        most_memory = most_memory.max(memory);
        Ok(result(time.as_secs_f64(), 1.0))
    });
    let series = run_rounds(ROUNDS, vec![goes_on])?;
    let title = "start of a client until its download of 10 GiB, broken off at 90 %, goes on";
    let seconds = median(&series[0].figures);
    let resume = Comparison::new("resume", title, WAIT, series).at_most("seconds", 0.3, seconds);

    let gib = (SIZE >> 30) as f64;
    let checked = Contender::new("peerline", || {
        // Nothing in it can be read: the client must look at every piece.
        fs::write(&download.state, "")?;
        let (time, memory) = download.run_for(PIECE)?;
        most_memory = most_memory.max(memory);
        Ok(result(gib / time.as_secs_f64(), gib))
    });
    let mut contenders = vec![checked];
    if other_servers::has("b3sum") {
        contenders.push(Contender::new("b3sum", || {
            let time = command::run("b3sum", &[&download.part.to_string_lossy()])?;
            Ok(result(gib / time.as_secs_f64(), gib))
        }));
    }
    let series = run_rounds(ROUNDS, contenders)?;
    let title = "the same when the record of its pieces is damaged: all of the part is checked";
    let memory = (most_memory >> 20) as f64;
    let check = Comparison::new("resume-check", title, RATE, series)
        .at_least(0.8, "b3sum")
        .at_most("the client's memory in MiB", 32.0, memory);
    fs::remove_file(&download.part)?;
    Ok(vec![resume, check])
}

fn result(figure: f64, units: f64) -> RoundResult {
    RoundResult {
        figure,
        units,
        processor: Duration::ZERO,
        faults: 0,
    }
}

/// A download that is started and broken off again and again.
struct Download {
    relay: String,
    node: Server,
    target: PathBuf,
    part: PathBuf,
    /// The record of the pieces.
    state: PathBuf,
}

impl Download {
    fn new(relay: &Server, node: Server, folder: &Path) -> Self {
        Self {
            relay: relay.address.to_string(),
            node,
            target: folder.join(NAME),
            part: folder.join(format!(".{NAME}.part")),
            state: folder.join(format!(".{NAME}.part.state")),
        }
    }

    fn start(&self) -> io::Result<Client> {
        let mut client = Command::new(own_programs::CLIENT);
        client.args([&self.relay, "--quiet", "get", NAME, "-o"]);
        client.arg(&self.target);
        client.stdin(Stdio::null()).stdout(Stdio::null());
        client.spawn().map(Client)
    }

    /// Starts a client and kills it once the node has sent so many bytes. Returns how long
    /// that took, and the most memory of the client.
    fn run_for(&self, bytes: u64) -> io::Result<(Duration, u64)> {
        let enough = self.sent()? + bytes;
        let start = Instant::now();
        let mut client = self.start()?;
        while self.sent()? < enough {
            if let Some(status) = client.0.try_wait()? {
                return Err(io::Error::other(format!("the client has ended: {status}")));
            }
            if start.elapsed() > TIMEOUT {
                return Err(io::Error::other("the download does not go on"));
            }
            thread::sleep(INTERVAL);
        }
        let time = start.elapsed();
        Ok((time, host::memory(client.0.id(), "VmHWM")?))
    }

    /// The bytes that the node has sent, the answers to this question included.
    fn sent(&self) -> io::Result<u64> {
        let answer = own_programs::ask(self.node.address, "STATS\n")?;
        let figure = answer
            .lines()
            .find_map(|line| line.strip_prefix("bytes_out "));
        let figure = figure.and_then(|figure| figure.parse().ok());
        figure.ok_or_else(|| io::Error::other("no bytes_out"))
    }
}

/// A running client. It is killed when this is dropped.
struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        // Errors mean that it has exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Creates the file, whose pieces all differ.
fn make_file(path: &Path) -> io::Result<()> {
    let file = File::create(path)?;
    file.set_len(SIZE)?;
    for at in (0..SIZE).step_by(PIECE as usize) {
        file.write_all_at(&at.to_be_bytes(), at)?;
    }
    Ok(())
}
