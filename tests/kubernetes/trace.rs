//! The trace of one attach, as a real Jaeger has it and as everything else that names it says.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rds_csi::operator::jaeger::answer::{Answer, Span, Trace};
use serde_json::Value;
use testbed::bed::{Bed, Options};
use testbed::trouble::{Attempt, Trouble};
use testbed::workload::LONG;
use tokio::process::Command;
use tokio::time::{interval, timeout};

use crate::app::{App, CLAIM, steady};

/// The call that an attach is, and the name of its span.
const CALL: &str = "ControllerPublishVolume";
const ROOT: &str = "csi.v1.Controller/ControllerPublishVolume";
/// Where an event says in which trace it was posted.
const ANNOTATION: &str = "rds.csi.srvlab.io/trace-id";
/// Between two runs of kubectl, of 50 ms each.
const KUBECTL_EVERY: Duration = Duration::from_millis(200);
/// A command of the driver's takes some milliseconds.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// If this is set, the trace becomes the one that the documentation shows.
const RECORD: &str = "RDS_CSI_TEST_RECORD";
const RECORDED: &str = "tests/recorded/attach-trace.json";
const PICTURE: &str = "docs/attach-trace.svg";

pub(crate) fn traced() -> Options {
    Options {
        traced: true,
        ..steady(&["worker-1"], serde_json::json!({}))
    }
}

/// The stock attacher's one call leads to one trace, found by the volume's id, with the RouterOS command
/// somewhere below the call. `kubectl events`, `explain`, `status` and the log name that trace, and
/// `rds-csi trace` shows it.
pub(crate) async fn jaeger_shows_an_attach_from_its_call_to_its_routeros_command(
    bed: &Bed,
) -> Result<(), Trouble> {
    let jaeger = bed.jaeger()?;
    let app = App::start(bed, "app", None).await?;
    let volume = &app.volume.handle;
    // The event is posted after the call was answered, and exported last.
    let attaches = |trace: &&Trace| {
        let mut spans = trace.spans.iter();
        spans.any(|span| span.operation_name == "event.post")
    };
    let is_whole = |found: &[Trace]| found.iter().any(|trace| attaches(&trace));
    let found = jaeger.calls(CALL, volume, LONG, is_whole).await?;
    // The attacher may ask again before it sees what it wrote itself.
    let found: Vec<_> = found.iter().filter(attaches).collect();
    assert_eq!(found.len(), 1, "one call attaches: {found:#?}");
    let trace = found[0];
    let attachment = bed.workload().attachment(&app.volume, &app.node);
    check(trace, volume, &app.node, &attachment);
    bed.note("spans of the attach", trace.spans.len());

    let id = &trace.trace_id;
    let posted = event_with_trace(bed, "VolumeAttached").await?;
    assert_eq!(&posted, id, "the event names another trace");
    let same = jaeger.trace(&posted).await?;
    assert_eq!(same.map(|same| same.trace_id).as_ref(), Some(id));
    named_elsewhere(bed, volume, id).await?;
    shown(bed, volume, trace).await
}

/// Each command of the attach belongs to its call, and says what it was.
fn check(trace: &Trace, volume: &str, node: &str, attachment: &str) {
    let named = |name: &str| -> Vec<&Span> {
        let spans = trace.spans.iter();
        spans.filter(|span| span.operation_name == name).collect()
    };
    let roots = named(ROOT);
    assert_eq!(roots.len(), 1, "{trace:#?}");
    let root = roots[0];
    assert_eq!(trace.parent(root), None, "the attacher sends no trace");
    let said = [
        ("csi.volume_id", volume),
        ("csi.node_id", node),
        ("k8s.volumeattachment.name", attachment),
        ("outcome", "OK"),
        ("span.kind", "server"),
    ];
    for (key, value) in said {
        assert_eq!(root.tag(key).as_deref(), Some(value), "{key}");
    }
    let commands = named("rds.command");
    let is_publish = |span: &&&Span| span.tag("rds.verb").as_deref() == Some("publish");
    assert_eq!(
        commands.iter().filter(is_publish).count(),
        1,
        "{commands:#?}"
    );
    for command in commands {
        assert!(trace.ancestors(command).contains(&root), "{command:#?}");
        assert_eq!(command.tag("rds.slot").as_deref(), Some(volume));
        assert_eq!(command.tag("outcome").as_deref(), Some("done"));
    }
    for exec in named("rds.exec") {
        let parent = trace.parent(exec).map(|span| &*span.operation_name);
        assert_eq!(parent, Some("rds.command"));
    }
}

