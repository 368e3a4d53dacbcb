//! What the log says about requests: which file, how much of it, how long and why it ended; as
//! lines for people and as JSON.

use std::fs;

use serde_json::Value;

use crate::support::{
    Nc, ask, ask_bytes, folder, large_file, node_with_relay, relay, unlisted_node,
};

/// The lines of a log in JSON.
fn objects(log: &str) -> Vec<Value> {
    let object = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    log.lines().map(object).collect()
}

/// The line with this text.
fn line<'a>(log: &'a str, text: &str) -> &'a str {
    let mut lines = log.lines().filter(|line| line.contains(text));
    let line = lines.next().expect("the line was found");
    assert_eq!(lines.next(), None, "one line with {text}");
    line
}

#[test]
fn the_end_of_a_connection_names_the_file() {
    let share = folder(&[("hello, world.txt", b"hello\n")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let mut nc = Nc::connect(node.address());
    nc.send("PING\nGET hello, world.txt\nQUIT\nGET never\n");
    nc.rest();
    let log = node.log_until(&format!("{}: 3 requests, last QUIT", nc.local()));
    assert!(!log.contains("hello, world.txt"), "no name: {log}");
    ask(node.address(), b"GET hello, world.txt\n");
    let log = node.log_until("world.txt\n");
    let line = line(&log, "1 request, last GET, 21 B in, 14 B out, ");
    assert!(
        line.ends_with(" ms, end of input: hello, world.txt"),
        "{line}"
    );
}

#[test]
fn names_in_the_log_are_escaped() {
    let (node, _relay) = node_with_relay(folder(&[]).path(), &[]);
    let name = "a\u{200b}b";
    for verb in ["STAT", "DIGEST"] {
        let request = format!("{verb} {name}\n");
        assert_eq!(ask(node.address(), request.as_bytes()), "NOTFOUND\n");
        let log = node.log_until(&format!("1 request, last {verb}"));
        let line = line(&log, &format!("last {verb}"));
        assert!(line.ends_with(": a\\u{200b}b"), "{line}");
    }
}

#[test]
fn each_large_file_is_logged_when_its_last_byte_is_sent() {
    let content = vec![7; 200_000];
    let share = folder(&[("a.bin", &content), ("b.bin", &content)]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    // In one packet: three transfers and three names.
    let requests = b"GET a.bin\nRANGE 50000 100000 - b.bin\nGET b.bin\n";
    assert!(ask_bytes(node.address(), requests).len() > 500_000);
    let log = node.log_until("3 requests, last GET");
    for (start, end) in [
        (": GET, 200000 of 200000 B sent, ", " ms, complete: a.bin"),
        (": RANGE, 100000 of 100000 B sent, ", " ms, complete: b.bin"),
        (": GET, 200000 of 200000 B sent, ", " ms, complete: b.bin"),
    ] {
        let is_line = |line: &&str| line.contains(start) && line.ends_with(end);
        assert_eq!(
            log.lines().filter(is_line).count(),
            1,
            "{start}{end}:\n{log}"
        );
    }
}

#[test]
fn a_file_that_is_sent_over_http_is_logged_alike() {
    let share = large_file(100_000);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let request = b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    assert!(ask_bytes(node.address(), request).len() > 100_000);
    let log = node.log_until("1 request, last GET");
    let sent = line(&log, ": GET, 100000 of 100000 B sent, ");
    assert!(sent.ends_with(" ms, complete: large"), "{sent}");
}

#[test]
fn a_transfer_that_breaks_off_is_logged_with_its_reason() {
    let share = large_file(1 << 30);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let mut nc = Nc::connect(node.address());
    nc.send("GET large\n");
    assert_eq!(nc.line(), "FOUND 1073741824");
    nc.bytes(100_000);
    let peer = nc.local();
    drop(nc);
    let log = node.log_until("1 request, last GET");
    let line = line(&log, &format!("{peer}: GET, "));
    assert!(
        line.contains(" of 1073741824 B sent, ") && !line.contains("GET, 0 of"),
        "{line}"
    );
    assert!(
        line.contains(" ms, connection lost: ") && line.ends_with(": large"),
        "{line}"
    );
}

#[test]
fn log_lines_have_the_time_in_utc_with_milliseconds() {
    let relay = relay(&[]);
    let log = relay.log_until(" [INFO] limits: ");
    let (time, _) = line(&log, "limits: ").split_once(' ').expect("a time");
    let digits: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(digits, "0000-00-00T00:00:00.000Z");
}

#[test]
fn log_format_json_writes_an_object_a_line_with_fields() {
    let (share, folder) = (large_file(100_000), folder(&[]));
    let path = folder.path().join("log");
    let log_file = path.to_str().expect("text");
    let args = ["--log-format", "json", "--log-file", log_file];
    let relay = relay(&[]);
    let mut node = unlisted_node(relay.address(), share.path(), &args);
    let mut nc = Nc::connect(node.address());
    nc.send("GET large\nGET a \"quoted\" \u{200b}name\n");
    nc.half_close();
    assert!(nc.rest().len() > 100_000);
    let peer = nc.local().to_string();
    assert_eq!(node.stop(), Some(0));
    let log = fs::read_to_string(path).expect("a log");
    let objects = objects(&log);
    let of_peer: Vec<_> = objects.iter().filter(|o| o["peer"] == peer).collect();
    let [sent, end] = of_peer[..] else {
        panic!("two lines of {peer}: {log}");
    };
    assert_eq!(
        (
            &sent["verb"],
            &sent["name"],
            &sent["bytes"],
            &sent["reason"]
        ),
        (
            &"GET".into(),
            &"large".into(),
            &100_000.into(),
            &"complete".into()
        )
    );
    assert!(sent["ms"].is_u64() && sent["time"].is_string(), "{sent}");
    assert_eq!(sent["level"], "info");
    assert_eq!(
        (&end["verb"], &end["name"], &end["reason"]),
        (
            &"GET".into(),
            &"a \"quoted\" \u{200b}name".into(),
            &"end of input".into()
        )
    );
    assert_eq!(end["bytes_in"], 33);
    assert!(end["bytes_out"].as_u64() > Some(100_000), "{end}");
}

#[test]
fn dropped_lines_are_counted_in_json() {
    let folder = folder(&[]);
    let path = folder.path().join("log");
    let log_file = path.to_str().expect("text");
    let args = [
        "--log-rate",
        "1",
        "--log-format",
        "json",
        "--log-file",
        log_file,
    ];
    let mut relay = relay(&args);
    for _ in 0..20 {
        Nc::connect(relay.address()).ask("QUIT");
    }
    assert_eq!(relay.stop(), Some(0));
    let log = fs::read_to_string(path).expect("a log");
    let messages = objects(&log)
        .into_iter()
        .map(|object| object["message"].to_string());
    let is_count = |text: &String| text.contains("log lines dropped (rate limit): ");
    assert!(messages.filter(is_count).count() > 0, "{log}");
}
