//! The pages for browsers: what they look like, and the files that they need. Also other
//! forms in which HTTP shows the same.
//!
//! The folder `templates` has everything for a designer: the templates (askama), the style
//! sheet and the script. A template escapes every value. This module does no I/O and
//! decides nothing: a role fills in a template, and `session/http` sends the page.
//!
//! Pages work without the script, and load nothing from elsewhere.

mod asset;
mod connections_page;
mod error_page;
mod folder_page;
mod link;
mod metalink;
pub(crate) mod metrics;
mod network_pages;
mod qr;
mod shell;
pub(crate) mod text;

use std::sync::LazyLock;

pub(crate) use asset::Asset;
pub(crate) use connections_page::{ConnectionRow, ConnectionsPage};
pub(crate) use error_page::{ErrorPage, MissingFile, last_part};
pub(crate) use folder_page::{ColumnHead, FileCells, FolderPage, FolderRow};
pub(crate) use link::node_url;
pub(crate) use metalink::Metalink;
pub(crate) use network_pages::{
    ContentRow, ContentsPage, FileRow, HolderRow, HoldersPage, NetworkPage, NodeRow, NodesPage,
    content_query,
};
pub(crate) use qr::{has_qr_code, qr_code, qr_work};

/// What the pages of a server may load and do: only their own style sheet, script, pictures
/// and forms, and no other page may show them in a frame. The script is named by its hash: the
/// server may share foreign ones.
pub(crate) fn page_policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        format!(
            "default-src 'none'; style-src 'self'; img-src 'self' data:; \
             script-src '{}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            Asset::script().integrity
        )
    });
    &POLICY
}

/// The media type of a page.
pub(crate) const PAGE_TYPE: &str = "text/html; charset=utf-8";
