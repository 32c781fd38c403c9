//! What becomes of a line and its reply.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rds_csi::rds::transport::{ExecError, ExecOptions, Lost, NotSent};
use tokio::sync::Semaphore;

use crate::device::{Device, Step, prints};
use crate::setup::{ASK, SHORT, pool, within};

#[tokio::test]
async fn output_after_the_exit_status_is_part_of_the_reply() {
    let device = Device::start().await;
    device.answer(|_| {
        vec![
            Step::Out(b"first ".to_vec()),
            Step::Exit(3),
            Step::Err("warning"),
            Step::Out(b"second".to_vec()),
            Step::Eof,
            Step::Close,
        ]
    });
    let reply = within(pool(&device, 1).exec("one", &ASK)).await.unwrap();
    assert_eq!(
        (&reply.stdout[..], &reply.stderr[..]),
        (&b"first second"[..], &b"warning"[..])
    );
    assert_eq!(reply.exit, Some(3));
}

#[tokio::test]
async fn reply_without_an_exit_status_is_complete() {
    for last in [
        vec![Step::Eof, Step::Close],
        vec![Step::Close],
        vec![Step::Eof, Step::Disconnect],
    ] {
        let device = Device::start().await;
        device.answer(move |_| [vec![Step::Out(b"text".to_vec())], last.clone()].concat());
        let reply = within(pool(&device, 1).exec("one", &ASK)).await.unwrap();
        assert_eq!((&reply.stdout[..], reply.exit), (&b"text"[..], None));
    }
}

#[tokio::test]
async fn connection_whose_channel_stays_open_is_not_used_again() {
    let device = Device::start().await;
    device.answer(|_| vec![Step::Out(b"text".to_vec()), Step::Eof]);
    let pool = pool(&device, 1);
    let first = within(pool.exec("one", &ASK)).await.unwrap();
    let second = within(pool.exec("two", &ASK)).await.unwrap();
    assert_eq!(second.stdout, b"text");
    assert!(second.session > first.session, "{first:?} {second:?}");
}

#[tokio::test]
async fn reply_cut_in_the_middle_is_an_unknown_outcome() {
    let device = Device::start().await;
    device.answer(|_| {
        vec![
            Step::Out(b"half of i".to_vec()),
            Step::Exit(0),
            Step::Disconnect,
        ]
    });
    let error = within(pool(&device, 1).exec("one", &ASK))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ExecError::Unknown {
                reason: Lost::Closed { bytes: 9, .. },
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("going down"), "{error}");
    assert_eq!(
        device.lines(),
        ["one"],
        "an unknown outcome must not be tried again"
    );
}

#[tokio::test]
async fn power_loss_while_a_line_runs_is_an_unknown_outcome() {
    let device = Device::start().await;
    let never = Arc::new(Semaphore::new(0));
    device.answer(move |_| vec![Step::Wait(Arc::clone(&never))]);
    let pool = pool(&device, 1);
    let (outcome, ()) = within(async {
        tokio::join!(pool.exec("one", &ASK), async {
            device.has_got("one").await;
            device.cut();
        })
    })
    .await;
    let error = outcome.unwrap_err();
    assert!(
        matches!(
            error,
            ExecError::Unknown {
                reason: Lost::Closed { bytes: 0, .. },
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn line_without_a_reply_is_unknown_and_the_next_one_works() {
    let device = Device::start().await;
    let late = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&late);
    device.answer(move |line| {
        if line == "stuck" {
            [vec![Step::Wait(Arc::clone(&gate))], prints("stale")].concat()
        } else {
            prints(line)
        }
    });
    let pool = pool(&device, 1);
    let before = within(pool.exec("one", &ASK)).await.unwrap();
    let brief = ExecOptions { run: SHORT, ..ASK };
    let error = within(pool.exec("stuck", &brief)).await.unwrap_err();
    assert!(
        matches!(
            error,
            ExecError::Unknown {
                reason: Lost::Timeout { .. },
                ..
            }
        ),
        "{error:?}"
    );
    late.add_permits(1);
    let after = within(pool.exec("two", &ASK)).await.unwrap();
    assert_eq!(after.stdout, b"two");
    assert!(
        after.session > before.session,
        "the connection must not be used again"
    );
}

#[tokio::test]
async fn reply_over_the_limit_is_given_up_and_the_next_one_works() {
    let device = Device::start().await;
    device.answer(|line| {
        if line == "flood" {
            let piece = Step::Out(vec![b'x'; 1 << 20]);
            [vec![piece; 12], vec![Step::Eof, Step::Close]].concat()
        } else {
            prints(line)
        }
    });
    let pool = pool(&device, 1);
    let error = within(pool.exec("flood", &ASK)).await.unwrap_err();
    assert!(
        matches!(error, ExecError::Unknown { reason: Lost::TooLarge { limit }, .. } if limit == ASK.reply_bytes),
        "{error:?}"
    );
    assert_eq!(within(pool.exec("two", &ASK)).await.unwrap().stdout, b"two");
}

#[tokio::test]
async fn reply_larger_than_the_channel_window_arrives_whole() {
    let device = Device::start().await;
    device.answer(|_| {
        let piece = Step::Out(vec![b'x'; 1 << 20]);
        [vec![piece; 5], vec![Step::Eof, Step::Close]].concat()
    });
    let large = ExecOptions {
        reply_bytes: 8 << 20,
        ..ASK
    };
    let reply = within(pool(&device, 1).exec("one", &large)).await.unwrap();
    assert_eq!(reply.stdout.len(), 5 << 20);
}

#[tokio::test]
async fn refused_channel_is_tried_once_more_and_then_reported_as_not_sent() {
    let device = Device::start().await;
    let pool = pool(&device, 1);
    device.behaviour.refuse_channels.store(1, Ordering::SeqCst);
    assert_eq!(within(pool.exec("one", &ASK)).await.unwrap().stdout, b"one");
    device.behaviour.refuse_channels.store(2, Ordering::SeqCst);
    let error = within(pool.exec("two", &ASK)).await.unwrap_err();
    assert!(
        matches!(
            error,
            ExecError::NotSent {
                reason: NotSent::Refused { .. },
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(device.lines(), ["one"]);
}

#[tokio::test]
async fn refused_command_was_not_run() {
    let device = Device::start().await;
    device.answer(|_| vec![Step::Refuse]);
    let error = within(pool(&device, 1).exec("one", &ASK))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ExecError::NotSent {
                reason: NotSent::Refused { .. },
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn text_of_more_than_one_line_never_reaches_the_device() {
    let device = Device::start().await;
    let pool = pool(&device, 1);
    let error = within(pool.exec("/disk print\n/system/reboot", &ASK))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ExecError::NotSent {
                reason: NotSent::Malformed { .. },
                ..
            }
        ),
        "{error:?}"
    );
    assert!(!error.to_string().contains("reboot"), "{error}");
    within(pool.exec("one", &ASK)).await.unwrap();
    assert_eq!(device.lines(), ["one"]);
}
