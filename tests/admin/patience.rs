//! Sources that hang and clients that dawdle, on a clock that moves only when nothing else can. Over
//! unix sockets: what is sent there has arrived when the sender goes on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

use super::fixture::Replica;

#[tokio::test(start_paused = true)]
async fn an_explanation_that_takes_too_long_is_given_up_with_a_word() {
    let replica = Replica::start().await;
    let start = Instant::now();
    let answer = replica.control("GET /explain/hang").await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.body.contains("did not answer within 12s"),
        "{answer:?}"
    );
    assert!(start.elapsed() < Duration::from_secs(13));
    // And holds up nobody.
    assert_eq!(replica.control("GET /status").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_takes_too_long_goes_on() {
    let replica = Replica::start().await;
    replica.source.slow.store(true, Ordering::SeqCst);
    let answer = replica.control("POST /drain").await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("it goes on"), "{answer:?}");
    assert_eq!(replica.source.drains.load(Ordering::SeqCst), 0);
    replica.source.go.notify_one();
    replica.source.slow.store(false, Ordering::SeqCst);
    assert_eq!(replica.control("POST /drain").await.status, 200);
    assert_eq!(replica.source.drains.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_drain_is_carried_on_when_its_caller_goes_away() {
    let replica = Replica::start().await;
    replica.source.slow.store(true, Ordering::SeqCst);
    let mut caller = UnixStream::connect(&replica.socket).await.unwrap();
    let request = b"POST /drain HTTP/1.1\r\nhost: x\r\n\r\n";
    caller.write_all(request).await.unwrap();
    replica.source.began.notified().await;
    drop(caller);
    // The server notices that as it answers the next one.
    assert_eq!(replica.control("GET /livez").await.status, 200);
    replica.source.go.notify_one();
    let drained = async {
        while replica.source.drains.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(Duration::from_secs(10), drained).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_and_lock_nobody_out() {
    let replica = Replica::start().await;
    let start = Instant::now();
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(UnixStream::connect(&replica.socket).await.unwrap());
    }
    assert_eq!(replica.control("GET /livez").await.status, 200);
    for stream in &mut idle {
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.unwrap();
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 408"));
    }
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn the_servers_end_when_they_are_stopped_whatever_hangs() {
    let mut replica = Replica::start().await;
    let mut caller = UnixStream::connect(&replica.socket).await.unwrap();
    let request = b"GET /explain/hang HTTP/1.1\r\nhost: x\r\n\r\n";
    caller.write_all(request).await.unwrap();
    assert_eq!(replica.control("GET /livez").await.status, 200);
    let start = Instant::now();
    replica.stop.cancel();
    for server in replica.servers.drain(..) {
        assert!(server.await.unwrap().is_ok());
    }
    assert!(start.elapsed() <= Duration::from_secs(1));
    assert!(UnixStream::connect(&replica.socket).await.is_err());
}
