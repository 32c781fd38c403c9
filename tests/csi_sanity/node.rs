//! A stand-in for the node plugin. The suite asks a node for its name before it attaches a volume,
//! and asks the node's endpoint what the plugin can do; the latter is answered by the controller.

use std::path::Path;

use rds_csi::proto::csi;
use rds_csi::proto::csi::identity_client::IdentityClient;
use rds_csi::proto::csi::identity_server::{Identity, IdentityServer};
use rds_csi::proto::csi::node_server::{Node, NodeServer};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};

/// Serves on `socket` until the test's runtime ends.
pub(crate) fn serve(socket: &Path, name: &str, controller: Channel) {
    let listener = UnixListener::bind(socket).expect("the socket is free");
    let server = Server::builder()
        .add_service(IdentityServer::new(Forward(IdentityClient::new(
            controller,
        ))))
        .add_service(NodeServer::new(Named(name.to_owned())))
        .serve_with_incoming(UnixListenerStream::new(listener));
    tokio::spawn(async move { server.await.expect("the socket stays usable") });
}

/// Identity as the controller has it.
struct Forward(IdentityClient<Channel>);

#[tonic::async_trait]
impl Identity for Forward {
    async fn get_plugin_info(
        &self,
        request: Request<csi::GetPluginInfoRequest>,
    ) -> Result<Response<csi::GetPluginInfoResponse>, Status> {
        self.0.clone().get_plugin_info(request.into_inner()).await
    }

    async fn get_plugin_capabilities(
        &self,
        request: Request<csi::GetPluginCapabilitiesRequest>,
    ) -> Result<Response<csi::GetPluginCapabilitiesResponse>, Status> {
        self.0
            .clone()
            .get_plugin_capabilities(request.into_inner())
            .await
    }

    async fn probe(
        &self,
        request: Request<csi::ProbeRequest>,
    ) -> Result<Response<csi::ProbeResponse>, Status> {
        self.0.clone().probe(request.into_inner()).await
    }
}

/// A node that knows its name and never has a volume: taking one away is done already, and putting
/// one there is refused. The suite cleans up on the node before it does so at the controller.
struct Named(String);

impl Named {
    fn refuse<T>(rpc: &str) -> Result<Response<T>, Status> {
        Err(Status::unimplemented(format!(
            "the stand-in node has no {rpc}"
        )))
    }
}

#[tonic::async_trait]
impl Node for Named {
    async fn node_get_info(
        &self,
        _: Request<csi::NodeGetInfoRequest>,
    ) -> Result<Response<csi::NodeGetInfoResponse>, Status> {
        let node_id = self.0.clone();
        Ok(Response::new(csi::NodeGetInfoResponse {
            node_id,
            ..Default::default()
        }))
    }

    async fn node_get_capabilities(
        &self,
        _: Request<csi::NodeGetCapabilitiesRequest>,
    ) -> Result<Response<csi::NodeGetCapabilitiesResponse>, Status> {
        Ok(Response::new(csi::NodeGetCapabilitiesResponse::default()))
    }

    async fn node_stage_volume(
        &self,
        _: Request<csi::NodeStageVolumeRequest>,
    ) -> Result<Response<csi::NodeStageVolumeResponse>, Status> {
        Self::refuse("NodeStageVolume")
    }

    async fn node_unstage_volume(
        &self,
        _: Request<csi::NodeUnstageVolumeRequest>,
    ) -> Result<Response<csi::NodeUnstageVolumeResponse>, Status> {
        Ok(Response::new(csi::NodeUnstageVolumeResponse::default()))
    }

    async fn node_publish_volume(
        &self,
        _: Request<csi::NodePublishVolumeRequest>,
    ) -> Result<Response<csi::NodePublishVolumeResponse>, Status> {
        Self::refuse("NodePublishVolume")
    }

    async fn node_unpublish_volume(
        &self,
        _: Request<csi::NodeUnpublishVolumeRequest>,
    ) -> Result<Response<csi::NodeUnpublishVolumeResponse>, Status> {
        Ok(Response::new(csi::NodeUnpublishVolumeResponse::default()))
    }

    async fn node_get_volume_stats(
        &self,
        _: Request<csi::NodeGetVolumeStatsRequest>,
    ) -> Result<Response<csi::NodeGetVolumeStatsResponse>, Status> {
        Self::refuse("NodeGetVolumeStats")
    }

    async fn node_expand_volume(
        &self,
        _: Request<csi::NodeExpandVolumeRequest>,
    ) -> Result<Response<csi::NodeExpandVolumeResponse>, Status> {
        Self::refuse("NodeExpandVolume")
    }
}
