//! Events as lines for people.

use std::collections::BTreeSet;

use crate::byte_size::ByteSize;
use crate::counted::Counted;
use crate::escaped::Escaped;
use crate::jobs::{Failure, LeftOutFiles, Offer, PeerSource, Query, Selection, UserEvent, quoted};
use crate::protocol::{FileName, NodeAddress};
use crate::terminal::expansion_text::{self, did_you_mean};
use crate::terminal::part_text::{self, percent};
use crate::terminal::{fetched_text, node_text, repair_text, status_text};

/// Nodes of the relay's list, and contents of a name, that are printed.
const MAX_PRINTED: usize = 16;

/// Whether an event is a step of a task or its success, which a quiet user does not
/// see.
pub(super) fn is_progress(event: &UserEvent<'_>) -> bool {
    matches!(
        event,
        UserEvent::MessageSent { .. }
            | UserEvent::Listening(_)
            | UserEvent::Nodes { .. }
            | UserEvent::SourceAnswered { .. }
            | UserEvent::TryingNode { .. }
            | UserEvent::NotFound { .. }
            | UserEvent::Found { .. }
            | UserEvent::Checking { .. }
            | UserEvent::Resuming { .. }
            | UserEvent::Repairing { .. }
            | UserEvent::Fetched { .. }
            | UserEvent::SentBytes(..)
            | UserEvent::UpToDate { .. }
            | UserEvent::BatchGrown { .. }
            | UserEvent::Expanded {
                files: 1..,
                left_out: LeftOutFiles {
                    hidden: 0,
                    part_files: 0,
                },
                ..
            }
    )
}

/// Whether an event is a failure, or asks for something to be done.
pub(super) fn is_warning(event: &UserEvent<'_>) -> bool {
    let is_note = matches!(
        event,
        UserEvent::Note(_)
            | UserEvent::Help(_)
            | UserEvent::Download(_)
            | UserEvent::FewDigits { .. }
            | UserEvent::Expanded { files: 1.., .. }
    );
    !is_note && !is_progress(event)
}

/// The text of an event, or none if it is not printed or depends on earlier events.
pub(super) fn text(event: &UserEvent<'_>) -> Option<String> {
    Some(match event {
        UserEvent::NotShown(why) => why.to_string(),
        UserEvent::NoResult(text) => (*text).to_owned(),
        UserEvent::RelayFailed(query, failure) => relay_failed(query, failure),
        UserEvent::NoAnswer(node, failure) => no_answer(*node, failure),
        UserEvent::NoNodes { failure, .. } => no_list(failure),
        UserEvent::SourceFailed { source, failure } => format!("{source}: {failure}"),
        UserEvent::UntrustedNode { source, failure } => {
            format!("{source} is passed over: {failure}")
        }
        UserEvent::SourceAnswered {
            source,
            count,
            items,
        } => source_answered(source, *count, items),
        UserEvent::InvalidCommand(text) | UserEvent::InvalidName(text) | UserEvent::Note(text) => {
            Escaped::text(text).to_string()
        }
        UserEvent::UnknownCommand { word, reason, line } => format!(
            "{word} {reason}; to fetch a file of that name: get {}",
            shell_word(line)
        ),
        UserEvent::Help(text) => (*text).to_owned(),
        UserEvent::NotListening(failure) => {
            format!("cannot receive messages: {failure}{}", advice(failure))
        }
        UserEvent::ListenerLost { source, failure } => {
            let source = source.map_or_else(String::new, |source| format!("{source}: "));
            format!("{source}no messages arrive: {failure}; retrying")
        }
        UserEvent::NoRecipient => {
            "not sent: nobody has written yet, and no address was given".into()
        }
        UserEvent::NoReply(wait) => format!("no answer within {} s", wait.as_secs_f64()),
        UserEvent::MessageSent {
            can_be_answered: true,
        } => "sent".into(),
        UserEvent::MessageSent {
            can_be_answered: false,
        } => "sent; it cannot be answered, because no messages arrive here".into(),
        UserEvent::Listening(address) => format!("receiving messages at {}", node_text(*address)),
        event => return file_text(event),
    })
}

