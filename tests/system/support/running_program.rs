//! A program whose pipes a test holds itself, while it runs.

use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};
use wait_timeout::ChildExt;

use crate::support::DEADLINE;

/// A program that is killed when this is dropped, if it still runs.
pub struct Running {
    pub child: Child,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let child = command.spawn().expect("the program starts");
        Self { child }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a process");
        kill_process(pid, signal).expect("the process is there");
    }

    /// Waits for the end; returns the exit code, unless a signal ended it.
    #[track_caller]
    pub fn end(&mut self) -> Option<i32> {
        let status = self.child.wait_timeout(DEADLINE);
        let status = status.expect("the child can be waited for");
        status.expect("it ends in time").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // If it has ended, all is well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
