//! What RFC 9110 and RFC 9112 require of requests and responses: the rules of
//! `http_rules.txt`, which are alike for all requests, and those that need more.

use std::io::Write;
use std::net::SocketAddr;

use crate::support::{HttpResponse, Nc, Server, ask, folder, http, node_with_relay, relay};

const RULES: &str = include_str!("http_rules.txt");

/// A request that both servers understand: neither has such a file.
const VALID: &str = "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A line of the table.
struct Rule {
    text: &'static str,
    status: u16,
    keeps_open: bool,
    request: String,
}

fn rules() -> Vec<Rule> {
    let lines = RULES.lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let rules: Vec<_> = lines.map(Rule::parse).collect();
    assert!(rules.len() > 60, "the table is whole");
    rules
}

impl Rule {
    fn parse(line: &'static str) -> Self {
        let [status, _, _, request] = line
            .splitn(4, " | ")
            .collect::<Vec<_>>()
            .try_into()
            .unwrap_or_else(|_| panic!("four columns: {line}"));
        let (status, then) = status.split_once(' ').expect("a status and what follows");
        let keeps_open = match then.trim() {
            "open" => true,
            "closed" => false,
            then => panic!("{then:?} in {line}"),
        };
        let request = request.replace("{host}", r"Host: localhost\r\n");
        let escapes = [
            (r"\r", "\r"),
            (r"\n", "\n"),
            (r"\t", "\t"),
            (r"\0", "\0"),
            (r"\x01", "\u{1}"),
        ];
        let request = escapes
            .into_iter()
            .fold(request, |request, (escape, byte)| {
                request.replace(escape, byte)
            });
        Self {
            text: line,
            status: status.parse().expect("a status"),
            keeps_open,
            request,
        }
    }
}

/// A node without files, and a relay.
fn servers() -> [Server; 2] {
    let (node, relay) = node_with_relay(folder(&[]).path(), &[]);
    [node, relay]
}

/// Sends requests in segments of so many bytes.
fn connect_and_send(address: SocketAddr, requests: &[u8], step: usize) -> Nc {
    let nc = Nc::connect(address);
    for segment in requests.chunks(step) {
        // A server that has refused a request may have closed the connection already.
        if nc.stream().write_all(segment).is_err() {
            break;
        }
    }
    nc
}

