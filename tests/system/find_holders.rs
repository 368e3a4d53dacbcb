//! Fetches with holders in the index: the client asks the holders first, then the other
//! nodes.

use std::process::Command;

use crate::support::fake_server::{FakeServer, closed_port, register};
use crate::support::relay_index::{announce, wait_for_names};
use crate::support::{client, client_command, folder, node, relay, run};

const HELLO: &[u8] = b"Hello, Peerline!\n";

#[test]
fn only_the_holder_is_asked() {
    let relay = relay(&[]);
    let (other, share) = (folder(&[("other", b"1")]), folder(&[("hello.txt", HELLO)]));
    let first = node(&relay, other.path(), &[]);
    let second = node(&relay, other.path(), &[]);
    let holder = node(&relay, share.path(), &[]);
    // Two names; two nodes share one of them.
    wait_for_names(&relay, 2);
    for _ in 0..3 {
        let output = client(&relay, &["get", "hello.txt"]).expect_code(0);
        assert_eq!(output.stdout, HELLO);
        let place = format!(
            "asking node 3 of 3: 127.0.0.1 port {}",
            holder.address().port()
        );
        assert!(output.stderr.contains(&place), "{}", output.stderr);
    }
    let gets = [&first, &second, &holder].map(|node| node.stat("gets "));
    assert_eq!(gets, [0, 0, 3]);
}

#[test]
fn an_unannounced_file_is_found_by_asking_all_nodes() {
    let relay = relay(&[]);
    let other = folder(&[("other", b"1")]);
    let first = node(&relay, other.path(), &[]);
    wait_for_names(&relay, 1);
    let silent = FakeServer::replying([b"FOUND 17\n", HELLO].concat());
    register(&relay, silent.address());
    let output = client(&relay, &["get", "hello.txt"]).expect_code(0);
    assert_eq!(output.stdout, HELLO);
    assert_eq!((first.stat("gets "), silent.connections()), (1, 1));
    // No node has the file: each is asked once.
    let relay = crate::support::relay(&[]);
    let nodes = [(); 2].map(|()| FakeServer::replying("NOTFOUND\n"));
    announce(&relay, nodes[1].address(), 17, "hello.txt");
    register(&relay, nodes[0].address());
    client(&relay, &["get", "hello.txt"]).expect_code(1);
    assert_eq!(nodes.each_ref().map(FakeServer::connections), [1, 1]);
}

#[test]
fn a_dead_or_lying_holder_is_skipped() {
    let relay = relay(&[]);
    let (_socket, dead) = closed_port();
    let lies = FakeServer::replying("NOTFOUND\n");
    let silent = FakeServer::replying([b"FOUND 17\n", HELLO].concat());
    register(&relay, silent.address());
    announce(&relay, dead, 17, "hello.txt");
    announce(&relay, lies.address(), 17, "hello.txt");
    let output = client(&relay, &["get", "hello.txt"]).expect_code(0);
    assert_eq!(output.stdout, HELLO);
    assert!(
        output.stderr.contains("asking node 1 of 3"),
        "{}",
        output.stderr
    );
    assert_eq!((lies.connections(), silent.connections()), (1, 1));
}

#[test]
fn each_of_several_names_is_looked_up() {
    let relay = relay(&[]);
    let shares = [("one", b"1"), ("two", b"2"), ("three", b"3")].map(|(name, content)| {
        let share = folder(&[(name, content)]);
        let node = node(&relay, share.path(), &[]);
        (share, node)
    });
    wait_for_names(&relay, 3);
    let args = ["get", "three", "one", "two", "one"];
    let output = client(&relay, &args).expect_code(0);
    assert_eq!(output.text(), "3121");
    let gets = shares.each_ref().map(|(_, node)| node.stat("gets "));
    assert_eq!(gets, [2, 1, 1]);
}

#[test]
fn a_relay_without_an_index_is_tolerated() {
    let nodes = [
        FakeServer::replying("NOTFOUND\n"),
        FakeServer::replying([b"FOUND 17\n", HELLO].concat()),
    ];
    let list = crate::support::fake_server::node_list(&nodes.each_ref().map(FakeServer::address));
    for answer in [
        "ERROR 501 unknown command\n",
        "",
        "\0\0\n",
        "HOLDERS 9\n127.0.0.1 9",
    ] {
        let list = list.clone();
        let relay = FakeServer::new(move |mut connection| {
            let is_list = connection.line() == "LIST\n";
            connection.send(if is_list { list.as_str() } else { answer });
        });
        let command = client_command(relay.address(), &["get", "hello.txt"]);
        let output = run(command, b"").expect_code(0);
        assert_eq!(output.stdout, HELLO);
        assert_eq!(relay.connections(), 2);
    }
    assert_eq!(nodes.each_ref().map(FakeServer::connections), [4, 4]);
}

#[test]
fn a_name_that_looks_the_same_is_told() {
    let relay = relay(&[]);
    // As macOS decomposes it.
    let share = folder(&[("cafe\u{301}.txt", b"1"), ("README.md", b"2")]);
    let _node = node(&relay, share.path(), &[]);
    wait_for_names(&relay, 2);
    for (typed, similar) in [
        ("caf\u{e9}.txt", "cafe\u{301}.txt"),
        ("readme.MD", "README.md"),
    ] {
        let output = client(&relay, &["get", typed]).expect_code(1);
        let message = format!("{typed}: not found, 1 node asked; did you mean: {similar}\n");
        assert!(output.stderr.contains(&message), "{}", output.stderr);
        let output = client(&relay, &["get", typed, "--json"]).expect_code(1);
        assert!(
            output
                .stderr
                .contains(&format!("\"similar\":[\"{similar}\"]"))
        );
    }
    let output = client(&relay, &["get", "README"]).expect_code(1);
    assert!(!output.stderr.contains("did you mean"), "{}", output.stderr);
}

/// This recipe is in the documentation.
#[test]
fn search_results_can_be_piped_into_get() {
    let share = folder(&[("a.txt", b"1"), ("quit smoking.txt", b"2"), ("b.png", b"3")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    wait_for_names(&relay, 3);
    let recipe = r#""$@" search .txt | cut -d' ' -f4- | "$@" -q get -i -"#;
    let mut command = Command::new("sh");
    command.args(["-c", recipe, "sh", env!("CARGO_BIN_EXE_peer-client")]);
    command.arg(relay.address().ip().to_string());
    command.arg(relay.address().port().to_string());
    let output = run(command, b"").expect_code(0);
    assert_eq!(output.text(), "12", "{}", output.stderr);
}
