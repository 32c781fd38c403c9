//! From an HTTP request to its answer, by way of access, faults and the store.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Shared;
use super::faults::Fault;
use super::read;
use super::refusal::Refusal;
use super::request::{Call, Verb};
use super::watch;
use super::wire::Cutter;
use super::write::{self, Served};

/// The largest body an API server reads.
const MAX_BODY: usize = 3 << 20;

/// What `/version` says. Kinds and rules are those of this release.
const VERSION: (&str, &str) = ("1", "32");

/// Answers every request there is.
pub(super) async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    request: Request,
) -> Response {
    if request.uri().path() == "/version" {
        let (major, minor) = VERSION;
        let version = json!({
            "major": major, "minor": minor, "gitVersion": format!("v{major}.{minor}.0"),
            "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "",
            "compiler": "", "platform": "",
        });
        return axum::Json(version).into_response();
    }
    let (parts, body) = request.into_parts();
    let call = match Call::parse(&parts) {
        Ok(call) => call,
        Err(refusal) => return refusal.into_response(),
    };
    if let Err(refusal) = shared.access.check(&call) {
        return refusal.into_response();
    }
    shared.count(&call);
    let fault = shared.faults.take(&call);
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        let message = format!("Request entity too large: limit is {MAX_BODY}");
        return Refusal::new(413, "RequestEntityTooLarge", message).into_response();
    };
    let work = Work { shared, call, body };
    match fault {
        None => work.serve(),
        Some(fault) => work.serve_with(fault, &cutter).await,
    }
}

/// A request that was let in.
struct Work {
    shared: Arc<Shared>,
    call: Call,
    body: Bytes,
}

/// How a fault changes the serving of a request.
#[derive(Default)]
struct Twist {
    stale: Option<u64>,
    cut_after: Option<usize>,
}

// === impl Work ===

impl Work {
    fn serve(&self) -> Response {
        self.twisted(&Twist::default())
    }

    async fn serve_with(self, fault: Fault, cutter: &Cutter) -> Response {
        match fault {
            Fault::Latency { ms } => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                self.serve()
            }
            Fault::TooManyRequests { retry_after } => {
                Refusal::too_many(retry_after).into_response()
            }
            Fault::Error { code } => Refusal::server(code).into_response(),
            Fault::ErrorAfter { code } => {
                drop(self.serve());
                Refusal::server(code).into_response()
            }
            Fault::StallBefore => self.stall().await,
            Fault::StallAfter => {
                drop(self.serve());
                self.stall().await
            }
            Fault::Hold => self.hold().await,
            Fault::DropBefore => reset(cutter),
            Fault::DropAfter => {
                drop(self.serve());
                reset(cutter)
            }
            Fault::Stale { version } => self.twisted(&Twist {
                stale: Some(version),
                ..Twist::default()
            }),
            Fault::CutWatch { after } => self.twisted(&Twist {
                cut_after: Some(after),
                ..Twist::default()
            }),
        }
    }

    fn twisted(&self, twist: &Twist) -> Response {
        let served = match self.call.verb {
            Verb::Watch => {
                return watch::serve(&self.shared, &self.call, twist.cut_after)
                    .unwrap_or_else(IntoResponse::into_response);
            }
            Verb::Get => read::get(&self.shared.store(), &self.call, twist.stale),
            Verb::List => read::list(&self.shared.store(), &self.call, twist.stale),
            Verb::Create | Verb::Update | Verb::Patch | Verb::Delete => self.write(),
        };
        match served {
            Ok(Served { code, body }) => {
                let code = StatusCode::from_u16(code).unwrap_or(StatusCode::OK);
                let json = [(header::CONTENT_TYPE, "application/json")];
                (code, json, body).into_response()
            }
            Err(refusal) => refusal.into_response(),
        }
    }

    fn write(&self) -> Result<Served, Refusal> {
        let mut store = self.shared.store();
        let served = write::serve(&mut store, &self.call, &self.body);
        self.shared.announce(&store);
        served
    }

    /// Never answers; a client that waits sees its own deadline, or the end of the server.
    async fn stall(self) -> Response {
        self.shared.stop.cancelled().await;
        Refusal::server(503).into_response()
    }

    /// In a task of its own: a write that is stuck on its way arrives even if its sender has gone.
    async fn hold(self) -> Response {
        let held = self.shared.faults.hold();
        let stop = self.shared.stop.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => Refusal::server(503).into_response(),
                () = held.released() => self.serve(),
            }
        });
        task.await
            .unwrap_or_else(|_| Refusal::server(500).into_response())
    }
}

/// The connection is reset when this is written to it.
fn reset(cutter: &Cutter) -> Response {
    cutter.cut();
    Response::new(Body::empty())
}
