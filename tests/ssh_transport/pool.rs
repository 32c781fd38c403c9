//! Several connections, several callers, and a device that comes and goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rds_csi::rds::transport::{
    CheckError, ConnectError, Connection, ExecError, ExecOptions, NoCheck, NotSent, OnConnect, Pool,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::device::{Device, Step, prints};
use crate::setup::{ASK, SHORT, options, pool, target, within};

/// Lines that start with "stuck" wait for the gate; all others are echoed.
fn gated(device: &Device) -> Arc<Semaphore> {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    device.answer(move |line| {
        let wait = line
            .starts_with("stuck")
            .then(|| Step::Wait(Arc::clone(&held)));
        wait.into_iter().chain(prints(line)).collect()
    });
    gate
}

#[tokio::test]
async fn device_that_is_down_at_the_start_is_used_once_it_is_up() {
    let mut device = Device::start().await;
    device.power_off().await;
    let pool = pool(&device, 2);
    let error = within(pool.exec("one", &ASK)).await.unwrap_err();
    let refused = matches!(
        &error,
        ExecError::NotSent { reason: NotSent::Down(why), .. }
            if matches!(**why, ConnectError::Refused { .. })
    );
    assert!(refused, "{error:?}");
    device.power_on().await;
    within(pool.until_up(2)).await;
    assert_eq!(within(pool.exec("two", &ASK)).await.unwrap().stdout, b"two");
    assert!(pool.state().last_error.is_none());
}

#[tokio::test]
async fn device_that_was_off_for_a_while_is_used_again() {
    let mut device = Device::start().await;
    let pool = pool(&device, 2);
    within(pool.until_up(2)).await;
    let before = within(pool.exec("one", &ASK)).await.unwrap();
    device.power_off().await;
    let error = within(async {
        loop {
            if let Err(error) = pool.exec("two", &ASK).await {
                return error;
            }
        }
    })
    .await;
    assert!(
        matches!(
            error,
            ExecError::NotSent {
                reason: NotSent::Down(_),
                ..
            }
        ),
        "{error:?}"
    );
    device.power_on().await;
    within(pool.until_up(2)).await;
    let after = within(pool.exec("three", &ASK)).await.unwrap();
    assert!(after.session > before.session);
    let state = pool.state();
    assert_eq!(
        (state.up, state.busy, state.waiting, state.reconnects),
        (2, 0, 0, 2)
    );
    assert!(state.session >= after.session);
}

