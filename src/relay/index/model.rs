//! Property test: the index agrees with a plain map, whatever nodes share,
//! unshare and leave behind.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::protocol::fold;
use crate::protocol::{ContentHash, FileName, MAX_LISTED_FILES, MaybeHash};
use crate::relay::index::found::FoundFiles;
use crate::relay::index::stored_bytes::stored_bytes;
use crate::relay::index::{ContentId, Holder, Index, Quota, Search, SlotId, Visibility};

/// Few nodes, so that several share the same names.
const NODES: SlotId = 5;
/// From this one on, nodes are visible to requesters on loopback only.
const FIRST_ON_LOOPBACK: SlotId = 3;
/// Names that differ in case and script, some contained in others.
const NAMES: [&str; 12] = [
    "a",
    "A",
    "ab/a",
    "Größe.txt",
    "GRÖSSE.TXT",
    "größe.TXT",
    "ΣΑΣ",
    "σας",
    "Straße",
    "two  words",
    "日本語",
    "İstanbul",
];
const TEXTS: [&str; 11] = [
    "", "a", "A", "grö", "ÖSSE", "σα", "ΑΣ", "  ", "本", "SS", "name 1",
];

#[derive(Clone, Debug)]
enum ModelStep {
    Share(SlotId, String, u64, MaybeHash),
    /// First number and count of numbered names.
    ShareMany(SlotId, u32, u32),
    Unshare(SlotId, String),
    /// The node leaves, and this many of its files are removed.
    Leave(SlotId, usize),
    Search(&'static str, bool),
}

fn numbered(number: u32) -> String {
    format!("Name {number:04}")
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => prop::sample::select(&NAMES[..]).prop_map(str::to_owned),
        1 => (0_u32..3000).prop_map(numbered),
    ]
}

fn steps() -> impl Strategy<Value = ModelStep> {
    let node = 0..NODES;
    let hash = prop::option::of(1_u8..3).prop_map(|byte| MaybeHash(byte.map(hash)));
    prop_oneof![
        8 => (node.clone(), names(), 0_u64..2, hash)
            .prop_map(|(node, name, size, hash)| ModelStep::Share(node, name, size, hash)),
        1 => (node.clone(), 0_u32..2000, 0_u32..800)
            .prop_map(|(node, first, count)| ModelStep::ShareMany(node, first, count)),
        6 => (node.clone(), names()).prop_map(|(node, name)| ModelStep::Unshare(node, name)),
        1 => (node, 0_usize..1500).prop_map(|(node, most)| ModelStep::Leave(node, most)),
        4 => (prop::sample::select(&TEXTS[..]), any::<bool>())
            .prop_map(|(text, on_loopback)| ModelStep::Search(text, on_loopback)),
    ]
}

fn hash(byte: u8) -> ContentHash {
    ContentHash([byte; 32])
}

pub(super) fn file_name(text: &str) -> FileName<'_> {
    FileName::parse(text).expect("valid names only")
}

/// A node's content under a name.
type ModelContent = (u64, MaybeHash);

/// The reference implementation.
#[derive(Default)]
pub(super) struct Model {
    /// Holders in the order in which they shared the name.
    names: BTreeMap<String, Vec<(SlotId, ModelContent)>>,
    /// Nodes that left and whose files are not all removed.
    departed: BTreeSet<SlotId>,
}

impl Model {
    fn share(&mut self, node: SlotId, name: &str, content: ModelContent, quota: &Quota) -> bool {
        let has_it = self.has(node).any(|had| had == name);
        let files = self.has(node).count() as u64;
        let bytes: u64 = self.has(node).map(stored_bytes).sum();
        let too_many = files >= quota.node_files || bytes + stored_bytes(name) > quota.node_bytes;
        if !has_it && too_many {
            return false;
        }
        self.put(node, name, content);
        true
    }

    pub(super) fn put(&mut self, node: SlotId, name: &str, content: ModelContent) {
        let holders = self.names.entry(name.to_owned()).or_default();
        match holders.iter_mut().find(|(holder, _)| *holder == node) {
            Some((_, previous)) => *previous = content,
            None => holders.push((node, content)),
        }
    }

