//! Replies that are cut, huge, slow or endless, channels that stall, pools that are full.

use std::time::{Duration, Instant};

use rds_csi::domain::error::{Effect, Kind};
use rds_csi::sim::faults::{DeviceFaults, VerbFailure};
use rds_csi::sim::transport::{Fault, Matcher, Overflow, Rule};

use crate::bed::replica::insist;
use crate::bed::{Bed, GIB, Knobs};
use crate::subject::{NODE, OPERATIONS, Operation, Subject};

/// The deadline of one line, where it is meant to pass.
const SHORT: Duration = Duration::from_millis(150);

fn impatient() -> Knobs {
    Knobs {
        run: SHORT,
        ..Knobs::default()
    }
}

/// Lines about volumes, but for those that greet the device.
fn volume_lines(fault: Fault, times: Option<u32>) -> Rule {
    Rule {
        fault,
        on: Matcher::Contains("csi-".to_owned()),
        times,
    }
}

#[tokio::test]
async fn a_reply_cut_at_any_byte_is_never_taken_for_whole() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let id = replica.create("v").await.unwrap();
    let whole = {
        let line = bed.commands(0).last().unwrap().text.to_string();
        bed.world().exec("admin", &line).await.stdout.len()
    };
    // The reply of a publish has about that length; every seventh byte, and the very last ones.
    let cuts = (0..whole).step_by(7).chain(whole.saturating_sub(4)..=whole);
    for at in cuts {
        let case = format!("cut after {at} bytes");
        let cut = Fault::DropMid { at: Some(at) };
        bed.sim.faults().add(volume_lines(cut, Some(1)));
        let told = insist(&replica, || replica.publish(&id, NODE))
            .await
            .expect(&case);
        bed.sim.faults().clear();
        let disk = bed.world().disk(id.as_str()).unwrap();
        assert!(disk.exported, "{case}");
        assert_eq!(told["nvme_nqn"], disk.subsystem_nqn, "{case}");
        assert_eq!(told["nvme_hostnqn"], disk.allow_host_name, "{case}");
        replica.unpublish(&id, NODE).await.expect(&case);
    }
}

#[tokio::test]
async fn a_reply_of_ten_megabytes_is_read_and_a_larger_one_is_an_unknown_outcome() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    for (bytes, is_read) in [(10 << 20, true), (17 << 20, false)] {
        for operation in [Operation::Create, Operation::Publish] {
            let case = format!("{operation:?} with {bytes} bytes");
            let mut subject = Subject::prepare(&bed, &replica, operation).await;
            let before = bed.world().now_seq();
            bed.sim
                .faults()
                .add(volume_lines(Fault::Giant { bytes }, Some(1)));
            subject.run(operation).await.expect(&case);
            let lines = bed.commands(before).len();
            assert_eq!(lines == 1, is_read, "{case}: {lines} lines");
            subject.check(operation, &case).await;
            subject.clear(&case).await;
        }
    }
}

#[tokio::test]
async fn a_refusal_of_what_was_made_all_the_same_is_resolved_by_reading() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    for (after_effect, made) in [(true, true), (false, false)] {
        let failure = VerbFailure {
            text: "failure: something unheard of".to_owned(),
            times: Some(1),
            after_effect,
        };
        bed.world().set_faults(DeviceFaults {
            fail: [("/disk/add".to_owned(), failure)].into(),
            ..DeviceFaults::default()
        });
        let answer = replica.create("v").await;
        assert_eq!(answer.is_ok(), made, "{answer:?}");
        assert_eq!(bed.holdings().len(), if made { 2 } else { 0 });
        let id = replica.create("v").await.unwrap();
        replica.delete(&id).await.unwrap();
        assert_eq!(bed.holdings(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_device_that_answers_slowly_for_ever_is_given_up_at_the_deadline() {
    let bed = Bed::new();
    let replica = bed.controller_with(&impatient()).await;
    for operation in OPERATIONS {
        let case = format!("{operation:?}");
        let mut subject = Subject::prepare(&bed, &replica, operation).await;
        let trickle = Fault::Trickle {
            bytes_per_second: 100,
        };
        bed.sim.faults().add(volume_lines(trickle, None));
        let began = Instant::now();
        let error = subject.call(operation).await.expect_err(&case);
        // Ten steps at most, each of them a line and a new session.
        assert!(
            began.elapsed() < 40 * SHORT,
            "{case}: {:?}",
            began.elapsed()
        );
        assert_eq!(error.effect(), Effect::Unknown, "{case}: {error:?}");
        bed.sim.faults().clear();
        subject.run(operation).await.expect(&case);
        subject.check(operation, &case).await;
        subject.clear(&case).await;
    }
}

#[tokio::test]
async fn a_channel_that_is_never_closed_does_not_keep_later_lines_from_the_device() {
    for overflow in [Overflow::Stall, Overflow::Refuse] {
        let bed = Bed::new();
        bed.sim.faults().change_transport(|transport| {
            transport.max_channels = 1;
            transport.overflow = overflow;
        });
        let replica = bed.controller_with(&impatient()).await;
        for operation in OPERATIONS {
            let case = format!("{operation:?} {overflow:?}");
            let mut subject = Subject::prepare(&bed, &replica, operation).await;
            bed.sim
                .faults()
                .add(volume_lines(Fault::StallAfter, Some(2)));
            subject.run(operation).await.expect(&case);
            bed.sim.faults().clear();
            subject.check(operation, &case).await;
            subject.clear(&case).await;
        }
    }
}

#[tokio::test]
async fn replies_in_small_pieces_and_without_exit_status_are_read_all_the_same() {
    let bed = Bed::new();
    bed.sim.faults().change_transport(|transport| {
        transport.chunk_bytes = 3;
        transport.omit_exit_status = true;
    });
    let replica = bed.controller().await;
    for operation in OPERATIONS {
        let mut subject = Subject::prepare(&bed, &replica, operation).await;
        subject.run(operation).await.unwrap();
        subject.check(operation, "pieces").await;
        subject.clear("pieces").await;
    }
}

#[tokio::test]
async fn a_full_pool_is_reported_as_such_and_leaves_nothing_half_made() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let id = replica.create("there").await.unwrap();
    let before = bed.holdings();
    bed.world().set_faults(DeviceFaults {
        full: true,
        ..DeviceFaults::default()
    });
    let refused = replica.create("v").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::NoSpace, "{refused:?}");
    let refused = replica.expand(&id, 2 * GIB).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::NoSpace, "{refused:?}");
    assert_eq!(bed.holdings(), before);
    // Attaching takes no room.
    replica.publish(&id, NODE).await.unwrap();
    replica.unpublish(&id, NODE).await.unwrap();

    bed.world().set_faults(DeviceFaults::default());
    replica.create("v").await.unwrap();
    assert_eq!(replica.expand(&id, 2 * GIB).await.unwrap(), 2 * GIB);
}
