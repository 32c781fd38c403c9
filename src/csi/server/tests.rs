//! The server over a real socket, with Identity services that answer at once, late or never.

use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, pause};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint as ClientEndpoint};
use tonic::{Request, Response, Status, async_trait};

use super::*;
use crate::csi::socket::{Endpoint, bind};
use crate::proto::csi;
use crate::proto::csi::identity_client::IdentityClient;
use crate::proto::csi::identity_server::Identity as Service;

/// Answers Probe when it is told to.
#[derive(Debug, Clone, Default)]
struct Slow {
    arrived: Arc<Notify>,
    answer: Arc<Notify>,
}

#[async_trait]
impl Service for Slow {
    async fn get_plugin_info(
        &self,
        _: Request<csi::GetPluginInfoRequest>,
    ) -> Result<Response<csi::GetPluginInfoResponse>, Status> {
        Ok(Response::new(csi::GetPluginInfoResponse::default()))
    }

    async fn get_plugin_capabilities(
        &self,
        _: Request<csi::GetPluginCapabilitiesRequest>,
    ) -> Result<Response<csi::GetPluginCapabilitiesResponse>, Status> {
        Ok(Response::new(csi::GetPluginCapabilitiesResponse::default()))
    }

    async fn probe(
        &self,
        _: Request<csi::ProbeRequest>,
    ) -> Result<Response<csi::ProbeResponse>, Status> {
        self.arrived.notify_one();
        self.answer.notified().await;
        Ok(Response::new(csi::ProbeResponse { ready: Some(true) }))
    }
}

struct Running {
    stop: CancellationToken,
    server: JoinHandle<Result<(), Error>>,
    client: IdentityClient<Channel>,
    endpoint: Endpoint,
    _directory: TempDir,
}

async fn start(routes: Routes) -> Running {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("csi.sock");
    let endpoint: Endpoint = path.to_str().unwrap().parse().unwrap();
    let listener = bind(&endpoint).await.unwrap();
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(
        listener,
        routes,
        MayAnswer::when(|| true),
        Calls::default(),
        stop.clone().cancelled_owned(),
    ));
    let address = format!("unix://{}", path.display());
    let channel = ClientEndpoint::from_shared(address).unwrap();
    let client = IdentityClient::new(channel.connect().await.unwrap());
    Running {
        stop,
        server,
        client,
        endpoint,
        _directory: directory,
    }
}

async fn start_slow(slow: &Slow) -> Running {
    start(Routes::new(IdentityServer::new(slow.clone()))).await
}

#[tokio::test]
async fn a_plugin_that_is_not_ready_answers_over_its_socket() {
    let identity = Identity::new("rds.example".to_owned(), || false);
    let mut running = start(routes(identity, None)).await;
    let about = running
        .client
        .get_plugin_info(csi::GetPluginInfoRequest {})
        .await
        .unwrap();
    assert_eq!(about.get_ref().name, "rds.example");
    let probe = running.client.probe(csi::ProbeRequest {}).await.unwrap();
    assert_eq!(probe.get_ref().ready, Some(false));
}

#[tokio::test]
async fn a_call_under_way_at_shutdown_is_answered_and_no_new_one_is_taken() {
    let slow = Slow::default();
    let mut running = start_slow(&slow).await;
    let call = tokio::spawn(async move { running.client.probe(csi::ProbeRequest {}).await });
    slow.arrived.notified().await;

    running.stop.cancel();
    // The listener is closed at once, before the call under way is answered.
    while tokio::net::UnixStream::connect(running.endpoint.path())
        .await
        .is_ok()
    {
        tokio::task::yield_now().await;
    }
    assert!(!running.server.is_finished(), "it waits for the call");

    slow.answer.notify_one();
    assert_eq!(call.await.unwrap().unwrap().get_ref().ready, Some(true));
    assert!(running.server.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_call_that_never_ends_holds_up_shutdown_no_longer_than_the_drain_limit() {
    let slow = Slow::default();
    let mut running = start_slow(&slow).await;
    let _call = tokio::spawn(async move { running.client.probe(csi::ProbeRequest {}).await });
    slow.arrived.notified().await;

    pause();
    let began = Instant::now();
    running.stop.cancel();
    assert!(running.server.await.unwrap().is_ok());
    let waited = began.elapsed();
    let slack = Duration::from_secs(1);
    assert!(
        (DRAIN_LIMIT..DRAIN_LIMIT + slack).contains(&waited),
        "{waited:?}"
    );
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_shutdown() {
    let mut running = start_slow(&Slow::default()).await;
    running
        .client
        .get_plugin_info(csi::GetPluginInfoRequest {})
        .await
        .unwrap();
    pause();
    let began = Instant::now();
    running.stop.cancel();
    assert!(running.server.await.unwrap().is_ok());
    assert!(began.elapsed() < DRAIN_LIMIT, "{:?}", began.elapsed());
}
