//! Strategies for valid values of the protocol.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use peerline::protocol::{
    Banner, ClaimedIp, ContentHash, Count, Delivery, ErrorCode, FileItem, FileName, FileParts,
    FileStat, HolderItem, MaybeHash, NodeAddress, NodeItem, Port, Proof, Prover, Registered, Reply,
    Request, ServerKind, Sha256Digest, SharedSecret, Text,
};
use peerline::tls::KeyId;
use proptest::prelude::*;

/// File names with blanks inside, of several parts, in any script.
pub fn names() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-zA-Z0-9._ -]{1,12}",
        "[äöüßéñ日本語łж𝄞🙂\u{a0}]{1,6}",
        "\\PC{1,8}",
    ];
    prop::collection::vec(part, 1..4)
        .prop_map(|parts| parts.join("/"))
        .prop_filter("a valid name", |name| FileName::parse(name).is_ok())
}

/// Addresses of hosts, among them IPv4 inside IPv6.
pub fn ips() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).into()),
        any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).to_ipv6_mapped().into()),
        // Many zeros: several ways to shorten the text form.
        (any::<u16>(), 0_u32..8, any::<u16>())
            .prop_map(|(a, at, b)| Ipv6Addr::from((u128::from(a) << (16 * at)) | u128::from(b)))
            .prop_map(IpAddr::from),
    ]
    .prop_filter("a host", |ip| NodeAddress::new(*ip, Port::MIN).is_ok())
}

pub fn ports() -> impl Strategy<Value = Port> {
    (1..=u16::MAX).prop_map(|port| Port::new(port).expect("not zero"))
}

pub fn addresses() -> impl Strategy<Value = NodeAddress> {
    (ips(), ports()).prop_map(|(ip, port)| NodeAddress::new(ip, port).expect("a host"))
}

fn claims() -> impl Strategy<Value = ClaimedIp> {
    prop_oneof![
        Just(ClaimedIp::Source),
        addresses().prop_map(|address| ClaimedIp::Address(address.ip())),
    ]
}

pub fn requests() -> impl Strategy<Value = Request<'static>> {
    prop_oneof![
        Just(Request::Banner),
        Just(Request::Listen),
        Just(Request::Who),
        Just(Request::Search("")),
        prop::sample::select(vec!["ö", "a b", "- 1", "\u{202e}", "..", "ΣΑΣ\t/"])
            .prop_map(Request::Search),
        Just(Request::List),
        Just(Request::More),
        Just(Request::Ping),
        Just(Request::Stats),
        Just(Request::Connections),
        Just(Request::Help),
        Just(Request::Quit),
        (claims(), ports()).prop_map(|(ip, port)| Request::Register(ip, port)),
        (claims(), ports()).prop_map(|(ip, port)| Request::Unregister(ip, port)),
        names().prop_map(|name| Request::Get(file_name(&name))),
        names().prop_map(|name| Request::Stat(file_name(&name))),
        names().prop_map(|name| Request::Digest(file_name(&name))),
        names().prop_map(|name| Request::Pieces(file_name(&name))),
        (any::<u64>(), any::<u64>(), hashes(), names()).prop_map(|(offset, length, hash, name)| {
            Request::Range {
                offset,
                length,
                hash,
                name: file_name(&name),
            }
        }),
        names().prop_map(|name| Request::Find(file_name(&name))),
        names().prop_map(|name| Request::Unshare(file_name(&name))),
        (content_hashes(), any::<[u8; 32]>(), names()).prop_map(|(hash, digest, name)| {
            Request::ShareDigest(hash, Sha256Digest(digest), file_name(&name))
        }),
        (any::<u64>(), hashes(), names()).prop_map(|(size, hash, name)| Request::Share(
            size,
            hash,
            file_name(&name)
        )),
        (addresses(), messages()).prop_map(|(to, text)| Request::Send(to, text)),
        prop::sample::select(vec!["x", "correct  horse", "ä ö"]).prop_map(Request::Auth),
        any::<[u8; 32]>().prop_map(|exporter| Request::Prove(proof(&exporter))),
    ]
}

