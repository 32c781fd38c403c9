//! The trace of a call: every step from the RPC to the RouterOS command, in its place.

use rds_csi::domain::claim::Attachment;
use rds_csi::sim::faults::{DeviceFaults, VerbFailure};
use rds_csi::sim::transport::{Fault, Matcher, Rule};
use rds_csi::workload::cluster::DRIVER;
use tonic::Code;

use crate::collector::{Manner, Span};
use crate::rig::Rig;

/// A publish of a volume that nobody has had before.
pub(crate) const PUBLISH: &str = "\
csi.v1.Controller/ControllerPublishVolume OK
  shard.queue
  volume.operation publish
    decision publish grant free
    permit granted
    rds.command publish done
      rds.connection.wait
      rds.exec publish replied
    read_back granted
";

#[tokio::test]
async fn a_publish_is_one_trace_from_the_call_to_the_command() {
    let rig = Rig::start(1, Manner::Takes).await;
    let volume = rig.create("pv-1").await;
    let caller = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let traceparent = format!("00-{}-{}-01", caller.0, caller.1);
    let answer = rig.publish_within(&volume, "node-a", Some(&traceparent));
    answer.await.unwrap();
    let tree = rig.publish_trace(&volume, "node-a").await;
    assert_eq!(tree.shape(), PUBLISH);
    tree.assert_times_add_up();

    let root = tree.root();
    assert_eq!((root.trace.as_str(), root.parent.as_str()), caller);
    assert_eq!((root.kind, &root.error), (2, &None), "a server's span");
    let name = Attachment::name_of(&volume.handle.parse().unwrap(), DRIVER, "node-a");
    let rows = [
        ("rpc.system", "grpc"),
        ("rpc.service", "csi.v1.Controller"),
        ("rpc.method", "ControllerPublishVolume"),
        ("rpc.grpc.status_code", "0"),
        ("csi.volume_id", &volume.handle),
        ("csi.node_id", "node-a"),
        ("k8s.volumeattachment.name", &name),
        ("lease.epoch", "1"),
        ("outcome", "OK"),
    ];
    assert_attributes(root, &rows);
    assert!(!root.get("shard").is_empty());
    let resource = |key: &str| root.resource.get(key).map_or("", String::as_str);
    assert_eq!(resource("service.name"), "rds-csi");
    assert_eq!(resource("service.version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(resource("k8s.pod.name"), "controller-0");
    assert_eq!(resource("service.instance.id"), resource("k8s.pod.uid"));
    assert_eq!(resource("deployment.environment"), "test");

    let command = tree.only("rds.command");
    assert_eq!(command.kind, 3, "a client's span");
    let rows = [
        ("rds.verb", "publish"),
        ("rds.slot", volume.handle.as_str()),
        ("rds.attempt", "1"),
        ("outcome", "done"),
    ];
    assert_attributes(command, &rows);
    for (key, least) in [
        ("rds.connection", 1.0),
        ("rds.request_bytes", 100.0),
        ("rds.reply_bytes", 100.0),
        ("rds.round_trip_ms", 0.0),
    ] {
        let value: f64 = command.get(key).parse().unwrap();
        assert!(value >= least, "{key} {value}");
    }
}

/// A publish of a volume that another node has, and is to have.
const CONFLICT: &str = "\
csi.v1.Controller/ControllerPublishVolume FAILED_PRECONDITION
  shard.queue
  volume.operation publish
    rds.command read done
      rds.connection.wait
      rds.exec read replied
    decision publish held-by-other granted
    k8s.list volumeattachments done
    k8s.get nodes done
";

#[tokio::test]
async fn a_conflict_shows_who_was_asked_and_what_was_decided() {
    let rig = Rig::start(1, Manner::Takes).await;
    let volume = rig.create("pv-1").await;
    let placement = rig.cluster.placement();
    placement.attach(&volume, "node-a").await.unwrap();
    rig.publish(&volume, "node-a").await.unwrap();
    let refused = rig.publish(&volume, "node-b").await.unwrap_err();
    let tree = rig.publish_trace(&volume, "node-b").await;
    assert_eq!(tree.shape(), CONFLICT);
    tree.assert_times_add_up();
    let root = tree.root();
    let told = root.get("error");
    assert!(
        told.contains(refused.message()) && told.contains("node-a"),
        "{told}"
    );
    assert_eq!(root.get("rpc.grpc.status_code"), "9");
}

#[tokio::test]
async fn a_refused_command_shows_what_the_device_said() {
    let rig = Rig::start(1, Manner::Takes).await;
    let volume = rig.create("pv-1").await;
    let said = "failure: not allowed by device-mode";
    let failure = VerbFailure {
        text: said.to_owned(),
        times: Some(1),
        after_effect: false,
    };
    rig.cluster.sim().world().set_faults(DeviceFaults {
        fail: [("/disk/set".to_owned(), failure)].into(),
        ..DeviceFaults::default()
    });
    let refused = rig.publish(&volume, "node-a").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let tree = rig.publish_trace(&volume, "node-a").await;
    let command = tree.only("rds.command");
    assert_eq!(command.get("outcome"), "refused");
    let told = command.error.as_deref().unwrap();
    assert!(told.contains(said), "{told}");
    assert_eq!(tree.root().get("outcome"), "FAILED_PRECONDITION");
    // The caller's, or the operator's, not a failure of this server.
    assert_eq!(tree.root().error, None);
    tree.assert_times_add_up();
}

/// A grant whose reply was lost: it is read what became of it, and as nobody says whether its names
/// were told, they are opened anew before they are.
const LOST_REPLY: &str = "\
csi.v1.Controller/ControllerPublishVolume OK
  shard.queue
  volume.operation publish
    decision publish grant free
    permit granted
    rds.command publish unknown
      rds.connection.wait
      rds.exec publish unknown
    read_back
      rds.command read done
        rds.connection.wait
        rds.exec read replied
    decision publish reopen granted
    k8s.list volumeattachments done
    rds.command read done
      rds.connection.wait
      rds.exec read replied
    decision mend nothing granted
    decision publish reopen granted
    permit granted
    rds.command reopen done
      rds.connection.wait
      rds.exec reopen replied
    read_back granted
";

#[tokio::test]
async fn a_lost_reply_is_an_unknown_command_and_the_read_that_resolves_it() {
    let rig = Rig::start(1, Manner::Takes).await;
    let volume = rig.create("pv-1").await;
    rig.cluster.sim().faults().add(Rule {
        fault: Fault::DropAfter,
        on: Matcher::Contains(volume.handle.clone()),
        times: Some(1),
    });
    rig.publish(&volume, "node-a").await.unwrap();
    let tree = rig.publish_trace(&volume, "node-a").await;
    assert_eq!(tree.shape(), LOST_REPLY);
    let commands = tree.commands();
    assert!(commands[0].error.is_some(), "{:?}", commands[0]);
    tree.assert_times_add_up();
}

#[tokio::test]
async fn a_move_shows_how_long_the_former_node_had_to_be_out() {
    let rig = Rig::start(1, Manner::Takes).await;
    let volume = rig.create("pv-1").await;
    rig.publish(&volume, "node-a").await.unwrap();
    rig.unpublish(&volume, "node-a").await;
    rig.publish(&volume, "node-b").await.unwrap();
    let tree = rig.publish_trace(&volume, "node-b").await;
    let (settle, command) = (tree.only("settle"), tree.only("rds.command"));
    assert!(settle.end <= command.start, "{}", tree.shape());
    assert_eq!(tree.parent(settle).unwrap().name, "volume.operation");
    tree.assert_times_add_up();
}

fn assert_attributes(span: &Span, rows: &[(&str, &str)]) {
    for (key, expected) in rows {
        assert_eq!(span.get(key), *expected, "{key} of {}", span.name);
    }
}
