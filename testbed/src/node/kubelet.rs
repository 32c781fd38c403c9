//! A kubelet's part in attaching: it says which volumes its pods use, waits until they are attached,
//! has the machine connect and write, and gives them back when the pod goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt as _};
use rds_csi::workload::attachment_name;
use serde_json::json;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{CALL_LIMIT, Cluster, gone};
use crate::watch::{next, until};

/// Longer than any test: a kubelet waits for its volumes as long as it takes.
const FOR_EVER: Duration = Duration::from_hours(24);
/// Between two attempts of what did not work.
const AGAIN: Duration = Duration::from_millis(100);
/// Often enough that a write of one node meets a grant of another if it can.
const WRITE_EVERY: Duration = Duration::from_millis(10);

/// The kubelet of one node.
#[derive(Clone)]
pub(super) struct Kubelet {
    cluster: Cluster,
    node: String,
    /// How many pods use a volume, by its name in the node's status.
    in_use: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// A volume as the kubelet sees it.
struct Volume {
    handle: String,
    /// Its name in the node's status.
    unique: String,
}

// === impl Kubelet ===

impl Kubelet {
    pub(super) fn new(cluster: Cluster, node: &str) -> Self {
        Self {
            cluster,
            node: node.to_owned(),
            in_use: Arc::default(),
        }
    }

    /// Runs until it is dropped, and the pods with it.
    pub(super) async fn run(self) {
        let pods: Api<Pod> = Api::all(self.cluster.client.clone());
        let selection = format!("spec.nodeName={}", self.node);
        let selection = watcher::Config::default().fields(&selection);
        let mut running: BTreeMap<String, watch::Sender<bool>> = BTreeMap::new();
        let mut listed: Option<Vec<String>> = None;
        let mut tasks = JoinSet::new();
        let mut events = watcher(pods, selection).boxed();
        while let Some(event) = next(&mut events).await {
            match event {
                Event::Init => listed = Some(Vec::new()),
                Event::InitApply(pod) | Event::Apply(pod) => {
                    let uid = pod.uid().unwrap_or_default();
                    if let Some(listed) = &mut listed {
                        listed.push(uid.clone());
                    }
                    let is_leaving = pod.metadata.deletion_timestamp.is_some();
                    let stop = running.entry(uid).or_insert_with(|| {
                        let stop = watch::Sender::new(false);
                        tasks.spawn(self.clone().serve(pod, stop.subscribe()));
                        stop
                    });
                    if is_leaving {
                        stop.send_replace(true);
                    }
                }
                Event::Delete(pod) => {
                    if let Some(stop) = running.get(&pod.uid().unwrap_or_default()) {
                        stop.send_replace(true);
                    }
                }
                Event::InitDone => {
                    let listed = listed.take().unwrap_or_default();
                    for (_, stop) in running.iter().filter(|(uid, _)| !listed.contains(uid)) {
                        stop.send_replace(true);
                    }
                }
            }
        }
    }

    /// The life of one pod on this node.
    async fn serve(self, pod: Pod, stop: watch::Receiver<bool>) {
        let mut staged = Vec::new();
        let mut stopped = stop.clone();
        let live = async {
            for claim in claims(&pod) {
                let volume = self.again(|| self.volume(&pod, &claim)).await;
                self.use_volume(&volume.unique).await;
                staged.push((volume.handle.clone(), volume.unique.clone()));
                self.stage(&volume).await;
            }
            self.again(|| self.say_running(&pod)).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = live => {}
            // An error means that the kubelet itself is gone.
            _ = stopped.wait_for(|stop| *stop) => {}
        }
        for (handle, unique) in &staged {
            self.give_back(handle, unique).await;
        }
        self.again(|| self.say_gone(&pod)).await;
    }

    async fn volume(&self, pod: &Pod, claim: &str) -> kube::Result<Option<Volume>> {
        let client = self.cluster.client.clone();
        let namespace = pod.namespace().unwrap_or_default();
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
        let claim = claims.get(claim).await?;
        let Some(name) = claim.spec.and_then(|spec| spec.volume_name) else {
            return Ok(None);
        };
        let volumes: Api<PersistentVolume> = Api::all(client);
        let volume = volumes.get(&name).await?;
        let source = volume.spec.and_then(|spec| spec.csi);
        Ok(source.map(|source| Volume {
            unique: format!(
                "kubernetes.io/csi/{}^{}",
                source.driver, source.volume_handle
            ),
            handle: source.volume_handle,
        }))
    }

