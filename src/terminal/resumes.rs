//! When the program goes on after it was stopped, as by ctrl-Z and `fg` (signal(7), SIGCONT).

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionbio};
use signal_hook::consts::SIGCONT;
use signal_hook::low_level::pipe;

/// Reports each SIGCONT, by a byte in a pipe. A thread waits for the next one.
pub(super) struct Resumes(PipeReader);

impl Resumes {
    /// Reports those that come from now on.
    pub(super) fn new() -> io::Result<Self> {
        let (resumes, sender) = io::pipe()?;
        ioctl_fionbio(&resumes, true)?;
        pipe::register(SIGCONT, sender)?;
        Ok(Self(resumes))
    }

    /// Blocks until the program goes on.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        wait_for(&mut [PollFd::new(&self.0, PollFlags::IN)])?;
        self.forget();
        Ok(())
    }

    /// Blocks until the program goes on, or until something can be read from `input`. Returns
    /// whether it was the former.
    pub(super) fn wait_beside(&mut self, input: impl AsFd) -> io::Result<bool> {
        let mut streams = [
            PollFd::new(&self.0, PollFlags::IN),
            PollFd::new(&input, PollFlags::IN),
        ];
        wait_for(&mut streams)?;
        let has_resumed = !streams[0].revents().is_empty();
        self.forget();
        Ok(has_resumed)
    }

    /// Reports none that has come before now.
    pub(super) fn forget(&mut self) {
        while let Ok(1..) = self.0.read(&mut [0; 16]) {}
    }
}

fn wait_for(streams: &mut [PollFd<'_>]) -> io::Result<()> {
    while let Err(error) = poll(streams, None) {
        if error != Errno::INTR {
            return Err(error.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use signal_hook::low_level::raise;

    use super::*;

    #[test]
    fn what_came_before_is_forgotten() {
        let mut resumes = Resumes::new().expect("a pipe");
        let (input, writer) = io::pipe().expect("a pipe");
        for _ in 0..3 {
            raise(SIGCONT).expect("the signal is caught");
        }
        assert!(resumes.wait_beside(&input).expect("both are open"));
        raise(SIGCONT).expect("the signal is caught");
        resumes.forget();
        drop(writer);
        assert!(!resumes.wait_beside(&input).expect("the input has ended"));
        raise(SIGCONT).expect("the signal is caught");
        resumes.wait().expect("it has come");
    }
}
