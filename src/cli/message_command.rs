//! `--on-message`: a command that is run for each message, one at a time, and whose output
//! goes back to the sender, line by line.
//!
//! A thread of its own starts the commands and waits for them. It is not in the node's
//! sandbox, so a command has the rights of the user. What came from the network reaches it
//! only as data: the text on stdin, the sender's address in the environment.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::cli::message_queue::{MessageQueue, QueuedMessage, QueuedMessages, message_queue};
use crate::cli::user::UserArgs;
use crate::logging::OPERATOR;
use crate::protocol::{MAX_TEXT, NodeAddress, Text};
use crate::quantity::{integer, seconds};

/// The most lines that go back for one message, and the most bytes that are read.
const MAX_LINES: usize = 20;
const MAX_OUTPUT: usize = 64 * 1024;
/// The last line if there are more.
const CUT: &str = "(the rest of the output was cut off)";
/// The pause between two lines: a relay takes 50 messages a second of a connection.
const LINE_INTERVAL: Duration = Duration::from_millis(25);

/// The answers to a sender are forgotten once it has sent nothing for this time.
const SILENCE: Duration = Duration::from_secs(60);

/// The flags of the command.
#[derive(clap::Args)]
#[command(next_help_heading = "Messages")]
pub(super) struct MessageCommandArgs {
    /// Run this shell command for each message, with its text on stdin, and send each line of
    /// the output back to the sender; PEERLINE_FROM_IP and PEERLINE_FROM_PORT are its address
    #[arg(long, value_name = "COMMAND", conflicts_with = "no_listen_messages")]
    pub(super) on_message: Option<String>,
    /// Kill the command after this time
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    on_message_timeout: Duration,
    /// Maximum number of messages that wait for the command. Those from one address may fill half
    /// of the room that other addresses leave. Messages beyond that are dropped
    #[arg(long, value_name = "N", default_value = "16", value_parser = integer::<usize>(1..))]
    on_message_queue: usize,
    /// Maximum number of messages of one sender that are answered without a minute of silence
    /// between them; others do not start the command. Two nodes that answer each other come to an
    /// end by it
    #[arg(long, value_name = "N", default_value = "30", value_parser = integer::<u32>(1..))]
    on_message_answers: u32,
}

impl MessageCommandArgs {
    /// The command, if there is one, and the queue of its messages.
    pub(super) fn command(&self, user: &UserArgs) -> Option<(MessageQueue, MessageCommand)> {
        let (queue, messages) = message_queue(self.on_message_queue);
        let command = MessageCommand {
            command: self.on_message.clone()?,
            user: user.clone(),
            timeout: self.on_message_timeout,
            answers: AnswerCounts::new(self.on_message_answers),
            messages,
            last_failure: None,
        };
        Some((queue, command))
    }
}

/// The command that is run for each message.
pub(super) struct MessageCommand {
    command: String,
    user: UserArgs,
    timeout: Duration,
    answers: AnswerCounts,
    messages: QueuedMessages,
    /// Why the last run failed: the same again is not logged.
    last_failure: Option<String>,
}