#[test]
fn every_rule_of_the_table_is_obeyed() {
    for server in servers() {
        for rule in rules() {
            let requests = [rule.request.as_bytes(), VALID.as_bytes()].concat();
            let answer = |step| {
                let mut nc = connect_and_send(server.address(), &requests, step);
                let response = HttpResponse::read(&mut nc, false);
                let at = format!("{}\n{response:?} from {}", rule.text, server.first_line);
                let seen = (response.status, response.keeps_alive());
                assert_eq!(seen, (rule.status, rule.keeps_open), "{at}");
                if rule.keeps_open {
                    nc.half_close();
                    let second = HttpResponse::read(&mut nc, false);
                    assert_eq!(second.status, 404, "the next request: {at}");
                }
                assert_eq!(nc.rest(), b"", "no more responses than requests: {at}");
                response.content
            };
            let at_once = answer(usize::MAX);
            assert_eq!(answer(1), at_once, "byte by byte: {}", rule.text);
            assert_eq!(answer(7), at_once, "in segments: {}", rule.text);
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let files: Vec<_> = (0..10).map(|i| format!("{i}.txt")).collect();
    let files: Vec<_> = files
        .iter()
        .map(|name| (name.as_str(), name.as_bytes()))
        .collect();
    let share = folder(&files);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let requests: String = files
        .iter()
        .map(|(name, _)| format!("GET /{name} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        .collect();
    let first = requests.find("\r\n\r\n").expect("the first one ends");
    // Also split within each CRLF, in front of the empty line and within it.
    for step in [usize::MAX, 1, first + 1, first + 2, first + 3, 1000] {
        let mut nc = connect_and_send(node.address(), requests.as_bytes(), step);
        nc.half_close();
        for (name, _) in &files {
            let response = HttpResponse::read(&mut nc, false);
            assert_eq!((response.status, response.text()), (200, *name), "{step}");
        }
        assert_eq!(nc.rest(), b"");
    }
}

#[test]
fn empty_lines_before_a_later_request_are_ignored() {
    for server in servers() {
        for (empty, step) in [("\r\n", 300), ("\n\n\r\n", 300), ("\r\n\r\n\r\n", 1)] {
            let requests = [VALID, VALID].join(empty);
            let mut nc = connect_and_send(server.address(), requests.as_bytes(), step);
            nc.half_close();
            for _ in 0..2 {
                assert_eq!(HttpResponse::read(&mut nc, false).status, 404);
            }
            assert_eq!(nc.rest(), b"");
        }
        // Some clients end the last request so.
        let mut nc = connect_and_send(server.address(), format!("{VALID}\r\n").as_bytes(), 1);
        nc.half_close();
        assert_eq!(HttpResponse::read(&mut nc, false).status, 404);
        assert_eq!(nc.rest(), b"");
    }
}

#[test]
fn head_has_the_headers_of_get_and_no_content() {
    let share = folder(&[("a.txt", b"content"), ("large.bin", &[7; 200_000])]);
    let (node, relay) = node_with_relay(share.path(), &[]);
    for (server, path, status) in [
        (&node, "/a.txt", 200),
        (&node, "/large.bin", 200),
        (&node, "/nothing", 404),
        (&relay, "/nothing", 404),
    ] {
        let head = http(server.address(), "HEAD", path, "");
        let get = http(server.address(), "GET", path, "");
        assert_eq!((head.status, get.status), (status, status), "{path}");
        for name in ["content-length", "content-type", "etag", "last-modified"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
        let length = get.content.len().to_string();
        assert_eq!(head.header("content-length"), Some(length.as_str()));
    }
}

#[test]
fn every_response_has_a_date_and_is_safe_to_show() {
    let share = folder(&[("a.txt", b"content")]);
    let (node, relay) = node_with_relay(share.path(), &[]);
    for (server, method, path, headers) in [
        (&node, "GET", "/a.txt", ""),
        (&node, "GET", "/a.txt", "Range: bytes=1-2\r\n"),
        (&node, "GET", "/a.txt", "Range: bytes=100-\r\n"),
        (&node, "GET", "/a.txt", "If-None-Match: *\r\n"),
        (&node, "GET", "/a.txt", "If-Match: \"x\"\r\n"),
        (&node, "GET", "/nothing", ""),
        (&relay, "GET", "/nothing", ""),
        (&relay, "POST", "/", ""),
        (&relay, "GET", "/a\u{1}b", ""),
    ] {
        let response = http(server.address(), method, path, headers);
        let header = |name| {
            let value = response.header(name);
            value.unwrap_or_else(|| panic!("no {name} in {response:?}"))
        };
        let date = httpdate::parse_http_date(header("date")).expect("a date");
        let age = date.elapsed().expect("it is not in the future");
        assert!(age.as_secs() < 60, "{response:?}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(response.header("access-control-allow-origin"), None);
    }
}

#[test]
fn errors_have_three_forms() {
    for server in servers() {
        let error = |accept: &str| http(server.address(), "GET", "/nothing", accept);
        let text = error("");
        assert_eq!(
            text.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        let reason = text.text().strip_prefix("404 ").expect("the status");
        let reason = reason.trim_end();
        assert!(reason.starts_with("no such "), "{reason}");
        let json = error("Accept: application/json\r\n");
        assert_eq!(json.header("content-type"), Some("application/json"));
        let object = format!("{{\"code\":404,\"error\":\"{reason}\"}}\n");
        assert_eq!(json.text(), object);
        let page = error("Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n");
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert!(page.text().starts_with("<!doctype html>"), "{page:?}");
        // As a sentence, in which the name is marked.
        let (_, sentence) = reason.split_once("no such ").expect("checked above");
        let (what, name) = sentence.split_once(": ").expect("the name");
        let sentence = format!("<p>No such {what}: <code>{name}</code></p>");
        assert!(page.text().contains(&sentence), "{}", page.text());
        // A cache must not send one form to a client that wants another.
        for response in [text, json, page] {
            assert_eq!(response.header("cache-control"), Some("no-store"));
        }
        let api = http(server.address(), "GET", "/api/nothing", "");
        assert_eq!(api.header("content-type"), Some("application/json"));
    }
}

#[test]
fn a_method_that_is_not_allowed_is_told_which_are() {
    for server in servers() {
        for method in ["POST", "OPTIONS", "get", "BREW"] {
            let response = http(server.address(), method, "/", "");
            assert_eq!(response.status, 405, "{method}");
            assert_eq!(response.header("allow"), Some("GET, HEAD"), "{method}");
        }
    }
}

#[test]
fn a_first_line_without_a_version_is_no_http() {
    // HTTP/0.9 (RFC 9112, appendix C.1): the line protocol has the same form.
    let relay = relay(&[]);
    let reply = ask(relay.address(), b"GET /\r\n");
    assert!(reply.starts_with("ERROR 400 usage: GET"), "{reply}");
    // A tunnel, and a request for a resource in another scheme.
    for line in [
        "CONNECT localhost:80 HTTP/1.1",
        "GET ftp://localhost/x HTTP/1.1",
    ] {
        let reply = ask(relay.address(), format!("{line}\r\nHost: x\r\n").as_bytes());
        assert!(reply.starts_with("ERROR "), "{line}: {reply}");
    }
}
