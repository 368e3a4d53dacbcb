//! The real programs over real sockets, as their users meet them. One binary,
//! so that it is linked once; one module a subject.

#![allow(missing_docs, unreachable_pub)]

mod announcing;
mod asking;
mod bodies;
mod chance;
mod crowd;
mod demo;
mod descriptors;
mod directory;
mod fake;
mod fetch;
mod files;
mod finding;
mod foreign;
mod hashing;
mod index;
mod limits;
mod listing;
mod messages;
mod netcat;
mod prompt;
mod queue;
mod renewal;
mod running;
mod saving;
mod screen;
mod serving;
mod shown;
mod starting;
mod stopping;
mod strange_relay;
mod support;
mod terminal;
mod transcripts;
mod waiting;
mod wire;
