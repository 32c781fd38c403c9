//! Rules of RBAC, given to an account of a real API server in the way they are given in a cluster.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
use kube::api::PostParams;
use kube::{Api, Client};
use rds_csi::sim::kubernetes::Account;
use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use super::fixture::{NAMESPACE, object};

/// The API server learns of bindings by watching, within milliseconds.
const LIMIT: Duration = Duration::from_secs(20);

/// How often to ask whether it has.
const POLL: Duration = Duration::from_millis(20);

/// What may be done with a resource.
pub(crate) fn rule(group: &str, resource: &str, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    }
}

/// Makes a ServiceAccount that may do what `account` may, and returns its token.
pub(super) async fn give(admin: &Client, name: &str, account: &Account) -> String {
    let post = PostParams::default();
    let metadata = json!({"name": name});
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), NAMESPACE);
    let owner = object(json!({"metadata": metadata}));
    accounts.create(&post, &owner).await.unwrap();

    let binding = |kind: &str| -> Value {
        json!({
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", "namespace": NAMESPACE, "name": name}],
        })
    };
    let role: ClusterRole = object(json!({"metadata": metadata, "rules": account.cluster}));
    let roles: Api<ClusterRole> = Api::all(admin.clone());
    roles.create(&post, &role).await.unwrap();
    let bindings: Api<ClusterRoleBinding> = Api::all(admin.clone());
    let bound = object(binding("ClusterRole"));
    bindings.create(&post, &bound).await.unwrap();
    for (namespace, rules) in &account.namespaces {
        let role: Role = object(json!({"metadata": metadata, "rules": rules}));
        let roles: Api<Role> = Api::namespaced(admin.clone(), namespace);
        roles.create(&post, &role).await.unwrap();
        let bindings: Api<RoleBinding> = Api::namespaced(admin.clone(), namespace);
        let bound = object(binding("Role"));
        bindings.create(&post, &bound).await.unwrap();
    }
    let request = TokenRequest::default();
    let made = accounts.create_token_request(name, &post, &request).await;
    made.unwrap().status.unwrap().token
}

/// Waits until the server has heard of every rule.
pub(super) async fn wait(client: &Client, account: &Account) {
    for rule in &account.cluster {
        wait_for(client, None, rule).await;
    }
    for (namespace, rules) in &account.namespaces {
        for rule in rules {
            wait_for(client, Some(namespace), rule).await;
        }
    }
}

/// Waits until one thing that a rule allows is allowed.
async fn wait_for(client: &Client, namespace: Option<&str>, rule: &PolicyRule) {
    let first = |list: &Option<Vec<String>>| list.as_ref()?.first().cloned();
    let resource = first(&rule.resources).unwrap();
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, sub)) => (resource.to_owned(), Some(sub)),
        None => (resource, None),
    };
    let question: SelfSubjectAccessReview = object(json!({"spec": {"resourceAttributes": {
        "group": first(&rule.api_groups), "resource": resource, "subresource": subresource,
        "verb": rule.verbs[0], "namespace": namespace, "name": first(&rule.resource_names),
    }}}));
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let heard = async {
        let mut tick = interval(POLL);
        loop {
            tick.tick().await;
            let answer = reviews.create(&PostParams::default(), &question).await;
            if answer.unwrap().status.unwrap().allowed {
                return;
            }
        }
    };
    let heard = timeout(LIMIT, heard).await;
    heard.unwrap_or_else(|_| panic!("not allowed after {LIMIT:?}: {question:?}"));
}
