//! How other threads reach a loop: a channel and something that wakes it.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use mio::Waker;

/// What another thread sends.
pub(super) enum ReactorCommand<M> {
    /// For the role.
    Message(M),
    /// As the first SIGTERM.
    Stop,
}

/// A way to reach a running loop.
pub struct Handle<M> {
    pub(super) letters: Sender<ReactorCommand<M>>,
    pub(super) waker: Arc<Waker>,
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self {
            letters: self.letters.clone(),
            waker: Arc::clone(&self.waker),
        }
    }
}

impl<M> Handle<M> {
    /// Tells the role something. If the loop has ended, nobody hears it.
    pub fn tell(&self, message: M) {
        self.send(ReactorCommand::Message(message));
    }

    /// Asks the loop to finish what is begun and to end.
    pub fn stop(&self) {
        self.send(ReactorCommand::Stop);
    }

    pub(super) fn wake(&self) -> std::io::Result<()> {
        self.waker.wake()
    }

    fn send(&self, letter: ReactorCommand<M>) {
        if self.letters.send(letter).is_ok()
            && let Err(error) = self.wake()
        {
            log::error!("the loop cannot be woken: {error}");
        }
    }
}
