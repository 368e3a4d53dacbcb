//! Responses in HTTP, read strictly.

use std::net::SocketAddr;

use crate::support::Nc;

/// A response, as it was received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpResponse {
    pub status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub content: Vec<u8>,
}

impl HttpResponse {
    /// Reads the next response. One to `HEAD` has no content.
    pub fn read(nc: &mut Nc, is_head: bool) -> Self {
        let mut response = Self::read_head(nc);
        let length = response.header("content-length");
        let length = length.map(|length| length.parse().expect("a length"));
        if is_head || response.status == 304 {
            return response;
        }
        response.content = match (response.header("transfer-encoding"), length) {
            (Some("chunked"), None) => read_chunks(nc),
            (None, Some(length)) => nc.bytes(length),
            form => panic!("no length, or two: {form:?}"),
        };
        response
    }

    /// Reads the head of the next response.
    pub fn read_head(nc: &mut Nc) -> Self {
        let status_line = crlf_line(nc);
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.split_once(' ')?.0.parse().ok())
            .unwrap_or_else(|| panic!("no status line: {status_line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = crlf_line(nc);
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").expect("a header");
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Self {
            status,
            headers,
            content: Vec::new(),
        }
    }

    /// All values of a header.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.headers.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.as_str())
    }

    /// The only value of a header, if there is one.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers(name);
        let value = values.next();
        assert!(values.next().is_none(), "two headers {name}");
        value
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.content).expect("it is UTF-8")
    }

    /// Whether the server keeps the connection open, as it says.
    pub fn keeps_alive(&self) -> bool {
        self.header("connection") != Some("close")
    }
}

/// Sends one request with these further headers, each with its line ending.
pub fn http(address: SocketAddr, method: &str, target: &str, headers: &str) -> HttpResponse {
    let mut nc = Nc::connect(address);
    nc.send(format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"
    ));
    nc.half_close();
    let response = HttpResponse::read(&mut nc, method == "HEAD");
    assert_eq!(nc.rest(), b"", "nothing follows the response");
    response
}

/// Reads a content that is sent in chunks.
pub fn read_chunks(nc: &mut Nc) -> Vec<u8> {
    let mut content = Vec::new();
    loop {
        let length = usize::from_str_radix(&crlf_line(nc), 16).expect("a length");
        content.extend(nc.bytes(length));
        assert_eq!(crlf_line(nc), "");
        if length == 0 {
            return content;
        }
    }
}

fn crlf_line(nc: &mut Nc) -> String {
    let mut line = nc.line();
    assert_eq!(line.pop(), Some('\r'), "lines end with CR and LF: {line:?}");
    assert!(!line.contains('\r'), "{line:?}");
    line
}
