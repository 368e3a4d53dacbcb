//! Tests of parts whose state is damaged, and of checks that are broken off.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::thread;

use crate::download::output_file::SaveOptions;
use crate::download::resume_tests::{Fixture, PIECE, SIZE, part, stored_bytes};
use crate::download::save_error::SaveError;
use crate::jobs::Opened;
use crate::protocol::PieceValue;

#[test]
fn a_damaged_state_costs_a_check() {
    let fixture = Fixture::new();
    fixture.break_off(&[0, 1, 2]);
    // The last line is torn.
    let state = fs::read(fixture.state()).expect("a file");
    fs::write(fixture.state(), &state[..state.len() - 3]).expect("a file");
    let (file, opened) = fixture.open();
    assert_eq!(opened, part(&[], &[0, 1, 2]));
    drop(file);
    // The line of a piece is torn: that piece is lost.
    let state = fs::read_to_string(fixture.state()).expect("a file");
    let (lines, _) = state.split_once("piece 2 ").expect("a piece");
    fs::write(fixture.state(), format!("{lines}piece 2 ")).expect("a file");
    let (mut file, opened) = fixture.open();
    assert_eq!(opened, part(&[], &[0, 1]));
    fixture.write(&mut file, &[0, 1, 3]);
    file.keep();
    let (file, opened) = fixture.open();
    assert_eq!(opened, part(&[0, 1, 3], &[]));
    file.keep();
    // A block of zeros, as after a power cut.
    let mut state = OpenOptions::new()
        .append(true)
        .open(fixture.state())
        .expect("a file");
    state.write_all(&[0; 512]).expect("written");
    let (file, opened) = fixture.open();
    assert_eq!(opened, part(&[0, 1, 3], &[]));
    file.keep();
    // Without its first line, nothing is known.
    for bytes in [
        &b""[..],
        b"\0\0\0\0",
        b"peerline-part 1 hash 5 5 00 00000000\n",
    ] {
        fs::write(fixture.state(), bytes).expect("a file");
        let (mut file, opened) = fixture.open();
        assert_eq!(opened, part(&[], &[0, 1, 2, 3]));
        file.record_piece(1).expect("recorded");
        file.keep();
        let (file, opened) = fixture.open();
        assert_eq!(opened, part(&[1], &[0, 2, 3]));
        file.keep();
    }
}

#[test]
fn a_part_of_another_length_is_checked() {
    let fixture = Fixture::new();
    fixture.break_off(&[0, 1, 2]);
    let part_path = fixture.folder.path().join(".file.part");
    let part_file = OpenOptions::new().write(true).open(part_path);
    let cut = part_file.and_then(|file| file.set_len(PIECE as u64 + 5));
    cut.expect("a file");
    let (_file, opened) = fixture.open();
    assert_eq!(opened, part(&[], &[0, 1, 2, 3]));
}

#[test]
fn unchecked_pieces_outlive_a_check_that_is_broken_off() {
    let fixture = Fixture::new();
    let all = part(&[], &[0, 1, 2, 3]);
    for is_killed in [false, true] {
        let _ = fs::remove_file(fixture.state());
        let _ = fs::remove_file(fixture.folder.path().join(".file.part"));
        fixture.break_off(&[0, 1, 2]);
        fs::write(fixture.state(), b"").expect("a file");
        for _ in 0..2 {
            let (file, opened) = fixture.open();
            assert_eq!(opened, all);
            match is_killed {
                true => drop(file),
                // All of it is kept, though nothing of it is known to be right.
                false => assert_eq!(file.keep(), Some(stored_bytes(0, SIZE))),
            }
        }
    }
    // If the check finds all of them wrong, nothing is worth it.
    let (mut file, _) = fixture.open();
    let values = [PieceValue([0; 32]); 4];
    let unchecked = (0..4).collect();
    file.start_check(&unchecked, &values).expect("a check");
    let mut results = 0;
    while results < 4 {
        results += file.checked_pieces().expect("a part").len();
        thread::yield_now();
    }
    assert_eq!(file.keep(), None);
    assert!(fixture.names().is_empty());
}

