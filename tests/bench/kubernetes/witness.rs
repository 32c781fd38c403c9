//! When attachments came, were answered, and went, as a watch tells within milliseconds; and when
//! machines first wrote, as the simulated RDS saw it.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use rds_csi::sim::observer::What;
use rds_csi::sim::world::World;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

/// Between two looks at the log of the RDS: how exact the time of a first write is.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Failures that are printed: where there are more, they are like the first.
const TOLD: u64 = 5;

/// Attachments as they are seen from now on, by the name of their PersistentVolume. One that was seen
/// before under that name is forgotten when the next one comes.
#[derive(Debug)]
pub(crate) struct Witness {
    seen: watch::Receiver<Seen>,
    _watch: JoinSet<()>,
}

/// What has been seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// When each came.
    pub(crate) made: BTreeMap<String, Instant>,
    /// When each was first said to be attached.
    pub(crate) attached: BTreeMap<String, Instant>,
    /// When each went.
    pub(crate) gone: BTreeMap<String, Instant>,
    /// How often external-attacher reported that a call failed.
    failures: u64,
    /// The last failure of each attachment, as it said.
    errors: BTreeMap<String, String>,
}

// === impl Witness ===

impl Witness {
    /// Watches the attachments of one driver.
    pub(crate) fn new(client: &Client, driver: &str) -> Self {
        let (sender, seen) = watch::channel(Seen::default());
        let mut watch = JoinSet::new();
        watch.spawn(follow(Api::all(client.clone()), driver.to_owned(), sender));
        Self {
            seen,
            _watch: watch,
        }
    }

    /// Waits until what was seen is enough, and gives what `look` makes of it.
    pub(crate) async fn wait<T>(
        &self,
        what: &str,
        limit: Duration,
        look: impl Fn(&Seen) -> Option<T>,
    ) -> anyhow::Result<T> {
        let mut seen = self.seen.clone();
        let enough = seen.wait_for(|seen| look(seen).is_some());
        let late = || format!("{what}: not within {limit:?}");
        let enough = timeout(limit, enough).await.with_context(late)??;
        look(&enough).context("what was seen a moment ago")
    }

    /// How many calls have failed so far, by external-attacher's own account.
    pub(crate) fn failures(&self) -> u64 {
        self.seen.borrow().failures
    }

    /// When the volume was attached.
    pub(crate) async fn attached(&self, volume: &str, limit: Duration) -> anyhow::Result<Instant> {
        let what = format!("attach {volume}");
        self.wait(&what, limit, |seen| seen.attached.get(volume).copied())
            .await
    }
}

// === impl Seen ===

impl Seen {
    /// It is told again with every other change of the attachment, and counts once.
    fn failed(&mut self, volume: &str, error: String) {
        if self.errors.get(volume) == Some(&error) {
            return;
        }
        if self.failures < TOLD {
            eprintln!("{volume}: {error}");
        }
        self.failures += 1;
        self.errors.insert(volume.to_owned(), error);
    }
}

async fn follow(api: Api<VolumeAttachment>, driver: String, seen: watch::Sender<Seen>) {
    let mut events = pin!(watcher(api, watcher::Config::default()));
    // The library takes up a watch again by itself.
    while let Some(event) = events.next().await {
        let (attachment, is_gone) = match event {
            Ok(Event::InitApply(one) | Event::Apply(one)) => (one, false),
            Ok(Event::Delete(one)) => (one, true),
            Ok(Event::Init | Event::InitDone) | Err(_) => continue,
        };
        let Some(volume) = attachment.spec.source.persistent_volume_name else {
            continue;
        };
        if attachment.spec.attacher != driver {
            continue;
        }
        let status = attachment.status.unwrap_or_default();
        let error = status.attach_error.or(status.detach_error);
        let error = error.and_then(|error| error.message);
        let now = Instant::now();
        seen.send_modify(|seen| {
            if let Some(error) = error {
                seen.failed(&volume, error);
            }
            if is_gone {
                seen.gone.insert(volume, now);
                return;
            }
            if seen.gone.remove(&volume).is_some() {
                seen.made.remove(&volume);
                seen.attached.remove(&volume);
            }
            seen.made.entry(volume.clone()).or_insert(now);
            if status.attached {
                seen.attached.entry(volume).or_insert(now);
            }
        });
    }
}

/// When each of these volumes was first written to, from a moment of the RDS's log on.
pub(crate) async fn first_writes(
    world: Arc<World>,
    mut since: u64,
    handles: Vec<String>,
    limit: Duration,
) -> anyhow::Result<BTreeMap<String, Instant>> {
    let mut first = BTreeMap::new();
    let look = async {
        let mut ticks = interval(LOOK_EVERY);
        while first.len() < handles.len() {
            let now = ticks.tick().await;
            for entry in world.log(since) {
                since = entry.seq;
                if let What::WriteAccepted(write) = entry.what
                    && let slot = write.slot.to_string()
                    && handles.contains(&slot)
                {
                    first.entry(slot).or_insert(now);
                }
            }
        }
    };
    if timeout(limit, look).await.is_err() {
        let (seen, all) = (first.len(), handles.len());
        bail!("{seen} of {all} volumes were written to within {limit:?}");
    }
    Ok(first)
}
