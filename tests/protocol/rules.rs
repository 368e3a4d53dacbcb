//! The rules of protocol.md for lines and values, one test each.

use peerline::protocol::{
    AddressError, ClaimedIp, Count, Delivery, ErrorCode, FileItem, FileName, FileStat, HelpItem,
    HolderItem, MAX_LINE, MAX_NAME, MAX_TEXT, MaybeHash, NameError, NodeAddress, NodeItem,
    OtherProtocol, ParseError, Port, Registered, Reply, Request, RequestError, StatsItem, Text,
    TextError, Verb,
};
use proptest::prelude::*;

fn get(name: &str) -> Request<'_> {
    Request::Get(FileName::parse(name).expect("a valid name"))
}

fn register(ip: &str, port: u16) -> Request<'static> {
    let ip = match ip {
        "*" => ClaimedIp::Source,
        ip => ClaimedIp::Address(ip.parse().expect("an address")),
    };
    Request::Register(ip, Port::new(port).expect("not zero"))
}

/// Asserts that the line is rejected with code 400.
#[track_caller]
fn assert_syntax(line: &str) {
    let error = Request::parse(line.as_bytes()).expect_err(line);
    assert_eq!(error.code(), ErrorCode::SYNTAX, "{line:?}: {error}");
}

#[test]
fn a_blank_is_a_space_or_a_tab_and_nothing_else() {
    for line in ["GET a b", " GET a b", "GET\ta b", "\t GET \t a b \t"] {
        assert_eq!(Request::parse(line.as_bytes()), Ok(get("a b")), "{line:?}");
    }
    // A no-break, thin or ideographic space is a character of the name.
    let name = "\u{a0}a\u{2009}b\u{3000}";
    assert_eq!(
        Request::parse(format!("GET {name}").as_bytes()),
        Ok(get(name))
    );
    assert_eq!(
        Request::parse("GET\u{a0}a".as_bytes()),
        Err(RequestError::UnknownVerb("GET\u{a0}a"))
    );
    for other in ["\u{b}", "\u{c}", "\0", "\u{85}"] {
        assert_syntax(&format!("GET a{other}"));
    }
}

#[test]
fn blanks_inside_a_name_are_kept() {
    assert_eq!(Request::parse(b"GET  a   b "), Ok(get("a   b")));
    let item = FileItem::parse("  1   -  1   a   b  ").expect("an item");
    assert_eq!(item.name.as_str(), "a   b");
}

#[test]
fn the_case_of_a_verb_does_not_matter_but_that_of_a_name_does() {
    assert_eq!(Request::parse(b"gEt A"), Ok(get("A")));
    assert_ne!(Request::parse(b"gEt A"), Ok(get("a")));
    // Replies are in upper case only.
    assert!(Reply::parse(b"pong").is_err());
}

#[test]
fn a_line_without_a_verb_asks_for_the_banner() {
    for line in ["", " ", "\t \t"] {
        assert_eq!(Request::parse(line.as_bytes()), Ok(Request::Banner));
    }
}

#[test]
fn a_verb_without_fields_rejects_fields() {
    for verb in [
        Verb::List,
        Verb::More,
        Verb::Listen,
        Verb::Who,
        Verb::Ping,
        Verb::Stats,
        Verb::Connections,
        Verb::Help,
        Verb::Quit,
    ] {
        let word = verb.word();
        assert!(Request::parse(word.as_bytes()).is_ok());
        assert_syntax(&format!("{word} x"));
    }
}

#[test]
fn a_line_is_utf_8() {
    assert_eq!(Request::parse(b"GET \xff"), Err(RequestError::NotUtf8));
    assert_eq!(Request::parse(b"GET \xc3"), Err(RequestError::NotUtf8));
    // Surrogates and overlong forms are not UTF-8.
    assert_eq!(
        Request::parse(b"GET \xed\xa0\x80"),
        Err(RequestError::NotUtf8)
    );
    assert_eq!(Request::parse(b"GET \xc0\xaf"), Err(RequestError::NotUtf8));
    assert!(Reply::parse(b"OK \xff").is_err());
}

