//! Answers for programs, in JSON. protocol.md specifies them; their fields are never
//! removed or changed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::protocol::{FileName, HolderItem, MaybeHash, Sha256Digest};
use crate::relay::http::contents::ContentFilter;
use crate::relay::http::{Refusal, limit};
use crate::relay::index::{ContentId, SearchResult};
use crate::relay::{Relay, RelayRequest};
use crate::role::ReadNext;
use crate::session::http::{Document, HttpRequest, Status};
use crate::tls::KeyId;
use crate::web::node_url;

impl Relay {
    /// `/api/nodes`: one batch of the nodes.
    pub(super) fn api_nodes(
        &self,
        request: &mut RelayRequest<'_>,
        http: &HttpRequest<'_>,
    ) -> Result<ReadNext, Refusal> {
        let list = self.list_nodes(request, http, limit(http)?)?;
        let nodes = list.nodes.iter().map(|node| {
            json!({
                "ip": node.address.ip(),
                "port": node.address.port(),
                "id": id_value(node.id),
                "files": node.files,
                "expires_in": node.expires_in.as_secs(),
            })
        });
        let object = json!({
            "total": list.total,
            "lease": self.settings.lease.as_secs(),
            "nodes": nodes.collect::<Vec<_>>(),
            "next": list.next,
        });
        Ok(request.reply.document(&Document::json(Status::OK, &object)))
    }

    /// `/api/stats`: the figures of `STATS`.
    pub(super) fn api_stats(&self, request: &mut RelayRequest<'_>) -> ReadNext {
        let figures = Document::figures(&self.figures(request));
        request.reply.document(&figures)
    }

    /// `/api/holders/NAME`: the nodes that have a file.
    pub(super) fn api_holders(
        &mut self,
        request: &mut RelayRequest<'_>,
        name: &FileName<'_>,
        filter: &ContentFilter,
    ) -> Result<ReadNext, Refusal> {
        let holders = self.find_holders(request, name, filter);
        let holders = holders.ok_or_else(|| Refusal::no_holder(name))?;
        self.count_find();
        let digests = self.announced_digests(request, name);
        let holders: Vec<Value> = holders
            .iter()
            .map(|holder| {
                let content = ContentId::new(holder.size, holder.hash);
                let sha256 = digests.get(&content).copied().flatten();
                holder_object(holder, sha256, name)
            })
            .collect();
        let object = json!({ "name": name.as_str(), "holders": holders });
        Ok(request.reply.document(&Document::json(Status::OK, &object)))
    }
}

fn holder_object(holder: &HolderItem, sha256: Option<Sha256Digest>, name: &FileName<'_>) -> Value {
    json!({
        "ip": holder.node.ip(),
        "port": holder.node.port(),
        "size": holder.size,
        "hash": hash_value(holder.hash),
        "id": id_value(holder.id),
        "sha256": sha256.map(|digest| digest.hex()),
        "url": node_url(holder.node.into(), name.as_str()).to_string(),
    })
}

/// `/api/files`: one batch of a search.
pub(super) fn files(
    request: &mut RelayRequest<'_>,
    result: &SearchResult,
    uptime: Duration,
) -> ReadNext {
    let files = result.files.with_times().map(|(file, since)| {
        json!({
            "name": file.name.as_str(),
            "size": file.size,
            "hash": hash_value(file.hash),
            "holders": file.holders,
            "age": since.age(uptime).as_secs(),
        })
    });
    let last = result.files.last_name().filter(|_| result.has_more);
    let object = json!({
        "total": result.total,
        "files": files.collect::<Vec<_>>(),
        "next": last,
    });
    request.reply.document(&Document::json(Status::OK, &object))
}

/// The id of a node, or null if it has shown no key.
fn id_value(id: Option<KeyId>) -> Value {
    id.map_or(Value::Null, |id| id.to_string().into())
}

/// A hash, or null if it is not known.
pub(super) fn hash_value(hash: MaybeHash) -> Value {
    hash.0.map_or(Value::Null, |hash| hash.to_string().into())
}
