//! The files that the pages need. They are a part of the program.

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use crate::protocol::ContentHash;

/// A file that the pages need.
///
/// Its address is a query of the root, `/?style.css=HASH`, so it has no name that a shared
/// file could have. The address changes with the content: a browser may store it for ever.
#[derive(Debug)]
pub(crate) struct Asset {
    name: &'static str,
    pub(crate) media_type: &'static str,
    pub(crate) content: &'static str,
    /// The first digits of the hash of the content.
    pub(crate) hash: String,
    /// The SHA-256 of the content, as Subresource Integrity and policies write it.
    pub(crate) integrity: String,
}

static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let content = include_str!("templates/style.css");
    Asset::new("style.css", "text/css; charset=utf-8", content)
});

static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let content = include_str!("templates/script.js");
    Asset::new("script.js", "text/javascript; charset=utf-8", content)
});

impl Asset {
    fn new(name: &'static str, media_type: &'static str, content: &'static str) -> Self {
        let integrity = BASE64_STANDARD.encode(Sha256::digest(content));
        Self {
            name,
            media_type,
            content,
            hash: ContentHash::of(content.as_bytes()).short(),
            integrity: format!("sha256-{integrity}"),
        }
    }

    /// The style sheet of all pages.
    pub(crate) fn style() -> &'static Self {
        &STYLE
    }

    /// The script of all pages.
    pub(crate) fn script() -> &'static Self {
        &SCRIPT
    }

    /// The asset to which a query of the root belongs, and the hash that the query names.
    pub(crate) fn find(query: &str) -> Option<(&'static Self, &str)> {
        let (name, hash) = query.split_once('=')?;
        let mut assets = [Self::style(), Self::script()].into_iter();
        assets
            .find(|asset| asset.name == name)
            .map(|asset| (asset, hash))
    }

    /// The address of the asset.
    pub(crate) fn address(&self) -> String {
        format!("/?{}={}", self.name, self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_to_its_asset() {
        for asset in [Asset::style(), Asset::script()] {
            let address = asset.address();
            let (found, hash) = Asset::find(&address["/?".len()..]).expect("an asset");
            assert_eq!((found.name, hash), (asset.name, asset.hash.as_str()));
        }
        for other in ["", "style.css", "other.css=1", "search=style.css"] {
            assert!(Asset::find(other).is_none(), "{other}");
        }
    }
}
