//! Composition root of the controller: builds the adapters, hands them to the services, supervises.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::config::rds::RdsConfig;
use crate::csi::controller::Controller;
use crate::csi::identity::Identity;
use crate::csi::{server, socket};
use crate::ports::Backend;
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
    } = config;
    let backend = backend(&rds)?;
    let volumes = Volumes::new(backend, Arc::new(SystemClock), settings);

    // The socket is there before the RDS has been read: sidecars wait for one that says that it is
    // not ready, and end if there is none.
    let listener = socket::bind(&endpoint).await?;
    info!(%endpoint, driver = %driver_name, rds = %rds.address, "serving CSI");
    let ready = volumes.clone();
    let identity = Identity::new(driver_name, move || ready.ready());
    let routes = server::routes(identity, Some(Controller::new(volumes.clone())));

    let mut tasks = Supervisor::new(stop.clone());
    tasks.spawn("volumes", async move { volumes.run().await });
    tasks.spawn(
        "csi",
        server::serve(listener, routes, stop.cancelled_owned()),
    );
    Ok(tasks.run().await?)
}

/// The RDS behind its port: the one place that knows which adapter is used.
fn backend(config: &RdsConfig) -> anyhow::Result<Arc<dyn Backend>> {
    anyhow::bail!("there is no adapter for the RDS at {} yet", config.address)
}
