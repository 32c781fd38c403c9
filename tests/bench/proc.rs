//! What Linux says about a process: processor time and memory, from `/proc`.

use std::time::Duration;

use anyhow::Context as _;

/// Clock ticks per second in `/proc`. The kernel may tick as it likes; what it shows to programs is
/// fixed at 100 on every architecture that we build for.
const TICKS: u64 = 100;

/// Memory of one process, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident now, the program's own code included.
    pub(crate) resident: u64,
    /// The most that was ever resident.
    pub(crate) peak: u64,
    /// The part of `resident` that is heap and stacks.
    pub(crate) anonymous: u64,
}

/// Processor time that all threads of a process have used, those that ended included, and that of its
/// children that have ended and were waited for.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let text = read(pid, "stat")?;
    parse_stat(&text).with_context(|| format!("unexpected /proc/{pid}/stat: {text}"))
}

/// Memory of a process.
pub(crate) fn memory(pid: u32) -> anyhow::Result<Memory> {
    let text = read(pid, "status")?;
    parse_status(&text).with_context(|| format!("unexpected /proc/{pid}/status: {text}"))
}

/// Processor time that all processes of the machine have used, their system calls included.
pub(crate) fn machine() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    parse_machine(&text).context("unexpected /proc/stat")
}

fn read(pid: u32, file: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{file}");
    std::fs::read_to_string(&path).with_context(|| format!("read {path}"))
}

/// Fields 14 to 17 of `stat`: utime, stime, cutime and cstime.
pub(crate) fn parse_stat(text: &str) -> Option<Duration> {
    // The name in parentheses may hold blanks and parentheses itself. After it comes field 3.
    let (_, fields) = text.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(4);
    let ticks: Vec<u64> = ticks
        .map(|field| field.parse().ok())
        .collect::<Option<_>>()?;
    (ticks.len() == 4).then(|| span(ticks.iter().sum()))
}

/// User, nice and system time in the first line of `/proc/stat`. What comes after them is idling,
/// waiting, and interrupts that belong to no process.
pub(crate) fn parse_machine(text: &str) -> Option<Duration> {
    let fields = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks = fields.split_whitespace().take(3).map(str::parse::<u64>);
    let ticks: Vec<u64> = ticks.collect::<Result<_, _>>().ok()?;
    (ticks.len() == 3).then(|| span(ticks.iter().sum()))
}

fn span(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / TICKS)
}

/// The three figures by their names in `status`.
pub(crate) fn parse_status(text: &str) -> Option<Memory> {
    let kib = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some(Memory {
        resident: kib("VmRSS:")?,
        peak: kib("VmHWM:")?,
        anonymous: kib("RssAnon:")?,
    })
}
