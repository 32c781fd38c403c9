//! One replica that leads, in this process: real adapters to both sides, and calls as sidecars make
//! them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rds_csi::domain::access::{Access, AccessType, Mode};
use rds_csi::domain::context::Portal;
use rds_csi::domain::election::{HolderId, Standing, Timing};
use rds_csi::domain::error::Error;
use rds_csi::domain::event::{Event, What};
use rds_csi::domain::id::VolumeId;
use rds_csi::domain::leadership::{Epoch, Leadership};
use rds_csi::k8s::cluster::KubeCluster;
use rds_csi::k8s::events::{KubeEvents, Limits, Settings as EventSettings};
use rds_csi::k8s::lease::KubeLease;
use rds_csi::ports::{Clock, Events};
use rds_csi::service::election::Candidate;
use rds_csi::service::{Kubernetes, Pace, PublishVolume, Volumes};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::bed::replica::mount;
use crate::bed::{Context, Knobs, Replica, settings, until, within};
use crate::town::{DRIVER, Town};

/// The driver's bearer token.
pub(crate) const CLIENT: &str = "driver";
/// Reconcilers look so often: sixteen shards of two lines each are 320 lines a second.
const INTERVAL: Duration = Duration::from_millis(100);
/// What may be the middle of something is left alone for so long. Tests put the clock forward.
pub(crate) const GRACE: Duration = Duration::from_mins(5);
const LEASE: &str = "leader";
const NAMESPACE: &str = "rds-csi";

/// A leader. Dropping it ends it where it stands, as a crash would.
pub(crate) struct Leader {
    pub(crate) replica: Replica,
    pub(crate) cluster: Arc<KubeCluster>,
    recorder: Arc<Recorder>,
    _standing: watch::Sender<Standing>,
    _tasks: JoinSet<()>,
}

/// Keeps what people are told, and tells them.
#[derive(Debug)]
struct Recorder {
    told: Mutex<Vec<What>>,
    events: Arc<KubeEvents>,
}

impl Events for Recorder {
    fn post(&self, event: Event) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.push(event.what.clone());
        drop(told);
        self.events.post(event);
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.replica.volumes.cut("the process has crashed");
    }
}

// === impl Town ===

impl Town {
    /// A leader of this epoch, which has read both sides and reconciles.
    pub(crate) async fn leader(&self, epoch: u64) -> Leader {
        self.leader_at(epoch, INTERVAL).await
    }

    /// As [`Town::leader`], and what it does not repair when it takes over stays as it is until
    /// somebody calls.
    pub(crate) async fn lazy_leader(&self, epoch: u64) -> Leader {
        self.leader_at(epoch, Duration::from_hours(1)).await
    }

    async fn leader_at(&self, epoch: u64, interval: Duration) -> Leader {
        let leader = self.start(epoch, interval);
        leader.replica.ready().await;
        let mut changes = leader.cluster.changes();
        let cluster = Arc::clone(&leader.cluster);
        let whole = async move {
            while !cluster.counts().whole {
                changes.changed().await.unwrap();
            }
        };
        within(whole).await;
        leader
    }

    /// A leader that has read nothing yet.
    pub(crate) fn start(&self, epoch: u64, interval: Duration) -> Leader {
        let clock: Arc<dyn Clock> = self.bed.clock.clone();
        let api = self.api.config(CLIENT);
        let knobs = Knobs::default();
        let backend = self.bed.backend(&knobs);
        let cluster = Arc::new(KubeCluster::new(&api, DRIVER).unwrap());
        let told = EventSettings {
            driver: DRIVER.to_owned(),
            instance: format!("controller-{epoch}"),
            lease_namespace: NAMESPACE.to_owned(),
            lease_name: LEASE.to_owned(),
            trace: || None,
            limits: Limits::default(),
        };
        let events = Arc::new(KubeEvents::new(&api, told, cluster.clone()).unwrap());
        let recorder = Arc::new(Recorder {
            told: Mutex::default(),
            events: Arc::clone(&events),
        });
        let kubernetes = Kubernetes {
            cluster: cluster.clone(),
            events: recorder.clone(),
        };
        let volumes = Volumes::in_cluster(
            backend.clone(),
            Arc::clone(&clock),
            settings(&knobs),
            kubernetes,
        );

        // An election that is over: this replica is told what it is, and its reports go nowhere.
        let me = HolderId::of_process("controller", "uid", epoch).unwrap();
        let timing = Timing::default();
        let store = KubeLease::new(&api, NAMESPACE, LEASE, me.clone(), timing).unwrap();
        let (_, reports, _) = Candidate::new(me, timing, Arc::new(store), clock);
        let leadership = Leadership::standalone(Epoch::from_record(epoch));
        let (standing, told) = watch::channel(Standing::Leading(Arc::new(leadership)));

        let mut tasks = JoinSet::new();
        tasks.spawn(cluster.watch(CancellationToken::new()));
        tasks.spawn(async move { events.run().await });
        let (leading, grace) = (volumes.clone(), GRACE);
        let pace = Pace { interval, grace };
        Leader {
            replica: Replica {
                volumes,
                backend,
                reading: tokio::spawn(async move { leading.lead(told, reports, pace).await }),
            },
            cluster,
            recorder,
            _standing: standing,
            _tasks: tasks,
        }
    }
}

