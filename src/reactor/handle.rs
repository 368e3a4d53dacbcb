//! How other threads reach a loop: a channel and a waker.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use mio::Waker;

use crate::tls::TlsConnector;

/// A command from another thread.
pub(super) enum ReactorCommand<M> {
    /// A message for the role.
    Message(M),
    /// There is one more relay.
    AddRelay(Option<TlsConnector>),
    /// Stop as at SIGTERM.
    Stop,
    /// Tell the sender that the loop is not blocked, and has handled the signals.
    Ping(Sender<()>),
}

/// Sends messages to a running loop.
pub struct Handle<M> {
    pub(super) commands: Sender<ReactorCommand<M>>,
    pub(super) waker: Arc<Waker>,
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self {
            commands: self.commands.clone(),
            waker: Arc::clone(&self.waker),
        }
    }
}

impl<M> Handle<M> {
    /// Sends a message to the role. Does nothing once the loop has ended.
    pub fn send(&self, message: M) {
        self.send_command(ReactorCommand::Message(message));
    }

    /// Adds a relay, whose index follows those of the others, and how to connect to it: in plain
    /// text without a connector.
    pub fn add_relay(&self, tls: Option<TlsConnector>) {
        self.send_command(ReactorCommand::AddRelay(tls));
    }

    /// Tells the loop to finish the requests in progress and to end.
    pub fn stop(&self) {
        self.send_command(ReactorCommand::Stop);
    }

    /// Whether the loop handles a command in this time, and all signals that have arrived before,
    /// or has ended. Else it is blocked.
    #[must_use]
    pub fn answers_within(&self, timeout: Duration) -> bool {
        let (sender, answer) = channel();
        self.send_command(ReactorCommand::Ping(sender));
        answer.recv_timeout(timeout) != Err(RecvTimeoutError::Timeout)
    }

    fn send_command(&self, command: ReactorCommand<M>) {
        if self.commands.send(command).is_ok()
            && let Err(error) = self.waker.wake()
        {
            log::error!("the loop cannot be woken: {error}");
        }
    }
}
