//! The files that the pages need. They are a part of the program.

use std::sync::LazyLock;

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
}

static STYLE: LazyLock<Asset> = LazyLock::new(|| Asset {
    name: "style.css",
    media_type: "text/css; charset=utf-8",
    content: include_str!("templates/style.css"),
    hash: ContentHash::of(include_bytes!("templates/style.css")).short(),
});

static SCRIPT: LazyLock<Asset> = LazyLock::new(|| Asset {
    name: "script.js",
    media_type: "text/javascript; charset=utf-8",
    content: include_str!("templates/script.js"),
    hash: ContentHash::of(include_bytes!("templates/script.js")).short(),
});

impl Asset {
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
