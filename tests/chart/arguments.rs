//! Arguments of containers: each is one that the program in it understands.

use std::collections::BTreeSet;
use std::process::Command;

use clap::{CommandFactory as _, Parser as _};
use rds_csi::cli::{self, Cli};
use rds_csi::config::Config;
use serde_json::Value;
use testbed::tools::Tools;

use super::helm::{Helm, Rendered, cases, read, strings, text};

/// What `fieldRef` gives a container, for the arguments that quote it.
const FIELDS: [(&str, &str); 3] = [
    ("POD_NAME", "storage-rds-csi-controller-7d4b9c-x2x7p"),
    ("POD_UID", "0b5f7c1e-4f0a-4c8e-9d53-3f1f0c6a7b11"),
    ("POD_NAMESPACE", "rds-system"),
];

/// What a container is told: its arguments as kubelet expands them, and each variable that the
/// subcommand reads from its environment as the flag it stands for. Standard variables of
/// OpenTelemetry stand for no flag; the manual says which of them are read.
fn told(driver: &Value, arguments: &[&str]) -> Vec<String> {
    let expanded = arguments.iter().map(|argument| {
        FIELDS
            .iter()
            .fold((*argument).to_owned(), |text, (name, value)| {
                text.replace(&format!("$({name})"), value)
            })
    });
    let mut told: Vec<String> = ["rds-csi".to_owned()].into_iter().chain(expanded).collect();
    let subcommand = arguments
        .first()
        .expect("the first argument is a subcommand");
    let command = Cli::command();
    let command = command.find_subcommand(subcommand);
    let command = command.unwrap_or_else(|| panic!("{subcommand} is no subcommand"));
    let manual = read("docs/telemetry.md");
    let benchmarks = read("docs/benchmarks.md");
    let environment = driver.get("env").and_then(Value::as_array);
    for variable in environment.into_iter().flatten() {
        let name = text(variable, "/name");
        if name.starts_with("OTEL_") {
            let known = manual.contains(&format!("`{name}`"));
            assert!(known, "docs/telemetry.md does not know {name}");
            continue;
        }
        // For the C library (mallopt(3)): a name that it does not know does nothing, so it stands
        // with its value where it was measured.
        if let Some(value) = variable.get("value").and_then(Value::as_str)
            && name.starts_with("MALLOC_")
        {
            let known = benchmarks.contains(&format!("`{name}={value}`"));
            assert!(known, "docs/benchmarks.md did not measure {name}={value}");
            continue;
        }
        let Some(value) = variable.get("value").and_then(Value::as_str) else {
            let given = FIELDS.iter().any(|(field, _)| *field == name);
            assert!(given, "{name} comes from a field that no argument quotes");
            continue;
        };
        let mut flags = command.get_arguments();
        let flag = flags.find(|flag| flag.get_env().is_some_and(|env| env == name));
        let flag = flag.unwrap_or_else(|| panic!("{subcommand} does not read {name}"));
        told.push(format!("--{}={value}", flag.get_long().expect("a flag")));
    }
    told
}

/// The configuration that a replica of this installation has.
fn configuration(case: &str, rendered: &Rendered) -> Config {
    let driver = rendered.driver();
    let arguments = strings(driver.get("args"));
    let parsed = Cli::try_parse_from(told(driver, &arguments))
        .unwrap_or_else(|error| panic!("{case}: {error}"));
    let cli::Command::Controller(controller) = parsed.command else {
        panic!("{case} does not run a controller");
    };
    Config::try_from(*controller).unwrap_or_else(|error| panic!("{case}: {error}"))
}

#[test]
fn the_driver_accepts_its_arguments() {
    let Some(helm) = Helm::find("the_driver_accepts_its_arguments") else {
        return;
    };
    for case in cases() {
        let rendered = helm.render(&case);
        let config = configuration(&case, &rendered);
        let replica = config
            .replica
            .expect("a replica, not a standalone controller");
        assert_eq!(
            replica.pod, "storage-rds-csi-controller-7d4b9c-x2x7p",
            "{case}"
        );
        assert_eq!(replica.namespace.as_deref(), Some("rds-system"), "{case}");
        assert!(replica.lock_file.is_some(), "{case}");
        let admin = config.admin.expect("probes need a port");
        let port = rendered.driver().pointer("/ports/0/containerPort");
        assert_eq!(port, Some(&Value::from(admin.port())), "{case}");
    }
}

#[test]
fn the_pre_stop_hook_asks_the_replica_of_its_own_container() {
    let Some(helm) = Helm::find("the_pre_stop_hook_asks_the_replica_of_its_own_container") else {
        return;
    };
    let rendered = helm.render(super::helm::MINIMAL);
    let driver = rendered.driver();
    let hook = strings(driver.pointer("/lifecycle/preStop/exec/command"));
    let (program, arguments) = hook.split_first().expect("a command");
    assert_eq!(*program, text(driver, "/command/0"));
    let parsed = Cli::try_parse_from(told(driver, arguments));
    let cli::Command::Drain(drain) = parsed.expect("the hook is understood").command else {
        panic!("the hook does not drain");
    };
    let config = configuration(super::helm::MINIMAL, &rendered);
    assert_eq!(drain.control_socket, config.control);
}

#[test]
fn every_sidecar_knows_its_flags_and_elects_nobody() {
    let test = "every_sidecar_knows_its_flags_and_elects_nobody";
    let sidecars = ["csi-provisioner", "csi-attacher", "csi-resizer"];
    let (Some(helm), Some(tools)) = (Helm::find(test), Tools::for_test(test, &sidecars)) else {
        return;
    };
    let rendered = helm.render(super::helm::MINIMAL);
    let found: Vec<_> = rendered
        .sidecars()
        .iter()
        .map(|one| text(one, "/name"))
        .collect();
    assert_eq!(found, sidecars);
    for container in rendered.sidecars() {
        let name = text(container, "/name");
        let known = flags(&mut Command::new(tools.path(name)));
        for argument in strings(container.get("args")) {
            let flag = argument.trim_start_matches('-').split('=').next();
            let flag = flag.expect("the part before the first =");
            assert!(
                known.contains(flag),
                "{name} has no flag --{flag}: {known:?}"
            );
            assert!(!flag.starts_with("leader-election"), "{name}: {argument}");
        }
    }
}

/// The flags of a Go program, from what it prints when asked for help.
fn flags(program: &mut Command) -> BTreeSet<String> {
    let output = program.arg("--help").output().expect("the tool runs");
    let help = [output.stdout, output.stderr].concat();
    let help = String::from_utf8_lossy(&help);
    // `  -v, --v Level` or `  -timeout duration`.
    let words = help
        .lines()
        .flat_map(|line| line.split_whitespace().take(2));
    let flags = words.filter(|word| word.starts_with('-'));
    flags
        .map(|word| word.trim_matches(['-', ',']))
        .map(|word| word.split('=').next().unwrap_or(word).to_owned())
        .collect()
}