    fn unshare(&mut self, node: SlotId, name: &str) -> bool {
        let Some(holders) = self.names.get_mut(name) else {
            return false;
        };
        let before = holders.len();
        holders.retain(|(holder, _)| *holder != node);
        let is_removed = holders.len() < before;
        self.names.retain(|_, holders| !holders.is_empty());
        is_removed
    }

    fn has(&self, node: SlotId) -> impl Iterator<Item = &str> {
        let names = self.names.iter();
        let names = names.filter(move |(_, holders)| holders.iter().any(|(h, _)| *h == node));
        names.map(|(name, _)| name.as_str())
    }

    fn is_visible(&self, node: SlotId, on_loopback: bool) -> bool {
        !self.departed.contains(&node) && (on_loopback || node < FIRST_ON_LOOPBACK)
    }

    /// All lines that a search lists.
    fn search(&self, text: &str, on_loopback: bool) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, holders) in &self.names {
            if !fold(name).contains(&*fold(text)) {
                continue;
            }
            let visible = holders
                .iter()
                .filter(|(h, _)| self.is_visible(*h, on_loopback));
            let mut contents: Vec<(ModelContent, u64)> = Vec::new();
            for (_, content) in visible {
                match contents.iter_mut().find(|(other, _)| other == content) {
                    Some((_, count)) => *count += 1,
                    None => contents.push((*content, 1)),
                }
            }
            for ((size, hash), count) in contents {
                lines.push(format!("{size} {hash} {count} {name}"));
            }
        }
        lines
    }
}

/// The items of a page, as on the wire.
pub(super) fn lines(files: &FoundFiles) -> Vec<String> {
    let lines: Vec<String> = files.items().map(|item| item.to_string()).collect();
    assert_eq!(lines.len(), files.len());
    lines
}

/// All pages of a search, each as `(total, lines)`; the last one has no lines.
pub(super) fn pages(
    index: &Index,
    model: &Model,
    text: &str,
    on_loopback: bool,
) -> Vec<(u64, Vec<String>)> {
    let visibility = Visibility {
        on_loopback,
        has_departed: !model.departed.is_empty(),
        is_live: &|node| !model.departed.contains(&node),
    };
    let mut pages = Vec::new();
    let mut search = Search::new(text);
    loop {
        while !search.step(index, &visibility, &mut 0) {}
        let page = search.into_page();
        let lines = lines(&page.files);
        let is_last = lines.is_empty();
        pages.push((page.total, lines));
        match page.next {
            Some(next) if !is_last => search = next,
            Some(_) | None => return pages,
        }
    }
}

/// Compares all pages of a search with the model's lines.
fn compare(index: &Index, model: &Model, text: &str, on_loopback: bool) {
    let expected = model.search(text, on_loopback);
    let pages = pages(index, model, text, on_loopback);
    let mut rest = expected.as_slice();
    for (total, lines) in &pages {
        assert_eq!(*total, expected.len() as u64, "the total of {text:?}");
        let (now, later) = rest.split_at(lines.len().min(rest.len()));
        assert_eq!(lines, now, "{text:?}");
        // As many as fit; the lines of one name stay together.
        let next = later.first().map_or(0, |next| {
            let name = |line: &str| line.splitn(4, ' ').last().map(str::to_owned);
            let same = later.iter().take_while(|line| name(line) == name(next));
            same.count()
        });
        assert!(lines.len() <= MAX_LISTED_FILES);
        assert!(next == 0 || lines.len() + next > MAX_LISTED_FILES);
        rest = later;
    }
    assert!(rest.is_empty(), "{text:?} ends before {rest:?}");
}

