//! Names that start with a dot: anybody can announce them, and programs execute such files. A
//! pattern stands for them only if the user has typed the dot, or `--hidden`.

use std::path::Path;

use tempfile::TempDir;
use walkdir::WalkDir;

use crate::node_console::node_with_stdin;
use crate::support::relay_index::{announce, wait_for_names};
use crate::support::{Server, client_command, folder, http, node, relay, run};

const FILES: [(&str, &[u8]); 6] = [
    ("a", b"a"),
    (".bash_profile", b"run"),
    (".config/b", b"b"),
    (".config/.c", b"c"),
    ("docs/d", b"d"),
    ("docs/.git/hooks/post-checkout", b"run"),
];
const HIDDEN: [&str; 4] = [
    ".bash_profile",
    ".config/.c",
    ".config/b",
    "docs/.git/hooks/post-checkout",
];

/// A relay, and a node that shares hidden files.
fn network() -> (Server, Server, TempDir) {
    let (relay, share) = (relay(&[]), folder(&FILES));
    let node = node(&relay, share.path(), &["--hidden"]);
    wait_for_names(&relay, FILES.len() as u64);
    (relay, node, share)
}

/// The names of the files in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = WalkDir::new(folder).sort_by_file_name().into_iter();
    let entries = entries.map(|entry| entry.expect("an entry"));
    let files = entries.filter(|entry| entry.file_type().is_file());
    let name = |path: &Path| {
        path.strip_prefix(folder)
            .expect("below")
            .display()
            .to_string()
    };
    files.map(|entry| name(entry.path())).collect()
}

#[test]
fn hidden_files_are_fetched_only_if_the_user_types_the_dot() {
    let (relay, _node, _share) = network();
    let left_out = |count| format!("; {count} hidden files were left out; --hidden fetches them");
    let one = "; 1 hidden file was left out; --hidden fetches it".to_owned();
    for (args, saved, note) in [
        (&["--all"][..], &["a", "docs/d"][..], left_out(4)),
        (&["*", "-q"], &["a"], one.clone()),
        (&["**"], &["a", "docs/d"], left_out(4)),
        (&["docs/"], &["docs/d"], one.clone()),
        (&[".config/"], &[".config/b"], one.clone()),
        (&[".*"], &[".bash_profile"], String::new()),
        (&["docs/.git/**"], &[HIDDEN[3]], String::new()),
        (&["{a,.bash*}"], &[".bash_profile", "a"], String::new()),
        (
            &[r"{a,\.bash_profile}"],
            &[".bash_profile", "a"],
            String::new(),
        ),
        (
            &[".bash_profile", "-d", "."],
            &[".bash_profile"],
            String::new(),
        ),
        (
            &["docs/", "--hidden"],
            &[HIDDEN[3], "docs/d"],
            String::new(),
        ),
    ] {
        let home = folder(&[]);
        let mut command = client_command(relay.address(), &["get"]);
        command.args(args).current_dir(home.path());
        let output = run(command, b"").expect_code(0);
        assert_eq!(names(home.path()), saved, "{args:?}: {}", output.stderr);
        assert!(output.stderr.contains(&note), "{args:?}: {}", output.stderr);
        assert_eq!(
            output.stderr.contains("hidden"),
            !note.is_empty(),
            "{args:?}"
        );
    }
    let home = folder(&[]);
    let mut command = client_command(relay.address(), &["get", "--all", "--hidden"]);
    command.current_dir(home.path());
    run(command, b"").expect_code(0);
    assert_eq!(names(home.path()).len(), FILES.len());
}

#[test]
fn the_number_of_hidden_files_is_told_to_programs_and_when_nothing_is_left() {
    let (relay, _node, _share) = network();
    for (args, code, line) in [
        (
            ["docs/", "--json"],
            0,
            r#"{"hidden":1,"name":"docs/","part_files":0}"#,
        ),
        (
            ["?bash*", "--json"],
            1,
            r#"{"error":"not found","hidden":1,"name":"?bash*","part_files":0,"similar":[]}"#,
        ),
    ] {
        let home = folder(&[]);
        let mut command = client_command(relay.address(), &["get"]);
        command.args(args).current_dir(home.path());
        let output = run(command, b"").expect_code(code);
        assert!(
            output.text().lines().any(|text| text == line),
            "{}",
            output.text()
        );
    }
}

#[test]
fn the_prompt_and_the_console_leave_hidden_files_out() {
    let (relay, _node, _share) = network();
    let home = folder(&[]);
    let mut command = client_command(relay.address(), &[]);
    command.current_dir(home.path());
    let output = run(
        command,
        b"docs/\nget --all -d . -f\nget --hidden docs/ -d . -f\n",
    )
    .expect_code(0);
    assert_eq!(names(home.path()), ["a", HIDDEN[3], "docs/d"]);
    assert!(
        output.stderr.contains("4 hidden files were left out"),
        "{}",
        output.stderr
    );
    let own = folder(&[]);
    let mut console = node_with_stdin(&relay, own.path(), &["--get", "docs/"]);
    console.log_until("1 hidden file was left out");
    console.log_until("1 file fetched");
    assert_eq!(names(own.path()), ["docs/d"]);
    console.enter("get --all");
    console.log_until("4 hidden files were left out");
    console.log_until("0 up to date, 1 failed");
    assert_eq!(names(own.path()), ["a", "docs/d"]);
}

/// aria2c saves a file under the name in its description.
#[test]
fn a_relay_describes_no_hidden_file_and_shows_no_command_for_it() {
    let relay = relay(&[]);
    let holder = "127.0.0.1:40001".parse().expect("an address");
    for name in [".bashrc", ".git/hooks/post-checkout", "a"] {
        announce(&relay, holder, 1, name);
        let metalink = format!("/metalink/{name}.meta4");
        let answer = http(relay.address(), "GET", &metalink, "");
        let page = http(relay.address(), "GET", &format!("/holders/{name}"), "");
        let is_hidden = name != "a";
        assert_eq!(answer.status, if is_hidden { 403 } else { 200 });
        for text in ["get -d .", "curl", "aria2c", &metalink] {
            assert_eq!(page.text().contains(text), !is_hidden, "{name}: {text}");
        }
    }
}
