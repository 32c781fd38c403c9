//! Which module may use which, and which library. Dependencies point inwards only.

use syn::visit::Visit;

use super::names::{Name, module_of, names};
use super::source::Source;

/// A module at the top of `src`, the modules it may use besides itself, and what it may not name
/// from outside although our manifest has it.
struct Layer {
    module: &'static str,
    may_use: &'static [&'static str],
    may_not_name: &'static [&'static str],
}

const fn layer(
    module: &'static str,
    may_use: &'static [&'static str],
    may_not_name: &'static [&'static str],
) -> Layer {
    Layer {
        module,
        may_use,
        may_not_name,
    }
}

/// From the inside out. A new edge here is a decision about the design, not a fix for a build.
/// `sim` shares no code with `rds`: two ends that share a parser agree on its mistakes.
const LAYERS: [Layer; 21] = [
    layer("domain", &[], NOT_IN_DOMAIN),
    layer(
        "ports",
        &["domain"],
        &["axum", "clap", "prost", "russh", "tonic"],
    ),
    layer(
        "service",
        &["domain", "metrics", "ports", "task", "telemetry"],
        &["axum", "clap", "prost", "russh", "tonic"],
    ),
    layer(
        "csi",
        &["clock", "domain", "metrics", "ports", "proto", "service"],
        &["axum", "clap", "russh"],
    ),
    layer(
        "rds",
        &["domain", "metrics", "ports", "telemetry"],
        &["axum", "clap", "prost", "tonic"],
    ),
    layer(
        "k8s",
        &["domain", "ports", "telemetry"],
        &["axum", "clap", "prost", "russh", "tonic"],
    ),
    layer(
        "lockfile",
        &["domain", "ports"],
        &["axum", "clap", "kube", "prost", "russh", "tonic"],
    ),
    layer("sim", &["task", "telemetry"], &["prost", "tonic"]),
    layer(
        "clock",
        &["domain", "ports"],
        &["axum", "clap", "prost", "russh", "tonic"],
    ),
    layer(
        "admin",
        &["domain", "metrics", "ports", "service", "task", "telemetry"],
        &["clap", "prost", "russh", "tonic"],
    ),
    layer(
        "metrics",
        &["domain"],
        &[
            "axum", "clap", "kube", "prost", "russh", "tokio", "tonic", "tracing",
        ],
    ),
    layer("telemetry", &[], &["clap", "prost", "russh"]),
    layer("task", &[], &["axum", "clap", "prost", "russh", "tonic"]),
    layer("proto", &[], &["axum", "clap", "russh"]),
    layer(
        "cli",
        &["domain", "sim", "telemetry"],
        &["axum", "prost", "russh", "tonic"],
    ),
    layer(
        "operator",
        &["admin", "cli", "config", "controller"],
        &["axum", "clap", "prost", "russh", "tonic"],
    ),
    layer(
        "config",
        &[
            "cli",
            "csi",
            "domain",
            "ports",
            "rds",
            "service",
            "telemetry",
        ],
        &["axum", "prost", "russh", "tonic"],
    ),
    layer("controller", BELOW_CONTROLLER, &["clap"]),
    layer(
        "version",
        &["csi", "proto"],
        &["axum", "clap", "prost", "russh", "tonic"],
    ),
    // What surrounds the driver shares no code with it but the wire format.
    layer(
        "workload",
        &["proto", "sim"],
        &["axum", "clap", "prost", "russh"],
    ),
    layer("demo", BELOW_DEMO, &["clap"]),
];

const BELOW_CONTROLLER: &[&str] = &[
    "admin",
    "clock",
    "config",
    "csi",
    "domain",
    "k8s",
    "lockfile",
    "metrics",
    "ports",
    "proto",
    "rds",
    "service",
    "task",
    "telemetry",
];

const BELOW_DEMO: &[&str] = &[
    "clock",
    "config",
    "controller",
    "csi",
    "domain",
    "ports",
    "proto",
    "rds",
    "service",
    "sim",
    "task",
    "telemetry",
    "workload",
];

/// The domain decides; it does not wait, look at a clock, throw dice or touch the world.
const NOT_IN_DOMAIN: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "async_trait",
    "axum",
    "backon",
    "clap",
    "futures",
    "hyper_util",
    "k8s_openapi",
    "kube",
    "kube_leader_election",
    "moka",
    "prost",
    "rand",
    "russh",
    "rustix",
    "std::env",
    "std::fs",
    "std::io",
    "std::net::TcpStream",
    "std::process",
    "std::thread",
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "tokio",
    "tokio_stream",
    "tokio_util",
    "tonic",
    "tracing",
];

pub(crate) fn check(source: &Source) -> Vec<String> {
    let names = names(source);
    let mut findings = Vec::new();
    if names.opaque > 0 {
        findings.push("imports straight from the crate's root; name each module".to_owned());
    }
    let Some(module) = module_of(&source.path).into_iter().next() else {
        return findings; // A crate root, or a file outside `src`, may use everything.
    };
    let Some(layer) = LAYERS.iter().find(|layer| layer.module == module) else {
        findings.push(format!("`{module}` has no row in the table of layers"));
        return findings;
    };
    for name in &names.all {
        if let [root, target, ..] = name.as_slice()
            && root == "crate"
            && *target != module
            && !layer.may_use.contains(&target.as_str())
        {
            findings.push(format!("`{module}` may not use `{}`", name.join("::")));
        }
        if module != "metrics" && starts_with(name, "prometheus_client") {
            findings.push("metrics are counted through `metrics` only".to_owned());
        }
        if layer
            .may_not_name
            .iter()
            .any(|banned| starts_with(name, banned))
        {
            findings.push(format!("`{module}` may not name `{}`", name.join("::")));
        }
        if module != "telemetry" && root_of(name).contains("opentelemetry") {
            findings.push(format!("`{}` belongs in `telemetry`", name.join("::")));
        }
    }
    if module == "domain" && waits(source) {
        findings.push("nothing in `domain` awaits".to_owned());
    }
    findings.dedup();
    findings
}

