//! An API, a poster of events on it, and some volumes with claims.

use std::sync::Arc;
use std::sync::Once;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Event as ServedEvent;
use rds_csi::domain::claim::PvcRef;
use rds_csi::domain::event::{Event, What};
use rds_csi::domain::id::{NodeId, VolumeId};
use rds_csi::domain::leadership::Epoch;
use rds_csi::k8s::events::{KubeEvents, Limits, PvcLookup, Settings, Tally};
use rds_csi::ports::Events;
use rds_csi::sim::kubernetes::{KubeApi, Options};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

pub(crate) const APPS: &str = "apps";
pub(crate) const SYSTEM: &str = "rds-csi";
pub(crate) const LEASE: &str = "leader";

/// Nothing on this machine takes this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// An API server and what is posted to it.
pub(crate) struct Cluster {
    pub(crate) api: KubeApi,
    pub(crate) events: Arc<KubeEvents>,
    run: JoinHandle<()>,
}

/// Volumes with an odd last digit have a claim.
#[derive(Debug)]
struct Odd;

impl PvcLookup for Odd {
    fn pvc_of(&self, volume: &VolumeId) -> Option<PvcRef> {
        let number = volume.as_str().trim_start_matches("csi-").parse::<u64>();
        let number = number.ok().filter(|number| number % 2 == 1)?;
        Some(PvcRef {
            namespace: APPS.to_owned(),
            name: format!("data-{number}"),
            uid: Some(format!("uid-{number}")),
            volume_name: String::new(),
        })
    }
}

impl Cluster {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            rustls::crypto::ring::default_provider()
                .install_default()
                .expect("nobody else installs one");
        });
        let api = KubeApi::start(Options::default()).await.unwrap();
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"namespace": SYSTEM, "name": LEASE, "uid": "uid-lease"},
        });
        let lease: Lease = serde_json::from_value(lease).unwrap();
        api.seed(&lease).unwrap();
        let settings = Settings {
            driver: "rds.csi.srvlab.io".to_owned(),
            instance: "controller-0".to_owned(),
            lease_namespace: SYSTEM.to_owned(),
            lease_name: LEASE.to_owned(),
            trace: || Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
            limits,
        };
        let config = api.config("events");
        let events = Arc::new(KubeEvents::new(&config, settings, Arc::new(Odd)).unwrap());
        let posting = Arc::clone(&events);
        let run = tokio::spawn(async move { posting.run().await });
        Self { api, events, run }
    }

    pub(crate) fn post(&self, what: What) {
        self.events.post(Event {
            epoch: Epoch::from_record(7),
            what,
        });
    }

    /// Waits until the counters are so.
    pub(crate) async fn until(&self, so: impl Fn(Tally) -> bool) {
        let seen = tokio::time::timeout(PATIENCE, self.events.until(so)).await;
        assert!(seen.is_ok(), "it stays {:?}", self.events.tally());
    }

    /// Posts, and waits until the API has it.
    pub(crate) async fn posted(&self, what: What) {
        let before = self.events.tally().posted;
        self.post(what);
        self.until(|tally| tally.posted > before).await;
    }

    /// What `kubectl events --for kind/name` lists, in the form that it asks for.
    pub(crate) fn of(&self, kind: &str, namespace: &str, name: &str) -> Vec<Value> {
        let events = self.api.objects::<ServedEvent>().into_iter();
        events
            .map(|event| serde_json::to_value(event).unwrap())
            .filter(|event| {
                let about = &event["involvedObject"];
                about["kind"] == kind && about["name"] == name && about["namespace"] == namespace
            })
            .inspect(|event| assert_eq!(event["metadata"]["namespace"], namespace))
            .collect()
    }

    /// Those about the claim of a volume.
    pub(crate) fn of_claim(&self, number: u64) -> Vec<Value> {
        self.of("PersistentVolumeClaim", APPS, &format!("data-{number}"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.run.abort();
    }
}

pub(crate) fn volume(number: u64) -> VolumeId {
    let id = format!("csi-{number:028}");
    VolumeId::from_request(&id).unwrap().unwrap()
}

pub(crate) fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

pub(crate) fn conflict(number: u64, holder: &str, asking: &str) -> What {
    What::AttachmentConflict {
        volume: volume(number),
        holder: holder.to_owned(),
        asking: node(asking),
    }
}

pub(crate) fn detached(number: u64) -> What {
    What::VolumeDetached {
        volume: volume(number),
        node: Some(node("worker-1")),
    }
}
