//! Requests over UDP, typed as with `nc -u`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use peerline::protocol::{MAX_AMPLIFICATION, MAX_DATAGRAM, Verb};
use rustix::process::Signal;

use crate::datagrams::Datagrams;
use crate::netcat::there_is_no_nc;
use crate::support::{Nc, Server, ask, relay, run};

/// What changes when a request is carried out.
fn state(relay: &Server) -> String {
    ask(relay.address(), b"LIST\nSEARCH\n")
}

/// Each verb with fields that make it complete.
fn complete(verb: Verb) -> &'static str {
    match verb {
        Verb::Register => "REGISTER * 40001",
        Verb::Unregister => "UNREGISTER * 9",
        Verb::List => "LIST",
        Verb::Share => "SHARE 1 - new",
        Verb::Unshare => "UNSHARE file",
        Verb::Find => "FIND file",
        Verb::Search => "SEARCH f",
        Verb::More => "MORE",
        Verb::Get => "GET file",
        Verb::Stat => "STAT file",
        Verb::Listen => "LISTEN",
        Verb::Send => "SEND 127.0.0.1 9 hello",
        Verb::Ping => "PING",
        Verb::Stats => "STATS",
        Verb::Help => "HELP",
        Verb::Quit => "QUIT",
    }
}

#[test]
fn every_verb_that_udp_knows_is_carried_out() {
    let relay = relay(&[]);
    let mut nc = Datagrams::to(relay.address());
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
        assert_eq!(nc.ask_with_cookie(lines), answers, "{lines:?}");
    }
    assert_eq!(relay.stat("datagrams"), 10);
    assert_eq!(relay.stat("cookies_wrong"), 0);
}

