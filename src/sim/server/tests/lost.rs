//! Lines and replies that get lost on the way, and what the appliance made of them.

use std::time::Instant;

use super::client::{Rig, SOON, exec, read, send};
use super::*;
use crate::sim::observer::What;
use crate::sim::transport::Matcher;

const LINE: &str = r#":put "the reply""#;
/// Creates a volume once, however often it is sent, and answers [`REPLY`].
const CREATE: &str = concat!(
    r#":if ([:len [/disk find where slot="csi-1"]] = 0) do={/disk add type=file slot=csi-1 "#,
    r#"file-path="/storage-pool/metal-csi/csi-1.img" file-size=1048576 mount-filesystem=no};"#,
    r#":put "the reply""#
);
const REPLY: &str = "the reply\r\n";

#[tokio::test]
async fn each_drop_point_loses_what_it_says_and_no_more() {
    // (fault, how often the line runs, what the caller still reads)
    for (fault, executed, read_back) in [
        (Fault::DropBefore, 0, ""),
        (Fault::DropAfter, 1, ""),
        (Fault::DropMid { at: Some(3) }, 1, "the"),
        (Fault::DropMid { at: None }, 1, "the r"),
        (Fault::DropMid { at: Some(1000) }, 1, REPLY),
    ] {
        let rig = Rig::start();
        rig.faults.add(Rule::next(fault.clone(), "reply"));
        let caller = rig.login().await;
        let reply = exec(&caller, CREATE).await;
        assert_eq!(reply.stdout, read_back, "{fault:?}");
        assert!(
            !reply.closed && reply.exit.is_none(),
            "{fault:?}: {reply:?}"
        );
        let ended = timeout(SOON, caller).await.expect("the connection ends");
        assert!(ended.is_err(), "{fault:?}: the goodbye was polite");
        assert_eq!(rig.server.counters().executed, executed, "{fault:?}");
        assert_eq!(ran(&rig.world), executed, "{fault:?}");
        let volumes = || {
            rig.world
                .disks()
                .iter()
                .filter(|disk| disk.slot == "csi-1")
                .count()
        };
        assert_eq!(volumes() as u64, executed, "{fault:?}");
        // The rule was for one line: sent again, it is answered, and there is one volume.
        let caller = rig.login().await;
        assert_eq!(exec(&caller, CREATE).await.stdout, REPLY, "{fault:?}");
        assert_eq!(volumes(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn stalled_lines_keep_the_connection_and_run_only_when_stalled_after() {
    for (fault, executed) in [(Fault::StallBefore, 0), (Fault::StallAfter, 1)] {
        let rig = Rig::start();
        rig.faults.add(Rule::next(fault, "reply"));
        let caller = rig.login().await;
        let stalled = send(&caller, LINE).await.unwrap();
        rig.seen(|seen| seen.commands == 1 && seen.executed == executed)
            .await;
        assert_eq!(exec(&caller, LINE).await.stdout, REPLY);
        let mut stalled = Box::pin(read(stalled));
        assert!(futures::poll!(&mut stalled).is_pending());
        assert_eq!(ran(&rig.world), executed + 1);
    }
}

#[tokio::test]
async fn a_line_whose_caller_is_gone_still_runs_late() {
    let rig = Rig::start();
    rig.faults.add(Rule::next(Fault::Hold, "csi-1"));
    let caller = rig.login().await;
    let channel = send(&caller, CREATE).await.unwrap();
    rig.faults.held(1).await;
    drop(channel);
    rig.server.cut_connections();
    assert!(timeout(SOON, caller).await.unwrap().is_err());
    rig.seen(|seen| seen.connections == 0).await;
    assert!(rig.world.disk("csi-1").is_none());

    rig.faults.release();
    rig.seen(|seen| seen.executed == 1).await;
    assert!(rig.world.disk("csi-1").is_some());
}

#[tokio::test]
async fn latency_delays_only_the_lines_it_names() {
    let rig = Rig::start();
    rig.faults.add(Rule {
        fault: Fault::Latency { ms: 60 },
        on: Matcher::Contains("slow".into()),
        times: None,
    });
    let caller = rig.login().await;
    let begun = Instant::now();
    exec(&caller, r#":put "slow""#).await;
    assert!(begun.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn replies_can_come_in_pieces_without_exit_status_and_very_long() {
    let rig = Rig::start();
    rig.transport(|transport| {
        transport.chunk_bytes = 2;
        transport.omit_exit_status = true;
    });
    let caller = rig.login().await;
    let reply = exec(&caller, LINE).await;
    assert_eq!(
        (reply.stdout.as_str(), reply.pieces, reply.exit),
        (REPLY, 6, None)
    );
    assert!(reply.closed);

    // Longer than the two mebibytes a caller lets the server send unasked.
    let bytes = 5 << 20;
    rig.faults.add(Rule::next(Fault::Giant { bytes }, "reply"));
    rig.transport(|transport| transport.chunk_bytes = 0);
    let reply = exec(&caller, LINE).await;
    assert_eq!(reply.stdout.len(), bytes);
    assert!(reply.stdout.ends_with(REPLY));
}

#[tokio::test]
async fn a_trickling_reply_never_ends() {
    let rig = Rig::start();
    rig.faults.add(Rule::next(
        Fault::Trickle {
            bytes_per_second: 1000,
        },
        "reply",
    ));
    let caller = rig.login().await;
    let mut channel = send(&caller, LINE).await.unwrap();
    let mut bytes = Vec::new();
    while bytes.len() < REPLY.len() + 5 {
        match timeout(SOON, channel.wait()).await.unwrap() {
            Some(russh::ChannelMsg::Data { data }) => bytes.extend_from_slice(&data),
            Some(russh::ChannelMsg::Success | russh::ChannelMsg::WindowAdjusted { .. }) => {}
            other => panic!("the reply ended: {other:?}"),
        }
    }
    assert!(bytes.starts_with(REPLY.as_bytes()));
    assert_eq!(ran(&rig.world), 1);
}

/// How many lines the appliance has run, as its own observer saw it.
fn ran(world: &World) -> u64 {
    let log = world.log(0);
    let commands = log
        .iter()
        .filter(|entry| matches!(entry.what, What::Command(_)));
    commands.count() as u64
}
