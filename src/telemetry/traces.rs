//! Where spans go: OTLP over gRPC, on a thread and a runtime that nothing else uses.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::{BatchConfigBuilder, Sampler, SdkTracer, SdkTracerProvider};
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use tracing::{info, warn};

use super::context;
use super::pipeline::{Bounded, DELAY, QUEUE};
use super::sampler::Rooted;

/// The instrumentation scope of all our spans.
const SCOPE: &str = "rds-csi";

/// Where spans go, which of them, and who sends them. Headers, with their secrets, are not in it:
/// the exporter reads `OTEL_EXPORTER_OTLP_HEADERS` itself.
#[derive(Debug, Clone)]
pub struct Traces {
    /// The collector.
    pub endpoint: Collector,
    /// Which traces are recorded.
    pub sampling: Sampling,
    /// How the collector proves who it is, and how we do.
    pub tls: Tls,
    /// Spans that may wait; 4096 if not given.
    pub queue: Option<usize>,
    /// How long they wait for company; a second if not given.
    pub delay: Option<Duration>,
    /// The value of `service.name`; `rds-csi` if not given.
    pub service: Option<String>,
    /// The name of this pod.
    pub pod: Option<String>,
    /// The UID of this pod.
    pub pod_uid: Option<String>,
}

/// The address of a collector: `http://host:4317`, or `https` with TLS.
#[derive(Clone, PartialEq, Eq)]
pub struct Collector(String);

/// Which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// As whoever called us decided; of the others, this share, from 0 to 1.
    ParentOr(f64),
    /// This share of all, whoever called us.
    Always(f64),
}

/// Files for TLS, in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Who signs the collector's certificate, instead of the authorities that this machine trusts.
    pub authority: Option<PathBuf>,
    /// Our certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Why spans cannot be exported at all.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// A file cannot be read.
    #[error("{} for the trace collector cannot be read", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// The address or a setting makes no sense.
    #[error("the trace collector {0} cannot be used: {1}")]
    Exporter(Collector, String),
    /// No thread or memory.
    #[error("no runtime for the trace exporter")]
    Runtime(#[source] io::Error),
}

/// The exporter at work.
#[derive(Debug)]
pub(super) struct Exporting {
    provider: SdkTracerProvider,
    runtime: Runtime,
}

// === impl Exporting ===

impl Exporting {
    /// Begins to export; nothing is connected yet.
    pub(super) fn start(traces: &Traces) -> Result<Self, TracesError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .enable_all()
            .build()
            .map_err(TracesError::Runtime)?;
        // What the exporter spawns stays on this runtime: calls and their runtime do not know of it.
        let exporter = {
            let _entered = runtime.enter();
            exporter(traces)?
        };
        let batch =
            BatchConfigBuilder::default().with_scheduled_delay(traces.delay.unwrap_or(DELAY));
        let queue = traces.queue.unwrap_or(QUEUE).max(1);
        let provider = SdkTracerProvider::builder()
            .with_resource(traces.resource())
            .with_sampler(Rooted(traces.sampling.sampler()))
            .with_span_processor(Bounded::new(exporter, queue, batch))
            .build();
        context::switch_on();
        Ok(Self { provider, runtime })
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.provider.tracer(SCOPE)
    }

    /// Sends what waits, for no longer than `limit`.
    pub(super) fn finish(self, limit: Duration) {
        let Self { provider, runtime } = self;
        if let Err(error) = provider.shutdown_with_timeout(limit) {
            warn!(%error, ?limit, "the last spans were not sent");
        }
        runtime.shutdown_background();
    }
}

fn exporter(traces: &Traces) -> Result<SpanExporter, TracesError> {
    let Collector(endpoint) = &traces.endpoint;
    let mut builder = SpanExporter::builder().with_tonic().with_endpoint(endpoint);
    if !endpoint.starts_with("http://") {
        builder = builder.with_tls_config(traces.tls.config()?);
    }
    builder
        .build()
        .map_err(|error| TracesError::Exporter(traces.endpoint.clone(), error.to_string()))
}

// === impl Traces ===

impl Traces {
    /// Who sends: the standard variables go before what we know ourselves.
    fn resource(&self) -> Resource {
        let instance = match (&self.pod_uid, &self.pod) {
            (Some(uid), _) => uid.clone(),
            (None, Some(pod)) => pod.clone(),
            (None, None) => std::process::id().to_string(),
        };
        let mut own = vec![
            KeyValue::new("service.name", "rds-csi"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance),
        ];
        let pod = self
            .pod
            .clone()
            .map(|pod| KeyValue::new("k8s.pod.name", pod));
        let uid = self
            .pod_uid
            .clone()
            .map(|uid| KeyValue::new("k8s.pod.uid", uid));
        own.extend(pod);
        own.extend(uid);
        let resource = Resource::builder()
            .with_attributes(own)
            .with_detector(Box::new(EnvResourceDetector::new()));
        match &self.service {
            Some(service) => resource.with_service_name(service.clone()),
            None => resource,
        }
        .build()
    }

    /// Says where spans go.
    pub(super) fn announce(&self) {
        info!(collector = %self.endpoint, sampling = ?self.sampling, "spans are exported");
    }
}

// === impl Sampling ===

impl Sampling {
    fn sampler(self) -> Sampler {
        match self {
            Self::ParentOr(share) => {
                Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share)))
            }
            Self::Always(share) => Sampler::TraceIdRatioBased(share),
        }
    }
}

// === impl Tls ===

impl Tls {
    fn config(&self) -> Result<ClientTlsConfig, TracesError> {
        let read =
            |path: &PathBuf| fs::read(path).map_err(|error| TracesError::File(path.clone(), error));
        let mut config = match &self.authority {
            Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some((certificate, key)) = &self.identity {
            config = config.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        Ok(config)
    }
}

// === impl Collector ===

impl Collector {
    /// As it was typed.
    pub fn new(address: impl Into<String>) -> Self {
        Self(address.into())
    }
}

impl fmt::Display for Collector {
    /// Without what stands before an `@`, which may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = match self.0.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, self.0.as_str()),
        };
        let address = rest.rsplit_once('@').map_or(rest, |(_, address)| address);
        match scheme {
            Some(scheme) => write!(f, "{scheme}://{address}"),
            None => f.write_str(address),
        }
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        let rows = [
            ("http://collector:4317", "http://collector:4317"),
            ("https://me:secret@collector:4317", "https://collector:4317"),
            ("me:secret@collector:4317", "collector:4317"),
            ("collector:4317", "collector:4317"),
        ];
        for (typed, shown) in rows {
            let collector = Collector::new(typed);
            assert_eq!(collector.to_string(), shown);
            assert_eq!(format!("{collector:?}"), shown);
        }
    }
}
