//! A node that serves one content in pieces, and misbehaves as it is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use peerline::protocol::{PieceLayout, Request};

use crate::support::fake_server::{FakeConnection, FakeServer};
use crate::support::{Server, ask};

const MIB: usize = 1024 * 1024;

/// The reply to a request for a piece that is not there.
const MISSING_PART: &str = "ERROR 416 not here yet\n";

/// What is wrong with a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    None,
    /// One byte of every piece is another one.
    WrongByte,
    /// Two values of its list are swapped.
    WrongList,
    /// The connection closes in the middle of this request for a piece.
    CloseAt(usize),
    /// Nothing more comes from the middle of this request for a piece on.
    HangAt(usize),
    /// The content is another one from this request for a piece on.
    ChangeAt(usize),
    /// A few bytes come now and then.
    Trickle,
    /// It only knows `GET`.
    OnlyGet,
    /// It has only so many pieces, the first ones.
    Incomplete(usize),
    /// It says that it has all pieces, and sends none.
    NamesParts,
    /// The same, as if it had the whole file.
    ClaimsWholeFile,
    /// It sends no piece, and each time it is asked it says that it has one more.
    NamesOneMore,
}

/// A running node.
pub struct PieceNode {
    server: FakeServer,
    served: Arc<AtomicUsize>,
    stats: Arc<AtomicUsize>,
}

impl PieceNode {
    /// Serves `content` and announces it as `file`.
    pub fn new(relay: &Server, content: &[u8], fault: Fault) -> Self {
        let (served, stats) = (Arc::default(), Arc::default());
        let mut session = PieceSession {
            content: content.to_vec(),
            fault,
            requests: 0,
            served: Arc::clone(&served),
            stats: Arc::clone(&stats),
        };
        let server = FakeServer::new(move |connection| session.serve(connection));
        announce(relay, server.address(), content);
        Self {
            server,
            served,
            stats,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The number of pieces that were sent whole.
    pub fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }

    /// How often it was asked for the status of the file.
    pub fn stats(&self) -> usize {
        self.stats.load(Ordering::SeqCst)
    }

    /// As the client names the node.
    pub fn name(&self) -> String {
        let address = self.address();
        format!("{} port {}", address.ip(), address.port())
    }
}

fn announce(relay: &Server, node: SocketAddr, content: &[u8]) {
    let (ip, port, size) = (node.ip(), node.port(), content.len());
    let hash = blake3::hash(content);
    let lines = format!("REGISTER {ip} {port}\nSHARE {size} {hash} file\n");
    let reply = ask(relay.address(), lines.as_bytes());
    assert!(reply.ends_with("\nOK\n"), "{reply}");
}

struct PieceSession {
    content: Vec<u8>,
    fault: Fault,
    /// The requests for pieces so far.
    requests: usize,
    served: Arc<AtomicUsize>,
    stats: Arc<AtomicUsize>,
}

impl PieceSession {
    fn serve(&mut self, mut connection: FakeConnection) {
        loop {
            let line = connection.line();
            let goes_on = match Request::parse(line.trim_end().as_bytes()) {
                _ if line.is_empty() => false,
                Ok(Request::Get(_)) => {
                    let head = format!("FOUND {}\n", self.content.len());
                    connection.send(head) && connection.send(&self.content)
                }
                Ok(Request::Stat(_)) => connection.send(self.stat()),
                Ok(_) if self.fault == Fault::OnlyGet => connection.send("ERROR 501 only GET\n"),
                Ok(Request::Pieces(_)) => connection.send(self.list()),
                Ok(Request::Range { offset, length, .. }) => {
                    self.requests += 1;
                    let (start, length) = (offset as usize, length as usize);
                    self.send_piece(&mut connection, start, length)
                }
                _ => connection.send("NOTFOUND\n"),
            };
            if !goes_on {
                return;
            }
        }
    }

    fn stat(&self) -> String {
        let (size, hash) = (self.content.len(), blake3::hash(&self.content));
        let before = self.stats.fetch_add(1, Ordering::SeqCst);
        let parts = match self.fault {
            Fault::Incomplete(0) => " -".to_owned(),
            Fault::Incomplete(pieces) => format!(" 0-{}", pieces * MIB - 1),
            Fault::NamesParts => format!(" 0-{}", size - 1),
            Fault::NamesOneMore => format!(" 0-{}", size.min((before + 1) * MIB) - 1),
            _ => String::new(),
        };
        format!("STAT {size} {hash} 1000000000 -{parts}\n")
    }

    fn list(&self) -> String {
        let layout = PieceLayout::new(self.content.len() as u64);
        let values = (0..layout.count()).map(|index| {
            let range = layout.range(index);
            let mut hasher = layout.hasher(index);
            hasher.update(&self.content[range.start as usize..range.end as usize]);
            hasher.value().expect("all its bytes came")
        });
        let mut values: Vec<_> = values.collect();
        if self.fault == Fault::WrongList {
            values.swap(0, 1);
        }
        let lines = values.iter().map(|value| format!("{value}\n"));
        let (count, size) = (layout.count(), layout.piece_size());
        let hash = blake3::hash(&self.content);
        format!(
            "PIECES {count} {size} {hash}\n{}",
            lines.collect::<String>()
        )
    }

    /// Returns whether the connection goes on.
    fn send_piece(&self, connection: &mut FakeConnection, start: usize, length: usize) -> bool {
        let mut bytes = self.content[start..start + length].to_vec();
        let head = format!("FOUND {length}\n");
        match self.fault {
            Fault::NamesParts | Fault::ClaimsWholeFile | Fault::NamesOneMore => {
                return connection.send(MISSING_PART);
            }
            Fault::Incomplete(pieces) if start >= pieces * MIB => {
                return connection.send(MISSING_PART);
            }
            Fault::ChangeAt(request) if self.requests >= request => {
                return connection.send("ERROR 409 the content has changed\n");
            }
            Fault::CloseAt(request) if self.requests == request => {
                connection.send(head);
                connection.send(&bytes[..length / 2]);
                return false;
            }
            Fault::HangAt(request) if self.requests >= request => {
                connection.send(head);
                connection.send(&bytes[..length / 2]);
                // The way the connection ends does not matter.
                let _ = connection.read_to_end();
                return false;
            }
            Fault::Trickle => {
                connection.send(head);
                // The time limit of the client ends it.
                return bytes.chunks(7).all(|part| {
                    let is_open =
                        !connection.is_closed_within(std::time::Duration::from_millis(50));
                    is_open && connection.send(part)
                });
            }
            Fault::WrongByte => bytes[length / 3] ^= 1,
            _ => {}
        }
        let goes_on = connection.send(head) && connection.send(&bytes);
        self.served
            .fetch_add(usize::from(goes_on), Ordering::SeqCst);
        goes_on
    }
}
