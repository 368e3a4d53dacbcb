//! Imports point down: a layer that cannot name another does not depend on it.

use super::{assert_no_violations, sources, words};

/// What code without I/O, threads and clock cannot name.
const OUTSIDE_WORLD: [&str; 7] = [
    "mio",
    "TcpStream",
    "TcpListener",
    "fs",
    "thread",
    "mpsc",
    "indicatif",
];

/// The layers that do I/O, which no deciding layer names.
const OUTER_LAYERS: [&str; 6] = [
    "reactor",
    "share",
    "discovery",
    "download",
    "terminal",
    "cli",
];

/// The layers that decide: what a program does next, without I/O and clock.
/// Prefixes of paths below `src`.
const DECIDING: [&str; 16] = [
    "relay/",
    "node/",
    "client/",
    "jobs/",
    "relay_link/",
    "session/",
    "web/",
    "role",
    "protocol/",
    "timers.rs",
    "close_reason.rs",
    "byte_size.rs",
    "escaped.rs",
    "name_glob.rs",
    "figure.rs",
    "histogram.rs",
];

/// The modules of this crate that `code` imports or names, by a path or in a group
/// such as `use crate::{exit, reactor}`.
fn imported_modules(code: &str) -> Vec<&str> {
    let paths = code.split("crate::").skip(1);
    paths
        .flat_map(|path| match path.strip_prefix('{') {
            Some(group) => words(group.split(';').next().unwrap_or_default()).collect(),
            None => words(path).take(1).collect::<Vec<_>>(),
        })
        .collect()
}

/// Fails if the sources in `layers` name one of `forbidden`, or import one of
/// `modules`.
#[track_caller]
fn assert_layers(layers: &[&str], forbidden: &[&str], modules: &[&str]) {
    let sources = sources();
    let mut violations = Vec::new();
    for layer in layers {
        let mut members = sources
            .iter()
            .filter(|source| source.path.starts_with(layer));
        assert!(members.clone().next().is_some(), "no source in {layer}");
        for source in members.by_ref() {
            let path = &source.path;
            for word in forbidden {
                if words(&source.code).any(|found| found == *word) {
                    violations.push(format!("src/{path} names {word}"));
                }
            }
            for module in modules {
                if imported_modules(&source.code).contains(module) {
                    violations.push(format!("src/{path} imports crate::{module}"));
                }
            }
        }
    }
    assert_no_violations(&violations);
}

#[test]
fn the_deciding_layers_have_no_io_no_threads_no_clock_and_no_command_line() {
    assert_layers(&DECIDING, &OUTSIDE_WORLD, &OUTER_LAYERS);
    assert_layers(&DECIDING, &["clap", "Exit", "ExitCode"], &[]);
    for source in sources() {
        let is_deciding = DECIDING.iter().any(|layer| source.path.starts_with(layer));
        let clocks = ["Instant::now", "SystemTime::now", "wall_clock::now"];
        let reads_clock = clocks.iter().any(|clock| source.code.contains(clock));
        assert!(!(is_deciding && reads_clock), "src/{}", source.path);
    }
}

#[test]
fn the_date_is_read_in_one_place() {
    for source in sources() {
        let reads_date = source.code.contains("SystemTime::now");
        let may_read_it = source.path == "wall_clock.rs";
        assert!(may_read_it || !reads_date, "src/{}", source.path);
    }
}

#[test]
fn imports_point_down() {
    let programs = ["relay", "node", "client"];
    let roles = ["relay", "node", "client", "jobs", "relay_link"];
    assert_layers(&["jobs/", "relay_link/"], &[], &programs);
    assert_layers(&["session/", "role"], &[], &roles);
    assert_layers(&["web/"], &[], &roles);
    assert_layers(&["web/"], &[], &["session", "role"]);
    let lowest = ["protocol/", "timers.rs", "escaped.rs"];
    assert_layers(&lowest, &[], &roles);
    assert_layers(&lowest, &[], &OUTER_LAYERS);
    assert_layers(&lowest, &[], &["session", "role"]);
}

#[test]
fn the_reactor_knows_roles_only_by_their_trait() {
    let above = ["share", "discovery", "download", "terminal", "cli"];
    assert_layers(&["reactor/"], &["Relay", "Node", "Client"], &above);
}

#[test]
fn files_and_terminal_do_not_know_the_reactor() {
    let layers = ["share/", "discovery/", "download/", "logging/"];
    assert_layers(&layers, &["mio"], &["reactor", "cli"]);
    assert_layers(&["terminal/"], &["mio"], &["cli"]);
}

#[test]
fn only_the_terminal_knows_the_line_editor() {
    let layers = ["reactor/", "share/", "download/"];
    assert_layers(&layers, &["rustyline"], &[]);
    assert_layers(&DECIDING, &["rustyline"], &[]);
}

#[test]
fn there_is_no_other_event_loop() {
    assert_layers(&[""], &["tokio", "async_std", "smol", "async"], &[]);
}

#[test]
fn imports_are_found_by_path_and_in_groups() {
    let modules = |code| imported_modules(code);
    assert_eq!(modules("use crate::reactor::Reactor;"), ["reactor"]);
    assert!(modules("use crate::{exit, reactor};").contains(&"reactor"));
    assert_eq!(modules("crate::share::Folder"), ["share"]);
    assert_eq!(modules("use crate::shared; use super::share;"), ["shared"]);
}

#[test]
fn lines_about_the_own_system_are_not_limited() {
    let mut violations = Vec::new();
    let is_own = |path: &str| {
        let layers = ["share/", "download/", "terminal/", "cli/"];
        layers.iter().any(|layer| path.starts_with(layer))
    };
    for source in sources().iter().filter(|source| is_own(&source.path)) {
        for level in ["error!(", "warn!(", "info!("] {
            for arguments in source.code.split(level).skip(1) {
                if !arguments.trim_start().starts_with("target: OPERATOR") {
                    violations.push(format!("src/{}: {level}target: OPERATOR", source.path));
                }
            }
        }
    }
    assert_no_violations(&violations);
}
