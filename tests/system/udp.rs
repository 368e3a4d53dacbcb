//! Requests to the relay over UDP, as with `nc -u`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use peerline::protocol::{MAX_AMPLIFICATION, MAX_DATAGRAM, Verb};
use rustix::process::Signal;

use crate::netcat::nc_is_missing;
use crate::support::{Nc, Server, UdpClient, ask, eventually, relay, run, without_epochs};

/// The state that requests change.
fn list_and_search(relay: &Server) -> String {
    ask(relay.address(), b"LIST\nSEARCH\n")
}

/// A complete request for each verb.
fn example_of(verb: Verb) -> &'static str {
    match verb {
        Verb::Register => "REGISTER * 40001",
        Verb::Unregister => "UNREGISTER * 9",
        Verb::List => "LIST",
        Verb::Share => "SHARE 1 - new",
        Verb::ShareDigest => {
            "SHAREDIGEST af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262 \
             sha-256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 file"
        }
        Verb::Unshare => "UNSHARE file",
        Verb::Find => "FIND file",
        Verb::Search => "SEARCH f",
        Verb::More => "MORE",
        Verb::Get => "GET file",
        Verb::Range => "RANGE 0 1 - file",
        Verb::Pieces => "PIECES file",
        Verb::Stat => "STAT file",
        Verb::Listen => "LISTEN",
        Verb::Who => "WHO",
        Verb::Send => "SEND 127.0.0.1 9 hello",
        Verb::Ping => "PING",
        Verb::Stats => "STATS",
        Verb::Digest => "DIGEST file",
        Verb::Connections => "CONNECTIONS",
        Verb::Help => "HELP",
        Verb::Auth => "AUTH correct horse battery",
        Verb::Prove => "PROVE 0e5b3d7e0523a525c18dcb70b7a4b290f88ed054f0f8c08feea1404be00cd488",
        Verb::Quit => "QUIT",
    }
}

#[test]
fn every_udp_verb_is_executed() {
    let relay = relay(&[]);
    let mut nc = UdpClient::connect(relay.address());
    for (lines, answers) in [
        ("REGISTER * 9\n", "OK 60 127.0.0.1 9 0\n"),
        ("LIST\n", "NODES 1\n127.0.0.1 9\n"),
        ("REGISTER * 9\nSHARE 5 - a b\n", "OK 60 127.0.0.1 9 0\nOK\n"),
        ("FIND a b\n", "HOLDERS 1\n127.0.0.1 9 5 -\n"),
        ("FIND ab\n", "NOTFOUND\n"),
        (
            "register * 9\r\nunshare a b\r\n",
            "OK 60 127.0.0.1 9 1\nOK\n",
        ),
        ("PING", "PONG\n"),
        ("UNREGISTER * 9\n", "OK\n"),
        (
            "UNREGISTER * 9\n",
            "ERROR 404 no node is registered at 127.0.0.1 9\n",
        ),
    ] {
        let replies = nc.ask_with_cookie(lines);
        assert_eq!(without_epochs(&replies), answers, "{lines:?}");
    }
    assert_eq!(relay.stat("datagrams"), 10);
    assert_eq!(relay.stat("cookies_wrong"), 0);
}

