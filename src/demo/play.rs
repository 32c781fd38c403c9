//! Makes each step happen, and looks at the RDS right after it.

mod machine;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tonic::Status;

use crate::csi::status::{self, OK};
use crate::demo::cast::Cast;
use crate::demo::client::{Told, Volume};
use crate::demo::judge::{Outcome, RdsLine, Seen};
use crate::demo::lines;
use crate::demo::story::{Act, result};
use crate::sim::observer::{Entry, What};

/// Each call has its own deadline, 15 s, so this is only for what has none: twice as long.
const STEP_LIMIT: Duration = Duration::from_secs(30);
/// csi-lib-utils asks once a second; a demo has less patience.
const PROBE_PAUSE: Duration = Duration::from_millis(20);
/// Names that are remembered to see that none comes twice: two for each grant, so that an hour of
/// moves, one in two seconds, fits. About 100 bytes each.
const NAMES_KEPT: usize = 4_096;
const GIB: i64 = 1 << 30;

/// The volume's life so far, as its users know it.
#[derive(Debug)]
pub(super) struct Play {
    pub(super) cast: Cast,
    name: &'static str,
    volume: Option<Volume>,
    /// What each node was told last.
    told: BTreeMap<&'static str, Told>,
    /// The names that anybody was told, the newest last.
    used: VecDeque<String>,
    /// The last write that a machine was told has arrived.
    acknowledged: Option<String>,
    /// When the RDS cut the last holder, by its own clock.
    cut_at: Option<Duration>,
}

// === impl Play ===

impl Play {
    /// The life of a volume that is asked for under this name.
    pub(super) fn new(cast: Cast, name: &'static str) -> Self {
        Self {
            cast,
            name,
            volume: None,
            told: BTreeMap::new(),
            used: VecDeque::new(),
            acknowledged: None,
            cut_at: None,
        }
    }

    /// The same cast with another volume.
    pub(super) fn next(self, name: &'static str) -> Self {
        Self::new(self.cast, name)
    }

    /// Does it. Whatever comes of it is seen, not an error: the judge knows what it should be.
    pub(super) async fn step(&mut self, act: Act) -> Seen {
        let (start, seq) = (Instant::now(), self.cast.sim.world().now_seq());
        let outcome = timeout(STEP_LIMIT, self.perform(act)).await;
        let outcome = outcome.unwrap_or_else(|_| Outcome {
            result: result::IMPOSSIBLE,
            detail: format!("no end within {STEP_LIMIT:?}"),
        });
        let took = start.elapsed();
        let log = self.cast.sim.world().log(seq);
        let settled = self.follow(act, &log);
        let at = start.duration_since(self.cast.began);
        self.look(Seen {
            at,
            took,
            outcome,
            lines: log.iter().filter_map(|entry| rds_line(entry, at)).collect(),
            settled,
            ..Seen::default()
        })
    }

    async fn perform(&mut self, act: Act) -> Outcome {
        match act {
            Act::Probe => self.probe().await,
            Act::Create => self.create().await,
            Act::Publish(node) => self.publish(node).await,
            Act::Unpublish(node) => self.unpublish(node).await,
            Act::Expand => self.expand().await,
            Act::Delete => self.delete().await,
            act => self.on_machine(act).await,
        }
    }

    /// Adds what the RDS looks like now.
    fn look(&self, seen: Seen) -> Seen {
        let world = self.cast.sim.world();
        let slot = self.slot();
        let writers: BTreeSet<String> = world
            .sessions()
            .iter()
            .map(|session| session.machine.to_string())
            .collect();
        let stamp = world.read_backing(slot, 0);
        let on_disk = stamp.map(|stamp| readable(&String::from_utf8_lossy(stamp.as_bytes())));
        // Findings that were not kept are of either kind; one is as bad as the other.
        let beyond = usize::try_from(world.findings_dropped()).unwrap_or(usize::MAX);
        Seen {
            writers: writers.into_iter().collect(),
            acknowledged: self.acknowledged.clone(),
            on_disk,
            second_writers: world.second_writers().len().saturating_add(beyond),
            replayed_writes: world.replayed_writes().len(),
            ..seen
        }
    }

    /// Keeps account of cuts; for a grant, the time since the last one.
    fn follow(&mut self, act: Act, log: &[Entry]) -> Option<Duration> {
        let at = |word: &str| {
            let with_word = log.iter().find(|entry| match &entry.what {
                What::Command(command) => lines::summary(&command.text).contains(word),
                _ => false,
            });
            with_word.map(|entry| entry.at)
        };
        match act {
            Act::Unpublish(_) => {
                self.cut_at = at("cut").or(self.cut_at);
                None
            }
            Act::Publish(_) => at("open")?.checked_sub(self.cut_at?),
            _ => None,
        }
    }

    /// The name of the volume's entry on the RDS, which is its id.
    fn slot(&self) -> &str {
        self.volume.as_ref().map_or("", |volume| &volume.id)
    }
}

