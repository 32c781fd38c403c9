//! What stands between `kube-leader-election` and the API, for one call: compare-and-swap, the
//! holder check, and our marks.
//!
//! The library reads the Lease, judges by time of day whether it has run out, and patches without a
//! condition. So its reads are answered with what the election has decided, and its writes get the
//! version that was read, so that the API refuses them if anything has changed.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, StatusCode};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::client::Body;
use serde_json::{Map, Value, json};
use tower::{BoxError, Service};
use tracing::Instrument;

use crate::domain::election::{Failure, HolderId, LeaseView, Version};
use crate::domain::leadership::Epoch;
use crate::k8s::object::{EPOCH, OFFERED_BY, RELEASED_BY, TRACE, trace, view};
use crate::k8s::trace as spans;
use crate::telemetry::context::{self, Place};

/// A moment that is past on every clock.
const LONG_AGO: &str = "1970-01-01T00:00:00.000000Z";

/// What the election has decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// Become the holder if the Lease has this version.
    Acquire { expecting: Version, epoch: Epoch },
    /// Renew if we are the holder, create if there is none.
    Renew { epoch: Epoch, offer: bool },
    /// Give it up if we are the holder.
    Release,
}

/// A client's service for one call under one order.
#[derive(Clone)]
pub(super) struct Guard {
    inner: Client,
    session: Arc<Session>,
}

/// One call: what was read, and why it went no further.
#[derive(Debug)]
pub(super) struct Session {
    me: HolderId,
    order: Order,
    progress: Mutex<Progress>,
    /// The span that the Lease named when it was read.
    former: Mutex<Option<Place>>,
}

#[derive(Debug, Default)]
enum Progress {
    #[default]
    Nothing,
    /// There is no Lease.
    Absent,
    /// The Lease has this version, and the order stands. Good for one write.
    Read(String),
    Refused(Failure),
    Done,
}

/// The order does not stand, or the library did what it never does.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the order does not stand any more")]
    Order,
    #[error("{0} of a Lease without a read before it")]
    Blind(Method),
    #[error("the answer to a read is no Lease")]
    NoLease,
}

// === impl Session ===

impl Session {
    pub(super) fn new(me: &HolderId, order: Order) -> Arc<Self> {
        Arc::new(Self {
            me: me.clone(),
            order,
            progress: Mutex::default(),
            former: Mutex::default(),
        })
    }