fn proof(exporter: &[u8; 32]) -> Proof {
    let secret = SharedSecret::new("correct horse battery").expect("a secret");
    secret.proof(Prover::Client, exporter)
}

fn file_name(text: &str) -> FileName<'static> {
    let name = FileName::parse(text).expect("valid names only");
    name.into_owned()
}

pub fn content_hashes() -> impl Strategy<Value = ContentHash> {
    any::<[u8; 32]>().prop_map(ContentHash)
}

pub fn hashes() -> impl Strategy<Value = MaybeHash> {
    prop::option::of(content_hashes()).prop_map(MaybeHash)
}

/// Messages as they arrive, without blanks at their ends.
pub fn messages() -> impl Strategy<Value = Text<'static>> {
    "\\PC{1,40}"
        .prop_map(|text| text.trim_matches([' ', '\t']).to_owned())
        .prop_filter("a valid message", |text| Text::parse(text).is_ok())
        .prop_map(|text| Text::parse(&text).expect("just tried").into_owned())
}

pub fn deliveries() -> impl Strategy<Value = Delivery<'static>> {
    (addresses(), messages()).prop_map(|(from, text)| Delivery { from, text })
}

pub fn ids() -> impl Strategy<Value = Option<KeyId>> {
    prop::option::of(any::<[u8; 8]>().prop_map(|key| KeyId::of(&key)))
}

pub fn nodes() -> impl Strategy<Value = NodeItem> {
    (addresses(), ids()).prop_map(|(address, id)| NodeItem { address, id })
}

pub fn holders() -> impl Strategy<Value = HolderItem> {
    (addresses(), any::<u64>(), hashes(), ids()).prop_map(|(node, size, hash, id)| HolderItem {
        node,
        size,
        hash,
        id,
    })
}

/// Texts for people, as after `OK` or an error code.
fn texts() -> impl Strategy<Value = String> {
    "\\PC{0,40}".prop_map(|text| text.trim_matches([' ', '\t']).to_owned())
}

fn counts() -> impl Strategy<Value = Count> {
    any::<(u64, u64)>().prop_map(|(shown, total)| Count::truncated(shown, total))
}

fn stats() -> impl Strategy<Value = FileStat> {
    let parts = prop::collection::vec(any::<(u64, u64)>(), 0..4).prop_map(|numbers| {
        let mut ends: Vec<u64> = numbers.into_iter().flat_map(|(a, b)| [a, b]).collect();
        ends.sort_unstable();
        FileParts::new(ends.chunks(2).map(|pair| pair[0]..pair[1]))
    });
    let parts = prop::option::of(parts);
    (any::<u64>(), hashes(), any::<i64>(), any::<bool>(), parts).prop_map(
        |(size, hash, mtime, is_executable, parts)| FileStat {
            size,
            hash,
            mtime,
            is_executable,
            parts,
        },
    )
}

pub fn banners() -> impl Strategy<Value = Banner> {
    prop_oneof![
        Just(Banner::Locked(ServerKind::Relay)),
        Just(Banner::Locked(ServerKind::Node)),
        (any::<u64>(), any::<u64>(), ids()).prop_map(|(nodes, files, id)| Banner::Relay {
            nodes,
            files,
            id
        }),
        (any::<u64>(), ids()).prop_map(|(files, id)| Banner::Node { files, id }),
        (0..3_u64, 0..3_u64, ids()).prop_map(|(nodes, files, id)| Banner::Relay {
            nodes,
            files,
            id
        }),
    ]
}

