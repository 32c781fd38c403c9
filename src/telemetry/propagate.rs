//! Traces across processes: taken over from whoever calls us, and handed on to whom we call.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use opentelemetry::context::FutureExt;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tower::{Layer, Service};

use super::context::{self, Place};

/// W3C Trace Context, section 3.2.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Lets what a request causes belong to the trace of its caller, if it names one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Accept;

/// A service behind [`Accept`].
#[derive(Debug, Clone)]
pub struct Accepting<S>(S);

/// Sends the current span along, so that a server that traces goes on with this trace.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forward;

/// A client behind [`Forward`].
#[derive(Debug, Clone)]
pub struct Forwarding<S>(S);

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

// === impl Accept ===

impl<S> Layer<S> for Accept {
    type Service = Accepting<S>;

    fn layer(&self, inner: S) -> Accepting<S> {
        Accepting(inner)
    }
}

impl<S, B> Service<Request<B>> for Accepting<S>
where
    S: Service<Request<B>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(task)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if !context::is_on() || !request.headers().contains_key(TRACEPARENT) {
            return Box::pin(self.0.call(request));
        }
        let caller = TraceContextPropagator::new().extract(&Headers(request.headers()));
        if !caller.has_active_span() {
            return Box::pin(self.0.call(request));
        }
        let answer = {
            let _attached = caller.clone().attach();
            self.0.call(request)
        };
        Box::pin(answer.with_context(caller))
    }
}

// === impl Forward ===

impl<S> Layer<S> for Forward {
    type Service = Forwarding<S>;

    fn layer(&self, inner: S) -> Forwarding<S> {
        Forwarding(inner)
    }
}

impl<S, B> Service<Request<B>> for Forwarding<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(task)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let place =
            Place::current().and_then(|place| HeaderValue::try_from(place.to_string()).ok());
        if let Some(place) = place {
            request.headers_mut().insert(TRACEPARENT, place);
        }
        self.0.call(request)
    }
}
