//! The chart as `helm template` renders it: what an installation gets, and nothing else.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PodSpec;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use crate::helm::Helm;
use crate::trouble::{Attempt, Trouble};

/// An API server that has just started answers within seconds.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// Whose fields the applied objects are, as they would be Helm's.
const FIELD_MANAGER: &str = "helm";
/// What a kubelet would have to run. The bed runs the Deployment's pods itself.
const FOR_KUBELETS: [&str; 4] = ["Deployment", "DaemonSet", "Job", "Pod"];

/// What to render.
#[derive(Clone, Debug)]
pub struct Release {
    /// The name of the release.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Values over those of the chart.
    pub values: Value,
}

/// The rendered objects.
#[derive(Clone, Debug)]
pub struct Chart {
    namespace: String,
    objects: Vec<Value>,
}

// === impl Chart ===

impl Chart {
    /// Runs `helm template`.
    ///
    /// # Errors
    /// Helm refuses, with what it says, or renders what is no YAML.
    pub async fn render(helm: &Path, chart: &Path, release: &Release) -> Result<Self, Trouble> {
        let what = || format!("render {}", chart.display());
        let folder = tempfile::tempdir().attempt(what)?;
        let values = folder.path().join("values.json");
        std::fs::write(&values, release.values.to_string()).attempt(what)?;
        let helm = Helm::new(helm, folder.path());
        let arguments = [
            OsStr::new("template"),
            OsStr::new(&release.name),
            chart.as_os_str(),
            OsStr::new("--namespace"),
            OsStr::new(&release.namespace),
            OsStr::new("--values"),
            values.as_os_str(),
        ];
        let text = helm.run(&arguments).await?;
        Self::parse(&release.namespace, &text)
    }

    /// Reads rendered YAML documents.
    ///
    /// # Errors
    /// It is no YAML.
    pub fn parse(namespace: &str, text: &str) -> Result<Self, Trouble> {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(text).attempt(|| "read what Helm rendered".to_owned())?;
        let objects = documents.into_iter().filter(|one| !one.is_null());
        Ok(Self {
            namespace: namespace.to_owned(),
            objects: objects.collect(),
        })
    }

    /// Every rendered object.
    pub fn objects(&self) -> &[Value] {
        &self.objects
    }

    /// Every object of a kind.
    ///
    /// # Errors
    /// One is not as Kubernetes defines its kind.
    pub fn all<K>(&self) -> Result<Vec<K>, Trouble>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let kind = K::kind(&());
        let objects = self.objects.iter();
        let objects = objects.filter(|one| text(one, "/kind") == kind);
        objects
            .map(|one| serde_json::from_value(one.clone()))
            .collect::<Result<_, _>>()
            .attempt(|| format!("read a rendered {kind}"))
    }

    /// The only object of a kind.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn one<K>(&self) -> Result<K, Trouble>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let mut all = self.all::<K>()?;
        match (all.pop(), all.len()) {
            (Some(one), 0) => Ok(one),
            (_, more) => Err(Trouble::found(format!(
                "the chart renders {} of {}, not one",
                more + 1,
                K::kind(&())
            ))),
        }
    }

    /// The pods of the controller, as its Deployment describes them.
    ///
    /// # Errors
    /// There is not one Deployment, or it describes no pod.
    pub fn controller(&self) -> Result<PodSpec, Trouble> {
        let deployment: Deployment = self.one()?;
        let template = deployment.spec.and_then(|spec| spec.template.spec);
        template.ok_or_else(|| Trouble::found("the rendered Deployment describes no pod"))
    }

    /// How many pods the Deployment wants.
    ///
    /// # Errors
    /// There is not one Deployment.
    pub fn replicas(&self) -> Result<usize, Trouble> {
        let deployment: Deployment = self.one()?;
        let replicas = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1);
        usize::try_from(replicas).attempt(|| format!("want {replicas} replicas"))
    }

    /// Applies everything but what kubelets run. The namespace must exist.
    ///
    /// # Errors
    /// The API refuses an object.
    pub async fn apply(&self, client: &Client) -> Result<(), Trouble> {
        let objects = self.objects.iter();
        let objects = objects.filter(|one| !FOR_KUBELETS.contains(&text(one, "/kind")));
        for object in objects {
            let what = || {
                let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
                format!("apply the chart's {kind} {name}")
            };
            timeout(CALL_LIMIT, self.apply_one(client, object))
                .await
                .attempt(what)?
                .attempt(what)?;
        }
        Ok(())
    }

    async fn apply_one(&self, client: &Client, object: &Value) -> kube::Result<()> {
        let (group, version) = text(object, "/apiVersion")
            .split_once('/')
            .unwrap_or(("", text(object, "/apiVersion")));
        let kind = GroupVersionKind::gvk(group, version, text(object, "/kind"));
        let (resource, capabilities) = pinned_kind(client, &kind).await?;
        let api: Api<DynamicObject> =
            match (capabilities.scope, text(object, "/metadata/namespace")) {
                (Scope::Cluster, _) => Api::all_with(client.clone(), &resource),
                (Scope::Namespaced, "") => {
                    Api::namespaced_with(client.clone(), &self.namespace, &resource)
                }
                (Scope::Namespaced, named) => {
                    Api::namespaced_with(client.clone(), named, &resource)
                }
            };
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let name = text(object, "/metadata/name");
        api.patch(name, &params, &Patch::Apply(object)).await?;
        Ok(())
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Secret, ServiceAccount};

    use super::*;

    const RENDERED: &str = r#"---
# Source: rds-csi/templates/serviceaccount.yaml
apiVersion: v1
kind: ServiceAccount
metadata:
  name: driver
  annotations: {a: "1", b: "true", c: 'no'}
---
# Source: rds-csi/templates/empty.yaml
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: controller
spec:
  selector: {}
  template:
    spec:
      containers:
        - name: driver
          args:
            - --port=$(PORT)
"#;

    #[test]
    fn documents_are_read_as_what_they_say() {
        let chart = Chart::parse("n", RENDERED).unwrap();
        assert_eq!(chart.objects().len(), 2);
        let account: ServiceAccount = chart.one().unwrap();
        let annotations = account.metadata.annotations.unwrap();
        let values: Vec<&str> = annotations.values().map(String::as_str).collect();
        assert_eq!(values, ["1", "true", "no"]);
        let pod = chart.controller().unwrap();
        let args = pod.containers[0].args.clone().unwrap();
        assert_eq!(args, ["--port=$(PORT)"]);
    }

    #[test]
    fn what_is_not_there_exactly_once_is_no_answer() {
        let twice = format!("{RENDERED}\n{RENDERED}");
        for (text, is_good) in [(RENDERED, true), (&twice, false), ("", false)] {
            let chart = Chart::parse("n", text).unwrap();
            assert_eq!(chart.controller().is_ok(), is_good, "{text}");
            assert!(chart.one::<Secret>().is_err());
        }
    }
}
