//! The inputs from which mutations start: the transcripts of `protocol.md`.

use crate::targets::{EventKind, TlsStep};

const SPECIFICATION: &str = include_str!("../../protocol.md");

/// Stands for any text in a transcript.
const WILDCARD: char = '…';

/// One line of a transcript.
struct Line<'a> {
    /// The number of the client, from 0.
    client: u8,
    is_request: bool,
    text: &'a str,
}

/// The transcripts: the kind of server, and the lines.
fn transcripts() -> Vec<(&'static str, Vec<Line<'static>>)> {
    let mut transcripts = Vec::new();
    let mut lines = SPECIFICATION.lines();
    while let Some(line) = lines.next() {
        if let Some(server) = line.strip_prefix("```") {
            let lines = lines.by_ref().take_while(|line| *line != "```");
            transcripts.push((server, lines.map(parse).collect()));
        }
    }
    assert!(
        transcripts.len() > 20,
        "the specification has its transcripts"
    );
    transcripts
}

fn parse(line: &str) -> Line<'_> {
    let (client, line) = match line.strip_prefix('2') {
        Some(rest) if rest.starts_with(['>', '<']) => (1, rest),
        _ => (0, line),
    };
    let (is_request, text) = match (line.strip_prefix('>'), line.strip_prefix("< ")) {
        (Some(request), _) => (true, request.strip_prefix(' ').unwrap_or(request)),
        (None, reply) => (false, reply.unwrap_or(line)),
    };
    Line {
        client,
        is_request,
        text,
    }
}

/// All lines of requests, or of replies.
pub fn lines(are_requests: bool) -> Vec<Vec<u8>> {
    let transcripts = transcripts().into_iter().flat_map(|(_, lines)| lines);
    let lines = transcripts.filter(|line| line.is_request == are_requests);
    let mut lines: Vec<Vec<u8>> = lines
        .map(|line| filled_in(line.text).into_bytes())
        .collect();
    lines.sort();
    lines.dedup();
    lines
}

/// All words of the transcripts, and globs.
pub fn words() -> Vec<Vec<u8>> {
    let lines = [lines(true), lines(false)].concat();
    let words = lines
        .iter()
        .flat_map(|line| line.split(|byte| *byte == b' '));
    let mut words: Vec<Vec<u8>> = words.map(<[u8]>::to_vec).collect();
    let nested = |depth| format!("{}a*{}", "{".repeat(depth), "}".repeat(depth)).into_bytes();
    words.extend([b"**/[a-h]?{l,ll}o.*".to_vec(), nested(8), nested(300)]);
    words.sort();
    words.dedup();
    words
}

/// The requests of each transcript as one datagram.
pub fn datagrams() -> Vec<Vec<u8>> {
    let transcripts = transcripts().into_iter();
    let datagrams = transcripts.map(|(_, lines)| {
        let requests = lines.iter().filter(|line| line.is_request);
        let requests: String = requests.map(|line| format!("{}\n", line.text)).collect();
        requests.into_bytes()
    });
    datagrams.collect()
}

/// The requests of each transcript for such a server, as events.
pub fn requests_to(server: &str) -> Vec<Vec<u8>> {
    let transcripts = transcripts().into_iter();
    let transcripts = transcripts.filter(|(tag, _)| tag.starts_with(server));
    let events = transcripts.map(|(tag, lines)| {
        let mut events = vec![EventKind::Accept as u8, 0, EventKind::Accept as u8, 1];
        for line in lines.iter().filter(|line| line.is_request) {
            let kind = match tag {
                "relay-udp" => EventKind::Datagram,
                _ => EventKind::Receive,
            };
            events.extend(with_text(kind, line.client, line.text));
        }
        events.extend([EventKind::EndInput as u8, 0]);
        events
    });
    events.collect()
}

/// The replies of each transcript, as events on a connection that the role has opened.
pub fn replies() -> Vec<Vec<u8>> {
    let transcripts = transcripts().into_iter().enumerate();
    let events = transcripts.map(|(number, (_, lines))| {
        // The task of a client, and the connection to the relay.
        let mut events = vec![number as u8, EventKind::Connected as u8, 0];
        for line in lines.iter().filter(|line| !line.is_request) {
            events.extend(with_text(EventKind::Receive, 0, &filled_in(line.text)));
        }
        events.extend([EventKind::EndInput as u8, 0, EventKind::Advance as u8, 100]);
        events.extend(with_text(EventKind::Message, 0, "get hello.txt"));
        events
    });
    events.collect()
}

/// Streams for the driver: requests in pieces, and the commands of its role.
pub fn streams() -> Vec<Vec<u8>> {
    let lines = [
        "b5\nabcde",
        "l9\n",
        "p3\n",
        "w\n",
        "W\n",
        "q\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET /l9 HTTP/1.1\nHost:a\n\n",
        "GET /w HTTP/1.1\r\na:b\r\n\r\n",
        "\n\r\n",
        "GET /W HTTP/1.0\r\n\r\n",
        "GET http:// HTTP/1.1\n\n",
        "GET /a/path/that/is/long HTTP/1.1\n\n",
        "\u{16}\u{3}",
    ];
    let whole = |line: &&str| [&[7, line.len() as u8], line.as_bytes(), &[0, 1]].concat();
    let in_bytes = |line: &&str| line.bytes().flat_map(|byte| [7, 1, byte]).collect();
    let mut streams: Vec<Vec<u8>> = lines.iter().map(whole).collect();
    // The first line decides the language of all that follows.
    streams.push(streams.concat());
    streams.push(streams[5..12].concat());
    streams.extend(lines.iter().map(in_bytes));
    streams
}

