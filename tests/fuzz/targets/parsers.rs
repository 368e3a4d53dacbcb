//! The parsers: what they accept is printed and parsed again as the same value.

use std::fmt::{Debug, Display};

use peerline::name_glob::{MAX_GLOB, NameGlob};
use peerline::protocol::{
    Banner, Cookie, DatagramHeader, Delivery, FileItem, FileName, HelpItem, HolderItem, Listening,
    MAX_NAME, MAX_TEXT, MaybeHash, NodeAddress, NodeItem, OtherProtocol, Registered, Reply,
    Request, RequestDatagram, StatsItem, Tag, Text, Verb,
};

/// Asserts that the text of a value is parsed as the value.
fn assert_round_trip<T: PartialEq + Debug>(value: &T, printed: &str, again: Option<T>) {
    assert_eq!(again.as_ref(), Some(value), "{printed:?}");
    assert!(!printed.contains('\n'), "{printed:?} is one line");
}

/// The first line without its end, as the framing passes it on.
fn first_line(bytes: &[u8]) -> &[u8] {
    let line = bytes.split(|byte| *byte == b'\n').next();
    let line = line.unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn is_one_line(text: impl Display) -> bool {
    !text.to_string().contains(char::is_control)
}

/// A line as a request, and as the first line of a connection.
pub fn requests(bytes: &[u8]) {
    let line = first_line(bytes);
    match Request::parse(line) {
        Ok(request) => {
            let printed = request.to_string();
            assert_round_trip(&request, &printed, Request::parse(printed.as_bytes()).ok());
        }
        // The text of the reply must be one line.
        Err(error) => assert!(is_one_line(error.reply())),
    }
    let detected = OtherProtocol::detect(line, false);
    if detected.is_some() {
        // The rules for any line apply to the first line, too.
        assert!(OtherProtocol::detect(line, true).is_some());
    }
}

/// A line as the first line of a reply, or as a delivery.
pub fn replies(bytes: &[u8]) {
    let line = first_line(bytes);
    if let Ok(reply) = Reply::parse(line) {
        let printed = reply.to_string();
        assert_eq!(Reply::parse(printed.as_bytes()), Ok(reply));
        assert!(!Delivery::is_delivery(printed.as_bytes()), "{printed:?}");
    }
    let Ok(text) = std::str::from_utf8(line) else {
        return;
    };
    if let Some(delivery) = Delivery::parse(text.trim_end_matches([' ', '\t'])) {
        let printed = delivery.to_string();
        assert_eq!(Delivery::parse(&printed), Some(delivery));
        assert!(is_one_line(printed));
    }
    for text in [text, text.strip_prefix("OK ").unwrap_or_default()] {
        if let Ok(registered) = Registered::parse(text) {
            let printed = registered.to_string();
            assert_eq!(Registered::parse(&printed[3..]), Ok(registered));
        }
        if let Ok(listening) = Listening::parse(text) {
            let printed = listening.to_string();
            assert_eq!(Listening::parse(&printed[3..]), Ok(listening));
        }
        if let Ok(banner) = Banner::parse(text) {
            let printed = banner.to_string();
            assert_eq!(Banner::parse(&printed[3..]), Ok(banner));
        }
    }
}

/// A line as an item of each kind of list.
pub fn items(bytes: &[u8]) {
    let Ok(line) = std::str::from_utf8(first_line(bytes)) else {
        return;
    };
    if let Ok(address) = NodeAddress::parse(line) {
        let printed = address.to_string();
        assert_round_trip(&address, &printed, NodeAddress::parse(&printed).ok());
        assert_eq!(
            address.ip().to_canonical(),
            address.ip(),
            "IPv4 is unwrapped"
        );
    }
    if let Ok(item) = NodeItem::parse(line) {
        let printed = item.to_string();
        assert_round_trip(&item, &printed, NodeItem::parse(&printed).ok());
    }
    if let Ok(item) = FileItem::parse(line) {
        let printed = item.to_string();
        assert_round_trip(&item, &printed, FileItem::parse(&printed).ok());
    }
    if let Ok(item) = HolderItem::parse(line) {
        let printed = item.to_string();
        assert_round_trip(&item, &printed, HolderItem::parse(&printed).ok());
    }
    if let Ok(item) = StatsItem::parse(line) {
        assert_eq!(StatsItem::parse(&item.to_string()), Ok(item));
    }
    if let Ok(item) = HelpItem::parse(line) {
        assert!(line.contains(item.usage) && line.contains(item.meaning));
    }
}

/// A datagram of requests.
pub fn datagrams(bytes: &[u8]) {
    let Some(parsed) = RequestDatagram::parse(bytes) else {
        return;
    };
    let word: String = String::from_utf8_lossy(parsed.lines)
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect();
    assert!(Verb::parse(&word).is_some(), "only requests are answered");
    assert!(parsed.lines().count() >= 1);
    assert!(parsed.lines().all(|line| !line.contains(&b'\n')));
    if parsed.header != DatagramHeader::default() {
        let mut printed = Vec::new();
        parsed.write(&mut printed);
        assert_eq!(RequestDatagram::parse(&printed), Some(parsed));
    }
}

/// A text as each of the values of which lines consist.
pub fn values(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    if let Ok(name) = FileName::parse(text) {
        assert_eq!(name.as_str(), text, "a name is never changed");
        assert!(is_one_line(text) && !text.contains('\\') && !text.starts_with('/'));
        assert!(text.split('/').all(|part| !["", ".", ".."].contains(&part)));
        assert!((1..=MAX_NAME).contains(&text.len()));
        assert_eq!(text.trim_matches([' ', '\t']), text);
    }
    if let Ok(message) = Text::parse(text) {
        assert_eq!(message.as_str(), text, "a message is never changed");
        assert!(is_one_line(text) && (1..=MAX_TEXT).contains(&text.len()));
    }
    if let Ok(hash) = text.parse::<MaybeHash>() {
        assert_eq!(hash.to_string(), text.to_ascii_lowercase());
    }
    if let Some(glob) = NameGlob::parse(text) {
        assert!(text.len() <= MAX_GLOB);
        let is_match = glob.matcher().is_match("a/hello.txt");
        assert!(!is_match || "a/hello.txt".contains(&glob.search_text()));
    }
    if let Ok(tag) = text.parse::<Tag>() {
        assert_eq!(tag.as_str(), text);
    }
    if let Ok(cookie) = text.parse::<Cookie>() {
        assert_eq!(cookie.as_str(), text);
    }
}
