//! The console of a node, at a terminal and from a pipe.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::support::fake_server::FakeServer;
use crate::support::{
    DEADLINE, Nc, Server, Terminal, ask, ask_bytes, client, eventually, folder, large_file, node,
    node_command, relay, run,
};

const HELLO: &[u8] = b"Hello, Peerline!\n";

/// A registered node that reads commands from a pipe.
pub(crate) fn node_with_stdin(relay: &Server, share: &Path, args: &[&str]) -> Server {
    let args = [&["--console"], args].concat();
    let mut node = Server::start_with_stdin(node_command(relay.address(), share, &args));
    node.log_until("registered as");
    assert!(node.line().starts_with("peer-node id "));
    node
}

/// A node at a terminal, where the console is on by default.
fn node_at_terminal(relay: &Server, share: &Path, args: &[&str]) -> Terminal {
    let mut command = node_command(relay.address(), share, args);
    command.arg("--no-history");
    Terminal::start(command)
}

#[test]
fn a_console_keeps_its_history_from_within_its_sandbox() {
    let (relay, share, home) = (relay(&[]), folder(&[]), folder(&[]));
    let history = home.path().join("new/history");
    let mut command = node_command(relay.address(), share.path(), &[]);
    command.arg("--history").arg(&history);
    let mut terminal = Terminal::start(command);
    terminal.at_prompt("stats");
    eventually("it is stored", || {
        fs::read_to_string(&history).is_ok_and(|lines| lines == "stats\n")
    });
}

/// Registers a fake node with one file.
pub(crate) fn announce(relay: &Server, node: &FakeServer, name: &str, size: usize) {
    let (ip, port) = (node.address().ip(), node.address().port());
    let lines = format!("REGISTER {ip} {port}\nSHARE {size} - {name}\n");
    let answer = ask(relay.address(), lines.as_bytes());
    assert!(answer.ends_with("\nOK\n"), "{answer}");
}

fn holders(relay: &Server, name: &str) -> String {
    ask(relay.address(), format!("FIND {name}\n").as_bytes())
}

fn get(node: &Server, name: &str) -> Vec<u8> {
    ask_bytes(node.address(), format!("GET {name}\n").as_bytes())
}

fn found_reply(content: &[u8]) -> Vec<u8> {
    [format!("FOUND {}\n", content.len()).as_bytes(), content].concat()
}

#[test]
fn fetch_share_unshare_and_quit_at_a_terminal() {
    let relay = relay(&[]);
    let share = folder(&[("hello.txt", HELLO)]);
    let _other = node(&relay, share.path(), &[]);
    let (own, outside) = (
        folder(&[("own.txt", b"own")]),
        folder(&[("more.txt", b"more")]),
    );
    let mut terminal = node_at_terminal(&relay, own.path(), &[]);
    terminal.at_prompt("ls");
    terminal.expect("hello.txt");
    terminal.at_prompt("hello.txt");
    terminal.expect("hello.txt: 17 B in ");
    assert_eq!(
        fs::read(own.path().join("hello.txt")).expect("it is saved"),
        HELLO
    );
    eventually("it is announced", || {
        holders(&relay, "hello.txt").starts_with("HOLDERS 2\n")
    });
    terminal.at_prompt("own.txt");
    terminal.expect("own.txt is shared here already");
    let path = outside.path().join("more.txt");
    terminal.at_prompt(&format!("share {}", path.display()));
    terminal.expect("sharing 1 file (4 B) as more.txt");
    eventually("it is announced", || {
        holders(&relay, "more.txt").starts_with("HOLDERS 1\n")
    });
    assert_eq!(
        client(&relay, &["get", "more.txt"]).expect_code(0).stdout,
        b"more"
    );
    terminal.at_prompt("unshare more.txt");
    terminal.expect("no longer sharing more.txt");
    eventually("it is taken back", || {
        holders(&relay, "more.txt") == "NOTFOUND\n"
    });
    terminal.at_prompt("help");
    terminal.expect("unshare NAME");
    terminal.at_prompt("quit");
    let (rest, code) = terminal.wait();
    assert_eq!(code, 0, "{rest}");
    assert_eq!(relay.stat("nodes"), 1);
}

#[test]
fn end_of_input_at_a_terminal_stops_the_node() {
    let relay = relay(&[]);
    let share = folder(&[]);
    let mut terminal = node_at_terminal(&relay, share.path(), &[]);
    terminal.expect("registered as");
    terminal.expect("peerline> ");
    terminal.ctrl('d');
    assert_eq!(terminal.wait().1, 0);
    assert_eq!(relay.stat("nodes"), 0);
    let mut terminal = node_at_terminal(&relay, share.path(), &["--no-console"]);
    terminal.expect("registered as");
    terminal.ctrl('c');
    let (rest, code) = terminal.wait();
    assert!(code == 0 && !rest.contains("peerline> "), "{rest}");
}

