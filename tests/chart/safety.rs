//! What no values may change: no key material, no Lease, no privileges.

use serde_json::{Value, json};

use super::helm::{Helm, cases, strings, text};

/// Objects that the chart must never own: a Secret's data would be readable in the release, and an
/// upgrade or uninstallation would change a Lease under its holder.
const NEVER: [&str; 2] = ["Secret", "Lease"];

/// What the restricted Pod Security Standard leaves of volume types, as far as replicas need any.
const VOLUMES: [&str; 2] = ["emptyDir", "secret"];

fn check(case: &str, helm: &Helm) {
    let rendered = helm.render(case);
    for kind in rendered.kinds() {
        assert!(!NEVER.contains(&kind), "{case} renders a {kind}");
    }
    let pod = rendered.pod();
    for one in [pod, rendered.only("Pod").get("spec").expect("a pod")] {
        restricted(case, one);
    }
    let containers = rendered.containers();
    assert_eq!(containers.len(), 4, "{case}");
    for volume in pod
        .get("volumes")
        .and_then(Value::as_array)
        .expect("volumes")
    {
        let kinds = volume.as_object().expect("a volume").keys();
        let kinds: Vec<_> = kinds.filter(|key| *key != "name").collect();
        assert!(
            kinds.iter().all(|kind| VOLUMES.contains(&kind.as_str())),
            "{case}: {kinds:?}"
        );
    }
}

/// What holds for the pod of a replica and for that of `helm test`.
fn restricted(case: &str, pod: &Value) {
    for host in ["hostNetwork", "hostPID", "hostIPC", "hostUsers"] {
        assert_eq!(pod.get(host), None, "{case}: {host}");
    }
    let of_all = pod.get("securityContext").expect("the pod has one");
    let expected = json!({
        "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    assert_eq!(*of_all, expected, "{case}");
    let lists = ["initContainers", "containers"];
    let lists = lists.iter().filter_map(|list| pod.get(list));
    for container in lists.filter_map(Value::as_array).flatten() {
        let expected = json!({
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        });
        let name = text(container, "/name");
        assert_eq!(
            container.get("securityContext"),
            Some(&expected),
            "{case}: {name}"
        );
        assert_eq!(
            container.pointer("/ports/0/hostPort"),
            None,
            "{case}: {name}"
        );
        let limit = container.pointer("/resources/limits/memory");
        assert!(
            limit.is_some(),
            "{case}: {name} may use all memory of its node"
        );
    }
}

#[test]
fn replicas_are_restricted_and_own_neither_secret_nor_lease() {
    let Some(helm) = Helm::find("replicas_are_restricted_and_own_neither_secret_nor_lease") else {
        return;
    };
    for case in cases() {
        check(&case, &helm);
    }
}

#[test]
fn lock_and_keys_are_mounted_by_the_driver_alone() {
    let Some(helm) = Helm::find("lock_and_keys_are_mounted_by_the_driver_alone") else {
        return;
    };
    for case in cases() {
        let rendered = helm.render(&case);
        for container in rendered.containers() {
            let mounts = container.get("volumeMounts").and_then(Value::as_array);
            let mounts = mounts.into_iter().flatten();
            let mut mounted: Vec<_> = mounts.map(|mount| text(mount, "/name")).collect();
            let expected: &[&str] = match text(container, "/name") {
                "rds-csi" => {
                    // Who signs the certificate of the collector of traces, if there is one.
                    mounted.retain(|name| *name != "telemetry");
                    &["socket", "lock", "rds"]
                }
                _ => &["socket"],
            };
            assert_eq!(mounted, expected, "{case}: {}", text(container, "/name"));
        }
    }
}

/// The driver stays while sidecars start and end, and hands over before they do.
#[test]
fn the_driver_starts_before_sidecars_and_hands_over_before_they_end() {
    let test = "the_driver_starts_before_sidecars_and_hands_over_before_they_end";
    let Some(helm) = Helm::find(test) else {
        return;
    };
    for case in cases() {
        let rendered = helm.render(&case);
        let driver = rendered.driver();
        let first = rendered.pod().pointer("/initContainers/0");
        assert_eq!(first, Some(driver), "{case}");
        assert_eq!(text(driver, "/restartPolicy"), "Always", "{case}");
        let stop = strings(driver.pointer("/lifecycle/preStop/exec/command"));
        assert_eq!(stop, ["/rds-csi", "drain"], "{case}");
        for (probe, path) in [
            ("startupProbe", "/livez"),
            ("livenessProbe", "/livez"),
            ("readinessProbe", "/readyz"),
        ] {
            let pointer = format!("/{probe}/httpGet/path");
            assert_eq!(text(driver, &pointer), path, "{case}: {probe}");
        }
        let grace = rendered.pod().get("terminationGracePeriodSeconds");
        let grace = grace.and_then(Value::as_u64).expect("a number");
        assert!(grace >= 30, "{case}: calls under way get 15 s of {grace}");
    }
}