#[test]
fn an_unknown_verb_is_501_and_is_shown_escaped_and_shortened() {
    let error = Request::parse("\u{1b}[2J".as_bytes()).expect_err("no verb");
    assert_eq!(error.code(), ErrorCode::UNKNOWN_VERB);
    assert!(error.to_string().contains("\\u{1b}[2J"), "{error}");
    let long = "X".repeat(MAX_LINE - 1);
    let error = Request::parse(long.as_bytes()).expect_err("no verb");
    assert!(error.to_string().len() < 100, "{error}");
}

#[test]
fn an_error_of_a_known_verb_shows_its_usage_and_what_is_wrong() {
    let (hash, zeros) = ("1".repeat(64), "0".repeat(64));
    let shared_zeros = format!("SHARE 17 {zeros} a");
    let range_of_zeros = format!("RANGE 1 2 {zeros} a");
    let digest_of_zeros = format!("SHAREDIGEST {zeros} sha-256 {zeros} a");
    let digest = format!("SHAREDIGEST {hash} md5 {hash} a");
    let unknown = format!("SHAREDIGEST - sha-256 {hash} a");
    let short = format!("SHAREDIGEST {hash} sha-256 12 a");
    for (line, text) in [
        ("REGISTER", "REGISTER ip port; the ip is missing"),
        (
            "REGISTER * 99999",
            "REGISTER ip port; 99999 is no port (1 to 65535)",
        ),
        (
            "REGISTER * 0",
            "REGISTER ip port; 0 is no port (1 to 65535)",
        ),
        (
            "REGISTER * +1",
            "REGISTER ip port; +1 is no port (1 to 65535)",
        ),
        ("REGISTER * 1 2", "REGISTER ip port; 2 is too much"),
        (
            "REGISTER localhost 5000",
            "REGISTER ip port; localhost is no IP address; * means your own",
        ),
        (
            "UNREGISTER 256.1.1.1 80",
            "UNREGISTER ip port; 256.1.1.1 is no IP address; * means your own",
        ),
        ("UNREGISTER ::1", "UNREGISTER ip port; the port is missing"),
        ("GET", "GET name; the name is missing"),
        ("PIECES", "PIECES name; the name is missing"),
        ("UNSHARE", "UNSHARE name; the name is missing"),
        ("FIND ", "FIND name; the name is missing"),
        ("PING x", "PING; x is too much"),
        ("LISTEN here", "LISTEN; here is too much"),
        ("AUTH", "AUTH secret; the secret is missing"),
        (
            "PROVE correct horse",
            "PROVE hex; a proof has 64 hexadecimal digits; people type AUTH secret",
        ),
        (
            "SHARE 17 hello.txt",
            "SHARE size hash name; hello.txt is no hash (64 hexadecimal digits, or -)",
        ),
        (
            &shared_zeros,
            "SHARE size hash name; 64 zeros are the hash of no content",
        ),
        (
            &range_of_zeros,
            "RANGE offset length hash name; 64 zeros are the hash of no content",
        ),
        (
            &digest_of_zeros,
            "SHAREDIGEST hash sha-256 hex name; 64 zeros are the hash of no content",
        ),
        (
            "SHARE 12k - a",
            "SHARE size hash name; 12k is no size (a number of bytes, in digits)",
        ),
        ("SHARE 1 -", "SHARE size hash name; the name is missing"),
        (
            "RANGE 1 -2 - a",
            "RANGE offset length hash name; -2 is no length (a number of bytes, in digits)",
        ),
        (
            "RANGE 18446744073709551616 1 - a",
            "RANGE offset length hash name; 18446744073709551616 is no offset (a number of bytes, in digits)",
        ),
        (
            &digest,
            "SHAREDIGEST hash sha-256 hex name; md5 is no known algorithm (sha-256)",
        ),
        (
            &unknown,
            "SHAREDIGEST hash sha-256 hex name; - is no hash (64 hexadecimal digits)",
        ),
        (
            &short,
            "SHAREDIGEST hash sha-256 hex name; 12 is no hash (64 hexadecimal digits)",
        ),
        (
            "SEND 192.0.2.7 80",
            "SEND ip port text; the text is missing",
        ),
        (
            "SEND * 80 x",
            "SEND ip port text; * is no IP address; WHO lists the addresses",
        ),
    ] {
        let error = Request::parse(line.as_bytes()).expect_err(line);
        assert_eq!(error.code(), ErrorCode::SYNTAX);
        assert_eq!(error.to_string(), format!("usage: {text}"), "{line}");
    }
    let long = format!("REGISTER * \u{1b}{}", "9".repeat(1000));
    let error = Request::parse(long.as_bytes()).expect_err("no port");
    let text = error.to_string();
    assert!(text.contains("\\u{1b}9") && text.len() < 120, "{text}");
}

