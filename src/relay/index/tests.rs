//! What a search lists, in order and in pages.

use crate::protocol::MaybeHash;
use crate::relay::index::model::{Model, file_name, lines, pages, share};
use crate::relay::index::{Index, Search, Visibility};

/// All pages of a search to which every node is visible.
fn all_pages(index: &Index, text: &str) -> Vec<(u64, Vec<String>)> {
    let mut model = Model::default();
    model.put(0, "somebody has a file", (0, MaybeHash(None)));
    pages(index, &model, text, true)
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
        on_loopback: true,
        has_departed: false,
        is_live: &|_| true,
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
    assert!(
        steps >= 1,
        "{names} names are scanned in one step of {scanned_pages} pages"
    );
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
    assert!(
        pages
            .iter()
            .all(|(total, _)| *total == index.name_count(true) as u64)
    );
    let listed: Vec<&String> = pages.iter().flat_map(|(_, lines)| lines).collect();
    assert_eq!(listed.len(), index.name_count(true));
    assert!(listed.is_sorted());
}
