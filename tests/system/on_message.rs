//! `--on-message`: a node runs a command for each message.

use std::fs;
use std::path::Path;

use crate::messages::listener;
use crate::support::{Nc, Server, eventually, folder, node, relay};

/// A node that runs this command, and is ready for messages.
fn node_with(relay: &Server, command: &str, args: &[&str]) -> Server {
    let share = folder(&[]);
    let args = [&["--on-message", command], args].concat();
    let node = node(relay, share.path(), &args);
    node.log_until("arrive here");
    node
}

fn send(nc: &mut Nc, node: &Server, text: &str) {
    nc.send(format!("SEND {} {text}\n", node.wire_address()));
}

fn is_there(path: &Path) -> bool {
    path.exists()
}

#[test]
fn the_output_goes_back_line_by_line() {
    let relay = relay(&[]);
    let (mut nc, address) = listener(&relay);
    let command = "read -r text; echo \"$PEERLINE_FROM_IP $PEERLINE_FROM_PORT\"; \
                   echo; printf 'got %s' \"$text\"";
    let node = node_with(&relay, command, &[]);
    let from = format!("FROM {} ", node.wire_address());
    // The text is data, whatever it contains.
    for text in ["hello", "$(touch x); 'ä' \"b\" `c` \\d"] {
        send(&mut nc, &node, text);
        assert_eq!(nc.line(), "OK");
        assert_eq!(nc.line(), format!("{from}{address}"));
        assert_eq!(nc.line(), format!("{from}got {text}"));
    }
}

#[test]
fn a_long_output_is_cut_and_none_sends_nothing() {
    let relay = relay(&[]);
    let (mut nc, _) = listener(&relay);
    let command = "read -r text; [ \"$text\" = many ] && seq 1 100000; true";
    let node = node_with(&relay, command, &[]);
    let from = format!("FROM {} ", node.wire_address());
    send(&mut nc, &node, "nothing");
    send(&mut nc, &node, "many");
    assert_eq!((nc.line(), nc.line()), ("OK".into(), "OK".into()));
    for number in 1..20 {
        assert_eq!(nc.line(), format!("{from}{number}"));
    }
    assert_eq!(
        nc.line(),
        format!("{from}(the rest of the output was cut off)")
    );
}

#[test]
fn a_command_that_takes_too_long_is_killed_with_its_children() {
    let relay = relay(&[]);
    let (mut nc, _) = listener(&relay);
    let files = folder(&[]);
    let pid = files.path().join("pid");
    // Outside of the share: the command has the rights of the user.
    let command = format!(
        "read -r text; echo \"$text\"; [ \"$text\" = long ] || exit; \
         sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait",
        pid.display()
    );
    let node = node_with(&relay, &command, &["--on-message-timeout", "0.3"]);
    let from = format!("FROM {} ", node.wire_address());
    send(&mut nc, &node, "long");
    send(&mut nc, &node, "short");
    assert_eq!((nc.line(), nc.line()), ("OK".into(), "OK".into()));
    assert_eq!(nc.line(), format!("{from}long"), "what came before is sent");
    assert_eq!(nc.line(), format!("{from}short"));
    node.log_until("--on-message: the command failed: killed after 0.3 s");
    let pid = fs::read_to_string(pid).expect("a number");
    eventually("the child is gone", || has_ended(&pid));
}

/// Whether a process has ended; nobody may have collected it yet.
fn has_ended(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| stat.contains(") Z "))
        || !is_there(Path::new("/proc").join(pid.trim()).as_path())
}

#[test]
fn messages_are_dropped_while_too_many_wait() {
    let relay = relay(&[]);
    let (mut nc, _) = listener(&relay);
    let files = folder(&[]);
    let [started, end] = ["started", "end"].map(|name| files.path().join(name));
    let command = format!(
        "touch {}; until [ -e {} ]; do sleep 0.02; done; cat",
        started.display(),
        end.display()
    );
    let node = node_with(&relay, &command, &["--on-message-queue", "1"]);
    let from = format!("FROM {} ", node.wire_address());
    send(&mut nc, &node, "runs");
    eventually("it runs", || is_there(&started));
    for text in ["waits", "dropped", "dropped"] {
        send(&mut nc, &node, text);
    }
    for _ in 0..4 {
        assert_eq!(nc.line(), "OK");
    }
    // The node has read all of them.
    node.log_until_count(": dropped", 2);
    fs::write(&end, "").expect("a file");
    assert_eq!(nc.line(), format!("{from}runs"));
    assert_eq!(nc.line(), format!("{from}waits"));
    // No other message need follow.
    node.log_until("messages dropped while too many were waiting: 2");
}

#[test]
fn a_command_ends_with_its_node_and_a_failure_is_told() {
    let relay = relay(&[]);
    let (mut nc, _) = listener(&relay);
    let files = folder(&[]);
    let pid = files.path().join("pid");
    let command = format!(
        "read -r text; [ \"$text\" = wait ] || exit 3; \
         echo $$ > {0}.new; mv {0}.new {0}; sleep 600",
        pid.display()
    );
    let mut node = node_with(&relay, &command, &["--on-message-timeout", "600"]);
    send(&mut nc, &node, "fail");
    node.log_until("--on-message: the command failed: exit status: 3");
    send(&mut nc, &node, "wait");
    eventually("it runs", || is_there(&pid));
    assert_eq!(node.stop(), Some(0));
    let pid = fs::read_to_string(pid).expect("a number");
    eventually("it has ended", || has_ended(&pid));
}

#[test]
fn a_sender_that_is_answered_too_often_gets_no_more_answers() {
    let relay = relay(&[]);
    let (mut nc, address) = listener(&relay);
    let node = node_with(&relay, "cat", &["--on-message-answers", "3"]);
    let from = format!("FROM {} ", node.wire_address());
    for text in ["1", "2", "3"] {
        send(&mut nc, &node, text);
        assert_eq!(nc.line(), "OK");
        assert_eq!(nc.line(), format!("{from}{text}"));
    }
    // As another node with such a command would do.
    send(&mut nc, &node, "4");
    assert_eq!(nc.line(), "OK");
    node.log_until(&format!("no more answers to {address} until it is silent"));
    let (mut other, _) = listener(&relay);
    send(&mut other, &node, "hello");
    assert_eq!(other.line(), "OK");
    assert_eq!(other.line(), format!("{from}hello"));
    assert_eq!(nc.ask("PING"), "PONG", "no answer came before");
}
