//! Replicas as processes that send their spans to a collector in the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rds_csi::proto::csi;
use rds_csi::proto::csi::controller_client::ControllerClient;
use rds_csi::proto::csi::volume_capability::access_mode::Mode;
use rds_csi::proto::csi::volume_capability::{AccessMode, AccessType, MountVolume};
use rds_csi::workload::cluster::{Cluster, LeaseTimes, Options, Replica};
use rds_csi::workload::placement::Volume;
use rds_csi::workload::secrets;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::collector::{Collector, Manner, Span};
use crate::tree::Tree;

/// A test that waits longer than this hangs. Only a failing test waits it out.
pub(crate) const HANG: Duration = Duration::from_mins(1);
/// How often to look whether something has happened.
pub(crate) const POLL: Duration = Duration::from_millis(20);
/// The shortest that need no flag to be accepted.
const LEASE: LeaseTimes = LeaseTimes {
    duration: Duration::from_secs(6),
    deadline: Duration::from_secs(4),
    retry: Duration::from_secs(1),
};
const PUBLISH: &str = "csi.v1.Controller/ControllerPublishVolume";

/// Replicas and the collector of their spans.
pub(crate) struct Rig {
    pub(crate) cluster: Cluster,
    pub(crate) collector: Collector,
}

// === impl Rig ===

impl Rig {
    pub(crate) async fn start(replicas: usize, manner: Manner) -> Self {
        Self::with(replicas, manner, &[]).await
    }

