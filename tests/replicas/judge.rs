//! Who answered OK, and whether it may have: an OK comes from a pod that has written the Lease not
//! long before.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt as _;
use rds_csi::proto::csi;
use rds_csi::proto::csi::controller_client::ControllerClient;
use rds_csi::proto::csi::volume_capability::access_mode::Mode;
use rds_csi::proto::csi::volume_capability::{AccessMode, AccessType, MountVolume};
use rds_csi::sim::kubernetes::KubeApi;
use rds_csi::workload::attacher::{Entry, What};
use rds_csi::workload::cluster::{Cluster, LEASE, LeaseTimes};
use rds_csi::workload::placement::Volume;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};
use tonic::Status;
use tonic::transport::Endpoint;

use crate::machines;

/// Shorter than a renewal, which is a read and a write of the Lease over HTTP.
const LOOK: Duration = Duration::from_millis(5);
/// How late a timer may be on a machine that has nothing else to do.
const TIMER: Duration = Duration::from_millis(2);
/// What is seen at the same time may be noted in the wrong order on a busy machine.
const ORDER: Duration = Duration::from_millis(200);
/// Between two calls of the one who calls everybody.
const CALL_EVERY: Duration = Duration::from_millis(150);
/// Longer than any freeze: an answer that comes after it is one that must not be OK.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Watches the Lease and all answers, from the start to the end of a test.
pub(crate) struct Judge {
    seen: Arc<Mutex<Seen>>,
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Seen {
    /// Every state of the Lease that was noticed: when, and whose it was.
    leases: Vec<(Instant, Option<String>)>,
    answers: Vec<Answer>,
    /// When a look came too late, and by how much.
    late: Vec<(Instant, Duration)>,
}

/// What a replica answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) at: Instant,
    pub(crate) pod: String,
    /// Only the calls of the one who calls everybody have a status.
    pub(crate) result: Result<(), Option<Status>>,
}

// === impl Judge ===

impl Judge {
    pub(crate) fn watch(cluster: &Cluster) -> Self {
        let seen = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(leases(cluster.api().clone(), Arc::clone(&seen)));
        tasks.spawn(sidecars(cluster.journal().subscribe(), Arc::clone(&seen)));
        let tasks = Mutex::new(tasks);
        Self { seen, tasks }
    }

    /// From now on somebody who does not care for Probe publishes this volume where it is already,
    /// again and again, at every replica.
    pub(crate) fn call_everybody(&self, cluster: &Cluster, volume: &Volume) {
        for replica in cluster.replicas() {
            let (pod, socket) = (replica.pod().to_owned(), replica.socket());
            let calls = calls(pod, socket, request(volume), Arc::clone(&self.seen));
            lock(&self.tasks).spawn(calls);
        }
    }

    /// Every answer of one pod so far.
    pub(crate) fn answers_of(&self, pod: &str) -> Vec<Answer> {
        let seen = lock(&self.seen);
        let answers = seen.answers.iter().filter(|answer| answer.pod == pod);
        answers.cloned().collect()
    }

    /// Every OK of one pod since then, by how long after.
    pub(crate) fn oks_since(&self, pod: &str, since: Instant) -> Vec<Duration> {
        let answers = self.answers_of(pod);
        let late = answers
            .iter()
            .filter(|one| one.at > since && one.result.is_ok());
        late.map(|one| one.at - since).collect()
    }

    /// For how long since then this machine was too busy to run us, and so probably the replicas.
    pub(crate) fn busy_since(&self, since: Instant) -> Duration {
        lock(&self.seen).busy_since(since)
    }

