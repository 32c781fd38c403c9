//! What goes wrong between the appliance and its callers: faulty lines and server limits.
//!
//! A fault says what happens to a line; a matcher says to which lines; a count says how often.
//! Everything can be changed while callers are connected, and takes effect with the next line.

mod rule;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use self::rule::{Fault, Matcher, Rule};

/// What the server does with a channel beyond the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// The confirmation comes once another channel of the connection has closed: callers just wait.
    #[default]
    Stall,
    /// The channel is refused.
    Refuse,
}

/// How the SSH server behaves towards everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Transport {
    /// Milliseconds before every line runs.
    pub latency_ms: u64,
    /// Replies are sent in pieces of this size; 0 sends them whole.
    pub chunk_bytes: usize,
    /// Open channels per connection; 0 is no limit.
    pub max_channels: usize,
    /// What happens to channels beyond the limit.
    pub overflow: Overflow,
    /// Connections at a time; more are closed as soon as they are accepted. 0 is no limit.
    pub max_connections: usize,
    /// Answer `keepalive@openssh.com`. RouterOS does not.
    pub answer_keepalives: bool,
    /// Close channels without an exit status.
    pub omit_exit_status: bool,
}

/// The faults a line meets, in the order in which the server looks at them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) latency: Duration,
    pub(super) hold: bool,
    pub(super) before: Option<Before>,
    pub(super) after: Option<After>,
    pub(super) fill_to: usize,
}

/// What keeps a line from being run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    Drop,
    Stall,
}

/// What happens to the reply of a line that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Drop,
    Stall,
    Cut { at: Option<usize> },
    Trickle { bytes_per_second: u32 },
}

/// The faults in force. Clones share them.
#[derive(Clone, Debug)]
pub struct TransportFaults {
    state: Arc<Mutex<State>>,
    gate: watch::Sender<Gate>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    transport: Transport,
}

/// Lines waiting in [`Fault::Hold`], and how often they were released.
#[derive(Clone, Copy, Debug, Default)]
struct Gate {
    waiting: usize,
    releases: u64,
}

impl Default for TransportFaults {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            gate: watch::Sender::new(Gate::default()),
        }
    }
}

impl TransportFaults {
    /// Adds a rule behind those in force. Where two rules speak of the same thing, the later one
    /// counts.
    pub fn add(&self, rule: Rule) {
        self.lock().rules.push(rule);
    }

    /// Removes every rule. Lines already held stay held until [`TransportFaults::release`].
    pub fn clear(&self) {
        self.lock().rules.clear();
    }

    /// The rules in force, with the counts that are left.
    pub fn rules(&self) -> Vec<Rule> {
        self.lock().rules.clone()
    }

    /// How the SSH server behaves from now on.
    pub fn set_transport(&self, transport: Transport) {
        self.lock().transport = transport;
    }

    /// Changes one thing about the SSH server.
    pub fn change_transport(&self, change: impl FnOnce(&mut Transport)) {
        change(&mut self.lock().transport);
    }

    /// How the SSH server behaves.
    pub fn transport(&self) -> Transport {
        self.lock().transport.clone()
    }

    /// Lets every line run that waits in [`Fault::Hold`].
    pub fn release(&self) {
        self.gate.send_modify(|gate| gate.releases += 1);
    }

    /// Returns once `lines` lines wait in [`Fault::Hold`].
    pub async fn held(&self, lines: usize) {
        // The sender lives in self, so waiting cannot fail.
        drop(
            self.gate
                .subscribe()
                .wait_for(|gate| gate.waiting >= lines)
                .await,
        );
    }

    /// Waits in [`Fault::Hold`] until the next release.
    pub(super) async fn hold(&self) {
        let mut watch = self.gate.subscribe();
        let seen = watch.borrow().releases;
        self.gate.send_modify(|gate| gate.waiting += 1);
        drop(watch.wait_for(|gate| gate.releases > seen).await);
        self.gate.send_modify(|gate| gate.waiting -= 1);
    }

    /// What a line meets. Uses up one count of every rule that matches.
    pub(super) fn plan(&self, line: &str) -> Plan {
        let mut state = self.lock();
        let mut plan = Plan {
            latency: Duration::from_millis(state.transport.latency_ms),
            ..Plan::default()
        };
        for rule in &mut state.rules {
            if rule.times == Some(0) || !rule.on.matches(line) {
                continue;
            }
            rule.times = rule.times.map(|left| left.saturating_sub(1));
            plan.apply(&rule.fault);
        }
        state.rules.retain(|rule| rule.times != Some(0));
        plan
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Plan {
    fn apply(&mut self, fault: &Fault) {
        match *fault {
            Fault::DropBefore => self.before = Some(Before::Drop),
            Fault::StallBefore => self.before = Some(Before::Stall),
            Fault::DropAfter => self.after = Some(After::Drop),
            Fault::StallAfter => self.after = Some(After::Stall),
            Fault::DropMid { at } => self.after = Some(After::Cut { at }),
            Fault::Trickle { bytes_per_second } => {
                self.after = Some(After::Trickle { bytes_per_second });
            }
            Fault::Hold => self.hold = true,
            Fault::Latency { ms } => self.latency += Duration::from_millis(ms),
            Fault::Giant { bytes } => self.fill_to = bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counted_rule_meets_that_many_lines_only() {
        let faults = TransportFaults::default();
        faults.add(Rule {
            fault: Fault::DropAfter,
            on: Matcher::Contains("set".into()),
            times: Some(2),
        });
        let met: Vec<bool> = ["print", "set 1", "set 2", "set 3"]
            .into_iter()
            .map(|line| faults.plan(line).after == Some(After::Drop))
            .collect();
        assert_eq!(met, [false, true, true, false]);
        assert_eq!(faults.rules(), []);
    }

    #[test]
    fn latencies_add_up_and_a_later_reply_fault_counts() {
        let faults = TransportFaults::default();
        faults.change_transport(|transport| transport.latency_ms = 5);
        faults.add(Rule::always(Fault::Latency { ms: 10 }));
        faults.add(Rule::always(Fault::DropAfter));
        faults.add(Rule::always(Fault::DropMid { at: Some(3) }));
        let plan = faults.plan("x");
        assert_eq!(plan.latency, Duration::from_millis(15));
        assert_eq!(plan.after, Some(After::Cut { at: Some(3) }));
    }

    #[tokio::test]
    async fn a_held_line_waits_for_the_release() {
        let faults = TransportFaults::default();
        let held = tokio::spawn({
            let faults = faults.clone();
            async move { faults.hold().await }
        });
        faults.held(1).await;
        assert!(!held.is_finished());
        faults.release();
        held.await.unwrap();
    }
}
