//! Results, failures and lists as JSON objects, for `--json`.

use std::fmt;

use serde_json::{Value, json};

use crate::jobs::{Failure, LeftOutFiles, Listing, Offer, Query, Selection, UserEvent};
use crate::protocol::{Delivery, FileName, HolderItem, NodeAddress, NodeItem};
use crate::terminal::batch::Batch;
use crate::tls::KeyId;

/// Returns none for an event that is only of interest to a person.
pub(super) fn event(event: &UserEvent<'_>) -> Option<Value> {
    Some(match event {
        UserEvent::RelayFailed(query, failure) => relay_failed(query, failure),
        UserEvent::NoAnswer(_, failure) => error("node", failure),
        UserEvent::NoNodes { failure, .. } => error("relay", failure),
        UserEvent::SourceFailed { source, failure }
        | UserEvent::UntrustedNode { source, failure } => {
            json!({source.kind(): source.name, "failed": failure.to_string()})
        }
        UserEvent::NotShown(why) => error("not shown", why),
        UserEvent::UnknownCommand { word, .. } => error("unknown command", word),
        UserEvent::InvalidCommand(why) | UserEvent::InvalidName(why) => error("wrong command", why),
        UserEvent::MessageSent {
            can_be_answered: true,
        } => json!({"sent": true}),
        UserEvent::MessageSent {
            can_be_answered: false,
        } => json!({"sent": true, "can_be_answered": false}),
        UserEvent::Listening(node) => json!({"listening": address(*node)}),
        UserEvent::NotListening(failure) => error("not listening", failure),
        UserEvent::ListenerLost { source, failure } => {
            let mut value = error("not listening", failure);
            value["retrying"] = json!(true);
            if let Some(source) = source {
                value[source.kind()] = json!(source.name);
            }
            value
        }
        UserEvent::NoRecipient => json!({"error": "nobody has written yet"}),
        UserEvent::NoReply(_) => json!({"error": "no answer"}),
        UserEvent::Note(text) => json!({"note": text}),
        event => return file_event(event),
    })
}

/// The same for an event of a file that is fetched.
fn file_event(event: &UserEvent<'_>) -> Option<Value> {
    Some(match event {
        UserEvent::Fetched {
            name,
            node,
            nodes,
            size,
            resumed,
            took,
            is_encrypted,
            is_verified,
        } => {
            let mut value = address(*node);
            value["name"] = json!(name.as_str());
            value["size"] = json!(size);
            value["resumed"] = json!(resumed);
            value["nodes"] = json!(nodes);
            value["seconds"] = json!(took.as_secs_f64());
            value["encrypted"] = json!(is_encrypted);
            value["verified"] = json!(is_verified);
            value
        }
        UserEvent::FewDigits { name, digits } => {
            json!({"name": name.as_str(), "hash_digits": digits})
        }
        UserEvent::Expanded {
            pattern,
            files: 1..,
            left_out,
            ..
        } if !left_out.is_empty() => {
            let LeftOutFiles { hidden, part_files } = left_out;
            json!({"name": pattern.to_string(), "hidden": hidden, "part_files": part_files})
        }
        event => return check_event(event),
    })
}

/// The same for a file that is there already, at least in part.
fn check_event(event: &UserEvent<'_>) -> Option<Value> {
    Some(match event {
        UserEvent::UpToDate {
            name,
            size,
            content,
        } => {
            let mut value = json!({"name": name.as_str(), "size": size, "up_to_date": true});
            if let Some(offer) = content {
                value["hash"] = json!(offer.hash.to_string());
            }
            value
        }
        UserEvent::Repairing {
            name,
            wrong,
            pieces,
        } => {
            json!({"name": name.as_str(), "wrong_pieces": wrong, "pieces": pieces})
        }
        UserEvent::Repaired {
            name,
            wrong,
            pieces,
        } => {
            json!({"name": name.as_str(), "replaced_pieces": wrong, "pieces": pieces})
        }
        UserEvent::Checking {
            name,
            unknown,
            size,
        } => {
            json!({"name": name.as_str(), "checking": unknown, "size": size})
        }
        UserEvent::Resuming { name, stored, size } => {
            json!({"name": name.as_str(), "resuming": stored, "size": size})
        }
        event => return file_failure(event),
    })
}

