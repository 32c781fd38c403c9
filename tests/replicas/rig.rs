//! A cluster with short times, machines that write all the while, and what is done to it.

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use rds_csi::workload::cluster::{Blow, Cluster, LEASE, LeaseTimes, LeaseView, NAMESPACE, Options};
use rds_csi::workload::placement::Volume;
use rds_csi::workload::provisioner::Provisioner;
use rds_csi::workload::way::{Condition, Way};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::judge::Judge;
use crate::machines::{self, Traffic};

/// A test that waits longer than this hangs. Only a failing test waits it out.
pub(crate) const HANG: Duration = Duration::from_mins(1);
/// How often to look whether something has happened.
pub(crate) const POLL: Duration = Duration::from_millis(20);
const GIB: i64 = 1 << 30;

/// 2 s, 1.2 s, 0.4 s: a fifth of the default. So outages of 5 s and 30 s become 1 s and 6 s.
pub(crate) const TIMES: LeaseTimes = LeaseTimes {
    duration: Duration::from_secs(2),
    deadline: Duration::from_millis(1200),
    retry: Duration::from_millis(400),
};
/// Three times as long, where the same leader is to stay on a machine that does much else, or where
/// something takes its time whatever the lease.
pub(crate) const SLOW: LeaseTimes = LeaseTimes {
    duration: Duration::from_secs(6),
    deadline: Duration::from_millis(3600),
    retry: Duration::from_millis(1200),
};
/// What the default's seconds become.
pub(crate) const SCALE: u32 = 5;
/// How long after the end of a fault the service may take to be back, beyond a lease.
const REBUILD: Duration = Duration::from_secs(2);
/// The longest back-off of the sidecar, which it may have just begun when the service is back.
const BACK_OFF: Duration = Duration::from_secs(1);

/// A running cluster.
pub(crate) struct Rig {
    pub(crate) cluster: Cluster,
    pub(crate) times: LeaseTimes,
    judge: Judge,
    traffic: Traffic,
    hand: Api<Lease>,
}

/// The service after a fault.
pub(crate) struct Back {
    /// Who serves.
    pub(crate) pod: String,
    /// How long it took until Probe said so.
    pub(crate) ready: Duration,
}

