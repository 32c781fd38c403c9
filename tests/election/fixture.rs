//! An API, Leases on it, and candidates.

use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use rds_csi::clock::SystemClock;
use rds_csi::domain::election::{HolderId, Standing, Timing};
use rds_csi::domain::leadership::Epoch;
use rds_csi::k8s::lease::KubeLease;
use rds_csi::ports::Clock;
use rds_csi::service::election::{Candidate, Lost, Reports};
use rds_csi::sim::kubernetes::{KubeApi, Options};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::record::Record;

pub(crate) const NAMESPACE: &str = "rds-csi";
pub(crate) const LEASE: &str = "leader";

/// An API server, and a record of what candidates on it become.
pub(crate) struct Cluster {
    pub(crate) api: KubeApi,
    pub(crate) record: Record,
    /// The highest epoch in a name on the RDS.
    rds: Arc<AtomicU64>,
}

/// A candidate in a task.
pub(crate) struct Replica {
    pub(crate) reports: Reports,
    pub(crate) stop: CancellationToken,
    pub(crate) run: JoinHandle<Result<(), Lost>>,
    pub(crate) standing: watch::Receiver<Standing>,
}

/// 2 s: the deadline is 1.2 s and a call may take 0.4 s, enough for a busy machine.
pub(crate) fn short() -> Timing {
    Timing::shortened(Duration::from_secs(2))
}

/// 5 s: the deadline is 3 s and renewals are 1 s apart, so that two may fail.
pub(crate) fn patient() -> Timing {
    Timing::shortened(Duration::from_secs(5))
}

impl Cluster {
    pub(crate) async fn new() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            rustls::crypto::ring::default_provider()
                .install_default()
                .expect("nobody else installs one");
        });
        Self {
            api: KubeApi::start(Options::default()).await.unwrap(),
            record: Record::new(),
            rds: Arc::default(),
        }
    }

    /// With a Lease that is free at once.
    pub(crate) async fn released() -> Self {
        let cluster = Self::new().await;
        cluster.seed(
            &json!({"holderIdentity": "", "leaseTransitions": 4}),
            &json!({"rds.csi.srvlab.io/released-by": "somebody"}),
        );
        cluster
    }

    /// The Lease as `client` sees it; the client is also the first part of its name.
    pub(crate) fn store(&self, client: &str, timing: Timing) -> KubeLease {
        let me = HolderId::of_process(client, "uid", SystemClock.random()).unwrap();
        KubeLease::new(&self.api.config(client), NAMESPACE, LEASE, me, timing).unwrap()
    }

    /// A candidate that reads the RDS when it is elected, and marks it when it leads.
    pub(crate) fn replica(&self, name: &'static str, timing: Timing) -> Replica {
        let me = HolderId::of_process(name, "uid", SystemClock.random()).unwrap();
        self.process(name, me, timing, |candidate| candidate)
    }

    /// The same, of a process called `me`, with what else it is given.
    pub(crate) fn process(
        &self,
        name: &'static str,
        me: HolderId,
        timing: Timing,
        with: impl FnOnce(Candidate) -> Candidate,
    ) -> Replica {
        let config = self.api.config(name);
        let store = KubeLease::new(&config, NAMESPACE, LEASE, me.clone(), timing).unwrap();
        let (candidate, reports, standing) =
            Candidate::new(me, timing, Arc::new(store), Arc::new(SystemClock));
        let candidate = with(candidate);
        let stop = CancellationToken::new();
        tokio::spawn(follow(
            name,
            self.record.clone(),
            Arc::clone(&self.rds),
            reports.clone(),
            standing.clone(),
        ));
        Replica {
            run: tokio::spawn(candidate.run(stop.clone())),
            reports,
            stop,
            standing,
        }
    }

    /// Puts the Lease in place, whatever was there.
    pub(crate) fn seed(&self, spec: &Value, annotations: &Value) {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"namespace": NAMESPACE, "name": LEASE, "annotations": annotations},
            "spec": spec,
        });
        let lease: Lease = serde_json::from_value(lease).unwrap();
        self.api.seed(&lease).unwrap();
    }

    /// The Lease as it is stored.
    pub(crate) fn lease(&self) -> Option<Value> {
        let lease = self.api.objects::<Lease>().into_iter().next()?;
        Some(serde_json::to_value(lease).unwrap())
    }

    /// The pod named by the Lease.
    pub(crate) fn holder(&self) -> String {
        let lease = self.lease().unwrap();
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        holder.split('_').next().unwrap_or_default().to_owned()
    }

    /// A hand changes the Lease: every `hand` gets the stored one.
    pub(crate) fn edit(&self, hand: impl Fn(&mut Value)) {
        let mut lease = self.lease().unwrap();
        hand(&mut lease);
        self.seed(&lease["spec"], &lease["metadata"]["annotations"]);
    }

    /// A hand deletes the Lease.
    pub(crate) fn delete(&self) {
        assert!(self.api.evict::<Lease>(NAMESPACE, LEASE));
    }

    /// Waits until what is stored is so.
    pub(crate) async fn until(&self, so: impl Fn(Option<&Value>) -> bool) {
        let store = self.store("looker", Timing::default());
        let mut changes = rds_csi::ports::LeaseStore::watch(&store);
        let seen = async {
            while !so(self.lease().as_ref()) {
                futures::StreamExt::next(&mut changes).await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(30), seen).await;
        assert!(seen.is_ok(), "the Lease stays {:?}", self.lease());
    }
}

async fn follow(
    name: &'static str,
    record: Record,
    rds: Arc<AtomicU64>,
    reports: Reports,
    mut standing: watch::Receiver<Standing>,
) {
    loop {
        let now = standing.borrow_and_update().clone();
        record.note(name, now.clone());
        match now {
            Standing::Elected(_) => {
                let sent = SystemClock.boot();
                let highest = Epoch::from_record(rds.load(Ordering::SeqCst));
                reports.rds_read(highest, sent).await;
            }
            Standing::Leading(leadership) => {
                rds.fetch_max(leadership.epoch().digits(), Ordering::SeqCst);
            }
            Standing::Following { .. } | Standing::Offering | Standing::Ended(_) => {}
        }
        if standing.changed().await.is_err() {
            return;
        }
    }
}
