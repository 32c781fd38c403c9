//! Command lines and what becomes of them.

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};
use crate::config::rds::HostKey;

/// The least that a controller needs.
const LEAST: [&str; 4] = [
    "--standalone",
    "--cluster-id=c1",
    "--rds-address=10.42.68.1",
    "--rds-host-key=SHA256:abc",
];

/// The configuration that `LEAST` and `more` make. A flag in `more` takes the place of its
/// namesake in `LEAST`; a flag with a `!` is left out.
fn config(more: &[&str]) -> Result<Config, Invalid> {
    let name = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
    let replaced = |least: &str| {
        more.iter()
            .any(|word| name(word.trim_start_matches('!')) == name(least))
    };
    let words = LEAST
        .iter()
        .filter(|least| !replaced(least))
        .chain(more.iter().filter(|word| !word.starts_with('!')));
    let cli = Cli::try_parse_from(["rds-csi", "controller"].iter().chain(words)).unwrap();
    let Command::Controller(args) = cli.command else {
        panic!("{:?}", cli.command);
    };
    Config::try_from(*args)
}

#[test]
fn the_least_configuration_has_the_documented_defaults() {
    let Config {
        endpoint,
        driver_name,
        rds,
        volumes,
        replica,
        admin,
        control,
    } = config(&[]).unwrap();
    assert!(replica.is_none() && admin.is_none());
    let beside = "/var/lib/kubelet/plugins/rds.csi.srvlab.io/control.sock";
    assert_eq!(control.to_str(), Some(beside));
    let socket = "/var/lib/kubelet/plugins/rds.csi.srvlab.io/csi.sock";
    assert_eq!(endpoint.path().to_str(), Some(socket));
    assert_eq!(driver_name, "rds.csi.srvlab.io");
    assert_eq!((rds.port, rds.user.as_str()), (22, "admin"));
    assert_eq!((rds.connections, rds.legacy_algorithms), (4, false));
    let ten = Duration::from_secs(10);
    assert_eq!((rds.command_timeout, rds.connect_timeout), (ten, ten));
    assert_eq!((rds.key_file, rds.password_file), (None, None));
    assert_eq!(volumes.base.as_str(), "/storage-pool/metal-csi");
    assert_eq!(volumes.rds_address, "10.42.68.1");
    assert_eq!(volumes.nvme_address.to_string(), "10.42.68.1");
    assert_eq!(volumes.revoke_settle, Duration::from_secs(1));
    assert_eq!(volumes.allowed_nodes, None);
}

#[test]
fn the_socket_follows_the_name_of_the_driver() {
    let config = config(&["--driver-name=rds.example"]).unwrap();
    let socket = "/var/lib/kubelet/plugins/rds.example/csi.sock";
    assert_eq!(config.endpoint.path().to_str(), Some(socket));
}

