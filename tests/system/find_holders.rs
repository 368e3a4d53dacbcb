//! How a file is found with the help of the relay's index: those who have
//! announced it are asked first, then the others.

use std::process::Command;

use crate::support::fake_server::{Fake, nobody, register};
use crate::support::relay_index::{announce, until_known};
use crate::support::{client, client_command, folder, node, relay, run};

const HELLO: &[u8] = b"Hello, Peerline!\n";

#[test]
fn the_holder_is_asked_and_nobody_else() {
    let relay = relay(&[]);
    let (other, share) = (folder(&[("other", b"1")]), folder(&[("hello.txt", HELLO)]));
    let first = node(&relay, other.path(), &[]);
    let second = node(&relay, other.path(), &[]);
    let holder = node(&relay, share.path(), &[]);
    // Two names, one of them at two nodes.
    until_known(&relay, 2);
    for _ in 0..3 {
        let done = client(&relay, &["get", "hello.txt"]).expect_code(0);
        assert_eq!(done.stdout, HELLO);
        let place = format!(
            "asking node 1 of 3: 127.0.0.1 port {}",
            holder.address().port()
        );
        assert!(done.stderr.contains(&place), "{}", done.stderr);
    }
    let asked = [&first, &second, &holder].map(|node| node.stat("gets "));
    assert_eq!(asked, [0, 0, 3]);
}

#[test]
fn a_file_that_nobody_has_announced_is_found_all_the_same() {
    let relay = relay(&[]);
    let other = folder(&[("other", b"1")]);
    let first = node(&relay, other.path(), &[]);
    until_known(&relay, 1);
    let silent = Fake::saying([b"FOUND 17\n", HELLO].concat());
    register(&relay, silent.address());
    let done = client(&relay, &["get", "hello.txt"]).expect_code(0);
    assert_eq!(done.stdout, HELLO);
    assert_eq!((first.stat("gets "), silent.calls()), (1, 1));
    // Nobody has it: each is asked once.
    let relay = crate::support::relay(&[]);
    let nodes = [(); 2].map(|()| Fake::saying("NOTFOUND\n"));
    announce(&relay, nodes[1].address(), 17, "hello.txt");
    register(&relay, nodes[0].address());
    client(&relay, &["get", "hello.txt"]).expect_code(1);
    assert_eq!(nodes.each_ref().map(Fake::calls), [1, 1]);
}

#[test]
fn a_holder_that_is_dead_or_lies_is_passed_over() {
    let relay = relay(&[]);
    let (_socket, dead) = nobody();
    let lies = Fake::saying("NOTFOUND\n");
    let silent = Fake::saying([b"FOUND 17\n", HELLO].concat());
    register(&relay, silent.address());
    announce(&relay, dead, 17, "hello.txt");
    announce(&relay, lies.address(), 17, "hello.txt");
    let done = client(&relay, &["get", "hello.txt"]).expect_code(0);
    assert_eq!(done.stdout, HELLO);
    assert!(
        done.stderr.contains("asking node 3 of 3"),
        "{}",
        done.stderr
    );
    assert_eq!((lies.calls(), silent.calls()), (1, 1));
}

#[test]
fn of_several_names_each_is_looked_up() {
    let relay = relay(&[]);
    let shares = [("one", b"1"), ("two", b"2"), ("three", b"3")].map(|(name, content)| {
        let share = folder(&[(name, content)]);
        let node = node(&relay, share.path(), &[]);
        (share, node)
    });
    until_known(&relay, 3);
    let args = ["get", "three", "one", "two", "one"];
    let done = client(&relay, &args).expect_code(0);
    assert_eq!(done.text(), "3121");
    let asked = shares.each_ref().map(|(_, node)| node.stat("gets "));
    assert_eq!(asked, [2, 1, 1]);
}

#[test]
fn a_relay_that_keeps_no_index_is_no_obstacle() {
    let nodes = [
        Fake::saying("NOTFOUND\n"),
        Fake::saying([b"FOUND 17\n", HELLO].concat()),
    ];
    let list = crate::support::fake_server::list(&nodes.each_ref().map(Fake::address));
    for answer in [
        "ERROR 501 unknown command\n",
        "",
        "\0\0\n",
        "HOLDERS 9\n127.0.0.1 9",
    ] {
        let list = list.clone();
        let relay = Fake::new(move |mut caller| {
            let is_list = caller.line() == "LIST\n";
            caller.say(if is_list { list.as_str() } else { answer });
        });
        let command = client_command(relay.address(), &["get", "hello.txt"]);
        let done = run(command, b"").expect_code(0);
        assert_eq!(done.stdout, HELLO);
        assert_eq!(relay.calls(), 2);
    }
    assert_eq!(nodes.each_ref().map(Fake::calls), [4, 4]);
}

/// The recipe of the README.
#[test]
fn what_a_search_finds_is_fetched_by_a_pipe() {
    let share = folder(&[("a.txt", b"1"), ("quit smoking.txt", b"2"), ("b.png", b"3")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    until_known(&relay, 3);
    let recipe = r#""$@" search .txt | cut -d' ' -f4- | sed 's/^/get /' | "$@" -q"#;
    let mut command = Command::new("sh");
    command.args(["-c", recipe, "sh", env!("CARGO_BIN_EXE_peer-client")]);
    command.arg(relay.address().ip().to_string());
    command.arg(relay.address().port().to_string());
    let done = run(command, b"").expect_code(0);
    assert_eq!(done.text(), "12", "{}", done.stderr);
}
