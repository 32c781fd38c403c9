//! kubectl, as people use it.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::error::Error;

/// More than any `kubectl wait` of a test asks for.
const LIMIT: Duration = Duration::from_mins(1);

/// Runs it to its end with a kubeconfig file, keeping its caches in `home`.
pub(super) async fn run(
    kubectl: &Path,
    kubeconfig: &Path,
    home: &Path,
    arguments: &[&str],
) -> Result<Output, Error> {
    let mut command = Command::new(kubectl);
    command
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let name = || format!("kubectl {}", arguments.join(" "));
    let output = timeout(LIMIT, command.output()).await;
    let late = |_| Error::Late {
        what: format!("the end of {}", name()),
        limit: LIMIT,
        last: "it was killed".to_owned(),
    };
    output.map_err(late)?.map_err(|source| Error::Process {
        attempt: "run",
        name: name(),
        source,
    })
}
