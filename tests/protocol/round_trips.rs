//! Round trips: a printed value is parsed as the same value, and arbitrary bytes do
//! not break a parser.

use peerline::protocol::{
    Banner, ConnectionItem, ContentHash, Delivery, FileItem, FileName, HelpItem, HolderItem,
    Listening, MAX_LINE, MAX_TEXT, MaybeHash, NodeAddress, NodeItem, OtherProtocol, Registered,
    Reply, Request, StatsItem, Text, Verb,
};
use peerline::role::Input;
use peerline::session::inbox::Inbox;
use proptest::prelude::*;

use crate::values::{
    addresses, banners, content_hashes, deliveries, hashes, holders, item, items, messages, names,
    near_misses, nodes, registrations, replies, requests,
};

/// The printed line after framing, as the peer receives it.
fn over_the_wire(printed: &str) -> Vec<u8> {
    let bytes = format!("{printed}\n");
    let mut inbox = Inbox::default();
    let mut unread = inbox.open(bytes.as_bytes());
    let line = match unread.next(MAX_LINE) {
        Some(Input::Line(line)) => line.to_vec(),
        other => panic!("{printed:?} arrives as {other:?}"),
    };
    assert!(unread.is_empty(), "{printed:?} is more than one line");
    line
}

fn utf8(line: &[u8]) -> &str {
    std::str::from_utf8(line).expect("printed lines are UTF-8")
}

/// The text after `OK`.
fn ok_text(line: &[u8]) -> String {
    match Reply::parse(line) {
        Ok(Reply::Ok(text)) => text.into_owned(),
        other => panic!("{other:?} is not an OK"),
    }
}

