//! A server that a shell puts into the background, and its terminal.

use std::net::SocketAddr;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Server, Terminal, ask, eventually, folder, node_command, relay};

/// An interactive shell with job control, whose `$@` is a command.
struct Shell {
    terminal: Terminal,
    /// Where the server that it started listens.
    address: Option<SocketAddr>,
}

impl Shell {
    fn new(command: &Command, term: &str) -> Self {
        let mut shell = Command::new("bash");
        shell
            .args(["--norc", "--noprofile", "-i", "-s"])
            .arg(command.get_program())
            .args(command.get_args())
            .envs([("PS1", "shell> "), ("HISTFILE", ""), ("TERM", term)]);
        let mut terminal = Terminal::start(shell);
        terminal.expect("shell> ");
        Self {
            terminal,
            address: None,
        }
    }

    /// Starts the server. `background` is `&` or nothing.
    fn start(&mut self, background: &str) {
        self.terminal.enter(&format!("\"$@\" {background}"));
        self.terminal.expect("listening on ");
        let address = self.terminal.expect(",");
        self.address = Some(address.parse().expect("an address"));
    }

    /// Presses ctrl-Z, and lets the server go on in the background.
    fn stop_and_continue(&mut self) {
        self.terminal.ctrl('z');
        self.terminal.expect("Stopped");
        self.terminal.at("shell> ", "bg");
        self.terminal.expect("shell> ");
        self.use_terminal();
    }

    /// Enters a command of the shell, whose terminal it is. The server goes on.
    fn use_terminal(&mut self) {
        for number in 0..3 {
            self.terminal.enter(&format!("echo $(({number} + 70))"));
            self.terminal.expect(&format!("7{number}"));
            self.terminal.expect("shell> ");
            self.ping();
        }
    }

    /// Brings the server back into the foreground.
    fn foreground(&mut self) {
        self.terminal.enter("fg");
        // The shell shows the command as it was typed.
        self.terminal.expect("\"$@\"");
    }

    #[track_caller]
    fn ping(&self) {
        let address = self.address.expect("the server has started");
        assert_eq!(ask(address, b"PING\n"), "PONG\n");
    }

    fn exit(mut self, command: &str) {
        self.terminal.enter(command);
        self.terminal.at("shell> ", "exit");
        self.terminal.wait();
    }
}

fn node_with_console(relay: &Server, args: &[&str]) -> (tempfile::TempDir, Command) {
    let share = folder(&[]);
    let mut command = node_command(relay.address(), share.path(), args);
    command.arg("--no-history");
    (share, command)
}

#[test]
fn a_node_in_the_background_leaves_the_terminal_to_the_shell() {
    let relay = relay(&[]);
    let (_share, command) = node_with_console(&relay, &[]);
    // With the line editor, and without.
    for (term, is_line_kept) in [("xterm", true), ("dumb", false)] {
        let mut shell = Shell::new(&command, term);
        shell.start("");
        shell.terminal.expect("peerline> ");
        for _ in 0..2 {
            if is_line_kept {
                shell.terminal.keys("he");
                shell.terminal.expect("he");
            }
            shell.stop_and_continue();
            shell.foreground();
            // The line that was being edited is drawn again.
            shell.terminal.expect("peerline> ");
            let rest = if is_line_kept { "lp" } else { "help" };
            shell.terminal.enter(rest);
            shell.terminal.expect("get NAME");
            shell.terminal.expect("peerline> ");
        }
        // It is never in the background.
        shell.terminal.ctrl('z');
        shell.terminal.expect("Stopped");
        shell.terminal.at("shell> ", "fg");
        shell.terminal.at_prompt("help");
        shell.terminal.expect("get NAME");
        shell.terminal.expect("peerline> ");
        shell.exit("exit");
    }
}

#[test]
fn a_console_that_starts_in_the_background_waits_for_the_terminal() {
    let relay = relay(&[]);
    let (_share, command) = node_with_console(&relay, &["--console"]);
    let mut shell = Shell::new(&command, "xterm");
    shell.start("&");
    shell.use_terminal();
    shell.terminal.enter("echo pid=$!,");
    shell.terminal.expect("pid=");
    let pid = loop {
        // The echo of the command comes first.
        if let Ok(pid) = shell.terminal.expect(",").parse() {
            break Pid::from_raw(pid).expect("a process");
        }
        shell.terminal.expect("pid=");
    };
    shell.foreground();
    shell.terminal.expect("peerline> ");
    // The editor is stopped while it reads a line.
    kill_process(pid, Signal::STOP).expect("the process is there");
    shell.terminal.expect("Stopped");
    shell.terminal.at("shell> ", "bg");
    shell.terminal.expect("shell> ");
    shell.use_terminal();
    shell.foreground();
    shell.terminal.at_prompt("help");
    shell.terminal.expect("get NAME");
    shell.terminal.expect("peerline> ");
    // No key is pressed while it is in the background, so the editor does not notice.
    kill_process(pid, Signal::STOP).expect("the process is there");
    shell.terminal.expect("Stopped");
    shell.terminal.at("shell> ", "bg; sleep 0.3; fg");
    shell.terminal.at_prompt("help");
    shell.terminal.expect("get NAME");
    shell.terminal.expect("peerline> ");
    shell.exit("exit");
}

#[test]
fn a_server_in_the_background_writes_to_a_terminal_that_stops_writers() {
    let relay = relay(&[]);
    let (_share, command) = node_with_console(&relay, &["--no-console"]);
    let mut shell = Shell::new(&command, "xterm");
    shell.terminal.enter("stty tostop");
    shell.terminal.expect("shell> ");
    shell.start("&");
    eventually("it is registered", || relay.stat("nodes") == 1);
    shell.ping();
    shell.foreground();
    shell.terminal.ctrl('c');
    shell.exit("");
}
