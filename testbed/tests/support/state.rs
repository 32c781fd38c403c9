//! The state of a process, seen from outside.

use std::time::Duration;

/// The kernel kills the children of a dead process within milliseconds.
const LIMIT: Duration = Duration::from_secs(10);

/// How often to look.
const POLL: Duration = Duration::from_millis(10);

/// The state of a process: a letter such as `S` or `T`, and `None` if there is none. One that has
/// ended and that nobody has asked about yet counts as none: who adopts an orphan may be slow.
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program stands in parentheses and may hold anything.
    let (_, behind) = stat.rsplit_once(") ")?;
    behind.chars().next().filter(|state| !"ZX".contains(*state))
}

/// Waits until a process is in a state.
pub(crate) async fn wait_for(pid: u32, wanted: impl Fn(Option<char>) -> bool) {
    let mut tick = tokio::time::interval(POLL);
    let waiting = async {
        while !wanted(state(pid)) {
            tick.tick().await;
        }
    };
    let outcome = tokio::time::timeout(LIMIT, waiting).await;
    outcome.unwrap_or_else(|_| panic!("process {pid} is in state {:?}", state(pid)));
}