proptest! {
    /// The explanation and the parser have the same rules.
    #[test]
    fn every_malformed_field_is_named(
        verb in 0..Verb::ALL.len(),
        fields in prop::collection::vec("[*0-9-]{1,2}|::1|sha-256|a|0{64}", 0..6),
    ) {
        let line = format!("{} {}", Verb::ALL[verb].word(), fields.join(" "));
        if let Err(RequestError::Form(_, why)) = Request::parse(line.as_bytes()) {
            prop_assert!(why.is_some(), "{}", line);
        }
    }
}

#[test]
fn a_port_is_1_to_65535_in_digits() {
    for port in ["0", "65536", "+80", "-1", "8o", "0x50", "80.0", "", "８０"] {
        assert_syntax(&format!("REGISTER * {port}"));
        assert!(
            NodeAddress::parse(&format!("192.0.2.7 {port}")).is_err(),
            "{port}"
        );
    }
    assert_eq!(
        Request::parse(b"REGISTER * 65535"),
        Ok(register("*", 65535))
    );
    // Leading zeros are accepted and not printed.
    let request = Request::parse(b"REGISTER * 080").expect("a decimal number");
    assert_eq!(request.to_string(), "REGISTER * 80");
}

#[test]
fn an_address_is_a_literal_without_brackets_and_zone() {
    for ip in [
        "[::1]",
        "fe80::1%eth0",
        "fe80::1%1",
        "2001:db8::1%1",
        "localhost",
        "127.1",
        "127.0.0.01",
        "0x7f000001",
        "2130706433",
        "127.0.0.1/8",
        "127.0.0.1:80",
        "**",
    ] {
        assert_syntax(&format!("REGISTER {ip} 80"));
        assert!(NodeAddress::parse(&format!("{ip} 80")).is_err(), "{ip}");
    }
    // `*` is for requests only.
    assert_eq!(NodeAddress::parse("* 80"), Err(AddressError::Form));
}

#[test]
fn an_address_has_one_form() {
    for (typed, printed) in [
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::FFFF:c000:0207", "192.0.2.7"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:0db8::0001", "2001:db8::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
    ] {
        let line = format!("REGISTER {typed} 80");
        let request = Request::parse(line.as_bytes());
        assert_eq!(request, Ok(register(printed, 80)), "{typed}");
        let address = NodeAddress::parse(&format!("{typed} 80")).expect("a host");
        assert_eq!(address.to_string(), format!("{printed} 80"));
    }
}

#[test]
fn an_address_that_does_not_identify_a_host_is_rejected() {
    for ip in [
        "0.0.0.0",
        "::",
        "::ffff:0.0.0.0",
        "224.0.0.1",
        "239.255.255.255",
        "::ffff:224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "::ffff:255.255.255.255",
        "fe80::1",
        "febf::1",
    ] {
        assert_syntax(&format!("REGISTER {ip} 80"));
        let refused = NodeAddress::parse(&format!("{ip} 80"));
        assert_eq!(refused, Err(AddressError::NotAHost), "{ip}");
    }
    // Link-local addresses of IPv4 need no zone. Addresses in fc00::/7 are local but routed.
    for ip in ["169.254.1.1", "fec0::1", "fd00::1", "10.0.0.1"] {
        assert!(NodeAddress::parse(&format!("{ip} 80")).is_ok(), "{ip}");
    }
}

