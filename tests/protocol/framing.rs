//! The framing of a stream gives the same lines and bodies however it is split.

use peerline::role::{FramingError, Input};
use peerline::session::inbox::Inbox;
use proptest::prelude::*;

/// A short limit, so that arbitrary lines exceed it.
const MAX_LINE: usize = 24;

/// A piece of input. The pieces of one body are joined, since their borders are not
/// specified.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Frame {
    Line(Vec<u8>),
    Body(Vec<u8>),
    TooLong,
}

/// Reads all pieces. A line `FOUND n` announces a body; a line that is too long ends
/// the input. Returns the frames and the bytes of an incomplete line.
fn read(pieces: &[&[u8]]) -> (Vec<Frame>, Vec<u8>) {
    let mut inbox = Inbox::default();
    let mut all = Vec::new();
    for piece in pieces {
        let mut unread = inbox.open(piece);
        loop {
            let mut body = 0;
            match unread.next(MAX_LINE) {
                None => break,
                Some(Input::FramingError(FramingError::LineTooLong)) => {
                    all.push(Frame::TooLong);
                    return (all, Vec::new());
                }
                Some(Input::Line(line)) => {
                    let text = String::from_utf8_lossy(line);
                    if let Some(size) = text.strip_prefix("FOUND ") {
                        body = size.parse().unwrap_or(0);
                    }
                    all.push(Frame::Line(line.to_vec()));
                }
                Some(Input::Body(bytes)) => match all.last_mut() {
                    Some(Frame::Body(body)) => body.extend_from_slice(bytes),
                    _ => all.push(Frame::Body(bytes.to_vec())),
                },
                Some(other) => unreachable!("{other:?}"),
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

/// Splits the stream at these places.
fn split<'a>(stream: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
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

/// Streams of lines, bodies (some full of newlines), lines that are too long, and
/// fragments of these.
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
    fn frames_do_not_depend_on_how_the_stream_is_split(
        stream in streams(),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let whole = read(&[&stream]);
        prop_assert_eq!(read(&split(&stream, &places)), whole.clone());
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(read(&bytes), whole);
    }

    #[test]
    fn no_byte_is_lost_and_no_line_exceeds_the_limit(stream in streams()) {
        let (all, unfinished) = read(&[&stream]);
        let mut length = unfinished.len();
        for frame in &all {
            match frame {
                Frame::Line(line) => {
                    prop_assert!(line.len() < MAX_LINE);
                    prop_assert!(!line.contains(&b'\n'));
                    length += line.len() + 1;
                }
                Frame::Body(body) => length += body.len(),
                Frame::TooLong => return Ok(()),
            }
        }
        let returns = stream.windows(2).filter(|pair| pair == b"\r\n").count();
        prop_assert!(length <= stream.len() && stream.len() <= length + returns);
    }
}

#[test]
fn a_line_may_be_as_long_as_the_limit_and_not_longer() {
    let longest = [&[b'x'; MAX_LINE - 1][..], b"\n"].concat();
    assert_eq!(read(&[&longest]).0, [Frame::Line(vec![b'x'; MAX_LINE - 1])]);
    let longer = [&[b'x'; MAX_LINE][..], b"\n"].concat();
    assert_eq!(read(&[&longer]).0, [Frame::TooLong]);
    assert_eq!(read(&[&longer[..MAX_LINE]]).0, [Frame::TooLong]);
}
