//! The rules of the wire, each as a test: what is printed is read again as the
//! same, what comes from outside never breaks the parsers, and a stream means
//! the same however it is cut into pieces.

#![allow(missing_docs, unreachable_pub)]

mod datagrams;
mod pieces;
mod round_trips;
mod rules;
mod values;
