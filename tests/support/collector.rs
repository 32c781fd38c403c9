//! A collector of traces in the test's own process: what it got, and how it behaves.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span as WireSpan;
use rds_csi::workload::secrets::leaks_in;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// What a collector does with spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Takes,
    Refuses,
    /// It says nothing until it behaves otherwise.
    Hangs,
    /// It takes them, and says so this much later.
    Late(Duration),
}

/// A span as it arrived. Values of attributes are texts here, whatever they were.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty for the first span of a process in its trace, unless its caller sent one.
    pub(crate) parent: String,
    pub(crate) name: String,
    /// 1 internal, 2 server, 3 client.
    pub(crate) kind: i32,
    /// Nanoseconds since 1970.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) attributes: BTreeMap<String, String>,
    /// What is known of the process.
    pub(crate) resource: BTreeMap<String, String>,
    /// Trace and span.
    pub(crate) links: Vec<(String, String)>,
    /// The message of an error status.
    pub(crate) error: Option<String>,
}

/// A running collector.
pub(crate) struct Collector {
    address: SocketAddr,
    state: Arc<State>,
    server: JoinHandle<()>,
}

struct State {
    got: Mutex<Got>,
    arrived: watch::Sender<usize>,
    manner: watch::Sender<Manner>,
}

#[derive(Default)]
struct Got {
    spans: Vec<Span>,
    /// Everything as it came, for a search for what must not be in it.
    raw: String,
    headers: Vec<String>,
    /// When requests were answered, in nanoseconds since 1970.
    answered: Vec<u64>,
}

// === impl Collector ===

impl Collector {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            got: Mutex::default(),
            arrived: watch::Sender::new(0),
            manner: watch::Sender::new(manner),
        });
        let service = TraceServiceServer::new(Service(Arc::clone(&state)));
        let serving = Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(async move { serving.await.unwrap() });
        Self {
            address,
            state,
            server,
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn behave(&self, manner: Manner) {
        self.state.manner.send_replace(manner);
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.state.got().spans.clone()
    }

    /// Everything that came, as text.
    pub(crate) fn raw(&self) -> String {
        self.state.got().raw.clone()
    }

    /// The values of the header `authorization` that came.
    pub(crate) fn headers(&self) -> Vec<String> {
        self.state.got().headers.clone()
    }

    /// Nobody answers at its address any more.
    pub(crate) async fn stop(&mut self) {
        self.server.abort();
        let ended = (&mut self.server).await;
        assert!(ended.unwrap_err().is_cancelled());
    }

    /// How many requests came, and how many of them were answered.
    pub(crate) fn requests(&self) -> (usize, usize) {
        let answered = self.state.got().answered.len();
        (*self.state.arrived.borrow(), answered)
    }

    /// Whether this had ended when the collector gave its first answer, if it has by now.
    pub(crate) fn ended_before_any_answer(&self, span: &Span) -> bool {
        let first = self.state.got().answered.first().copied();
        first.is_none_or(|first| span.end < first)
    }

    /// Waits until what came is as wanted, and tells all of it; `limit` is for a failing test.
    pub(crate) async fn until(
        &self,
        what: &str,
        limit: Duration,
        is_it: impl Fn(&[Span]) -> bool,
    ) -> Vec<Span> {
        let mut arrived = self.state.arrived.subscribe();
        let look = async {
            loop {
                arrived.borrow_and_update();
                let spans = self.spans();
                if is_it(&spans) {
                    return spans;
                }
                arrived.changed().await.unwrap();
            }
        };
        let seen = timeout(limit, look).await;
        seen.unwrap_or_else(|_| {
            let names: Vec<_> = self.spans().into_iter().map(|span| span.name).collect();
            panic!("{what} did not arrive, but {names:?}")
        })
    }
}

impl Drop for Collector {
    /// Whatever a test is about, no span may have told a secret.
    fn drop(&mut self) {
        self.server.abort();
        let leaks = leaks_in("a span".as_ref(), &self.raw());
        assert!(
            leaks.is_empty() || std::thread::panicking(),
            "secrets were told: {leaks:#?}"
        );
    }
}

impl State {
    fn got(&self) -> MutexGuard<'_, Got> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_in(&self, request: Request<ExportTraceServiceRequest>) {
        let header = request.metadata().get("authorization");
        let header = header.map(|value| value.to_str().unwrap().to_owned());
        let request = request.into_inner();
        let mut got = self.got();
        writeln!(got.raw, "{request:?}").unwrap();
        got.headers.extend(header);
        for of_process in request.resource_spans {
            let resource = of_process.resource.unwrap_or_default().attributes;
            let resource = attributes(resource);
            let spans = of_process.scope_spans.into_iter();
            for span in spans.flat_map(|scope| scope.spans) {
                got.spans.push(Span::read(span, &resource));
            }
        }
        drop(got);
        self.arrived.send_modify(|count| *count += 1);
    }
}

struct Service(Arc<State>);

impl Service {
    fn answer(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = u64::try_from(now.as_nanos()).unwrap();
        self.0.got().answered.push(now);
    }
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut manner = self.0.manner.subscribe();
        self.0.take_in(request);
        let now = *manner.borrow_and_update();
        match now {
            Manner::Takes => {}
            Manner::Refuses => {
                self.answer();
                return Err(Status::resource_exhausted("go away"));
            }
            Manner::Hangs => manner.changed().await.unwrap(),
            Manner::Late(late) => tokio::time::sleep(late).await,
        }
        self.answer();
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

// === impl Span ===

impl Span {
    fn read(span: WireSpan, resource: &BTreeMap<String, String>) -> Self {
        let links = span.links.iter();
        let links = links.map(|link| (hex(&link.trace_id), hex(&link.span_id)));
        Self {
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            kind: span.kind,
            start: span.start_time_unix_nano,
            end: span.end_time_unix_nano,
            attributes: attributes(span.attributes),
            resource: resource.clone(),
            links: links.collect(),
            // 2 is an error.
            error: span
                .status
                .filter(|status| status.code == 2)
                .map(|status| status.message),
            name: span.name,
        }
    }

    /// An attribute, or nothing.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    let pairs = pairs.into_iter();
    pairs.map(|pair| (pair.key, text(pair.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::BoolValue(is)) => is.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
