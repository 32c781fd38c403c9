//! Requests and answers: which paths there are, and how a failure is told in HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::admin::report::{Explanation, StatusReport};
use crate::admin::{Health, Source};
use crate::domain::error::{Error, Kind};
use crate::metrics::exposition::Form;
use crate::telemetry::level::{self, ChangeError};

/// An explanation reads one entry of the RDS (10 s by default) and, at the same time, the API.
pub(super) const EXPLAIN: Duration = Duration::from_secs(12);
/// A drain waits 15 s for calls under way, and a few more for the Lease to be given up. The 30 s that
/// Kubernetes gives a pod by default have to be enough for it and for the end of the process.
pub(super) const DRAIN: Duration = Duration::from_secs(25);

/// The only request with a body has a log filter in it: a level for each of our modules takes 3 KiB.
const MAX_REQUEST: usize = 4 << 10;

/// Whether a request came through the control socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Public,
    Control,
}

#[derive(Debug, Clone)]
struct Desk {
    source: Arc<dyn Source>,
    door: Door,
}

/// The body of every answer that is a refusal.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Problem {
    /// What was attempted, what came back, what to do.
    pub(super) error: String,
}

#[derive(Debug)]
struct Refusal {
    code: StatusCode,
    error: String,
}

/// What the TCP port serves: it changes nothing, and shows no name that lets one connect.
pub fn public(source: Arc<dyn Source>) -> Router {
    router(Desk {
        source,
        door: Door::Public,
    })
}

/// What the control socket serves: everything.
pub fn control(source: Arc<dyn Source>) -> Router {
    router(Desk {
        source,
        door: Door::Control,
    })
}

fn router(desk: Desk) -> Router {
    let routes = Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/explain/{*query}", get(explain));
    let routes = match desk.door {
        Door::Public => routes
            .route("/drain", post(elsewhere))
            .route("/log-level", get(log_level).put(elsewhere)),
        Door::Control => routes
            .route("/drain", post(drain))
            .route("/log-level", get(log_level).put(set_log_level)),
    };
    routes
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .fallback(nowhere)
        .method_not_allowed_fallback(not_so)
        .with_state(desk)
}

async fn live(State(desk): State<Desk>) -> Response {
    match desk.source.live() {
        Health::Good => "ok\n".into_response(),
        Health::Bad(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

/// The first word is the role, for scripts and for people.
async fn ready(State(desk): State<Desk>) -> Response {
    match desk.source.ready() {
        (role, Health::Good) => format!("{role}\n").into_response(),
        (role, Health::Bad(why)) => {
            let body = format!("{role}: {why}\n");
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}

async fn metrics(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let form = Form::accepted(accept);
    (
        [(CONTENT_TYPE, form.content_type())],
        desk.source.metrics(form),
    )
        .into_response()
}

async fn status(State(desk): State<Desk>) -> Json<StatusReport> {
    Json(desk.source.status())
}

async fn explain(
    State(desk): State<Desk>,
    Path(query): Path<String>,
) -> Result<Json<Explanation>, Refusal> {
    let explanation = timeout(EXPLAIN, desk.source.explain(&query)).await;
    let explanation = explanation.map_err(|_| Refusal {
        code: StatusCode::SERVICE_UNAVAILABLE,
        error: format!(
            "explaining {query}: the RDS or the Kubernetes API did not answer within {EXPLAIN:?}; \
             ask again, or look at the status"
        ),
    })??;
    Ok(Json(match desk.door {
        Door::Public => explanation.for_everybody(),
        Door::Control => explanation,
    }))
}

/// In a task of its own: one that was begun is finished, whether or not anybody waits for it.
async fn drain(State(desk): State<Desk>) -> Result<&'static str, Refusal> {
    info!("asked to drain over the control socket");
    let drained = tokio::spawn(async move { desk.source.drain().await });
    match timeout(DRAIN, drained).await {
        Ok(Ok(())) => Ok("drained\n"),
        Ok(Err(broken)) => Err(Refusal {
            code: StatusCode::INTERNAL_SERVER_ERROR,
            error: format!("draining ended early: {broken}"),
        }),
        Err(_) => Err(Refusal {
            code: StatusCode::SERVICE_UNAVAILABLE,
            error: format!("draining takes longer than {DRAIN:?}; it goes on"),
        }),
    }
}

async fn log_level() -> Result<String, Refusal> {
    let filter = level::current().ok_or(ChangeError::NoLog)?;
    Ok(format!("{filter}\n"))
}

/// Only over the control socket: a level hides what happened, or floods whoever collects logs.
async fn set_log_level(filter: String) -> Result<String, Refusal> {
    let (filter, before) = (filter.trim(), level::current());
    level::change(filter)?;
    warn!(
        filter,
        before, "the log level was changed over the control socket"
    );
    Ok(format!("{filter}\n"))
}

async fn elsewhere() -> Refusal {
    Refusal {
        code: StatusCode::FORBIDDEN,
        error: "this port changes nothing; drain, or change the log level, over the control socket"
            .to_owned(),
    }
}

async fn nowhere(uri: Uri) -> Refusal {
    Refusal {
        code: StatusCode::NOT_FOUND,
        error: format!(
            "there is no {}; there are /livez, /readyz, /metrics, /status, /log-level, \
             /explain/VOLUME and /explain/NAMESPACE/PVC",
            uri.path()
        ),
    }
}

async fn not_so(uri: Uri) -> Refusal {
    Refusal {
        code: StatusCode::METHOD_NOT_ALLOWED,
        error: format!(
            "{} is asked with GET, only /drain with POST, and only /log-level with PUT, too",
            uri.path()
        ),
    }
}

// === impl Refusal ===

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { code, error } = self;
        (code, Json(Problem { error })).into_response()
    }
}

impl From<ChangeError> for Refusal {
    fn from(error: ChangeError) -> Self {
        let code = match &error {
            ChangeError::Filter(_) => StatusCode::BAD_REQUEST,
            ChangeError::NoLog => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self {
            code,
            error: error.to_string(),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            Kind::Invalid | Kind::BadToken | Kind::OutOfRange => StatusCode::BAD_REQUEST,
            Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Incompatible | Kind::AttachedElsewhere | Kind::InUse => StatusCode::CONFLICT,
            Kind::Busy
            | Kind::NotLeader
            | Kind::NoSpace
            | Kind::Unavailable
            | Kind::Timeout
            | Kind::Misconfigured => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            code,
            error: error.to_string(),
        }
    }
}