#[test]
fn the_real_nc_gets_a_cookie_and_is_served() {
    if there_is_no_nc() {
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
    // What is pasted goes out in one datagram.
    let pasted = format!("COOKIE {cookie} REGISTER * 9\nLIST\n");
    input.write_all(pasted.as_bytes()).expect("nc reads");
    assert_eq!(line(), "OK 60 127.0.0.1 9 0\n");
    assert_eq!(line(), "NODES 1\n");
    assert_eq!(line(), "127.0.0.1 9\n");
    nc.kill().expect("it runs");
    nc.wait().expect("it can be waited for");
}

#[test]
fn without_a_valid_cookie_nothing_changes_and_no_answer_is_longer_than_three_times_its_request() {
    let relay = relay(&[]);
    let shared = ask(relay.address(), b"REGISTER * 9\nSHARE 5 - file\n");
    assert_eq!(shared, "OK 60 127.0.0.1 9 0\nOK\n");
    let before = state(&relay);
    let mut requests: Vec<Vec<u8>> = Vec::new();
    for line in Verb::ALL
        .iter()
        .flat_map(|verb| [verb.word(), complete(*verb)])
    {
        for stamp in [
            "",
            "COOKIE ",
            "COOKIE - ",
            "COOKIE -.t ",
            "COOKIE a ",
            "COOKIE aaaaaaa.tag45678 ",
        ] {
            for end in ["", "\n", "\r\n"] {
                requests.push(format!("{stamp}{line}{end}").into_bytes());
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
    let mut nc = Datagrams::to(relay.address());
    let mut answered = 0;
    for request in requests {
        nc.send(&request);
        let answers = nc.until_now();
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
    assert!(answered > 500, "only {answered} were answered");
    assert_eq!(state(&relay), before);
}

#[test]
fn what_is_too_short_for_a_cookie_or_none_of_ours_gets_no_answer() {
    let relay = relay(&[]);
    let mut nc = Datagrams::to(relay.address());
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
        assert_eq!(nc.until_now(), Vec::<String>::new(), "{silent:?}");
    }
    // The shortest that one can type.
    let cookie = nc.ask("PING\n");
    assert!(
        cookie.starts_with("COOKIE ") && cookie.len() == 15,
        "{cookie:?}"
    );
}

#[test]
fn a_cookie_is_good_for_one_address_and_port() {
    let relay = relay(&[]);
    let mut mine = Datagrams::to(relay.address());
    mine.ask("PING\n");
    let forged = format!("COOKIE {} REGISTER * 9\n", mine.cookie());
    let elsewhere = "127.0.0.2".parse().expect("an address");
    let mut others = [
        Datagrams::to(relay.address()),
        Datagrams::from(elsewhere, relay.address()),
    ];
    for other in &mut others {
        assert!(other.ask(&forged).starts_with("COOKIE "));
        assert_ne!(other.cookie(), mine.cookie());
    }
    assert_eq!(ask(relay.address(), b"LIST\n"), "NODES 0\n");
    assert_eq!(relay.stat("cookies_wrong"), 2);
    assert_eq!(mine.ask(&forged), "OK 60 127.0.0.1 9 0\n");
}

#[test]
fn lines_that_do_not_fit_are_not_carried_out() {
    let relay = relay(&[]);
    let mut nc = Datagrams::to(relay.address());
    let lines: String = (1..=100)
        .map(|port| format!("REGISTER * {port}\n"))
        .collect();
    let answer = nc.ask_with_cookie(&lines);
    assert!(answer.len() <= MAX_DATAGRAM, "{}", answer.len());
    let done = answer.lines().count();
    assert!((20..100).contains(&done), "{answer}");
    assert!(
        answer.lines().all(|line| line.starts_with("OK 60 ")),
        "{answer}"
    );
    let list = ask(relay.address(), b"LIST\n");
    assert_eq!(list.lines().count(), 1 + done, "{list}");
    // The rest, as a program would.
    let mut left: Vec<&str> = lines.lines().skip(done).collect();
    while !left.is_empty() {
        let answer = nc.ask_with_cookie(&left.join("\n"));
        left.drain(..answer.lines().count());
    }
    let list = ask(relay.address(), b"LIST\n");
    assert!(list.starts_with("NODES 100\n"), "{list}");
}

#[test]
fn a_list_that_does_not_fit_is_cut_and_tells_its_total() {
    let relay = relay(&[]);
    let hash = "a".repeat(64);
    let both = |port: u32| format!("REGISTER * {port}\nSHARE 5 {hash} file\n");
    let setting: String = (1..=40).map(both).collect();
    ask(relay.address(), setting.as_bytes());
    let other: String = (41..=201)
        .map(|port| format!("REGISTER * {port}\n"))
        .collect();
    ask(relay.address(), other.as_bytes());
    let mut nc = Datagrams::to(relay.address());
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
        // Behind another answer it waits for a datagram of its own.
        assert_eq!(
            nc.ask_with_cookie(&format!("PING\n{request}\nPING\n")),
            "PONG\n"
        );
    }
}

#[test]
fn a_long_line_ends_the_datagram() {
    let relay = relay(&["--max-line", "64"]);
    let mut nc = Datagrams::to(relay.address());
    let answer = nc.ask_with_cookie(&format!("PING\n{:63}\n{:64}\nPING\n", "PING", "PING"));
    assert_eq!(answer, "PONG\nPONG\nERROR 431 line too long\n");
    let answer = nc.ask_with_cookie(&"what?\n".repeat(30));
    assert_eq!(answer.lines().count(), 10, "{answer}");
}

#[test]
fn a_flood_of_wrong_cookies_is_dropped_and_others_are_served() {
    let relay = relay(&["--wrong-cookies", "1"]);
    let mut nc = Datagrams::to(relay.address());
    let mut answers = 0;
    for _ in 0..1000 {
        nc.send("COOKIE aaaaaaa PING\n");
        answers += nc.until_now().len();
    }
    assert!(
        (1..500).contains(&answers),
        "{answers} of 1000 were answered"
    );
    assert_eq!(nc.ask_with_cookie("PING\n"), "PONG\n");
    assert_eq!(relay.stat("cookies_wrong"), 1000);
}

#[test]
fn whoever_connects_need_not_wait_until_a_burst_of_full_datagrams_is_over() {
    let relay = relay(&[]);
    let mut nc = Datagrams::to(relay.address());
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
    assert!(!relay.greeting.contains("UDP"), "{}", relay.greeting);
    let nc = Datagrams::to(relay.address());
    assert!(nc.is_refused("PING\n"));
    assert_eq!(relay.stat("datagrams"), 0);
}

#[test]
fn each_address_answers_from_itself() {
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
        // A connected socket hears nobody else.
        let mut nc = Datagrams::to((ip, port).into());
        assert_eq!(nc.ask_with_cookie("PING\n"), "PONG\n");
    }
}

#[test]
fn a_port_that_is_taken_for_udp_is_told() {
    // Of an address that no other test listens on.
    let taken = std::net::UdpSocket::bind("127.0.0.78:0").expect("a port");
    let port = taken.local_addr().expect("it is bound").port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-server"));
    command
        .arg(port.to_string())
        .args(["--listen", "127.0.0.78"]);
    let done = run(command, b"").expect_code(7);
    assert!(done.stderr.contains("over UDP "), "{}", done.stderr);
    assert!(done.stderr.contains("--no-udp"), "{}", done.stderr);
}