// === The calls ===

impl Play {
    async fn probe(&mut self) -> Outcome {
        let mut pause = interval(PROBE_PAUSE);
        pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pause.tick().await;
            // The socket may not be there yet, as for a sidecar that starts first.
            if let Ok(true) = self.cast.csi.probe().await {
                return ok("");
            }
        }
    }

    async fn create(&mut self) -> Outcome {
        match self.cast.csi.create(self.name, GIB).await {
            Ok(volume) => {
                let outcome = ok(format!("{} of {}", volume.id, size(volume.bytes)));
                self.volume = Some(volume);
                outcome
            }
            Err(status) => refused(&status),
        }
    }

    async fn publish(&mut self, node: &'static str) -> Outcome {
        let Some(volume) = &self.volume else {
            return impossible("there is no volume");
        };
        let told = match self.cast.csi.publish(volume, node).await {
            Ok(told) => told,
            Err(status) => return refused(&status),
        };
        if self.told.get(node) == Some(&told) {
            return ok("the same names as before");
        }
        for key in ["nvme_nqn", "nvme_hostnqn"] {
            let name = told.get(key).cloned().unwrap_or_default();
            if name.is_empty() || self.used.contains(&name) {
                return ok(format!("{key} is not new: {name}"));
            }
            self.used.push_back(name);
            if self.used.len() > NAMES_KEPT {
                self.used.pop_front();
            }
        }
        let detail = format!("fresh names: {}", ending(&told));
        self.told.insert(node, told);
        ok(detail)
    }

    async fn unpublish(&mut self, node: &str) -> Outcome {
        let Some(volume) = &self.volume else {
            return impossible("there is no volume");
        };
        match self.cast.csi.unpublish(volume, node).await {
            Ok(()) => ok(""),
            Err(status) => refused(&status),
        }
    }

    async fn expand(&mut self) -> Outcome {
        let Some(volume) = &mut self.volume else {
            return impossible("there is no volume");
        };
        match self.cast.csi.expand(volume, volume.bytes * 2).await {
            Ok(bytes) => {
                volume.bytes = bytes;
                ok(size(bytes))
            }
            Err(status) => refused(&status),
        }
    }

    async fn delete(&mut self) -> Outcome {
        let Some(volume) = self.volume.clone() else {
            return impossible("there is no volume");
        };
        if let Err(status) = self.cast.csi.delete(&volume).await {
            return refused(&status);
        }
        let world = self.cast.sim.world();
        let entries = world.disks().into_iter().map(|disk| disk.slot);
        let left: Vec<String> = entries
            .chain(world.files())
            .filter(|name| name.contains(&volume.id))
            .collect();
        if !left.is_empty() {
            return ok(format!("left on the RDS: {}", left.join(", ")));
        }
        self.volume = None;
        self.acknowledged = None;
        ok("nothing is left of it on the RDS")
    }
}

fn ok(detail: impl Into<String>) -> Outcome {
    saw(OK, detail)
}

fn refused(status: &Status) -> Outcome {
    saw(status::outcome(status), status.message())
}

fn impossible(why: &str) -> Outcome {
    saw(result::IMPOSSIBLE, why)
}

fn saw(result: &'static str, detail: impl Into<String>) -> Outcome {
    Outcome {
        result,
        detail: detail.into(),
    }
}

/// What tells the names of a grant from others: whose, epoch, time, random. It is the end of the host
/// name; the rest is the same for every volume of a cluster.
fn ending(told: &Told) -> String {
    let host = told.get("nvme_hostnqn").map_or("", String::as_str);
    let mut parts = host.rsplitn(3, ':');
    match (parts.next(), parts.next()) {
        (Some(tail), Some(node)) => format!("...:{node}:{tail}"),
        _ => host.to_owned(),
    }
}

fn size(bytes: i64) -> String {
    if bytes % GIB == 0 {
        format!("{} GiB", bytes / GIB)
    } else {
        format!("{bytes} bytes")
    }
}

/// `node-a:csi-0123:7` is the seventh write of node-a.
fn readable(stamp: &str) -> String {
    match (stamp.split(':').next(), stamp.rsplit(':').next()) {
        (Some(node), Some(number)) => format!("{node} #{number}"),
        _ => stamp.to_owned(),
    }
}

/// A command line of the log; how it ended is said if it did not end well.
fn rds_line(entry: &Entry, step_at: Duration) -> Option<RdsLine> {
    use crate::sim::observer::Outcome::{Abandoned, Done, Failed, Interrupted, ParseError};
    let What::Command(command) = &entry.what else {
        return None;
    };
    let mut words = lines::summary(&command.text);
    match &command.outcome {
        Done => {}
        ParseError(text) | Failed(text) => words = format!("{words} FAILED: {text}"),
        Abandoned | Interrupted => words.push_str(" BROKEN OFF"),
    }
    Some(RdsLine {
        after: entry.at.saturating_sub(step_at),
        words,
    })
}