#[test]
fn nc_gets_a_cookie_and_is_served() {
    if nc_is_missing() {
        return;
    }
    let relay = relay(&[]);
    let mut nc = Command::new("nc")
        .arg("-u")
        .arg(relay.address().ip().to_string())
        .arg(relay.address().port().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("nc starts");
    let mut input = nc.stdin.take().expect("a pipe");
    let mut output = BufReader::new(nc.stdout.take().expect("a pipe"));
    let mut line = || {
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        line
    };
    input.write_all(b"LIST\n").expect("nc reads");
    let cookie = line();
    let cookie = cookie.strip_prefix("COOKIE ").expect("a cookie").trim();
    // nc sends pasted lines in one datagram.
    let pasted = format!("COOKIE {cookie} REGISTER * 9\nLIST\n");
    input.write_all(pasted.as_bytes()).expect("nc reads");
    assert_eq!(without_epochs(&line()), "OK 60 127.0.0.1 9 0\n");
    assert_eq!(line(), "NODES 1\n");
    assert_eq!(line(), "127.0.0.1 9\n");
    nc.kill().expect("it runs");
    nc.wait().expect("it can be waited for");
}

#[test]
fn without_a_cookie_nothing_changes_and_replies_are_short() {
    let relay = relay(&[]);
    let shared = ask(relay.address(), b"REGISTER * 9\nSHARE 5 - file\n");
    assert_eq!(without_epochs(&shared), "OK 60 127.0.0.1 9 0\nOK\n");
    let before = list_and_search(&relay);
    let mut requests: Vec<Vec<u8>> = Vec::new();
    for line in Verb::ALL
        .iter()
        .flat_map(|verb| [verb.word(), example_of(*verb)])
    {
        for prefix in [
            "",
            "COOKIE ",
            "COOKIE - ",
            "COOKIE -.t ",
            "COOKIE a ",
            "COOKIE aaaaaaa.tag45678 ",
        ] {
            for end in ["", "\n", "\r\n"] {
                requests.push(format!("{prefix}{line}{end}").into_bytes());
            }
        }
    }
    let odd = [
        "",
        "\n",
        "x",
        "COOKIE",
        "COOKIE a.b",
        "COOKIE -.12345678",
        "\0",
        "ä",
        " LIST\n",
    ];
    requests.extend(odd.map(|odd| odd.as_bytes().to_vec()));
    requests.extend([b"LIST\n".repeat(1000), vec![b'x'; 60_000], vec![0xff; 1000]]);
    let mut nc = UdpClient::connect(relay.address());
    let mut answered = 0;
    for request in requests {
        nc.send(&request);
        let answers = nc.drain();
        let bytes: usize = answers.iter().map(String::len).sum();
        let most = MAX_AMPLIFICATION * request.len();
        let shown = String::from_utf8_lossy(&request);
        assert!(answers.len() <= 1 && bytes <= most, "{shown}: {answers:?}");
        for answer in answers {
            answered += 1;
            let last = answer.lines().last().unwrap_or_default();
            assert!(last.starts_with("COOKIE "), "{shown}: {answer:?}");
        }
    }
    assert!(answered > 400, "only {answered} were answered");
    assert_eq!(list_and_search(&relay), before);
}

#[test]
fn short_or_foreign_datagrams_get_no_reply() {
    let relay = relay(&[]);
    let mut nc = UdpClient::connect(relay.address());
    for silent in [
        "",
        "PING",
        "ab\n",
        "\n",
        " LIST\n",
        "1 LIST\n",
        "\u{16}\u{3}\u{1}LIST\n",
    ] {
        nc.send(silent);
        assert_eq!(nc.drain(), Vec::<String>::new(), "{silent:?}");
    }
    // The shortest request.
    let cookie = nc.ask("PING\n");
    assert!(
        cookie.starts_with("COOKIE ") && cookie.len() == 15,
        "{cookie:?}"
    );
}

#[test]
fn a_cookie_is_bound_to_address_and_port() {
    let relay = relay(&[]);
    let mut mine = UdpClient::connect(relay.address());
    mine.ask("PING\n");
    let forged = format!("COOKIE {} REGISTER * 9\n", mine.cookie());
    let elsewhere = "127.0.0.2".parse().expect("an address");
    let mut others = [
        UdpClient::connect(relay.address()),
        UdpClient::connect_from(elsewhere, relay.address()),
    ];
    for other in &mut others {
        assert!(other.ask(&forged).starts_with("COOKIE "));
        assert_ne!(other.cookie(), mine.cookie());
    }
    assert_eq!(ask(relay.address(), b"LIST\n"), "NODES 0\n");
    assert_eq!(relay.stat("cookies_wrong"), 2);
    let registered = mine.ask(&forged);
    assert_eq!(without_epochs(&registered), "OK 60 127.0.0.1 9 0\n");
}

#[test]
fn lines_whose_reply_does_not_fit_are_not_executed() {
    let relay = relay(&[]);
    let mut nc = UdpClient::connect(relay.address());
    let lines: String = (1..=100)
        .map(|port| format!("REGISTER * {port}\n"))
        .collect();
    let answer = nc.ask_with_cookie(&lines);
    assert!(answer.len() <= MAX_DATAGRAM, "{}", answer.len());
    let output = answer.lines().count();
    assert!((20..100).contains(&output), "{answer}");
    assert!(
        answer.lines().all(|line| line.starts_with("OK 60 ")),
        "{answer}"
    );
    let list = ask(relay.address(), b"LIST\n");
    assert_eq!(list.lines().count(), 1 + output, "{list}");
    // The rest is sent again, as a client does.
    let mut left: Vec<&str> = lines.lines().skip(output).collect();
    while !left.is_empty() {
        let answer = nc.ask_with_cookie(&left.join("\n"));
        left.drain(..answer.lines().count());
    }
    let list = ask(relay.address(), b"LIST\n");
    assert!(list.starts_with("NODES 100\n"), "{list}");
}

#[test]
fn a_list_that_does_not_fit_is_truncated_with_its_total() {
    let relay = relay(&[]);
    let hash = "a".repeat(64);
    let both = |port: u32| format!("REGISTER * {port}\nSHARE 5 {hash} file\n");
    let setting: String = (1..=40).map(both).collect();
    ask(relay.address(), setting.as_bytes());
    let other: String = (41..=201)
        .map(|port| format!("REGISTER * {port}\n"))
        .collect();
    ask(relay.address(), other.as_bytes());
    let mut nc = UdpClient::connect(relay.address());
    for (request, word, total) in [("LIST", "NODES", 201), ("FIND file", "HOLDERS", 40)] {
        let answer = nc.ask_with_cookie(&format!("{request}\n"));
        let (head, lines) = answer.split_once('\n').expect("a head");
        let shown = lines.lines().count();
        assert!((12..total).contains(&shown), "{answer}");
        assert_eq!(head, format!("{word} {shown} {total}"));
        assert!(
            (1000..=MAX_DATAGRAM).contains(&answer.len()),
            "{}",
            answer.len()
        );
        let whole = ask(relay.address(), format!("{request}\n").as_bytes());
        assert!(whole.starts_with(&format!("{word} {total}\n")), "{whole}");
        assert!(lines.lines().all(|line| whole.contains(line)), "{answer}");
        // Behind another reply it does not fit: the client sends it again.
        assert_eq!(
            nc.ask_with_cookie(&format!("PING\n{request}\nPING\n")),
            "PONG\n"
        );
    }
}

#[test]
fn a_long_line_ends_the_datagram() {
    let relay = relay(&["--max-line", "64"]);
    let mut nc = UdpClient::connect(relay.address());
    let answer = nc.ask_with_cookie(&format!("PING\n{:63}\n{:64}\nPING\n", "PING", "PING"));
    assert_eq!(answer, "PONG\nPONG\nERROR 431 line too long\n");
    let answer = nc.ask_with_cookie(&format!("PING\n{}", "what?\n".repeat(30)));
    assert_eq!(answer.lines().count(), 11, "{answer}");
}

#[test]
fn a_flood_of_wrong_cookies_is_dropped() {
    let relay = relay(&["--wrong-cookies", "1"]);
    let mut nc = UdpClient::connect(relay.address());
    let mut answers = 0;
    for _ in 0..1000 {
        nc.send("COOKIE aaaaaaa PING\n");
        answers += nc.drain().len();
    }
    assert!(
        (1..500).contains(&answers),
        "{answers} of 1000 were answered"
    );
    assert_eq!(nc.ask_with_cookie("PING\n"), "PONG\n");
    assert_eq!(relay.stat("cookies_wrong"), 1000);
}

/// An echo service in front of a relay: what the relay sends comes back to it. For the
/// relay, this is the same as another relay, or the relay itself, whose address somebody
/// has forged.
#[test]
fn answers_are_never_answered() {
    let (first, second) = (relay(&[]), relay(&[]));
    let mut to_first = UdpClient::connect(first.address());
    let mut to_second = UdpClient::connect(second.address());
    let mut answers = vec![to_first.ask("PING\n"), to_first.ask("COOKIE -.t1 PING\n")];
    for lines in [
        "PING\n",
        "REGISTER * 9\nSHARE 5 - file\n",
        "LIST\n",
        "FIND file\n",
        "FIND other\n",
        "STATS\n",
        "HELP\n",
        "STAT file\n",
    ] {
        answers.push(to_first.ask_with_cookie(lines));
        let tagged = format!("COOKIE {}.t2 {lines}", to_first.cookie());
        answers.push(to_first.ask(tagged));
    }
    for answer in answers {
        for nc in [&mut to_first, &mut to_second] {
            nc.send(&answer);
            assert_eq!(nc.drain(), Vec::<String>::new(), "{answer:?}");
        }
    }
    assert_eq!(second.stat("datagrams_ignored"), 18);
}

#[test]
fn an_address_gets_a_limited_rate_of_answers() {
    // Nobody here is trusted.
    let relay = relay(&["--trust", "192.0.2.1", "--datagram-rate", "5"]);
    let stranger = "127.0.0.2".parse().expect("an address");
    let mut nc = UdpClient::connect_from(stranger, relay.address());
    nc.ask("PING\n");
    let proven = format!("COOKIE {} PING\n", nc.cookie());
    for request in ["PING\n", &proven] {
        let before = relay.stat("datagrams");
        for _ in 0..100 {
            nc.send(request);
        }
        eventually("all are read", || relay.stat("datagrams") == before + 100);
        let answers = nc.received();
        assert!((1..50).contains(&answers), "{request}: {answers}");
    }
    assert!(relay.stat("datagrams_ignored") > 100);
    let mut other = UdpClient::connect(relay.address());
    assert_eq!(other.ask_with_cookie("PING\n"), "PONG\n");
}

#[test]
fn a_long_datagram_counts_as_several() {
    let relay = relay(&["--trust", "192.0.2.1", "--datagram-rate", "20"]);
    let mut nc = UdpClient::connect(relay.address());
    nc.ask("PING\n");
    let long = format!("COOKIE {} {}", nc.cookie(), "PING\n".repeat(1000));
    let before = relay.stat("datagrams");
    for _ in 0..20 {
        nc.send(&long);
    }
    eventually("all are read", || relay.stat("datagrams") == before + 20);
    let answers = nc.received();
    assert!((1..12).contains(&answers), "{answers}");
}

#[test]
fn a_burst_of_datagrams_does_not_delay_connections() {
    let relay = relay(&[]);
    let mut nc = UdpClient::connect(relay.address());
    nc.ask("PING\n");
    let full = format!("COOKIE {} {}", nc.cookie(), "PING\n".repeat(230));
    relay.signal(Signal::STOP);
    for _ in 0..240 {
        nc.send(&full);
    }
    let mut late = Nc::connect(relay.address());
    late.send("STATS\n");
    late.half_close();
    relay.signal(Signal::CONT);
    let stats = late.rest_text();
    let before = stats
        .lines()
        .find_map(|line| line.strip_prefix("datagrams "));
    let before: u32 = before.and_then(|n| n.parse().ok()).expect("a number");
    assert!(before < 150, "{before} were read before");
}

#[test]
fn no_udp_leaves_the_port_closed() {
    let relay = relay(&["--no-udp"]);
    assert!(!relay.first_line.contains("UDP"), "{}", relay.first_line);
    let nc = UdpClient::connect(relay.address());
    assert!(nc.is_refused("PING\n"));
    assert_eq!(relay.stat("datagrams"), 0);
}

#[test]
fn replies_leave_from_the_requested_address() {
    let relay = relay(&[
        "--listen",
        "127.0.0.1",
        "--listen",
        "127.0.0.5",
        "--listen",
        "::1",
    ]);
    let port = relay.address().port();
    for ip in ["127.0.0.1", "127.0.0.5", "::1"] {
        let ip: std::net::IpAddr = ip.parse().expect("an address");
        // A connected socket receives datagrams from this address only.
        let mut nc = UdpClient::connect((ip, port).into());
        assert_eq!(nc.ask_with_cookie("PING\n"), "PONG\n");
    }
}

#[test]
fn a_udp_port_in_use_is_reported() {
    // An address that no other test uses.
    let taken = std::net::UdpSocket::bind("127.0.0.78:0").expect("a port");
    let port = taken.local_addr().expect("it is bound").port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-server"));
    command
        .arg(port.to_string())
        .args(["--listen", "127.0.0.78"]);
    let output = run(command, b"").expect_code(7);
    assert!(output.stderr.contains("over UDP "), "{}", output.stderr);
    assert!(output.stderr.contains("--no-udp"), "{}", output.stderr);
}