pub fn replies() -> impl Strategy<Value = Reply<'static>> {
    prop_oneof![
        texts().prop_map(|text| Reply::Ok(text.into())),
        Just(Reply::Pong),
        Just(Reply::NotFound),
        counts().prop_map(Reply::Nodes),
        counts().prop_map(Reply::Holders),
        any::<u64>().prop_map(Reply::Found),
        stats().prop_map(Reply::Stat),
        any::<(u64, u64)>().prop_map(|(shown, total)| Reply::Files { shown, total }),
        (any::<u64>(), any::<u64>(), content_hashes()).prop_map(|(count, piece_size, hash)| {
            Reply::Pieces {
                count,
                piece_size,
                hash,
            }
        }),
        any::<u64>().prop_map(Reply::Stats),
        counts().prop_map(Reply::Connections),
        any::<[u8; 32]>().prop_map(|digest| Reply::Digest(Sha256Digest(digest))),
        any::<u64>().prop_map(Reply::Help),
        (any::<u16>(), texts()).prop_map(|(code, text)| Reply::Error(ErrorCode(code), text.into())),
        "[a-zA-Z0-9]{1,8}".prop_map(|tag| Reply::Tag(tag.parse().expect("a tag"))),
        "[a-zA-Z0-9]{1,16}".prop_map(|word| Reply::Cookie(word.parse().expect("a cookie"))),
    ]
}

pub fn registrations() -> impl Strategy<Value = Registered> {
    let fields = (
        any::<u64>(),
        addresses(),
        any::<u64>(),
        any::<Option<u64>>(),
    );
    fields.prop_map(|(seconds, address, files, epoch)| Registered {
        lease: Duration::from_secs(seconds),
        address,
        files,
        epoch,
    })
}

/// The fields of a [`FileItem`], for [`item`].
pub fn items() -> impl Strategy<Value = (u64, MaybeHash, u64, String)> {
    (any::<u64>(), hashes(), any::<u64>(), names())
}

/// Makes the item of these fields.
pub fn item((size, hash, holders, name): &(u64, MaybeHash, u64, String)) -> FileItem<'_> {
    FileItem {
        size: *size,
        hash: *hash,
        holders: *holders,
        name: FileName::parse(name).expect("valid names only"),
    }
}

/// Nearly valid lines: the words of the protocol in any order, with characters that
/// look like blanks and numbers at the limits.
pub fn near_misses() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        prop::sample::select(vec![
            "REGISTER",
            "unregister",
            "LIST",
            "SHARE",
            "range",
            "PIECES",
            "unshare",
            "FIND",
            "search",
            "LISTEN",
            "WHO",
            "SEND",
            "FROM",
            "HOLDERS",
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF",
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
            "MORE",
            "get",
            "PING",
            "STATS",
            "HELP",
            "CONNECTIONS",
            "DIGEST",
            "auth",
            "PROVE",
            "QUIT",
            "OK",
            "NODES",
            "FOUND",
            "FILES",
            "ERROR",
            "400",
            "*",
            "0",
            "1",
            "65535",
            "65536",
            "-1",
            "+1",
            "18446744073709551615",
            "18446744073709551616",
            "127.0.0.1",
            "::1",
            "::ffff:1.2.3.4",
            "fe80::1%eth0",
            "[::1]",
            "-",
            "..",
            ".",
            "/",
            "a/b",
            "\\",
            "\u{202e}",
            "\u{a0}",
            "\u{85}",
            "Host:",
            "POST",
            "HTTP/1.1",
            "\u{16}",
            "é",
            "",
        ])
        .prop_map(|word: &str| word.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
        "\\PC{0,6}".prop_map(String::into_bytes),
    ];
    let blank = prop::sample::select(vec![" ", "\t", "  ", "", "\u{a0}", "\r", "\0"]);
    prop::collection::vec((blank, word), 0..6).prop_map(|parts| {
        let parts = parts.into_iter();
        parts
            .flat_map(|(blank, word)| [blank.as_bytes(), &word].concat())
            .collect()
    })
}
