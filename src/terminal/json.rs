//! Results and failures as JSON objects, for `--json`.

use serde_json::{Value, json};

use crate::jobs::{Failure, Query, UserEvent};
use crate::protocol::{FileItem, HolderItem, NodeAddress};

/// Returns none for an event that is only of interest to a person.
pub(super) fn event(event: &UserEvent<'_>) -> Option<Value> {
    Some(match event {
        UserEvent::RelayFailed(Query::Holders(name), Failure::NoHolder) => {
            json!({"name": name.as_str(), "error": "not found"})
        }
        UserEvent::RelayFailed(Query::Message(..), failure) => {
            json!({"error": "not sent", "why": failure.to_string()})
        }
        UserEvent::RelayFailed(_, failure) | UserEvent::NoNodes { failure, .. } => {
            json!({"error": "relay", "why": failure.to_string()})
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
        } => {
            json!({"name": name.as_str(), "error": "not found", "nodes": nodes, "failed": failed})
        }
        UserEvent::SeveralContents { name, offers, .. } => {
            let hashes: Vec<String> = offers.iter().map(|offer| offer.hash.to_string()).collect();
            json!({"name": name.as_str(), "error": "which content", "hashes": hashes})
        }
        UserEvent::Incomplete { name, shown, size } => {
            json!({"name": name.as_str(), "error": "incomplete", "shown": shown, "size": size})
        }
        UserEvent::StoreError { name, error } => {
            json!({"name": name.as_str(), "error": "not stored", "why": error.to_string()})
        }
        UserEvent::NotShown(why) => json!({"error": "not shown", "why": why.to_string()}),
        UserEvent::UnexpectedArgument { word, .. } | UserEvent::UnavailableCommand(word) => {
            json!({"error": "unknown command", "why": word})
        }
        UserEvent::InvalidCommand(why) => json!({"error": "wrong command", "why": why}),
        UserEvent::MessageSent => json!({"sent": true}),
        UserEvent::Listening(node) => json!({"listening": address(*node)}),
        UserEvent::NotListening(failure) => {
            json!({"error": "not listening", "why": failure.to_string()})
        }
        UserEvent::NoRecipient => json!({"error": "nobody has written yet"}),
        UserEvent::NoReply(_) => json!({"error": "no answer"}),
        UserEvent::Nodes(_)
        | UserEvent::TryingNode { .. }
        | UserEvent::NotFound(_)
        | UserEvent::NodeFailed(..)
        | UserEvent::Found { .. }
        | UserEvent::Progress { .. }
        | UserEvent::Note(_)
        | UserEvent::Help(_) => return None,
    })
}

pub(super) fn address(node: NodeAddress) -> Value {
    json!({"ip": node.ip().to_string(), "port": node.port().get()})
}

pub(super) fn holder(holder: &HolderItem) -> Value {
    json!({
        "ip": holder.node.ip().to_string(),
        "port": holder.node.port().get(),
        "size": holder.size,
        "hash": holder.hash.0.map(|hash| hash.to_string()),
    })
}

pub(super) fn file(file: &FileItem<'_>) -> Value {
    json!({
        "name": file.name.as_str(),
        "size": file.size,
        "hash": file.hash.0.map(|hash| hash.to_string()),
        "holders": file.holders,
    })
}
