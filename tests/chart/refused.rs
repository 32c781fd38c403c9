//! Values that must not be installed: each is refused with a message that names its key.

use serde_json::Value;

use super::helm::{Helm, read};

/// Values over the minimal ones, and words of the refusal.
const WRONG: &[(&str, &str)] = &[
    // What an installation has to say.
    ("clusterId: ''", "'/clusterId'"),
    ("clusterId: 7", "'/clusterId'"),
    ("rds: {address: ''}", "'/rds/address'"),
    ("rds: {secret: {name: ''}}", "'/rds/secret/name'"),
    // Keys that do not exist, among them those of other charts and secrets in clear text.
    ("replicaCount: 3", "'replicaCount'"),
    ("controller: {replica: 3}", "'replica'"),
    ("rds: {password: secret}", "'password'"),
    (
        "rds: {secret: {rds-private-key: AAAA}}",
        "'rds-private-key'",
    ),
    ("sidecars: {snapshotter: {}}", "'snapshotter'"),
    (
        "sidecars: {attacher: {leaderElection: true}}",
        "'leaderElection'",
    ),
    ("rds: {insecureSkipVerify: true}", "'insecureSkipVerify'"),
    // How to reach the RDS.
    ("rds: {address: '10.0.0.1:22'}", "'/rds/address'"),
    ("rds: {address: '[fd00::1]'}", "'/rds/address'"),
    (
        "rds: {address: rds.example.org}",
        "rds.nvmeAddress is required",
    ),
    ("rds: {nvmeAddress: rds.example.org}", "'/rds/nvmeAddress'"),
    ("rds: {port: 0}", "'/rds/port'"),
    ("rds: {port: '22'}", "'/rds/port'"),
    ("rds: {connections: 17}", "'/rds/connections'"),
    ("rds: {commandTimeout: 10}", "'/rds/commandTimeout'"),
    ("rds: {connectTimeout: 10 s}", "'/rds/connectTimeout'"),
    (
        "rds: {volumeBasePath: storage-pool}",
        "'/rds/volumeBasePath'",
    ),
    (
        "rds: {secret: {privateKey: ''}}",
        "rds.secret.privateKey or rds.secret.password",
    ),
    (
        "rds: {secret: {hostKey: ''}}",
        "rds.hostKey or rds.secret.hostKey is required",
    ),
    (
        "rds: {hostKey: '-----BEGIN OPENSSH PRIVATE KEY-----'}",
        "'/rds/hostKey'",
    ),
    // The replicas.
    ("controller: {replicas: 0}", "'/controller/replicas'"),
    (
        "controller: {leaderElectionProfile: fast}",
        "'/controller/leaderElectionProfile'",
    ),
    ("controller: {shards: 0}", "'/controller/shards'"),
    (
        "controller: {revokeSettle: 0s}",
        "'/controller/revokeSettle'",
    ),
    (
        "controller: {terminationGracePeriodSeconds: 10}",
        "'/controller/terminationGracePeriodSeconds'",
    ),
    (
        "controller: {resources: {limits: {memory: lots}}}",
        "'/controller/resources/limits/memory'",
    ),
    (
        "controller: {podDisruptionBudget: {maxUnavailable: 0}}",
        "'/controller/podDisruptionBudget/maxUnavailable'",
    ),
    (
        "controller: {extraArgs: [standalone]}",
        "'/controller/extraArgs/0'",
    ),
    ("driver: {name: RDS}", "'/driver/name'"),
    ("image: {digest: latest}", "'/image/digest'"),
    (
        "sidecars: {attacher: {image: {tag: ''}}}",
        "'/sidecars/attacher/image/tag'",
    ),
    (
        "sidecars: {resizer: {workers: 0}}",
        "'/sidecars/resizer/workers'",
    ),
    ("metrics: {port: 70000}", "'/metrics/port'"),
    (
        "serviceAccount: {create: false}",
        "serviceAccount.name is required",
    ),
    ("networkPolicy: {apiPorts: []}", "'/networkPolicy/apiPorts'"),
    // Where traces go.
    (
        "telemetry: {otlpEndpoint: 'collector:4317'}",
        "'/telemetry/otlpEndpoint'",
    ),
    (
        "telemetry: {otlpEndpoint: 'http://collector'}",
        "'/telemetry/otlpEndpoint'",
    ),
    (
        "telemetry: {otlpEndpoint: 'http://me:secret@collector:4317'}",
        "'/telemetry/otlpEndpoint'",
    ),
    ("telemetry: {traceRatio: 1.5}", "'/telemetry/traceRatio'"),
    ("telemetry: {traceRatio: '1'}", "'/telemetry/traceRatio'"),
    ("telemetry: {headers: authorization=secret}", "'headers'"),
    (
        "telemetry: {secret: {headers: headers}}",
        "telemetry.secret.name is required",
    ),
    (
        "controller: {extraEnv: [{name: otel, value: x}]}",
        "'/controller/extraEnv/0/name'",
    ),
    // StorageClasses.
    (
        "storageClasses: [{name: Fast_1}]",
        "'/storageClasses/0/name'",
    ),
    (
        "storageClasses: [{name: a, reclaimPolicy: Recycle}]",
        "'/storageClasses/0/reclaimPolicy'",
    ),
    (
        "storageClasses: [{name: a, fsType: btrfs}]",
        "'/storageClasses/0/fsType'",
    ),
    (
        "storageClasses: [{name: a, parameters: {nqnPrefix: x}}]",
        "'nqnPrefix'",
    ),
    (
        "storageClasses: [{name: a, parameters: {nvmeAddress: rds}}]",
        "'/storageClasses/0/parameters/nvmeAddress'",
    ),
    (
        "storageClasses: [{name: a, default: true}, {name: b, default: true}]",
        "only one can be the default, not a and b",
    ),
];

#[test]
fn wrong_values_are_refused_by_the_name_of_their_key() {
    let Some(helm) = Helm::find("wrong_values_are_refused_by_the_name_of_their_key") else {
        return;
    };
    for (wrong, expected) in WRONG {
        let said = helm.refusal(wrong);
        assert!(said.contains(expected), "{wrong}: {said}");
    }
}

/// Maps of the schema that take any key: objects of Kubernetes, which its API checks, maps from text to
/// text, and what a parent chart has for all of its charts.
const OPEN: [&str; 4] = [
    "/definitions/objects/items",
    "/definitions/texts",
    "/properties/controller/properties/affinity",
    "/properties/global",
];

/// The places of a schema that describe a map and do not refuse unknown keys.
fn open(schema: &Value, path: &str, found: &mut Vec<String>) {
    let Some(map) = schema.as_object() else {
        return;
    };
    let is_map = schema.get("type").is_some_and(|kind| kind == "object");
    if is_map && schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        found.push(path.to_owned());
    }
    for (key, inside) in map {
        open(inside, &format!("{path}/{key}"), found);
    }
}

#[test]
fn an_unknown_key_is_refused_wherever_it_stands() {
    let schema: Value =
        serde_json::from_str(&read("helm/rds-csi/values.schema.json")).expect("the schema is JSON");
    let mut found = Vec::new();
    open(&schema, "", &mut found);
    found.sort();
    assert_eq!(found, OPEN);
}
