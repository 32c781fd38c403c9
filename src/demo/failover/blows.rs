//! The leader is hit, and how long it takes until another one serves.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::time::Instant;

use super::director::{Director, Halt};
use super::tally::Failover;
use crate::workload::attacher::{Entry, What};
use crate::workload::cluster::Blow;

/// What the leader gets, in turn.
pub(super) const KINDS: [Kind; 3] = [
    Kind {
        name: "SIGKILL",
        blow: Blow::Kill,
        says: "it ends without a word",
    },
    Kind {
        name: "SIGSTOP",
        blow: Blow::Freeze,
        says: "it stands still, and does not know",
    },
    Kind {
        name: "SIGTERM",
        blow: Blow::Terminate,
        says: "it hands over",
    },
];
/// A leader is gone for the lease, 10 s, and two more; three times that is for a busy machine.
const SERVICE_LIMIT: Duration = Duration::from_secs(36);
/// A leader that was frozen past its lease must end at once when it goes on.
const END_LIMIT: Duration = Duration::from_secs(10);

/// One way to lose a leader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    name: &'static str,
    blow: Blow,
    says: &'static str,
}

// === impl Director ===

impl Director {
    /// Hits the leader and follows what comes of it, until the next one has answered a publish.
    pub(super) async fn fail_over(&mut self, kind: Kind) -> Result<(), Halt> {
        let leader = self.leader().await?;
        let mut journal = self.cluster.journal().subscribe();
        let start = Instant::now();
        self.say(&format!(
            "{} to {leader}, the leader: {}",
            kind.name, kind.says
        ))?;
        let victim = self.cluster.replica_mut(&leader);
        let hit = victim.map(|victim| victim.hit(kind.blow));
        if let Some(Err(error)) = hit {
            return Err(Halt::broken("signal the leader", error));
        }

        let mut ready = None;
        let served = loop {
            let found = next_publish(&mut journal, &leader, kind, &mut ready);
            if let Some(served) = found {
                break served;
            }
            if start.elapsed() > SERVICE_LIMIT {
                let state = self.state_of(&leader);
                let what = format!(
                    "nobody served for {SERVICE_LIMIT:?} after {} to {leader}; {state}",
                    kind.name
                );
                self.tally.violation(what);
                return self.look();
            }
            self.tick().await?;
        };
        let (pod, ready_at) = ready.unwrap_or((leader.as_str().into(), served));
        let lease = self.cluster.lease().unwrap_or_default();
        let failover = Failover {
            kind: kind.name,
            from: leader.clone(),
            to: pod.to_string(),
            epoch: lease.epoch,
            ms_to_ready: millis(ready_at - start),
            ms_to_first_publish: millis(served - start),
        };
        self.failed_over(failover)?;
        if kind.blow == Blow::Freeze {
            self.thaw(&leader).await?;
        }
        Ok(())
    }

    /// A deposed leader that goes on must find out by itself, and end.
    async fn thaw(&mut self, pod: &str) -> Result<(), Halt> {
        self.say(&format!(
            "SIGCONT to {pod}: it goes on where it stood still"
        ))?;
        let Some(replica) = self.cluster.replica_mut(pod) else {
            return Ok(());
        };
        replica
            .hit(Blow::Thaw)
            .map_err(|error| Halt::broken("signal the old leader", error))?;
        let start = Instant::now();
        if let Some(status) = replica.ended(END_LIMIT).await {
            let took = start.elapsed().as_millis();
            let line = format!("{pod} ended by itself after {took} ms ({status})");
            return self.say(&line);
        }
        self.tally.violation(format!(
            "{pod} went on for {END_LIMIT:?} after it had been deposed"
        ));
        self.look()
    }
}

/// Goes through the journal up to the first publish that a new leader answered; notes in `ready` who
/// that is and since when.
fn next_publish(
    journal: &mut Receiver<Entry>,
    leader: &str,
    kind: Kind,
    ready: &mut Option<(Arc<str>, Instant)>,
) -> Option<Instant> {
    loop {
        let entry = match journal.try_recv() {
            Ok(entry) => entry,
            // What was missed were calls; there are more.
            Err(TryRecvError::Lagged(_)) => continue,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
        };
        match entry.what {
            // A frozen leader cannot have answered, and an old one is not asked again: its sidecar
            // probes only when it has been started anew. Whoever was ready before and is overtaken
            // has ended without serving anybody.
            What::Probed { ready: true }
                if (kind.blow != Blow::Freeze || *entry.pod != *leader)
                    && ready.as_ref().is_none_or(|(pod, _)| *pod != entry.pod) =>
            {
                *ready = Some((entry.pod, entry.at));
            }
            What::Published(call) if call.error.is_none() => {
                let new = ready.as_ref().is_some_and(|(pod, _)| *pod == entry.pod);
                if new {
                    return Some(entry.at);
                }
            }
            _ => {}
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast;

    use super::*;
    use crate::workload::attacher::Call;

    fn ready() -> What {
        What::Probed { ready: true }
    }

    fn published(error: Option<&str>) -> What {
        What::Published(Call {
            attachment: "csi-1".to_owned(),
            took: Duration::ZERO,
            error: error.map(ToOwned::to_owned),
        })
    }

    /// Returns who serves, and which entry proved it.
    fn check(kind: Kind, entries: &[(&str, What)]) -> Option<(String, usize)> {
        let (sender, mut journal) = broadcast::channel(16);
        let start = Instant::now();
        for (number, (pod, what)) in (0..).zip(entries) {
            let entry = Entry {
                at: start + Duration::from_secs(number),
                pod: (*pod).into(),
                what: what.clone(),
            };
            sender.send(entry).expect("there is a reader");
        }
        let mut found = None;
        let served = next_publish(&mut journal, "old", kind, &mut found)?;
        let (pod, _) = found.expect("somebody was ready");
        let number = usize::try_from((served - start).as_secs()).expect("a small number");
        Some((pod.to_string(), number))
    }

    #[test]
    fn who_serves_is_whoever_answers_a_publish_after_it_said_ready() {
        let [kill, freeze, terminate] = KINDS;
        let new = |number| Some(("new".to_owned(), number));
        let late = published(Some("code = Unavailable"));
        let ok = || published(None);
        type Row<'a> = (Kind, Vec<(&'a str, What)>, Option<(String, usize)>);
        let rows: [Row<'_>; 7] = [
            (kill, vec![("new", ready()), ("new", ok())], new(1)),
            (kill, vec![("new", ready()), ("new", late)], None),
            // What the old leader still answers while it drains.
            (terminate, vec![("old", ok()), ("new", ready())], None),
            (
                terminate,
                vec![
                    ("old", ok()),
                    ("new", ready()),
                    ("old", ok()),
                    ("new", ok()),
                ],
                new(3),
            ),
            // A process of the same pod takes over, but not one that stands still.
            (
                kill,
                vec![("old", ready()), ("old", ok())],
                Some(("old".to_owned(), 1)),
            ),
            (freeze, vec![("old", ready()), ("old", ok())], None),
            // The first to be ready dies before it serves.
            (
                kill,
                vec![("old", ready()), ("new", ready()), ("new", ok())],
                new(2),
            ),
        ];
        for (kind, entries, expected) in rows {
            assert_eq!(check(kind, &entries), expected, "{entries:?}");
        }
    }
}