fn check(index: &Index, model: &Model) {
    assert_eq!(index.name_count(true), model.names.len());
    let is_public = |holders: &&Vec<(SlotId, ModelContent)>| {
        holders.iter().any(|(node, _)| *node < FIRST_ON_LOOPBACK)
    };
    let public_names = model.names.values().filter(is_public).count();
    assert_eq!(index.name_count(false), public_names);
    for node in 0..NODES {
        assert_eq!(index.file_count(node), model.has(node).count() as u64);
    }
    for (name, holders) in &model.names {
        let found: Vec<(SlotId, ModelContent)> = index
            .holders(&file_name(name))
            .iter()
            .map(|holder| (holder.node, holder.content()))
            .map(|(node, content)| (node, (content.size, content.hash())))
            .collect();
        assert_eq!(&found, holders, "{name}");
    }
}

/// Removes at most `max` files of a node that has left.
fn leave(index: &mut Index, model: &mut Model, node: SlotId, max: usize) {
    let before = index.file_count(node);
    let removed = index.remove_files(node, max) as u64;
    assert_eq!(removed, before.min(max as u64));
    assert_eq!(index.file_count(node), before - removed);
    model.departed.insert(node);
    // The index chooses which files remain.
    let remains = |name: &str| {
        let holders = index.holders(&file_name(name));
        holders.iter().any(|holder| holder.node == node)
    };
    let names = model.has(node).filter(|name| !remains(name));
    let removed: Vec<String> = names.map(str::to_owned).collect();
    for name in removed {
        model.unshare(node, &name);
    }
    if index.file_count(node) == 0 {
        model.departed.remove(&node);
    }
}

pub(super) const UNLIMITED: Quota = Quota {
    node_files: u64::MAX,
    node_bytes: u64::MAX,
    address_bytes: u64::MAX,
    all_files: u64::MAX,
    all_bytes: u64::MAX,
};

fn holder(node: SlotId, size: u64, hash: MaybeHash) -> Holder {
    Holder {
        node,
        content: ContentId::new(size, hash),
        on_loopback: (FIRST_ON_LOOPBACK..NODES).contains(&node),
    }
}

/// Shares a file without a quota.
pub(super) fn share(index: &mut Index, node: SlotId, name: &str, size: u64) {
    let holder = holder(node, size, MaybeHash(None));
    let inserted = index.insert(&file_name(name), holder, None, &UNLIMITED);
    assert_eq!(inserted, Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_index_agrees_with_a_plain_map(
        steps in prop::collection::vec(steps(), 1..80),
        files in prop_oneof![1_u64..8, 1_u64..2500],
        bytes in prop_oneof![1_u64..30, 1_u64..20_000],
    ) {
        let quota = Quota {
            node_files: files,
            node_bytes: bytes,
            ..UNLIMITED
        };
        let mut index = Index::default();
        let mut model = Model::default();
        for step in steps {
            match step {
                // A node that has left shares nothing.
                ModelStep::Share(node, ..) | ModelStep::ShareMany(node, ..) | ModelStep::Unshare(node, _)
                    if model.departed.contains(&node) => {}
                ModelStep::Share(node, name, size, hash) => {
                    let holder = holder(node, size, hash);
                    let inserted = index.insert(&file_name(&name), holder, None, &quota);
                    let is_accepted = model.share(node, &name, (size, hash), &quota);
                    prop_assert_eq!(inserted.is_ok(), is_accepted);
                }
                ModelStep::ShareMany(node, first, count) => {
                    // Without a quota: the model would count all names for each of them.
                    for name in (first..first + count).map(numbered) {
                        share(&mut index, node, &name, 1);
                        model.put(node, &name, (1, MaybeHash(None)));
                    }
                }
                ModelStep::Unshare(node, name) => {
                    let is_removed = index.remove(node, &file_name(&name));
                    prop_assert_eq!(is_removed, model.unshare(node, &name));
                }
                ModelStep::Leave(node, max) => leave(&mut index, &mut model, node, max),
                ModelStep::Search(text, on_loopback) => compare(&index, &model, text, on_loopback),
            }
        }
        check(&index, &model);
        for text in TEXTS {
            compare(&index, &model, text, true);
            compare(&index, &model, text, false);
        }
    }
}
