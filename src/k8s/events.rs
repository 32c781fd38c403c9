//! Events on the Kubernetes API, for whoever asks `kubectl events --for pvc/NAME`.
//!
//! Best effort by design: posting never waits for the API and never fails, what is too much is
//! dropped and counted, and nothing is sent twice. The service account needs `create` and `patch` on
//! `events` of `events.k8s.io` in every namespace, and `get` on the Lease.

mod notice;
mod queue;
mod rate;
mod record;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::{Client, Config};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{Instrument, Span, debug, field, info, info_span, warn};

use crate::domain::claim::PvcRef;
use crate::domain::event::Event;
use crate::domain::id::VolumeId;
use crate::domain::leadership::Epoch;
use crate::k8s::object::EPOCH;
use crate::k8s::{Error, client, trace};
use crate::ports::Events;
use crate::telemetry::context::Place;

use self::notice::{Notice, clip};
use self::queue::{Key, Pushed, Queue, Waiting};
use self::rate::Rate;
use self::record::Record;

/// How long it took the last time, in milliseconds.
const TOOK_MS: &str = "rds.csi.srvlab.io/took-ms";
/// The trace of the operation that last caused it.
const TRACE_ID: &str = "rds.csi.srvlab.io/trace-id";

/// Different events of one severity that may wait. At ten a second the last of them is posted after
/// 51 s, when whoever looks for it has looked; at about 1 KiB each, both severities take 1 MiB.
const ROOM: usize = 512;
/// Ten events a second: half of what kube-controller-manager allows itself for everything it does
/// (`--kube-api-qps`). Each is one request, and now and then one more: to look for the uid of the
/// Lease, or to write anew what somebody has deleted.
const INTERVAL: Duration = Duration::from_millis(100);
/// Requests at once after a quiet time: a node with 50 volumes that is drained is told at once.
const BURST: u32 = 50;
/// The API refuses a longer name of an instance.
const MAX_INSTANCE: usize = 128;
/// The kind of the object that events about the controller itself are on.
const LEASE: &str = "Lease";

/// Finds the claim of a volume: `claimRef` of the PersistentVolume with its handle.
pub trait PvcLookup: fmt::Debug + Send + Sync {
    /// The claim, as far as it is known. Called for every event, so from memory, at once.
    fn pvc_of(&self, volume: &VolumeId) -> Option<PvcRef>;
}

/// Who posts, and how much.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of the driver.
    pub driver: String,
    /// The name of this pod.
    pub instance: String,
    /// Namespace of the Lease over which replicas elect: events about the controller are on it.
    pub lease_namespace: String,
    /// Name of that Lease.
    pub lease_name: String,
    /// The trace under which the caller of [`Events::post`] runs, if there is one.
    pub trace: fn() -> Option<String>,
    /// How much the API may be asked.
    pub limits: Limits,
}

/// How much the API may be asked. The default is right for a cluster; tests have others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Different events of one severity that may wait.
    pub room: usize,
    /// Time between requests.
    pub interval: Duration,
    /// Requests at once after a quiet time.
    pub burst: u32,
}

/// What became of events since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that the API took: new events, and counts on them.
    pub posted: u64,
    /// Different events that wait now.
    pub waiting: u64,
    /// Events without room to wait in.
    pub dropped: u64,
    /// Requests that failed. They are not repeated.
    pub failed: u64,
    /// Events about volumes whose claim is not known: they are in the log only.
    pub homeless: u64,
}

/// Events over the Kubernetes API. [`KubeEvents::run`] posts what [`Events::post`] takes.
pub struct KubeEvents {
    client: Client,
    settings: Settings,
    lookup: Arc<dyn PvcLookup>,
    queue: Queue,
    /// All but what waits, which is the queue's to say.
    counts: watch::Sender<Tally>,
}

/// The object that an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct About {
    api_version: &'static str,
    kind: &'static str,
    namespace: String,
    name: String,
    uid: Option<String>,
}

/// Annotations: what differs each time that the same thing happens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Marks(Vec<(&'static str, String)>);

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            room: ROOM,
            interval: INTERVAL,
            burst: BURST,
        }
    }
}

// === impl KubeEvents ===

impl KubeEvents {
    /// Events over a client of their own, so that they delay nothing else.
    ///
    /// # Errors
    /// [`Error::Client`] if `config` cannot be used.
    pub fn new(
        config: &Config,
        settings: Settings,
        lookup: Arc<dyn PvcLookup>,
    ) -> Result<Self, Error> {
        let client = client::for_calls(config.clone(), record::CALL)?;
        Ok(Self::over(client, settings, lookup))
    }

    fn over(client: Client, settings: Settings, lookup: Arc<dyn PvcLookup>) -> Self {
        Self {
            client,
            queue: Queue::new(settings.limits.room),
            settings,
            lookup,
            counts: watch::Sender::new(Tally::default()),
        }
    }