#[test]
fn what_cannot_work_is_refused_by_the_name_of_its_flag() {
    let long = format!("--driver-name={}", "a".repeat(64));
    let rows: [(&[&str], &str, &str); 24] = [
        (&["!--standalone"], "pod-name", "fieldRef"),
        (&["--endpoint=tcp://0.0.0.0:1"], "endpoint", "tcp"),
        (&["--endpoint="], "endpoint", "missing"),
        (&["--driver-name=RDS"], "driver-name", "lower-case"),
        (&["--driver-name=a..b"], "driver-name", "a..b"),
        (&["--driver-name=../x"], "driver-name", "../x"),
        (&[&long], "driver-name", "63"),
        (&["--cluster-id="], "cluster-id", "missing"),
        (&["--rds-address=rds"], "nvme-address", "required"),
        (&["--rds-address=10.0.0.1:22"], "rds-address", "--rds-port"),
        (&["--rds-address=[fd00::1]"], "rds-address", "brackets"),
        (&["--rds-address="], "rds-address", "host name"),
        (
            &["--rds-address=-oProxyCommand=x"],
            "rds-address",
            "host name",
        ),
        (&["--nvme-address=rds"], "nvme-address", "\"rds\""),
        (&["--rds-user="], "rds-user", "empty"),
        (&["!--rds-host-key"], "rds-host-key", "ssh-keyscan"),
        (&["--rds-host-key= "], "rds-host-key", "required"),
        (&["--rds-connections=0"], "rds-connections", "from 1 to 16"),
        (&["--rds-connections=17"], "rds-connections", "17"),
        (&["--rds-connect-timeout=2m"], "rds-connect-timeout", "120s"),
        (
            &["--rds-command-timeout=0s"],
            "rds-command-timeout",
            "100ms",
        ),
        (
            &["--rds-volume-base-path=/a/../b"],
            "rds-volume-base-path",
            "/a/../b",
        ),
        (&["--revoke-settle=299ms"], "revoke-settle", "300ms"),
        (&["--allowed-node=a,b c"], "allowed-node", "node_id"),
    ];
    for (words, flag, names) in rows {
        let error = config(words).unwrap_err();
        assert_eq!(error.flag, flag, "{words:?}: {error}");
        assert!(error.reason.contains(names), "{words:?}: {error}");
    }
}

#[test]
fn deadlines_that_do_not_fit_are_refused_with_their_sum() {
    assert!(config(&["--rds-command-timeout=14s"]).is_ok());
    let error = config(&["--rds-command-timeout=14s", "--revoke-settle=2s"]).unwrap_err();
    for number in ["14s", "2s", "16s", "15s"] {
        assert!(error.reason.contains(number), "{error}");
    }
}

#[test]
fn a_short_settling_time_needs_an_explicit_word() {
    let config = config(&["--revoke-settle=0ms", "--unsafe-revoke-settle"]).unwrap();
    assert_eq!(config.volumes.revoke_settle, Duration::ZERO);
}

#[test]
fn a_host_key_is_a_file_or_the_key_itself_and_beats_skipping_it() {
    let pinned = |text: &str| HostKey::Pinned(text.to_owned());
    let file = |path: &str| HostKey::File(path.into());
    for (given, expected) in [
        ("SHA256:abc", pinned("SHA256:abc")),
        ("ssh-ed25519 AAAA", pinned("ssh-ed25519 AAAA")),
        ("rds ssh-ed25519 AAAA", pinned("rds ssh-ed25519 AAAA")),
        ("/etc/rds/known_hosts", file("/etc/rds/known_hosts")),
        ("/etc/my keys/rds.pub", file("/etc/my keys/rds.pub")),
        ("./rds.pub", file("./rds.pub")),
        ("rds.pub", file("rds.pub")),
    ] {
        let flag = format!("--rds-host-key={given}");
        for more in [&[flag.as_str()][..], &[&flag, "--rds-insecure-skip-verify"]] {
            assert_eq!(config(more).unwrap().rds.host_key, expected, "{more:?}");
        }
    }
    let skip = config(&["!--rds-host-key", "--rds-insecure-skip-verify"]).unwrap();
    assert_eq!(skip.rds.host_key, HostKey::Unverified);
}

#[test]
fn nodes_can_be_listed_one_by_one_or_in_one_word() {
    for more in [
        &["--allowed-node=a", "--allowed-node=b"][..],
        &["--allowed-node=a,b"],
    ] {
        let nodes = config(more).unwrap().volumes.allowed_nodes.unwrap();
        let nodes: Vec<_> = nodes.iter().map(NodeId::as_str).collect();
        assert_eq!(nodes, ["a", "b"]);
    }
}

#[test]
fn a_name_for_the_rds_is_fine_with_an_address_for_nodes() {
    let config = config(&["--rds-address=rds.example", "--nvme-address=fd00::1"]).unwrap();
    assert_eq!(config.volumes.rds_address, "rds.example");
    assert_eq!(config.volumes.nvme_address.to_string(), "fd00::1");
}
