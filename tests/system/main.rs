//! The real programs over real sockets, as their users meet them. One binary,
//! so that it is linked once; one module a subject.

#![allow(missing_docs, unreachable_pub)]

mod bodies;
mod demo;
mod fake;
mod fetch;
mod prompt;
mod running;
mod saving;
mod screen;
mod shown;
mod support;
mod terminal;
mod transcripts;
mod wire;
