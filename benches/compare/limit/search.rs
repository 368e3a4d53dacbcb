//! Names in one buffer that is searched from start to end.

use std::io::{self, Write};
use std::str;

use memchr::memmem::Finder;
use memchr::{memchr, memrchr};

use super::line_server;

/// The most lines of a reply.
const MOST: usize = 1000;

/// Answers `REGISTER`, `SHARE` and `SEARCH`, for one node whose names are ASCII and
/// arrive in order.
pub(super) fn run() -> io::Result<()> {
    let (mut names, mut folded) = (b"\n".to_vec(), b"\n".to_vec());
    let mut found = Vec::new();
    line_server::serve(move |line, reply| {
        // A write to a Vec cannot fail.
        let _ = if let Some(text) = line.strip_prefix(b"SEARCH ") {
            found.clear();
            let total = search(&names, &folded, &text.to_ascii_lowercase(), &mut found);
            let _ = writeln!(reply, "FILES {} {total}", total.min(MOST));
            reply.write_all(&found)
        } else if let Some(share) = line.strip_prefix(b"SHARE ") {
            let name = share.splitn(3, |byte| *byte == b' ').nth(2);
            names.extend(name.unwrap_or_default());
            names.push(b'\n');
            folded.extend(name.unwrap_or_default().to_ascii_lowercase());
            folded.push(b'\n');
            writeln!(reply, "OK")
        } else {
            writeln!(reply, "{}", if line == b"PING" { "PONG" } else { "OK" })
        };
    })
}

/// Appends lines for the first names that contain `text`. Returns the number of all
/// that do.
fn search(names: &[u8], folded: &[u8], text: &[u8], lines: &mut Vec<u8>) -> usize {
    let finder = Finder::new(text);
    let (mut total, mut at) = (0, 0);
    while let Some(hit) = finder.find(&folded[at..]) {
        let hit = at + hit;
        let begin = memrchr(b'\n', &folded[..hit]).map_or(0, |newline| newline + 1);
        let end = memchr(b'\n', &folded[hit..]).map_or(folded.len(), |newline| hit + newline);
        if total < MOST {
            let name = str::from_utf8(&names[begin..end]).unwrap_or_default();
            let _ = writeln!(lines, "1024 - 1 {name}");
        }
        total += 1;
        at = end;
    }
    total
}
