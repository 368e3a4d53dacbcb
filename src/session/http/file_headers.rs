//! The headers of a file that do not depend on the request.

use std::fmt::Write;
use std::time::SystemTime;

use httpdate::HttpDate;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::protocol::Sha256Digest;
use crate::session::http::conditions::Representation;

/// What RFC 8187 (3.2.1) leaves as it is in a parameter of a header.
const PARAMETER: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Media types of which a browser would run or render parts with the rights of the server's
/// own pages. They are offered to be saved.
const ACTIVE_TYPES: [&str; 4] = ["html", "xml", "svg", "script"];

/// Headers of a file: its type, its name, and what changes with its content.
#[derive(Debug)]
pub struct FileHeaders {
    /// In bytes.
    size: u64,
    /// The strong entity tags of the content, with their quotes. The first one is sent; a
    /// client may know another one from before.
    tags: Vec<String>,
    /// The time of the last change, in whole seconds; it may be in the future. None if it is
    /// before 1970, which HTTP cannot express.
    modified: Option<SystemTime>,
    /// The lines, each with its end; then the length of all of the file, and the empty line: so
    /// that a whole file needs one copy.
    lines: String,
    /// Where the length begins.
    length_start: usize,
}

impl FileHeaders {
    /// Headers of the file of this name and size, for a response at the time `now`.
    pub(crate) fn new(
        name: &str,
        size: u64,
        tags: Vec<String>,
        modified: Option<SystemTime>,
        now: SystemTime,
        digest: Option<Sha256Digest>,
    ) -> Self {
        let media_type = mime_guess::from_path(name).first_raw();
        let media_type = media_type.unwrap_or("application/octet-stream");
        let charset = match media_type.starts_with("text/") {
            true => "; charset=utf-8",
            false => "",
        };
        let mut lines = format!("Content-Type: {media_type}{charset}\r\n");
        // Writing to a string does not fail.
        if is_active(media_type) || !is_in_address(name) {
            let disposition = disposition(name, media_type);
            let _ = write!(lines, "Content-Disposition: {disposition}\r\n");
        }
        // The file is foreign: it runs no scripts, and has no origin.
        lines.push_str(
            "Content-Security-Policy: sandbox\r\n\
             Accept-Ranges: bytes\r\n\
             Cache-Control: no-cache\r\n",
        );
        if let Some(tag) = tags.first() {
            let _ = write!(lines, "ETag: {tag}\r\n");
        }
        if let Some(modified) = modified {
            // Never later than the response (RFC 9110, 8.8.2.1). The conditions are compared with
            // the time of the file all the same: while that is in the future, a client that sends
            // this date back gets the file again, or 412 if it is in If-Unmodified-Since.
            let date = HttpDate::from(modified.min(now));
            let _ = write!(lines, "Last-Modified: {date}\r\n");
        }
        if let Some(digest) = digest {
            let digest = digest.base64();
            // RFC 9530, 3; RFC 3230, 4.3.2 for older clients.
            let _ = write!(
                lines,
                "Repr-Digest: sha-256=:{digest}:\r\nDigest: sha-256={digest}\r\n"
            );
        }
        let length_start = lines.len();
        let _ = write!(lines, "Content-Length: {size}\r\n\r\n");
        Self {
            size,
            tags,
            modified,
            lines,
            length_start,
        }
    }

    /// In bytes.
    pub(in crate::session) fn size(&self) -> u64 {
        self.size
    }

    /// What the conditions of a request are compared with.
    pub(in crate::session) fn representation(&self) -> Representation<'_> {
        Representation {
            size: self.size,
            modified: self.modified,
            tags: &self.tags,
        }
    }

    /// The lines for all of the file, each with its end, and the empty line behind them.
    pub(in crate::session) fn end_of_head(&self) -> &str {
        &self.lines
    }

    /// The lines without the length of the content, each with its end.
    pub(in crate::session) fn lines(&self) -> &str {
        &self.lines[..self.length_start]
    }
}

/// How a browser treats a file, and under which name it saves the file (RFC 6266).
pub(in crate::session) fn disposition(name: &str, media_type: &str) -> String {
    let kind = match is_active(media_type) {
        true => "attachment",
        false => "inline",
    };
    let name = last_part(name);
    let mut disposition = String::with_capacity(kind.len() + 2 * name.len() + 16);
    disposition.push_str(kind);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " .-_+()".contains(c);
    // Writing to a string does not fail.
    let _ = match name.chars().all(is_plain) {
        true => write!(disposition, "; filename=\"{name}\""),
        false => {
            let name = utf8_percent_encode(name, PARAMETER);
            write!(disposition, "; filename*=UTF-8''{name}")
        }
    };
    disposition
}

fn is_active(media_type: &str) -> bool {
    ACTIVE_TYPES.iter().any(|kind| media_type.contains(kind))
}

/// Whether the address of a file ends with its name as it is, so that a browser saves the file
/// under this name by itself (RFC 6266, 4.3).
fn is_in_address(name: &str) -> bool {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    last_part(name).bytes().all(is_unreserved)
}

/// The name without its folders.
fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::session::http::conditions::{Conditions, SelectedPart};

    #[test]
    fn last_modified_is_not_later_than_the_response() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let headers = |modified| FileHeaders::new("a", 1, Vec::new(), Some(modified), now, None);
        let shown = |modified| {
            let headers = headers(modified);
            let mut lines = headers.lines().lines();
            let date = lines.find_map(|line| line.strip_prefix("Last-Modified: "));
            date.map(str::to_owned).expect("the header")
        };
        let before = now - Duration::from_secs(1);
        assert_eq!(shown(before), HttpDate::from(before).to_string());
        let last = UNIX_EPOCH + Duration::from_secs(i64::MAX.cast_unsigned());
        for future in [now + Duration::from_secs(1), last] {
            let date = shown(future);
            assert_eq!(date, HttpDate::from(now).to_string());
            let select = |conditions: Conditions<'_>| {
                conditions.select(&headers(future).representation(), now)
            };
            // The file may have changed within the second of the response.
            let since = select(Conditions {
                if_modified_since: Some(&date),
                ..Conditions::default()
            });
            let range = select(Conditions {
                range: Some("bytes=0-0"),
                if_range: Some(&date),
                ..Conditions::default()
            });
            assert_eq!([since, range], [SelectedPart::All, SelectedPart::All]);
        }
    }

    #[test]
    fn a_name_is_sent_unless_the_address_tells_it() {
        let disposition = |name| {
            let headers = FileHeaders::new(name, 1, Vec::new(), None, UNIX_EPOCH, None);
            let mut lines = headers.lines().lines();
            let line = lines.find_map(|line| line.strip_prefix("Content-Disposition: "));
            line.map(str::to_owned)
        };
        for name in ["hello.txt", "a b/c_d-1.bin", ".a~"] {
            assert_eq!(disposition(name), None, "{name}");
        }
        for (name, expected) in [
            ("a/b c.txt", "inline; filename=\"b c.txt\""),
            ("a+(1).txt", "inline; filename=\"a+(1).txt\""),
            ("50%.txt", "inline; filename*=UTF-8''50%25.txt"),
            ("ö.txt", "inline; filename*=UTF-8''%C3%B6.txt"),
            ("a.html", "attachment; filename=\"a.html\""),
            ("a/b.svg", "attachment; filename=\"b.svg\""),
        ] {
            assert_eq!(disposition(name).as_deref(), Some(expected), "{name}");
        }
    }
}
