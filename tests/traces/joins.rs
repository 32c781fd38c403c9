//! One trace id from the log line to the event, and in what people are told; and no secret in any.

use std::fs;

use k8s_openapi::api::events::v1::Event;
use serde_json::Value;

use crate::collector::Manner;
use crate::rig::{HANG, Rig, header_secret};

const TRACE_ID: &str = "rds.csi.srvlab.io/trace-id";

#[tokio::test]
async fn log_lines_events_status_and_explain_name_the_trace_of_the_call() {
    let rig = Rig::start(1, Manner::Takes).await;
    let volume = rig.create("pv-1").await;
    // Events are posted on a claim that has been watched.
    let explain = ["explain", "pv-1"];
    rig.ask(&explain, |told| told["pvc"] == "default/pv-1")
        .await;
    rig.publish(&volume, "node-a").await.unwrap();
    let trace = rig
        .publish_trace(&volume, "node-a")
        .await
        .root()
        .trace
        .clone();

    let told = rig.ask(&explain, |_| true).await;
    let decision = &told["last_decision"];
    assert_eq!(decision["operation"], "publish", "{told}");
    assert_eq!(decision["decided"], "grant", "{told}");
    assert_eq!(decision["trace"], *trace, "{told}");
    let told = rig.ask(&["status"], |_| true).await;
    assert_eq!(told["last_decision"]["trace"], *trace, "{told}");

    let is_ours = |span: &crate::collector::Span| span.name == "event.post" && span.trace == trace;
    let spans = rig
        .collector
        .until("the event", HANG, |spans| spans.iter().any(is_ours));
    let spans = spans.await;
    let post = spans.iter().find(|span| is_ours(span)).unwrap();
    assert_eq!(post.get("outcome"), "done");
    let parent = spans.iter().find(|span| span.id == post.parent).unwrap();
    assert_eq!(parent.name, "volume.operation");
    let request = spans.iter().find(|span| span.parent == post.id).unwrap();
    assert_eq!(
        (&*request.name, request.get("k8s.resource")),
        ("k8s.create", "events")
    );
    let events: Vec<Event> = rig.cluster.api().objects();
    let named = events
        .iter()
        .filter_map(|event| event.metadata.annotations.as_ref());
    let named: Vec<_> = named.filter_map(|marks| marks.get(TRACE_ID)).collect();
    assert!(named.contains(&&trace), "{named:?}");

    let logs = rig.logs();
    let lines = logs
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<_> = lines.collect();
    for message in [
        "decided",
        "granting",
        "RouterOS command",
        "read back",
        "rpc done",
    ] {
        let is_named = |line: &Value| line["message"] == message && line["trace_id"] == *trace;
        assert!(lines.iter().any(is_named), "{message}\n{logs}");
    }
    let election = lines
        .iter()
        .find(|line| line["message"] == "standing for election");
    assert_eq!(election.unwrap().get("trace_id"), None, "it is of no trace");
}

#[tokio::test]
async fn no_secret_is_in_any_span_or_log_line() {
    let rig = Rig::start(1, Manner::Takes).await;
    let volume = rig.create("pv-1").await;
    let placement = rig.cluster.placement();
    placement.attach(&volume, "node-a").await.unwrap();
    rig.publish(&volume, "node-a").await.unwrap();
    rig.publish(&volume, "node-b").await.unwrap_err();
    rig.publish_trace(&volume, "node-b").await;

    let flags = rig.cluster.outside("/dev/null".as_ref());
    let file = flags
        .iter()
        .find_map(|flag| flag.strip_prefix("--rds-password-file="));
    let password = fs::read_to_string(file.unwrap()).unwrap();
    let disk = rig.cluster.sim().world().disk(&volume.handle).unwrap();
    // Whoever knows the random part of the names can connect to the volume.
    let (_, tail) = disk.subsystem_nqn.rsplit_once('-').unwrap();
    let header = header_secret();
    let token = header.split_once(' ').unwrap().1;
    for secret in [password.trim(), tail, token] {
        assert!(secret.len() >= 16, "{secret:?} could be found by chance");
        assert!(!rig.collector.raw().contains(secret), "{secret}");
    }
    for secret in [password.trim(), token] {
        let logs = rig.logs();
        let line = logs.lines().find(|line| line.contains(secret));
        assert_eq!(line, None);
    }
    // It was sent, though.
    assert!(rig.collector.headers().contains(&header));
}
