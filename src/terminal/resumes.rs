//! When the program goes on after it was stopped, as by ctrl-Z and `fg` (signal(7), SIGCONT).

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use signal_hook::consts::SIGCONT;
use signal_hook::low_level::pipe;

/// Each time that the program goes on. A thread waits for the next one.
pub(super) struct Resumes(PipeReader);

impl Resumes {
    /// From now on.
    pub(super) fn new() -> io::Result<Self> {
        let (resumes, sender) = io::pipe()?;
        pipe::register(SIGCONT, sender)?;
        Ok(Self(resumes))
    }

    /// Blocks until the program goes on.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        self.0.read_exact(&mut [0])
    }

    /// Blocks until the program goes on, or until something can be read from `input`. Returns
    /// whether it was the former.
    pub(super) fn wait_beside(&mut self, input: impl AsFd) -> io::Result<bool> {
        let mut streams = [
            PollFd::new(&self.0, PollFlags::IN),
            PollFd::new(&input, PollFlags::IN),
        ];
        while let Err(error) = poll(&mut streams, None) {
            if error != Errno::INTR {
                return Err(error.into());
            }
        }
        let has_resumed = !streams[0].revents().is_empty();
        if has_resumed {
            self.wait()?;
        }
        Ok(has_resumed)
    }
}
