//! Measures every call where it enters and leaves the server: those that no service of ours knows,
//! and those whose callers went away, too.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tokio::time::Instant;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

use crate::csi::rpc::Rpc;
use crate::csi::status;
use crate::metrics::rpc::{Calls, UnderWay};

/// A call that this driver does not know. Its name is the caller's, and so is no label.
const OTHER: &str = "other";

/// Puts [`Measured`] around a server.
#[derive(Debug, Clone)]
pub(super) struct Measure(pub(super) Calls);

/// A server whose calls are measured.
#[derive(Debug, Clone)]
pub(super) struct Measured<S> {
    inner: S,
    calls: Calls,
}

/// A call under way. Dropped before its end, it was cancelled.
struct Running {
    calls: Calls,
    method: &'static str,
    began: Instant,
    outcome: &'static str,
    _under_way: UnderWay,
}

impl<S> Layer<S> for Measure {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured {
            inner,
            calls: self.0.clone(),
        }
    }
}

impl<S, Q, A> Service<Request<Q>> for Measured<S>
where
    S: Service<Request<Q>, Response = Response<A>>,
    S::Future: Send + 'static,
{
    type Response = Response<A>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<A>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    /// All calls are unary: when their headers are there, they are done.
    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let running = Running::begin(&self.calls, request.uri().path());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            if let Ok(answer) = &answer {
                running.end(status::outcome_in(answer.headers()));
            }
            answer
        })
    }
}

// === impl Running ===

impl Running {
    fn begin(calls: &Calls, path: &str) -> Self {
        let (service, method) = path
            .trim_start_matches('/')
            .split_once('/')
            .unwrap_or_default();
        let is_it = |rpc: &Rpc| rpc.service() == service && rpc.method() == method;
        let method = Rpc::ALL.into_iter().find(is_it).map_or(OTHER, Rpc::method);
        Self {
            calls: calls.clone(),
            method,
            began: Instant::now(),
            outcome: status::CANCELLED,
            _under_way: calls.begin(method),
        }
    }

    fn end(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        self.calls.ended(self.method, self.outcome, took);
    }
}
