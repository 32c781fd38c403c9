//! A simulated RDS, a stand-in of the Kubernetes API, a standalone controller and its sidecar.

use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::Client;
use rds_csi::sim::handle::{Sim, SimConfig};
use rds_csi::sim::kubernetes::{KubeApi, Options as ApiOptions};
use rds_csi::workload::attacher::{Attacher, Counts, Journal, Options, Pace, Stage};
use rds_csi::workload::placement::{Placement, Volume};
use rds_csi::workload::provisioner::Provisioner;
use tempfile::TempDir;
use tokio::time::timeout;

use super::process::{POLL, Process};

pub(crate) const DRIVER: &str = "rds.csi.srvlab.io";
/// A test that waits longer than this hangs. Only a failing test waits it out.
pub(crate) const HANG: Duration = Duration::from_secs(30);
/// Longer than any test: a sidecar compares once when it starts, and never again.
pub(crate) const NEVER: Duration = Duration::from_hours(1);
const GIB: i64 = 1 << 30;

/// Everything, and nodes `node-a` and `node-b`.
pub(crate) struct Rig {
    pub(crate) sim: Sim,
    pub(crate) api: KubeApi,
    pub(crate) placement: Placement,
    pub(crate) attacher: Attacher,
    pub(crate) driver: Process,
    folder: TempDir,
}

impl Rig {
    /// A sidecar that compares attachments with ListVolumes this often.
    pub(crate) async fn comparing(compare: Duration) -> Self {
        Self::with(compare, |_, _| async {}).await
    }

    /// Does something to the RDS and the API before the driver and its sidecar start.
    pub(crate) async fn with<F>(compare: Duration, prepare: impl FnOnce(Sim, KubeApi) -> F) -> Self
    where
        F: Future<Output = ()>,
    {
        let folder = tempfile::tempdir().unwrap();
        let sim = Sim::start(SimConfig::default()).unwrap();
        let api = KubeApi::start(ApiOptions::default()).await.unwrap();
        let client = Client::try_from(api.config("placement")).unwrap();
        let placement = Placement::new(client, DRIVER);
        for node in ["node-a", "node-b"] {
            placement.add_node(node).await.unwrap();
        }
        prepare(sim.clone(), api.clone()).await;
        let driver = start_driver(&sim, &folder);
        let attacher = Attacher::start(Options {
            pod: "controller-0".to_owned(),
            socket: folder.path().join("csi.sock"),
            api: api.config("attacher"),
            pace: Pace {
                compare,
                ..Pace::quick()
            },
            journal: Journal::default(),
        });
        Self {
            sim,
            api,
            placement,
            attacher,
            driver,
            folder,
        }
    }

    /// Kills the driver's process; returns when it is gone.
    pub(crate) async fn kill_driver(&mut self) {
        self.driver.kill().await;
    }

    pub(crate) fn start_driver(&mut self) {
        self.driver = start_driver(&self.sim, &self.folder);
    }

    /// A volume that Kubernetes knows.
    pub(crate) async fn volume(&self, name: &str) -> Volume {
        let provisioner = Provisioner::new(vec![self.folder.path().join("csi.sock")]);
        let volume = provisioner.create(name, GIB, false, HANG).await;
        let volume = volume.unwrap_or_else(|error| panic!("{error}: {}", self.driver.log_tail()));
        self.placement.add_volume(&volume).await.unwrap();
        volume
    }

    /// Waits until the sidecar has done what is looked for.
    pub(crate) async fn until(&self, what: &str, is_it: impl Fn(Counts) -> bool) -> Counts {
        let look = async {
            let mut ticks = tokio::time::interval(POLL);
            loop {
                ticks.tick().await;
                let counts = self.attacher.counts();
                if is_it(counts) {
                    return counts;
                }
            }
        };
        let seen = timeout(HANG, look).await;
        seen.unwrap_or_else(|_| {
            let counts = self.attacher.counts();
            panic!("{what}: {counts:?}\n{}", self.driver.log_tail())
        })
    }

    pub(crate) async fn until_stage(&self, wanted: Stage) {
        let mut stage = self.attacher.stage();
        let reached = timeout(HANG, stage.wait_for(|stage| *stage == wanted)).await;
        reached.expect("it gets there").expect("it lives");
    }

    pub(crate) fn attachments(&self) -> Vec<VolumeAttachment> {
        self.api.objects()
    }

    pub(crate) fn persistent_volumes(&self) -> Vec<PersistentVolume> {
        self.api.objects()
    }
}

fn start_driver(sim: &Sim, folder: &TempDir) -> Process {
    let endpoint = format!("unix:{}", folder.path().join("csi.sock").display());
    let (address, port) = (sim.ssh_addr().ip().to_string(), sim.ssh_addr().port());
    Process::start(
        "controller",
        folder.path(),
        &[
            "controller",
            "--standalone",
            "--endpoint",
            &endpoint,
            "--driver-name",
            DRIVER,
            "--cluster-id",
            "test",
            "--rds-address",
            &address,
            "--rds-port",
            &port.to_string(),
            "--rds-user",
            "csi",
            "--rds-host-key",
            &sim.fingerprint(),
            "--revoke-settle",
            "1ms",
            "--unsafe-revoke-settle",
        ],
    )
}
