//! Tokens and roles of the stand-in.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rds_csi::sim::kubernetes::{Access, Account, Options};
use serde_json::json;

use super::fixture::{
    NAMESPACE, attachment, attachments, client, lease, leases, merge, namespaced, refusal, refused,
    stand_in,
};

fn rule(group: &str, resource: &str, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    }
}

/// May read and patch attachments, but their status only read; may lead with one lease.
fn driver() -> Account {
    let mut elect = rule("coordination.k8s.io", "leases", &["get", "patch"]);
    elect.resource_names = Some(vec!["leader".to_owned()]);
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

#[tokio::test]
async fn only_known_tokens_are_let_in() {
    let access = Access::default().with("secret", driver());
    let options = Options {
        access,
        ..Options::default()
    };
    let api = stand_in(options).await;
    let stranger = attachments(&client(&api, "guessed"));
    let answer = stranger.list(&ListParams::default()).await;
    assert_eq!(refusal(answer), refused(401, "Unauthorized"));
    let known = attachments(&client(&api, "secret"));
    known.list(&ListParams::default()).await.unwrap();
}

#[tokio::test]
async fn a_token_may_do_what_its_roles_say_and_nothing_else() {
    let access = Access::default().with("secret", driver());
    let options = Options {
        access,
        ..Options::default()
    };
    let api = stand_in(options).await;
    let client = client(&api, "secret");
    let forbidden = refused(403, "Forbidden");
    api.seed(&attachment("va")).unwrap();
    let vas = attachments(&client);
    let patch = json!({"metadata": {"labels": {"a": "b"}}});
    merge(&vas, "va", patch.clone()).await.unwrap();
    let params = PatchParams::default();
    let status = vas.patch_status("va", &params, &Patch::Merge(patch)).await;
    assert_eq!(refusal(status), forbidden);
    let made = vas.create(&PostParams::default(), &attachment("b")).await;
    assert_eq!(refusal(made), forbidden);

    let ours = leases(&client);
    for name in ["leader", "other"] {
        let params = PostParams::default();
        ours.create(&params, &lease(name, "a")).await.unwrap();
    }
    ours.get("leader").await.unwrap();
    assert_eq!(refusal(ours.get("other").await), forbidden);
    let elsewhere = kube::Api::<k8s_openapi::api::coordination::v1::Lease>::namespaced(
        client.clone(),
        "elsewhere",
    );
    assert_eq!(refusal(elsewhere.get("leader").await), forbidden);
    let events = namespaced::<k8s_openapi::api::events::v1::Event>(&client);
    assert_eq!(refusal(events.get("e").await), forbidden);
}

#[tokio::test]
async fn the_kubeconfig_of_a_client_leads_to_the_api() {
    let api = stand_in(Options {
        access: Access::default().with("secret", driver()),
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
