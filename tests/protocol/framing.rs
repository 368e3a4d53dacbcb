//! However a stream of bytes is cut, the same lines and bodies come out of it.

use peerline::session::inbox::{Inbox, Piece};
use proptest::prelude::*;

/// Short, so that arbitrary lines reach it.
const MAX_LINE: usize = 24;

/// What was read: a body's bytes in one, as nobody promises where it is cut.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Read {
    Line(Vec<u8>),
    Body(Vec<u8>),
    TooLong,
}

/// Reads all; a line `FOUND n` announces a body, a line too long ends it all.
/// Returns what was read and what is left of an unfinished line.
fn read(pieces: &[&[u8]]) -> (Vec<Read>, Vec<u8>) {
    let mut inbox = Inbox::default();
    let mut all = Vec::new();
    for piece in pieces {
        let mut unread = inbox.open(piece);
        loop {
            let mut body = 0;
            match unread.next(MAX_LINE) {
                None => break,
                Some(Piece::TooLong) => {
                    all.push(Read::TooLong);
                    return (all, Vec::new());
                }
                Some(Piece::Line(line)) => {
                    let text = String::from_utf8_lossy(line);
                    if let Some(size) = text.strip_prefix("FOUND ") {
                        body = size.parse().unwrap_or(0);
                    }
                    all.push(Read::Line(line.to_vec()));
                }
                Some(Piece::Body(bytes)) => match all.last_mut() {
                    Some(Read::Body(body)) => body.extend_from_slice(bytes),
                    _ => all.push(Read::Body(bytes.to_vec())),
                },
            }
            if body > 0 {
                unread.expect_body(body);
            }
        }
        inbox.keep(unread);
    }
    let rest = inbox.open(&[]);
    (all, rest.unfinished().to_vec())
}

/// The stream in pieces that end at these places.
fn cut<'a>(stream: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|at| at.index(stream.len() + 1)).collect();
    places.sort_unstable();
    places.push(stream.len());
    let mut start = 0;
    let pieces = places.into_iter().map(|end| {
        let piece = &stream[start..end];
        start = end;
        piece
    });
    pieces.collect()
}

/// Streams of lines, of bodies (some full of newlines), of lines too long, and
/// of pieces of all that.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 1..40);
    let part = prop_oneof![
        4 => "[a-z ]{0,20}(\r)?\n".prop_map(String::into_bytes),
        4 => body.prop_map(|body| [format!("FOUND {}\n", body.len()).as_bytes(), &body].concat()),
        1 => "[a-z]{20,30}\n".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn a_stream_means_the_same_however_it_is_cut(
        stream in streams(),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let whole = read(&[&stream]);
        prop_assert_eq!(read(&cut(&stream, &places)), whole.clone());
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(read(&bytes), whole);
    }

    #[test]
    fn nothing_is_lost_and_no_line_is_too_long(stream in streams()) {
        let (all, unfinished) = read(&[&stream]);
        let mut length = unfinished.len();
        for read in &all {
            match read {
                Read::Line(line) => {
                    prop_assert!(line.len() < MAX_LINE);
                    prop_assert!(!line.contains(&b'\n'));
                    length += line.len() + 1;
                }
                Read::Body(body) => length += body.len(),
                Read::TooLong => return Ok(()),
            }
        }
        let returns = stream.windows(2).filter(|pair| pair == b"\r\n").count();
        prop_assert!(length <= stream.len() && stream.len() <= length + returns);
    }
}

#[test]
fn a_line_of_the_longest_kind_is_read_and_one_byte_more_is_not() {
    let longest = [&[b'x'; MAX_LINE - 1][..], b"\n"].concat();
    assert_eq!(read(&[&longest]).0, [Read::Line(vec![b'x'; MAX_LINE - 1])]);
    let longer = [&[b'x'; MAX_LINE][..], b"\n"].concat();
    assert_eq!(read(&[&longer]).0, [Read::TooLong]);
    assert_eq!(read(&[&longer[..MAX_LINE]]).0, [Read::TooLong]);
}
