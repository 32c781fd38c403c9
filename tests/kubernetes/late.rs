//! Calls that come late: from an external-attacher that outlived its leader, or at a leader that
//! leads no more.

use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::storage::v1::VolumeAttachment;
use rds_csi::proto::csi::ControllerUnpublishVolumeRequest as Unpublish;
use rds_csi::proto::csi::controller_client::ControllerClient;
use rds_csi::workload::cluster::Blow;
use testbed::bed::Bed;
use testbed::pod::Pod;
use testbed::trouble::{Attempt, Trouble};
use testbed::workload::LONG;
use tokio::process::Command;
use tokio::time::{interval, timeout};
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use crate::app::App;

/// Between two calls at a driver that starts, which takes it about a second.
const AGAIN: Duration = Duration::from_millis(50);

/// A ControllerUnpublishVolume that nobody wants any more changes nothing: the leader sees that the
/// VolumeAttachment is not being deleted, and a replica that does not lead says who does.
pub(crate) async fn a_late_unpublish_takes_nothing_from_a_node(bed: &Bed) -> Result<(), Trouble> {
    let app = App::start(bed, "app", None).await?;
    let before = state(bed, &app).await?;
    let leader = bed.deployment().leader(LONG).await?;
    for node in [app.node.as_str(), ""] {
        let refused = unpublish(&leader, &app, node).await?;
        assert_eq!(refused.code(), Code::Aborted, "{refused:?}");
        assert!(refused.message().contains(&app.node), "{refused:?}");
        bed.note(format!("at the leader, node {node:?}"), words(&refused));
        assert_eq!(state(bed, &app).await?, before);
    }
    app.goes_on(bed).await?;

    // It hands over and lives on, as in the seconds between the deletion of a pod and its end.
    drain(bed, &leader).await?;
    let (successor, took) = bed.deployment().successor(&leader, LONG).await?;
    bed.note("drained to another leads", format_args!("{took:.2?}"));
    let refused = unpublish(&leader, &app, &app.node).await?;
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    bed.note("at the former leader, draining", words(&refused));

    // Its next process takes its place at the same socket, where an old attacher would look for it.
    leader.hit(Blow::Terminate)?;
    leader.driver()?.started(2, LONG).await?;
    let refused = names_leader(&leader, &app, successor.name()).await?;
    bed.note("at its next process", words(&refused));
    let refused = unpublish(&successor, &app, &app.node).await?;
    assert_eq!(refused.code(), Code::Aborted, "{refused:?}");
    bed.note("at its successor", words(&refused));
    assert_eq!(state(bed, &app).await?, before);
    app.goes_on(bed).await?;
    Ok(())
}

/// Calls until the driver has found out who leads; until then it says that it does not know.
async fn names_leader(pod: &Pod, app: &App, leader: &str) -> Result<Status, Trouble> {
    let calls = async {
        let mut ticks = interval(AGAIN);
        loop {
            ticks.tick().await;
            // There is no socket while the process starts.
            let Ok(refused) = unpublish(pod, app, &app.node).await else {
                continue;
            };
            assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
            if refused.message().contains(leader) {
                return refused;
            }
        }
    };
    let named = timeout(LONG, calls).await;
    named.attempt(|| format!("hear from {} that {leader} leads", pod.name()))
}

/// What must not change: the entry on the RDS, and the VolumeAttachment as a whole.
async fn state(bed: &Bed, app: &App) -> Result<(String, VolumeAttachment), Trouble> {
    let disk = bed.sim().world().disk(&app.volume.handle);
    let user = bed.workload();
    let name = user.attachment(&app.volume, &app.node);
    let what = || format!("read VolumeAttachment {name}");
    let attachments = user.all::<VolumeAttachment>();
    let call = timeout(LONG, attachments.get(&name));
    Ok((
        format!("{disk:?}"),
        call.await.attempt(what)?.attempt(what)?,
    ))
}

/// Calls the driver of a pod as the attacher beside it does; what it refuses with.
async fn unpublish(pod: &Pod, app: &App, node: &str) -> Result<Status, Trouble> {
    let address = format!("unix://{}", pod.socket()?.display());
    let what = || format!("call the driver of {}", pod.name());
    let endpoint = Endpoint::from_shared(address).attempt(what)?;
    let channel = timeout(LONG, endpoint.connect()).await.attempt(what)?;
    let mut client = ControllerClient::new(channel.attempt(what)?);
    let request = Unpublish {
        volume_id: app.volume.handle.clone(),
        node_id: node.to_owned(),
        ..Unpublish::default()
    };
    let call = client.controller_unpublish_volume(request);
    match timeout(LONG, call).await.attempt(what)? {
        Err(refused) => Ok(refused),
        Ok(_) => Err(Trouble::found(format!(
            "{} let go of the volume",
            pod.name()
        ))),
    }
}

fn words(refused: &Status) -> String {
    format!("{:?}: {}", refused.code(), refused.message())
}

/// What the pod's preStop hook does.
async fn drain(bed: &Bed, pod: &Pod) -> Result<(), Trouble> {
    let mut command = Command::new(&bed.deployment().plan().programs.driver);
    command.arg("drain").arg("--control-socket");
    command.arg(pod.control_socket()?).stdin(Stdio::null());
    let what = || format!("drain {}", pod.name());
    let output = timeout(LONG, command.kill_on_drop(true).output()).await;
    let output = output.attempt(what)?.attempt(what)?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned()).attempt(what)
}
