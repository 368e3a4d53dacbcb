//! The output that programs share with the line editor.

#![allow(missing_docs)]

use std::sync::mpsc;

use peerline::terminal::TerminalOutput;

/// The most bytes that wait for the editor.
const MAX_QUEUED: usize = 1024 * 1024;

#[test]
fn output_during_editing_waits_for_the_editor() {
    let output = TerminalOutput::default();
    let (redraw, redraws) = mpsc::channel();
    output.set_redraw_sender(redraw);
    assert!(output.acquire_for_editor());
    output.eprintln("one");
    output.eprintln("two");
    assert_eq!(redraws.try_iter().count(), 2);
    assert_eq!(output.take_pending_lines(), "one\ntwo\n");
    assert_eq!(output.take_pending_lines(), "");
    // An incomplete line is drawn when its end has arrived.
    output.eprint("three\nfo");
    assert_eq!(output.take_pending_lines(), "three\n");
    output.eprint("ur\n");
    assert_eq!(output.take_pending_lines(), "four\n");
}

#[test]
fn a_full_queue_drops_lines_and_counts_them() {
    let output = TerminalOutput::default();
    assert!(output.acquire_for_editor());
    let long = "x".repeat(MAX_QUEUED / 4 - 1);
    (0..6).for_each(|_| output.eprintln(&long));
    let drawn = output.take_pending_lines();
    assert!(drawn.ends_with("x\n(2 lines omitted)\n"));
    assert_eq!(drawn.lines().count(), 5);
    output.eprintln("room again");
    assert_eq!(output.take_pending_lines(), "room again\n");
}

#[test]
fn the_editor_cannot_acquire_a_closed_terminal() {
    let output = TerminalOutput::default();
    assert!(output.acquire_for_editor());
    let _ = output.take_pending_lines();
    assert!(output.is_held_by_editor());
    assert!(output.close(), "the editor held the terminal");
    assert!(!output.acquire_for_editor());
    output.release_from_editor();
    assert!(!output.acquire_for_editor(), "not even after a release");
    assert!(!output.close());
}