    /// As [`Rig::start`], with more variables in the environment.
    pub(crate) async fn with(replicas: usize, manner: Manner, more: &[(&str, &str)]) -> Self {
        let collector = Collector::start(manner).await;
        let endpoint = collector.endpoint();
        let authorization = format!("authorization={}", header_secret());
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", &authorization),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test"),
            // As short as makes sense: a test waits for what arrives.
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ];
        let environment = environment.iter().chain(more);
        let environment = environment.map(|(key, value)| ((*key).into(), (*value).into()));
        let options = Options {
            replicas,
            lease: Some(LEASE),
            sidecars: false,
            arguments: vec![
                "--log-level=debug".to_owned(),
                "--log-format=json".to_owned(),
            ],
            environment: environment.collect(),
            ..Options::of(PathBuf::from(env!("CARGO_BIN_EXE_rds-csi")))
        };
        let cluster = Cluster::start(options).await.unwrap();
        Self { cluster, collector }
    }

    /// The pod that serves, as soon as one does.
    pub(crate) async fn leader(&self) -> &Replica {
        let Some(pod) = self.cluster.serving(HANG).await else {
            let logs = self.cluster.replicas().iter().map(Replica::log_tail);
            panic!("nobody leads\n{}", logs.collect::<Vec<_>>().join("\n===\n"));
        };
        let mut replicas = self.cluster.replicas().iter();
        replicas.find(|replica| replica.pod() == pod).unwrap()
    }

    /// The leader's Controller service.
    pub(crate) async fn client(&self) -> ControllerClient<Channel> {
        let socket = self.leader().await.socket();
        let connect = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://unix").timeout(HANG);
        let channel = endpoint.connect_with_connector(connect).await.unwrap();
        ControllerClient::new(channel)
    }

    /// A volume of which Kubernetes knows.
    pub(crate) async fn create(&self, name: &str) -> Volume {
        self.leader().await;
        let provisioner = self.cluster.provisioner();
        let made = provisioner.create(name, 1 << 30, false, HANG).await;
        let volume = made.unwrap();
        let placement = self.cluster.placement();
        placement.add_volume(&volume).await.unwrap();
        volume
    }

    pub(crate) async fn publish(&self, volume: &Volume, node: &str) -> Result<(), Status> {
        self.publish_within(volume, node, None).await
    }

    /// As a caller that traces.
    pub(crate) async fn publish_within(
        &self,
        volume: &Volume,
        node: &str,
        traceparent: Option<&str>,
    ) -> Result<(), Status> {
        let mut request = Request::new(csi::ControllerPublishVolumeRequest {
            volume_id: volume.handle.clone(),
            node_id: node.to_owned(),
            volume_capability: Some(capability()),
            volume_context: volume.context.clone().into_iter().collect(),
            secrets: secrets::of_a_call(),
            ..Default::default()
        });
        if let Some(place) = traceparent {
            let place = place.parse().unwrap();
            request.metadata_mut().insert("traceparent", place);
        }
        let mut client = self.client().await;
        client.controller_publish_volume(request).await.map(drop)
    }

    pub(crate) async fn unpublish(&self, volume: &Volume, node: &str) {
        let request = csi::ControllerUnpublishVolumeRequest {
            volume_id: volume.handle.clone(),
            node_id: node.to_owned(),
            secrets: secrets::of_a_call(),
        };
        let mut client = self.client().await;
        client.controller_unpublish_volume(request).await.unwrap();
    }

    /// The answer of `rds-csi WORDS --json` of the leader, as soon as it is as wanted.
    pub(crate) async fn ask(&self, words: &[&str], is_it: impl Fn(&Value) -> bool) -> Value {
        let socket = self.leader().await.control_socket();
        let look = async {
            let mut ticks = tokio::time::interval(POLL);
            loop {
                ticks.tick().await;
                let said = Command::new(env!("CARGO_BIN_EXE_rds-csi"))
                    .args(words)
                    .arg("--json")
                    .arg(format!("--control-socket={}", socket.display()))
                    .stdin(Stdio::null())
                    .kill_on_drop(true)
                    .output();
                let said = said.await.unwrap().stdout;
                if let Ok(answer) = serde_json::from_slice(&said)
                    && is_it(&answer)
                {
                    return answer;
                }
            }
        };
        let seen = timeout(HANG, look).await;
        seen.unwrap_or_else(|_| panic!("{words:?}\n{}", self.logs()))
    }

    /// A value that the leader shows to a scraper; that of a metric without labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let mut socket = UnixStream::connect(self.leader().await.control_socket())
            .await
            .unwrap();
        let exchange = async {
            let request = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n";
            socket.write_all(request).await.unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = timeout(HANG, exchange).await.expect("an answer");
        let mut lines = answer.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("no {name} in {answer}"));
        value.parse().unwrap()
    }

    /// The trace of the only publish of this volume to this node, once it has arrived whole.
    pub(crate) async fn publish_trace(&self, volume: &Volume, node: &str) -> Tree {
        let is_root = |span: &Span| {
            let (at, of) = (span.get("csi.node_id"), span.get("csi.volume_id"));
            span.name == PUBLISH && at == node && of == volume.handle
        };
        self.trace(&format!("publish to {node}"), is_root).await
    }

    /// The trace that begins with this span. A span arrives after its children, but for events.
    pub(crate) async fn trace(&self, what: &str, is_root: impl Fn(&Span) -> bool) -> Tree {
        let spans = self
            .collector
            .until(what, HANG, |spans| spans.iter().any(&is_root));
        let spans = spans.await;
        let root = spans.iter().find(|span| is_root(span)).unwrap();
        Tree::around(&spans, root)
    }

    /// Waits until some process has logged this.
    pub(crate) async fn until_logged(&self, text: &str) {
        let look = async {
            let mut ticks = tokio::time::interval(POLL);
            while !self.logs().contains(text) {
                ticks.tick().await;
            }
        };
        let seen = timeout(HANG, look).await;
        seen.unwrap_or_else(|_| panic!("{text:?} is not in\n{}", self.logs()));
    }

    /// Everything that every process has logged.
    pub(crate) fn logs(&self) -> String {
        let replicas = self.cluster.replicas().iter();
        let logs = replicas.flat_map(|replica| {
            let folder = replica.socket();
            let folder: &Path = folder.parent().unwrap();
            fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
        });
        let logs = logs.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
        logs.map(|path| fs::read_to_string(path).unwrap()).collect()
    }
}

/// What only the collector may see.
pub(crate) fn header_secret() -> String {
    format!("Bearer {}", secrets::known_password())
}

fn capability() -> csi::VolumeCapability {
    csi::VolumeCapability {
        access_mode: Some(AccessMode {
            mode: Mode::SingleNodeWriter.into(),
        }),
        access_type: Some(AccessType::Mount(MountVolume::default())),
    }
}
