//! The control plane of the test bed: it is the Kubernetes that is pinned, it survives what tests do
//! to it, and nothing of it stays behind.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "functions of a test crate that are not tests themselves"
)]

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::{Api, Client};
use serde_json::Value;
use testbed::control_plane::{Component, ControlPlane, Options};
use testbed::error::Error;
use testbed::folder::RunFolder;
use testbed::process::Program;
use testbed::tools::{Tools, skipped};

#[path = "support/state.rs"]
mod state;

use state::wait_for;

/// The start of a control plane takes some seconds, of a busy machine some more.
const START_LIMIT: Duration = Duration::from_mins(2);

/// A control plane, or `None` where there cannot be one and that has been said.
async fn start(test: &str, options: Options) -> Option<ControlPlane> {
    match ControlPlane::start(options).await {
        Ok(plane) => Some(plane),
        Err(Error::Unavailable(why)) => {
            skipped(test, &why);
            None
        }
        Err(error) => panic!("{test}: {error}"),
    }
}

/// The version of Kubernetes in the test bed's `go.mod`.
fn pinned() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("go.mod");
    let text = std::fs::read_to_string(file).unwrap();
    let line = text
        .lines()
        .find(|line| line.contains("k8s.io/kubernetes v"));
    let version = line.unwrap().split_whitespace().nth(1);
    version.unwrap().to_owned()
}

async fn kubectl_json(plane: &ControlPlane, arguments: &[&str]) -> Value {
    let output = plane.kubectl(arguments).await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn the_api_server_is_the_kubernetes_that_is_pinned() {
    let test = "the_api_server_is_the_kubernetes_that_is_pinned";
    let Some(plane) = start(test, Options::api_only()).await else {
        return;
    };
    let version = kubectl_json(&plane, &["version", "--output=json"]).await;
    assert_eq!(version["serverVersion"]["gitVersion"], pinned());
    assert_eq!(version["clientVersion"]["gitVersion"], pinned());
}

#[tokio::test]
async fn a_killed_api_server_comes_back_with_its_objects_and_a_dropped_one_does_not() {
    let test = "a_killed_api_server_comes_back_with_its_objects_and_a_dropped_one_does_not";
    let Some(plane) = start(test, Options::api_only()).await else {
        return;
    };
    let client = plane.admin().await.unwrap();
    plane.create_namespace(&client, "town").await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "town");
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some("kept".to_owned()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    };
    let made = maps.create(&PostParams::default(), &map).await.unwrap();
    let before = plane.pids();
    plane.restart_apiserver().await.unwrap();
    let after = plane.pids();
    assert_eq!(before[&Component::Etcd], after[&Component::Etcd]);
    assert_ne!(before[&Component::ApiServer], after[&Component::ApiServer]);
    let found = maps.get("kept").await.unwrap();
    assert_eq!(found.metadata.uid, made.metadata.uid);

    let folder = plane.folder().path().to_owned();
    drop(plane);
    for pid in before.values().chain(after.values()) {
        assert_eq!(state::state(*pid), None);
    }
    assert!(!folder.exists());
}

/// The status code with which the pods of a namespace are listed.
async fn list_pods(client: &Client, namespace: &str) -> u16 {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    match pods.list(&ListParams::default()).await {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_service_account_may_do_what_rbac_says_and_is_audited() {
    let test = "a_service_account_may_do_what_rbac_says_and_is_audited";
    let Some(plane) = start(test, Options::quick()).await else {
        return;
    };
    let admin = plane.admin().await.unwrap();
    plane.create_namespace(&admin, "town").await.unwrap();
    let token = plane.token(&admin, "town", "default").await.unwrap();
    let account = plane.access_with(token).client().await.unwrap();
    assert_eq!(list_pods(&account, "town").await, 403);
    let view = [
        "create",
        "rolebinding",
        "view",
        "--namespace=town",
        "--clusterrole=view",
        "--serviceaccount=town:default",
        "--output=json",
    ];
    kubectl_json(&plane, &view).await;
    // The API server learns of a binding through a watch of its own.
    let allowed = async { while list_pods(&account, "town").await != 200 {} };
    tokio::time::timeout(START_LIMIT, allowed).await.unwrap();

    let log = std::fs::read_to_string(plane.audit_log()).unwrap();
    let answers: Vec<(String, u64)> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|entry| {
            let user = entry["user"]["username"].as_str().unwrap().to_owned();
            (user, entry["responseStatus"]["code"].as_u64().unwrap())
        })
        .collect();
    let user = "system:serviceaccount:town:default";
    assert_eq!(answers.first(), Some(&(user.to_owned(), 403)));
    assert_eq!(answers.last(), Some(&(user.to_owned(), 200)));
    assert!(answers.iter().all(|(who, _)| who == user), "{answers:?}");
}

#[tokio::test]
async fn nothing_runs_on_when_the_owner_of_a_control_plane_is_killed() {
    let test = "nothing_runs_on_when_the_owner_of_a_control_plane_is_killed";
    let programs = Component::ALL.map(Component::tool);
    let names: Vec<&str> = programs.into_iter().chain(["kubectl"]).collect();
    let Some(tools) = Tools::for_test(test, &names) else {
        return;
    };
    let folder = RunFolder::create("owner").unwrap();
    let owner = Program::new("owner", env!("CARGO_BIN_EXE_testbed"), folder.logs())
        .args(["control-plane"])
        .env("RDS_CSI_TESTBED_BIN", tools.folder())
        .env("RDS_CSI_TESTBED_EVIDENCE", folder.path());
    let owner = owner.start().unwrap();
    let ready = owner.first_line(START_LIMIT).await.unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let pids = ready["pids"].as_object().unwrap();
    assert_eq!(pids.len(), programs.len());
    let pids = pids.values().map(|pid| pid.as_u64().unwrap());
    let pids: Vec<u32> = pids.map(|pid| u32::try_from(pid).unwrap()).collect();
    for pid in &pids {
        assert!(state::state(*pid).is_some());
    }
    owner.kill().unwrap();
    for pid in pids {
        wait_for(pid, |state| state.is_none()).await;
    }
}
