//! The machine: a processor for the servers and one for the load, a network of
//! our own, and what a process has used.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// What Linux says about how TCP limits its rate, within our network.
const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// Who runs where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// On the first processor that we may use.
    Server,
    /// On the second one; where there is only one, on the same.
    Load,
}

/// Moves this thread, and what it starts from now on, to its processor.
pub(crate) fn settle(side: Side) -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    let first = cores.next();
    let core = match side {
        Side::Server => first,
        Side::Load => cores.next().or(first),
    };
    let mut only = CpuSet::new();
    only.set(core.ok_or_else(|| io::Error::other("no processor"))?);
    Ok(sched_setaffinity(None, &only)?)
}

/// Becomes the same program in a network of its own that has nothing but
/// loopback: there we may choose the congestion control, and no port is taken.
/// Returns only if the system does not allow it.
pub(crate) fn enter_own_network(args: &[String]) -> io::Error {
    let enter = "ip link set lo up && exec \"$0\" \"$@\"";
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

/// How TCP limits its rate.
pub(crate) fn congestion_control() -> String {
    let name = fs::read_to_string(CONGESTION_CONTROL).unwrap_or_default();
    name.trim().to_owned()
}

/// Lets connections that are made from now on limit their rate in this way.
pub(crate) fn set_congestion_control(name: &str) -> io::Result<()> {
    fs::write(CONGESTION_CONTROL, name)
}

/// The processor time that a process has used, of all its threads (proc(5)).
pub(crate) fn processor_time(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in brackets, may hold anything.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |nth: usize| -> u64 {
        let field = fields.split_whitespace().nth(nth);
        field.and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
    };
    // Fields 14 and 15, the third being the first after the name.
    let ticks = ticks(11) + ticks(12);
    Ok(Duration::from_secs_f64(
        ticks as f64 / clock_ticks_per_second() as f64,
    ))
}

/// Bytes of memory that are a process's own: no files, nothing shared.
pub(crate) fn own_memory(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| io::Error::other("RssAnon is not told"))
}

/// What was measured where, for the head of the table.
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
