//! Composition root of the controller: builds the adapters, hands them to the services, supervises.

mod replica;

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::config::rds::{HostKey, RdsConfig};
use crate::controller::replica::Replica;
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
/// If the configuration cannot work here, leadership is lost, or any part of the controller ends by
/// itself.
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
    info!(rds = %rds.address, "the RDS");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let backend = backend(rds, Arc::clone(&clock))?;

    // The socket is there before anything has been read, and on every replica: sidecars wait for one
    // that says that it is not ready, and end if there is none.
    let listener = socket::bind(&endpoint).await?;
    info!(%endpoint, driver = %driver_name, "serving CSI");
    let replica = match replica {
        Some(config) => Some(Replica::start(config, &driver_name, Arc::clone(&clock)).await?),
        None => None,
    };
    let volumes = match &replica {
        None => Volumes::new(backend, clock, settings),
        Some(replica) => Volumes::in_cluster(backend, clock, settings, replica.kubernetes()),
    };
    let ready = volumes.clone();
    let identity = Identity::new(driver_name, move || ready.ready());
    let routes = server::routes(identity, Some(Controller::new(volumes.clone())));

    let mut tasks = Supervisor::new(stop.clone());
    let drained = match replica {
        None => {
            tasks.spawn("volumes", async move {
                volumes.run().await;
                Ok::<_, Infallible>(())
            });
            stop
        }
        Some(replica) => replica.spawn(&mut tasks, &volumes, stop),
    };
    tasks.spawn("csi", server::serve(listener, routes, drained.cancelled_owned()));
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
