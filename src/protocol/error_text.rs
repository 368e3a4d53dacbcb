//! Texts after `ERROR code`. They are for people: a program looks at the code.

/// 503: the server has no room for another connection.
pub const TOO_MANY_CONNECTIONS: &str = "too many connections; try again later";

/// 503: the peer's address has too many connections.
pub const TOO_MANY_CONNECTIONS_FROM_ADDRESS: &str =
    "too many connections from your address; try again later";

/// 503: the relay has no room for another node.
pub const DIRECTORY_FULL: &str = "the directory is full; try again later";

/// 503: the node cannot open another file.
pub const TOO_MANY_OPEN_FILES: &str = "too many open files; try again later";
