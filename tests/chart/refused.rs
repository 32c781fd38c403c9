//! Values that must not be installed: each is refused with a message that names its key.

use super::helm::Helm;

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