    /// Waits until the volume is attached here, and has the machine connect as it was told.
    async fn stage(&self, volume: &Volume) {
        let name = attachment_name(&volume.handle, &self.cluster.driver, &self.node);
        let machine = self.cluster.sim.machine(&self.node);
        loop {
            let attachments: Api<VolumeAttachment> = Api::all(self.cluster.client.clone());
            let is_attached = |one: Option<&VolumeAttachment>| {
                let status = one.and_then(|one| one.status.as_ref());
                status.is_some_and(|status| status.attached)
            };
            let seen = until(attachments, &name, "attach", FOR_EVER, is_attached).await;
            let status = seen.ok().flatten().and_then(|one| one.status);
            let told = status.and_then(|status| status.attachment_metadata);
            if told.is_some_and(|told| machine.stage(&told).is_ok()) {
                break;
            }
            sleep(AGAIN).await;
        }
        self.cluster
            .sim
            .keep_writing(&self.node, &volume.handle, Some(WRITE_EVERY));
    }

    async fn use_volume(&self, unique: &str) {
        let mut in_use = self.in_use.lock().await;
        *in_use.entry(unique.to_owned()).or_default() += 1;
        self.again(|| self.say_in_use(&in_use)).await;
    }

    async fn give_back(&self, handle: &str, unique: &str) {
        let mut in_use = self.in_use.lock().await;
        let users = in_use.entry(unique.to_owned()).or_default();
        *users = users.saturating_sub(1);
        if *users == 0 {
            self.cluster.sim.keep_writing(&self.node, handle, None);
            self.cluster.sim.machine(&self.node).disconnect(handle);
            in_use.remove(unique);
            self.again(|| self.say_in_use(&in_use)).await;
        }
    }
}

// === What it tells the API ===

impl Kubelet {
    /// Repeats a call until it works, as a kubelet does.
    async fn again<T, F>(&self, mut call: impl FnMut() -> F) -> T
    where
        F: Future<Output = kube::Result<Option<T>>>,
    {
        loop {
            if let Ok(Ok(Some(done))) = timeout(CALL_LIMIT, call()).await {
                return done;
            }
            sleep(AGAIN).await;
        }
    }

    async fn say_in_use(&self, in_use: &BTreeMap<String, usize>) -> kube::Result<Option<()>> {
        let volumes: Vec<&String> = in_use.keys().collect();
        let patch = Patch::Merge(json!({"status": {"volumesInUse": volumes}}));
        let nodes: Api<Node> = Api::all(self.cluster.client.clone());
        let said = nodes
            .patch_status(&self.node, &PatchParams::default(), &patch)
            .await;
        // A node that was deleted has nothing to say.
        gone(said.map(drop)).map(Some)
    }

    async fn say_running(&self, pod: &Pod) -> kube::Result<Option<()>> {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let condition =
            |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now});
        let conditions = ["Initialized", "ContainersReady", "Ready"].map(condition);
        let status = json!({"phase": "Running", "startTime": now, "conditions": conditions});
        let patch = Patch::Strategic(json!({"status": status}));
        let pods = self.pods(pod);
        let said = pods
            .patch_status(&pod.name_any(), &PatchParams::default(), &patch)
            .await;
        gone(said.map(drop)).map(Some)
    }

    /// The pod has ended: its object goes, unless it is another one by now.
    async fn say_gone(&self, pod: &Pod) -> kube::Result<Option<()>> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: pod.uid(),
                resource_version: None,
            }),
            ..DeleteParams::default().grace_period(0)
        };
        let said = self.pods(pod).delete(&pod.name_any(), &params).await;
        match gone(said.map(drop)) {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Some(())),
            other => other.map(Some),
        }
    }

    fn pods(&self, pod: &Pod) -> Api<Pod> {
        let namespace = pod.namespace().unwrap_or_default();
        Api::namespaced(self.cluster.client.clone(), &namespace)
    }
}

/// The claims that a pod mounts.
fn claims(pod: &Pod) -> Vec<String> {
    let spec = pod.spec.iter();
    let volumes = spec.flat_map(|spec| spec.volumes.iter().flatten());
    let claims = volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref());
    claims.map(|claim| claim.claim_name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_claims_are_a_pods_volumes() {
        let pod = json!({"spec": {"containers": [], "volumes": [
            {"name": "a", "emptyDir": {}},
            {"name": "b", "persistentVolumeClaim": {"claimName": "data"}},
        ]}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        assert_eq!(claims(&pod), ["data"]);
        assert!(claims(&Pod::default()).is_empty());
    }
}