/// The text of an event of a file that is fetched.
fn file_text(event: &UserEvent<'_>) -> Option<String> {
    Some(match event {
        UserEvent::Missing {
            name,
            nodes,
            failed,
            untried,
            similar,
        } => missing(name, *nodes, *failed, *untried) + &did_you_mean(similar),
        UserEvent::SeveralContents {
            name,
            offers,
            selection,
        } => which_content(name, offers, *selection),
        UserEvent::WrongContent { name, node, shown } => format!(
            "{}: wrong content: {} printed, from {}",
            escaped(name),
            Counted(*shown, "byte"),
            node_text(*node)
        ),
        UserEvent::Incomplete { name, shown, size } => format!(
            "{}: incomplete: {shown} of {size} bytes were printed",
            escaped(name)
        ),
        UserEvent::Interrupted { word } => format!(
            "{}: interrupted; nothing of it was printed or kept",
            Escaped::text(word)
        ),
        UserEvent::NoPartStored {
            name,
            hash_is_known,
        } => {
            let name = escaped(name);
            match hash_is_known {
                true => format!("nothing is kept: no piece of {name} was complete"),
                false => format!(
                    "{name}: nothing is kept: no node knows its hash, so a part of it could not be checked"
                ),
            }
        }
        UserEvent::StoreError { name, error } => format!("{}: {error}", escaped(name)),
        UserEvent::NodeFailed(node, failure) => format!("  {}: {failure}", node_text(*node)),
        UserEvent::TryingNode {
            number, of, node, ..
        } => match number {
            Some(number) => format!("asking node {number} of {of}: {}", node_text(*node)),
            None => format!("asking {}, which is not in the list", node_text(*node)),
        },
        UserEvent::NotFound { is_last: true, .. } => "  not found".into(),
        UserEvent::NotFound { node, .. } => format!("  {}: not found", node_text(*node)),
        UserEvent::Found { size, .. } => format!("  found: {}", ByteSize(*size)),
        UserEvent::Expanded { .. } => expansion_text::text(event)?,
        UserEvent::SentBytes(node, bytes) => {
            format!("  {} from {}", ByteSize(*bytes), node_text(*node))
        }
        UserEvent::UpToDate { name, content, .. } => up_to_date(name, *content),
        UserEvent::FewDigits { digits, .. } => few_digits(*digits),
        _ => return download_text(event),
    })
}

fn up_to_date(name: &FileName<'_>, content: Option<&Offer>) -> String {
    let name = escaped(name);
    match content {
        None => format!("{name}: up to date"),
        Some(Offer { hash, nodes, .. }) => {
            let nodes = Counted(*nodes as u64, "node");
            format!(
                "{name} is the content {} ({nodes}): up to date",
                hash.short()
            )
        }
    }
}

/// The text of an event of a download that goes on, or is done.
fn download_text(event: &UserEvent<'_>) -> Option<String> {
    Some(match event {
        UserEvent::Fetched { .. } => fetched_text::text(event)?,
        UserEvent::Repairing { .. } | UserEvent::Repaired { .. } => repair_text::text(event)?,
        UserEvent::Checking { unknown, size, .. } => {
            format!("  checking {} % of it", percent(*unknown, *size))
        }
        UserEvent::Download(download) => status_text::text(download),
        UserEvent::Resuming { stored, size, .. } => {
            format!("  resuming at {} %", percent(*stored, *size))
        }
        UserEvent::PartStored { name, part, .. } => part_text::text(name, part),
        UserEvent::NoHash { name } => format!(
            "{}: not fetched: no node knows its hash, and --require-hash is set",
            escaped(name)
        ),
        _ => return None,
    })
}

/// A forged content can have the few digits that the user has typed.
pub(super) fn few_digits(digits: usize) -> String {
    format!(
        "only {digits} digits of the hash were compared; write 32 or more if somebody may forge \
         the file"
    )
}

/// The size of the relay's list, and on request its first nodes.
pub(super) fn node_list(nodes: &[NodeAddress], is_merged: bool, with_nodes: bool) -> String {
    let relays = match is_merged {
        true => "the relays list",
        false => "the relay lists",
    };
    let mut text = format!("{relays} {}", Counted(nodes.len() as u64, "node"));
    if with_nodes {
        for (index, node) in nodes.iter().take(MAX_PRINTED).enumerate() {
            text += &format!("\n  node {}: {}", index + 1, node_text(*node));
        }
        text += &and_more(nodes.len());
    }
    text
}

