//! The recipes of `docs/recipes.md` work as they are written, on the network that the page
//! describes.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use tempfile::TempDir;

use crate::hashes::node;
use crate::support::{Server, ask, eventually, relay, run};

const RECIPES: &str = include_str!("../../docs/recipes.md");

/// The sections whose commands need nothing but the network.
const SECTIONS: [&str; 2] = ["Fetch files", "Look around"];

/// The network of the page: the relay, and the nodes that share `files/peer1` to `files/peer3`.
struct Network {
    relay: Server,
    nodes: Vec<Server>,
}

impl Network {
    fn new() -> Self {
        let relay = relay(&[]);
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("files");
        let shares = ["peer1", "peer2", "peer3"].map(|name| files.join(name));
        let nodes = shares
            .iter()
            .map(|share| node(&relay, share, &[]))
            .collect();
        let network = Self { relay, nodes };
        eventually("all files are announced with their hashes", || {
            let list = ask(network.relay.address(), b"SEARCH\n");
            list.starts_with("FILES 24 24\n") && !list.contains(" - ")
        });
        network
    }

    /// A command of the page, with the ports of this network.
    fn with_ports(&self, command: &str) -> String {
        let relay = self.relay.wire_address();
        let node = self.nodes[0].wire_address();
        let command = command.replace("127.0.0.1 8888", &relay);
        command.replace("127.0.0.1 9001", &node)
    }
}

/// The commands in the tables of a section.
fn commands(section: &str) -> Vec<String> {
    let heading = format!("## {section}\n");
    let (_, text) = RECIPES.split_once(&heading).expect("the section is there");
    let text = text.split("\n## ").next().expect("its text");
    let mut commands = Vec::new();
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let row = row.replace("\\|", "\u{1f}");
        let cell = row.split('|').nth(2).expect("a second cell");
        let code = cell.split('`').skip(1).step_by(2);
        let programs = ["peer-client ", "printf "];
        let is_command = |code: &&str| programs.iter().any(|program| code.starts_with(program));
        commands.extend(
            code.filter(is_command)
                .map(|code| code.replace('\u{1f}', "|")),
        );
    }
    commands
}

#[test]
fn the_recipes_work_as_they_are_written() {
    let network = Network::new();
    let folder = TempDir::new().expect("a folder");
    let programs = Path::new(env!("CARGO_BIN_EXE_peer-client")).parent();
    let programs = programs.expect("a folder").display();
    let path = format!("{programs}:{}", env::var("PATH").unwrap_or_default());
    let mut count = 0;
    for recipe in SECTIONS.iter().flat_map(|section| commands(section)) {
        let mut shell = Command::new("sh");
        let command = network.with_ports(&recipe);
        shell.arg("-c").arg(&command).env("PATH", &path);
        shell
            .current_dir(folder.path())
            .env_remove("PEERLINE_RELAY");
        let output = run(shell, b"");
        assert_eq!(output.code, Some(0), "{recipe}: {}", output.stderr);
        count += 1;
    }
    assert!(count >= 25, "only {count} recipes");
    let mirrored = fs::read_dir(folder.path().join("mirror")).expect("a mirror");
    assert!(mirrored.count() > 10);
}
