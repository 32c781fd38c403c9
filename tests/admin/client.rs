//! What the client makes of answers, and of things that are none.

use std::time::Duration;

use rds_csi::admin::Source;
use rds_csi::admin::client::{Address, Client, ClientError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::fixture::{Replica, SUBSYSTEM};

/// Nothing on this machine takes this long.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_replica_is_asked_over_both_doors() {
    let replica = Replica::start().await;
    let port = Client::new(Address::Port(replica.port.clone()));
    let socket = Client::new(Address::Socket(replica.socket.clone()));
    for (client, shows_names) in [(&port, false), (&socket, true)] {
        assert_eq!(client.status().await.unwrap(), replica.source.status());
        let explained = client.explain("apps/data 0%").await.unwrap();
        assert_eq!(explained.pvc.as_deref(), Some("apps/data 0%"));
        let subsystem = explained.register.unwrap().subsystem.unwrap();
        assert_eq!(subsystem == SUBSYSTEM, shows_names);
        let refused = client.explain("elsewhere").await.unwrap_err();
        assert!(refused.to_string().ends_with("controller-1 leads; ask it"));
    }
    let refused = port.drain(PATIENCE).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused { status: 403, .. }));
    assert!(socket.drain(PATIENCE).await.is_ok());
}

#[tokio::test]
async fn what_is_no_replica_is_told_apart() {
    let nobody = Client::new(Address::Socket("/nonexistent/control.sock".into()));
    let error = nobody.status().await.unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error}");

    let rows = [
        ("", "Broken"),
        ("SSH-2.0-x\r\n", "Broken"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "Answer"),
        ("HTTP/1.1 404 No\r\ncontent-length: 2\r\n\r\nno", "Answer"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", "Answer"),
    ];
    for (answer, variant) in rows {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let error = Client::new(Address::Port(port)).status().await.unwrap_err();
        let told = format!("{error:?}");
        assert!(told.starts_with(variant), "{answer:?}: {told}");
        serving.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_never_answers_is_given_up() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("x.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let client = Client::new(Address::Socket(path));
    for error in [
        client.status().await.unwrap_err(),
        client.drain(PATIENCE).await.unwrap_err(),
    ] {
        assert!(matches!(error, ClientError::Late { .. }), "{error}");
    }
}
