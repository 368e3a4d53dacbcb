//! The pieces of a content: their layout, and that their values fold to the hash that
//! `b3sum` prints.

use std::ops::Range;

use peerline::protocol::{ContentHash, PieceLayout, PieceValue};
use proptest::prelude::*;

const MIB: u64 = PieceLayout::MIN_PIECE_SIZE;

/// A content in which no two pieces are the same.
fn content(size: u64, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(size).expect("a small one")];
    let key = blake3::hash(&seed.to_le_bytes());
    blake3::Hasher::new_keyed(key.as_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// The values of all pieces, each hashed in parts of the given length.
fn values(content: &[u8], part: usize) -> Vec<PieceValue> {
    let layout = PieceLayout::new(content.len() as u64);
    let mut rest = content;
    let values = (0..layout.count()).map(|index| {
        let mut hasher = layout.hasher(index);
        while hasher.missing() > 0 {
            assert_eq!(hasher.value(), None);
            let (next, later) = rest.split_at(part.min(rest.len()));
            let left = hasher.update(next);
            rest = &rest[next.len() - left.len()..];
            assert_eq!(left.len() + later.len(), rest.len());
        }
        hasher.value().expect("the piece is whole")
    });
    let values = values.collect();
    assert!(rest.is_empty());
    values
}

fn assert_folds(content: &[u8], part: usize) {
    let layout = PieceLayout::new(content.len() as u64);
    let values = values(content, part);
    let expected = ContentHash::of(content);
    assert_eq!(layout.fold(&values), Some(expected), "{}", content.len());
    if let [value] = values[..] {
        assert_eq!(value.0, expected.0, "one piece is the content itself");
    }
    assert_eq!(layout.fold(&values[1..]), None);
    assert_eq!(layout.fold(&[&values[..], &values[..1]].concat()), None);
    let mut wrong = values;
    wrong[layout.count() / 2].0[7] ^= 1;
    assert_ne!(layout.fold(&wrong), Some(expected));
}

#[test]
fn the_values_fold_to_the_hash_at_the_limits_of_a_piece() {
    let sizes = [0, 1, MIB - 1, MIB, MIB + 1];
    let more = [2 * MIB, 2 * MIB + 1, 3 * MIB - 1, 3 * MIB, 7 * MIB + 5];
    for size in sizes.into_iter().chain(more) {
        assert_folds(&content(size, 1), 64 * 1024);
    }
}

/// The input of the official test vectors: the bytes 0 to 250, again and again.
#[test]
fn the_values_fold_to_the_hashes_of_the_official_test_vectors() {
    for (length, hash) in [
        (
            0,
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        ),
        (
            1,
            "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
        ),
        (
            1023,
            "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
        ),
        (
            1024,
            "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
        ),
        (
            1025,
            "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
        ),
        (
            31744,
            "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47",
        ),
        (
            102_400,
            "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
        ),
    ] {
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let layout = PieceLayout::new(bytes.len() as u64);
        let folded = layout.fold(&values(&bytes, 1000)).expect("one value");
        assert_eq!(folded.to_string(), hash, "{length} bytes");
        assert_eq!(folded, ContentHash::of(&bytes));
    }
    let bytes: Vec<u8> = (0..5 * MIB + 3).map(|at| (at % 251) as u8).collect();
    assert_folds(&bytes, 1 << 17);
}

#[test]
fn a_piece_is_doubled_until_there_are_not_too_many() {
    let most = PieceLayout::MAX_PIECES as u64;
    for (size, piece_size, count) in [
        (0, MIB, 1),
        (1, MIB, 1),
        (MIB, MIB, 1),
        (MIB + 1, MIB, 2),
        (most * MIB, MIB, most),
        (most * MIB + 1, 2 * MIB, most / 2 + 1),
        (most * MIB * 2, 2 * MIB, most),
        (u64::MAX, 1 << 50, most),
    ] {
        let layout = PieceLayout::new(size);
        let actual = (layout.size(), layout.piece_size(), layout.count() as u64);
        assert_eq!(actual, (size, piece_size, count));
    }
}

/// A list from the network may belong to any size.
#[test]
fn any_number_of_values_of_the_longest_contents_folds() {
    for size in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) + 1] {
        let layout = PieceLayout::new(size);
        let values = vec![PieceValue([7; 32]); layout.count()];
        assert!(layout.fold(&values).is_some(), "{size} bytes");
        assert_eq!(layout.fold(&values[1..]), None);
    }
}

#[test]
fn there_is_no_value_of_a_piece_that_does_not_exist() {
    for size in [0, 1, MIB, 3 * MIB] {
        let layout = PieceLayout::new(size);
        for index in [layout.count(), layout.count() + 1, usize::MAX] {
            assert!(layout.range(index).is_empty());
            let mut hasher = layout.hasher(index);
            assert_eq!(hasher.missing(), 0);
            assert_eq!(hasher.update(b"more"), b"more");
            assert_eq!(hasher.value(), None, "piece {index} of {size} bytes");
        }
    }
}

proptest! {
    #[test]
    fn the_pieces_cover_the_content(size: u64) {
        let layout = PieceLayout::new(size);
        prop_assert!(layout.piece_size().is_power_of_two());
        prop_assert!((1..=PieceLayout::MAX_PIECES).contains(&layout.count()));
        let mut end = 0;
        for index in 0..layout.count() {
            let range: Range<u64> = layout.range(index);
            prop_assert_eq!(range.start, end);
            end = range.end;
        }
        prop_assert_eq!(end, size);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_values_fold_to_the_hash(
        size in prop_oneof![0..3 * MIB, (1..9_u64, 0..3_u64).prop_map(|(n, d)| n * MIB + d - 1)],
        part in 1000..3_000_000_usize,
        seed: u64,
    ) {
        assert_folds(&content(size, seed), part);
    }

    #[test]
    fn values_round_trip(bytes: [u8; 32]) {
        let value = PieceValue(bytes);
        prop_assert_eq!(value.to_string().parse(), Ok(value));
        prop_assert_eq!(value.to_string(), ContentHash(bytes).to_string());
    }
}
