//! The fuzz targets as property tests: seeds and their mutations, for a few seconds.
//! `fuzz/` runs the same functions for as long as one likes.
//!
//! `FUZZ_CORPUS=fuzz/corpus cargo test --test fuzz` also writes the seeds there, a
//! folder for each target.

#![allow(missing_docs, unreachable_pub)]

mod seeds;
mod targets;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

/// A change of an input.
#[derive(Clone, Debug)]
enum Edit {
    /// Another byte stands there.
    Set(Index, u8),
    /// Bytes are inserted there.
    Insert(Index, Vec<u8>),
    /// So many bytes are removed there.
    Remove(Index, usize),
    /// The input goes on with another seed from there.
    Splice(Index, Index),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        4 => any::<(Index, u8)>().prop_map(|(at, byte)| Edit::Set(at, byte)),
        2 => any::<(Index, Vec<u8>)>().prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (any::<Index>(), 1..20_usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        2 => any::<(Index, Index)>().prop_map(|(at, seed)| Edit::Splice(at, seed)),
    ];
    prop::collection::vec(edit, 0..8)
}

fn apply(input: &mut Vec<u8>, edit: &Edit, seeds: &[Vec<u8>]) {
    match edit {
        Edit::Set(at, byte) if !input.is_empty() => {
            let at = at.index(input.len());
            input[at] = *byte;
        }
        Edit::Set(..) => {}
        Edit::Insert(at, bytes) => {
            let at = at.index(input.len() + 1);
            input.splice(at..at, bytes.iter().copied());
        }
        Edit::Remove(at, length) => {
            let at = at.index(input.len() + 1);
            input.drain(at..input.len().min(at + length));
        }
        Edit::Splice(at, seed) => {
            input.truncate(at.index(input.len() + 1));
            input.extend_from_slice(seed.get::<Vec<u8>>(seeds));
        }
    }
}

/// Runs a target with its seeds, and with this many mutations of them.
fn run(name: &str, target: fn(&[u8]), seeds: &[Vec<u8>], cases: u32) {
    if let Some(corpus) = std::env::var_os("FUZZ_CORPUS") {
        let folder = Path::new(&corpus).join(name);
        fs::create_dir_all(&folder).expect("a folder for the seeds");
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed).expect("a seed is written");
        }
    }
    for seed in seeds {
        target(seed);
    }
    let config = ProptestConfig {
        cases,
        // Failures are kept as tests, not as files.
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let inputs = (any::<Index>(), edits()).prop_map(|(seed, edits)| {
        let mut input = seed.get(seeds).clone();
        edits.iter().for_each(|edit| apply(&mut input, edit, seeds));
        input
    });
    let result = TestRunner::new(config).run(&inputs, |input| {
        target(&input);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{name}: {error}");
    }
}

#[test]
fn requests() {
    run("requests", targets::requests, &seeds::lines(true), 1000);
}

#[test]
fn replies() {
    run("replies", targets::replies, &seeds::lines(false), 1000);
}

#[test]
fn items() {
    run("items", targets::items, &seeds::lines(false), 1000);
}

#[test]
fn values() {
    run("values", targets::values, &seeds::words(), 1000);
}

#[test]
fn datagrams() {
    run("datagrams", targets::datagrams, &seeds::datagrams(), 1000);
}

#[test]
fn driver() {
    run("driver", targets::driver, &seeds::streams(), 2000);
}

#[test]
fn http() {
    run("http", targets::http, &seeds::requests_in_http(), 2000);
}

#[test]
fn relay() {
    run("relay", targets::relay, &seeds::requests_to("relay"), 600);
}

#[test]
fn node() {
    let seeds = [seeds::requests_to("node"), seeds::replies()].concat();
    run("node", targets::node, &seeds, 600);
}

#[test]
fn client() {
    run("client", targets::client, &seeds::replies(), 600);
}

#[test]
fn tls() {
    run("tls", targets::tls, &seeds::encrypted(), 300);
}
