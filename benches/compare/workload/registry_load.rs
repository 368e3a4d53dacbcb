//! The engine of several relays, announcements of files in batches, and the same commands
//! without a relay.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::host::CpuRole;
use crate::other_servers;
use crate::process::{Server, pinned_command};

/// Files of a node.
pub(super) const FILES_PER_NODE: u32 = 1000;
/// Files that a node announces together.
const BATCH: u32 = 250;
/// Connections on which nodes announce their files at once.
const CONNECTIONS: usize = 8;
/// Batches of changes that a relay sends to the engine together, and the files in each.
const ENGINE_BATCHES: u32 = 32;
const ENGINE_BATCH: u32 = 250;
/// The longest time until something is done.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Redis without persistence, at a socket of its own. It runs on the processor of the load.
pub(super) struct Engine {
    pub(super) server: Server,
    /// For `--registry`.
    pub(super) url: String,
    socket: PathBuf,
}

/// A connection to it.
pub(super) struct EngineClient(BufReader<UnixStream>);

impl Engine {
    /// None if Redis is not installed.
    pub(super) fn start(folder: &Path) -> io::Result<Option<Self>> {
        if !other_servers::has("redis-server") {
            return Ok(None);
        }
        let socket = folder.join(format!("redis-{}.sock", fastrand::u64(..)));
        let path = socket.to_string_lossy();
        let args = ["--port", "0", "--save", "", "--appendonly", "no"];
        let args = [&args[..], &["--unixsocket", &path]].concat();
        let mut command = pinned_command(CpuRole::Load, "redis-server", &args)?;
        let child = command.stdout(Stdio::null()).spawn()?;
        let server = Server::new(child, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let url = format!("unix://{path}");
        let engine = Self {
            server,
            url,
            socket,
        };
        engine.connect()?;
        Ok(Some(engine))
    }

    pub(super) fn connect(&self) -> io::Result<EngineClient> {
        let mut stream = None;
        wait_until("redis listens", || {
            stream = UnixStream::connect(&self.socket).ok();
            Ok(stream.is_some())
        })?;
        let stream = stream.ok_or(io::ErrorKind::NotConnected)?;
        Ok(EngineClient(BufReader::new(stream)))
    }
}

impl EngineClient {
    /// Waits until the records of the nodes have so many fields together.
    pub(super) fn wait_for_fields(&mut self, nodes: u32, fields: u64) -> io::Result<()> {
        let commands: Vec<u8> = (0..nodes)
            .flat_map(|node| resp(&[b"HLEN", record(node).as_bytes()]))
            .collect();
        wait_until("the engine has all files", || {
            let replies = self.exchange(&commands, nodes as usize)?;
            let numbers = replies.iter().filter_map(|reply| reply.strip_prefix(':'));
            let numbers = numbers.filter_map(|number| number.parse::<u64>().ok());
            Ok(numbers.sum::<u64>() >= fields)
        })
    }

    /// Waits until there are at least so many records.
    pub(super) fn wait_for_records(&mut self, records: u64) -> io::Result<()> {
        wait_until("the engine has all records", || {
            let replies = self.exchange(&resp(&[b"DBSIZE"]), 1)?;
            let size = replies[0].strip_prefix(':').map(str::parse::<u64>);
            Ok(matches!(size, Some(Ok(size)) if size >= records))
        })
    }

    /// Sends the commands with which a relay publishes so many files. Returns the number of
    /// errors.
    pub(super) fn publish(&mut self, files: u32) -> io::Result<u64> {
        let batches: Vec<u32> = (0..files).step_by(ENGINE_BATCH as usize).collect();
        let mut errors = 0;
        for together in batches.chunks(ENGINE_BATCHES as usize) {
            let mut commands = Vec::new();
            for first in together {
                push_batch(&mut commands, *first);
            }
            // OK, twice QUEUED, and the result: a list, a number, a length and a text.
            let replies = self.exchange(&commands, together.len() * 7)?;
            let failed = replies.iter().filter(|reply| reply.starts_with('-'));
            errors += failed.count() as u64;
        }
        Ok(errors)
    }

