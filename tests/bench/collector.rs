//! A collector of traces that only counts what it is sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// What it does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Takes,
    /// No request is ever answered.
    Hangs,
}

/// A collector in this process, which ends when this is dropped.
pub(crate) struct Collector {
    address: SocketAddr,
    spans: Arc<AtomicUsize>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
}

struct Counting {
    manner: Manner,
    spans: Arc<AtomicUsize>,
}

// === impl Collector ===

impl Collector {
    pub(crate) async fn start(manner: Manner) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.context("a port for the collector")?;
        let address = listener.local_addr().context("the collector's port")?;
        let spans = Arc::new(AtomicUsize::new(0));
        let counting = Counting {
            manner,
            spans: Arc::clone(&spans),
        };
        let serving = Server::builder()
            .add_service(TraceServiceServer::new(counting))
            .serve_with_incoming(TcpListenerStream::new(listener));
        Ok(Self {
            address,
            spans,
            server: tokio::spawn(serving),
        })
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Spans that came so far, whether that was answered or not.
    pub(crate) fn spans(&self) -> usize {
        self.spans.load(Ordering::Relaxed)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[tonic::async_trait]
impl TraceService for Counting {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let processes = request.get_ref().resource_spans.iter();
        let scopes = processes.flat_map(|process| &process.scope_spans);
        let came = scopes.map(|scope| scope.spans.len()).sum();
        self.spans.fetch_add(came, Ordering::Relaxed);
        if self.manner == Manner::Hangs {
            std::future::pending::<()>().await;
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
