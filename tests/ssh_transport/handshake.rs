//! Who is connected to, who is let in, and what is said when it fails.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rds_csi::rds::transport::{
    Algorithms, ConnectError, Credentials, ExecError, HostKeyPin, NoCheck, NotSent, Pool, Target,
};
use rds_csi::workload::secrets::known_password;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{HashAlg, PrivateKey};
use russh::{Preferred, cipher, mac};

use crate::device::{Access, Device, ed25519, line, rsa};
use crate::setup::{ASK, options, pool, target, within};

fn start(target: Target) -> Pool {
    Pool::start(target, options(1), Arc::new(NoCheck))
}

/// Why a line could not be sent for want of a session.
async fn down(pool: &Pool) -> Arc<ConnectError> {
    match pool.exec("one", &ASK).await {
        Err(ExecError::NotSent {
            reason: NotSent::Down(error),
            ..
        }) => error,
        other => panic!("expected no session, got {other:?}"),
    }
}

fn write_key(directory: &Path, key: &PrivateKey) -> PathBuf {
    let path = directory.join("key");
    std::fs::write(&path, key.to_openssh(LineEnding::LF).unwrap()).unwrap();
    path
}

#[tokio::test]
async fn wrong_host_key_is_refused_before_anything_is_sent() {
    let device = Device::start().await;
    let expected = ed25519();
    let target = Target {
        host_key: HostKeyPin::parse(&line(&expected)).unwrap(),
        ..target(&device)
    };
    let error = within(down(&start(target))).await;
    assert!(
        matches!(*error, ConnectError::HostKeyMismatch { .. }),
        "{error}"
    );
    let message = error.to_string();
    let presented: russh::keys::PublicKey = device.host_key_line().parse().unwrap();
    for key in [expected.public_key(), &presented] {
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        assert!(message.contains(&fingerprint), "{message}");
    }
    assert_eq!(device.behaviour.log_in_attempts.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn device_is_recognised_by_every_form_of_its_pin() {
    let device = Device::start().await;
    let key: russh::keys::PublicKey = device.host_key_line().parse().unwrap();
    let known_hosts = format!("[127.0.0.1]:{} {}", device.port(), device.host_key_line());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("known_hosts");
    std::fs::write(&path, &known_hosts).unwrap();
    for pin in [
        HostKeyPin::parse(&key.fingerprint(HashAlg::Sha256).to_string()).unwrap(),
        HostKeyPin::parse(&known_hosts).unwrap(),
        HostKeyPin::file(path),
        HostKeyPin::insecure(),
    ] {
        let shown = format!("{pin:?}");
        let pool = start(Target {
            host_key: pin,
            ..target(&device)
        });
        let reply = within(pool.exec("one", &ASK)).await.expect(&shown);
        assert_eq!(reply.stdout, b"one", "{shown}");
    }
}

#[tokio::test]
async fn device_with_two_host_keys_presents_the_pinned_one() {
    for pinned in [0, 1] {
        let keys = vec![ed25519(), rsa()];
        let device = Device::with_keys(keys.clone(), Preferred::DEFAULT).await;
        let host_key = HostKeyPin::parse(&line(&keys[pinned])).unwrap();
        let pool = start(Target {
            host_key,
            ..target(&device)
        });
        let reply = within(pool.exec("one", &ASK)).await.unwrap();
        assert_eq!(reply.stdout, b"one");
    }
}

#[tokio::test]
async fn ed25519_and_rsa_work_as_host_keys_and_as_user_keys() {
    for (host, user) in [(ed25519(), rsa()), (rsa(), ed25519())] {
        let device = Device::with_keys(vec![host], Preferred::DEFAULT).await;
        let keys = vec![user.public_key().clone()];
        *device.behaviour.access.lock().unwrap() = Access {
            keys,
            ..Access::default()
        };
        let directory = tempfile::tempdir().unwrap();
        let credentials = Credentials::new(Some(write_key(directory.path(), &user)), None);
        let pool = start(Target {
            credentials,
            ..target(&device)
        });
        let reply = within(pool.exec("one", &ASK)).await.unwrap();
        assert_eq!(reply.stdout, b"one");
    }
}

#[tokio::test]
async fn password_is_used_when_the_key_is_refused_and_when_there_is_none() {
    let device = Device::start().await;
    *device.behaviour.access.lock().unwrap() = Access {
        password: Some(known_password()),
        ..Access::default()
    };
    let directory = tempfile::tempdir().unwrap();
    let key = write_key(directory.path(), &ed25519());
    let password = directory.path().join("password");
    std::fs::write(&password, format!("{}\n", known_password())).unwrap();
    for key in [Some(key), None] {
        let credentials = Credentials::new(key, Some(password.clone()));
        let pool = start(Target {
            credentials,
            ..target(&device)
        });
        assert_eq!(within(pool.exec("one", &ASK)).await.unwrap().stdout, b"one");
    }
}

#[tokio::test]
async fn callers_learn_at_once_that_the_device_refuses_the_user() {
    let device = Device::start().await;
    *device.behaviour.access.lock().unwrap() = Access::default();
    let directory = tempfile::tempdir().unwrap();
    let key = write_key(directory.path(), &ed25519());
    let credentials = Credentials::new(Some(key), None);
    let pool = start(Target {
        credentials,
        ..target(&device)
    });
    let error = within(down(&pool)).await;
    assert!(error.needs_operator(), "{error}");
    let message = error.to_string();
    for part in ["csi", "ssh-ed25519", "password"] {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn missing_key_file_is_named() {
    let device = Device::start().await;
    let credentials = Credentials::new(Some("/nonexistent/key".into()), None);
    let error = within(down(&start(Target {
        credentials,
        ..target(&device)
    })))
    .await;
    assert!(matches!(*error, ConnectError::Credentials(..)), "{error}");
    assert!(error.to_string().contains("/nonexistent/key"), "{error}");
}

#[tokio::test]
async fn rotated_user_key_is_picked_up_without_a_restart() {
    let device = Device::start().await;
    let (old, new) = (ed25519(), ed25519());
    let allow = |key: &PrivateKey| {
        let keys = vec![key.public_key().clone()];
        *device.behaviour.access.lock().unwrap() = Access {
            keys,
            ..Access::default()
        };
    };
    allow(&old);
    let directory = tempfile::tempdir().unwrap();
    let credentials = Credentials::new(Some(write_key(directory.path(), &old)), None);
    // A wait that the test would not survive: it is the changed file that ends it.
    let mut options = options(1);
    options.backoff.operator = crate::setup::HANG * 10;
    let target = Target {
        credentials,
        ..target(&device)
    };
    let pool = Pool::start(target, options, Arc::new(NoCheck));
    within(pool.exec("one", &ASK)).await.unwrap();
    allow(&new);
    device.cut();
    within(async {
        while !pool
            .state()
            .last_error
            .is_some_and(|error| error.needs_operator())
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    write_key(directory.path(), &new);
    within(pool.until_up(1)).await;
    assert_eq!(within(pool.exec("two", &ASK)).await.unwrap().stdout, b"two");
}

#[tokio::test]
async fn rotated_host_key_is_accepted_once_the_file_says_so() {
    let mut device = Device::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pin");
    std::fs::write(&path, device.host_key_line()).unwrap();
    let host_key = HostKeyPin::file(path.clone());
    let pool = start(Target {
        host_key,
        ..target(&device)
    });
    within(pool.exec("one", &ASK)).await.unwrap();
    device.replace_host_key(ed25519()).await;
    let error = within(async {
        loop {
            let error = down(&pool).await;
            if error.needs_operator() {
                return error;
            }
        }
    })
    .await;
    assert!(
        matches!(*error, ConnectError::HostKeyMismatch { .. }),
        "{error}"
    );
    std::fs::write(&path, device.host_key_line()).unwrap();
    within(pool.until_up(1)).await;
    assert_eq!(within(pool.exec("two", &ASK)).await.unwrap().stdout, b"two");
}

#[tokio::test]
async fn old_cryptography_is_spoken_only_when_asked_for() {
    let old = Preferred {
        mac: Cow::Borrowed(&[mac::HMAC_SHA1]),
        cipher: Cow::Borrowed(&[cipher::AES_128_CBC]),
        ..Preferred::DEFAULT
    };
    let device = Device::with_keys(vec![ed25519()], old).await;
    let error = within(down(&pool(&device, 1))).await;
    assert!(matches!(*error, ConnectError::Algorithms { .. }), "{error}");
    assert!(error.to_string().contains("aes128-cbc"), "{error}");
    let target = Target {
        algorithms: Algorithms::Legacy,
        ..target(&device)
    };
    let reply = within(start(target).exec("one", &ASK)).await.unwrap();
    assert_eq!(reply.stdout, b"one");
}

#[tokio::test]
async fn silent_listener_is_given_up_after_the_connect_timeout() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let device = Device::start().await;
    let port = listener.local_addr().unwrap().port();
    let target = Target {
        endpoint: rds_csi::rds::transport::Endpoint::new("127.0.0.1", port),
        connect_timeout: crate::setup::SHORT,
        ..target(&device)
    };
    let error = within(down(&start(target))).await;
    assert!(matches!(*error, ConnectError::Timeout { .. }), "{error}");
}
