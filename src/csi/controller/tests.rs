//! The whole service over a real socket: what is bad or not offered never reaches the RDS.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint as ClientEndpoint};

use super::*;
use crate::clock::SystemClock;
use crate::csi::identity::Identity;
use crate::csi::server::{MayAnswer, routes, serve};
use crate::csi::socket::{Endpoint, bind};
use crate::csi::status;
use crate::domain::file::{BackingFile, Directory};
use crate::domain::grant::FencingMode;
use crate::domain::id::VolumeId;
use crate::domain::leadership::Permit;
use crate::domain::names::Names;
use crate::domain::shard::ShardCount;
use crate::domain::volume::{Entry, NewVolume, PoolSpace, Remains};
use crate::metrics::rpc::Calls;
use crate::ports::Backend;
use crate::proto::csi::controller_client::ControllerClient;
use crate::service::Settings;

/// An RDS that must not be asked.
#[derive(Debug)]
struct Untouchable;

macro_rules! untouchable {
    ($($call:ident($($argument:ty),*) -> $answer:ty;)+) => {
        #[async_trait]
        impl Backend for Untouchable {
            fn incarnation(&self) -> u64 {
                0
            }

            async fn restarted(&self, _known: u64) {
                std::future::pending().await
            }

            async fn list(&self, _: &mut (dyn FnMut(Entry) + Send)) -> Result<(), Error> {
                panic!("list reached the RDS")
            }

            async fn list_part(
                &self,
                _: char,
                _: &mut (dyn FnMut(Entry) + Send),
            ) -> Result<(), Error> {
                panic!("list_part reached the RDS")
            }

            $(async fn $call(&self, $(_: $argument),*) -> Result<$answer, Error> {
                panic!("{} reached the RDS", stringify!($call))
            })+
        }
    };
}

untouchable! {
    probe_fencing(Permit, &Directory) -> FencingMode;
    read(&VolumeId) -> Option<Entry>;
    create(Permit, &NewVolume) -> Option<Entry>;
    grant(Permit, &VolumeId, &Names, &Names) -> Option<Entry>;
    revoke(Permit, &VolumeId, &Names, &Names) -> Option<Entry>;
    reopen(Permit, &VolumeId, &Names) -> Option<Entry>;
    remake(Permit, &VolumeId, &Names, &Names) -> Option<Entry>;
    grow(Permit, &VolumeId, u64) -> Option<Entry>;
    remove(Permit, &VolumeId, &Names) -> Remains;
    remains(&VolumeId) -> Remains;
    remove_files(Permit, &VolumeId, &[BackingFile]) -> Remains;
    space(&Directory) -> PoolSpace;
}

fn volumes() -> Volumes {
    let settings = Settings {
        cluster: "c".parse().unwrap(),
        base: "/pool/csi".parse().unwrap(),
        rds_address: "rds".to_owned(),
        nvme_address: "10.0.0.1".parse().unwrap(),
        revoke_settle: Duration::ZERO,
        allowed_nodes: None,
        shards: ShardCount::default(),
    };
    Volumes::new(Arc::new(Untouchable), Arc::new(SystemClock), settings)
}

async fn start() -> (ControllerClient<Channel>, TempDir) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("csi.sock");
    let endpoint: Endpoint = path.to_str().unwrap().parse().unwrap();
    let listener = bind(&endpoint).await.unwrap();
    let identity = Identity::new("rds.example".to_owned(), || false);
    let routes = routes(identity, Some(Controller::new(volumes())));
    tokio::spawn(serve(
        listener,
        routes,
        MayAnswer::when(|| true),
        Calls::default(),
        std::future::pending(),
    ));
    let address = ClientEndpoint::from_shared(format!("unix://{}", path.display())).unwrap();
    (ControllerClient::connect(address).await.unwrap(), directory)
}

