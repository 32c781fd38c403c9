//! `helm test`: the pod that it runs asks the replicas of this release, and is none of them.

use std::time::Duration;

use clap::Parser as _;
use rds_csi::cli::{Cli, Command};
use serde_json::Value;

use super::helm::{Helm, Rendered, cases, strings, text};

/// A replica that leads at last has waited for a lease of 15 s, and has 10 s for a command of the RDS.
const PATIENCE: Duration = Duration::from_secs(30);

fn labels(object: &Value) -> &Value {
    object.pointer("/metadata/labels").expect("labels")
}

/// Whether labels are what a selector looks for.
fn matches(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().expect("a selector").iter();
    wanted
        .clone()
        .all(|(key, value)| labels.get(key) == Some(value))
}

/// What the pod asks, and for how long.
fn asked(pod: &Value) -> (String, Duration) {
    let container = pod.pointer("/spec/containers/0").expect("a container");
    assert_eq!(strings(container.get("command")), ["/rds-csi"]);
    let words = ["rds-csi"].into_iter();
    let words = words.chain(strings(container.get("args")));
    let parsed = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
    let Command::Status(status) = parsed.command else {
        panic!("the test does not ask for the status");
    };
    let admin = status.origin.admin.expect("an address");
    (admin, status.ready_within.expect("a limit"))
}

fn check(case: &str, rendered: &Rendered) {
    let pod = rendered.only("Pod");
    let service = rendered.only("Service");
    let (address, limit) = asked(pod);
    let name = text(service, "/metadata/name");
    let port = service.pointer("/spec/ports/0/port").expect("a port");
    assert_eq!(address, format!("{name}.rds-system.svc:{port}"), "{case}");
    // One address for each replica, or a standby may be all that answers.
    assert_eq!(text(service, "/spec/clusterIP"), "None", "{case}");
    assert!(limit >= PATIENCE, "{case}: {limit:?}");

    let hook = text(pod, "/metadata/annotations/helm.sh~1hook");
    assert_eq!(hook, "test", "{case}");
    let deleted = text(pod, "/metadata/annotations/helm.sh~1hook-delete-policy");
    assert_eq!(deleted, "before-hook-creation,hook-succeeded", "{case}");
    let image = text(pod, "/spec/containers/0/image");
    assert_eq!(image, text(rendered.driver(), "/image"), "{case}");
    let token = pod.pointer("/spec/automountServiceAccountToken");
    assert_eq!(token, Some(&Value::Bool(false)), "{case}");

    let replicas = rendered.only("Deployment");
    let replicas = replicas.pointer("/spec/selector/matchLabels");
    for selector in [replicas, service.pointer("/spec/selector")] {
        let selector = selector.expect("a selector");
        assert!(!matches(selector, labels(pod)), "{case}: {selector}");
    }
}

#[test]
fn helm_test_asks_all_replicas_of_its_release_and_is_none_of_them() {
    let test = "helm_test_asks_all_replicas_of_its_release_and_is_none_of_them";
    let Some(helm) = Helm::find(test) else {
        return;
    };
    for case in cases() {
        check(&case, &helm.render(&case));
    }
}
