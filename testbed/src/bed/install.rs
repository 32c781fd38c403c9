//! What is there before the first pod: the RDS, its login, the chart's objects, the Lease.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client};
use rds_csi::sim::handle::Sim;
use rds_csi::sim::server::Accounts;
use rds_csi::workload::secrets;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Ground, Options};
use crate::chart::{Chart, Release};
use crate::trouble::{Attempt, Trouble};

/// The user of the controllers on the simulated RDS.
const USER: &str = "csi";
/// The Secret that the chart refers to.
const SECRET: &str = "rds-login";
/// An API server answers in milliseconds.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Makes the namespace and the RDS, and installs the chart but for its pods.
pub(super) async fn install(
    ground: &Ground,
    client: &Client,
    short: &str,
    options: &Options,
) -> Result<(Sim, Chart), Trouble> {
    ground.plane.create_namespace(client, short).await?;
    let password = secrets::password();
    let mut sim = options.sim.clone();
    sim.accounts = Accounts::default().with_password(USER, password.clone().into());
    let sim = Sim::start(sim).attempt(|| "start the simulated RDS".to_owned())?;
    make_secret(client, short, &password).await?;
    let chart = render(ground, short, &sim, options).await?;
    chart.apply(client).await?;
    if options.released_lease {
        release_lease(client, short).await?;
    }
    Ok((sim, chart))
}

/// The driver's name in the bed of a namespace.
pub(super) fn driver(namespace: &str) -> String {
    format!("{namespace}.rds.test")
}

async fn render(
    ground: &Ground,
    short: &str,
    sim: &Sim,
    options: &Options,
) -> Result<Chart, Trouble> {
    let rds = sim.ssh_addr();
    let secret = json!({"name": SECRET, "privateKey": "", "password": "password", "hostKey": ""});
    let mut values = json!({
        "driver": {"name": driver(short)},
        "clusterId": short,
        "rds": {
            "address": rds.ip(), "port": rds.port(), "user": USER,
            "hostKey": sim.fingerprint(), "secret": secret,
        },
        "storageClasses": [{"name": short}],
    });
    if let Some(replicas) = options.replicas {
        merge(&mut values, &json!({"controller": {"replicas": replicas}}));
    }
    merge(&mut values, &options.values);
    let release = Release {
        name: "rds-csi".to_owned(),
        namespace: short.to_owned(),
        values,
    };
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../helm/rds-csi");
    Chart::render(&ground.tools.path("helm"), &chart, &release).await
}

async fn make_secret(client: &Client, namespace: &str, password: &str) -> Result<(), Trouble> {
    let what = || format!("make Secret {SECRET}");
    let secret = json!({"metadata": {"name": SECRET}, "stringData": {"password": password}});
    let secret: Secret = serde_json::from_value(secret).attempt(what)?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let params = PostParams::default();
    let call = secrets.create(&params, &secret);
    timeout(CALL_LIMIT, call)
        .await
        .attempt(what)?
        .attempt(what)
        .map(drop)
}

/// The name of the replicas' Lease.
pub(super) fn lease(namespace: &str) -> String {
    format!("{}-controller", driver(namespace))
}

/// The Lease as a leader leaves it that was asked to end.
async fn release_lease(client: &Client, namespace: &str) -> Result<(), Trouble> {
    let name = lease(namespace);
    let what = || format!("make Lease {name}");
    let annotations = json!({"rds.csi.srvlab.io/released-by": "an earlier leader"});
    let lease = json!({
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"holderIdentity": "", "leaseTransitions": 0},
    });
    let lease: Lease = serde_json::from_value(lease).attempt(what)?;
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let params = PostParams::default();
    let call = leases.create(&params, &lease);
    timeout(CALL_LIMIT, call)
        .await
        .attempt(what)?
        .attempt(what)
        .map(drop)
}

/// Puts values over others, as Helm does with its files.
pub(crate) fn merge(under: &mut Value, over: &Value) {
    match (under.as_object_mut(), over.as_object()) {
        (Some(under), Some(over)) => {
            for (key, value) in over {
                merge(under.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        _ => *under = over.clone(),
    }
}

/// A name that fits everywhere, is the test's own, and can be recognised.
pub(super) fn short(name: &str) -> String {
    let word = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '-'
        }
    };
    let words: String = name
        .rsplit("::")
        .next()
        .unwrap_or(name)
        .chars()
        .map(word)
        .collect();
    let start: String = words.to_lowercase().chars().take(20).collect();
    let start = start.trim_matches('-');
    format!("{start}-{:04x}", rand::random::<u16>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_over_those_below() {
        let mut values = json!({"a": {"b": 1, "c": [1]}, "d": 1});
        merge(
            &mut values,
            &json!({"a": {"c": [2], "e": 3}, "f": {"g": 4}}),
        );
        let expected = json!({"a": {"b": 1, "c": [2], "e": 3}, "d": 1, "f": {"g": 4}});
        assert_eq!(values, expected);
    }

    #[test]
    fn names_fit_everywhere() {
        let name = short("lifecycle::A_pod_with_a_claim_gets_its_volume");
        assert!(name.starts_with("a-pod-with-a-claim-g-"), "{name}");
        assert!(driver(&name).len() + "-controller".len() <= 63);
    }
}
