//! The first lines of a response. Most responses within a second have the same ones, so the last
//! ones are kept: to write them anew would take most of the time of a small response.

use std::cell::RefCell;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

use crate::session::http::context::HttpContext;
use crate::session::http::status::Status;

thread_local! {
    static LAST: RefCell<(Option<ResponseStart>, Vec<u8>)> = const { RefCell::new((None, Vec::new())) };
}

/// All that the lines depend on.
struct ResponseStart {
    status: Status,
    /// The second that the date names.
    second: Range<SystemTime>,
    keeps_alive: bool,
    is_http_10: bool,
    cors: Option<Arc<str>>,
}

/// Appends the status line and the headers that every response has.
pub(super) fn append_start(text: &mut Vec<u8>, context: &HttpContext, status: Status) {
    LAST.with_borrow_mut(|(last, lines)| {
        if !last.as_ref().is_some_and(|last| last.fits(context, status)) {
            let start = ResponseStart::new(context, status);
            lines.clear();
            // Writing to a vector does not fail.
            let _ = start.write_to(lines);
            *last = Some(start);
        }
        text.extend_from_slice(lines);
    });
}

impl ResponseStart {
    fn new(context: &HttpContext, status: Status) -> Self {
        let since = context.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = UNIX_EPOCH + Duration::from_secs(since.as_secs());
        Self {
            status,
            second: second..second + Duration::from_secs(1),
            keeps_alive: context.keeps_alive,
            is_http_10: context.is_http_10,
            cors: context.cors.clone(),
        }
    }

    /// Whether a response in this context has the same lines.
    fn fits(&self, context: &HttpContext, status: Status) -> bool {
        self.status == status
            && self.keeps_alive == context.keeps_alive
            && self.is_http_10 == context.is_http_10
            && self.second.contains(&context.time)
            && self.cors == context.cors
    }

    fn write_to(&self, lines: &mut Vec<u8>) -> std::io::Result<()> {
        let (code, phrase) = (self.status.code(), self.status.phrase());
        let date = HttpDate::from(self.second.start);
        write!(lines, "HTTP/1.1 {code} {phrase}\r\nDate: {date}\r\n")?;
        match (self.keeps_alive, self.is_http_10) {
            (true, true) => lines.extend_from_slice(b"Connection: keep-alive\r\n"),
            (true, false) => {}
            (false, _) => lines.extend_from_slice(b"Connection: close\r\n"),
        }
        // Other pages must neither embed, read nor misinterpret what is sent.
        lines.extend_from_slice(
            b"X-Content-Type-Options: nosniff\r\n\
              Referrer-Policy: no-referrer\r\n",
        );
        match &self.cors {
            Some(origin) => write!(
                lines,
                "Access-Control-Allow-Origin: {origin}\r\n\
                 Cross-Origin-Resource-Policy: cross-origin\r\n"
            ),
            None => write!(lines, "Cross-Origin-Resource-Policy: same-origin\r\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_does_not_begin_as_another_one() {
        let start = |millis, keeps_alive, status| {
            let time = UNIX_EPOCH + Duration::from_millis(millis);
            let mut context = HttpContext::failed(time);
            context.keeps_alive = keeps_alive;
            let mut text = Vec::new();
            append_start(&mut text, &context, status);
            String::from_utf8(text).expect("text")
        };
        let first = start(784_111_777_000, true, Status::OK);
        let expected = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-";
        assert!(first.starts_with(expected), "{first}");
        assert_eq!(start(784_111_777_999, true, Status::OK), first);
        let later = start(784_111_778_000, true, Status::OK);
        assert_eq!(later, first.replace(":37 GMT", ":38 GMT"));
        let closing = start(784_111_778_000, false, Status::OK);
        assert!(closing.contains("\r\nConnection: close\r\n"), "{closing}");
        let not_found = start(784_111_778_000, false, Status::NOT_FOUND);
        assert_eq!(not_found, closing.replace("200 OK", "404 Not Found"));
        assert_eq!(start(784_111_777_000, true, Status::OK), first);
    }
}
