//! A running program whose pipes belong to the test.

use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use wait_timeout::ChildExt;

use crate::support::DEADLINE;

/// A running program. It is killed when this is dropped.
pub struct RunningProgram {
    pub child: Child,
}

impl RunningProgram {
    pub fn start(command: &mut Command) -> Self {
        let child = command.spawn().expect("the program starts");
        Self { child }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a process");
        kill_process(pid, signal).expect("the process is there");
    }

    /// Whether the program still runs after `time`.
    pub fn is_running_after(&mut self, time: Duration) -> bool {
        let status = self.child.wait_timeout(time);
        status.expect("the child can be waited for").is_none()
    }

    /// Waits for the exit. Returns the exit code, or None if a signal ended the program.
    #[track_caller]
    pub fn wait(&mut self) -> Option<i32> {
        let status = self.child.wait_timeout(DEADLINE);
        let status = status.expect("the child can be waited for");
        status.expect("it ends in time").code()
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        // Errors mean that it has exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
