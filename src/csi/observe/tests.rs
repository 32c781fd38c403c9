//! What the log says of calls that end well, badly, or not at all.

use std::future::pending;
use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::Value;
use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing_subscriber::fmt::MakeWriter;

use super::*;

/// Log lines as JSON, of this thread only.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// A second subscriber, alive for as long as the tests run. While there is just one, `tracing` asks
/// only the subscriber of the thread that first reaches a log line whether anybody wants it, and
/// remembers the answer for all threads: a test beside these, which logs to nobody, could silence
/// the lines that are looked for here. With two, all subscribers are asked.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

impl Log {
    fn capture(&self) -> DefaultGuard {
        LazyLock::force(&SECOND);
        let lines = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_writer(self.clone())
            .finish();
        tracing::subscriber::set_default(lines)
    }

    fn lines(&self) -> Vec<Value> {
        let bytes = self.0.lock().unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The one line there is.
    fn only(&self) -> Value {
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }
}

async fn fail(rpc: Rpc, error: Error) -> (Status, Value) {
    let log = Log::default();
    let _guard = log.capture();
    let call = Call::begin(rpc).volume_id("csi-1").node_id("node-1");
    let answer = call.answer(async { Err::<(), _>(error) }).await;
    (answer.unwrap_err(), log.only())
}

#[tokio::test]
async fn a_failed_call_is_one_line_with_its_ids_outcome_and_causes() {
    let error = Error::unknown(Kind::Timeout, "no answer to a grant")
        .because(io::Error::other("connection reset"));
    let (answer, line) = fail(Rpc::ControllerPublishVolume, error).await;
    assert_eq!(answer.message(), "no answer to a grant");
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["message"], "rpc failed");
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("no answer to a grant"), "{error}");
    assert!(error.contains("connection reset"), "{error}");
    let span = &line["span"];
    assert_eq!(span["name"], "rpc");
    assert_eq!(span["rpc.system"], "grpc");
    assert_eq!(span["rpc.service"], "csi.v1.Controller");
    assert_eq!(span["rpc.method"], "ControllerPublishVolume");
    assert_eq!(span["rpc.grpc.status_code"], 4);
    assert_eq!(span["csi.volume_id"], "csi-1");
    assert_eq!(span["csi.node_id"], "node-1");
    assert_eq!(span["outcome"], "DEADLINE_EXCEEDED");
    assert!(span["duration_ms"].is_u64(), "{span}");
}

#[tokio::test]
async fn a_person_is_called_only_for_what_a_person_must_repair() {
    for kind in Kind::ALL {
        let (_, line) = fail(Rpc::DeleteVolume, Error::new(kind, "x")).await;
        let person = matches!(kind, Kind::Bug | Kind::Misconfigured);
        let expected = if person { "ERROR" } else { "WARN" };
        assert_eq!(line["level"], expected, "{kind:?}");
    }
}

#[tokio::test]
async fn a_success_is_a_line_only_if_something_may_have_changed() {
    for rpc in Rpc::ALL {
        let log = Log::default();
        let guard = log.capture();
        Call::begin(rpc).answer(async { Ok(()) }).await.unwrap();
        drop(guard);
        if rpc.changes_state() {
            let line = log.only();
            assert_eq!(
                (&line["level"], &line["message"]),
                (&"INFO".into(), &"rpc done".into())
            );
            assert_eq!(line["span"]["outcome"], "OK");
        } else {
            assert!(log.lines().is_empty(), "{rpc:?}: {:?}", log.lines());
        }
    }
}

#[tokio::test]
async fn a_call_whose_caller_went_away_is_recorded_as_cancelled() {
    let log = Log::default();
    let _guard = log.capture();
    let call = Call::begin(Rpc::CreateVolume).volume_name("pvc-1");
    let mut answer = Box::pin(call.answer(pending::<Result<(), Error>>()));
    assert!(futures::poll!(&mut answer).is_pending());
    drop(answer);
    let line = log.only();
    assert_eq!(line["span"]["outcome"], "CANCELLED");
    assert_eq!(line["span"]["csi.volume_name"], "pvc-1");
}

#[tokio::test]
async fn a_panic_is_answered_as_an_unknown_outcome() {
    let log = Log::default();
    let _guard = log.capture();
    let call = Call::begin(Rpc::CreateVolume);
    let work = async || -> Result<(), Error> { panic!("index out of bounds") };
    let answer = call.answer(work()).await.unwrap_err();
    assert_eq!(status::outcome(&answer), "UNAVAILABLE");
    assert!(!answer.message().contains("index"), "{answer}");
    let line = log.only();
    assert_eq!(line["level"], "ERROR");
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("index out of bounds"), "{error}");
}

#[tokio::test]
async fn ids_nobody_has_checked_cannot_forge_or_flood_the_log() {
    let log = Log::default();
    let _guard = log.capture();
    let raw = format!("a\n{{\"level\":\"INFO\"}}\u{1b}[2J{}", "x".repeat(1 << 20));
    let call = Call::begin(Rpc::DeleteVolume).volume_id(&raw);
    let error = Error::new(Kind::Invalid, "volume_id is bad");
    call.answer(async { Err::<(), _>(error) })
        .await
        .unwrap_err();
    let shown = log.only()["span"]["csi.volume_id"].to_string();
    assert!(shown.len() < 2 * MAX_SHOWN, "{} bytes", shown.len());
    assert!(
        !shown.contains('\n') && !shown.contains('\u{1b}'),
        "{shown}"
    );
}