    /// Sends commands, and reads so many lines.
    fn exchange(&mut self, commands: &[u8], lines: usize) -> io::Result<Vec<String>> {
        self.0.get_mut().write_all(commands)?;
        read_lines(&mut self.0, lines)
    }
}

/// Announces the files with numbers below `files`, of many nodes, each batch with one write.
/// Returns the number of replies that are not `OK`.
pub(super) fn announce(relay: &Server, files: u32) -> io::Result<u64> {
    // The batches of a node go over one connection, and nodes take turns.
    let connection_of = |first: u32| (first / FILES_PER_NODE) as usize % CONNECTIONS;
    let mut batches: Vec<u32> = (0..files).step_by(BATCH as usize).collect();
    batches.sort_by_key(|first| {
        let group = (first / FILES_PER_NODE) as usize / CONNECTIONS;
        (group, first % FILES_PER_NODE)
    });
    let mut connections = (0..CONNECTIONS)
        .map(|_| Ok(BufReader::new(connect(relay)?)))
        .collect::<io::Result<Vec<_>>>()?;
    // Each connection has a batch on its way while the replies to the last one are read.
    let mut waiting = vec![0; CONNECTIONS];
    let mut wrong = 0;
    let read = |connection: &mut BufReader<TcpStream>, lines: usize| -> io::Result<u64> {
        let replies = read_lines(connection, lines)?;
        let wrong = replies.iter().filter(|reply| !reply.starts_with("OK"));
        Ok(wrong.count() as u64)
    };
    for first in batches {
        let at = connection_of(first);
        let connection = &mut connections[at];
        let mut lines = format!("REGISTER {}\n", address(first / FILES_PER_NODE));
        for number in first..files.min(first + BATCH) {
            let _ = writeln!(lines, "{}", share(number));
        }
        connection.get_mut().write_all(lines.as_bytes())?;
        wrong += read(connection, waiting[at])?;
        waiting[at] = lines.matches('\n').count();
    }
    for (connection, lines) in connections.iter_mut().zip(waiting) {
        wrong += read(connection, lines)?;
    }
    Ok(wrong)
}

/// Waits until a relay knows so many files.
pub(super) fn wait_for_names(relay: &Server, files: u32) -> io::Result<()> {
    let line = format!("names {files}\n");
    wait_until("the relay knows all files", || {
        Ok(crate::own_programs::ask(relay.address, "STATS\n")?.contains(&line))
    })
}

/// A connection without delays.
pub(super) fn connect(relay: &Server) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(relay.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// Reads lines without their ends.
pub(super) fn read_lines(from: &mut impl BufRead, count: usize) -> io::Result<Vec<String>> {
    let lines: Vec<String> = from.lines().take(count).collect::<io::Result<_>>()?;
    match lines.len() == count {
        true => Ok(lines),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn wait_until(what: &str, mut is_done: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let start = Instant::now();
    while !is_done()? {
        if start.elapsed() > TIMEOUT {
            return Err(io::Error::other(format!("never: {what}")));
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// The address of a node.
fn address(node: u32) -> String {
    format!("10.20.{}.{} 4000", node / 100, 100 + node % 100)
}

/// The key of its record.
fn record(node: u32) -> String {
    format!("peerline:node:{}", address(node))
}

/// The announcement of a file.
fn share(number: u32) -> String {
    format!("SHARE 1024 {} {}", hash(number), name(number))
}

fn name(number: u32) -> String {
    format!("album {:03}/track {number:07}", number % 1000)
}

fn hash(number: u32) -> String {
    format!("{number:08x}").repeat(8)
}

/// Appends the commands of one batch of changes.
fn push_batch(commands: &mut Vec<u8>, first: u32) {
    let node = first / FILES_PER_NODE;
    let mut text = format!("NODE {}\n", address(node));
    let mut parts = vec![b"HSET".to_vec(), record(node).into_bytes()];
    for number in first..first + ENGINE_BATCH {
        let _ = writeln!(text, "{}", share(number));
        parts.push(format!("f{}", name(number)).into_bytes());
        parts.push(format!("1024 {}", hash(number)).into_bytes());
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let number = first.to_string();
    let stream = ["XADD", "peerline:changes", "MAXLEN", "~", "4096", "*", "o"];
    let mut entry: Vec<&[u8]> = stream.map(str::as_bytes).into();
    entry.extend([
        b"7".as_slice(),
        b"n",
        number.as_bytes(),
        b"c",
        text.as_bytes(),
    ]);
    for command in [&[b"MULTI".as_slice()][..], &parts, &entry, &[b"EXEC"]] {
        commands.extend(resp(command));
    }
}

/// A command in RESP.
fn resp(parts: &[&[u8]]) -> Vec<u8> {
    let mut text = format!("*{}\r\n", parts.len()).into_bytes();
    for part in parts {
        text.extend(format!("${}\r\n", part.len()).bytes());
        text.extend_from_slice(part);
        text.extend(b"\r\n");
    }
    text
}
