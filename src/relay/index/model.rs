//! Property test: the index agrees with a plain map, whatever nodes share,
//! unshare and leave behind.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::protocol::{ContentHash, FileName, MAX_LISTED_FILES, MaybeHash};
use crate::relay::index::found::FoundFiles;
use crate::relay::index::{Holder, Index, Quota, Search, SlotId, Visibility};

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

const UNLIMITED: Quota = Quota {
    files: u64::MAX,
    bytes: u64::MAX,
    all: u64::MAX,
};

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

fn file_name(text: &str) -> FileName<'_> {
    FileName::parse(text).expect("valid names only")
}

/// A node's content under a name.
type ModelContent = (u64, MaybeHash);

/// The reference implementation.
#[derive(Default)]
struct Model {
    /// Holders in the order in which they shared the name.
    names: BTreeMap<String, Vec<(SlotId, ModelContent)>>,
    /// Nodes that left and whose files are not all removed.
    departed: BTreeSet<SlotId>,
}

impl Model {
    fn share(&mut self, node: SlotId, name: &str, content: ModelContent, quota: Quota) -> bool {
        let has_it = self.has(node).any(|had| had == name);
        let files = self.has(node).count() as u64;
        let bytes: usize = self.has(node).map(str::len).sum();
        let too_many = files >= quota.files || (bytes + name.len()) as u64 > quota.bytes;
        if !has_it && too_many {
            return false;
        }
        self.put(node, name, content);
        true
    }