impl MessageCommand {
    /// Starts the thread. `answer` gets each line that goes back, through the relay of its message.
    pub(super) fn start(
        mut self,
        answer: impl Fn(usize, NodeAddress, Text<'static>) + Send + 'static,
    ) -> io::Result<RunningCommand> {
        let running = RunningCommand::default();
        let group = Arc::clone(&running.0);
        let body = move || {
            while let Some(message) = self.messages.next() {
                if !self.answers.allow(message.from, Instant::now()) {
                    let from = message.from;
                    self.report(Some(format!(
                        "no more answers to {from} until it is silent for a minute \
                         (--on-message-answers)"
                    )));
                    continue;
                }
                let output = self.run(&message, &group).unwrap_or_else(|error| {
                    self.report(Some(format!("the command failed: {error}")));
                    Vec::new()
                });
                if !output.is_empty() {
                    self.answers.count(message.from, Instant::now());
                }
                for line in lines(&output) {
                    answer(message.relay, message.from, line);
                    thread::sleep(LINE_INTERVAL);
                }
            }
        };
        thread::Builder::new()
            .name("on-message".into())
            .spawn(body)?;
        Ok(running)
    }

    /// Runs the command to its end. Returns its output.
    fn run(&mut self, message: &QueuedMessage, group: &Mutex<Option<Pid>>) -> io::Result<Vec<u8>> {
        let mut shell = Command::new("sh");
        self.user.set_environment(&mut shell);
        let mut child = shell
            .args(["-c", &self.command])
            .env("PEERLINE_FROM_IP", message.from.ip().to_string())
            .env("PEERLINE_FROM_PORT", message.from.port().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Killed as a whole; a key at the terminal does not reach it.
            .process_group(0)
            .spawn()?;
        let pid = Pid::from_child(&child);
        *group.lock().unwrap_or_else(PoisonError::into_inner) = Some(pid);
        let deadline = Instant::now() + self.timeout;
        if let Some(mut stdin) = child.stdin.take() {
            // An empty pipe takes a text at once. The command need not read it.
            let _ = writeln!(stdin, "{}", message.text);
        }
        let output = read_output(&mut child, pid, deadline);
        // Before the child is reaped: the number belongs to it until then.
        kill_group(group);
        let status = child.wait()?;
        let (output, is_late) = output?;
        self.report(match is_late {
            true => Some(format!(
                "the command failed: killed after {} s",
                self.timeout.as_secs_f64()
            )),
            false => (!status.success()).then(|| format!("the command failed: {status}")),
        });
        Ok(output)
    }

    /// Logs a failure, once as long as it lasts.
    fn report(&mut self, failure: Option<String>) {
        if let Some(failure) = failure.as_ref().filter(|_| failure != self.last_failure) {
            log::warn!(target: OPERATOR, "--on-message: {failure}");
        }
        self.last_failure = failure;
    }
}

/// How many messages of each sender were answered since it was last silent for a while. An
/// automatic answer to an automatic answer has no end unless one side stops (RFC 3834, section 2).
struct AnswerCounts {
    by_sender: HashMap<NodeAddress, AnsweredSender>,
    max: u32,
}

struct AnsweredSender {
    answers: u32,
    /// When its last message came.
    last: Instant,
}

impl AnswerCounts {
    fn new(max: u32) -> Self {
        Self {
            by_sender: HashMap::new(),
            max,
        }
    }

    /// Whether a message of this sender may be answered.
    fn allow(&mut self, sender: NodeAddress, now: Instant) -> bool {
        self.by_sender
            .retain(|_, sender| now.saturating_duration_since(sender.last) < SILENCE);
        match self.by_sender.get_mut(&sender) {
            None => true,
            Some(sender) => {
                sender.last = now;
                sender.answers < self.max
            }
        }
    }

    fn count(&mut self, sender: NodeAddress, now: Instant) {
        let first = AnsweredSender {
            answers: 0,
            last: now,
        };
        self.by_sender.entry(sender).or_insert(first).answers += 1;
    }
}

/// The process group of the command that runs now. It is killed when this is dropped.
#[derive(Default)]
pub(super) struct RunningCommand(Arc<Mutex<Option<Pid>>>);

impl Drop for RunningCommand {
    fn drop(&mut self) {
        kill_group(&self.0);
    }
}

fn kill_group(group: &Mutex<Option<Pid>>) {
    if let Some(pid) = group.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // An error means that all of them have ended.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// Reads the output until the command ends. Also returns whether it has not ended in time.
fn read_output(child: &mut Child, pid: Pid, deadline: Instant) -> io::Result<(Vec<u8>, bool)> {
    let mut output = Vec::new();
    let Some(mut stdout) = child.stdout.take() else {
        return Ok((output, false));
    };
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    fcntl_setfl(&stdout, fcntl_getfl(&stdout)? | OFlags::NONBLOCK)?;
    let mut is_open = true;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(timeout) = Timespec::try_from(left).ok().filter(|_| !left.is_zero()) else {
            return Ok((output, true));
        };
        let end = PollFd::new(&ended, PollFlags::IN);
        let mut waits = [end, PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::IN)];
        let count = if is_open { 2 } else { 1 };
        match poll(&mut waits[..count], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let has_ended = !waits[0].revents().is_empty();
        // What it has written is there when it ends. Others may keep the pipe open.
        is_open = is_open && read_available(&mut stdout, &mut output)?;
        if has_ended {
            return Ok((output, false));
        }
    }
}

/// Reads what is there. Returns whether more may come.
fn read_available(stdout: &mut impl Read, output: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    loop {
        match stdout.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(length) => {
                let room = MAX_OUTPUT.saturating_sub(output.len());
                output.extend_from_slice(&buffer[..length.min(room)]);
                // A command that writes without end is stopped by its time.
                if room == 0 {
                    return Ok(true);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The lines that go back, without empty ones.
fn lines(output: &[u8]) -> Vec<Text<'static>> {
    let output = String::from_utf8_lossy(output);
    let mut lines = output.lines().filter_map(line);
    let mut first: Vec<_> = lines.by_ref().take(MAX_LINES).collect();
    if lines.next().is_some()
        && let Some(last) = first.last_mut()
        && let Ok(cut) = Text::parse(CUT)
    {
        *last = cut;
    }
    first
}

/// A line as a message: without control characters, and not longer than a message can be.
fn line(text: &str) -> Option<Text<'static>> {
    let is_allowed = |c: &char| Text::parse(c.encode_utf8(&mut [0; 4])).is_ok();
    let clean: String = text
        .trim_end()
        .replace('\t', " ")
        .chars()
        .filter(is_allowed)
        .collect();
    let end = clean.floor_char_boundary(MAX_TEXT);
    Text::parse(&clean[..end]).ok().map(Text::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_cut_into_messages() {
        let texts = |output: &str| -> Vec<String> {
            let lines = lines(output.as_bytes());
            lines.iter().map(ToString::to_string).collect()
        };
        assert_eq!(texts(""), [""; 0]);
        assert_eq!(texts("one\n\n two\x07\tthree\r\n"), ["one", " two three"]);
        assert_eq!(texts(&"ä".repeat(600)), ["ä".repeat(512)]);
        let many = texts(&"x\n".repeat(MAX_LINES + 1));
        assert_eq!((many.len(), many[MAX_LINES - 1].as_str()), (MAX_LINES, CUT));
        assert_eq!(texts(&"x\n".repeat(MAX_LINES)), ["x"; MAX_LINES]);
    }

    #[test]
    fn a_slow_exchange_of_two_commands_comes_to_an_end() {
        let mut counts = AnswerCounts::new(3);
        let [sender, other] = [1, 2].map(|port| {
            let address = format!("127.0.0.1 {port}");
            NodeAddress::parse(&address).expect("an address")
        });
        let mut now = Instant::now();
        for _ in 0..3 {
            now += SILENCE - Duration::from_secs(1);
            assert!(counts.allow(sender, now));
            counts.count(sender, now);
        }
        now += SILENCE - Duration::from_secs(1);
        assert!(!counts.allow(sender, now));
        assert!(counts.allow(other, now));
        assert!(counts.allow(sender, now + SILENCE));
    }
}