#[test]
fn loopback_is_127_0_0_0_8_and_1() {
    for (ip, is_loopback) in [
        ("127.0.0.1", true),
        ("127.255.255.254", true),
        ("::1", true),
        ("::ffff:127.0.0.1", true),
        ("128.0.0.1", false),
        ("::2", false),
    ] {
        let address = NodeAddress::parse(&format!("{ip} 80")).expect("a host");
        assert_eq!(address.is_loopback(), is_loopback, "{ip}");
    }
}

#[test]
fn the_rules_for_names() {
    for (text, why) in [
        ("", NameError::Empty),
        ("/a", NameError::Parts),
        ("a/", NameError::Parts),
        ("a//b", NameError::Parts),
        (".", NameError::Parts),
        ("..", NameError::Parts),
        ("a/../b", NameError::Parts),
        ("./a", NameError::Parts),
        (" a", NameError::BlankAtEnd),
        ("a\t", NameError::BlankAtEnd),
        ("a\tb", NameError::Character),
        ("a\nb", NameError::Character),
        ("a\0", NameError::Character),
        ("a\u{7f}", NameError::Character),
        ("a\u{9b}b", NameError::Character),
        ("a\\b", NameError::Character),
        ("a\u{202e}txt.exe", NameError::Character),
        ("a\u{2066}", NameError::Character),
        ("a\u{200f}", NameError::Character),
    ] {
        assert_eq!(FileName::parse(text), Err(why), "{text:?}");
    }
    for text in [
        "...",
        "..a",
        "a..",
        ".hidden",
        "a/.b",
        "a b",
        "-",
        "*",
        "größe/日本 語",
        "a:b",
        "~",
    ] {
        assert!(FileName::parse(text).is_ok(), "{text:?}");
    }
}

#[test]
fn a_name_has_at_most_1024_bytes_and_fits_in_a_line() {
    let longest = "é".repeat(MAX_NAME / 2);
    assert_eq!(longest.len(), 1024);
    let request = format!("GET {longest}");
    assert_eq!(Request::parse(request.as_bytes()), Ok(get(&longest)));
    let longer = format!("{longest}x");
    assert_eq!(FileName::parse(&longer), Err(NameError::TooLong));
    let item = format!("{0} {1} {0} {longest}\n", u64::MAX, "f".repeat(64));
    assert!(item.len() <= MAX_LINE);
}

#[test]
fn names_are_not_normalised() {
    let (composed, decomposed) = ("é", "e\u{301}");
    assert_ne!(FileName::parse(composed), FileName::parse(decomposed));
}

#[test]
fn numbers_are_decimal_without_a_sign_and_of_64_bits() {
    assert_eq!(
        Reply::parse(b"FOUND 18446744073709551615"),
        Ok(Reply::Found(u64::MAX))
    );
    for number in [
        "18446744073709551616",
        "-1",
        "+1",
        "0x1",
        "1e3",
        "1,000",
        "1.0",
        "١",
    ] {
        for line in [format!("FOUND {number}"), format!("NODES {number}")] {
            assert!(Reply::parse(line.as_bytes()).is_err(), "{line}");
        }
        assert!(
            FileItem::parse(&format!("{number} - 1 a")).is_err(),
            "{number}"
        );
    }
}

