//! The server seen by its callers: logins, channels, keepalives, host key, outages.

mod client;
mod lost;

use std::sync::Arc;
use std::time::Duration;

use russh::client::Config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use self::client::{Reply, Rig, SOON, exec, new_key, read, send};
use super::*;
use crate::sim::transport::{Fault, Overflow, Rule};

fn device() -> Arc<World> {
    World::new(crate::sim::world::Config::default())
}

#[tokio::test]
async fn a_line_is_answered_with_its_output_and_exit_status_zero() {
    let rig = Rig::start();
    let caller = rig.login().await;
    let reply = exec(&caller, r#":put "hello""#).await;
    let expected = Reply {
        stdout: "hello\r\n".into(),
        exit: Some(0),
        pieces: 1,
        closed: true,
    };
    assert_eq!(reply, expected);
    assert_eq!(rig.server.counters().executed, 1);
}

#[tokio::test]
async fn the_banner_is_that_of_routeros() {
    let rig = Rig::start();
    let mut stream = TcpStream::connect(rig.server.address()).await.unwrap();
    stream.write_all(b"SSH-2.0-test\r\n").await.unwrap();
    let mut banner = [0; 16];
    stream.read_exact(&mut banner).await.unwrap();
    assert_eq!(&banner, b"SSH-2.0-ROSSSH\r\n");
}

#[tokio::test]
async fn shells_terminals_and_subsystems_are_refused() {
    let rig = Rig::start();
    let caller = rig.login().await;
    for ask in ["shell", "pty", "sftp"] {
        let mut channel = caller.channel_open_session().await.unwrap();
        match ask {
            "shell" => channel.request_shell(true).await,
            "pty" => channel.request_pty(true, "vt100", 80, 25, 0, 0, &[]).await,
            _ => channel.request_subsystem(true, ask).await,
        }
        .unwrap();
        let answer = timeout(SOON, channel.wait()).await.unwrap();
        assert!(
            matches!(answer, Some(russh::ChannelMsg::Failure)),
            "{ask}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn logins_follow_the_accounts() {
    let (mine, other) = (new_key(), new_key());
    let keyed = Accounts::default()
        .with_key("csi", mine.public_key().clone())
        .with_password("csi", "pass".into());
    let plain = Accounts::default().with_password("csi", "pass".into());
    // (accounts, none, right password, wrong password, right key, wrong key)
    for (name, accounts, expected) in [
        ("keyed", keyed, [false, false, false, true, false]),
        ("plain", plain, [false, true, false, false, false]),
        ("open", Accounts::open(), [true, false, false, false, false]),
    ] {
        let rig = Rig::with(accounts, mine.clone());
        let mut seen = Vec::new();
        for method in 0..5 {
            let mut caller = rig.connect().await.unwrap();
            let with = |key: &PrivateKey| {
                russh::keys::PrivateKeyWithHashAlg::new(Arc::new(key.clone()), None)
            };
            let login = match method {
                0 => caller.authenticate_none("csi").await,
                1 => caller.authenticate_password("csi", "pass").await,
                2 => caller.authenticate_password("csi", "nope").await,
                3 => caller.authenticate_publickey("csi", with(&mine)).await,
                _ => caller.authenticate_publickey("csi", with(&other)).await,
            };
            seen.push(login.unwrap().success());
        }
        assert_eq!(seen, expected, "{name}");
    }
}

#[tokio::test]
async fn keepalive_requests_are_not_answered_unless_switched_on() {
    let rig = Rig::start();
    let caller = rig.login().await;
    exec(&caller, ":put 1").await;
    let (asked, answer) = tokio::sync::oneshot::channel();
    let caller = Arc::new(caller);
    let ping = tokio::spawn({
        let caller = Arc::clone(&caller);
        async move {
            let answered = caller.send_ping().await;
            asked.send(()).unwrap();
            answered
        }
    });
    rig.seen(|seen| seen.keepalives_unanswered == 1).await;
    assert!(!ping.is_finished());
    // The link is healthy all the same.
    assert_eq!(exec(&caller, ":put 2").await.stdout, "2\r\n");
    timeout(SOON, answer).await.unwrap().unwrap();

    rig.transport(|transport| transport.answer_keepalives = true);
    timeout(SOON, caller.send_ping()).await.unwrap().unwrap();
    assert_eq!(rig.server.counters().keepalives_unanswered, 1);
}

#[tokio::test]
async fn a_caller_that_insists_on_keepalive_answers_loses_a_healthy_connection() {
    let insisting = || Config {
        keepalive_interval: Some(Duration::from_millis(20)),
        keepalive_max: 2,
        ..Config::default()
    };
    let rig = Rig::start();
    let mut caller = rig.connect_with(insisting()).await.unwrap();
    rig.authenticate(&mut caller).await;
    let ended = timeout(SOON, caller).await.expect("the caller gives up");
    assert!(
        matches!(ended, Err(russh::Error::KeepaliveTimeout)),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_channel_beyond_the_limit_waits_for_another_to_close() {
    let rig = Rig::start();
    rig.transport(|transport| transport.max_channels = 1);
    rig.faults.add(Rule::next(Fault::Hold, "first"));
    let caller = Arc::new(rig.login().await);
    let first = send(&caller, r#":put "first""#).await.unwrap();
    rig.faults.held(1).await;
    let second = tokio::spawn({
        let caller = Arc::clone(&caller);
        async move { exec(&caller, r#":put "second""#).await }
    });
    rig.seen(|seen| seen.channels_over_limit == 1).await;
    assert!(!second.is_finished());
    rig.faults.release();
    assert_eq!(read(first).await.stdout, "first\r\n");
    assert_eq!(
        timeout(SOON, second).await.unwrap().unwrap().stdout,
        "second\r\n"
    );
    assert_eq!(rig.server.counters().channels_high, 1);
}

#[tokio::test]
async fn a_channel_beyond_the_limit_can_be_refused_instead() {
    let rig = Rig::start();
    rig.transport(|transport| {
        transport.max_channels = 1;
        transport.overflow = Overflow::Refuse;
    });
    let caller = rig.login().await;
    let _first = caller.channel_open_session().await.unwrap();
    let second = timeout(SOON, caller.channel_open_session()).await.unwrap();
    assert!(matches!(second, Err(russh::Error::ChannelOpenFailure(_))));
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_closed_at_once() {
    let rig = Rig::start();
    rig.transport(|transport| transport.max_connections = 1);
    let first = rig.login().await;
    assert!(rig.connect().await.is_err());
    assert_eq!(exec(&first, ":put 1").await.stdout, "1\r\n");
    let seen = rig.server.counters();
    assert_eq!((seen.connections_high, seen.connections_refused), (1, 1));
}

#[tokio::test]
async fn a_rotated_host_key_is_shown_to_new_connections() {
    let rig = Rig::start();
    let shown = |rig: &Rig| {
        let trusting = client::Trusting(Arc::default());
        let key = Arc::clone(&trusting.0);
        let connect =
            russh::client::connect(Arc::new(Config::default()), rig.server.address(), trusting);
        async move {
            connect.await.unwrap();
            key.lock().unwrap().clone()
        }
    };
    let before = rig.server.host_key();
    assert_eq!(shown(&rig).await, before);
    rig.server.rotate_host_key();
    assert_ne!(rig.server.host_key(), before);
    assert_eq!(shown(&rig).await, rig.server.host_key());
}

#[tokio::test]
async fn an_outage_ends_connections_without_a_goodbye_and_refuses_connects() {
    let rig = Rig::start();
    let caller = rig.login().await;
    rig.server.power_off().await;
    let refused = TcpStream::connect(rig.server.address()).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let mut caller = Box::pin(caller);
    assert!(
        futures::poll!(&mut caller).is_pending(),
        "nobody told the caller"
    );

    rig.server.power_on().unwrap();
    let ended = timeout(SOON, caller)
        .await
        .expect("the connection is reset");
    assert!(ended.is_err(), "{ended:?}");
    let caller = rig.login().await;
    assert_eq!(exec(&caller, ":put 1").await.stdout, "1\r\n");
}

#[tokio::test]
async fn stopping_frees_the_port_and_ends_connections() {
    let rig = Rig::start();
    let caller = rig.login().await;
    rig.server.stop().await;
    assert!(
        timeout(SOON, caller)
            .await
            .expect("the connection ends")
            .is_err()
    );
    assert_eq!(rig.server.counters().connections, 0);
    assert!(TcpStream::connect(rig.server.address()).await.is_err());
}
