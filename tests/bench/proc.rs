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

/// Processor time that all threads of a process have used, those that ended included.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let text = read(pid, "stat")?;
    parse_stat(&text).with_context(|| format!("unexpected /proc/{pid}/stat: {text}"))
}

/// Memory of a process.
pub(crate) fn memory(pid: u32) -> anyhow::Result<Memory> {
    let text = read(pid, "status")?;
    parse_status(&text).with_context(|| format!("unexpected /proc/{pid}/status: {text}"))
}

fn read(pid: u32, file: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{file}");
    std::fs::read_to_string(&path).with_context(|| format!("read {path}"))
}

fn parse_stat(text: &str) -> Option<Duration> {
    // The name in parentheses may hold blanks and parentheses itself. After it comes field 3;
    // utime and stime are fields 14 and 15.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let total = ticks()? + ticks()?;
    Some(Duration::from_millis(total * 1000 / TICKS))
}

fn parse_status(text: &str) -> Option<Memory> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let fields = "S 1 7 7 0 -1 4194560 900 0 3 0 250 17 0 0 20 0 4 0 99 1 2";
        for name in ["rds-csi", "a b", "a) S 1 (b"] {
            let text = format!("42 ({name}) {fields}");
            assert_eq!(parse_stat(&text), Some(Duration::from_millis(2670)), "{name}");
        }
        assert_eq!(parse_stat("42 (rds-csi) S 1"), None);
    }

    #[test]
    fn memory_is_read_by_name() {
        let text = "Name:\tx\nVmHWM:\t   30 kB\nVmRSS:\t   20 kB\nRssAnon:\t  10 kB\n";
        let expected = Memory { resident: 20, peak: 30, anonymous: 10 };
        assert_eq!(parse_status(text), Some(expected));
        assert_eq!(parse_status("VmRSS:\t 20 kB\n"), None);
    }

    #[test]
    fn this_process_has_used_something() {
        let own = std::process::id();
        let memory = memory(own).unwrap();
        assert!(memory.peak >= memory.resident && memory.resident > 0, "{memory:?}");
        assert!(cpu(own).unwrap() < Duration::from_hours(1));
    }
}