/// The trace in which an event of the claim was posted, as kubectl shows it.
async fn event_with_trace(bed: &Bed, reason: &str) -> Result<String, Trouble> {
    let of = format!("pvc/{CLAIM}");
    let namespace = bed.workload().namespace();
    let arguments = [
        "events",
        "--namespace",
        namespace,
        "--for",
        &of,
        "-o",
        "json",
    ];
    let what = || format!("see {reason} in kubectl {}", arguments.join(" "));
    let look = async {
        let mut ticks = interval(KUBECTL_EVERY);
        loop {
            ticks.tick().await;
            let output = bed.plane().kubectl(&arguments).await.attempt(what)?;
            let list: Value = serde_json::from_slice(&output.stdout).attempt(what)?;
            let events = list["items"].as_array().cloned().unwrap_or_default();
            if let Some(event) = events.iter().find(|event| event["reason"] == reason) {
                let id = event["metadata"]["annotations"][ANNOTATION].as_str();
                let id = id.ok_or_else(|| format!("it has no trace: {event}"));
                return id.map(ToOwned::to_owned).attempt(what);
            }
        }
    };
    timeout(LONG, look).await.attempt(what)?
}

/// The log of the leader names the trace; `explain` and `status` name the last one of the volume, which
/// is another if the attacher asked again.
async fn named_elsewhere(bed: &Bed, volume: &str, id: &str) -> Result<(), Trouble> {
    let leader = bed.deployment().leader(LONG).await?;
    let log = leader.driver()?.log_tail();
    let mut lines = log.lines().filter(|line| line.contains(CALL));
    let member = format!("\"trace_id\":\"{id}\"");
    assert!(lines.any(|line| line.contains(&member)), "{member}:\n{log}");
    let socket = format!("--control-socket={}", leader.control_socket()?.display());
    for words in [
        &["explain", volume, "--json", &*socket][..],
        &["status", "--json", &socket],
    ] {
        let said = run(bed, words).await?;
        let said: Value = serde_json::from_str(&said).attempt(|| format!("read {said}"))?;
        let last = &said["last_decision"]["trace"];
        let is_there = |found: &[Trace]| found.iter().any(|trace| *last == trace.trace_id);
        bed.jaeger()?.calls(CALL, volume, LONG, is_there).await?;
    }
    Ok(())
}

/// `rds-csi trace` finds the same by the volume, and draws it.
async fn shown(bed: &Bed, volume: &str, trace: &Trace) -> Result<(), Trouble> {
    let (jaeger, picture) = (
        bed.jaeger()?.address(),
        bed.folder().path().join("trace.svg"),
    );
    let (jaeger, svg) = (
        format!("--jaeger={jaeger}"),
        format!("--svg={}", picture.display()),
    );
    let lines = run(bed, &["trace", volume, &jaeger]).await?;
    for words in [ROOT, "rds.command", "rds.verb=publish", &trace.trace_id] {
        assert!(lines.contains(words), "{words}:\n{lines}");
    }
    let json = run(bed, &["trace", volume, &jaeger, &svg, "--json"]).await?;
    let answer: Answer<Vec<Trace>> =
        serde_json::from_str(&json).attempt(|| format!("read {json}"))?;
    let shown = answer.data.unwrap_or_default();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].trace_id, trace.trace_id);
    let what = || format!("read {}", picture.display());
    let drawn = fs::read_to_string(&picture).attempt(what)?;
    assert!(drawn.contains(&trace.trace_id) && drawn.ends_with("</svg>\n"));
    if std::env::var_os(RECORD).is_some() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (path, text) in [(RECORDED, json), (PICTURE, drawn)] {
            fs::write(root.join(path), text).attempt(|| format!("write {path}"))?;
        }
    }
    Ok(())
}

/// Runs the driver's own command and gives what it prints.
async fn run(bed: &Bed, words: &[&str]) -> Result<String, Trouble> {
    let mut command = Command::new(&bed.ground().program);
    let output = command.args(words).kill_on_drop(true).output();
    let what = || format!("run rds-csi {}", words.join(" "));
    let output = timeout(COMMAND_LIMIT, output).await;
    let output = output.attempt(what)?.attempt(what)?;
    if output.status.success() {
        return String::from_utf8(output.stdout).attempt(what);
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned()).attempt(what)
}
