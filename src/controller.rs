//! Composition root of the controller: builds the adapters, hands them to the services, supervises.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::config::rds::{HostKey, RdsConfig};
use crate::csi::controller::Controller;
use crate::csi::identity::Identity;
use crate::csi::{server, socket};
use crate::ports::{Backend, Clock};
use crate::rds::backend::{Options, RdsBackend};
use crate::rds::transport::{Algorithms, Credentials, Endpoint, HostKeyPin, PoolOptions, Target};
use crate::service::Volumes;
use crate::task::Supervisor;

/// Runs the controller until `stop` is cancelled and the calls under way are answered.
///
/// # Errors
/// If the configuration cannot work here, or any part of the controller ends by itself.
pub async fn run(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let Config {
        endpoint,
        driver_name,
        rds,
        volumes: settings,
        replica,
        admin: _,
        control: _,
    } = config;
    anyhow::ensure!(
        replica.is_none(),
        "several replicas are not wired yet; use --standalone"
    );
    info!(rds = %rds.address, "the RDS");
    let clock = Arc::new(SystemClock);
    let volumes = Volumes::new(backend(rds, clock.clone())?, clock, settings);

    // The socket is there before the RDS has been read: sidecars wait for one that says that it is
    // not ready, and end if there is none.
    let listener = socket::bind(&endpoint).await?;
    info!(%endpoint, driver = %driver_name, "serving CSI");
    let ready = volumes.clone();
    let identity = Identity::new(driver_name, move || ready.ready());
    let routes = server::routes(identity, Some(Controller::new(volumes.clone())));

    let mut tasks = Supervisor::new(stop.clone());
    tasks.spawn("volumes", async move {
        volumes.run().await;
        Ok::<_, Infallible>(())
    });
    tasks.spawn(
        "csi",
        server::serve(listener, routes, stop.cancelled_owned()),
    );
    Ok(tasks.run().await?)
}

/// The RDS behind its port: the one place that knows which adapter is used.
fn backend(config: RdsConfig, clock: Arc<dyn Clock>) -> anyhow::Result<Arc<dyn Backend>> {
    let RdsConfig {
        address,
        port,
        user,
        key_file,
        password_file,
        host_key,
        legacy_algorithms,
        connections,
        command_timeout,
        connect_timeout,
    } = config;
    let target = Target {
        endpoint: Endpoint::new(&address, port),
        user,
        host_key: match host_key {
            HostKey::Pinned(text) => {
                HostKeyPin::parse(&text).context("--rds-host-key cannot be used")?
            }
            HostKey::File(path) => HostKeyPin::file(path),
            HostKey::Unverified => HostKeyPin::insecure(),
        },
        credentials: Credentials::new(key_file, password_file),
        algorithms: if legacy_algorithms {
            Algorithms::Legacy
        } else {
            Algorithms::Modern
        },
        connect_timeout,
    };
    let options = Options {
        target,
        pool: PoolOptions {
            connections,
            ..PoolOptions::default()
        },
        // A line may wait for as long as the one before it may take.
        wait: command_timeout,
        run: command_timeout,
    };
    Ok(Arc::new(RdsBackend::new(options, clock)))
}
