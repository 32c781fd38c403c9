//! A cluster with short times, for the stories that need processes.

use std::path::PathBuf;
use std::time::Duration;

use rds_csi::workload::cluster::{Blow, Cluster, LeaseTimes, Options};
use rds_csi::workload::placement::Volume;

/// A test that waits longer than this hangs. Only a failing test waits it out.
pub(crate) const HANG: Duration = Duration::from_secs(30);
/// How often to look whether something has happened.
pub(crate) const POLL: Duration = Duration::from_millis(20);
const GIB: i64 = 1 << 30;

/// 2 s, 1.2 s, 0.4 s: the proportions of the default.
pub(crate) const TIMES: LeaseTimes = LeaseTimes {
    duration: Duration::from_secs(2),
    deadline: Duration::from_millis(1200),
    retry: Duration::from_millis(400),
};

/// A running cluster.
pub(crate) struct Rig {
    pub(crate) cluster: Cluster,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_rds-csi"));
        let flags = ["--unsafe-revoke-settle", "--unsafe-lease-duration"];
        let options = Options {
            lease: Some(TIMES),
            revoke_settle: Duration::from_millis(1),
            arguments: flags.map(ToOwned::to_owned).into(),
            ..Options::of(program)
        };
        let cluster = Cluster::start(options).await.unwrap();
        Self { cluster }
    }

    /// What all replicas said last, for the message of a failed assertion.
    pub(crate) fn logs(&self) -> String {
        let logs = self.cluster.replicas().iter();
        let logs = logs.map(|one| format!("=== {}\n{}", one.pod(), one.log_tail()));
        logs.collect::<Vec<_>>().join("\n")
    }

    /// The pod that serves, as soon as one does.
    pub(crate) async fn leader(&self) -> String {
        let look = async {
            let mut ticks = tokio::time::interval(POLL);
            loop {
                ticks.tick().await;
                if let Some(pod) = self.cluster.ready().await {
                    return pod;
                }
            }
        };
        let found = tokio::time::timeout(HANG, look).await;
        found.unwrap_or_else(|_| panic!("nobody leads\n{}", self.logs()))
    }

    pub(crate) fn hit(&mut self, pod: &str, blow: Blow) {
        self.cluster.replica_mut(pod).unwrap().hit(blow).unwrap();
    }

    /// A new volume, attached.
    pub(crate) async fn attach(&self, name: &str, node: &str) -> Volume {
        let made = self
            .cluster
            .provisioner()
            .create(name, GIB, false, HANG)
            .await;
        let volume = made.unwrap_or_else(|error| panic!("{error}\n{}", self.logs()));
        self.cluster.placement().add_volume(&volume).await.unwrap();
        self.attach_again(&volume, node).await;
        volume
    }

    pub(crate) async fn attach_again(&self, volume: &Volume, node: &str) {
        let placement = self.cluster.placement();
        let name = placement.attach(volume, node).await.unwrap();
        let attached = placement.attached(&name, HANG).await;
        attached.unwrap_or_else(|error| panic!("{error}\n{}", self.logs()));
    }

    pub(crate) async fn detach(&self, volume: &Volume, node: &str) {
        let placement = self.cluster.placement();
        let name = placement.attachment(volume, node);
        placement.detach(&name).await.unwrap();
        let gone = placement.gone(&name, HANG).await;
        gone.unwrap_or_else(|error| panic!("{error}\n{}", self.logs()));
    }

    /// Nobody wrote who should not have.
    pub(crate) async fn finish(self) {
        let world = self.cluster.sim().world();
        assert_eq!(world.second_writers(), []);
        assert_eq!(world.replayed_writes(), []);
        self.cluster.shutdown().await;
    }
}
