//! The verbs of requests: what each server does, and which replies it gives.

use crate::protocol::reply::Reply;

/// The first word of a request. Parsed without regard to case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// Registers a node at the relay, or renews its lease.
    Register,
    /// Removes a node from the relay.
    Unregister,
    /// Lists the nodes of a relay, or the files of a node.
    List,
    /// Announces a file of a node.
    Share,
    /// Announces the digest of a file of a node by another algorithm.
    ShareDigest,
    /// Withdraws a file of a node.
    Unshare,
    /// Lists the nodes that have a file of this name.
    Find,
    /// Lists the files whose names contain a text.
    Search,
    /// Continues the last list of files.
    More,
    /// Downloads a file.
    Get,
    /// Downloads a part of a file.
    Range,
    /// Lists the values against which the pieces of a file are checked.
    Pieces,
    /// Tells the digest of a file by another algorithm.
    Digest,
    /// Describes a file.
    Stat,
    /// Makes the connection receive messages.
    Listen,
    /// Lists the addresses at which connections listen.
    Who,
    /// Sends a message to a connection that listens.
    Send,
    /// Shows that a person knows the secret of the server.
    Auth,
    /// Proves that a program knows the secret of the server.
    Prove,
    /// Tests whether the server responds.
    Ping,
    /// Shows statistics of the server.
    Stats,
    /// Lists the connections of the server.
    Connections,
    /// Lists the commands of the server.
    Help,
    /// Closes the connection.
    Quit,
}

impl Verb {
    /// All verbs, in the order of `HELP`.
    pub const ALL: [Self; 24] = [
        Self::Register,
        Self::Unregister,
        Self::Get,
        Self::Range,
        Self::Pieces,
        Self::Digest,
        Self::Stat,
        Self::List,
        Self::Share,
        Self::ShareDigest,
        Self::Unshare,
        Self::Find,
        Self::Search,
        Self::More,
        Self::Listen,
        Self::Who,
        Self::Send,
        Self::Auth,
        Self::Prove,
        Self::Ping,
        Self::Stats,
        Self::Connections,
        Self::Help,
        Self::Quit,
    ];

    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.row().0
    }

    /// The form of the whole line, for error texts and `HELP`.
    #[must_use]
    pub fn usage(self) -> &'static str {
        self.row().1
    }

    /// What a server does at this request, for `HELP`; nothing if it does not execute it.
    #[must_use]
    pub fn meaning(self, server: ServerKind) -> Option<&'static str> {
        let (_, _, relay, node) = self.row();
        let meaning = match server {
            ServerKind::Relay => relay,
            ServerKind::Node => node,
        };
        (!meaning.is_empty()).then_some(meaning)
    }

    /// The word, the form of the line, and what a relay and a node do.
    #[rustfmt::skip]
    fn row(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Register => ("REGISTER", "REGISTER ip port", "registers a node; ip * is your address", ""),
            Self::Unregister => ("UNREGISTER", "UNREGISTER ip port", "removes a node", ""),
            Self::Get => ("GET", "GET name", "", "sends a file: FOUND size and its bytes"),
            Self::Range => ("RANGE", "RANGE offset length hash name", "", "sends a part of a file; hash - is any content"),
            Self::Pieces => ("PIECES", "PIECES name", "", "lists the hashes of the pieces of a file"),
            Self::Digest => ("DIGEST", "DIGEST name", "tells the SHA-256 of a file, as its nodes announced it", "tells the SHA-256 of a file: DIGEST sha-256 hex"),
            Self::Stat => ("STAT", "STAT name", "", "describes a file: STAT size hash mtime mode"),
            Self::List => ("LIST", "LIST", "lists the nodes: ip port", "lists the files: size hash 1 name"),
            Self::Share => ("SHARE", "SHARE size hash name", "announces a file of your node", ""),
            Self::ShareDigest => ("SHAREDIGEST", "SHAREDIGEST hash sha-256 hex name", "announces the SHA-256 of a file of your node", ""),
            Self::Unshare => ("UNSHARE", "UNSHARE name", "withdraws a file of your node", ""),
            Self::Find => ("FIND", "FIND name", "lists who has a file: ip port size hash", ""),
            Self::Search => ("SEARCH", "SEARCH text", "lists all files, or those whose names contain text (no globs)", ""),
            Self::More => ("MORE", "MORE", "lists the next files", "lists the next files"),
            Self::Listen => ("LISTEN", "LISTEN", "receives messages: FROM ip port text", ""),
            Self::Who => ("WHO", "WHO", "lists who receives messages: ip port", ""),
            Self::Send => ("SEND", "SEND ip port text", "sends a message to a listener", ""),
            Self::Auth => ("AUTH", "AUTH secret", "lets you in, if the relay has a secret", "lets you in, if the node has a secret"),
            Self::Prove => ("PROVE", "PROVE hex", "lets a program in, over TLS", "lets a program in, over TLS"),
            Self::Ping => ("PING", "PING", "answers PONG", "answers PONG"),
            Self::Stats => ("STATS", "STATS", "lists figures about this relay", "lists figures about this node"),
            Self::Connections => ("CONNECTIONS", "CONNECTIONS", "lists who is connected, for trusted clients", "lists who is connected, for clients on loopback"),
            Self::Help => ("HELP", "HELP", "lists the commands", "lists the commands"),
            Self::Quit => ("QUIT", "QUIT", "closes the connection", "closes the connection"),
        }
    }

    /// Whether this may be the first line of the answer to a request of this verb.
    #[must_use]
    pub fn allows(self, reply: &Reply<'_>) -> bool {
        if let Reply::Error(..) = reply {
            return true;
        }
        match self {
            Self::Register
            | Self::Unregister
            | Self::Share
            | Self::Listen
            | Self::Send
            | Self::Auth
            | Self::Prove
            | Self::Quit => matches!(reply, Reply::Ok(_)),
            Self::ShareDigest | Self::Unshare => {
                matches!(reply, Reply::Ok(_) | Reply::NotFound)
            }
            Self::List => matches!(reply, Reply::Nodes(_) | Reply::Files { .. }),
            Self::Who => matches!(reply, Reply::Nodes(_)),
            Self::Search | Self::More => matches!(reply, Reply::Files { .. }),
            Self::Find => matches!(reply, Reply::Holders(_) | Reply::NotFound),
            Self::Get | Self::Range => matches!(reply, Reply::Found(_) | Reply::NotFound),
            Self::Pieces => matches!(reply, Reply::Pieces { .. } | Reply::NotFound),
            Self::Digest => matches!(reply, Reply::Digest(_) | Reply::NotFound),
            Self::Stat => matches!(reply, Reply::Stat(_) | Reply::NotFound),
            Self::Ping => matches!(reply, Reply::Pong),
            Self::Stats => matches!(reply, Reply::Stats(_)),
            Self::Connections => matches!(reply, Reply::Connections(_)),
            Self::Help => matches!(reply, Reply::Help(_)),
        }
    }

    /// The verb of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|verb| verb.word().eq_ignore_ascii_case(word))
    }
}

/// The two kinds of servers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerKind {
    /// The directory of the nodes.
    Relay,
    /// A node that shares files.
    Node,
}
