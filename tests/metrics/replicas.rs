//! Replicas as processes: what a scraper of all of them sees.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rds_csi::metrics::catalog::ALL;
use rds_csi::workload::cluster::{Blow, Replica};
use tokio::time::{interval, timeout};

use crate::files::{alerts, queries};
use crate::rig::{HANG, Rig};
use crate::scrape::Scrape;
use crate::server::Prometheus;
use crate::tools::tools;

/// How often to look whether something is so.
const POLL: Duration = Duration::from_millis(50);

pub(crate) async fn scrape(rig: &Rig, pod: &str) -> Scrape {
    let (status, body) = rig.get(pod, "/metrics").await;
    assert_eq!(status, 200, "{body}");
    let scrape = Scrape::read(&body);
    assert_eq!(scrape.strangers(), Vec::<String>::new(), "{pod}");
    scrape
}

/// Waits until a replica shows what is wanted.
async fn until(rig: &Rig, pod: &str, is_it: impl Fn(&Scrape) -> bool) {
    let look = async {
        let mut ticks = interval(POLL);
        while !is_it(&scrape(rig, pod).await) {
            ticks.tick().await;
        }
    };
    let seen = timeout(HANG, look).await;
    seen.unwrap_or_else(|_| panic!("{}", rig.logs()));
}

fn pods(rig: &Rig) -> Vec<String> {
    let pods = rig.cluster.replicas().iter().map(Replica::pod);
    pods.map(ToOwned::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn together_the_replicas_show_every_metric_of_the_catalog() {
    let rig = Rig::start().await;
    let leader = rig.leader().await;
    rig.attach("scraped", "node-a").await;

    let mut shown = BTreeSet::new();
    for pod in pods(&rig) {
        let scrape = scrape(&rig, &pod).await;
        let leads = f64::from(u8::from(pod == leader));
        for gauge in ["rds_csi_leader", "rds_csi_ready"] {
            assert_eq!(scrape.gauge(gauge), Some(leads), "{pod}: {gauge}");
        }
        let connected = scrape.gauge("rds_csi_rds_connection_state");
        assert_eq!(connected, Some(1.0), "{pod}");
        shown.extend(scrape.families.into_keys());
    }
    let names = ALL.iter().map(|spec| spec.name);
    let missing: Vec<&str> = names.filter(|name| !shown.contains(*name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
    rig.finish().await;
}

/// What [`live`] does moves each of these. Everything else on the dashboard may stand at zero.
const MOVED: [&str; 14] = [
    "rds_csi_attachment_attach_total",
    "rds_csi_attachment_conflicts_total",
    "rds_csi_attachment_detach_total",
    "rds_csi_cache_lookups_total",
    "rds_csi_events_posted_total",
    "rds_csi_failover_duration_seconds",
    "rds_csi_leader_deadline_seconds",
    "rds_csi_leader_epoch",
    "rds_csi_leader_transitions_total",
    "rds_csi_lease_call_duration_seconds",
    "rds_csi_rds_command_duration_seconds",
    "rds_csi_rds_pool_size_bytes",
    "rds_csi_rebuild_duration_seconds",
    "rds_csi_rpc_duration_seconds",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_new_leader_shows_the_failover_and_what_it_took_over() {
    let mut rig = Rig::start().await;
    let former = rig.leader().await;
    rig.attach("taken-over", "node-a").await;
    let replica = rig.cluster.replica_mut(&former).unwrap();
    replica.hit(Blow::Kill).unwrap();
    let leader = rig.leader().await;
    assert_ne!(leader, former);
    let now = scrape(&rig, &leader).await;
    let at_least_one: [(&str, &[(&str, &str)]); 6] = [
        (
            "rds_csi_failover_duration_seconds_count",
            &[("kind", "expired")],
        ),
        ("rds_csi_leader_transitions_total", &[]),
        (
            "rds_csi_rebuild_duration_seconds_count",
            &[("phase", "join"), ("outcome", "done")],
        ),
        ("rds_csi_rebuild_rows", &[]),
        ("rds_csi_volumes", &[("state", "granted")]),
        ("rds_csi_rds_connections", &[("state", "up")]),
    ];
    for (name, labels) in at_least_one {
        let found = now.sum(name, labels);
        assert!(found > 0.5, "{name} {labels:?}: {found}");
    }
    assert_eq!(now.gauge("rds_csi_leader_epoch"), Some(2.0));
    assert!(now.gauge("rds_csi_leader_deadline_seconds") > Some(0.0));

    // It goes on renewing, and notices when the RDS restarts.
    rig.cluster.sim().reboot(Duration::ZERO).await;
    until(&rig, &leader, |now| {
        now.sum("rds_csi_rds_restarts_total", &[]) > 0.5
            && now.sum("rds_csi_rds_reconnect_total", &[("status", "success")]) > 0.5
            && now.sum(
                "rds_csi_lease_call_duration_seconds_count",
                &[("call", "renew"), ("outcome", "done")],
            ) > 0.5
    })
    .await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_reads_every_replica_and_answers_every_query_of_the_dashboard() {
    let name = "prometheus_reads_every_replica_and_answers_every_query_of_the_dashboard";
    let Some(tools) = tools(name) else { return };
    let mut rig = Rig::start().await;
    rig.leader().await;
    let pods = pods(&rig);
    let ports: Vec<String> = pods.iter().map(|pod| rig.port(pod)).collect();
    let prometheus = Prometheus::start(&tools, &ports, &alerts()).await;
    prometheus.until("count(up == 1) == 3").await;
    for pod in &pods {
        let (_, body) = rig.get(pod, "/metrics").await;
        check_metrics(&tools, &body);
    }
    // Increases begin with a sample from before.
    let sampled = "count(count_over_time(rds_csi_attachment_attach_total[1m]) >= 3) >= 3";
    prometheus.until(sampled).await;
    for rule in prometheus.rules().await {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert_eq!(rule["state"], "inactive", "{rule}");
    }

    live(&mut rig, &prometheus).await;
    for query in queries() {
        let query = if MOVED.iter().any(|name| query.contains(name)) {
            format!("({query}) > 0")
        } else {
            query
        };
        // No number is not equal to itself.
        prometheus.until(&format!("({query}) == ({query})")).await;
    }
    rig.finish().await;
}

/// An attach, a refusal, a detach, a leader that crashes, and an attach by its successor.
async fn live(rig: &mut Rig, prometheus: &Prometheus) {
    let volume = rig.attach("queried", "node-a").await;
    let placement = rig.cluster.placement();
    let second = placement.attach(&volume, "node-b").await.unwrap();
    placement.refused(&second, HANG).await.unwrap();
    let first = placement.attachment(&volume, "node-a");
    for attachment in [second, first] {
        placement.detach(&attachment).await.unwrap();
        placement.gone(&attachment, HANG).await.unwrap();
    }
    // What a leader counted after it was last asked is lost with it.
    prometheus
        .until("sum(rds_csi_attachment_detach_total) > 0")
        .await;
    let leader = rig.leader().await;
    let replica = rig.cluster.replica_mut(&leader).unwrap();
    replica.hit(Blow::Kill).unwrap();
    replica.ended(HANG).await.unwrap();
    assert_ne!(rig.leader().await, leader);
    rig.attach("after", "node-b").await;
}

pub(crate) fn check_metrics(tools: &Path, scrape: &str) {
    let mut promtool = Command::new(tools.join("promtool"));
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    promtool.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().unwrap();
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(scrape.as_bytes()).unwrap();
    drop(input);
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