    /// What is wrong with the answers. An OK leaves a replica within the deadline after its last
    /// write to the Lease; the rest of a lease is for its way to us. Before that rest is over nobody
    /// else leads.
    pub(crate) fn verdict(&self, times: LeaseTimes) -> Vec<String> {
        let seen = lock(&self.seen);
        let oks = seen.answers.iter().filter(|answer| answer.result.is_ok());
        assert!(oks.clone().count() > 0, "nobody answered anything");
        let wrong = oks.filter_map(|ok| {
            let mut writes = seen.leases.iter().rev();
            let last = writes
                .find(|(at, pod)| *at <= ok.at + ORDER && pod.as_deref() == Some(ok.pod.as_str()));
            let age = last.map(|(at, _)| {
                let age = ok.at.saturating_duration_since(*at);
                age.saturating_sub(seen.busy_between(*at, ok.at))
            });
            let is_right = age.is_some_and(|age| age <= times.duration);
            (!is_right).then(|| format!("an OK of {} {age:?} after it wrote the Lease", ok.pod))
        });
        wrong.collect()
    }
}

// === impl Seen ===

impl Seen {
    fn busy_since(&self, since: Instant) -> Duration {
        self.busy_between(since, Instant::now())
    }

    fn busy_between(&self, since: Instant, until: Instant) -> Duration {
        let late = self.late.iter();
        let late = late.filter(|(at, _)| (since..=until).contains(at));
        late.map(|(_, by)| *by).sum()
    }
}

async fn leases(api: KubeApi, seen: Arc<Mutex<Seen>>) {
    let mut last = None;
    loop {
        let next = Instant::now() + LOOK;
        sleep_until(next).await;
        let late = next.elapsed().saturating_sub(TIMER);
        if !late.is_zero() {
            lock(&seen).late.push((Instant::now(), late));
        }
        let leases: Vec<Lease> = api.objects();
        let lease = leases.into_iter().find(|lease| lease.name_any() == LEASE);
        let version = lease.as_ref().and_then(Lease::resource_version);
        if version != last {
            last = version;
            let holder = lease.and_then(|lease| lease.spec?.holder_identity);
            // A holder is a pod's name, its UID, and a number of the process.
            let pod = holder.and_then(|holder| Some(holder.split_once('_')?.0.to_owned()));
            lock(&seen).leases.push((Instant::now(), pod));
        }
    }
}

async fn sidecars(mut journal: Receiver<Entry>, seen: Arc<Mutex<Seen>>) {
    loop {
        let entry = match journal.recv().await {
            Ok(entry) => entry,
            Err(RecvError::Lagged(count)) => panic!("{count} answers were not looked at"),
            Err(RecvError::Closed) => return,
        };
        if let What::Published(call) | What::Unpublished(call) = entry.what {
            let answer = Answer {
                at: entry.at,
                pod: entry.pod.to_string(),
                result: call.error.map_or(Ok(()), |_| Err(None)),
            };
            lock(&seen).answers.push(answer);
        }
    }
}

async fn calls(
    pod: String,
    socket: PathBuf,
    request: csi::ControllerPublishVolumeRequest,
    seen: Arc<Mutex<Seen>>,
) {
    let address = format!("unix://{}", socket.display());
    let channel = Endpoint::from_shared(address).unwrap().connect_lazy();
    let mut driver = ControllerClient::new(channel);
    let mut ticks = interval(CALL_EVERY);
    loop {
        ticks.tick().await;
        let mut call = tonic::Request::new(request.clone());
        call.set_timeout(CALL_LIMIT);
        let answered = driver.controller_publish_volume(call).await;
        let answer = Answer {
            at: Instant::now(),
            pod: pod.clone(),
            result: answered.map(drop).map_err(Some),
        };
        lock(&seen).answers.push(answer);
    }
}

fn request(volume: &Volume) -> csi::ControllerPublishVolumeRequest {
    let mount = MountVolume {
        fs_type: "ext4".to_owned(),
        ..Default::default()
    };
    // As the sidecar asks for the same volume.
    let mode = Mode::SingleNodeMultiWriter.into();
    csi::ControllerPublishVolumeRequest {
        volume_id: volume.handle.clone(),
        node_id: machines::STAYS.to_owned(),
        volume_capability: Some(csi::VolumeCapability {
            access_type: Some(AccessType::Mount(mount)),
            access_mode: Some(AccessMode { mode }),
        }),
        volume_context: volume.context.clone().into_iter().collect(),
        ..Default::default()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
