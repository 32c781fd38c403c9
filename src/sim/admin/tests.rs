//! The admin interface from the client's end.

use std::collections::BTreeMap;

use super::types::{Action, ActionRequest, Faults, Incident, NewMachine, Reboot};
use tokio::net::TcpStream;

use super::*;
use crate::sim::handle::SimConfig;
use crate::sim::initiator::{Kernel, MachineConfig, Written};
use crate::sim::transport::{Fault, Rule, Transport};

const SUBSYSTEM: &str = "nqn.2000-02.com.mikrotik:csi-1:1";

/// A simulator with one volume granted to `host-a`, and its admin interface.
async fn rig() -> (Sim, Admin, AdminClient) {
    let sim = Sim::start(SimConfig::default()).unwrap();
    let line = format!(
        "/disk add type=file slot=csi-1 file-path=\"/storage-pool/metal-csi/csi-1.img\" \
         file-size=1048576 mount-filesystem=no nvme-tcp-export=yes \
         nvme-tcp-server-nqn=\"{SUBSYSTEM}\" nvme-tcp-server-allow-host-name=\"host-a\""
    );
    let output = sim.world().exec("test", &line).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    let admin = Admin::start("127.0.0.1:0".parse().unwrap(), sim.clone())
        .await
        .unwrap();
    let client = AdminClient::new(admin.address());
    (sim, admin, client)
}

fn of_volume() -> ActionRequest {
    ActionRequest {
        volume: Some("csi-1".into()),
        ..ActionRequest::default()
    }
}

fn granted(host: &str) -> ActionRequest {
    let context = [
        ("nvme_address", "127.0.0.1"),
        ("nvme_port", "4420"),
        ("nvme_nqn", SUBSYSTEM),
        ("nvme_hostnqn", host),
    ];
    let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    ActionRequest {
        context: Some(context.map(own).into_iter().collect::<BTreeMap<_, _>>()),
        ..ActionRequest::default()
    }
}

fn status(answer: Result<impl Sized, ClientError>) -> u16 {
    match answer {
        Err(ClientError::Refused { status, .. }) => status,
        Err(error) => panic!("{error}"),
        Ok(_) => 200,
    }
}

#[tokio::test]
async fn machines_are_made_and_driven_over_http() {
    let (sim, admin, client) = rig().await;
    let machine = NewMachine {
        config: MachineConfig::new("node-a", Kernel::V6_1),
        background: false,
    };
    client.new_machine(&machine).await.unwrap();
    client
        .act("node-a", Action::Stage, &granted("host-a"))
        .await
        .unwrap();
    let reply = client
        .act("node-a", Action::Write, &of_volume())
        .await
        .unwrap();
    assert_eq!(
        (reply.written, reply.machine.done),
        (Some(Written::Done), 1)
    );

    let state = client.state().await.unwrap();
    assert_eq!(state.sessions[0].machine, "node-a");
    assert!(
        state
            .disks
            .iter()
            .any(|disk| disk.slot == "csi-1" && disk.exported)
    );
    let log = client.log(0).await.unwrap();
    let later = client.log(state.sessions[0].opened_seq).await.unwrap();
    assert!(!later.is_empty() && later.len() < log.len());

    client
        .act("node-a", Action::Partition, &ActionRequest::default())
        .await
        .unwrap();
    let reply = client
        .act("node-a", Action::Write, &of_volume())
        .await
        .unwrap();
    assert_eq!(reply.written, Some(Written::Queued));
    let reply = client
        .act("node-a", Action::Heal, &ActionRequest::default())
        .await
        .unwrap();
    assert_eq!(reply.machine.queued(), 0);
    client
        .act("node-a", Action::Disconnect, &of_volume())
        .await
        .unwrap();
    assert_eq!(client.state().await.unwrap().sessions, []);
    assert_eq!(client.machines().await.unwrap(), sim.machines());
    admin.stop().await;
    sim.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_its_reason() {
    let (sim, admin, client) = rig().await;
    sim.machine("node-a");
    let empty = ActionRequest::default();
    for (machine, action, request, expected) in [
        ("nobody", Action::Write, of_volume(), 404),
        ("node-a", Action::Write, empty.clone(), 400),
        ("node-a", Action::Stage, empty, 400),
        ("node-a", Action::Stage, granted("host-b"), 409),
        ("node-a", Action::Connect, granted("host-a"), 200),
        ("node-a", Action::Connect, granted("host-a"), 409),
    ] {
        let answer = client.act(machine, action, &request).await;
        assert_eq!(status(answer), expected, "{machine} {action:?}");
    }
    let unknown = Faults {
        personality: Some("9.9".into()),
        ..Faults::default()
    };
    assert_eq!(status(client.faults(&unknown).await), 400);
    let missing = types::SnapshotId { id: 7 };
    assert_eq!(status(client.restore(missing).await), 404);
    admin.stop().await;
}

#[tokio::test]
async fn faults_settings_and_outages_are_set_over_http() {
    let (sim, admin, client) = rig().await;
    let rule = Rule::next(Fault::DropMid { at: Some(3) }, "disk");
    let transport = Transport {
        max_channels: 2,
        ..Transport::default()
    };
    let before = sim.host_key();
    let faults = Faults {
        rules: vec![rule.clone()],
        transport: Some(transport.clone()),
        personality: Some("7.12".into()),
        now: vec![Incident::RotateHostKey],
        ..Faults::default()
    };
    client.faults(&faults).await.unwrap();
    assert_eq!(sim.faults().rules(), [rule]);
    assert_eq!(sim.faults().transport(), transport);
    assert!(!sim.world().personality().has_serialize());
    assert_ne!(client.state().await.unwrap().host_key, before);
    client
        .faults(&Faults {
            clear: true,
            ..Faults::default()
        })
        .await
        .unwrap();
    assert_eq!(sim.faults().rules(), []);

    let connects = async || TcpStream::connect(sim.ssh_addr()).await.is_ok();
    assert!(connects().await);
    client.reboot(Reboot { ms: None }).await.unwrap();
    assert!(!connects().await);
    client.power_on().await.unwrap();
    assert!(connects().await);
    admin.stop().await;
}

#[tokio::test]
async fn a_snapshot_brings_old_disk_entries_back_and_ends_sessions() {
    let (sim, admin, client) = rig().await;
    let taken = client.snapshot().await.unwrap();
    let machine = sim.machine("node-a");
    machine.stage(&granted("host-a").context.unwrap()).unwrap();
    let unexport = "/disk set [find where slot=\"csi-1\"] nvme-tcp-export=no";
    sim.world().exec("test", unexport).await;
    client.restore(taken).await.unwrap();
    let state = client.state().await.unwrap();
    assert!(
        state
            .disks
            .iter()
            .any(|disk| disk.slot == "csi-1" && disk.exported)
    );
    assert_eq!(state.sessions, []);
    admin.stop().await;
}

#[tokio::test]
async fn the_observer_reports_second_writers_and_replayed_writes() {
    let (sim, admin, client) = rig().await;
    assert_eq!(client.observer().await.unwrap().second_writers, []);
    for name in ["node-a", "node-b"] {
        let context = granted("host-a").context.unwrap();
        sim.machine(name).stage(&context).unwrap();
    }
    sim.machine("node-a").freeze(true);
    let seen = client.observer().await.unwrap();
    assert_eq!(
        (seen.second_writers.len(), seen.replayed_writes.len()),
        (1, 0)
    );
    let found = &seen.second_writers[0];
    assert_eq!(
        (found.first.as_str(), found.second.as_str()),
        ("node-a", "node-b")
    );
    admin.stop().await;
}