#[tokio::test]
async fn session_that_was_dropped_while_idle_costs_the_next_line_nothing() {
    let device = Device::start().await;
    let pool = pool(&device, 1);
    for round in 0..5 {
        let line = format!("line {round}");
        assert_eq!(
            within(pool.exec(&line, &ASK)).await.unwrap().stdout,
            line.as_bytes()
        );
        within(pool.until_up(1)).await;
        device.cut();
        // The loss is seen by the connection, not by a caller.
        within(async {
            while pool.state().reconnects <= round {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn stalled_connection_does_not_hold_up_the_other() {
    let device = Device::start().await;
    let gate = gated(&device);
    let pool = pool(&device, 2);
    within(pool.until_up(2)).await;
    let stuck = async { pool.exec("stuck", &ASK).await.unwrap() };
    let others = async {
        device.has_got("stuck").await;
        for round in 0..10 {
            let line = format!("line {round}");
            assert_eq!(
                pool.exec(&line, &ASK).await.unwrap().stdout,
                line.as_bytes()
            );
        }
        assert_eq!(pool.state().busy, 1);
        gate.add_permits(1);
    };
    let (reply, ()) = within(async { tokio::join!(stuck, others) }).await;
    assert_eq!(reply.stdout, b"stuck");
}

#[tokio::test]
async fn twenty_callers_never_open_two_channels_on_one_connection() {
    let device = Device::start().await;
    let pool = Arc::new(pool(&device, 2));
    let mut callers = JoinSet::new();
    for caller in 0..20 {
        let pool = Arc::clone(&pool);
        callers.spawn(async move {
            for round in 0..5 {
                let line = format!("caller {caller} round {round}");
                assert_eq!(
                    pool.exec(&line, &ASK).await.unwrap().stdout,
                    line.as_bytes()
                );
            }
        });
    }
    within(callers.join_all()).await;
    assert_eq!(device.lines().len(), 100);
    assert_eq!(device.behaviour.most_channels.load(Ordering::SeqCst), 1);
    assert_eq!(device.behaviour.log_ins.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn reply_of_a_dropped_caller_never_reaches_the_next_one() {
    let device = Device::start().await;
    let gate = gated(&device);
    let pool = pool(&device, 1);
    for round in 0..5 {
        let line = format!("stuck {round}");
        tokio::select! {
            outcome = pool.exec(&line, &ASK) => panic!("nobody opened the gate: {outcome:?}"),
            () = within(device.has_got(&line)) => {}
        }
        gate.add_permits(1);
        let reply = within(pool.exec("next", &ASK)).await.unwrap();
        assert_eq!(reply.stdout, b"next");
    }
}

#[tokio::test]
async fn waiting_line_is_not_sent_once_its_caller_has_gone() {
    let device = Device::start().await;
    let gate = gated(&device);
    let pool = pool(&device, 1);
    let stuck = async { pool.exec("stuck", &ASK).await.unwrap() };
    let leaver = async {
        device.has_got("stuck").await;
        {
            let mut gone = Box::pin(pool.exec("gone", &ASK));
            assert!(futures::poll!(&mut gone).is_pending());
            assert_eq!(pool.state().waiting, 1);
        }
        assert_eq!(pool.state().waiting, 0);
        gate.add_permits(1);
    };
    within(async { tokio::join!(stuck, leaver) }).await;
    within(pool.exec("last", &ASK)).await.unwrap();
    assert_eq!(device.lines(), ["stuck", "last"]);
}

#[tokio::test]
async fn caller_who_waited_long_enough_is_told_that_all_are_busy() {
    let device = Device::start().await;
    let gate = gated(&device);
    let pool = pool(&device, 1);
    let stuck = async { pool.exec("stuck", &ASK).await.unwrap() };
    let other = async {
        device.has_got("stuck").await;
        let error = pool
            .exec("other", &ExecOptions { wait: SHORT, ..ASK })
            .await
            .unwrap_err();
        gate.add_permits(1);
        error
    };
    let (_, error) = within(async { tokio::join!(stuck, other) }).await;
    let busy = matches!(
        error,
        ExecError::NotSent {
            reason: NotSent::Busy { busy: 1, up: 1, .. },
            ..
        }
    );
    assert!(busy, "{error:?}");
    assert_eq!(device.lines(), ["stuck"]);
}

/// Runs a line in each new session; fails, and panics, as often as it is told to.
#[derive(Default)]
struct Check {
    failures: AtomicUsize,
    panics: AtomicUsize,
}

#[async_trait]
impl OnConnect for Check {
    async fn check(&self, connection: &mut Connection) -> Result<(), CheckError> {
        let one_less = |left: usize| left.checked_sub(1);
        let left = |counter: &AtomicUsize| {
            counter
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
                .is_ok()
        };
        connection.exec("who are you", &ASK).await?;
        assert!(!left(&self.panics), "a bug in the check");
        if left(&self.failures) {
            Err("another device".into())
        } else {
            Ok(())
        }
    }
}

#[tokio::test]
async fn session_serves_nobody_before_it_passed_the_check() {
    let device = Device::start().await;
    let check = Arc::new(Check::default());
    check.failures.store(3, Ordering::SeqCst);
    let pool = Pool::start(target(&device), options(1), check);
    let reply = within(async {
        loop {
            match pool.exec("one", &ASK).await {
                Ok(reply) => return reply,
                Err(error) => assert!(error.to_string().contains("another device"), "{error}"),
            }
        }
    })
    .await;
    assert_eq!(reply.stdout, b"one");
    let mut expected = vec!["who are you"; 4];
    expected.push("one");
    assert_eq!(device.lines(), expected);
    assert_eq!(reply.session.to_string(), "4");
}

#[tokio::test]
async fn panic_in_a_connection_does_not_cost_the_pool_that_connection() {
    let device = Device::start().await;
    let check = Arc::new(Check::default());
    check.panics.store(2, Ordering::SeqCst);
    let pool = Pool::start(target(&device), options(1), check);
    within(pool.until_up(1)).await;
    assert_eq!(within(pool.exec("one", &ASK)).await.unwrap().stdout, b"one");
}

#[tokio::test]
async fn check_that_hangs_is_given_up() {
    let device = Device::start().await;
    let gate = gated(&device);
    device.answer({
        let first = AtomicUsize::new(0);
        move |line| {
            let stall = first.fetch_add(1, Ordering::SeqCst) == 0;
            let wait = stall.then(|| Step::Wait(Arc::clone(&gate)));
            wait.into_iter().chain(prints(line)).collect()
        }
    });
    let mut options = options(1);
    options.check_timeout = Duration::from_secs(1);
    let pool = Pool::start(target(&device), options, Arc::new(Check::default()));
    within(pool.until_up(1)).await;
    assert!(device.lines().len() >= 2, "{:?}", device.lines());
}

#[tokio::test]
async fn old_sessions_are_replaced_between_two_lines() {
    let device = Device::start().await;
    let mut options = options(1);
    options.max_age = SHORT;
    let pool = Pool::start(target(&device), options, Arc::new(NoCheck));
    let first = within(pool.exec("one", &ASK)).await.unwrap();
    let last = within(async {
        loop {
            let reply = pool.exec("more", &ASK).await.unwrap();
            if reply.session > first.session {
                return reply;
            }
        }
    })
    .await;
    assert_eq!(last.stdout, b"more");
}