pub(super) fn no_list_for(name: &FileName<'_>, failure: &Failure<'_>) -> String {
    format!("{}: {}", escaped(name), no_list(failure))
}

fn relay_failed(query: &Query, failure: &Failure<'_>) -> String {
    match (query, failure) {
        (Query::Nodes | Query::Listeners | Query::RelayOf(_) | Query::Files(_), _) => {
            no_list(failure)
        }
        (Query::Holders(name), Failure::NoHolder) => format!("{}: {failure}", escaped(name)),
        (Query::Holders(name), _) => no_list_for(name, failure),
        (Query::Message(..), _) => format!("not sent: {failure}{}", advice(failure)),
    }
}

/// What one of several relays says.
fn source_answered(source: &PeerSource, count: u64, items: &[String]) -> String {
    let mut text = format!("{source} lists {}", Counted(count, "line"));
    for item in items {
        text += &format!("\n  {}", Escaped::text(item));
    }
    text + &and_more(count as usize)
}

fn no_answer(node: NodeAddress, failure: &Failure<'_>) -> String {
    let advice = match failure.may_be_unreachable() {
        true => "; is the node running, and is its address right?",
        false => "",
    };
    format!("no answer from {}: {failure}{advice}", node_text(node))
}

fn no_list(failure: &Failure<'_>) -> String {
    format!("no list from the relay: {failure}{}", advice(failure))
}

/// Advice for a relay that did not answer.
fn advice(failure: &Failure<'_>) -> &'static str {
    match failure.may_be_unreachable() {
        true => "; is the relay running, and is its address right?",
        false => "",
    }
}

fn missing(name: &FileName<'_>, nodes: usize, failed: usize, untried: usize) -> String {
    let name = escaped(name);
    let counted = Counted(nodes as u64, "node");
    match (nodes, failed) {
        (0, _) => format!("{name}: the relay lists no nodes"),
        (_, 0) => format!("{name}: not found, {counted} asked"),
        (_, failed) if untried > 0 => format!(
            "{name}: given up, {failed} of {counted} failed, {untried} not asked; \
             --max-failures sets the limit"
        ),
        (_, failed) => format!("{name}: not found, {failed} of {counted} failed"),
    }
}

fn which_content(name: &FileName<'_>, offers: &[Offer], selection: Selection) -> String {
    let name = escaped(name);
    let mut text = match selection {
        Selection::ByNumber => {
            format!("{name}: several contents; type a number, or press Enter for none")
        }
        Selection::First => format!(
            "{name}: several contents; fetching the first; to choose one, add --hash HASH to the \
             command"
        ),
        Selection::NoMatch(digits) if offers.is_empty() => {
            format!("{name}: no node has the content {digits}")
        }
        Selection::NoMatch(digits) => {
            format!("{name}: no node has the content {digits}; there are:")
        }
        Selection::None => format!("{name}: several contents; choose one with --hash HASH"),
    };
    // Hashes that begin alike are shown whole.
    let short: BTreeSet<String> = offers.iter().map(|offer| offer.hash.short()).collect();
    let digits = if short.len() < offers.len() { 64 } else { 8 };
    for (index, offer) in offers.iter().take(MAX_PRINTED).enumerate() {
        let number = match selection {
            Selection::ByNumber => format!("{}: ", index + 1),
            _ => String::new(),
        };
        let hash = &offer.hash.to_string()[..digits];
        let size = ByteSize(offer.size).to_string();
        let nodes = Counted(offer.nodes as u64, "node");
        text += &format!("\n  {number}{hash}  {size:>10}  {nodes}");
        if offer.addresses > 1 {
            text += &format!(" at {} addresses", offer.addresses);
        }
    }
    text + &and_more(offers.len())
}

/// A line for the items that are not printed.
fn and_more(count: usize) -> String {
    match count.saturating_sub(MAX_PRINTED) {
        0 => String::new(),
        more => format!("\n  and {more} more"),
    }
}

fn escaped<'a>(name: &'a FileName<'_>) -> Escaped<'a> {
    Escaped::text(name.as_str())
}

/// A name as a word of a command.
fn shell_word(text: &str) -> String {
    Escaped::text(&quoted(text)).to_string()
}