/// The same for a file that is not complete.
fn file_failure(event: &UserEvent<'_>) -> Option<Value> {
    Some(match event {
        UserEvent::PartStored { name, part, .. } => {
            let (name, stored, size) = (name.as_str(), part.stored, part.size);
            let mut value =
                json!({"name": name, "error": "incomplete", "stored": stored, "size": size});
            if part.unchecked > 0 {
                value["unchecked"] = json!(part.unchecked);
            }
            value
        }
        UserEvent::NoPartStored { name, .. } => {
            json!({"name": name.as_str(), "error": "incomplete", "stored": 0})
        }
        UserEvent::Interrupted { word } => json!({"name": word, "error": "interrupted"}),
        UserEvent::NoHash { name } => {
            json!({"name": name.as_str(), "error": "no node knows its hash"})
        }
        UserEvent::Missing {
            name,
            nodes,
            failed,
            similar,
            ..
        } => not_found(name, *nodes, *failed, similar),
        UserEvent::SeveralContents {
            name,
            offers,
            selection,
        } => several_contents(name, offers, *selection),
        UserEvent::WrongContent { name, node, shown } => {
            let (name, node) = (name.as_str(), address(*node));
            json!({"name": name, "error": "wrong content", "shown": shown, "node": node})
        }
        UserEvent::Incomplete { name, shown, size } => {
            json!({"name": name.as_str(), "error": "incomplete", "shown": shown, "size": size})
        }
        UserEvent::StoreError { name, error } => {
            json!({"name": name.as_str(), "error": "not stored", "why": error.to_string()})
        }
        UserEvent::Expanded {
            pattern,
            files: 0,
            left_out,
            similar,
            ..
        } => {
            let LeftOutFiles { hidden, part_files } = left_out;
            json!({
                "name": pattern.to_string(),
                "error": "not found",
                "hidden": hidden,
                "part_files": part_files,
                "similar": similar,
            })
        }
        _ => return None,
    })
}

fn relay_failed(query: &Query, failure: &Failure<'_>) -> Value {
    match (query, failure) {
        (Query::Holders(name), Failure::NoHolder) => {
            // No node was asked, and no similar name was looked for.
            not_found(name, 0, 0, &[])
        }
        (Query::Message(..), failure) => error("not sent", failure),
        (_, failure) => error("relay", failure),
    }
}

/// The sums of several files that were saved.
pub(super) fn batch(batch: &Batch, unfetched: usize) -> Value {
    json!({"summary": {
        "fetched": batch.fetched,
        "bytes": batch.bytes,
        "seconds": batch.seconds(),
        "encrypted": batch.is_encrypted.unwrap_or(false),
        "up_to_date": batch.up_to_date,
        "repaired": batch.repaired,
        "failed": batch.failed,
        "not_fetched": unfetched,
    }})
}

fn not_found(name: &FileName<'_>, nodes: usize, failed: usize, similar: &[String]) -> Value {
    let (name, error) = (name.as_str(), "not found");
    json!({"name": name, "error": error, "nodes": nodes, "failed": failed, "similar": similar})
}

fn several_contents(name: &FileName<'_>, offers: &[Offer], selection: Selection) -> Value {
    let hashes: Vec<String> = offers.iter().map(|offer| offer.hash.to_string()).collect();
    match selection {
        Selection::First => json!({"name": name.as_str(), "several_contents": hashes}),
        Selection::ByNumber | Selection::None | Selection::NoMatch(_) => {
            json!({"name": name.as_str(), "error": "which content", "hashes": hashes})
        }
    }
}

fn error(kind: &str, why: impl fmt::Display) -> Value {
    json!({"error": kind, "why": why.to_string()})
}

/// Returns none for a part of a list that is only of interest to a person.
pub(super) fn listing(listing: &Listing<'_>) -> Option<Value> {
    Some(match listing {
        Listing::Nodes(nodes) => {
            let nodes: Vec<Value> = nodes.iter().map(node).collect();
            json!({ "nodes": nodes })
        }
        Listing::Holders(holders) => {
            let holders: Vec<Value> = holders.iter().map(holder).collect();
            json!({ "holders": holders })
        }
        Listing::File { file, .. } => json!({
            "name": file.name.as_str(),
            "size": file.size,
            "hash": file.hash.0.map(|hash| hash.to_string()),
            "holders": file.holders,
        }),
        Listing::Message(Delivery { from, text }) => {
            let mut message = address(*from);
            message["text"] = json!(text.as_str());
            message
        }
        // A node's console has no JSON.
        Listing::Truncated | Listing::EndOfFiles(_) | Listing::Connections { .. } => return None,
    })
}

fn address(node: NodeAddress) -> Value {
    json!({"ip": node.ip().to_string(), "port": node.port().get()})
}

fn node(node: &NodeItem) -> Value {
    let mut value = address(node.address);
    value["id"] = id(node.id);
    value
}

fn holder(holder: &HolderItem) -> Value {
    let mut value = address(holder.node);
    value["size"] = json!(holder.size);
    value["hash"] = json!(holder.hash.0.map(|hash| hash.to_string()));
    value["id"] = id(holder.id);
    value
}

/// The id of a node, or null if it is not known.
fn id(id: Option<KeyId>) -> Value {
    json!(id.map(|id| id.to_string()))
}
