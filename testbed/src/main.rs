//! Starts a control plane to try things on, and ends it with Ctrl-C or SIGTERM.
//!
//! When it is ready it prints one line of JSON: the kubeconfig file of a user who may do everything,
//! kubectl, and the process ids.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::json;
use testbed::control_plane::{ControlPlane, Options};
use testbed::error::Error;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testbed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let failed = |source| Error::Process {
        attempt: "wait for signals to",
        name: "testbed".to_owned(),
        source,
    };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let up = async {
        let plane = ControlPlane::start(Options::stock()).await?;
        let pids = plane.pids().into_iter();
        let pids: BTreeMap<_, _> = pids.map(|(part, pid)| (part.tool(), pid)).collect();
        let ready = json!({
            "kubeconfig": plane.admin_kubeconfig(),
            "kubectl": plane.tools().path("kubectl"),
            "pids": pids,
        });
        println!("{ready}");
        std::future::pending().await
    };
    tokio::select! {
        failed = up => failed,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}
