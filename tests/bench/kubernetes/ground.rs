//! A control plane for a section, and a bed on it for as long as something is measured.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use testbed::bed::{Bed, Ground, Options, TOOLS};
use testbed::control_plane::{ControlPlane, Options as PlaneOptions};
use testbed::error::Error;
use testbed::pod::Pod;
use testbed::summary::Summary;
use testbed::trouble::Trouble;
use tonic::transport::Endpoint;

use super::client::Client;

/// The programs of Kubernetes.
#[derive(Debug, Clone)]
pub(crate) struct Tools(testbed::tools::Tools);

// === impl Tools ===

impl Tools {
    /// Builds them if they are not there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where this machine cannot.
    pub(crate) async fn find() -> Result<Self, Error> {
        let finding = tokio::task::spawn_blocking(|| testbed::tools::Tools::find(&TOOLS));
        let tools = finding.await.expect("looking for tools does not panic")?;
        Ok(Self(tools))
    }

    /// A control plane of its own, with the times that Kubernetes has when nothing is said: what one
    /// section leaves behind must not cost the next one.
    pub(crate) async fn ground(&self) -> anyhow::Result<Ground> {
        let plane = ControlPlane::start(PlaneOptions::stock()).await?;
        Ok(Ground {
            plane: Arc::new(plane),
            tools: self.0.clone(),
            program: PathBuf::from(env!("CARGO_BIN_EXE_rds-csi")),
            summary: Summary::default(),
        })
    }
}

/// Does something on a bed, ends the bed, and asks it whether the RDS saw a second writer.
pub(crate) async fn on_bed<T>(
    ground: &Ground,
    name: &str,
    options: Options,
    work: impl AsyncFnOnce(&Bed) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let bed = Box::pin(Bed::start(ground, name, options)).await;
    let bed = bed.with_context(|| format!("start a bed for {name}"))?;
    let result = Box::pin(work(&bed)).await;
    let judged = match &result {
        Ok(_) => Ok(()),
        Err(error) => Err(Trouble::found(format!("{error:#}"))),
    };
    Box::pin(bed.finish(judged)).await?;
    result
}

/// A caller at a pod's CSI socket.
pub(crate) async fn caller(pod: &Pod) -> anyhow::Result<Client> {
    let socket = pod.socket()?;
    let endpoint = Endpoint::from_shared(format!("unix:{}", socket.display()))?;
    let channel = endpoint.connect().await;
    Ok(Client::new(channel.with_context(|| {
        format!("connect to {}", socket.display())
    })?))
}
