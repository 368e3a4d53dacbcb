//! The real programs over real sockets, as their users meet them. One binary,
//! so that it is linked once; one module a subject.

#![allow(missing_docs, unreachable_pub)]

mod chance;
mod crowd;
mod descriptors;
mod directory;
mod foreign;
mod limits;
mod listing;
mod netcat;
mod queue;
mod renewal;
mod serving;
mod starting;
mod stopping;
mod strange_relay;
mod support;
mod transcripts;
mod waiting;
mod wire;