#[test]
fn unknown_fields_are_ignored() {
    for (line, known) in [
        ("FOUND 1 x y", Reply::Found(1)),
        ("NODES 1 x", Reply::Nodes(Count::all(1))),
        ("HOLDERS 1 x", Reply::Holders(Count::all(1))),
        ("FILES 1 2 x", Reply::Files { shown: 1, total: 2 }),
        ("STATS 1 x", Reply::Stats(1)),
        ("CONNECTIONS 1 x", Reply::Connections(Count::all(1))),
        ("HELP 1 x", Reply::Help(1)),
        ("PONG x", Reply::Pong),
        ("NOTFOUND x", Reply::NotFound),
    ] {
        assert_eq!(Reply::parse(line.as_bytes()), Ok(known), "{line}");
    }
    let registered = Registered::parse("60 192.0.2.7 80 3 4 x y").expect("known fields");
    assert_eq!(registered.to_string(), "OK 60 192.0.2.7 80 3 4");
    // A relay of an older version sends no epoch.
    let registered = Registered::parse("60 192.0.2.7 80 3").expect("all fields but the last");
    assert_eq!(registered.epoch, None);
    assert_eq!(registered.to_string(), "OK 60 192.0.2.7 80 3");
    // An item that does not end with a name may also get new fields.
    let address = NodeAddress::parse("192.0.2.7 80 x y").expect("known fields");
    assert_eq!(address.to_string(), "192.0.2.7 80");
    let holder = HolderItem::parse("192.0.2.7 80 5 - x y").expect("known fields");
    assert_eq!(holder.to_string(), "192.0.2.7 80 5 -");
}

#[test]
fn an_id_is_the_last_field_of_a_node_and_of_a_holder() {
    let id = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let node = NodeItem::parse(&format!("192.0.2.7 80 {id} x")).expect("a node");
    assert_eq!(node.to_string(), format!("192.0.2.7 80 {id}"));
    let line = format!("192.0.2.7 80 5 - {id}");
    let holder = HolderItem::parse(&format!("{line} x")).expect("a holder");
    assert_eq!(holder.to_string(), line);
    // What is not an id may be a field of a later version.
    for field in [
        "-",
        "sha256//",
        "sha512//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "SHA256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
        "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
        "sha256//47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    ] {
        let node = NodeItem::parse(&format!("192.0.2.7 80 {field}")).expect("a node");
        assert_eq!(node.id, None, "{field}");
        let holder = HolderItem::parse(&format!("192.0.2.7 80 5 - {field}")).expect("a holder");
        assert_eq!(holder.id, None, "{field}");
    }
}

#[test]
fn a_register_reply_has_the_address_of_a_host() {
    for text in [
        "",
        "60",
        "60 192.0.2.7",
        "60 192.0.2.7 80",
        "60 * 80 0",
        "60 0.0.0.0 80 0",
    ] {
        assert!(Registered::parse(text).is_err(), "{text}");
    }
}

#[test]
fn known_and_unknown_codes_keep_their_numbers() {
    for number in 0..=u16::MAX {
        let line = format!("ERROR {number} why");
        let error = Reply::Error(ErrorCode(number), "why".into());
        assert_eq!(error.to_string(), line);
        assert_eq!(Reply::parse(line.as_bytes()), Ok(error));
    }
    assert!(Reply::parse(b"ERROR 65536 why").is_err());
}

#[test]
fn another_protocol_is_detected_by_its_whole_first_line() {
    let http = Some(OtherProtocol::Http);
    for line in [
        "GET / HTTP/1.1",
        "get  /a\tHTTP/1.0",
        "PRI /x HTTP/2.0",
        "X / HTTP/9.9",
    ] {
        assert_eq!(OtherProtocol::detect(line.as_bytes(), true), http, "{line}");
        assert_eq!(
            OtherProtocol::detect(line.as_bytes(), false),
            None,
            "{line}"
        );
    }
    for line in [
        "GET HTTP/1.1",
        "GET a HTTP/1.1",
        "GET / HTTP/1.1 x",
        "GET / http/1.1",
        "GET / HTTP/1",
        "GET / HTTP/1.10",
        "GET / HTTP/x.y",
        "GET a/ HTTP/1.1",
        "GET a /b HTTP/1.1",
        "GET Host: x",
        "hostel",
        "POSTER a",
        "é",
    ] {
        assert_eq!(OtherProtocol::detect(line.as_bytes(), true), None, "{line}");
    }
    assert_eq!(
        OtherProtocol::detect(b"\x16\x03\x01\x02", true),
        Some(OtherProtocol::Tls)
    );
    assert_eq!(OtherProtocol::detect(b"\x16\x03\x01\x02", false), None);
}

