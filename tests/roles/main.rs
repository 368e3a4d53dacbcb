//! Tests of the roles under a virtual clock, without sockets, threads and sleeps.
//!
//! Each file under `scripts/` has commands, and below `---` what the role did. The
//! scripts are the specification. `UPDATE_GOLDENFILES=1` rewrites their results; read
//! the difference before you accept it.

#![allow(missing_docs, unreachable_pub)]

mod alone;
mod announcer;
mod client;
mod defaults;
mod index_model;
mod keyboard;
mod long_content;
mod machine;
mod memory;
mod node;
mod node_load;
#[path = "../shared/processor_time.rs"]
mod processor_time;
mod recording_user;
mod registry;
mod relay;
mod relay_load;
mod reply_reader;
mod simulation;
mod stage;
mod swarm;
mod udp_requests;
mod warnings;

use std::path::{Path, PathBuf};

/// Runs every script in a folder, each with a role of its own.
fn run_scripts<R: goldenscript::Runner + Default>(folder: &str) {
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
        // The last printed name is the script that failed.
        eprintln!("running {name}");
        if let Err(error) = goldenscript::run(&mut R::default(), &script) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn relay_scripts() {
    run_scripts::<relay::Play>("relay");
}

#[test]
fn node_scripts() {
    run_scripts::<node::Play>("node");
}

#[test]
fn client_scripts() {
    run_scripts::<client::Play>("client");
}