    /// Posts what waits, one event after the other, warnings first. Never ends; to be run once.
    ///
    /// # Cancellation
    /// Dropping it loses the event that is being posted; those that wait stay.
    pub async fn run(&self) {
        let Limits {
            interval, burst, ..
        } = self.settings.limits;
        let mut rate = Rate::new(interval, burst);
        let instance = clip(self.settings.instance.clone(), MAX_INSTANCE);
        let mut record = Record::new(self.settings.driver.clone(), instance);
        let mut failing = false;
        loop {
            self.queue.filled().await;
            // A warning that comes during the wait is still the first to go.
            while let Err(wait) = rate.take(Instant::now()) {
                sleep(wait).await;
            }
            let Some((key, happened)) = self.queue.pop() else {
                continue;
            };
            let (reason, object) = (key.reason, key.about.to_string());
            let span = posting(reason, &object, &happened);
            let posted = record.post(&self.client, key, happened);
            let posted = posted.instrument(span.clone()).await;
            trace::ended(&span, &posted, None);
            let Err(error) = posted else {
                failing = false;
                self.counts.send_modify(|counts| counts.posted += 1);
                continue;
            };
            self.counts.send_modify(|counts| counts.failed += 1);
            let error = &error as &dyn std::error::Error;
            if std::mem::replace(&mut failing, true) {
                debug!(reason, object, error, "an event could not be posted");
            } else {
                warn!(
                    reason,
                    object,
                    error,
                    "an event could not be posted; the next ones that fail are logged as debug"
                );
            }
        }
    }

    /// What became of events.
    pub fn tally(&self) -> Tally {
        Tally {
            waiting: u64::try_from(self.queue.len()).unwrap_or(u64::MAX),
            ..*self.counts.borrow()
        }
    }

    /// Waits until what became of events is so.
    pub async fn until(&self, so: impl Fn(Tally) -> bool) {
        let mut counts = self.counts.subscribe();
        // The sender lives as long as `self`.
        while !so(self.tally()) && counts.changed().await.is_ok() {}
    }

    /// Where an event belongs; `None` if the claim of its volume is not known.
    fn about(&self, event: &Event) -> Option<About> {
        let Some(volume) = event.what.volume() else {
            return Some(About {
                api_version: "coordination.k8s.io/v1",
                kind: LEASE,
                namespace: self.settings.lease_namespace.clone(),
                name: self.settings.lease_name.clone(),
                uid: None,
            });
        };
        let PvcRef {
            namespace,
            name,
            uid,
            volume_name: _,
        } = self.lookup.pvc_of(volume)?;
        Some(About {
            api_version: "v1",
            kind: "PersistentVolumeClaim",
            namespace,
            name,
            uid,
        })
    }
}

impl Events for KubeEvents {
    fn post(&self, event: Event) {
        let Notice {
            severity,
            reason,
            action,
            note,
            took,
        } = Notice::of(&event.what);
        let Some(about) = self.about(&event) else {
            self.counts.send_modify(|counts| counts.homeless += 1);
            let volume = event.what.volume().map(VolumeId::as_str);
            info!(
                reason,
                volume, note, "an event about a volume whose PersistentVolumeClaim is not known"
            );
            return;
        };
        let key = Key {
            about,
            severity,
            reason,
            action,
            note,
        };
        let happened = Waiting {
            times: 1,
            at: Timestamp::now(),
            marks: Marks::of(event.epoch, took, (self.settings.trace)()),
            cause: Place::current(),
        };
        if let Pushed::Dropped { first } = self.queue.push(key, happened) {
            self.counts.send_modify(|counts| counts.dropped += 1);
            if first {
                warn!(
                    room = self.settings.limits.room,
                    "too many events wait to be posted; more are dropped until none waits"
                );
            }
        }
    }
}

/// The span of a request, in the trace of what happened. The call that caused it may be answered by
/// now: nobody waits for events.
fn posting(reason: &'static str, object: &str, happened: &Waiting) -> Span {
    let span = info_span!(
        parent: None,
        "event.post",
        k8s.event.reason = reason,
        k8s.object = object,
        times = i64::from(happened.times),
        error = field::Empty,
        outcome = field::Empty,
    );
    if let Some(cause) = &happened.cause {
        cause.adopt(&span);
    }
    span
}

impl fmt::Debug for KubeEvents {
    /// Not the client: it carries tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubeEvents")
            .field("settings", &self.settings)
            .field("tally", &self.tally())
            .finish_non_exhaustive()
    }
}

// === impl About ===

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

// === impl Marks ===

impl Marks {
    fn of(epoch: Epoch, took: Option<Duration>, trace: Option<String>) -> Self {
        let mut marks = vec![(EPOCH, epoch.digits().to_string())];
        marks.extend(took.map(|took| (TOOK_MS, took.as_millis().to_string())));
        marks.extend(trace.map(|trace| (TRACE_ID, trace)));
        Self(marks)
    }
}

#[cfg(test)]
mod tests;