#[test]
fn headers_and_methods_of_a_web_page_are_detected_on_any_line() {
    for line in [
        &b"Host: x"[..],
        b"host:x",
        b"POST",
        b"put /x HTTP/1.1",
        b"Options *",
        b"\tHOST:",
        b"Host: \xff",
        b"POST \xc3",
    ] {
        for is_first in [true, false] {
            let found = OtherProtocol::detect(line, is_first);
            assert_eq!(found, Some(OtherProtocol::Http), "{}", line.escape_ascii());
        }
    }
    assert_eq!(
        OtherProtocol::detect(b"GET /\xff HTTP/1.1", true),
        Some(OtherProtocol::Http)
    );
}

const HASH: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

#[test]
fn a_hash_has_64_hexadecimal_digits_or_is_unknown() {
    let hash: MaybeHash = HASH.parse().expect("a hash");
    assert_eq!(hash.to_string(), HASH);
    assert_eq!(HASH.to_uppercase().parse(), Ok(hash));
    assert_eq!("-".parse(), Ok(MaybeHash(None)));
    for wrong in [
        "",
        &HASH[1..],
        &HASH[..62],
        &format!("{HASH}00"),
        &HASH.replace('a', "g"),
    ] {
        assert!(wrong.parse::<MaybeHash>().is_err(), "{wrong}");
    }
}

#[test]
fn share_has_a_size_a_hash_and_a_name_that_may_contain_blanks() {
    let name = FileName::parse("a  b").expect("a valid name");
    for hash in ["-", HASH, &HASH.to_uppercase()] {
        let line = format!("share  5\t{hash}   a  b ");
        let known = hash.parse().expect("a hash");
        assert_eq!(
            Request::parse(line.as_bytes()),
            Ok(Request::Share(5, known, name.clone())),
            "{line}"
        );
    }
    for line in [
        "SHARE",
        "SHARE 5",
        "SHARE 5 -",
        "SHARE 5 a",
        "SHARE -5 - a",
        "SHARE 5 -- a",
        "SHARE - 5 a",
        "SHARE 18446744073709551616 - a",
        "SHARE 5 - ../a",
        "SHARE 5 - /a",
        &format!("SHARE 5 {}0 a", &HASH[..63].replace('a', "g")),
        &format!("SHARE 5 {HASH}0 a"),
    ] {
        assert_syntax(line);
    }
    // The longest name fits in a line with the largest size and a hash.
    let longest = format!("SHARE {} {HASH} {}\n", u64::MAX, "n".repeat(MAX_NAME));
    assert!(longest.len() <= MAX_LINE);
}

#[test]
fn search_takes_any_text_and_removes_blanks_around_it() {
    for (line, text) in [
        ("SEARCH", ""),
        ("SEARCH  ", ""),
        ("search a  b\t", "a  b"),
        ("SEARCH ../x", "../x"),
    ] {
        assert_eq!(
            Request::parse(line.as_bytes()),
            Ok(Request::Search(text)),
            "{line:?}"
        );
    }
}

#[test]
fn the_rules_for_messages() {
    for (text, why) in [
        ("", TextError::Empty),
        ("a\tb", TextError::Character),
        ("a\0", TextError::Character),
        ("\u{7f}", TextError::Character),
        ("a\u{9b}31m", TextError::Character),
        ("a\u{202e}b", TextError::Character),
        ("\u{2066}", TextError::Character),
    ] {
        assert_eq!(Text::parse(text), Err(why), "{text:?}");
    }
    for text in [
        "a",
        "/quit",
        "FROM 192.0.2.7 80 you",
        "a  b",
        "\\o/",
        "größe 🙂",
    ] {
        assert!(Text::parse(text).is_ok(), "{text:?}");
        let line = format!("SEND 192.0.2.7 80  {text} ");
        let Ok(Request::Send(_, parsed)) = Request::parse(line.as_bytes()) else {
            panic!("{line:?} is refused");
        };
        assert_eq!(parsed.as_str(), text);
    }
}

