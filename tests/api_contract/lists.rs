//! Lists: pages, selectors, and the moment they show.

use std::collections::BTreeSet;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use rds_csi::sim::kubernetes::Options;
use serde_json::Value;

use super::fixture::{
    ATTACHMENTS, NAMESPACE, attachment, attachments, client, fresh, lease, leases, refusal,
    refused, send, stand_in,
};
use super::servers::Server;
use super::suite::{Case, every_server, stand_in_only};

pub(super) const ON_EVERY_SERVER: &[Case] = every_server![
    pages_show_every_object_of_one_moment_once,
    label_selectors_take_what_they_say,
    a_selector_that_is_not_supported_is_refused,
    a_list_over_all_namespaces_contains_ours,
    a_version_that_does_not_exist_yet_is_not_served,
];

pub(super) const ON_THE_STAND_IN: &[Case] = stand_in_only![
    a_page_is_expired_once_its_moment_is_forgotten,
    ten_thousand_attachments_come_in_pages,
];

/// Makes attachments that only lists with this label see.
async fn labelled(api: &Api<VolumeAttachment>, label: &str, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..count {
        let name = fresh("va");
        let mut object = attachment(&name);
        let labels = [("test".to_owned(), label.to_owned())];
        object.metadata.labels = Some(labels.into());
        api.create(&PostParams::default(), &object).await.unwrap();
        names.push(name);
    }
    names.sort();
    names
}

fn names(items: &[VolumeAttachment]) -> Vec<String> {
    let names = items.iter().map(|item| item.metadata.name.clone());
    names.map(Option::unwrap).collect()
}

async fn pages_show_every_object_of_one_moment_once(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let label = fresh("label");
    let expected = labelled(&api, &label, 7).await;
    let mut params = ListParams::default()
        .labels(&format!("test={label}"))
        .limit(3);
    let first = api.list(&params).await.unwrap();
    assert_eq!(first.items.len(), 3);
    // What happens now is after the moment of the list.
    labelled(&api, &label, 2).await;
    let deleted = expected.last().unwrap();
    api.delete(deleted, &DeleteParams::default()).await.unwrap();

    let mut seen = names(&first.items);
    let mut token = first.metadata.continue_;
    while let Some(next) = token.filter(|token| !token.is_empty()) {
        params = params.continue_token(&next);
        let page = api.list(&params).await.unwrap();
        assert_eq!(
            page.metadata.resource_version,
            first.metadata.resource_version
        );
        seen.extend(names(&page.items));
        token = page.metadata.continue_;
    }
    assert_eq!(seen, expected);
}

async fn label_selectors_take_what_they_say(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let (one, other) = (fresh("label"), fresh("label"));
    let of_one = labelled(&api, &one, 2).await;
    labelled(&api, &other, 1).await;
    for (selector, expected) in [
        (format!("test={one}"), 2),
        (format!("test=={one},test"), 2),
        (format!("test={one},test!={other}"), 2),
        (format!("test={one},!test"), 0),
        (format!("test={one},none=x"), 0),
    ] {
        let listed = api.list(&ListParams::default().labels(&selector)).await;
        assert_eq!(listed.unwrap().items.len(), expected, "{selector}");
    }
    let named = format!("metadata.name={}", of_one[0]);
    let listed = api.list(&ListParams::default().fields(&named)).await;
    assert_eq!(names(&listed.unwrap().items), of_one[..1]);
}

async fn a_selector_that_is_not_supported_is_refused(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let params = ListParams::default().fields("spec.attacher=rds.csi.srvlab.io");
    let answer = api.list(&params).await;
    assert_eq!(refusal(answer), refused(400, "BadRequest"));
}

async fn a_list_over_all_namespaces_contains_ours(server: Server) {
    let cluster = server.cluster().await;
    let name = fresh("lease");
    leases(&cluster.client)
        .create(&PostParams::default(), &lease(&name, "a"))
        .await
        .unwrap();
    let all: Api<Lease> = Api::all(cluster.client.clone());
    let only = ListParams::default().fields(&format!("metadata.name={name}"));
    let found = all.list(&only).await.unwrap().items;
    let namespaces: BTreeSet<_> = found
        .iter()
        .filter_map(|lease| lease.metadata.namespace.as_deref())
        .collect();
    assert_eq!(namespaces, BTreeSet::from([NAMESPACE]));
}

async fn a_version_that_does_not_exist_yet_is_not_served(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let future = ListParams::default().at("9000000000000000");
    assert_eq!(refusal(api.list(&future).await), refused(504, "Timeout"));
}

async fn a_page_is_expired_once_its_moment_is_forgotten() {
    let stand_in = stand_in(Options::default()).await;
    let api = attachments(&client(&stand_in, "test"));
    let label = fresh("label");
    labelled(&api, &label, 3).await;
    let params = ListParams::default().limit(2);
    let first = api.list(&params).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(1));
    let next = params.continue_token(first.metadata.continue_.as_deref().unwrap());
    labelled(&api, &label, 1).await;
    stand_in.compact();
    let answer = api.list(&next).await;
    assert_eq!(refusal(answer), refused(410, "Expired"));
}

async fn ten_thousand_attachments_come_in_pages() {
    const ALL: usize = 10_000;
    const PAGE: u32 = 500;
    let stand_in = stand_in(Options::default()).await;
    for number in 0..ALL {
        let object = attachment(&format!("csi-{number:05}"));
        stand_in.seed(&object).unwrap();
    }
    let api = attachments(&client(&stand_in, "test"));
    let mut params = ListParams::default().limit(PAGE);
    let mut seen = BTreeSet::new();
    loop {
        let page = api.list(&params).await.unwrap();
        seen.extend(names(&page.items));
        let Some(token) = page.metadata.continue_ else {
            break;
        };
        params = params.continue_token(&token);
    }
    assert_eq!(seen.len(), ALL);
    // A list of any version comes whole, whatever its limit.
    let path = format!("{ATTACHMENTS}?resourceVersion=0&limit={PAGE}");
    let whole = client(&stand_in, "test");
    let whole = send(&whole, "GET", &path, "", &Value::Null).await.unwrap();
    assert_eq!(whole["items"].as_array().unwrap().len(), ALL);
}
