//! Composition root of the controller: builds the adapters, hands them to the services, supervises.

mod api;
mod meters;
pub mod outside;
mod replica;
mod source;
mod vital;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tracing::info;

use crate::admin::{self, Source, routes};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::config::rds::{HostKey, RdsConfig};
use crate::controller::meters::Meters;
use crate::controller::replica::{End, Replica};
use crate::controller::source::Desk;
use crate::csi::controller::Controller;
use crate::csi::identity::Identity;
use crate::csi::server::{self, MayAnswer};
use crate::csi::{self, socket};
use crate::metrics::Metrics;
use crate::metrics::rpc::Calls;
use crate::ports::Clock;
use crate::rds::backend::{Options, RdsBackend};
use crate::rds::transport::{Algorithms, Credentials, Endpoint, HostKeyPin, PoolOptions, Target};
use crate::service::Volumes;
use crate::service::election::heartbeat::Heartbeat;
use crate::task::Supervisor;
use crate::telemetry;
use crate::telemetry::context;
use crate::telemetry::propagate::Accept;

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
        admin,
        control,
    } = config;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        commit = env!("RDS_CSI_COMMIT"),
        "rds-csi starts"
    );
    info!(rds = %rds.address, "the RDS");
    let address = rds.address.clone();
    let instance = replica
        .as_ref()
        .map_or_else(|| "standalone".to_owned(), |replica| replica.pod.clone());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let backend = backend(rds, Arc::clone(&clock))?;

    // The socket is ours before we stand for election.
    let reserved = socket::reserve(&endpoint).await?;
    let replica = match replica {
        Some(config) => Some(Replica::start(config, &driver_name, Arc::clone(&clock)).await?),
        None => None,
    };
    let volumes = match &replica {
        None => Volumes::new(backend.clone(), Arc::clone(&clock), settings),
        Some(replica) => Volumes::in_cluster(
            backend.clone(),
            Arc::clone(&clock),
            settings,
            replica.kubernetes(),
        ),
    };
    let calls = Calls::default();
    let mut metrics = Metrics::default()
        .with(&calls)
        .with(backend.commands())
        .with(volumes.counters());
    if let Some(replica) = &replica {
        metrics = metrics.with(replica.counters());
    }
    let end = End::default();
    let pulse = Heartbeat::new(Arc::clone(&clock));
    let desk: Arc<dyn Source> = Arc::new(Desk {
        driver: driver_name.clone(),
        instance: Some(instance),
        rds: address,
        clock,
        volumes: volumes.clone(),
        kubernetes: replica.as_ref().map(Replica::side),
        meters: Some(Meters {
            metrics,
            rds: backend,
            dropped: telemetry::dropped,
        }),
        pulse: pulse.clone(),
        drain: end.drain.clone(),
        drained: end.drained.clone(),
    });
    let fenced = volumes.clone();
    let may = MayAnswer::when(move || fenced.may_answer());
    let ready = volumes.clone();
    let identity = Identity::new(driver_name.clone(), move || ready.ready());
    let routes = server::routes(identity, Some(Controller::new(volumes.clone())));
    let routes = if context::is_on() {
        Routes::from(routes.into_axum_router().layer(Accept))
    } else {
        routes
    };

    let mut tasks = Supervisor::new(stop.clone());
    let looking = volumes.clone();
    tasks.spawn_aside("looking", async move {
        looking.keep_looking().await;
        Ok::<_, Infallible>(())
    });
    let drained = match replica {
        None => stand_alone(&mut tasks, &volumes, stop, end),
        Some(replica) => replica.spawn(&mut tasks, &volumes, stop, end),
    };
    serve_admin(&mut tasks, desk, admin, &control, &drained).await?;
    // It lets sidecars in before anything has been read, and on every replica: they wait 30 s for a
    // socket, and then for as long as it takes for one that is ready. But not before they are answered:
    // who is let in and hears nothing for a second has lost a connection, and ends.
    let listener = reserved.listen()?;
    tasks.spawn(
        "csi",
        server::serve(listener, routes, may, calls, drained.cancelled_owned()),
    );
    info!(%endpoint, driver = %driver_name, "serving CSI");
    tasks.spawn_aside("pulse", async move {
        csi::pulse::run(endpoint, pulse).await;
        Ok::<_, Infallible>(())
    });
    Ok(tasks.run().await?)
}

/// Serves until `stop`, or until somebody asks to drain. What is given back is cancelled then.
fn stand_alone(
    tasks: &mut Supervisor,
    volumes: &Volumes,
    stop: CancellationToken,
    end: End,
) -> CancellationToken {
    let (served, idle) = (volumes.clone(), volumes.clone());
    tasks.spawn("volumes", async move {
        served.run().await;
        Ok::<_, Infallible>(())
    });
    let End { drain, drained } = end;
    tasks.spawn_aside("drain", async move {
        drain.cancelled().await;
        idle.stop();
        idle.drain().await;
        drained.cancel();
        Ok::<_, Infallible>(())
    });
    stop
}

/// Answers people and probes: on the port, if one is wanted, and on the control socket.
async fn serve_admin(
    tasks: &mut Supervisor,
    desk: Arc<dyn Source>,
    port: Option<SocketAddr>,
    control: &Path,
    over: &CancellationToken,
) -> anyhow::Result<()> {
    if let Some(port) = port {
        let listener = TcpListener::bind(port)
            .await
            .with_context(|| format!("--metrics-address {port} cannot be used"))?;
        let listening = listener
            .local_addr()
            .context("the admin port has no address")?;
        info!(%listening, "serving health and status");
        let routes = routes::public(Arc::clone(&desk));
        tasks.spawn_aside(
            "admin",
            admin::server::serve(listener, routes, over.clone()),
        );
    }
    let endpoint = format!("unix://{}", control.display());
    let endpoint = endpoint
        .parse()
        .context("--control-socket cannot be used")?;
    let listener = socket::bind(&endpoint).await?;
    tasks.spawn_aside(
        "control",
        admin::server::serve(listener, routes::control(desk), over.clone()),
    );
    Ok(())
}

/// The RDS behind its port: the one place that knows which adapter is used.
fn backend(config: RdsConfig, clock: Arc<dyn Clock>) -> anyhow::Result<Arc<RdsBackend>> {
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
