//! A stand-in for external-attacher: the sidecar that turns VolumeAttachments into CSI calls.
//!
//! It does what the real one (v4.12) was seen to do, in the order in which it does it: it waits in
//! Probe until the driver is ready, marks an attachment *before* it calls ControllerPublishVolume,
//! writes without preconditions, and ends when it has to dial the driver a second time. It has no
//! election of its own: Probe is the gate.

mod calls;
mod compare;
mod handler;
mod journal;
mod process;
mod queue;
mod request;
mod writes;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::calls::CallError;
pub use self::handler::Failure;
pub use self::journal::{Call, Counts, Entry, Journal, What};

/// How fast it is. The default is what the real one is shipped with.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two Probes of a driver that is not ready.
    pub probe: Duration,
    /// The deadline of every call but the first few (`--timeout`).
    pub call: Duration,
    /// The wait after the first failure of an attachment, doubled with every other
    /// (`--retry-interval-start`).
    pub first_retry: Duration,
    /// Where that ends (`--retry-interval-max`).
    pub longest_retry: Duration,
    /// How often ListVolumes is compared with the attachments (`--reconcile-sync`).
    pub compare: Duration,
    /// How often every attachment is looked at again (`--resync`).
    pub resync: Duration,
    /// The rest after a watch has failed, before the next list.
    pub relist: Duration,
    /// How long kubelet takes to start it again after it has ended.
    pub restart: Duration,
}

/// One sidecar.
#[derive(Clone, Debug)]
pub struct Options {
    /// The pod it is in, for the journal.
    pub pod: String,
    /// The driver's socket in that pod.
    pub socket: PathBuf,
    /// Its way to the Kubernetes API. Each life of the process makes its own connections.
    pub api: kube::Config,
    /// How fast it is.
    pub pace: Pace,
    /// Where it notes what it does.
    pub journal: Journal,
}

/// What it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There is no socket to connect to yet.
    Connecting,
    /// The driver is asked whether it is ready.
    Probing,
    /// Attachments are worked on.
    Working,
    /// It has ended, and kubelet has not started it again yet.
    Down,
}

/// A running sidecar. Dropping it kills it, as the end of its pod does.
#[derive(Debug)]
pub struct Attacher {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What one life of the process leaves to the next.
#[derive(Debug)]
struct Shared {
    options: Options,
    stage: watch::Sender<Stage>,
    counts: journal::Counter,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            probe: Duration::from_secs(1),
            call: Duration::from_secs(15),
            first_retry: Duration::from_secs(1),
            longest_retry: Duration::from_mins(5),
            compare: Duration::from_mins(1),
            resync: Duration::from_mins(10),
            relist: Duration::from_millis(800),
            restart: Duration::from_secs(1),
        }
    }
}

// === impl Pace ===

impl Pace {
    /// Twenty times as fast, so that a test or a demo measures the driver and not the sidecar. The
    /// deadline of a call stays: it is the driver's to keep.
    pub fn quick() -> Self {
        Self {
            probe: Duration::from_millis(50),
            first_retry: Duration::from_millis(50),
            longest_retry: Duration::from_secs(1),
            compare: Duration::from_secs(3),
            relist: Duration::from_millis(40),
            restart: Duration::from_millis(50),
            ..Self::default()
        }
    }
}

// === impl Attacher ===

impl Attacher {
    /// Starts it. It connects when there is a socket.
    pub fn start(options: Options) -> Self {
        let shared = Arc::new(Shared {
            options,
            stage: watch::Sender::new(Stage::Connecting),
            counts: journal::Counter::default(),
        });
        let task = tokio::spawn(process::lives(Arc::clone(&shared)));
        Self { shared, task }
    }

    /// What it has done since it was first started.
    pub fn counts(&self) -> Counts {
        self.shared.counts.read()
    }

    /// What it is doing, and whenever that changes.
    pub fn stage(&self) -> watch::Receiver<Stage> {
        self.shared.stage.subscribe()
    }
}

impl Drop for Attacher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Shared ===

impl Shared {
    fn enter(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    fn note(&self, what: What) {
        self.counts.count(&what);
        self.options.journal.note(&self.options.pod, what);
    }
}
