//! Results, failures and lists as JSON objects, for `--json`.

use std::fmt;

use serde_json::{Value, json};

use crate::jobs::{Failure, Listing, Offer, Query, Selection, UserEvent};
use crate::protocol::{Delivery, FileName, HolderItem, NodeAddress};

/// Returns none for an event that is only of interest to a person.
pub(super) fn event(event: &UserEvent<'_>) -> Option<Value> {
    Some(match event {
        UserEvent::RelayFailed(Query::Holders(name), Failure::NoHolder) => {
            json!({"name": name.as_str(), "error": "not found"})
        }
        UserEvent::RelayFailed(Query::Message(..), failure) => error("not sent", failure),
        UserEvent::RelayFailed(_, failure) | UserEvent::NoNodes { failure, .. } => {
            error("relay", failure)
        }
        UserEvent::Fetched {
            name,
            node,
            size,
            took,
        } => {
            let (ip, port) = (node.ip().to_string(), node.port().get());
            let (name, seconds) = (name.as_str(), took.as_secs_f64());
            json!({"name": name, "size": size, "ip": ip, "port": port, "seconds": seconds})
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
        UserEvent::NotShown(why) => error("not shown", why),
        UserEvent::UnknownCommand { word, .. } => error("unknown command", word),
        UserEvent::InvalidCommand(why) => error("wrong command", why),
        UserEvent::MessageSent => json!({"sent": true}),
        UserEvent::Listening(node) => json!({"listening": address(*node)}),
        UserEvent::NotListening(failure) => error("not listening", failure),
        UserEvent::NoRecipient => json!({"error": "nobody has written yet"}),
        UserEvent::NoReply(_) => json!({"error": "no answer"}),
        UserEvent::Note(text) => json!({"note": text}),
        UserEvent::Nodes(_)
        | UserEvent::TryingNode { .. }
        | UserEvent::NotFound { .. }
        | UserEvent::NodeFailed(..)
        | UserEvent::Found { .. }
        | UserEvent::Progress { .. }
        | UserEvent::Help(_) => return None,
    })
}

fn not_found(name: &FileName<'_>, nodes: usize, failed: usize, similar: &[String]) -> Value {
    let (name, error) = (name.as_str(), "not found");
    json!({"name": name, "error": error, "nodes": nodes, "failed": failed, "similar": similar})
}

fn several_contents(name: &FileName<'_>, offers: &[Offer], selection: Selection) -> Value {
    let hashes: Vec<String> = offers.iter().map(|offer| offer.hash.to_string()).collect();
    match selection {
        Selection::First => json!({"name": name.as_str(), "several contents": hashes}),
        Selection::ByNumber | Selection::None => {
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
            let nodes: Vec<Value> = nodes.iter().map(|node| address(*node)).collect();
            json!({ "nodes": nodes })
        }
        Listing::Holders(holders) => {
            let holders: Vec<Value> = holders.iter().map(holder).collect();
            json!({ "holders": holders })
        }
        Listing::File(file) => json!({
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
        Listing::Truncated | Listing::EndOfFiles(_) => return None,
    })
}

fn address(node: NodeAddress) -> Value {
    json!({"ip": node.ip().to_string(), "port": node.port().get()})
}

fn holder(holder: &HolderItem) -> Value {
    let mut value = address(holder.node);
    value["size"] = json!(holder.size);
    value["hash"] = json!(holder.hash.0.map(|hash| hash.to_string()));
    value
}
