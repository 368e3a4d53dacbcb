//! Tests of the wire protocol: the rules of protocol.md, round trips through
//! printer and parser, and the framing of a stream.

#![allow(missing_docs, unreachable_pub)]

mod datagrams;
mod framing;
mod pieces;
mod request_queue;
mod round_trips;
mod rules;
mod values;
