//! Tokens and roles.

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use rds_csi::sim::kubernetes::{Access, Account, Options};
use serde_json::json;

use super::fixture::{
    NAMESPACE, attachment, attachments, fresh, lease, leases, merge, namespaced, refusal, refused,
    stand_in,
};
use super::grants::rule;
use super::servers::Server;
use super::suite::{Case, every_server, stand_in_only};

pub(super) const ON_EVERY_SERVER: &[Case] = every_server![
    only_known_tokens_are_let_in,
    a_token_may_do_what_its_roles_say_and_nothing_else,
];

pub(super) const ON_THE_STAND_IN: &[Case] =
    stand_in_only![the_kubeconfig_of_a_client_leads_to_the_api,];

/// May read and patch attachments, but their status only read; may lead with one lease.
fn driver(lease: &str) -> Account {
    let mut elect = rule("coordination.k8s.io", "leases", &["get", "patch"]);
    elect.resource_names = Some(vec![lease.to_owned()]);
    let create = rule("coordination.k8s.io", "leases", &["create"]);
    Account {
        user: "system:serviceaccount:rds-csi:controller".to_owned(),
        cluster: vec![
            rule(
                "storage.k8s.io",
                "volumeattachments",
                &["get", "list", "patch"],
            ),
            rule("storage.k8s.io", "volumeattachments/status", &["get"]),
        ],
        namespaces: BTreeMap::from([(NAMESPACE.to_owned(), vec![elect, create])]),
    }
}

async fn only_known_tokens_are_let_in(server: Server) {
    let api = server.guarded(driver("leader")).await;
    let answer = attachments(&api.stranger)
        .list(&ListParams::default())
        .await;
    assert_eq!(refusal(answer), refused(401, "Unauthorized"));
    let known = attachments(&api.account);
    known.list(&ListParams::default()).await.unwrap();
}

async fn a_token_may_do_what_its_roles_say_and_nothing_else(server: Server) {
    let (ours, other, va) = (fresh("lease"), fresh("lease"), fresh("va"));
    let api = server.guarded(driver(&ours)).await;
    let forbidden = refused(403, "Forbidden");
    let params = PostParams::default();
    let made = attachment(&va);
    let all = attachments(&api.admin);
    all.create(&params, &made).await.unwrap();
    let vas = attachments(&api.account);
    let patch = json!({"metadata": {"labels": {"a": "b"}}});
    merge(&vas, &va, patch.clone()).await.unwrap();
    let (how, patch) = (PatchParams::default(), Patch::Merge(patch));
    let patched = vas.patch_status(&va, &how, &patch).await;
    assert_eq!(refusal(patched), forbidden);
    vas.get_status(&va).await.unwrap();
    let made = vas.create(&params, &attachment(&fresh("va"))).await;
    assert_eq!(refusal(made), forbidden);

    let locks = leases(&api.account);
    for name in [&ours, &other] {
        locks.create(&params, &lease(name, "a")).await.unwrap();
    }
    locks.get(&ours).await.unwrap();
    assert_eq!(refusal(locks.get(&other).await), forbidden);
    // A list names no lease, not even the one that may be read.
    let listed = locks.list(&ListParams::default()).await;
    assert_eq!(refusal(listed), forbidden);
    let elsewhere: Api<Lease> = Api::namespaced(api.account.clone(), "elsewhere");
    assert_eq!(refusal(elsewhere.get(&ours).await), forbidden);
    let events = namespaced::<Event>(&api.account);
    assert_eq!(refusal(events.get("e").await), forbidden);
}

async fn the_kubeconfig_of_a_client_leads_to_the_api() {
    let api = stand_in(Options {
        access: Access::default().with("secret", driver("leader")),
        ..Options::default()
    })
    .await;
    let file = Kubeconfig::from_yaml(&api.kubeconfig("secret")).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(file, &options).await;
    let client = Client::try_from(config.unwrap()).unwrap();
    let version = client.apiserver_version().await.unwrap();
    assert_eq!(
        (version.major.as_str(), version.minor.as_str()),
        ("1", "32")
    );
    attachments(&client)
        .list(&ListParams::default())
        .await
        .unwrap();
}
