//! The machine: processors, a network namespace, and the resources of processes.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The congestion control of new connections in this network namespace.
pub(crate) const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// Which processor a process runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CpuRole {
    /// The first allowed processor.
    Server,
    /// The second one, or the first if there is only one.
    Load,
}

impl CpuRole {
    /// The number of its processor.
    pub(crate) fn cpu(self) -> io::Result<usize> {
        static ALLOWED: OnceLock<Vec<usize>> = OnceLock::new();
        // A process inherits the binding of the thread that starts it, so the set is read
        // once, before any thread is bound.
        let allowed = ALLOWED.get_or_init(|| {
            let set = sched_getaffinity(None).unwrap_or_default();
            (0..CpuSet::MAX_CPU)
                .filter(|cpu| set.is_set(*cpu))
                .collect()
        });
        let chosen = match self {
            Self::Server => allowed.first(),
            Self::Load => allowed.get(1).or(allowed.first()),
        };
        chosen
            .copied()
            .ok_or_else(|| io::Error::other("no processor"))
    }
}

/// Binds this thread, and the processes that it starts from now on, to a processor.
pub(crate) fn pin_to_cpu(cpu: usize) -> io::Result<()> {
    let mut only = CpuSet::new();
    only.set(cpu);
    Ok(sched_setaffinity(None, &only)?)
}

/// Restarts this program in a network namespace with only loopback. There the
/// congestion control may be changed and all ports are free. `setup` is a shell command
/// that configures the network. Returns only if the system does not allow it.
pub(crate) fn enter_network_namespace(setup: &str, args: &[String]) -> io::Error {
    let enter = &*format!("{setup} && exec \"$0\" \"$@\"");
    let this = match std::env::current_exe() {
        Ok(this) => this,
        Err(error) => return error,
    };
    let probe = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", enter, "true"])
        .output();
    match probe {
        Ok(output) if output.status.success() => {}
        Ok(output) => return io::Error::other(String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => return error,
    }
    Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", enter])
        .arg(this)
        .args(args)
        .exec()
}

/// The congestion control of new connections.
pub(crate) fn congestion_control() -> String {
    let name = fs::read_to_string(CONGESTION_CONTROL).unwrap_or_default();
    name.trim().to_owned()
}

/// The processor time of all threads of a process (proc(5)).
pub(crate) fn processor_time(pid: u32) -> io::Result<Duration> {
    // Fields 14 and 15 (utime, stime).
    ticks(&pid.to_string(), 14)
}

/// The sum of two successive fields of `/proc/PID/stat` that count ticks (proc(5)).
pub(crate) fn ticks(pid: &str, first: usize) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in brackets may contain blanks and brackets.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |number: usize| -> u64 {
        // The first field after the name is number 3.
        let field = fields.split_whitespace().nth(number - 3);
        field.and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
    };
    let ticks = ticks(first) + ticks(first + 1);
    Ok(Duration::from_secs_f64(
        ticks as f64 / clock_ticks_per_second() as f64,
    ))
}

/// A memory figure of a process in bytes, by its name in `/proc/PID/status`.
pub(crate) fn memory(pid: u32, name: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| io::Error::other(format!("no {name} in proc status")))
}

/// A description of the machine.
pub(crate) fn describe() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find(|line| line.starts_with("model name"));
    let model = model
        .and_then(|line| line.split(": ").nth(1))
        .unwrap_or("?");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{model}, {cores} processors, Linux {}, {} by default",
        kernel.trim(),
        congestion_control()
    )
}