    fn put(&mut self, node: SlotId, name: &str, content: ModelContent) {
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
            if !without_case(name).contains(&without_case(text)) {
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

fn without_case(text: &str) -> String {
    let upper: String = text.chars().flat_map(char::to_uppercase).collect();
    upper.chars().flat_map(char::to_lowercase).collect()
}

/// The items of a page, as on the wire.
fn lines(files: &FoundFiles) -> Vec<String> {
    let lines: Vec<String> = files.items().map(|item| item.to_string()).collect();
    assert_eq!(lines.len(), files.len());
    lines
}

/// All pages of a search, each as `(total, lines)`; the last one has no lines.
fn pages(index: &Index, model: &Model, text: &str, on_loopback: bool) -> Vec<(u64, Vec<String>)> {
    let is_visible = |node| model.is_visible(node, on_loopback);
    let visibility = Visibility {
        everyone: (0..NODES).all(|node| model.has(node).next().is_none() || is_visible(node)),
        is_visible: &is_visible,
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
    assert_eq!(index.len(), model.names.len());
    for node in 0..NODES {
        assert_eq!(index.file_count(node), model.has(node).count() as u64);
    }
    for (name, holders) in &model.names {
        let found: Vec<(SlotId, ModelContent)> = index
            .holders(&file_name(name))
            .iter()
            .map(|holder| (holder.node, (holder.size, holder.hash())))
            .collect();
        assert_eq!(&found, holders, "{name}");
    }
    let several =
        |holders: &&Vec<(SlotId, ModelContent)>| holders.iter().any(|h| h.1 != holders[0].1);
    let ambiguous = model.names.values().filter(several).count();
    assert_eq!(index.ambiguous_names, ambiguous);
}

/// Removes from the model the files of a departed node that the index has removed. The
/// index chooses their order.
fn follow_removals(index: &Index, model: &mut Model, node: SlotId) {
    let is_left = |name: &str| {
        let holders = index.holders(&file_name(name));
        holders.iter().any(|holder| holder.node == node)
    };
    let names = model.has(node).filter(|name| !is_left(name));
    let removed: Vec<String> = names.map(str::to_owned).collect();
    for name in removed {
        model.unshare(node, &name);
    }
    if index.file_count(node) == 0 {
        model.departed.remove(&node);
    }
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
            files,
            bytes,
            all: u64::MAX,
        };
        let mut index = Index::default();
        let mut model = Model::default();
        for step in steps {
            match step {
                // Nobody speaks for a node that has left.
                ModelStep::Share(node, ..) | ModelStep::ShareMany(node, ..) | ModelStep::Unshare(node, _)
                    if model.departed.contains(&node) => {}
                ModelStep::Share(node, name, size, hash) => {
                    let did = index.insert(&file_name(&name), Holder::new(node, size, hash), quota);
                    prop_assert_eq!(did, model.share(node, &name, (size, hash), quota));
                }
                ModelStep::ShareMany(node, first, count) => {
                    // The model would count all of them for each.
                    for name in (first..first + count).map(numbered) {
                        let holder = Holder::new(node, 1, MaybeHash(None));
                        prop_assert!(index.insert(&file_name(&name), holder, UNLIMITED));
                        model.put(node, &name, (1, MaybeHash(None)));
                    }
                }
                ModelStep::Unshare(node, name) => {
                    let did = index.remove(node, &file_name(&name));
                    prop_assert_eq!(did, model.unshare(node, &name));
                }
                ModelStep::Leave(node, most) => {
                    let before = index.file_count(node);
                    let taken = index.remove_files(node, most) as u64;
                    prop_assert_eq!(taken, before.min(most as u64));
                    prop_assert_eq!(index.file_count(node), before - taken);
                    model.departed.insert(node);
                    follow_removals(&index, &mut model, node);
                }
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

/// All pages of a search to which every node is visible.
fn all_pages(index: &Index, text: &str) -> Vec<(u64, Vec<String>)> {
    let mut model = Model::default();
    model.put(0, "somebody has a file", (0, MaybeHash(None)));
    pages(index, &model, text, true)
}

fn share(index: &mut Index, node: SlotId, name: &str, size: u64) {
    let holder = Holder::new(node, size, MaybeHash(None));
    assert!(index.insert(&file_name(name), holder, UNLIMITED));
}

#[test]
fn search_ignores_case_in_every_script() {
    for (name, text) in [
        ("README.md", "readme"),
        ("readme.md", "README"),
        ("GRÖSSE", "größe"),
        ("Größe", "GRÖSSE"),
        ("ΟΔΟΣ", "οδος"),
        ("οδός", "ΔΌΣ"),
        ("ΣΑΣΑ", "ας"),
        ("ДОМ", "дом"),
        ("ǅ", "ǆ"),
        ("ﬁle", "FI"),
    ] {
        let mut index = Index::default();
        share(&mut index, 0, name, 1);
        assert_eq!(all_pages(&index, text)[0].0, 1, "{text} is in {name}");
    }
}

#[test]
fn a_name_with_more_contents_than_a_page_does_not_hide_later_names() {
    let mut index = Index::default();
    share(&mut index, 0, "a", 0);
    for node in 0..1500 {
        share(&mut index, node, "b", u64::from(node));
    }
    share(&mut index, 0, "c", 0);
    let pages = all_pages(&index, "");
    let shown: Vec<usize> = pages.iter().map(|(_, lines)| lines.len()).collect();
    assert_eq!(shown, [1, 1000, 1, 0]);
    assert!(pages.iter().all(|(total, _)| *total == 1502));
}

#[test]
fn a_search_in_steps_lists_a_lasting_name_exactly_once_while_others_change() {
    let names = 50_000;
    let name = |number: u32| format!("{number:07}");
    let mut index = Index::default();
    for number in (0..names).map(|number| number * 10) {
        share(&mut index, 0, &name(number), 1);
    }
    let visibility = Visibility {
        everyone: true,
        is_visible: &|_| true,
    };
    let mut search = Search::new("5");
    let mut steps = 0;
    let mut scanned_pages = 0;
    while !search.step(&index, &visibility, &mut scanned_pages) {
        steps += 1;
        // Before, behind and at the position of the search.
        for number in (0..names * 10).step_by(7_001) {
            if number % 10 == 0 {
                index.remove(0, &file_name(&name(number)));
            } else if number % 10 != 5 {
                share(&mut index, 0, &name(number), 1);
            }
        }
    }
    assert!(steps >= 1, "one step scanned {scanned_pages} pages");
    let found = lines(&search.into_page().files);
    let stays = |number: &u32| !number.is_multiple_of(7_001) && name(*number).contains('5');
    let expected: Vec<u32> = (0..names).map(|n| n * 10).filter(stays).take(500).collect();
    for number in expected {
        let line = format!("1 - 1 {}", name(number));
        let count = found.iter().filter(|found| **found == line).count();
        assert_eq!(count, 1, "{number}");
    }
    // Without changes each name is counted and listed once.
    let pages = all_pages(&index, "");
    assert!(pages.iter().all(|(total, _)| *total == index.len() as u64));
    let listed: Vec<&String> = pages.iter().flat_map(|(_, lines)| lines).collect();
    assert_eq!(listed.len(), index.len());
    assert!(listed.is_sorted());
}