#[test]
fn a_message_has_at_most_1024_bytes_and_fits_in_a_line() {
    let longest = "é".repeat(MAX_TEXT / 2);
    assert!(Text::parse(&longest).is_ok());
    let send = format!("SEND 192.0.2.7 80 {longest}x");
    let error = Request::parse(send.as_bytes()).expect_err("too long");
    assert_eq!(error, RequestError::Text(Verb::Send, TextError::TooLong));
    assert_eq!(error.code(), ErrorCode::LIMIT_REACHED);
    let widest = "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 65535";
    let from = NodeAddress::parse(widest).expect("a host");
    let text = Text::parse(&longest).expect("just tried");
    let delivery = Delivery { from, text };
    assert!(delivery.to_string().len() < MAX_LINE);
}

#[test]
fn a_message_is_sent_to_a_host() {
    for line in [
        "SEND",
        "SEND a",
        "SEND 192.0.2.7 80",
        "SEND 192.0.2.7 80  ",
        "SEND * 80 a",
        "SEND 192.0.2.7 0 a",
        "SEND 0.0.0.0 80 a",
        "SEND 224.0.0.1 80 a",
    ] {
        assert_syntax(line);
    }
}

#[test]
fn a_delivery_is_from_a_host() {
    for line in [
        "FROM",
        "FROM 192.0.2.7 80",
        "FROM * 80 a",
        "FROM 192.0.2.7 0 a",
        "FROM 0.0.0.0 80 a",
        "FROM 192.0.2.7 80 \u{1b}[2J",
        "from 192.0.2.7 80 a",
        "OK 192.0.2.7 80 a",
    ] {
        assert_eq!(Delivery::parse(line), None, "{line}");
    }
}

#[test]
fn a_holder_is_a_host_with_a_size_and_a_hash() {
    let line = format!("::ffff:192.0.2.7 80 5 {HASH}");
    let holder = HolderItem::parse(&line).expect("a holder");
    assert_eq!(holder.to_string(), format!("192.0.2.7 80 5 {HASH}"));
    let unknown = HolderItem::parse("192.0.2.7 80 5 -").expect("a holder");
    assert_eq!(unknown.hash, MaybeHash(None));
    for line in [
        "",
        "192.0.2.7 80",
        "192.0.2.7 80 5",
        "192.0.2.7 80 -1 -",
        "192.0.2.7 80 5 x",
        "* 80 5 -",
        "0.0.0.0 80 5 -",
    ] {
        assert!(HolderItem::parse(line).is_err(), "{line}");
    }
}

#[test]
fn a_stat_has_a_size_a_hash_a_time_that_may_be_before_1970_and_a_mode() {
    fn stat(line: &str) -> Result<Reply<'_>, ParseError> {
        Reply::parse(line.as_bytes())
    }
    let (size, mtime) = (17, -1);
    let hash = MaybeHash(None);
    let expected = |is_executable| {
        Ok(Reply::Stat(FileStat {
            size,
            hash,
            mtime,
            is_executable,
            parts: None,
        }))
    };
    // A node of an earlier version sends no mode.
    assert_eq!(stat("STAT 17 - -1"), expected(false));
    assert_eq!(stat("STAT 17 - -1 -"), expected(false));
    assert_eq!(stat("STAT  17\t-  -1 x later fields"), expected(true));
    assert_eq!(stat("STAT 17 - -1 later x"), expected(false));
    for line in [
        "STAT",
        "STAT 17 -",
        "STAT -1 - 0",
        "STAT 17 x 0",
        "STAT 17 - +1",
        "STAT 17 - --1",
        "STAT 17 - -",
        "STAT 17 - 9223372036854775808",
    ] {
        assert!(stat(line).is_err(), "{line}");
    }
}

#[test]
fn a_list_of_statistics_or_help_has_two_columns() {
    for line in ["", "names", "names x", "names -1"] {
        assert!(StatsItem::parse(line).is_err(), "{line}");
    }
    for line in ["", "PING", "PING answers PONG"] {
        assert!(HelpItem::parse(line).is_err(), "{line}");
    }
    // The columns are separated by two blanks only if every form fits into the first.
    assert!(
        Verb::ALL
            .iter()
            .all(|verb| verb.usage().len() <= HelpItem::USAGE_WIDTH)
    );
}
