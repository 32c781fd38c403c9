//! One name, many places: a driver whose name differs in one of them is not found, or not allowed.

use serde_json::Value;

use super::helm::{Helm, cases, strings, text};

/// The value of a flag of the driver.
fn flag<'a>(driver: &'a Value, name: &str) -> &'a str {
    let prefix = format!("--{name}=");
    let mut values = strings(driver.get("args"))
        .into_iter()
        .filter_map(|argument| argument.strip_prefix(&prefix));
    values.next().unwrap_or_else(|| panic!("no --{name}"))
}

#[test]
fn the_drivers_name_is_the_same_wherever_it_is_written() {
    let Some(helm) = Helm::find("the_drivers_name_is_the_same_wherever_it_is_written") else {
        return;
    };
    for case in cases() {
        let rendered = helm.render(&case);
        let name = flag(rendered.driver(), "driver-name");
        assert_eq!(
            text(rendered.only("CSIDriver"), "/metadata/name"),
            name,
            "{case}"
        );
        for class in rendered.all("StorageClass") {
            assert_eq!(text(class, "/provisioner"), name, "{case}");
        }
        let lease = flag(rendered.driver(), "leader-election-lease");
        assert_eq!(lease, format!("{name}-controller"), "{case}");
        for role in rendered.all("Role") {
            assert_eq!(text(role, "/rules/0/resourceNames/0"), lease, "{case}");
        }
    }
}

#[test]
fn the_queue_for_leader_election_is_for_this_account_alone() {
    let Some(helm) = Helm::find("the_queue_for_leader_election_is_for_this_account_alone") else {
        return;
    };
    let rendered = helm.render(super::helm::MINIMAL);
    let schema = rendered.only("FlowSchema");
    let rule = schema.pointer("/spec/rules/0").expect("a rule");
    let account = text(rule, "/subjects/0/serviceAccount/name");
    assert_eq!(account, text(rendered.pod(), "/serviceAccountName"));
    let verbs = strings(rule.pointer("/resourceRules/0/verbs"));
    for verb in strings(rendered.only("Role").pointer("/rules/0/verbs")) {
        assert!(verbs.contains(&verb), "{verb} waits behind everything else");
    }
}

#[test]
fn sidecars_find_the_socket_at_which_the_driver_listens() {
    let Some(helm) = Helm::find("sidecars_find_the_socket_at_which_the_driver_listens") else {
        return;
    };
    let rendered = helm.render(super::helm::MINIMAL);
    let socket = flag(rendered.driver(), "endpoint").strip_prefix("unix://");
    // A relative path never connects.
    let socket = socket
        .filter(|path| path.starts_with('/'))
        .expect("an absolute path");
    for container in rendered.sidecars() {
        assert_eq!(flag(container, "csi-address"), socket, "{container}");
        assert_eq!(text(container, "/volumeMounts/0/mountPath"), "/run/csi");
    }
    assert!(socket.starts_with("/run/csi/"));
}

#[test]
fn selectors_pick_the_pods_of_this_release() {
    let Some(helm) = Helm::find("selectors_pick_the_pods_of_this_release") else {
        return;
    };
    for case in cases() {
        let rendered = helm.render(&case);
        let deployment = rendered.only("Deployment");
        let labels = deployment.pointer("/spec/template/metadata/labels");
        let labels = labels.expect("pods have labels");
        let chosen = [
            ("Deployment", "/spec/selector/matchLabels"),
            ("PodDisruptionBudget", "/spec/selector/matchLabels"),
            ("Service", "/spec/selector"),
            ("NetworkPolicy", "/spec/podSelector/matchLabels"),
        ];
        for (kind, pointer) in chosen {
            for object in rendered.all(kind) {
                let selector = object.pointer(pointer).and_then(Value::as_object);
                for (key, value) in selector.expect("a selector") {
                    assert_eq!(labels.get(key), Some(value), "{case}: {kind}, {key}");
                }
            }
        }
    }
}
