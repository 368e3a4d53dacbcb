//! What signals do to a program.

use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::libc::{SIGRTMAX, SIGRTMIN};
use rustix::process::Signal;
use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU,
};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};

use crate::cli::{Exit, StartupError};
use crate::reactor::{Handle, Reactor};
use crate::role::Role;
use crate::terminal::{self, TerminalMode};

/// The signals that end a process unless it handles them, without those that report a
/// fault in it. Each ends a program in the same way as SIGTERM, and so do the real-time
/// signals.
const ENDING: [i32; 13] = [
    SIGHUP,
    SIGINT,
    SIGQUIT,
    SIGTERM,
    SIGALRM,
    SIGIO,
    SIGPROF,
    SIGUSR1,
    SIGUSR2,
    SIGVTALRM,
    SIGXCPU,
    Signal::POWER.as_raw(),
    Signal::STKFLT.as_raw(),
];

/// How long the loop may take to handle a signal: a client writes parts of files to a disk that
/// may be slow.
const HANDLING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a program may take to end after the second signal.
const ENDING_TIMEOUT: Duration = Duration::from_secs(2);

/// The signals that end a program. To be made before any of them is handled.
pub(super) struct EndingSignals {
    signals: Vec<i32>,
    /// Whether a signal ends the program at once.
    is_starting: Arc<AtomicBool>,
}

impl EndingSignals {
    /// Those that end a client.
    pub(super) fn of_client() -> Result<Self, StartupError> {
        Self::new(ending(), Exit::Interrupted)
    }

    /// Those that end a server. SIGHUP does not end one with files that others replace:
    /// programs that rotate logs or renew certificates send it.
    /// In the background, the terminal does not stop a server either.
    pub(super) fn of_server(has_files: bool) -> Result<Self, StartupError> {
        terminal::block_stops().map_err(StartupError::system("cannot block signals"))?;
        let mut signals = ending();
        if has_files {
            handle_by_nothing(SIGHUP)?;
            signals.retain(|signal| *signal != SIGHUP);
        }
        Self::new(signals, Exit::Success)
    }

    /// Until the loop handles the signals, they end the program at once: it has nothing to
    /// finish yet. The system would ignore them if it is the first process of a container.
    fn new(signals: Vec<i32>, exit: Exit) -> Result<Self, StartupError> {
        let is_starting = Arc::new(AtomicBool::new(true));
        for signal in &signals {
            let condition = Arc::clone(&is_starting);
            flag::register_conditional_shutdown(*signal, exit as i32, condition)
                .map_err(StartupError::system("cannot handle signals"))?;
        }
        Ok(Self {
            signals,
            is_starting,
        })
    }

    /// Lets the loop handle these signals, except for `handled` ones. If it is blocked, they
    /// end the program with this exit code.
    pub(super) fn stop<R: Role>(
        &self,
        reactor: &mut Reactor<R>,
        handled: &[i32],
        exit: Exit,
        patience: Patience,
    ) -> Result<(), StartupError>
    where
        R::File: AsFd,
    {
        let signals = self.signals.iter().copied();
        let signals: Vec<i32> = signals.filter(|signal| !handled.contains(signal)).collect();
        reactor
            .stop_on_signals(&signals)
            .map_err(StartupError::system("cannot handle signals"))?;
        self.is_starting.store(false, Ordering::SeqCst);
        end_if_blocked(exit, &signals, patience, reactor.handle())
    }
}

/// Which signals end a program whose loop is blocked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Each of them.
    None,
    /// The second one, and later ones, without counting SIGHUP: until then, the disk may answer
    /// again and let transfers go on.
    UntilSecondSignal,
}

fn ending() -> Vec<i32> {
    let is_ending = |signal: &i32| *signal != SIGHUP || !is_hangup_ignored();
    let real_time = SIGRTMIN()..=SIGRTMAX();
    ENDING
        .into_iter()
        .filter(is_ending)
        .chain(real_time)
        .collect()
}

/// Whether the program was started to ignore SIGHUP, as by nohup. Says no once the
/// program handles it.
pub(super) fn is_hangup_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored
        .and_then(|signals| u64::from_str_radix(signals.trim(), 16).ok())
        .is_some_and(|signals| signals & 1 << (SIGHUP - 1) != 0)
}

/// Makes a signal have no effect. With SIGXFSZ, a limit on the size of files makes writes
/// fail, as a full disk does.
pub(super) fn handle_by_nothing(signal: i32) -> Result<(), StartupError> {
    let result = flag::register(signal, Arc::default()).map(drop);
    result.map_err(StartupError::system("cannot handle signals"))
}

/// The loop handles all signals, but not while it waits for a slow reader of stdout, for the
/// reader of a FIFO, for a suspended terminal or for a disk. Then this ends the program. It
/// does so as well if the program goes on after a second signal.
fn end_if_blocked<M: Send + 'static>(
    exit: Exit,
    signals: &[i32],
    patience: Patience,
    program: Handle<M>,
) -> Result<(), StartupError> {
    let terminal = TerminalMode::current();
    let start = || {
        let mut arrived = Signals::new(signals)?;
        let body = move || {
            let mut count = 0;
            for signal in arrived.forever() {
                // A terminal that is closed sends SIGHUP more than once.
                count += usize::from(signal != SIGHUP);
                if count < 2 && patience == Patience::UntilSecondSignal {
                    continue;
                }
                if program.answers_within(HANDLING_TIMEOUT) {
                    if count < 2 {
                        continue;
                    }
                    thread::sleep(ENDING_TIMEOUT);
                }
                terminal.apply();
                process::exit(exit as i32);
            }
        };
        thread::Builder::new().name("signals".into()).spawn(body)
    };
    start()
        .map(drop)
        .map_err(StartupError::system("cannot handle signals"))
}

/// Calls `on_interrupt` after each SIGINT, in a thread of its own.
pub(super) fn handle_interrupts(
    on_interrupt: impl Fn() + Send + 'static,
) -> Result<(), StartupError> {
    handle(SIGINT, "interrupts", on_interrupt)
}

/// Calls `on_hangup` after each SIGHUP, in a thread of its own.
pub(super) fn handle_hangups(on_hangup: impl Fn() + Send + 'static) -> Result<(), StartupError> {
    handle(SIGHUP, "hangups", on_hangup)
}

/// Calls `on_signal` after each signal of this kind, in a thread with this name.
fn handle(
    signal: i32,
    thread: &str,
    on_signal: impl Fn() + Send + 'static,
) -> Result<(), StartupError> {
    let start = || {
        let (mut arrived, sender) = io::pipe()?;
        low_level::pipe::register(signal, sender)?;
        let body = move || {
            while arrived.read_exact(&mut [0]).is_ok() {
                on_signal();
            }
        };
        thread::Builder::new().name(thread.into()).spawn(body)
    };
    start()
        .map(drop)
        .map_err(StartupError::system("cannot handle signals"))
}
