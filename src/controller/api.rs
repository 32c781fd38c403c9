//! How the Kubernetes API is reached: by a file, as a pod does, or as kubectl does.

use std::path::Path;

use anyhow::Context;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

/// Whose access it is where no file is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// That of the pod's service account.
    Pod,
    /// That of the person who types: `KUBECONFIG`, `~/.kube/config`, or a pod's after all.
    Person,
}

/// How to reach the API.
///
/// # Errors
/// If the file cannot be used, or there is nothing to find.
pub(super) async fn config(kubeconfig: Option<&Path>, whose: Whose) -> anyhow::Result<Config> {
    // Two libraries bring a TLS provider each, and neither may choose for the other. It may have
    // been chosen already where several controllers live in one process.
    drop(rustls::crypto::ring::default_provider().install_default());
    match (kubeconfig, whose) {
        (Some(path), _) => {
            let file = Kubeconfig::read_from(path)
                .with_context(|| format!("--kubeconfig {} cannot be read", path.display()))?;
            let options = KubeConfigOptions::default();
            Config::from_custom_kubeconfig(file, &options)
                .await
                .with_context(|| format!("--kubeconfig {} cannot be used", path.display()))
        }
        (None, Whose::Pod) => Config::incluster().context(
            "this process is in no pod with a service account; give --kubeconfig, or --standalone for a controller without Kubernetes",
        ),
        (None, Whose::Person) => Config::infer()
            .await
            .context("no way to the Kubernetes API was found; give --kubeconfig"),
    }
}