    /// The last span of the last holder, as the Lease told it in this call.
    pub(super) fn former(&self) -> Option<Place> {
        let former = self.former.lock();
        former.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why nothing was written, if it was this guard that refused.
    pub(super) fn refusal(&self) -> Option<Failure> {
        match std::mem::take(&mut *self.progress()) {
            Progress::Refused(failure) => Some(failure),
            Progress::Nothing | Progress::Absent | Progress::Read(_) | Progress::Done => None,
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in the Lease that was read. Answers what the library gets to see.
    fn read(&self, bytes: &[u8]) -> Result<Vec<u8>, BoxError> {
        let mut value: Value = serde_json::from_slice(bytes)?;
        let lease: Lease = serde_json::from_value(value.clone())?;
        let seen = view(&lease).ok_or(Refused::NoLease)?;
        *self.former.lock().unwrap_or_else(PoisonError::into_inner) = trace(&lease);
        let version = seen.version.as_str().to_owned();
        if let Some(failure) = self.objection(seen) {
            *self.progress() = Progress::Refused(failure);
            return Err(Refused::Order.into());
        }
        *self.progress() = Progress::Read(version);
        if let Order::Acquire { .. } = self.order {
            show_as_free(&mut value);
        }
        Ok(serde_json::to_vec(&value)?)
    }

    fn objection(&self, seen: LeaseView) -> Option<Failure> {
        match &self.order {
            Order::Acquire { expecting, .. } => {
                (seen.version != *expecting).then_some(Failure::Conflict)
            }
            Order::Renew { .. } | Order::Release => {
                (seen.hold.holder() != Some(&self.me)).then(|| Failure::NotHeld(Box::new(seen)))
            }
        }
    }

    fn absent(&self) -> Result<(), Refused> {
        match &self.order {
            Order::Renew { .. } | Order::Release => {
                *self.progress() = Progress::Absent;
                Ok(())
            }
            Order::Acquire { .. } => {
                *self.progress() = Progress::Refused(Failure::Conflict);
                Err(Refused::Order)
            }
        }
    }

    /// The body of a write, with its condition and our marks.
    fn write(&self, method: &Method, bytes: &[u8]) -> Result<Vec<u8>, BoxError> {
        let mut value: Value = serde_json::from_slice(bytes)?;
        let read = std::mem::replace(&mut *self.progress(), Progress::Done);
        match (method, read) {
            (&Method::PATCH, Progress::Read(version)) => {
                *entry(&mut value, &["metadata", "resourceVersion"]) = Value::String(version);
            }
            // A create is its own condition: it fails if there is a Lease.
            (&Method::POST, Progress::Absent) => {}
            _ => return Err(Refused::Blind(method.clone()).into()),
        }
        let mut marks = self.marks();
        if method == Method::POST
            && let Value::Object(marks) = &mut marks
        {
            // In a patch null removes; in a new object it is no text.
            marks.retain(|_, mark| !mark.is_null());
        }
        *entry(&mut value, &["metadata", "annotations"]) = marks;
        Ok(serde_json::to_vec(&value)?)
    }

    fn marks(&self) -> Value {
        let mut marks = self.own_marks();
        // Who takes the Lease has done nothing yet: what its former holder left stays.
        if let Some(last) = context::last()
            && !matches!(self.order, Order::Acquire { .. })
        {
            *entry(&mut marks, &[TRACE]) = Value::String(last.to_string());
        }
        marks
    }

    fn own_marks(&self) -> Value {
        let me = self.me.as_str();
        match &self.order {
            Order::Acquire { epoch, .. } => json!({
                EPOCH: epoch.digits().to_string(), OFFERED_BY: null, RELEASED_BY: null,
            }),
            Order::Renew { epoch, offer } => json!({
                EPOCH: epoch.digits().to_string(),
                OFFERED_BY: offer.then_some(me),
                RELEASED_BY: null,
            }),
            Order::Release => json!({OFFERED_BY: null, RELEASED_BY: me}),
        }
    }
}

/// Makes the library see what the election has decided: a Lease that ran out long ago, held by
/// nobody, with every field it wants to find. What the Lease really says about time is not shown.
fn show_as_free(value: &mut Value) {
    let transitions = value
        .pointer("/spec/leaseTransitions")
        .and_then(Value::as_i64)
        // The library adds one, to 32 bits.
        .map_or(0, |count| count.clamp(0, i64::from(i32::MAX) - 1));
    *entry(value, &["spec"]) = json!({
        "holderIdentity": "",
        "leaseDurationSeconds": 1,
        "leaseTransitions": transitions,
        "renewTime": LONG_AGO,
    });
}

/// The field at `path`, made if it is missing.
fn entry<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Value {
    path.iter().fold(value, |value, key| {
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        &mut value[*key]
    })
}

// === impl Guard ===

impl Guard {
    pub(super) fn new(inner: Client, session: Arc<Session>) -> Self {
        Self { inner, session }
    }

    async fn pass(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let verb = match *request.method() {
            Method::GET => "get",
            Method::POST => "create",
            Method::PATCH => "patch",
            _ => "write",
        };
        let span = spans::request(verb, "leases", None);
        let answer = self.guarded(request).instrument(span.clone()).await;
        let code = answer.as_ref().map(Response::status);
        match code {
            Ok(status) if status.is_success() => span.record("outcome", "done"),
            Ok(StatusCode::CONFLICT) => span.record("outcome", "conflict"),
            Ok(StatusCode::NOT_FOUND) => span.record("outcome", "absent"),
            Ok(_) => span.record("outcome", "failed"),
            Err(error) => span
                .record("error", tracing::field::display(error))
                .record("outcome", "failed"),
        };
        answer
    }

    async fn guarded(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let method = request.method().clone();
        if method == Method::GET {
            let (mut parts, body) = self.inner.send(request).await?.into_parts();
            let bytes = body.collect_bytes().await?;
            let bytes = match parts.status {
                status if status.is_success() => self.session.read(&bytes)?.into(),
                StatusCode::NOT_FOUND => {
                    self.session.absent()?;
                    bytes
                }
                _ => bytes,
            };
            parts.headers.remove(CONTENT_LENGTH);
            return Ok(Response::from_parts(parts, Body::from(bytes)));
        }
        let (mut parts, body) = request.into_parts();
        let bytes = self.session.write(&method, &body.collect_bytes().await?)?;
        parts.headers.remove(CONTENT_LENGTH);
        let request = Request::from_parts(parts, Body::from(bytes));
        Ok(self.inner.send(request).await?)
    }
}

impl Service<Request<Body>> for Guard {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // The client inside waits for its own room when it sends.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().pass(request))
    }
}

#[cfg(test)]
#[path = "guard/tests.rs"]
mod tests;
