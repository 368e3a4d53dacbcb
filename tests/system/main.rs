//! The real programs over real sockets, as their users meet them. One binary,
//! so that it is linked once; one module a subject.

#![allow(missing_docs, unreachable_pub)]

mod files;
mod messages;
mod support;
mod transcripts;
mod wire;
