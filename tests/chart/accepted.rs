//! A real API server accepts what the chart renders, and its pods where Pod Security is restricted.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use testbed::control_plane::{ControlPlane, Options};
use testbed::error::Error;
use testbed::tools::skipped;

use super::helm::{Helm, Rendered, cases, text};

/// Kinds of the Prometheus operator, which this API server does not know.
const FOREIGN: [&str; 2] = ["PrometheusRule", "ServiceMonitor"];

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_accepts_every_object_and_the_pods_where_security_is_restricted() {
    let test = "the_api_server_accepts_every_object_and_the_pods_where_security_is_restricted";
    let Some(helm) = Helm::find(test) else {
        return;
    };
    let plane = match ControlPlane::start(Options::api_only()).await {
        Ok(plane) => plane,
        Err(Error::Unavailable(why)) => return skipped(test, &why),
        Err(error) => panic!("{test}: {error}"),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "rds-system", "labels": {
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/warn": "restricted",
        }},
    });
    create(&plane, folder.path(), "the namespace", &[namespace], &[]).await;
    for case in cases() {
        let rendered = helm.render(&case);
        let objects: Vec<Value> = rendered
            .objects()
            .filter(|object| !FOREIGN.contains(&text(object, "/kind")))
            .cloned()
            .chain([pod(&rendered)])
            .collect();
        // Nothing is kept: the cases share names.
        let only_asked = ["--dry-run=server"];
        create(&plane, folder.path(), &case, &objects, &only_asked).await;
    }
}

/// Has kubectl create objects. A field that the API server does not know is an error, and so is a
/// warning, such as one about Pod Security or about an API that goes away.
async fn create(plane: &ControlPlane, folder: &Path, what: &str, objects: &[Value], more: &[&str]) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let file = folder.join("objects.json");
    fs::write(&file, list.to_string()).expect("the temporary folder can be written");
    let file = file.to_string_lossy();
    let verb = [
        "create",
        "--validate=strict",
        "--warnings-as-errors",
        "-f",
        &file,
    ];
    let arguments = [&verb, more].concat();
    let output = plane.kubectl(&arguments).await.expect("kubectl runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}");
    let created = String::from_utf8_lossy(&output.stdout).lines().count();
    assert_eq!(created, objects.len(), "{what}: {said}");
}

/// The pod that the Deployment's controller would make: the Deployment itself is accepted with any.
fn pod(rendered: &Rendered) -> Value {
    let labels = rendered.only("Deployment");
    let labels = labels.pointer("/spec/template/metadata/labels");
    json!({
        "apiVersion": "v1", "kind": "Pod", "spec": rendered.pod(),
        "metadata": {"name": "replica", "namespace": "rds-system", "labels": labels},
    })
}
