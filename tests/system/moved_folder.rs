//! Somebody moves or deletes the folder into which a client saves a file.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use crate::support::piece_node::{Fault, PieceNode};
use crate::support::{RunningProgram, client_command, eventually, folder, noise, relay};

/// Fetches a file of several pieces into the folder `Q`. When the first piece is there,
/// `meanwhile` happens. Returns the exit code and the output.
fn get(args: &[&str], home: &Path, meanwhile: impl FnOnce()) -> (Option<i32>, String) {
    let relay = relay(&[]);
    let content = noise(3_000_000, 9);
    fs::create_dir(home.join("Q")).expect("a folder");
    // The client waits for the other pieces, and for a node when this one ends.
    let first = PieceNode::new(&relay, &content, Fault::Incomplete(1));
    let args = [&["get", "file", "--wait", "60"], args].concat();
    let mut command = client_command(relay.address(), &args);
    let (mut output, writer) = io::pipe().expect("a pipe");
    command.stdout(writer.try_clone().expect("a descriptor"));
    command.current_dir(home).stderr(writer);
    let mut program = RunningProgram::start(&mut command);
    // The end of the pipe is that of the program.
    drop(command);
    eventually("a piece", || {
        let state = fs::read_to_string(home.join("Q/.file.part.state"));
        state.is_ok_and(|state| state.contains("\npiece "))
    });
    meanwhile();
    drop(first);
    let _second = PieceNode::new(&relay, &content, Fault::None);
    let code = program.wait();
    let mut text = String::new();
    output.read_to_string(&mut text).expect("text");
    (code, text)
}

#[test]
fn a_folder_moved_during_the_download_is_reported() {
    for (args, is_replaced) in [
        (&["-o", "Q/file"][..], true),
        (&["-d", "Q"], false),
        (&["-o", "Q/file", "--json"], false),
        (&["-d", "Q", "--json", "--force"], true),
    ] {
        let home = folder(&[]);
        let path = |name: &str| home.path().join(name);
        let (code, text) = get(args, home.path(), || {
            fs::rename(path("Q"), path("Q2")).expect("moved");
            if is_replaced {
                fs::create_dir(path("Q")).expect("a folder");
            }
        });
        assert_eq!(code, Some(6), "{text}");
        let reason = "cannot write Q/file: its folder was moved during the download; \
                      the file is saved as ";
        assert!(text.contains(reason), "{text}");
        let place = path("Q2").canonicalize().expect("a folder").join("file");
        assert!(text.contains(place.to_str().expect("text")), "{text}");
        assert!(!text.contains("saved as Q"), "{text}");
        let names = fs::read_dir(path("Q2")).expect("a folder");
        let names: Vec<_> = names
            .map(|entry| entry.expect("read").file_name())
            .collect();
        assert_eq!(names, ["file"]);
    }
}

/// Regression: another program was said to write the file.
#[test]
fn a_folder_deleted_during_the_download_is_reported() {
    let home = folder(&[]);
    let (code, text) = get(&["-o", "Q/file"], home.path(), || {
        fs::remove_dir_all(home.path().join("Q")).expect("deleted");
    });
    assert_eq!(code, Some(6), "{text}");
    let reason = "cannot write Q/file: its folder was deleted during the download\n";
    assert!(text.contains(reason), "{text}");
}
