//! CSI Controller: each call is read, handed to the services, and answered.

use std::future::{Ready, ready};

use tonic::{Request, Response, Status, async_trait};

use crate::csi::observe::Call;
use crate::csi::rpc::Rpc;
use crate::csi::{request, response};
use crate::domain::error::{Error, Kind};
use crate::proto::csi;
use crate::proto::csi::controller_server::Controller as Service;
use crate::proto::csi::controller_service_capability::rpc::Type as Offer;
use crate::proto::csi::controller_service_capability::{Rpc as OfferedRpc, Type};
use crate::service::Volumes;

/// What this driver offers beyond the calls that every driver must have.
pub(crate) const OFFERED: [Offer; 9] = [
    Offer::CreateDeleteVolume,
    Offer::PublishUnpublishVolume,
    Offer::ListVolumes,
    Offer::ListVolumesPublishedNodes,
    Offer::GetCapacity,
    Offer::ExpandVolume,
    Offer::GetVolume,
    Offer::VolumeCondition,
    Offer::SingleNodeMultiWriter,
];

/// The Controller service of one RDS.
#[derive(Debug, Clone)]
pub struct Controller {
    volumes: Volumes,
}

// === impl Controller ===

impl Controller {
    /// Serves these volumes.
    pub fn new(volumes: Volumes) -> Self {
        Self { volumes }
    }
}

#[async_trait]
impl Service for Controller {
    async fn create_volume(
        &self,
        request: Request<csi::CreateVolumeRequest>,
    ) -> Result<Response<csi::CreateVolumeResponse>, Status> {
        let request = request.into_inner();
        let call = Call::begin(Rpc::CreateVolume).volume_name(&request.name);
        call.answer(async {
            let created = self.volumes.create(request::create(&request)?).await?;
            Ok(response::created(&created))
        })
        .await
    }

    async fn delete_volume(
        &self,
        request: Request<csi::DeleteVolumeRequest>,
    ) -> Result<Response<csi::DeleteVolumeResponse>, Status> {
        let request = request.into_inner();
        let call = Call::begin(Rpc::DeleteVolume).volume_id(&request.volume_id);
        call.answer(async {
            self.volumes.delete(request::delete(&request)?).await?;
            Ok(csi::DeleteVolumeResponse {})
        })
        .await
    }

    async fn controller_expand_volume(
        &self,
        request: Request<csi::ControllerExpandVolumeRequest>,
    ) -> Result<Response<csi::ControllerExpandVolumeResponse>, Status> {
        let request = request.into_inner();
        let call = Call::begin(Rpc::ControllerExpandVolume).volume_id(&request.volume_id);
        call.answer(async {
            let expand = request::expand(&request)?;
            let size = self.volumes.expand(expand.id, expand.size).await?;
            Ok(response::expanded(size, expand.node_expansion))
        })
        .await
    }

    async fn controller_publish_volume(
        &self,
        request: Request<csi::ControllerPublishVolumeRequest>,
    ) -> Result<Response<csi::ControllerPublishVolumeResponse>, Status> {
        let request = request.into_inner();
        let call = Call::begin(Rpc::ControllerPublishVolume)
            .volume_id(&request.volume_id)
            .node_id(&request.node_id);
        call.answer(async {
            let context = self.volumes.publish(request::publish(&request)?).await?;
            Ok(response::published(&context))
        })
        .await
    }

    async fn controller_unpublish_volume(
        &self,
        request: Request<csi::ControllerUnpublishVolumeRequest>,
    ) -> Result<Response<csi::ControllerUnpublishVolumeResponse>, Status> {
        let request = request.into_inner();
        let call = Call::begin(Rpc::ControllerUnpublishVolume)
            .volume_id(&request.volume_id)
            .node_id(&request.node_id);
        call.answer(async {
            let unpublish = request::unpublish(&request)?;
            self.volumes.unpublish(unpublish.id, unpublish.node).await?;
            Ok(csi::ControllerUnpublishVolumeResponse {})
        })
        .await
    }

    async fn validate_volume_capabilities(
        &self,
        request: Request<csi::ValidateVolumeCapabilitiesRequest>,
    ) -> Result<Response<csi::ValidateVolumeCapabilitiesResponse>, Status> {
        let request = request.into_inner();
        let call = Call::begin(Rpc::ValidateVolumeCapabilities).volume_id(&request.volume_id);
        call.answer(async {
            let validate = request::validate(&request)?;
            self.volumes.status(validate.id).await?;
            Ok(response::validated(request, validate.verdict))
        })
        .await
    }