/// Streams of requests in HTTP: the kind of server, and segments.
pub fn requests_in_http() -> Vec<Vec<u8>> {
    let rules = include_str!("../system/http_rules.txt").lines();
    let rules = rules.filter_map(|line| line.splitn(4, " | ").nth(3));
    let rules = rules.map(|rule| {
        rule.replace("{host}", "Host: localhost\r\n")
            .replace("\\r", "\r")
            .replace("\\n", "\n")
    });
    let files = [
        ("hello.txt", ""),
        ("hello.txt", "Range: bytes=-5\r\n"),
        ("hello.txt", "If-None-Match: *\r\n"),
        ("large", "Range: bytes=10-\r\nIf-Range: \"a\"\r\n"),
        (
            "large",
            "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
        ),
        ("api/files?q=hello+%41", "Accept: application/json\r\n"),
        ("", "Connection: close\r\n"),
        ("broken", "Accept: text/html\r\n"),
        ("busy", "Accept-Encoding: gzip, br\r\n"),
        ("?json", ""),
        ("?q=el", ""),
        ("?tar", ""),
        ("sub/?tar", ""),
        ("sub.tar", ""),
        ("sub?qr", ""),
        ("sub/gr%C3%B6%C3%9Fe.txt", "If-Match: *\r\n"),
        ("api/files?q=*.txt&after=a&limit=1", ""),
        ("api/nodes?after=1&limit=2", ""),
        ("api/holders/hello.txt?size=17&hash=-", ""),
        ("api/stats", ""),
        ("files/hello.txt", ""),
        ("files/sub/gr%C3%B6%C3%9Fe.txt?hash=11111111", ""),
        ("metalink/hello.txt.meta4", ""),
        ("metrics", ""),
    ];
    let files = files
        .map(|(path, headers)| format!("GET /{path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"));
    let streams = rules.chain(files).enumerate();
    let streams = streams.flat_map(|(number, stream)| {
        let segments = stream.as_bytes().chunks(1 + number % 60);
        let segments = segments.map(|segment| [&[segment.len() as u8], segment].concat());
        let segments = segments.collect::<Vec<_>>().concat();
        [0, 1].map(|server| [&[server], segments.as_slice()].concat())
    });
    streams.collect()
}

/// Encrypted connections: whole, in short records and segments, with a stream that blocks, and
/// with somebody who changes, inserts or cuts at some time.
pub fn encrypted() -> Vec<Vec<u8>> {
    use TlsStep::{Cut, Fault, Flip, Insert, Record, Resume, Room, Segment};
    let whole = [[Segment as u8, 255].repeat(6), vec![Record as u8, 40]].concat();
    let short = |length: u8| {
        let hands = [Segment as u8, length].repeat(1200 / (4 * usize::from(length) + 1));
        let records = (1..9).flat_map(|length| [Record as u8, length]);
        let lines = [Segment as u8, length, Resume as u8].repeat(60);
        [hands, records.collect(), lines].concat()
    };
    let blocked = (0..8).flat_map(|call| [Fault as u8, call % 4, call, Segment as u8, 80]);
    let narrow = [Room as u8, 30, Segment as u8, 255].repeat(40);
    let mut plays = vec![Vec::new(), whole.clone(), short(0), short(3), short(40)];
    plays.extend([
        blocked.collect::<Vec<_>>(),
        [whole.clone(), narrow].concat(),
    ]);
    for at in [0, 1, 3, 5, 40, 90] {
        plays.push(vec![Flip as u8, at, 3]);
        plays.push([whole.clone(), vec![Flip as u8, at, 0]].concat());
        plays.push(vec![Insert as u8, at, 0x16]);
        plays.push([whole.clone(), vec![Insert as u8, at, b'q']].concat());
        plays.push([vec![Segment as u8, at], vec![Cut as u8]].concat());
        plays.push([whole.clone(), vec![Segment as u8, at, Cut as u8]].concat());
    }
    let starts = (0..plays.len() as u8).map(|number| vec![number / 2, number / 4]);
    let mut all: Vec<Vec<u8>> = starts
        .zip(plays)
        .map(|pair| [pair.0, pair.1].concat())
        .collect();
    // A part of a line arrives, and then a record that says that it is longer.
    let segments = [Segment as u8, 255].repeat(3);
    let part = [Record as u8, 4, Segment as u8, 10, Flip as u8, 1, 255];
    let rest = [[Segment as u8, 255].repeat(6), vec![Record as u8, 40]].concat();
    let late = vec![Flip as u8, 3, 0];
    all.push([vec![32, 2], segments, part.to_vec(), rest, late].concat());
    all
}

fn with_text(kind: EventKind, connection: u8, text: &str) -> Vec<u8> {
    let mut line = format!("{text}\n").into_bytes();
    line.truncate(255);
    let mut event = match kind {
        EventKind::Message => vec![kind as u8],
        _ => vec![kind as u8, connection],
    };
    event.push(line.len() as u8);
    event.extend(line);
    event
}

fn filled_in(line: &str) -> String {
    line.replace(WILDCARD, "1")
}
