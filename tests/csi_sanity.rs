//! csi-sanity, the conformance suite of the CSI project, against real processes with a simulated RDS
//! behind them: the controller in standalone mode, and the leader of three. Which specs do not apply,
//! and why, is in `docs/conformance.md`; it is the same for both.

#![cfg(all(unix, feature = "sim"))]
#![allow(
    clippy::panic,
    reason = "a test that cannot set itself up fails by panicking"
)]

#[path = "csi_sanity/expected.rs"]
mod expected;
#[path = "csi_sanity/node.rs"]
mod node;
#[path = "support/process.rs"]
mod process;
#[path = "csi_sanity/report.rs"]
mod report;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rds_csi::proto::csi::ProbeRequest;
use rds_csi::proto::csi::identity_client::IdentityClient;
use rds_csi::workload::cluster::{Cluster, LeaseTimes, Options};
use testbed::tools::{Tools, say};
use tokio::process::Command;
use tonic::transport::{Channel, Endpoint};

use process::{POLL, Process, START_DEADLINE};
use report::{Outcome, Spec};

/// The only node of this cluster; any other is unknown to the controller.
const NODE: &str = "sanity-node";

/// The shortest that need no flag to be accepted: the first election waits for one Lease.
const LEASE: LeaseTimes = LeaseTimes {
    duration: Duration::from_secs(6),
    deadline: Duration::from_secs(4),
    retry: Duration::from_secs(1),
};

/// About 70 specs that take milliseconds each, a few of them ten rounds of publish and unpublish.
const SANITY_DEADLINE: Duration = Duration::from_mins(5);

/// Volumes of 1 GiB, grown to 2: small beside the simulated pool, large beside any minimum.
const SIZES: [&str; 2] = [
    "--csi.testvolumesize=1073741824",
    "--csi.testvolumeexpandsize=2147483648",
];

#[tokio::test(flavor = "multi_thread")]
async fn csi_sanity_finds_nothing_and_skips_only_what_is_not_offered() {
    let Some(tools) = Tools::for_test("csi_sanity", &["csi-sanity"]) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");

    let mut sim = Process::start(
        "sim",
        folder.path(),
        &[
            "sim",
            "--listen",
            "127.0.0.1:0",
            "--user",
            "csi",
            "--no-auth",
        ],
    );
    let (mut controller, channel) = start_controller(folder.path(), &sim.first_line().await).await;
    node::serve(&folder.path().join("node.sock"), NODE, channel);

    let socket = folder.path().join("controller.sock");
    let specs = run_sanity(&tools, folder.path(), &socket).await;
    sim.assert_running();
    controller.assert_running();
    judge(&specs, &controller.log_tail());
}

/// The suite is no external-attacher: it publishes without a VolumeAttachment. Its node is known by
/// its CSINode, as every node is.
#[tokio::test(flavor = "multi_thread")]
async fn csi_sanity_finds_nothing_at_the_leader_of_three_either() {
    let Some(tools) = Tools::for_test("csi_sanity_ha", &["csi-sanity"]) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = PathBuf::from(env!("CARGO_BIN_EXE_rds-csi"));
    let options = Options {
        lease: Some(LEASE),
        nodes: vec![NODE.to_owned()],
        ..Options::of(program)
    };
    let mut cluster = Cluster::start(options).await.expect("a cluster");
    let log = |cluster: &Cluster| {
        let logs = cluster.replicas().iter();
        let logs = logs.map(|one| format!("=== {}\n{}", one.pod(), one.log_tail()));
        logs.collect::<Vec<_>>().join("\n")
    };
    let Some(leader) = cluster.serving(START_DEADLINE).await else {
        panic!("nobody leads\n{}", log(&cluster));
    };
    let socket = cluster.replica_mut(&leader).expect("it is one").socket();
    let endpoint = format!("unix:{}", socket.display());
    let channel = ready_channel(&endpoint).await.expect("it was ready");
    node::serve(&folder.path().join("node.sock"), NODE, channel);

    let specs = run_sanity(&tools, folder.path(), &socket).await;
    let logs = log(&cluster);
    assert_eq!(
        cluster.ready().await.as_ref(),
        Some(&leader),
        "it leads all along\n{logs}"
    );
    judge(&specs, &logs);
    cluster.shutdown().await;
}

/// Prints what ran; fails if that is not what is expected.
fn judge(specs: &[Spec], log: &str) {
    tell(specs);
    let findings = expected::compare(specs);
    assert!(findings.is_empty(), "{}\n\n{log}", findings.join("\n"));
}