// === impl Rig ===

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn slow() -> Self {
        Self::with(|options| options.lease = Some(SLOW)).await
    }

    /// Started, one volume in use where it stays, and one that moves and moves.
    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_rds-csi"));
        let flags = [
            "--unsafe-revoke-settle",
            "--unsafe-lease-duration",
            // Somebody calls followers all the while, and each refusal is a line.
            "--log-level=info,rds_csi::csi::observe=error",
        ];
        let mut options = Options {
            lease: Some(TIMES),
            revoke_settle: Duration::from_millis(1),
            arguments: flags.map(ToOwned::to_owned).into(),
            ..Options::of(program)
        };
        change(&mut options);
        let times = options.lease.unwrap();
        let cluster = Cluster::start(options).await.unwrap();
        // As the last leader of an earlier installation left it: nobody needs to wait.
        cluster.api().seed(&released()).unwrap();
        let judge = Judge::watch(&cluster);
        machines::boot(&cluster);
        let client = Client::try_from(cluster.api().config("hand")).unwrap();
        let provisioner = cluster.provisioner();
        let [stays, moves] = ["pv-stays", "pv-moves"];
        let stays = create(&cluster, &provisioner, stays).await;
        let moves = create(&cluster, &provisioner, moves).await;
        machines::settle(&cluster, &stays).await;
        judge.call_everybody(&cluster, &stays);
        let rig = Self {
            traffic: Traffic::start(&cluster, moves),
            hand: Api::namespaced(client, NAMESPACE),
            cluster,
            times,
            judge,
        };
        rig.traffic.attached_after(Instant::now()).await;
        rig
    }

    /// The pod that serves, as soon as one does.
    pub(crate) async fn leader(&self) -> String {
        let look = async {
            let mut ticks = tokio::time::interval(POLL);
            loop {
                ticks.tick().await;
                if let Some(pod) = self.serving().await {
                    return pod;
                }
            }
        };
        let found = timeout(HANG, look).await;
        found.unwrap_or_else(|_| panic!("nobody leads\n{}", self.logs()))
    }

    /// All are asked at once: one that is frozen answers nothing.
    async fn serving(&self) -> Option<String> {
        let asked = self.cluster.replicas().iter().map(|one| async {
            let ready = Provisioner::new(vec![one.socket()]).ready().await;
            ready.map(|_| one.pod().to_owned())
        });
        let mut answers = pin!(asked.collect::<FuturesUnordered<_>>());
        while let Some(answer) = answers.next().await {
            if answer.is_some() {
                return answer;
            }
        }
        None
    }

    /// Waits until calls are served and volumes move again after a fault that ended at `end`, and
    /// says who serves. That takes a lease and 2 s at most, not counting what other programs on this
    /// machine took from us.
    pub(crate) async fn back(&self, end: Instant, what: &str) -> Back {
        let pod = self.leader().await;
        let ready = end.elapsed();
        let attached = self.traffic.attached_after(Instant::now()).await;
        let attached = attached.saturating_duration_since(end);
        let busy = self.judge.busy_since(end);
        println!("{what}: {pod} ready after {ready:?}, attached after {attached:?}, busy {busy:?}");
        let limit = self.times.duration + REBUILD + busy;
        assert!(ready <= limit, "{what}: {ready:?}\n{}", self.logs());
        assert!(
            attached <= limit + BACK_OFF,
            "{what}: {attached:?}\n{}",
            self.logs()
        );
        Back { pod, ready }
    }

    /// Nobody wrote who should not have, nobody answered who should not have, and the volume that
    /// stayed where it was never noticed anything.
    pub(crate) async fn finish(mut self) {
        self.traffic.stop().await;
        let machine = self.cluster.sim().machine(machines::STAYS).view();
        assert_eq!((machine.failed, machine.queued()), (0, 0), "{machine:?}");
        assert!(machine.done > 0 && machine.live_paths() == 1, "{machine:?}");
        let world = self.cluster.sim().world();
        assert_eq!(world.second_writers(), []);
        assert_eq!(world.replayed_writes(), []);
        let wrong = self.judge.verdict(self.times);
        assert_eq!(wrong, Vec::<String>::new(), "{}", self.logs());
        self.cluster.shutdown().await;
    }

    /// What all replicas said last, for the message of a failed assertion.
    pub(crate) fn logs(&self) -> String {
        let logs = self.cluster.replicas().iter();
        let logs = logs.map(|one| format!("=== {}\n{}", one.pod(), one.log_tail()));
        logs.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn judge(&self) -> &Judge {
        &self.judge
    }
}

// === What is done to replicas ===

impl Rig {
    pub(crate) fn pods(&self) -> Vec<String> {
        let replicas = self.cluster.replicas().iter();
        replicas.map(|one| one.pod().to_owned()).collect()
    }

    pub(crate) fn followers_of(&self, leader: &str) -> Vec<String> {
        let mut pods = self.pods();
        pods.retain(|pod| pod != leader);
        pods
    }

    pub(crate) fn hit(&mut self, pod: &str, blow: Blow) {
        self.cluster.replica_mut(pod).unwrap().hit(blow).unwrap();
    }

    /// How the process of this pod ends.
    pub(crate) async fn ended(&mut self, pod: &str) -> ExitStatus {
        let status = self.cluster.replica_mut(pod).unwrap().ended(HANG).await;
        status.unwrap_or_else(|| panic!("{pod} does not end\n{}", self.logs()))
    }

    pub(crate) fn runs(&mut self, pod: &str) -> bool {
        self.cluster.replica_mut(pod).unwrap().has_ended().is_none()
    }