proptest! {
    #[test]
    fn requests_round_trip(request in requests()) {
        let line = over_the_wire(&request.to_string());
        prop_assert_eq!(Request::parse(&line), Ok(request));
    }

    #[test]
    fn replies_round_trip(reply in replies()) {
        let line = over_the_wire(&reply.to_string());
        prop_assert_eq!(Reply::parse(&line), Ok(reply));
    }

    #[test]
    fn addresses_round_trip(address in addresses()) {
        let line = over_the_wire(&address.to_string());
        prop_assert_eq!(NodeAddress::parse(utf8(&line)), Ok(address));
        prop_assert_eq!(address.ip().to_canonical(), address.ip(), "IPv4 is unwrapped");
    }

    #[test]
    fn registrations_round_trip(registered in registrations()) {
        let line = over_the_wire(&registered.to_string());
        prop_assert_eq!(Registered::parse(&ok_text(&line)), Ok(registered));
    }

    #[test]
    fn listening_addresses_round_trip(address in addresses()) {
        let listening = Listening(address);
        let line = over_the_wire(&listening.to_string());
        prop_assert_eq!(Listening::parse(&ok_text(&line)), Ok(listening));
    }

    #[test]
    fn banners_round_trip(banner in banners()) {
        let line = over_the_wire(&banner.to_string());
        prop_assert_eq!(Banner::parse(&ok_text(&line)), Ok(banner));
    }

    #[test]
    fn lines_of_statistics_round_trip_with_later_fields(
        name in "[!-~]{1,20}",
        value: u64,
        later in "( [!-~]{1,8}){0,2}",
    ) {
        let item = StatsItem { name: &name, value };
        let line = over_the_wire(&format!("{item}{later}"));
        prop_assert_eq!(StatsItem::parse(utf8(&line)), Ok(item));
    }

    #[test]
    fn lines_of_connections_round_trip_with_later_fields(
        address in addresses(),
        numbers: [u64; 4],
        verb in "-|[A-Z]{1,11}",
        later in "( [!-~]{1,8}){0,2}",
    ) {
        let [seconds, bytes_in, bytes_out, rate] = numbers;
        let (ip, port) = (address.ip(), address.port().get());
        let item = ConnectionItem { ip, port, seconds, bytes_in, bytes_out, rate, verb: &verb };
        let line = over_the_wire(&format!("{item}{later}"));
        prop_assert_eq!(ConnectionItem::parse(utf8(&line)), Ok(item));
    }

    #[test]
    fn lines_of_help_round_trip(
        verb in prop::sample::select(&Verb::ALL[..]),
        meaning in "[!-~]([ -~]{0,40}[!-~])?",
    ) {
        let item = HelpItem { usage: verb.usage(), meaning: &meaning };
        let line = over_the_wire(&item.to_string());
        prop_assert_eq!(HelpItem::parse(utf8(&line)), Ok(item));
    }

    #[test]
    fn file_items_round_trip(fields in items()) {
        let item = item(&fields);
        let line = over_the_wire(&item.to_string());
        prop_assert_eq!(FileItem::parse(utf8(&line)), Ok(item));
    }

    #[test]
    fn node_items_round_trip_with_later_fields(
        node in nodes(),
        later in "( [!-~]{1,8}){0,2}",
    ) {
        let line = over_the_wire(&format!("{node}{later}"));
        prop_assert_eq!(NodeItem::parse(utf8(&line)), Ok(node));
        // Programs of earlier versions read the address only.
        prop_assert_eq!(NodeAddress::parse(utf8(&line)), Ok(node.address));
    }

    #[test]
    fn holder_items_round_trip_with_later_fields(
        holder in holders(),
        later in "( [!-~]{1,8}){0,2}",
    ) {
        let line = over_the_wire(&format!("{holder}{later}"));
        prop_assert_eq!(HolderItem::parse(utf8(&line)), Ok(holder));
    }

    #[test]
    fn deliveries_round_trip_and_are_not_replies(delivery in deliveries()) {
        let line = over_the_wire(&delivery.to_string());
        prop_assert!(Reply::parse(&line).is_err());
        prop_assert_eq!(Delivery::parse(utf8(&line)), Some(delivery));
    }

    #[test]
    fn no_reply_is_a_delivery(reply in replies()) {
        let printed = reply.to_string();
        prop_assert_eq!(Delivery::parse(&printed), None);
    }

    #[test]
    fn hashes_round_trip_in_either_case(hash in hashes(), known in content_hashes()) {
        prop_assert_eq!(hash.to_string().parse::<MaybeHash>(), Ok(hash));
        prop_assert_eq!(known.to_string().to_uppercase().parse::<ContentHash>(), Ok(known));
        prop_assert_eq!(MaybeHash(Some(known)).to_string(), known.to_string());
    }

    #[test]
    fn messages_round_trip_and_can_be_owned(text in messages()) {
        let printed = text.to_string();
        prop_assert_eq!(Text::parse(&printed), Ok(text.clone()));
        prop_assert_eq!(text.clone().into_owned(), text);
    }

    #[test]
    fn accepted_messages_are_safe(
        text in prop_oneof!["\\PC{0,20}", ".{0,20}", "[a \t\r\n\u{0}\u{7f}\u{9b}\u{202e}]{0,9}"]
    ) {
        if let Ok(message) = Text::parse(&text) {
            prop_assert_eq!(message.as_str(), &*text, "a message is never changed");
            prop_assert!(!text.contains(char::is_control));
            let turns = ['\u{202e}', '\u{2066}', '\u{200f}'];
            prop_assert!(!text.contains(turns));
            prop_assert!((1..=MAX_TEXT).contains(&text.len()));
        }
    }

    #[test]
    fn names_round_trip_and_can_be_owned(name in names()) {
        let parsed = FileName::parse(&name).expect("valid names only");
        prop_assert_eq!(parsed.to_string(), &*name);
        prop_assert_eq!(parsed.clone().into_owned(), parsed);
    }

    #[test]
    fn parsed_requests_round_trip(
        line in prop_oneof![near_misses(), prop::collection::vec(any::<u8>(), 0..64)]
    ) {
        match Request::parse(&line) {
            Ok(request) => {
                let printed = request.to_string();
                let again = Request::parse(printed.as_bytes());
                prop_assert_eq!(again.as_ref(), Ok(&request));
                prop_assert_eq!(again.expect("just compared").to_string(), &*printed);
            }
            // The reply must be one line.
            Err(error) => prop_assert!(!error.to_string().contains(char::is_control)),
        }
    }

    #[test]
    fn parsed_replies_round_trip(
        line in prop_oneof![near_misses(), prop::collection::vec(any::<u8>(), 0..64)]
    ) {
        if let Ok(reply) = Reply::parse(&line) {
            let printed = reply.to_string();
            prop_assert_eq!(Reply::parse(printed.as_bytes()), Ok(reply));
        }
        let text = String::from_utf8_lossy(&line);
        if let Ok(address) = NodeAddress::parse(&text) {
            prop_assert_eq!(NodeAddress::parse(&address.to_string()), Ok(address));
        }
        if let Ok(node) = NodeItem::parse(&text) {
            prop_assert_eq!(NodeItem::parse(&node.to_string()), Ok(node));
        }
        if let Ok(item) = FileItem::parse(&text) {
            let printed = item.to_string();
            prop_assert_eq!(FileItem::parse(&printed), Ok(item));
        }
        if let Ok(holder) = HolderItem::parse(&text) {
            prop_assert_eq!(HolderItem::parse(&holder.to_string()), Ok(holder));
        }
        if let Some(delivery) = Delivery::parse(text.trim_end_matches([' ', '\t'])) {
            let printed = delivery.to_string();
            prop_assert_eq!(Delivery::parse(&printed), Some(delivery));
        }
        if let Ok(item) = StatsItem::parse(&text) {
            let printed = item.to_string();
            prop_assert_eq!(StatsItem::parse(&printed), Ok(item));
        }
        if let Ok(banner) = Banner::parse(&text) {
            let printed = banner.to_string();
            let text = printed.strip_prefix("OK ").expect("it is an OK");
            prop_assert_eq!(Banner::parse(text), Ok(banner));
        }
        if let Ok(hash) = text.parse::<MaybeHash>() {
            prop_assert_eq!(hash.to_string().parse(), Ok(hash));
        }
        if let Ok(registered) = Registered::parse(&text) {
            let printed = registered.to_string();
            let text = printed.strip_prefix("OK ").expect("it is an OK");
            prop_assert_eq!(Registered::parse(text), Ok(registered));
        }
    }

    #[test]
    fn blanks_and_case_do_not_change_a_request(
        request in requests(),
        blanks in prop::collection::vec("[ \t]{1,3}", 4),
        upper in any::<bool>(),
    ) {
        let printed = request.to_string();
        let (verb, fields) = printed.split_once(' ').unwrap_or((&printed, ""));
        let verb = if upper { verb.to_owned() } else { verb.to_ascii_lowercase() };
        // Only the blanks between fields: those inside a name or a text are kept.
        let before_last = match request {
            Request::Get(_)
            | Request::Pieces(_)
            | Request::Digest(_)
            | Request::Stat(_)
            | Request::Find(_)
            | Request::Unshare(_)
            | Request::Search(_)
            | Request::Auth(_) => 0,
            Request::Share(..) | Request::Send(..) => 2,
            Request::Range { .. } | Request::ShareDigest(..) => 3,
            _ => 1,
        };
        let fields = fields.replacen(' ', &blanks[2], before_last);
        let typed = format!("{}{verb}{}{fields}{}", blanks[0], blanks[1], blanks[3]);
        prop_assert_eq!(Request::parse(typed.as_bytes()), Ok(request), "{:?}", typed);
    }

    #[test]
    fn accepted_names_are_safe(
        text in prop_oneof!["\\PC{0,20}", ".{0,20}", "[a./\\\\ \t\u{0}\u{7f}\u{9b}\u{202e}-]{0,12}"]
    ) {
        if let Ok(name) = FileName::parse(&text) {
            let name = name.as_str();
            prop_assert_eq!(name, &*text, "a name is never changed");
            prop_assert!(!name.contains(char::is_control));
            prop_assert!(!name.starts_with('/') && !name.ends_with('/'));
            prop_assert!(name.split('/').all(|part| !["", ".", ".."].contains(&part)));
            prop_assert!(!name.contains('\\'));
            prop_assert!(!name.starts_with(' ') && !name.ends_with(' '));
            prop_assert!((1..=1024).contains(&name.len()));
        }
    }

    #[test]
    fn arbitrary_lines_do_not_break_the_detection_of_other_protocols(
        line in prop_oneof![near_misses(), prop::collection::vec(any::<u8>(), 0..64)],
        is_first in any::<bool>(),
    ) {
        let detected = OtherProtocol::detect(&line, is_first);
        if !is_first && detected.is_some() {
            // The rules for any line apply to the first line, too.
            prop_assert!(OtherProtocol::detect(&line, true).is_some());
        }
    }

    #[test]
    fn requests_are_never_detected_as_another_protocol(request in requests()) {
        let line = request.to_string();
        prop_assert_eq!(OtherProtocol::detect(line.as_bytes(), true), None);
    }
}