// === impl Leader ===

impl Leader {
    /// A new volume with its PersistentVolume.
    pub(crate) async fn create(&self, town: &Town, name: &str) -> VolumeId {
        self.create_as(town, name, false).await
    }

    /// A new volume that two nodes may have.
    pub(crate) async fn create_shared(&self, town: &Town, name: &str) -> VolumeId {
        self.create_as(town, name, true).await
    }

    async fn create_as(&self, town: &Town, name: &str, shared: bool) -> VolumeId {
        let id = self.replica.create(name).await.unwrap();
        town.volume(&id, shared);
        id
    }

    pub(crate) async fn publish(&self, id: &VolumeId, node: &str) -> Result<Context, Error> {
        self.replica.publish(id, node).await
    }

    /// Publishes a raw block volume that several nodes may have.
    pub(crate) async fn share(&self, id: &VolumeId, node: &str) -> Result<Context, Error> {
        let access = Access::new(Mode::MultiNodeMultiWriter, AccessType::Block).unwrap();
        self.publish_as(id, node, access).await
    }

    pub(crate) async fn publish_as(
        &self,
        id: &VolumeId,
        node: &str,
        access: Access,
    ) -> Result<Context, Error> {
        let request = PublishVolume {
            id: Some(id.clone()),
            node: node.parse().unwrap(),
            access,
            portal: Portal::default(),
        };
        let told = within(self.replica.volumes.publish(request)).await?;
        Ok(told.to_map().into_iter().collect())
    }

    pub(crate) async fn unpublish(&self, id: &VolumeId, node: &str) -> Result<(), Error> {
        self.replica.unpublish(id, node).await
    }

    /// The nodes that ListVolumes and ControllerGetVolume show for a volume.
    pub(crate) async fn published(&self, id: &VolumeId) -> Vec<String> {
        let status = within(self.replica.volumes.status(Some(id.clone()))).await;
        let page = within(self.replica.volumes.list(None, 0)).await.unwrap();
        let mut listed = page.entries.into_iter().filter(|entry| &entry.id == id);
        let published = status.unwrap().published;
        assert_eq!(listed.next().unwrap().published, published);
        published
    }

    /// The whole way that a volume goes to a node: wanted, published, recorded, staged, written to.
    pub(crate) async fn attach(&self, town: &Town, id: &VolumeId, node: &str) -> Context {
        town.want(id, node);
        let access = mount(Mode::SingleNodeWriter);
        let told = self.publish_as(id, node, access).await.unwrap();
        town.attached(id, node, &told);
        town.stage(node, id, &told);
        told
    }

    /// The same with a volume that several nodes may have.
    pub(crate) async fn attach_shared(&self, town: &Town, id: &VolumeId, node: &str) -> Context {
        town.want(id, node);
        let told = self.share(id, node).await.unwrap();
        town.attached(id, node, &told);
        town.stage(node, id, &told);
        told
    }

    /// The whole way back.
    pub(crate) async fn detach(&self, town: &Town, id: &VolumeId, node: &str) {
        town.bed.machine(node).disconnect(id.as_str());
        town.unwant(id, node);
        self.unpublish(id, node).await.unwrap();
        town.forget(id, node);
    }

    /// What people were told about a volume.
    pub(crate) fn told(&self, id: &VolumeId) -> Vec<What> {
        let told = &self.recorder.told;
        let told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let about = told.iter().filter(|what| what.volume() == Some(id));
        about.cloned().collect()
    }

    /// Waits until the reconcilers have begun and ended this many passes over the volume's shard.
    pub(crate) async fn passes(&self, town: &Town, id: &VolumeId, count: usize) {
        let since = town.bed.world().now_seq();
        // A pass lists each digit that it looks over by a line of its own; one that was under way
        // counts for nothing.
        let part: String = id.as_str().chars().take("csi-0".len()).collect();
        let part = format!("^{part}\"");
        until("the reconcilers have passed", || {
            let lines = town.bed.commands(since);
            let lists = lines.iter().filter(|line| line.text.contains(&part));
            lists.count() > 2 * (count + 1)
        })
        .await;
    }
}
