//! One controller without Kubernetes, as a process: its health, and what it counted.

use crate::replicas::{check_metrics, scrape};
use crate::rig::Rig;
use crate::tools::tools;

/// The name of the only pod.
async fn started(rig: &Rig) -> String {
    let pod = rig.leader().await;
    rig.attach("alone", "node-a").await;
    pod
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_without_kubernetes_shows_its_health_and_its_calls() {
    let rig = Rig::standalone().await;
    let pod = started(&rig).await;
    for path in ["/livez", "/readyz"] {
        let (status, body) = rig.get(&pod, path).await;
        assert_eq!(status, 200, "{path}: {body}");
    }
    let scrape = scrape(&rig, &pod).await;
    for (name, labels) in [
        (
            "rds_csi_rpc_duration_seconds_count",
            vec![("method", "CreateVolume"), ("code", "OK")],
        ),
        (
            "rds_csi_rpc_duration_seconds_count",
            vec![("method", "ControllerPublishVolume"), ("code", "OK")],
        ),
        (
            "rds_csi_rds_command_duration_seconds_count",
            vec![("verb", "publish"), ("outcome", "done")],
        ),
        ("rds_csi_attachment_attach_total", vec![("fencing", "pair")]),
        ("rds_csi_volumes", vec![("state", "granted")]),
    ] {
        let found = scrape.sum(name, &labels);
        assert!(found > 0.5, "{name} {labels:?}: {found}");
    }
    for (gauge, expected) in [
        ("rds_csi_ready", Some(1.0)),
        ("rds_csi_rds_connection_state", Some(1.0)),
        ("rds_csi_telemetry_dropped_total", Some(0.0)),
        // There is no Lease, which is not the same as one of age 0.
        ("rds_csi_lease_age_seconds", None),
    ] {
        assert_eq!(scrape.gauge(gauge), expected, "{gauge}");
    }
    assert!(scrape.gauge("rds_csi_rds_pool_size_bytes") > Some(0.0));
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_accepts_what_a_controller_without_kubernetes_shows() {
    let name = "promtool_accepts_what_a_controller_without_kubernetes_shows";
    let Some(tools) = tools(name) else { return };
    let rig = Rig::standalone().await;
    let pod = started(&rig).await;
    let (_, body) = rig.get(&pod, "/metrics").await;
    check_metrics(&tools, &body);
    rig.finish().await;
}
