//! The guide typed at a real API server. Nothing runs pods here: what waits for them is left out.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use testbed::control_plane::{ControlPlane, Options};
use testbed::error::Error;
use testbed::manual::{commands, settings};
use testbed::tools::{Tools, skipped};
use tokio::process::Command;
use tokio::time::timeout;

use super::page::{read, repository, section};

/// `kubectl delete namespace` in the guide waits for 3 min at most.
const STEP: Duration = Duration::from_mins(4);

/// The steps that need no pod to run, and which of their blocks.
const STEPS: [(&str, usize); 6] = [
    ("## 3. Namespace", 0),
    ("## 4. Secret", 0),
    ("## 5. Driver", 0),
    ("## 7. First volume", 0),
    ("## 8. Take it away again", 1),
    ("## 8. Take it away again", 2),
];

/// Whether a node plugin seems to be on the node.
const ANNOUNCED: &str = "kubectl get csinode worker-1 -o jsonpath='{.spec.drivers[*].nodeID}'";

/// Who types: settings, tools, and a cluster.
struct Desk<'a> {
    plane: &'a ControlPlane,
    tools: Tools,
    folder: &'a Path,
    settings: Vec<(String, String)>,
}

impl Desk<'_> {
    /// Runs a script as the guide's reader would.
    async fn types(&self, script: &str) -> String {
        let system = std::env::var_os("PATH").unwrap_or_default();
        let tools = [self.tools.folder().to_owned()].into_iter();
        let folders = tools.chain(std::env::split_paths(&system));
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", script]);
        command.current_dir(repository("")).env_clear();
        command.env("PATH", std::env::join_paths(folders).expect("folders"));
        command.env("HOME", self.folder);
        command.env("KUBECONFIG", self.plane.admin_kubeconfig());
        command
            .envs(self.settings.iter().cloned())
            .kill_on_drop(true);
        let output = timeout(STEP, command.output()).await.expect("it ends");
        let output = output.expect("bash runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{said}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

/// The settings of the guide; files that it names are there.
fn prepared(folder: &Path) -> Vec<(String, String)> {
    let blocks = commands(&read("docs/install.md"));
    let settings = settings(blocks.first().expect("a block of settings"));
    let placed = settings.into_iter().map(|(name, value)| {
        if !name.ends_with("_FILE") {
            return (name, value);
        }
        let file = folder.join(&value);
        fs::write(&file, "for the test\n").expect("the temporary folder can be written");
        (name, file.to_string_lossy().into_owned())
    });
    placed.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_installation_can_be_typed_at_a_real_api_server() {
    let test = "the_installation_can_be_typed_at_a_real_api_server";
    let Some(tools) = Tools::for_test(test, &["helm", "kubectl"]) else {
        return;
    };
    let plane = match ControlPlane::start(Options::stock()).await {
        Ok(plane) => plane,
        Err(Error::Unavailable(why)) => return skipped(test, &why),
        Err(error) => panic!("{test}: {error}"),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let desk = Desk {
        plane: &plane,
        tools,
        folder: folder.path(),
        settings: prepared(folder.path()),
    };
    // What kubelet of that node would have made.
    let node = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSINode",
        "metadata": {"name": "worker-1"}, "spec": {"drivers": []},
    });
    desk.types(&format!("kubectl create -f - <<'EOF'\n{node}\nEOF"))
        .await;
    let guide = read("docs/install.md");
    for (heading, which) in STEPS {
        let blocks = commands(section(&guide, heading));
        desk.types(blocks.get(which).expect("a block")).await;
        if heading.contains("First volume") {
            assert_eq!(desk.types(ANNOUNCED).await, "worker-1");
            let installed = "kubectl -n rds-csi get deployments,services,configmaps -o name";
            let installed = desk.types(installed).await;
            for object in [
                "deployment.apps/rds-csi-controller",
                "service/rds-csi-metrics",
            ] {
                assert!(installed.contains(object), "{installed}");
            }
        }
    }
    assert_eq!(desk.types(ANNOUNCED).await, "");
    let left = desk
        .types("kubectl get namespaces,csidrivers,storageclasses -o name")
        .await;
    assert!(!left.contains("rds"), "{left}");
}
