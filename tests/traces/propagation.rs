//! A trace goes on through this process: from the header of a request to those that it causes.

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use http::Request;
use rds_csi::telemetry::context::Place;
use rds_csi::telemetry::propagate::{Accept, Forward};
use rds_csi::telemetry::traces::{Collector as Address, Sampling, Tls, Traces};
use rds_csi::telemetry::{self, Format};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tracing::{Instrument as _, info_span};

use crate::collector::{Collector, Manner};
use crate::rig::HANG;

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn traces(collector: &Collector) -> Traces {
    Traces {
        endpoint: Address::new(collector.endpoint()),
        sampling: Sampling::ParentOr(0.0),
        tls: Tls::default(),
        queue: None,
        delay: Some(Duration::from_millis(10)),
        service: Some("a-test".to_owned()),
        pod: None,
        pod_uid: None,
    }
}

/// What a server that is called by a client within `rpc` gets to see.
async fn sent_on(traceparent: Option<&str>) -> Option<String> {
    let client = Forward.layer(service_fn(|request: Request<()>| {
        let header = request.headers().get("traceparent");
        let header = header.map(|value| value.to_str().unwrap().to_owned());
        ready(Ok::<_, Infallible>(header))
    }));
    let server = Accept.layer(service_fn(move |_: Request<()>| {
        let client = client.clone();
        let span = info_span!(target: "rds_csi::test", "rpc", rpc.service = "s", rpc.method = "m");
        async move { client.oneshot(Request::new(())).await }.instrument(span)
    }));
    let mut request = Request::builder();
    if let Some(place) = traceparent {
        request = request.header("traceparent", place);
    }
    server.oneshot(request.body(()).unwrap()).await.unwrap()
}

/// The only test of this process that traces by itself.
#[tokio::test]
async fn a_trace_goes_on_from_the_header_that_came_to_the_header_that_is_sent() {
    let collector = Collector::start(Manner::Takes).await;
    let telemetry = telemetry::init(Format::Text, "off", Some(&traces(&collector))).unwrap();
    let caller: Place = CALLER.parse().unwrap();
    let sent: Place = sent_on(Some(CALLER)).await.unwrap().parse().unwrap();
    assert_eq!(sent.trace_id(), caller.trace_id());
    assert_ne!(sent, caller, "but from another span");
    for nonsense in [None, Some("nonsense")] {
        let sent: Place = sent_on(nonsense).await.unwrap().parse().unwrap();
        assert_ne!(sent.trace_id(), caller.trace_id());
        assert!(sent.to_string().ends_with("-00"), "{sent} is not recorded");
    }
    // What waits is sent at the end, and only what is recorded.
    let finished = tokio::task::spawn_blocking(move || telemetry.finish(HANG));
    finished.await.unwrap();
    let spans = collector.spans();
    let [span] = spans.as_slice() else {
        panic!("{spans:?}")
    };
    assert_eq!((&*span.name, &span.trace), ("s/m", &caller.trace_id()));
    assert_eq!(span.resource["service.name"], "a-test");
}
