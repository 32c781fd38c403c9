//! Starts a control plane or a whole cluster to try things on, and ends it with Ctrl-C or SIGTERM.
//!
//! When it is ready it prints one line of JSON, with the kubeconfig file of a user who may do
//! everything, and kubectl.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use testbed::cluster;
use testbed::control_plane::{ControlPlane, Options as PlaneOptions};
use testbed::error::Error;
use testbed::installed::{DriverImage, Installed, Options, RELEASE};
use testbed::trouble::{Attempt as _, Trouble};
use tokio::signal::unix::{SignalKind, signal};

/// Kubernetes on this one machine, to try things on.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// etcd, API server, controller-manager and scheduler on loopback; no nodes, no root.
    ControlPlane,
    /// A cluster with real nodes, a simulated RDS and the chart installed; needs root.
    Up {
        /// How many nodes.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
        nodes: u8,
        /// The driver's program, instead of the one that was built beside this one.
        #[arg(long, conflicts_with = "image")]
        driver: Option<PathBuf>,
        /// An archive with the driver's image, named as the chart names it.
        #[arg(long)]
        image: Option<PathBuf>,
    },
    /// Removes what clusters left that were killed.
    Clean,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().what).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testbed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(what: What) -> Result<(), Trouble> {
    match what {
        What::ControlPlane => until_asked_to_end(control_plane()).await,
        What::Up {
            nodes,
            driver,
            image,
        } => {
            let image = match (image, driver) {
                (Some(archive), _) => DriverImage::Archive(archive),
                (None, Some(program)) => DriverImage::Program(program),
                (None, None) => DriverImage::Program(built()?),
            };
            until_asked_to_end(up(nodes, image)).await
        }
        What::Clean => {
            println!("{}", json!({"cleaned": cluster::clean()?}));
            Ok(())
        }
    }
}

/// Prints what a start gives, and holds that until a signal comes.
async fn until_asked_to_end<T>(
    start: impl Future<Output = Result<(T, Value), Trouble>>,
) -> Result<(), Trouble> {
    let failed = |source| Error::Process {
        attempt: "wait for signals to",
        name: "testbed".to_owned(),
        source,
    };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let up = async {
        let (_held, ready) = start.await?;
        println!("{ready}");
        std::future::pending().await
    };
    tokio::select! {
        failed = up => failed,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

async fn control_plane() -> Result<(ControlPlane, Value), Trouble> {
    let plane = ControlPlane::start(PlaneOptions::stock()).await?;
    let pids = plane.pids().into_iter();
    let pids: BTreeMap<_, _> = pids.map(|(part, pid)| (part.tool(), pid)).collect();
    let ready = json!({
        "kubeconfig": plane.admin_kubeconfig(),
        "kubectl": plane.tools().path("kubectl"),
        "pids": pids,
    });
    Ok((plane, ready))
}

async fn up(nodes: u8, driver: DriverImage) -> Result<(Installed, Value), Trouble> {
    let options = Options {
        nodes,
        ..Options::of(driver)
    };
    let installed = Installed::start(options).await?;
    for (what, took) in installed.timings() {
        eprintln!("{what}: {took:.1?}");
    }
    let (plane, sim) = (installed.cluster().plane(), installed.sim());
    let ready = json!({
        "kubeconfig": plane.admin_kubeconfig(),
        "kubectl": plane.tools().path("kubectl"),
        "helm": installed.helm().program(),
        "namespace": RELEASE,
        "values": installed.values(),
        "rds": sim.ssh_addr(),
        "end": format!("kill {}", std::process::id()),
    });
    Ok((installed, ready))
}

/// The driver that was built beside this program.
fn built() -> Result<PathBuf, Trouble> {
    let own = std::env::current_exe().attempt(|| "find this program".to_owned())?;
    let driver = own.with_file_name("rds-csi");
    if driver.is_file() {
        return Ok(driver);
    }
    Err(Trouble::found(format!(
        "there is no {}: run `cargo build` first, or say --driver or --image",
        driver.display()
    )))
}
