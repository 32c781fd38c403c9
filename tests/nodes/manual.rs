//! The page that tells how to install the driver, followed to the letter.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use tempfile::TempDir;
use testbed::installed::{Installed, RELEASE};
use testbed::manual::{commands, settings};
use testbed::trouble::{Attempt as _, Trouble};
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::suite::Ground;

/// What the nodes have, which is the chart's default: the page names its image in full.
const IMAGE: &str = concat!("localhost/rds-csi:", env!("CARGO_PKG_VERSION"));
/// The commands of the page have limits of their own, which only a failing one waits out.
const PAGE_LIMIT: Duration = Duration::from_mins(6);

pub(crate) async fn who_pastes_the_page_on_installing_gets_an_attached_volume(
    ground: &Ground,
) -> Result<(), Trouble> {
    let installed = &ground.installed;
    let folder = tempfile::tempdir().attempt(|| "make a folder".to_owned())?;
    let secret = credentials(installed, &folder).await?;
    let helm = installed.helm();
    helm.run(&["uninstall", RELEASE, "--ignore-not-found"])
        .await?;
    let gone = ["delete", "namespace", RELEASE, "--timeout=2m"];
    installed.cluster().plane().kubectl(&gone).await?;

    let start = Instant::now();
    let said = bash(installed, &script(installed, &secret)?).await?;
    ground.took("the page, from no namespace to none", start);
    let mut lines = said.lines();
    let is_attached = |line: &str| line.contains("rds.csi.srvlab.io") && line.contains(" true ");
    assert!(
        lines.any(is_attached),
        "no VolumeAttachment is shown:\n{said}"
    );
    Ok(())
}

/// The page's own commands, after what is to be set on this cluster.
fn script(installed: &Installed, key_files: &BTreeMap<&str, String>) -> Result<String, Trouble> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/install.md");
    let what = || format!("read the commands of {}", path.display());
    let blocks = commands(&fs::read_to_string(&path).attempt(what)?);
    let (first, rest) = blocks.split_first().ok_or("it has none").attempt(what)?;
    let rds = installed.sim().ssh_addr();
    let mut own = key_files.clone();
    own.extend([
        ("RDS_ADDRESS", rds.ip().to_string()),
        ("RDS_PORT", rds.port().to_string()),
        ("RDS_NVME_ADDRESS", rds.ip().to_string()),
        ("CLUSTER_ID", "newcomer".to_owned()),
        ("IMAGE", IMAGE.to_owned()),
        ("NODE", "node-2".to_owned()),
    ]);
    let mut script = "set -euo pipefail\n".to_owned();
    for (name, example) in settings(first) {
        let value = own.remove(name.as_str()).unwrap_or(example);
        writeln!(script, "{name}='{value}'").attempt(what)?;
    }
    assert!(own.is_empty(), "the page sets none of {own:?}");
    script.extend(rest.iter().map(String::as_str));
    Ok(script)
}

/// The files that the page wants, from what the first installation had.
async fn credentials(
    installed: &Installed,
    folder: &TempDir,
) -> Result<BTreeMap<&'static str, String>, Trouble> {
    let what = || format!("read Secret {RELEASE}");
    let secrets = installed.here::<Secret>();
    let secret = secrets.get(RELEASE).await.attempt(what)?;
    let data = secret.data.unwrap_or_default();
    let files = [
        ("RDS_KEY_FILE", "rds-private-key"),
        ("RDS_HOST_KEY_FILE", "rds-host-key"),
    ];
    let write = |(setting, key): (&'static str, &str)| {
        let content = data.get(key).ok_or("a key is missing").attempt(what)?;
        let path = folder.path().join(key);
        fs::write(&path, &content.0).attempt(what)?;
        Ok((setting, path.to_string_lossy().into_owned()))
    };
    files.into_iter().map(write).collect()
}

/// Runs a script in the checkout as somebody who has kubectl and Helm for this cluster; what it prints.
async fn bash(installed: &Installed, script: &str) -> Result<String, Trouble> {
    let plane = installed.cluster().plane();
    let kubectl = plane.tools().path("kubectl");
    let folders = [kubectl.parent(), installed.helm().program().parent()];
    let folders = folders.into_iter().flatten().map(Path::to_path_buf);
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(folders.chain(std::env::split_paths(&inherited)));
    let what = || "paste the page into bash".to_owned();
    let mut bash = Command::new("bash");
    bash.args(["-x", "-c", script]);
    bash.current_dir(env!("CARGO_MANIFEST_DIR"));
    bash.env("KUBECONFIG", plane.admin_kubeconfig());
    bash.env("PATH", path.attempt(what)?);
    bash.stdin(Stdio::null()).kill_on_drop(true);
    let ended = timeout(PAGE_LIMIT, bash.output()).await.attempt(what)?;
    let output = ended.attempt(what)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let traced = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}\n{said}\n{traced}", output.status)).attempt(what)
}
