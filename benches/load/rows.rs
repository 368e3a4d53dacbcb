//! The rows of the table: what attackers do, and the memory that the servers may use
//! meanwhile.

use std::fmt::Write as _;

use crate::servers::{BIG_FILE, SMALL_FILE, Target};

/// One row.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// The attackers.
    pub(crate) crowds: &'static [Crowd],
    /// The most memory of a server under attack, in MiB: it follows from its limits.
    pub(crate) memory: u64,
    /// Flags of the relay.
    pub(crate) relay_args: &'static [&'static str],
    /// The limit on open files of the node.
    pub(crate) node_descriptors: Option<u32>,
}

impl Row {
    /// The servers under attack.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let attacked = |target: &Target| self.crowds.iter().any(|crowd| crowd.target == *target);
        let mut targets = vec![Target::Relay, Target::Node];
        if !self.crowds.is_empty() {
            targets.retain(attacked);
        }
        targets
    }
}

/// Attackers that do the same.
#[derive(Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) target: Target,
    pub(crate) addresses: u8,
    /// Connections from each address.
    pub(crate) connections: u16,
    /// Whether they read the answers.
    pub(crate) reads: bool,
    pub(crate) script: Script,
}

/// What an attacker sends.
#[derive(Clone, Copy)]
pub(crate) enum Script {
    /// Requests, and then nothing.
    Once(Payload),
    /// Requests, as fast as the server takes them.
    Flood(Payload),
    /// Requests, a byte at a time.
    Slow(Payload),
    /// Requests, then a reset. The next connection follows at once.
    Reset(Payload),
    /// Datagrams, one a line, as fast as possible.
    Datagrams(&'static str),
}

/// Appends the next requests of an attacker.
pub(crate) type Payload = fn(&mut String, Attacker<'_>);

/// The memory of a server with its usual files and users, in MiB.
const USUAL: u64 = 64;

/// The most memory of 512 connections whose answers are read, in MiB: `--help` says that each
/// needs at most 144 KiB.
const CONNECTED: u64 = 512 * 144 / 1024;

/// The most memory of as many whose answers wait, in MiB: `--max-queue` is 256 KiB.
const QUEUED: u64 = CONNECTED + 512 * 256 / 1024;

/// An attacker, for its payload.
#[derive(Clone, Copy)]
pub(crate) struct Attacker<'a> {
    /// Its number within the crowd.
    pub(crate) number: usize,
    /// How often it has asked for a payload.
    pub(crate) turn: usize,
    /// The address and port at which a user receives messages.
    pub(crate) listener: &'a str,
}

const NONE: Row = Row {
    name: "none",
    about: "no attack: the noise of the machine",
    crowds: &[],
    memory: USUAL,
    relay_args: &[],
    node_descriptors: None,
};

/// All rows, in the order in which they run.
pub(crate) const ROWS: &[Row] = &[
    NONE,
    Row {
        name: "idle",
        about: "18,000 idle connections to the relay, from 36 addresses",
        crowds: &[IDLE],
        ..NONE
    },
    Row {
        name: "places",
        about: "all 2,048 connections of the relay are taken, from 8 addresses",
        crowds: &[Crowd {
            addresses: 8,
            ..IDLE
        }],
        relay_args: &["--max-connections", "2048"],
        ..NONE
    },
    Row {
        name: "connects",
        about: "connections to the relay that are reset after a request, from 4 addresses",
        crowds: &[CONNECTS],
        ..NONE
    },
    Row {
        name: "slow",
        about: "2,048 connections that send a byte a second",
        crowds: &[SLOW],
        ..NONE
    },
    Row {
        name: "pipelined",
        about: "HELP, STATS, SHARE, SEARCH without pause, 512 connections of one address",
        crowds: &[PIPELINED],
        memory: USUAL + QUEUED,
        ..NONE
    },
    Row {
        name: "unread",
        about: "LIST, SEARCH, HELP, STATS whose answers nobody reads, 512 connections",
        crowds: &[REGISTER, UNREAD],
        memory: USUAL + QUEUED,
        ..NONE
    },
    Row {
        name: "register",
        about: "REGISTER without pause, from 64 addresses",
        crowds: &[REGISTER],
        ..NONE
    },
    Row {
        name: "nodes",
        about: "the same, until all 16,384 nodes of the relay are taken",
        crowds: &[REGISTER],
        relay_args: &["--max-nodes", "16384"],
        ..NONE
    },
    Row {
        name: "share",
        about: "SHARE of names of 1,000 bytes, 8 nodes of one address",
        crowds: &[SHARE],
        memory: 512,
        ..NONE
    },
    Row {
        name: "files",
        about: "SHARE of short names, until all 200,000 files of the relay are taken",
        crowds: &[SHARE_SHORT],
        relay_args: &["--max-shared-in-all", "200000"],
        memory: 128,
        ..NONE
    },
    Row {
        name: "udp",
        about: "datagrams with wrong cookies, and some that look like answers",
        crowds: &[DATAGRAMS],
        ..NONE
    },
    Row {
        name: "send",
        about: "SEND to a user without pause, from 512 connections",
        crowds: &[SEND],
        ..NONE
    },
    Row {
        name: "stat",
        about: "STAT without pause, 512 connections of one address",
        crowds: &[STAT],
        memory: USUAL + CONNECTED,
        ..NONE
    },
    Row {
        name: "get",
        about: "GET of a small file without pause, 512 connections of one address",
        crowds: &[GET],
        memory: USUAL + CONNECTED,
        ..NONE
    },
    Row {
        name: "big",
        about: "GET of a file of 8 MiB without pause, 64 connections",
        crowds: &[GET_BIG],
        ..NONE
    },
    Row {
        name: "unread-get",
        about: "GET of small and big files that nobody reads, 512 connections",
        crowds: &[UNREAD_GET],
        memory: USUAL + QUEUED,
        ..NONE
    },
    Row {
        name: "files-open",
        about: "the same, while the node may open 1,024 files and its lease is 3 seconds",
        crowds: &[UNREAD_GET],
        relay_args: &["--lease", "3"],
        node_descriptors: Some(1024),
        memory: USUAL + QUEUED,
    },
    ALL,
];

/// The row that a soak repeats.
pub(crate) const ALL: Row = Row {
    name: "all",
    about: "all of these at once, with 10,000 idle connections",
    crowds: &[
        Crowd {
            addresses: 20,
            ..IDLE
        },
        CONNECTS,
        SLOW,
        PIPELINED,
        UNREAD,
        REGISTER,
        SHARE,
        DATAGRAMS,
        SEND,
        STAT,
        GET,
        GET_BIG,
        UNREAD_GET,
    ],
    memory: 768,
    relay_args: &[],
    node_descriptors: None,
};

const IDLE: Crowd = Crowd {
    target: Target::Relay,
    addresses: 36,
    connections: 500,
    reads: true,
    script: Script::Once(|text, _| text.push_str("PING\n")),
};

const CONNECTS: Crowd = Crowd {
    addresses: 4,
    connections: 16,
    script: Script::Reset(|text, _| text.push_str("PING\n")),
    ..IDLE
};

const SLOW: Crowd = Crowd {
    addresses: 4,
    connections: 512,
    script: Script::Slow(|text, _| text.push_str("FIND a name that never comes to its end")),
    ..IDLE
};

const PIPELINED: Crowd = Crowd {
    addresses: 1,
    connections: 512,
    script: Script::Flood(|text, attacker| match attacker.number % 4 {
        0 => text.push_str(&"HELP\n".repeat(64)),
        1 => text.push_str(&"STATS\n".repeat(64)),
        2 => share(text, attacker, "short"),
        _ => text.push_str(&"SEARCH number\n".repeat(16)),
    }),
    ..IDLE
};

const UNREAD: Crowd = Crowd {
    reads: false,
    script: Script::Flood(|text, attacker| {
        let request = ["LIST\n", "SEARCH\n", "HELP\n", "STATS\n"][attacker.number % 4];
        text.push_str(&request.repeat(64));
    }),
    ..PIPELINED
};

const REGISTER: Crowd = Crowd {
    addresses: 64,
    connections: 2,
    script: Script::Flood(|text, attacker| {
        for nth in 0..64 {
            let port = 1024 + (attacker.turn * 64 + nth) % 2048;
            let _ = writeln!(text, "REGISTER * {port}");
        }
    }),
    ..IDLE
};

const SHARE: Crowd = Crowd {
    addresses: 1,
    connections: 8,
    // This letter takes three times its bytes when its case is folded.
    script: Script::Flood(|text, attacker| share(text, attacker, &"\u{390}".repeat(480))),
    ..IDLE
};

const SHARE_SHORT: Crowd = Crowd {
    script: Script::Flood(|text, attacker| share(text, attacker, "short")),
    ..SHARE
};

const DATAGRAMS: Crowd = Crowd {
    addresses: 4,
    script: Script::Datagrams(
        "PING\nCOOKIE zzzzzzz LIST\nCOOKIE zzzzzzz\nTAG t\nPONG\nNODES 0\nOK\nERROR 400 usage\n",
    ),
    ..IDLE
};

const SEND: Crowd = Crowd {
    addresses: 1,
    connections: 512,
    script: Script::Flood(|text, attacker| {
        let line = format!("SEND {} {}\n", attacker.listener, "text ".repeat(100));
        text.push_str(&line.repeat(8));
    }),
    ..IDLE
};

const STAT: Crowd = Crowd {
    target: Target::Node,
    script: Script::Flood(|text, _| {
        let lines = format!("STAT {SMALL_FILE}\nSTAT no such file\nSTATS\nHELP\n");
        text.push_str(&lines.repeat(16));
    }),
    ..PIPELINED
};

const GET: Crowd = Crowd {
    script: Script::Flood(|text, _| text.push_str(&format!("GET {SMALL_FILE}\n").repeat(16))),
    ..STAT
};

const GET_BIG: Crowd = Crowd {
    connections: 64,
    script: Script::Flood(|text, _| text.push_str(&format!("GET {BIG_FILE}\n"))),
    ..STAT
};

const UNREAD_GET: Crowd = Crowd {
    reads: false,
    script: Script::Flood(|text, attacker| {
        let file = [SMALL_FILE, BIG_FILE][attacker.number % 2];
        text.push_str(&format!("GET {file}\n").repeat(16));
    }),
    ..STAT
};

/// Registers a node and announces new files whose names end with `end`.
fn share(text: &mut String, attacker: Attacker<'_>, end: &str) {
    let Attacker { number, turn, .. } = attacker;
    let _ = writeln!(text, "REGISTER * {}", 4096 + number);
    for nth in 0..32 {
        let _ = writeln!(text, "SHARE 1 - {number} {turn} {nth} {end}");
    }
}