fn outcome<T>(answer: Result<Response<T>, Status>) -> &'static str {
    match answer {
        Ok(_) => "OK",
        Err(answer) => status::outcome(&answer),
    }
}

#[tokio::test]
async fn bad_input_to_any_call_is_refused_before_the_rds_is_asked() {
    let (mut client, _directory) = start().await;
    let page = csi::ListVolumesRequest {
        max_entries: -1,
        ..Default::default()
    };
    let room = csi::GetCapacityRequest {
        parameters: HashMap::from([("volumePath".to_owned(), "/a;/quit".to_owned())]),
        ..Default::default()
    };
    let answers = [
        outcome(
            client
                .create_volume(csi::CreateVolumeRequest::default())
                .await,
        ),
        outcome(
            client
                .delete_volume(csi::DeleteVolumeRequest::default())
                .await,
        ),
        outcome(
            client
                .controller_expand_volume(csi::ControllerExpandVolumeRequest::default())
                .await,
        ),
        outcome(
            client
                .controller_publish_volume(csi::ControllerPublishVolumeRequest::default())
                .await,
        ),
        outcome(
            client
                .controller_unpublish_volume(csi::ControllerUnpublishVolumeRequest::default())
                .await,
        ),
        outcome(
            client
                .validate_volume_capabilities(csi::ValidateVolumeCapabilitiesRequest::default())
                .await,
        ),
        outcome(
            client
                .controller_get_volume(csi::ControllerGetVolumeRequest::default())
                .await,
        ),
        outcome(client.list_volumes(page).await),
        outcome(client.get_capacity(room).await),
    ];
    assert_eq!(answers, ["INVALID_ARGUMENT"; 9]);
}

#[tokio::test]
async fn calls_that_are_not_offered_say_so() {
    let (mut client, _directory) = start().await;
    let answers = [
        outcome(
            client
                .controller_modify_volume(csi::ControllerModifyVolumeRequest::default())
                .await,
        ),
        outcome(
            client
                .create_snapshot(csi::CreateSnapshotRequest::default())
                .await,
        ),
        outcome(
            client
                .delete_snapshot(csi::DeleteSnapshotRequest::default())
                .await,
        ),
        outcome(
            client
                .list_snapshots(csi::ListSnapshotsRequest::default())
                .await,
        ),
        outcome(
            client
                .get_snapshot(csi::GetSnapshotRequest::default())
                .await,
        ),
    ];
    assert_eq!(answers, ["UNIMPLEMENTED"; 5]);
}

#[tokio::test]
async fn capabilities_are_answered_without_an_rds() {
    let (mut client, _directory) = start().await;
    let request = csi::ControllerGetCapabilitiesRequest {};
    let answer = client.controller_get_capabilities(request).await.unwrap();
    let offered = answer.into_inner().capabilities;
    let names: Vec<_> = offered
        .into_iter()
        .filter_map(|one| one.r#type)
        .map(|Type::Rpc(rpc)| rpc.r#type().as_str_name())
        .collect();
    let expected = [
        "CREATE_DELETE_VOLUME",
        "PUBLISH_UNPUBLISH_VOLUME",
        "LIST_VOLUMES",
        "LIST_VOLUMES_PUBLISHED_NODES",
        "GET_CAPACITY",
        "EXPAND_VOLUME",
        "GET_VOLUME",
        "VOLUME_CONDITION",
        "SINGLE_NODE_MULTI_WRITER",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a_request_beyond_the_size_limit_is_refused_and_the_next_one_is_served() {
    let (mut client, _directory) = start().await;
    let huge = csi::CreateVolumeRequest {
        name: "n".repeat(2 << 20),
        ..Default::default()
    };
    assert_eq!(outcome(client.create_volume(huge).await), "OUT_OF_RANGE");
    let request = csi::ControllerGetCapabilitiesRequest {};
    assert_eq!(
        outcome(client.controller_get_capabilities(request).await),
        "OK"
    );
}
