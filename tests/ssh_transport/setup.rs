//! What the tests of the transport share: waits, a target and a pool.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rds_csi::rds::transport::{
    Algorithms, Backoff, Credentials, Endpoint, ExecOptions, HostKeyPin, NoCheck, Pool,
    PoolOptions, Target,
};

use crate::device::Device;

/// What an ordinary line may take. Far more than any of these tests needs on a loaded machine.
pub(crate) const ASK: ExecOptions = ExecOptions {
    label: "test line",
    wait: Duration::from_secs(20),
    run: Duration::from_secs(20),
    reply_bytes: 1 << 20,
};

/// Time for a thing that is meant to run out of it.
pub(crate) const SHORT: Duration = Duration::from_millis(200);

/// A test that hangs fails after this.
pub(crate) const HANG: Duration = Duration::from_mins(1);

/// Waits that keep tests short, everything else as shipped.
pub(crate) fn options(connections: usize) -> PoolOptions {
    PoolOptions {
        connections,
        backoff: Backoff {
            first: Duration::from_millis(10),
            longest: Duration::from_millis(50),
            operator: Duration::from_millis(50),
        },
        grace: Duration::from_millis(100),
        ..PoolOptions::default()
    }
}

/// How to reach `device` as a user without credentials.
pub(crate) fn target(device: &Device) -> Target {
    Target {
        endpoint: Endpoint::new("127.0.0.1", device.port()),
        user: "csi".to_owned(),
        host_key: HostKeyPin::parse(&device.host_key_line()).unwrap(),
        credentials: Credentials::new(None, None),
        algorithms: Algorithms::Modern,
        connect_timeout: Duration::from_secs(20),
    }
}

pub(crate) fn pool(device: &Device, connections: usize) -> Pool {
    Pool::start(target(device), options(connections), Arc::new(NoCheck))
}

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, work)
        .await
        .expect("the test hangs")
}