#[test]
fn without_its_state_a_part_of_another_length_is_another_one() {
    let mut fixture = Fixture::new();
    fixture.break_off(&[0, 1]);
    fs::write(fixture.state(), b"").expect("a file");
    let refusal = |fixture: &Fixture| fixture.try_open(SaveOptions::default()).err();
    fixture.content.size += 1;
    let refused = refusal(&fixture);
    assert!(matches!(refused, Some(SaveError::OtherContent(_))));
    fixture.content.size -= 1;
    fixture.content.hash = None;
    let refused = refusal(&fixture);
    assert!(matches!(refused, Some(SaveError::UnknownContent(_))));
    let part = fixture.folder.path().join(".file.part");
    let saved = fs::read(part).expect("a file");
    assert!(saved[..2 * PIECE] == fixture.bytes[..2 * PIECE]);
}

#[test]
fn a_retry_does_not_wait_for_the_threads_of_the_last_try() {
    let mut fixture = Fixture::new();
    // Pieces of 64 MiB: a thread checks the first one for a while.
    fixture.content.size = 1 << 40;
    File::create(fixture.state()).expect("a file");
    let part = File::create(fixture.folder.path().join(".file.part"));
    let length = part.and_then(|part| part.set_len(1 << 40));
    length.expect("a sparse file");
    let (mut file, opened) = fixture.open();
    let Opened::Part { unchecked, .. } = opened else {
        panic!("{opened:?}");
    };
    let values = vec![PieceValue([0; 32]); unchecked.len() as usize];
    file.start_check(&unchecked, &values).expect("a check");
    assert!(file.keep().is_some());
    fixture.open();
}

#[test]
fn a_state_that_is_about_to_be_removed_is_not_used() {
    let fixture = Fixture::new();
    // Another program has just given the part its name.
    let other = File::create(fixture.state()).expect("a file");
    other.lock().expect("locked");
    let refused = fixture.try_open(SaveOptions::default()).err();
    assert!(matches!(refused, Some(SaveError::InUse)));
    assert_eq!(fixture.names(), [".file.part.state"]);
    fs::remove_file(fixture.state()).expect("a file");
    fixture.break_off(&[0]);
    drop(other);
    assert_eq!(fixture.open().1, part(&[0], &[]));
}

/// Tests that all pieces are checked once the part was changed in some way after it was closed.
#[track_caller]
fn assert_checked_after(change: impl FnOnce(&Fixture, &File)) {
    let fixture = Fixture::new();
    fixture.break_off(&[0, 2]);
    let path = fixture.folder.path().join(".file.part");
    let part_file = OpenOptions::new().write(true).open(path);
    change(&fixture, &part_file.expect("a file"));
    assert_eq!(fixture.open().1, part(&[], &[0, 2]));
}

#[test]
fn a_part_that_was_changed_is_checked() {
    assert_checked_after(|_, part| part.write_all_at(b"other", 0).expect("written"));
    // Its mtime is set back, as by a program that keeps it.
    assert_checked_after(|_, part| {
        let time = part.metadata().and_then(|data| data.modified());
        part.write_all_at(b"other", 0).expect("written");
        part.set_modified(time.expect("a time"))
            .expect("it is ours");
    });
    assert_checked_after(|fixture, part| {
        let path = fixture.folder.path().join(".file.part");
        let copy = fixture.folder.path().join("copy");
        fs::copy(&path, &copy).expect("a copy");
        let times = part.metadata().and_then(|data| data.modified());
        let file = File::options().write(true).open(&copy).expect("a file");
        file.set_modified(times.expect("a time"))
            .expect("it is ours");
        fs::rename(copy, path).expect("renamed");
    });
}
