//! What callers of a replica see that does not lead.

use std::path::PathBuf;
use std::time::Duration;

use rds_csi::proto::csi;
use rds_csi::proto::csi::controller_client::ControllerClient;
use rds_csi::proto::csi::identity_client::IdentityClient;
use tokio::time::Instant;
use tonic::Code;
use tonic::transport::Endpoint;

use crate::rig::Rig;

/// Enough to be answered at once a few times, even on a machine that does much else.
const PROBES: usize = 100;
/// Sidecars ask several times a second.
const AT_ONCE: Duration = Duration::from_millis(5);

#[tokio::test]
async fn a_follower_is_not_ready_without_an_error_and_names_the_leader() {
    let mut rig = Rig::slow().await;
    let leader = rig.leader().await;
    for pod in rig.followers_of(&leader) {
        let socket = rig.cluster.replica_mut(&pod).unwrap().socket();
        identity_works(socket).await;
        let answers = rig.judge().answers_of(&pod);
        assert!(!answers.is_empty(), "nobody asked {pod}");
        for answer in &answers {
            let status = answer.result.as_ref().unwrap_err().as_ref();
            let code = status.map(tonic::Status::code);
            assert_eq!(code, Some(Code::Unavailable), "{answer:?}");
        }
        let last = answers.last().unwrap().result.clone().unwrap_err();
        let message = last.unwrap().message().to_owned();
        assert!(message.contains(&leader), "{message}");
    }
    rig.finish().await;
}

async fn identity_works(socket: PathBuf) {
    let address = format!("unix://{}", socket.display());
    let channel = Endpoint::from_shared(address).unwrap().connect().await;
    let channel = channel.unwrap();
    let mut identity = IdentityClient::new(channel.clone());
    let mut took = Vec::new();
    for _ in 0..PROBES {
        let asked = Instant::now();
        let probe = identity.probe(csi::ProbeRequest {}).await.unwrap();
        took.push(asked.elapsed());
        assert_eq!(probe.into_inner().ready, Some(false));
    }
    took.sort();
    println!(
        "Probe of a follower: p50 {:?}, max {:?}",
        took[PROBES / 2],
        took[PROBES - 1]
    );
    assert!(took[0] < AT_ONCE, "{took:?}");
    let name = identity.get_plugin_info(csi::GetPluginInfoRequest {});
    assert!(!name.await.unwrap().into_inner().name.is_empty());
    let offered = identity.get_plugin_capabilities(csi::GetPluginCapabilitiesRequest {});
    assert!(!offered.await.unwrap().into_inner().capabilities.is_empty());
    let mut controller = ControllerClient::new(channel);
    let offered = controller.controller_get_capabilities(csi::ControllerGetCapabilitiesRequest {});
    assert!(!offered.await.unwrap().into_inner().capabilities.is_empty());
}