    async fn list_volumes(
        &self,
        request: Request<csi::ListVolumesRequest>,
    ) -> Result<Response<csi::ListVolumesResponse>, Status> {
        let request = request.into_inner();
        let call = Call::begin(Rpc::ListVolumes);
        call.answer(async {
            let list = request::list(&request)?;
            let page = self.volumes.list(list.token.as_deref(), list.max).await?;
            Ok(response::listed(page))
        })
        .await
    }

    async fn controller_get_volume(
        &self,
        request: Request<csi::ControllerGetVolumeRequest>,
    ) -> Result<Response<csi::ControllerGetVolumeResponse>, Status> {
        let request = request.into_inner();
        let call = Call::begin(Rpc::ControllerGetVolume).volume_id(&request.volume_id);
        call.answer(async {
            let status = self.volumes.status(request::get(&request)?).await?;
            Ok(response::got(status))
        })
        .await
    }

    async fn get_capacity(
        &self,
        request: Request<csi::GetCapacityRequest>,
    ) -> Result<Response<csi::GetCapacityResponse>, Status> {
        let request = request.into_inner();
        let call = Call::begin(Rpc::GetCapacity);
        call.answer(async {
            let room = self.volumes.room(&request::capacity(&request)?).await?;
            Ok(response::room(&room))
        })
        .await
    }

    /// Needs neither the RDS nor leadership: sidecars ask before anything else.
    async fn controller_get_capabilities(
        &self,
        _: Request<csi::ControllerGetCapabilitiesRequest>,
    ) -> Result<Response<csi::ControllerGetCapabilitiesResponse>, Status> {
        let call = Call::begin(Rpc::ControllerGetCapabilities);
        call.answer(async {
            let capabilities = OFFERED.map(offer).to_vec();
            Ok(csi::ControllerGetCapabilitiesResponse { capabilities })
        })
        .await
    }

    async fn controller_modify_volume(
        &self,
        request: Request<csi::ControllerModifyVolumeRequest>,
    ) -> Result<Response<csi::ControllerModifyVolumeResponse>, Status> {
        let call = Call::begin(Rpc::ControllerModifyVolume);
        let call = call.volume_id(&request.get_ref().volume_id);
        call.answer(not_offered("MODIFY_VOLUME")).await
    }

    async fn create_snapshot(
        &self,
        request: Request<csi::CreateSnapshotRequest>,
    ) -> Result<Response<csi::CreateSnapshotResponse>, Status> {
        let call = Call::begin(Rpc::CreateSnapshot);
        let call = call.volume_id(&request.get_ref().source_volume_id);
        call.answer(not_offered("CREATE_DELETE_SNAPSHOT")).await
    }

    async fn delete_snapshot(
        &self,
        _: Request<csi::DeleteSnapshotRequest>,
    ) -> Result<Response<csi::DeleteSnapshotResponse>, Status> {
        let call = Call::begin(Rpc::DeleteSnapshot);
        call.answer(not_offered("CREATE_DELETE_SNAPSHOT")).await
    }

    async fn list_snapshots(
        &self,
        _: Request<csi::ListSnapshotsRequest>,
    ) -> Result<Response<csi::ListSnapshotsResponse>, Status> {
        let call = Call::begin(Rpc::ListSnapshots);
        call.answer(not_offered("LIST_SNAPSHOTS")).await
    }

    async fn get_snapshot(
        &self,
        _: Request<csi::GetSnapshotRequest>,
    ) -> Result<Response<csi::GetSnapshotResponse>, Status> {
        let call = Call::begin(Rpc::GetSnapshot);
        call.answer(not_offered("GET_SNAPSHOT")).await
    }
}

fn not_offered<T>(capability: &str) -> Ready<Result<T, Error>> {
    ready(Err(Error::new(
        Kind::Unsupported,
        format!("this driver does not offer {capability}"),
    )))
}

fn offer(rpc: Offer) -> csi::ControllerServiceCapability {
    csi::ControllerServiceCapability {
        r#type: Some(Type::Rpc(OfferedRpc { r#type: rpc.into() })),
    }
}

#[cfg(test)]
mod tests;
