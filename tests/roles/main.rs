//! The roles under a virtual clock: who says what to whom, and what is seen.
//!
//! Each file under `scripts/` is such a story: commands, then below `---` what
//! the role did. The script is the specification; with `UPDATE_GOLDENFILES=1`
//! it is written anew, to be read before it is believed. No socket, no thread
//! and no sleep takes part.

#![allow(missing_docs, unreachable_pub)]

mod announcer;
mod client;
mod keyboard;
mod machine;
mod memory;
mod node;
mod recording_user;
mod relay;
mod simulation;
mod stage;
mod udp_requests;
mod warnings;

use std::path::{Path, PathBuf};

/// Plays every script in a folder, each on a stage of its own.
fn play<R: goldenscript::Runner + Default>(folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/roles/scripts")
        .join(folder);
    let entries = std::fs::read_dir(&folder).expect("a folder of scripts");
    let mut scripts: Vec<PathBuf> = entries
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.extension().is_some_and(|end| end == "script"))
        .collect();
    scripts.sort();
    assert!(!scripts.is_empty(), "no script in {}", folder.display());
    for script in scripts {
        let name = script.file_name().unwrap_or_default().to_string_lossy();
        // The last one that is named is the one that failed.
        eprintln!("playing {name}");
        if let Err(error) = goldenscript::run(&mut R::default(), &script) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn relay_scripts() {
    play::<relay::Play>("relay");
}

#[test]
fn node_scripts() {
    play::<node::Play>("node");
}

#[test]
fn client_scripts() {
    play::<client::Play>("client");
}