/// Starts the controller on the simulator that announced itself with `announcement`, and waits until
/// its Probe says ready.
async fn start_controller(folder: &Path, announcement: &str) -> (Process, Channel) {
    let sim: serde_json::Value = serde_json::from_str(announcement).expect("one line of JSON");
    let text = |key: &str| {
        sim.get(key)
            .and_then(serde_json::Value::as_str)
            .expect("a string")
    };
    let (address, port) = text("ssh").rsplit_once(':').expect("ADDRESS:PORT");
    let endpoint = format!("unix:{}", folder.join("controller.sock").display());
    let mut controller = Process::start(
        "controller",
        folder,
        &[
            "controller",
            "--standalone",
            "--endpoint",
            &endpoint,
            "--rds-address",
            address,
            "--rds-port",
            port,
            "--rds-user",
            "csi",
            "--rds-host-key",
            text("fingerprint"),
            "--rds-volume-base-path",
            "/storage-pool/metal-csi",
            "--cluster-id",
            "test",
            "--allowed-node",
            NODE,
        ],
    );
    let ready = async {
        let mut tick = tokio::time::interval(POLL);
        loop {
            tick.tick().await;
            controller.assert_running();
            if let Some(channel) = ready_channel(&endpoint).await {
                return channel;
            }
        }
    };
    let Ok(channel) = tokio::time::timeout(START_DEADLINE, ready).await else {
        panic!(
            "the controller never became ready:\n{}",
            controller.log_tail()
        );
    };
    (controller, channel)
}

async fn ready_channel(endpoint: &str) -> Option<Channel> {
    let endpoint = Endpoint::try_from(endpoint.to_owned()).expect("a unix: address");
    let channel = endpoint.connect().await.ok()?;
    let probe = IdentityClient::new(channel.clone())
        .probe(ProbeRequest {})
        .await
        .ok()?;
    // The specification: absent means ready.
    (probe.into_inner().ready != Some(false)).then_some(channel)
}

async fn run_sanity(tools: &Tools, folder: &Path, controller: &Path) -> Vec<Spec> {
    let report = folder.join("report.json");
    let at = |name: &str| folder.join(name).display().to_string();
    let run = Command::new(tools.path("csi-sanity"))
        .arg(format!("--csi.endpoint=unix:{}", at("node.sock")))
        .arg(format!(
            "--csi.controllerendpoint=unix:{}",
            controller.display()
        ))
        .arg(format!("--csi.mountdir={}", at("mount")))
        .arg(format!("--csi.stagingdir={}", at("staging")))
        .args(SIZES)
        .arg(format!("--ginkgo.skip={}", expected::NODE_SERVICE))
        .arg(format!("--ginkgo.json-report={}", report.display()))
        .arg("--ginkgo.no-color")
        .kill_on_drop(true)
        .output();
    let Ok(output) = tokio::time::timeout(SANITY_DEADLINE, run).await else {
        panic!("csi-sanity did not end within {SANITY_DEADLINE:?}");
    };
    let output = output.expect("csi-sanity starts");
    let text = std::fs::read_to_string(&report).unwrap_or_else(|error| {
        panic!(
            "no report ({error}):\n{}",
            String::from_utf8_lossy(&output.stdout)
        )
    });
    let specs = report::parse(&text);
    let failed = specs
        .iter()
        .any(|spec| matches!(spec.outcome, Outcome::Failed(_)));
    assert_eq!(
        output.status.success(),
        !failed,
        "exit code and report disagree"
    );
    specs
}

/// The counts for `tests/run.sh`, then each spec that did not run and why.
fn tell(specs: &[Spec]) {
    let count = |wanted: fn(&Outcome) -> bool| specs.iter().filter(|s| wanted(&s.outcome)).count();
    let mut lines = vec![format!(
        "csi-sanity: {} passed, {} failed, {} skipped",
        count(|outcome| matches!(outcome, Outcome::Passed)),
        count(|outcome| matches!(outcome, Outcome::Failed(_))),
        count(|outcome| matches!(outcome, Outcome::Skipped)),
    )];
    lines.extend(
        specs
            .iter()
            .filter(|spec| spec.outcome == Outcome::Skipped)
            .map(|spec| {
                let reason = expected::reason(&spec.name).unwrap_or("NOT EXPECTED");
                format!("csi-sanity skipped: {}: {reason}", spec.name)
            }),
    );
    say(&lines.join("\n"));
}
