//! The pages of the network for browsers.

use crate::counted::Counted;
use crate::protocol::FileName;
use crate::relay::http::contents::Content;
use crate::relay::http::{PageQuery, Refusal};
use crate::relay::index::SearchResult;
use crate::relay::{Relay, RelayRequest};
use crate::role::ReadNext;
use crate::session::http::{Document, HttpRequest, Status};
use crate::web::{FileRow, HolderRow, HoldersPage, NetworkPage, NodeRow, NodesPage, content_query};

/// Nodes on a page.
const NODES_PER_PAGE: usize = 100;

impl Relay {
    /// `/`: the result of a search.
    pub(super) fn network_page(
        &self,
        request: &mut RelayRequest<'_>,
        query: &PageQuery,
        result: &SearchResult,
    ) -> ReadNext {
        let (files, is_later_page) = (&result.files, query.after.is_some());
        let on_loopback = request.is_loopback();
        let uptime = self.uptime(request.now);
        let listed = files
            .with_times()
            .map(|(file, since)| (file, since.age(uptime)));
        let nodes = self.directory.len(on_loopback) as u64;
        let shown = NetworkPage {
            host: &query.host,
            search: &query.text,
            count: match query.text.as_str() {
                "" => Counted(self.index.name_count(on_loopback) as u64, "file").to_string(),
                _ if is_later_page => String::new(),
                _ if result.has_more => {
                    format!("more than {}", Counted(files.len() as u64, "file"))
                }
                _ => Counted(result.total, "file").to_string(),
            },
            nodes: Counted(nodes, "node").to_string(),
            registry: self.registry_status(),
            id: self.id(),
            is_trusted: self.settings.trust.contains(request.ip),
            rows: FileRow::list(listed),
            is_later_page,
            next: files.last_name().filter(|_| result.has_more),
        };
        request.reply.document(&Document::page(Status::OK, &shown))
    }

    /// `/nodes`
    pub(super) fn nodes_page(
        &self,
        request: &mut RelayRequest<'_>,
        http: &HttpRequest<'_>,
    ) -> Result<ReadNext, Refusal> {
        let list = self.list_nodes(request, http, NODES_PER_PAGE)?;
        let lease = self.settings.lease;
        let rows = list.nodes.iter().map(|node| NodeRow {
            address: node.address.into(),
            id: node.id,
            files: node.files,
            age: lease.saturating_sub(node.expires_in),
            expires_in: node.expires_in,
        });
        let shown = NodesPage {
            host: http.host(),
            count: Counted(list.total as u64, "node").to_string(),
            registry: self.registry_status(),
            rows: rows.collect(),
            is_later_page: http.has_parameter("after"),
            next: list.next.as_deref(),
        };
        Ok(request.reply.document(&Document::page(Status::OK, &shown)))
    }
}

/// `/holders/NAME`. The links on the page name the content, unless `is_only` says that the name
/// alone leads to it.
pub(super) fn holders(
    request: &mut RelayRequest<'_>,
    host: &str,
    content: &Content,
    name: &FileName<'_>,
    is_only: bool,
) -> ReadNext {
    let holders = content.nodes.iter().map(|node| HolderRow {
        address: node.address.into(),
        id: node.id,
    });
    let shown = HoldersPage {
        host,
        name: name.as_str(),
        size: content.size,
        hash: content.hash.0.map(|hash| hash.to_string()),
        sha256: content.sha256.map(|digest| digest.hex()),
        query: match is_only {
            true => String::new(),
            false => content_query(content.size, content.hash),
        },
        holders: holders.collect(),
    };
    request.reply.document(&Document::page(Status::OK, &shown))
}
