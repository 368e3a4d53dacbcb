//! The standard streams, unbuffered. They may be non-blocking, because another program
//! shares them: then an operation waits until the stream is ready.

use std::fmt;
use std::io::{self, Read, Write};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, OFlags, Stat, fcntl_getfl, fstat, major, minor};
use rustix::io::{Errno, read, write};

/// Reads from stdin.
pub(crate) struct Stdin;

/// Writes to stdout.
pub(crate) struct Stdout;

/// Writes to stderr.
pub(crate) struct Stderr;

impl Read for Stdin {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let stdin = io::stdin();
        when_ready(PollFd::new(&stdin, PollFlags::IN), || {
            read(&stdin, &mut *bytes)
        })
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stdout = io::stdout();
        when_ready(PollFd::new(&stdout, PollFlags::OUT), || {
            write(&stdout, bytes)
        })
    }

    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        write_at_once(self, text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stderr = io::stderr();
        when_ready(PollFd::new(&stderr, PollFlags::OUT), || {
            write(&stderr, bytes)
        })
    }

    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        write_at_once(self, text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a text by one call of the system, so that no line of the log comes in between if both go
/// to the same file.
pub(crate) fn write_at_once(out: &mut impl Write, text: fmt::Arguments<'_>) -> io::Result<()> {
    out.write_all(text.to_string().as_bytes())
}

/// Major and minor number of /dev/null (null(4)).
const NULL_DEVICE: (u32, u32) = (1, 3);

/// Whether the program was started without a stdout. The runtime of Rust then opens /dev/null in
/// its place, for reading and writing. Shells open it for writing only.
pub(crate) fn stdout_is_closed() -> bool {
    let stdout = io::stdout();
    let is_null = |stat: Stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && (major(stat.st_rdev), minor(stat.st_rdev)) == NULL_DEVICE
    };
    fstat(&stdout).is_ok_and(is_null)
        && fcntl_getfl(&stdout).is_ok_and(|flags| flags.contains(OFlags::RDWR))
}

/// Repeats an operation on a stream until it need not wait for the stream.
fn when_ready(
    stream: PollFd<'_>,
    mut operation: impl FnMut() -> rustix::io::Result<usize>,
) -> io::Result<usize> {
    let mut streams = [stream];
    loop {
        match operation() {
            Err(Errno::AGAIN) => match poll(&mut streams, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            },
            result => return Ok(result?),
        }
    }
}
