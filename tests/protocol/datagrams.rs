//! Datagrams of requests: header and lines.

use peerline::protocol::{Cookie, Count, DatagramHeader, Reply, RequestDatagram, Tag};
use proptest::prelude::*;

fn headers() -> impl Strategy<Value = DatagramHeader> {
    let cookie = prop::option::of("[a-zA-Z0-9]{1,16}");
    let tag = prop::option::of("[a-zA-Z0-9]{1,8}");
    (cookie, tag).prop_map(|(cookie, tag)| DatagramHeader {
        cookie: cookie.map(|cookie| cookie.parse().expect("a cookie")),
        tag: tag.map(|tag| tag.parse().expect("a tag")),
    })
}

proptest! {
    #[test]
    fn datagrams_round_trip(
        header in headers(),
        rest in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let lines = &[b"PING\n", &rest[..]].concat();
        let requests = RequestDatagram { header, lines };
        let mut datagram = Vec::new();
        requests.write(&mut datagram);
        prop_assert_eq!(RequestDatagram::parse(&datagram), Some(requests));
    }

    #[test]
    fn arbitrary_bytes_do_not_break_the_parser(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64),
            "(COOKIE|cookie|LIST)[ \t]{0,2}[-a-z.\r\n ]{0,12}".prop_map(String::into_bytes),
        ],
    ) {
        if let Some(requests) = RequestDatagram::parse(&bytes) {
            prop_assert!(requests.lines.to_ascii_uppercase().starts_with(b"LIST"));
            prop_assert!(requests.lines().all(|line| !line.contains(&b'\n')));
            prop_assert!(requests.lines().count() >= 1);
        }
    }
}

fn lines(datagram: &str) -> (DatagramHeader, Vec<&str>) {
    let requests = RequestDatagram::parse(datagram.as_bytes()).expect(datagram);
    let lines = requests.lines();
    let text = |line| std::str::from_utf8(line).expect("it was text");
    (requests.header, lines.map(text).collect())
}

#[test]
fn a_datagram_is_a_header_and_lines() {
    let header = |text: &str| text.parse::<DatagramHeader>().expect(text);
    for (datagram, expected, expected_lines) in [
        ("LIST\n", "-", &["LIST"][..]),
        ("LIST", "-", &["LIST"]),
        ("COOKIE abc LIST\r\nPING\r\n", "abc", &["LIST", "PING"]),
        ("cookie\tabc.7 \t LIST\n", "abc.7", &["LIST"]),
        (
            "COOKIE -.t1 FIND a  b\nFIND c",
            "-.t1",
            &["FIND a  b", "FIND c"],
        ),
        ("COOKIE abc LIST\n\nx\n", "abc", &["LIST", "", "x"]),
        ("COOKIE abc find\n", "abc", &["find"]),
    ] {
        assert_eq!(
            lines(datagram),
            (header(expected), expected_lines.to_vec()),
            "{datagram:?}"
        );
    }
}

#[test]
fn a_datagram_without_a_request_is_ignored() {
    for datagram in [
        "COOKIE\n",
        "COOKIE  \n",
        "COOKIEabc LIST\n",
        "COOKIE a.b.c LIST\n",
        "COOKIE a. LIST\n",
        "COOKIE .a LIST\n",
        "COOKIE ä LIST\n",
        "COOKIE abcdefghijklmnopq LIST\n",
        "COOKIE a.123456789 LIST\n",
        "COOKIE a-b LIST\n",
        // What replies look like.
        "COOKIE abcdefg\n",
        "COOKIE abcdefg\nLIST\n",
        "TAG a\nPONG\n",
        "PONG\n",
        "OK 60 127.0.0.1 9 0\n",
        "ERROR 501 unknown\n",
        "NODES 0\n",
        "LISTED\n",
        // What no program of this protocol sends.
        "",
        "\n",
        " LIST\n",
        "1 LIST\n",
        "\u{16}\u{3}",
        "ä",
    ] {
        let bytes = datagram.as_bytes();
        assert_eq!(RequestDatagram::parse(bytes), None, "{datagram:?}");
    }
}

#[test]
fn tag_and_cookie_replies_are_parsed() {
    let tag: Tag = "7".parse().expect("a tag");
    let cookie: Cookie = "abcdefg".parse().expect("a cookie");
    assert_eq!(Reply::parse(b"TAG 7"), Ok(Reply::Tag(tag)));
    assert_eq!(Reply::parse(b"COOKIE abcdefg x"), Ok(Reply::Cookie(cookie)));
    for line in ["TAG", "TAG -", "TAG 123456789", "COOKIE", "COOKIE a.b"] {
        assert!(Reply::parse(line.as_bytes()).is_err(), "{line}");
    }
}

#[test]
fn a_truncated_list_states_its_total() {
    let nodes = |line: &str| match Reply::parse(line.as_bytes()) {
        Ok(Reply::Nodes(count)) => count,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(nodes("NODES 60 201"), Count::truncated(60, 201));
    assert_eq!(nodes("NODES 60 201 x"), Count::truncated(60, 201));
    assert_eq!(nodes("NODES 60"), Count::all(60));
    // A total cannot be less than the lines that follow.
    assert_eq!(nodes("NODES 60 5"), Count::all(60));
    assert_eq!(Count::truncated(60, 201).to_string(), "60 201");
    assert_eq!(Count::all(60).to_string(), "60");
}