#[test]
fn end_of_input_from_a_pipe_does_not_stop_the_node() {
    let relay = relay(&[]);
    let share = folder(&[("hello.txt", HELLO)]);
    let _other = node(&relay, share.path(), &[]);
    let own = folder(&[]);
    let mut node = node_with_stdin(&relay, own.path(), &[]);
    node.enter("find hello.txt");
    assert!(node.line().ends_with(" 17 -"));
    // Empty and invalid lines do not end the console.
    node.enter("");
    node.enter("../x");
    node.log_until("a file name must be relative");
    node.enter("hello.txt");
    node.close_stdin();
    node.log_until("hello.txt: 17 B in ");
    eventually("it is served on", || {
        get(&node, "hello.txt") == found_reply(HELLO)
    });
    assert!(node.is_running_after(Duration::from_millis(200)));
    assert_eq!(node.stop(), Some(0));
    // Without --console a node does not read stdin.
    let mut node = Server::start_with_stdin(node_command(relay.address(), own.path(), &[]));
    node.log_until("registered as");
    node.enter("quit");
    assert!(node.is_running_after(Duration::from_millis(200)));
}

#[test]
fn quit_from_a_pipe_stops_the_node() {
    let relay = relay(&[]);
    let mut node = node_with_stdin(&relay, folder(&[]).path(), &[]);
    node.enter("quit");
    assert_eq!(node.wait().code(), Some(0));
    assert_eq!(relay.stat("nodes"), 0);
}

#[test]
fn connections_lists_who_is_connected_and_what_is_sent() {
    let relay = relay(&[]);
    let share = large_file(1 << 30);
    let mut node = node_with_stdin(&relay, share.path(), &[]);
    node.enter("connections");
    assert_eq!(node.line(), "0 connections");
    let (mut first, mut second) = (Nc::connect(node.address()), Nc::connect(node.address()));
    assert_eq!(first.ask("PING"), "PONG");
    second.send("GET large\n");
    second.bytes(1 << 20);
    node.enter("connections");
    assert_eq!(node.line(), "2 connections");
    let mut lines = [node.line(), node.line()];
    let is_second = |line: &String| line.starts_with(&second.local().to_string());
    lines.sort_by_key(is_second);
    assert!(lines[0].starts_with(&format!("{}  PING  ", first.local())));
    assert!(lines[0].contains(" s  5 B sent  "), "{}", lines[0]);
    assert!(lines[1].contains("  GET  ") && lines[1].contains(" MB sent  "));
    assert!(lines[1].ends_with(" % of large"), "{}", lines[1]);
    node.enter("connections please");
    node.log_until("connections takes no argument");
}

#[test]
fn a_fetch_over_udp_is_completed_when_the_node_stops() {
    let relay = relay(&[]);
    let share = folder(&[("hello.txt", HELLO)]);
    let _others = [
        node(&relay, share.path(), &[]),
        node(&relay, share.path(), &[]),
    ];
    // The order in which the exchanges end is random.
    for _ in 0..8 {
        let own = folder(&[]);
        let args = ["--console", "--udp", "--no-listen-messages"];
        let command = node_command(relay.address(), own.path(), &args);
        run(command, b"get hello.txt\nquit\n").expect_code(0);
        let saved = fs::read(own.path().join("hello.txt"));
        assert_eq!(saved.expect("it is saved"), HELLO);
    }
}

#[test]
fn a_fetch_never_replaces_a_file() {
    let relay = relay(&[]);
    let share = folder(&[("hello.txt", HELLO)]);
    let _other = node(&relay, share.path(), &[]);
    // The file exists, but it is not shared.
    let own = folder(&[("hello.txt", b"my own")]);
    let mut node = node_with_stdin(&relay, own.path(), &[]);
    node.enter("unshare hello.txt");
    node.enter("hello.txt");
    node.log_until("hello.txt exists already; move it away to fetch another");
    assert_eq!(
        fs::read(own.path().join("hello.txt")).expect("it is there"),
        b"my own"
    );
    assert_eq!(fs::read_dir(own.path()).expect("a folder").count(), 1);
}

#[test]
fn an_aborted_fetch_leaves_no_part_file() {
    let relay = relay(&[]);
    // More than is held back, and than a file that is collected in memory.
    let stuck = FakeServer::hanging_after(format!("FOUND 2000000\n{}", "x".repeat(70_000)));
    announce(&relay, &stuck, "hello.txt", 2_000_000);
    let own = folder(&[]);
    let mut node = node_with_stdin(&relay, own.path(), &["--drain", "0.2", "--hidden"]);
    node.enter("hello.txt");
    let part = own.path().join(".hello.txt.part");
    eventually("a part is there", || part.exists());
    // Part files are not shared even with --hidden.
    assert_eq!(ask(node.address(), b"LIST\n"), "FILES 0 0\n");
    assert_eq!(get(&node, ".hello.txt.part"), b"NOTFOUND\n");
    assert_eq!(get(&node, ".hello.txt.part.state"), b"NOTFOUND\n");
    node.enter("quit");
    assert_eq!(node.wait().code(), Some(0));
    assert_eq!(fs::read_dir(own.path()).expect("a folder").count(), 0);
}