    /// What kubelet does where a process has ended.
    pub(crate) async fn restart(&mut self, pod: &str) {
        let replica = self.cluster.replica_mut(pod).unwrap();
        replica.restart().await.unwrap();
    }

    pub(crate) fn set_api(&self, pods: &[String], condition: Condition) {
        self.set(pods, condition, |one| one.api_way());
    }

    pub(crate) fn set_rds(&self, pods: &[String], condition: Condition) {
        self.set(pods, condition, |one| one.rds_way());
    }

    fn set(
        &self,
        pods: &[String],
        condition: Condition,
        way: impl Fn(&rds_csi::workload::cluster::Replica) -> &Way,
    ) {
        let replicas = self.cluster.replicas().iter();
        for replica in replicas.filter(|one| pods.iter().any(|pod| pod == one.pod())) {
            way(replica).set(condition);
        }
    }

    /// Lets a fault last. What the machines do meanwhile is counted, and must be something.
    pub(crate) async fn lasting(&self, time: Duration) {
        let until = Instant::now() + time;
        let machine = self.cluster.sim().machine(machines::STAYS);
        let before = machine.view().done;
        tokio::time::sleep_until(until).await;
        assert!(machine.view().done > before, "the machines stood still");
    }
}

// === The Lease ===

impl Rig {
    pub(crate) fn lease(&self) -> LeaseView {
        self.cluster.lease().unwrap_or_default()
    }

    /// Changes the Lease as `kubectl edit` does, whoever else writes it at the same time.
    pub(crate) async fn edit(&self, patch: Value) {
        let params = PatchParams::default();
        let patched = self.hand.patch(LEASE, &params, &Patch::Merge(patch)).await;
        patched.unwrap();
    }

    /// Puts a Lease in place as it may have been stored before the API refused such values.
    pub(crate) fn store(&self, change: impl FnOnce(&mut Lease)) {
        let api = self.cluster.api();
        let mut lease: Lease = api.objects().into_iter().next().unwrap();
        change(&mut lease);
        api.seed(&lease).unwrap();
    }

    pub(crate) fn delete_lease(&self) {
        assert!(self.cluster.api().evict::<Lease>(NAMESPACE, LEASE));
    }

    /// Waits until the Lease is as it should be.
    pub(crate) async fn until_lease(&self, what: &str, is_it: impl Fn(&LeaseView) -> bool) {
        let look = async {
            let mut ticks = tokio::time::interval(POLL);
            while !is_it(&self.lease()) {
                ticks.tick().await;
            }
        };
        let seen = timeout(HANG, look).await;
        assert!(seen.is_ok(), "{what}: {:?}\n{}", self.lease(), self.logs());
    }

    /// How often it was said on the Lease that somebody was elected.
    pub(crate) fn elections_told(&self) -> i32 {
        let events: Vec<Event> = self.cluster.api().objects();
        let told = events.iter().filter(|event| {
            let on = event.regarding.as_ref();
            event.reason.as_deref() == Some("LeaderElected")
                && on.is_some_and(|on| on.name.as_deref() == Some(LEASE))
        });
        told.map(|event| event.series.as_ref().map_or(1, |series| series.count))
            .sum()
    }
}

async fn create(cluster: &Cluster, provisioner: &Provisioner, name: &str) -> Volume {
    let made = provisioner.create(name, GIB, false, HANG).await.unwrap();
    cluster.placement().add_volume(&made).await.unwrap();
    made
}

fn released() -> Lease {
    let lease = json!({
        "metadata": {
            "name": LEASE, "namespace": NAMESPACE,
            "annotations": {"rds.csi.srvlab.io/released-by": "an earlier leader"},
        },
        "spec": {"holderIdentity": "", "leaseTransitions": 0},
    });
    serde_json::from_value(lease).unwrap()
}
