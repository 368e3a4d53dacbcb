//! Several contents under one name, as the pages of a relay show them.

use crate::http_relay::{ONE, TWO, announce, links};
use crate::support::{http, relay};

/// Requests a page.
const HTML: &str = "Accept: text/html\r\n";

#[test]
fn each_row_of_a_name_with_several_contents_has_its_own_command() {
    let relay = relay(&[]);
    announce(&relay, 40_001, &[&format!("3 {ONE} a.txt"), "3 - b.txt"]);
    announce(&relay, 40_002, &[&format!("4 {TWO} a.txt"), "4 - b.txt"]);
    announce(&relay, 40_003, &[&format!("4 {TWO} only.txt")]);
    let page = http(relay.address(), "GET", "/", HTML);
    let text = page.text();
    for hash in [ONE, TWO] {
        let digits = &hash[..32];
        let get = format!("peer-client localhost 80 get -d . --hash {digits} a.txt<");
        assert_eq!(text.matches(&get).count(), 1, "{text}");
    }
    // A name with one content needs no hash, and a content without a hash cannot be chosen.
    assert!(text.contains("get -d . only.txt<"), "{text}");
    assert!(!text.contains("get -d . a.txt<"), "{text}");
    assert!(!text.contains("get -d . b.txt<"), "{text}");
    for mark in [">content 1 of 2<", ">content 2 of 2<"] {
        assert_eq!(text.matches(mark).count(), 2, "{text}");
    }
    assert!(
        text.contains("different contents under this name"),
        "{text}"
    );
}

#[test]
fn the_page_of_several_contents_says_where_each_is_and_how_to_fetch_it() {
    let relay = relay(&[]);
    let shares = [format!("3 {ONE} d/a b.txt"), format!("4 {TWO} d/a b.txt")];
    announce(&relay, 40_001, &[&shares[0]]);
    for port in 40_002..=40_006 {
        announce(&relay, port, &[&shares[1]]);
    }
    for path in ["files", "holders", "metalink"] {
        let extension = if path == "metalink" { ".meta4" } else { "" };
        let target = format!("/{path}/d/a%20b.txt{extension}");
        let page = http(relay.address(), "GET", &target, HTML);
        assert_eq!(page.status, 300, "{target}");
        let text = page.text();
        assert!(text.contains("Nodes have 2 different contents"), "{text}");
        for (hash, holders, size) in [(ONE, 1, "3 B"), (TWO, 5, "4 B")] {
            let (digits, half) = (&hash[..32], &hash[32..]);
            let link = format!("<a href=\"{target}?hash={digits}\" title=\"{hash}\">");
            assert!(text.contains(&link), "{text}");
            assert!(
                text.contains(&format!("<code>{}</code>", &hash[..8])),
                "{text}"
            );
            assert!(text.contains(&format!("{digits}<wbr>{half}")), "{text}");
            let get = format!("get -d . --hash {digits} &#39;d/a b.txt&#39;");
            assert!(text.contains(&get), "{text}");
            let cells = format!(
                "<td>{size}<td><a href=\"/holders/d/a%20b.txt?hash={digits}\">{holders}</a><td>0 min"
            );
            assert!(text.contains(&cells), "{text}");
        }
        // A few of the nodes.
        let nodes = text.matches("href=\"http://127.0.0.1:4000").count();
        assert_eq!(nodes, 1 + 3, "{text}");
        assert!(text.contains(" and 2 more"), "{text}");
        for link in links(text)
            .iter()
            .filter(|link| link.starts_with("/holders/"))
        {
            let holders = http(relay.address(), "GET", link, HTML);
            assert_eq!(holders.status, 200, "{link}");
        }
    }
}

#[test]
fn a_page_shows_a_bounded_number_of_contents() {
    let relay = relay(&[]);
    for number in 1..=60_u16 {
        announce(
            &relay,
            41_000 + number,
            &[&format!("{number} {number:064x} a.txt")],
        );
    }
    let page = http(relay.address(), "GET", "/files/a.txt", HTML);
    let text = page.text();
    assert!(text.contains("Nodes have 60 different contents"), "{text}");
    assert_eq!(text.matches("<a href=\"/files/a.txt?hash=").count(), 50);
    assert!(
        text.contains("The page shows the contents at the most"),
        "{text}"
    );
    assert!(text.len() < 50 * 1024, "{} bytes", text.len());
}

#[test]
fn a_hidden_name_has_no_command_on_any_page() {
    let relay = relay(&[]);
    announce(&relay, 40_001, &[&format!("3 {ONE} .a"), "1 - d/.b"]);
    announce(&relay, 40_002, &[&format!("4 {TWO} .a")]);
    for target in ["/", "/files/.a", "/holders/.a", "/holders/d/.b"] {
        let page = http(relay.address(), "GET", target, HTML);
        assert!(
            !page.text().contains("get -d ."),
            "{target}: {}",
            page.text()
        );
    }
}
