//! Events as lines for people.

use std::fmt;
use std::time::Duration;

use indicatif::DecimalBytes;

use crate::close_reason::CloseReason;
use crate::counted::Counted;
use crate::escaped::Escaped;
use crate::jobs::{Failure, Offer, Query, UserEvent};
use crate::protocol::{FileName, NodeAddress};

/// Nodes of the relay's list that are printed.
const MAX_PRINTED_NODES: usize = 16;

/// The text of a result or a failure. It is printed even if the user wants no
/// progress reports, for which this returns none.
pub(super) fn result(event: &UserEvent<'_>) -> Option<String> {
    Some(match event {
        UserEvent::NotShown(why) => why.to_string(),
        UserEvent::RelayFailed(Query::Nodes | Query::Files(_), failure)
        | UserEvent::NoNodes { failure, .. } => no_list(failure),
        UserEvent::RelayFailed(Query::Holders(name), failure @ Failure::NoHolder) => {
            format!("{}: {failure}", escaped(name))
        }
        UserEvent::RelayFailed(Query::Holders(name), failure) => no_list_for(name, failure),
        UserEvent::RelayFailed(Query::Message(..), failure) => {
            format!("not sent: {failure}{}", advice(failure))
        }
        UserEvent::Missing {
            name,
            nodes,
            failed,
        } => missing(name, *nodes, *failed),
        UserEvent::SeveralContents {
            name,
            offers,
            is_numbered,
        } => which_content(name, offers, *is_numbered),
        UserEvent::Incomplete { name, shown, size } => format!(
            "{}: incomplete: {shown} of {size} bytes were printed",
            escaped(name)
        ),
        UserEvent::StoreError { name, error } => format!("{}: {error}", escaped(name)),
        UserEvent::InvalidCommand(text) | UserEvent::Note(text) => Escaped::text(text).to_string(),
        UserEvent::UnexpectedArgument { word, line } => format!(
            "{word} takes no argument; to fetch a file of that name: get {}",
            Escaped::text(line)
        ),
        UserEvent::UnavailableCommand(word) => format!(
            "{word} is a command for the console of a node; to fetch a file of that name: get {word}"
        ),
        UserEvent::Help(text) => (*text).to_owned(),
        UserEvent::NodeFailed(node, failure) => format!("  {}: {failure}", node_text(*node)),
        UserEvent::NotListening(failure) => {
            format!("cannot receive messages: {failure}{}", advice(failure))
        }
        UserEvent::NoRecipient => {
            "not sent: nobody has written yet, and no address was given".to_owned()
        }
        UserEvent::NoReply(wait) => format!("no answer within {} s", wait.as_secs_f64()),
        UserEvent::MessageSent
        | UserEvent::Listening(_)
        | UserEvent::Nodes(_)
        | UserEvent::TryingNode { .. }
        | UserEvent::NotFound(_)
        | UserEvent::Found { .. }
        | UserEvent::Progress { .. }
        | UserEvent::Fetched { .. } => return None,
    })
}

/// The text of a progress report.
pub(super) fn progress(event: &UserEvent<'_>) -> Option<String> {
    Some(match event {
        UserEvent::MessageSent => "sent".to_owned(),
        UserEvent::Listening(address) => format!("receiving messages at {}", node_text(*address)),
        UserEvent::TryingNode {
            number, of, node, ..
        } => format!("asking node {number} of {of}: {}", node_text(*node)),
        UserEvent::NotFound(_) => "  not found".to_owned(),
        UserEvent::Found { size, .. } => format!("  found: {}", DecimalBytes(*size)),
        UserEvent::Fetched {
            name,
            node,
            size,
            took,
        } => format!(
            "{}: {} in {} ({}/s) from {}",
            escaped(name),
            DecimalBytes(*size),
            Elapsed(*took),
            DecimalBytes(bytes_per_second(*size, *took)),
            node_text(*node)
        ),
        _ => return None,
    })
}

/// The size of the relay's list, and on request its first nodes.
pub(super) fn node_list(nodes: &[NodeAddress], with_nodes: bool) -> String {
    let mut text = format!("the relay lists {}", Counted(nodes.len() as u64, "node"));
    if with_nodes {
        for (index, node) in nodes.iter().take(MAX_PRINTED_NODES).enumerate() {
            text += &format!("\n  node {}: {}", index + 1, node_text(*node));
        }
        if nodes.len() > MAX_PRINTED_NODES {
            text += &format!("\n  and {} more", nodes.len() - MAX_PRINTED_NODES);
        }
    }
    text
}

pub(super) fn no_list_for(name: &FileName<'_>, failure: &Failure<'_>) -> String {
    format!("{}: {}", escaped(name), no_list(failure))
}

fn no_list(failure: &Failure<'_>) -> String {
    format!("no list from the relay: {failure}{}", advice(failure))
}

/// Advice for a relay that did not answer.
fn advice(failure: &Failure<'_>) -> &'static str {
    match failure {
        Failure::Ended(reason) if !matches!(reason, CloseReason::Replaced) => {
            "; is the relay running, and is its address right?"
        }
        _ => "",
    }
}

fn missing(name: &FileName<'_>, nodes: usize, failed: usize) -> String {
    let name = escaped(name);
    let counted = Counted(nodes as u64, "node");
    match (nodes, failed) {
        (0, _) => format!("{name}: the relay lists no nodes"),
        (_, 0) => format!("{name}: not found, {counted} asked"),
        (_, failed) => format!("{name}: not found, {failed} of {counted} failed"),
    }
}

fn which_content(name: &FileName<'_>, offers: &[Offer], numbered: bool) -> String {
    let name = escaped(name);
    let mut text = match (offers, numbered) {
        ([], _) => format!("{name}: no node has the content with this hash"),
        (_, true) => format!("{name}: several contents; type a number, or nothing for none"),
        (_, false) => format!("{name}: several contents; choose one: get --hash HASH {name}"),
    };
    for (index, offer) in offers.iter().enumerate() {
        let number = match numbered {
            true => format!("{}: ", index + 1),
            false => String::new(),
        };
        let (hash, size) = (offer.hash, DecimalBytes(offer.size));
        let nodes = Counted(offer.nodes as u64, "node");
        text += &format!("\n  {number}{hash}  {size}, {nodes}");
    }
    text
}

fn escaped<'a>(name: &'a FileName<'_>) -> Escaped<'a> {
    Escaped::text(name.as_str())
}

fn node_text(node: NodeAddress) -> String {
    format!("{} port {}", node.ip(), node.port())
}

fn bytes_per_second(size: u64, took: Duration) -> u64 {
    (size as f64 / took.as_secs_f64().max(1e-6)) as u64
}

/// A duration for people: `0.8 ms`, `3.2 s`.
struct Elapsed(Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        if seconds < 1.0 {
            write!(f, "{:.1} ms", seconds * 1000.0)
        } else {
            write!(f, "{seconds:.1} s")
        }
    }
}