/// A node that sends half of the only file that it has, and the rest after `may_go_on`.
pub(crate) fn pausing_node(
    name: &str,
    content: Vec<u8>,
    half_sent: Sender<()>,
    may_go_on: Receiver<()>,
) -> FakeServer {
    let request = format!("GET {name}\n");
    FakeServer::new(move |mut connection| {
        // A client asks all nodes if the holder does not answer soon.
        if connection.line() != request {
            connection.send("NOTFOUND\n");
            return;
        }
        let (first, second) = content.split_at(content.len() / 2);
        connection.send(format!("FOUND {}\n", content.len()));
        connection.send(first);
        let _ = half_sent.send(());
        let _ = may_go_on.recv_timeout(DEADLINE);
        connection.send(second);
    })
}

/// Random content.
fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..))
        .take(length)
        .collect()
}

#[test]
fn eight_fetches_and_eight_uploads_at_once() {
    // More than the socket buffers hold.
    const SERVED: usize = 12_000_000;
    let relay = relay(&[]);
    let fetched: Vec<(String, Vec<u8>)> = (0..8)
        .map(|n| (format!("fetched {n}"), content(n, 300_000 + n as usize)))
        .collect();
    let (half_sent, arrived) = channel();
    let sources: Vec<(FakeServer, Sender<()>)> = fetched
        .iter()
        .map(|(name, content)| {
            let (go_on, may_go_on) = channel();
            let source = pausing_node(name, content.clone(), half_sent.clone(), may_go_on);
            announce(&relay, &source, name, content.len());
            (source, go_on)
        })
        .collect();
    let own = folder(&[]);
    let served: Vec<(String, Vec<u8>)> = (0..8)
        .map(|n| (format!("served {n}"), content(100 + n, SERVED)))
        .collect();
    for (name, content) in &served {
        fs::write(own.path().join(name), content).expect("a file");
    }
    let mut peer = node_with_stdin(&relay, own.path(), &[]);
    // Eight clients have received the first line of their replies.
    let mut clients: Vec<Nc> = served
        .iter()
        .map(|(name, _)| {
            let mut nc = Nc::connect(peer.address());
            assert_eq!(nc.ask(&format!("GET {name}")), format!("FOUND {SERVED}"));
            nc
        })
        .collect();
    for (name, _) in &fetched {
        peer.enter(name);
    }
    // All eight fetches have half of their file before any gets the rest.
    for _ in &fetched {
        arrived.recv_timeout(DEADLINE).expect("all are asked for");
    }
    // Incomplete files are not shared.
    assert!(ask(peer.address(), b"LIST\n").starts_with("FILES 8 8\n"));
    for (_, go_on) in &sources {
        go_on.send(()).expect("it waits");
    }
    for (client_connection, (name, content)) in clients.iter_mut().zip(&served) {
        assert!(client_connection.bytes(SERVED) == *content, "{name}");
    }
    for (name, content) in &fetched {
        peer.log_until(&format!("{name}: "));
        assert!(
            fs::read(own.path().join(name)).expect("it is saved") == *content,
            "{name}"
        );
    }
    // The node now shares the files.
    let address = peer.wire_address();
    for (name, _) in &fetched {
        eventually("it is announced", || {
            holders(&relay, name).contains(&address)
        });
    }
    let calls = sources.iter().map(|(source, _)| source.connections());
    assert_eq!(calls.collect::<Vec<_>>(), [1; 8]);
    for (source, _) in &sources {
        crate::support::fake_server::unregister(&relay, source.address());
    }
    for (name, content) in &fetched {
        let output = client(&relay, &["get", name]).expect_code(0);
        assert!(output.stdout == *content, "{name}");
    }
}

#[test]
fn fetches_over_max_downloads_wait() {
    let relay = relay(&[]);
    let released = Arc::new(AtomicBool::new(false));
    let (half_sent, arrived) = channel();
    let mut sources = Vec::new();
    for name in ["a", "b"] {
        let (go_on, may_go_on) = channel();
        let source = pausing_node(name, b"content".to_vec(), half_sent.clone(), may_go_on);
        announce(&relay, &source, name, 7);
        sources.push((source, go_on));
    }
    let was_released = Arc::clone(&released);
    let third = FakeServer::new(move |mut connection| {
        connection.line();
        assert!(
            was_released.load(Ordering::SeqCst),
            "it was asked too early"
        );
        connection.send("FOUND 5\nthird");
    });
    announce(&relay, &third, "c", 5);
    let own = folder(&[]);
    let mut node = node_with_stdin(&relay, own.path(), &["--max-downloads", "2"]);
    for name in ["a", "b", "c"] {
        node.enter(name);
    }
    for _ in 0..2 {
        arrived.recv_timeout(DEADLINE).expect("two are asked for");
    }
    // The console answers meanwhile, so there is time for a third fetch.
    for _ in 0..3 {
        node.enter("nodes");
        (0..4).for_each(|_| drop(node.line()));
    }
    assert_eq!(third.connections(), 0);
    released.store(true, Ordering::SeqCst);
    sources[1].1.send(()).expect("it waits");
    node.log_until("c: 5 B in ");
    sources[0].1.send(()).expect("it waits");
    node.log_until("a: 7 B in ");
}
