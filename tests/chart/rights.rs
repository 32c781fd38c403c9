//! What a replica may do with the Kubernetes API: exactly what `docs/security.md` says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::helm::{Helm, MINIMAL, Rendered, read, strings, text};

/// Verbs by API group and resource.
type Rights = BTreeMap<(String, String), BTreeSet<String>>;

/// The rights in a table of the manual, by the heading above it.
fn documented(heading: &str) -> Rights {
    let manual = read("docs/security.md");
    let lines = manual.lines().skip_while(|line| *line != heading);
    let rows = lines.skip_while(|line| !line.starts_with("|---"));
    let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
    let mut rights = Rights::new();
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [group, resources, verbs, _what_for] = cells.as_slice() else {
            panic!("{row:?} is no row of the table of rights");
        };
        let group = if *group == "(core)" { "" } else { group };
        // "leases (in its namespace)": what is in brackets says where.
        let resources = resources.split('(').next().unwrap_or_default();
        for resource in resources.split(',') {
            let key = (group.to_owned(), resource.trim().to_owned());
            let verbs = verbs.split(',').map(|verb| verb.trim().to_owned());
            rights.insert(key, verbs.collect());
        }
    }
    rights
}

/// What the rules of a role allow together.
fn granted(roles: &[&Value]) -> Rights {
    let mut rights = Rights::new();
    let lists = roles.iter().filter_map(|role| role.get("rules"));
    for rule in lists.filter_map(Value::as_array).flatten() {
        for group in strings(rule.get("apiGroups")) {
            for resource in strings(rule.get("resources")) {
                let verbs = strings(rule.get("verbs")).into_iter().map(str::to_owned);
                let key = (group.to_owned(), resource.to_owned());
                rights.entry(key).or_default().extend(verbs);
            }
        }
    }
    rights
}

fn cluster_role<'a>(rendered: &'a Rendered, of: &str) -> &'a Value {
    let mut roles = rendered.all("ClusterRole");
    let role = roles.find(|role| text(role, "/metadata/name").ends_with(of));
    role.unwrap_or_else(|| panic!("there is no ClusterRole of the {of}"))
}

#[test]
fn driver_and_sidecars_may_do_exactly_what_the_manual_says() {
    let Some(helm) = Helm::find("driver_and_sidecars_may_do_exactly_what_the_manual_says") else {
        return;
    };
    let rendered = helm.render(MINIMAL);
    let driver = [cluster_role(&rendered, "-driver"), rendered.only("Role")];
    let sidecars = [cluster_role(&rendered, "-sidecars")];
    let rows: [(&str, &[&Value]); 2] =
        [("### The driver", &driver), ("### The sidecars", &sidecars)];
    for (heading, roles) in rows {
        let documented = documented(heading);
        assert!(documented.len() > 4, "{heading}: {documented:?}");
        assert_eq!(granted(roles), documented, "{heading}");
    }
}

#[test]
fn leases_are_a_matter_of_one_namespace_and_of_one_name() {
    let Some(helm) = Helm::find("leases_are_a_matter_of_one_namespace_and_of_one_name") else {
        return;
    };
    let rendered = helm.render(MINIMAL);
    let leases = ("coordination.k8s.io".to_owned(), "leases".to_owned());
    let cluster_roles: Vec<_> = rendered.all("ClusterRole").collect();
    assert!(!granted(&cluster_roles).contains_key(&leases));
    let role = rendered.only("Role");
    assert_eq!(granted(&[role]).into_keys().collect::<Vec<_>>(), [leases]);
    let rules = role.get("rules").and_then(Value::as_array).expect("rules");
    for rule in rules {
        let names = strings(rule.get("resourceNames"));
        match strings(rule.get("verbs")).as_slice() {
            // Whoever creates an object is not yet known to mean a certain one.
            ["create"] => assert!(names.is_empty(), "{rule}"),
            verbs => assert_eq!(names, ["rds.csi.srvlab.io-controller"], "{verbs:?}"),
        }
    }
}

#[test]
fn sidecars_read_no_secrets_and_nothing_is_granted_wholesale() {
    let Some(helm) = Helm::find("sidecars_read_no_secrets_and_nothing_is_granted_wholesale") else {
        return;
    };
    let rendered = helm.render(MINIMAL);
    let roles: Vec<_> = rendered
        .all("ClusterRole")
        .chain(rendered.all("Role"))
        .collect();
    for ((group, resource), verbs) in granted(&roles) {
        let what = format!("{group}/{resource}: {verbs:?}");
        assert!(
            group != "*" && resource != "*" && !verbs.contains("*"),
            "{what}"
        );
        assert!(
            !["secrets", "pods", "configmaps"].contains(&resource.as_str()),
            "{what}"
        );
        assert!(!group.starts_with("snapshot."), "{what}");
    }
    let sidecars = granted(&[cluster_role(&rendered, "-sidecars")]);
    let attachments = ("storage.k8s.io".to_owned(), "volumeattachments".to_owned());
    let verbs = sidecars.get(&attachments).expect("the attacher's right");
    assert!(
        !verbs.contains("delete"),
        "only Kubernetes ends an attachment"
    );
}

#[test]
fn every_role_is_bound_to_the_replicas_account_and_to_nobody_else() {
    let test = "every_role_is_bound_to_the_replicas_account_and_to_nobody_else";
    let Some(helm) = Helm::find(test) else {
        return;
    };
    for case in super::helm::cases() {
        let rendered = helm.render(&case);
        let account = text(rendered.pod(), "/serviceAccountName");
        for kind in ["ClusterRole", "Role"] {
            let bindings = format!("{kind}Binding");
            let bindings: Vec<_> = rendered.all(&bindings).collect();
            let bound = bindings.iter().map(|one| text(one, "/roleRef/name"));
            let roles = rendered.all(kind).map(|role| text(role, "/metadata/name"));
            assert!(bound.eq(roles), "{case}: {bindings:?}");
            for binding in bindings {
                let subjects = binding.get("subjects").and_then(Value::as_array);
                assert_eq!(subjects.map(Vec::len), Some(1), "{case}: {binding}");
                assert_eq!(text(binding, "/subjects/0/name"), account, "{case}");
                assert_eq!(
                    text(binding, "/subjects/0/namespace"),
                    "rds-system",
                    "{case}"
                );
            }
        }
    }
}
