//! The container image of the driver, built as a release is, taken apart and run.

#![cfg(unix)]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up fails by panicking"
)]

#[path = "image/unpacked.rs"]
mod unpacked;

use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use rds_csi::version::VERSION;
use serde_json::{Value, json};
use unpacked::Unpacked;

/// Unpacked. The binary is 16 MB, notices and authorities are 1 MB; compressed, as a node pulls it, an
/// image is less than half of this.
const MAX_BYTES: u64 = 20_000_000;

/// The first byte of a TLS connection: a record of the handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

#[test]
fn the_image_holds_the_driver_authorities_and_licences_and_nothing_else() {
    let Some(image) =
        Unpacked::of("the_image_holds_the_driver_authorities_and_licences_and_nothing_else")
    else {
        return;
    };
    let expected = [
        "etc/",
        "etc/ssl/",
        "etc/ssl/certs/",
        "etc/ssl/certs/ca-certificates.crt",
        "licenses/",
        "licenses/LICENSE",
        "licenses/THIRD-PARTY",
        "rds-csi",
    ];
    assert_eq!(image.paths, expected);
    assert!(image.bytes <= MAX_BYTES, "{} bytes", image.bytes);
    for path in expected {
        let mode = fs::metadata(image.root().join(path))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o6022, 0, "{path} has mode {mode:o}");
    }
    let notices = fs::read_to_string(image.root().join("licenses/THIRD-PARTY")).unwrap();
    for part in [
        "russh v",
        "==== Licence text of: ",
        "==== GNU C library",
        "LESSER GENERAL PUBLIC",
    ] {
        assert!(notices.contains(part), "no {part:?} among the notices");
    }
}

#[test]
fn the_image_says_what_it_is_and_is_run_by_nobody() {
    let Some(image) = Unpacked::of("the_image_says_what_it_is_and_is_run_by_nobody") else {
        return;
    };
    let config = &image.config["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], json!(["/rds-csi"]));
    assert_eq!(config["Cmd"], Value::Null);
    let variables = config["Env"].as_array().into_iter().flatten();
    let variables: Vec<_> = variables.filter_map(Value::as_str).collect();
    assert!(
        variables.iter().all(|set| set.starts_with("PATH=")),
        "{variables:?}"
    );

    let label = |name: &str| &config["Labels"][format!("org.opencontainers.image.{name}")];
    assert_eq!(label("title"), "rds-csi");
    assert_eq!(label("licenses"), env!("CARGO_PKG_LICENSE"));
    assert_eq!(label("version"), VERSION);
    let commit = label("revision").as_str().unwrap();
    let digits = commit.trim_end_matches("-dirty");
    let is_commit = digits.len() == 40 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    assert!(is_commit || commit == "unknown", "{commit}");
    assert_eq!(image.name, format!("localhost/rds-csi:{VERSION}"));
}

#[test]
fn the_driver_runs_from_a_read_only_disk_as_nobody() {
    let Some(image) = Unpacked::to_run("the_driver_runs_from_a_read_only_disk_as_nobody") else {
        return;
    };
    let (told, stderr) = image.run(&["version", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("{told}{stderr}"));
    assert_eq!(told["version"], VERSION);
    let label = &image.config["config"]["Labels"]["org.opencontainers.image.revision"];
    assert_eq!(&told["commit"], label);

    let (help, stderr) = image.run(&["controller", "--help"]);
    assert!(help.contains("--rds-address"), "{help}{stderr}");
}

#[test]
fn the_driver_finds_names_and_authorities_in_its_image() {
    let Some(image) = Unpacked::to_run("the_driver_finds_names_and_authorities_in_its_image")
    else {
        return;
    };
    let api = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = api.local_addr().unwrap().port();
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": format!("https://localhost:{port}")}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "n"}}],
        "current-context": "c",
    });
    fs::write(image.root().join("kubeconfig"), kubeconfig.to_string()).unwrap();
    // Hangs up on everyone, so that nobody waits. The last caller is the test itself.
    let listening = thread::spawn(move || {
        let mut first = Vec::new();
        while first.last() != Some(&0) {
            let mut byte = [0];
            let (mut caller, _) = api.accept().unwrap();
            caller.read_exact(&mut byte).unwrap();
            first.extend(byte);
        }
        first
    });
    let (stdout, stderr) = image.run(&[
        "status",
        "--kubeconfig=/kubeconfig",
        "--cluster-id=c",
        "--rds-address=127.0.0.1",
        "--rds-port=1",
        "--rds-user=u",
        "--rds-insecure-skip-verify",
        "--rds-password-file=/licenses/LICENSE",
    ]);
    let goodbye = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    std::io::Write::write_all(&mut &goodbye, &[0]).unwrap();
    let first = listening.join().unwrap();
    // The client of the API is not even made without authorities.
    assert_eq!(first.first(), Some(&HANDSHAKE), "{stdout}{stderr}");
}