/// The library that a name of several parts begins with.
fn root_of(name: &Name) -> &str {
    match name.as_slice() {
        [root, _, ..] => root,
        _ => "",
    }
}

fn waits(source: &Source) -> bool {
    struct Waits(bool);
    impl<'ast> Visit<'ast> for Waits {
        fn visit_signature(&mut self, signature: &'ast syn::Signature) {
            self.0 |= signature.asyncness.is_some();
        }
        fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {
            self.0 = true;
        }
    }
    let mut waits = Waits(false);
    waits.visit_file(&source.ast);
    waits.0
}

/// A name of one part may be a local variable that happens to be called like a library.
fn starts_with(name: &Name, banned: &str) -> bool {
    let mut parts = name.iter();
    name.len() > 1
        && banned
            .split("::")
            .all(|part| parts.next().is_some_and(|found| found == part))
}

#[test]
fn a_use_against_the_table_is_found() {
    let rows = [
        ("src/domain/id.rs", "use crate::domain::error::Error;", 0),
        ("src/domain/id.rs", "use crate::ports::Clock;", 1),
        ("src/domain/id.rs", "use super::super::ports::Clock;", 1),
        ("src/domain/id.rs", "use std::time::Duration;", 0),
        (
            "src/domain/id.rs",
            "fn f() { std::time::Instant::now(); }",
            1,
        ),
        (
            "src/domain/id.rs",
            "use std::time::Instant; fn f() { Instant::now(); }",
            1,
        ),
        ("src/domain/id.rs", "fn f() { tokio::spawn(g()); }", 1),
        ("src/domain/id.rs", "fn f(rand: u8) -> u8 { rand }", 0),
        ("src/domain/id.rs", "// Not an async fn.", 0),
        ("src/domain/id.rs", "impl A { async fn f() {} }", 1),
        ("src/domain/id.rs", "fn f() { async {}; }", 1),
        ("src/ports.rs", "use crate::domain::id::VolumeId;", 0),
        ("src/ports.rs", "use crate::service::Publish;", 1),
        ("src/service/publish.rs", "use crate::rds::Backend;", 1),
        (
            "src/service/publish.rs",
            "fn f() { info!(x = crate::rds::name()) }",
            1,
        ),
        ("src/service/publish.rs", "use crate::task::Supervisor;", 0),
        ("src/csi/controller.rs", "use crate::proto::csi::Volume;", 0),
        ("src/csi/controller.rs", "use crate::rds::Backend;", 1),
        ("src/rds/ssh.rs", "use crate::sim::ssh::Server;", 1),
        ("src/rds/ssh.rs", "use crate::ports::Backend;", 0),
        ("src/k8s/lease.rs", "use crate::ports::LeaseStore;", 0),
        ("src/k8s/lease.rs", "use crate::service::Volumes;", 1),
        ("src/domain/election.rs", "use kube::Client;", 1),
        ("src/lockfile.rs", "use crate::ports::Legacy;", 0),
        ("src/lockfile.rs", "use crate::service::Volumes;", 1),
        ("src/admin/server.rs", "use axum::Router;", 0),
        ("src/admin/server.rs", "use crate::csi::socket;", 1),
        ("src/operator/status.rs", "use crate::admin::client;", 0),
        ("src/operator/status.rs", "use crate::service::Volumes;", 1),
        ("src/sim/disk.rs", "use crate::rds::parse::rows;", 1),
        ("src/sim/disk.rs", "use crate::domain::id::Slot;", 1),
        ("src/sim/disk.rs", "use crate::sim::state::State;", 0),
        ("src/telemetry.rs", "use crate::domain::id::VolumeId;", 1),
        (
            "src/metrics/rpc.rs",
            "use prometheus_client::registry::Registry;",
            0,
        ),
        ("src/metrics/rpc.rs", "use crate::service::Volumes;", 1),
        (
            "src/rds/backend.rs",
            "use crate::metrics::commands::Commands;",
            0,
        ),
        (
            "src/rds/backend.rs",
            "use prometheus_client::registry::Registry;",
            1,
        ),
        ("src/config.rs", "use crate::cli::Controller;", 0),
        ("src/cli.rs", "use crate::config::Config;", 1),
        ("src/controller.rs", "use crate::sim::Server;", 1),
        ("src/demo.rs", "use crate::sim::Server;", 0),
        (
            "src/demo.rs",
            "use crate::workload::placement::Placement;",
            0,
        ),
        ("src/workload/a.rs", "use crate::proto::csi::Volume;", 0),
        ("src/workload/a.rs", "use crate::domain::claim::Claim;", 1),
        ("src/demo.rs", "use crate::{domain::id, sim};", 1),
        ("src/demo.rs", "use crate::*;", 2),
        ("src/new.rs", "", 1),
        ("src/lib.rs", "pub use crate::domain::id::VolumeId;", 0),
        ("tests/a.rs", "use rds_csi::sim::Server;", 0),
    ];
    for (path, text, expected) in rows {
        let findings = check(&Source::parse(path, text));
        assert_eq!(findings.len(), expected, "{path}: {text}: {findings:?}");
    }
}
