//! What holds for every object: names, system fields, versions, types, sizes.

use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::api::PostParams;
use serde_json::{Value, json};

use super::fixture::{
    ATTACHMENTS, attachment, attachment_path, attachments, fresh, lease, leases, merge, refusal,
    refused, send, version,
};
use super::servers::Server;
use super::suite::{Case, every_server};

pub(super) const ON_EVERY_SERVER: &[Case] = every_server![
    generate_name_gives_each_object_a_name_of_its_own,
    an_object_without_a_usable_name_is_refused,
    an_object_that_claims_a_version_is_not_created,
    an_attachment_names_its_attacher_and_its_node,
    versions_grow_over_all_kinds,
    a_write_that_changes_nothing_keeps_the_version,
    uid_and_creation_time_are_the_servers,
    a_write_meant_for_another_uid_is_refused,
    the_name_in_the_body_is_the_name_in_the_path,
    the_spec_of_an_attachment_never_changes,
    fields_the_type_does_not_have_are_dropped_and_wrong_types_refused,
    a_body_that_is_no_json_or_too_large_is_refused,
    an_object_larger_than_etcd_takes_is_not_stored,
    merge_patches_remove_what_they_set_to_null,
    a_json_patch_happens_as_a_whole_or_not_at_all,
    what_does_not_exist_is_404_and_what_is_not_done_405,
];

const JSON: &str = "application/json";

async fn made(client: &kube::Client, what: &str) -> VolumeAttachment {
    attachments(client)
        .create(&PostParams::default(), &attachment(&fresh(what)))
        .await
        .unwrap()
}

fn name_of(object: &VolumeAttachment) -> &str {
    object.metadata.name.as_deref().unwrap()
}

async fn generate_name_gives_each_object_a_name_of_its_own(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let mut object = attachment("unused");
    object.metadata.name = None;
    object.metadata.generate_name = Some("csi-".to_owned());
    let params = PostParams::default();
    let first = api.create(&params, &object).await.unwrap();
    let second = api.create(&params, &object).await.unwrap();
    assert!(name_of(&first).starts_with("csi-"), "{first:?}");
    assert_ne!(name_of(&first), name_of(&second));
}

async fn an_object_without_a_usable_name_is_refused(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let long = "a".repeat(254);
    for name in ["", "Upper", "-dash", "dot.", "under_score", &long] {
        let answer = api.create(&PostParams::default(), &attachment(name)).await;
        assert_eq!(refusal(answer), refused(422, "Invalid"), "{name}");
    }
}

async fn an_object_that_claims_a_version_is_not_created(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let name = fresh("va");
    let mut object = attachment(&name);
    object.metadata.resource_version = Some("1".to_owned());
    let answer = api.create(&PostParams::default(), &object).await;
    assert!(matches!(answer, Err(kube::Error::Api(_))), "{answer:?}");
    assert!(api.get_opt(&name).await.unwrap().is_none());
}

async fn an_attachment_names_its_attacher_and_its_node(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    for field in ["attacher", "nodeName"] {
        let mut object = serde_json::to_value(attachment(&fresh("va"))).unwrap();
        object["spec"][field] = json!("");
        let object = serde_json::from_value(object).unwrap();
        let answer = api.create(&PostParams::default(), &object).await;
        assert_eq!(refusal(answer), refused(422, "Invalid"), "{field}");
    }
}

async fn versions_grow_over_all_kinds(server: Server) {
    let cluster = server.cluster().await;
    let client = &cluster.client;
    let first = version(&made(client, "va").await);
    let lease = leases(client)
        .create(&PostParams::default(), &lease(&fresh("lease"), "a"))
        .await
        .unwrap();
    let second = version(&lease);
    let third = version(&made(client, "va").await);
    assert!(first < second && second < third, "{first} {second} {third}");
}

async fn a_write_that_changes_nothing_keeps_the_version(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let before = made(&cluster.client, "va").await;
    let name = name_of(&before);
    let same = json!({"spec": {"nodeName": "node-1"}});
    assert_eq!(merge(&api, name, same).await.unwrap(), before);
    let params = PostParams::default();
    assert_eq!(api.replace(name, &params, &before).await.unwrap(), before);
}

async fn uid_and_creation_time_are_the_servers(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let mut asked = attachment(&fresh("va"));
    asked.metadata.uid = Some("mine".to_owned());
    let made = api.create(&PostParams::default(), &asked).await.unwrap();
    assert_ne!(made.metadata.uid.as_deref(), Some("mine"));
    let name = name_of(&made);
    let patch = json!({"metadata": {
        "creationTimestamp": "2001-01-01T00:00:00Z", "labels": {"a": "b"},
    }});
    let patched = merge(&api, name, patch).await.unwrap().metadata;
    assert_eq!(patched.creation_timestamp, made.metadata.creation_timestamp);
    assert_eq!(patched.labels.unwrap()["a"], "b");
}

/// A re-created object has the same name and is another one.
async fn a_write_meant_for_another_uid_is_refused(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let made = made(&cluster.client, "va").await;
    let name = name_of(&made);
    let patch = json!({"metadata": {"uid": "another", "labels": {"a": "b"}}});
    let answer = merge(&api, name, patch).await;
    assert_eq!(refusal(answer), refused(422, "Invalid"));
    let mut other = made.clone();
    other.metadata.uid = Some("another".to_owned());
    let answer = api.replace(name, &PostParams::default(), &other).await;
    assert_eq!(refusal(answer), refused(409, "Conflict"));
    assert_eq!(api.get(name).await.unwrap(), made);
}

async fn the_name_in_the_body_is_the_name_in_the_path(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let made = made(&cluster.client, "va").await;
    let mut other = made.clone();
    other.metadata.name = Some(fresh("va"));
    let params = PostParams::default();
    let answer = api.replace(name_of(&made), &params, &other).await;
    assert_eq!(refusal(answer), refused(400, "BadRequest"));
    let mut lease = lease(&fresh("lease"), "a");
    lease.metadata.namespace = Some("elsewhere".to_owned());
    let answer = leases(&cluster.client).create(&params, &lease).await;
    assert_eq!(refusal(answer), refused(400, "BadRequest"));
}

async fn the_spec_of_an_attachment_never_changes(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let made = made(&cluster.client, "va").await;
    let patch = json!({"spec": {"nodeName": "node-2"}});
    let answer = merge(&api, name_of(&made), patch).await;
    assert_eq!(refusal(answer), refused(422, "Invalid"));
    assert_eq!(api.get(name_of(&made)).await.unwrap(), made);
}

async fn fields_the_type_does_not_have_are_dropped_and_wrong_types_refused(server: Server) {
    let cluster = server.cluster().await;
    let client = &cluster.client;
    let name = fresh("va");
    let mut object = serde_json::to_value(attachment(&name)).unwrap();
    object["spec"]["colour"] = json!("blue");
    let made = send(client, "POST", ATTACHMENTS, JSON, &object)
        .await
        .unwrap();
    assert_eq!(made["spec"]["nodeName"], "node-1");
    assert_eq!(made["spec"].get("colour"), None);
    object["metadata"]["name"] = json!(fresh("va"));
    object["spec"]["nodeName"] = json!(7);
    let answer = send(client, "POST", ATTACHMENTS, JSON, &object).await;
    assert_eq!(refusal(answer), refused(400, "BadRequest"));
    object["spec"]["nodeName"] = json!("node-1");
    object["kind"] = json!("Lease");
    let answer = send(client, "POST", ATTACHMENTS, JSON, &object).await;
    assert_eq!(refusal(answer), refused(400, "BadRequest"));
}

async fn a_body_that_is_no_json_or_too_large_is_refused(server: Server) {
    let cluster = server.cluster().await;
    let client = &cluster.client;
    let object = serde_json::to_value(attachment(&fresh("va"))).unwrap();
    let answer = send(client, "POST", ATTACHMENTS, "text/plain", &object).await;
    assert_eq!(refusal(answer), refused(415, "UnsupportedMediaType"));
    let giant = json!({"metadata": {"annotations": {"a": "x".repeat(4 << 20)}}});
    let answer = send(client, "POST", ATTACHMENTS, JSON, &giant).await;
    assert_eq!(refusal(answer), refused(413, "RequestEntityTooLarge"));
}

async fn an_object_larger_than_etcd_takes_is_not_stored(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let made = made(&cluster.client, "va").await;
    let url = format!("{}/status", attachment_path(name_of(&made)));
    let patch = json!({"status": {"attachmentMetadata": {"a": "x".repeat(2 << 20)}}});
    let merge = "application/merge-patch+json";
    let answer = send(&cluster.client, "PATCH", &url, merge, &patch).await;
    assert!(matches!(answer, Err(kube::Error::Api(_))), "{answer:?}");
    assert_eq!(api.get(name_of(&made)).await.unwrap(), made);
}

async fn merge_patches_remove_what_they_set_to_null(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let made = made(&cluster.client, "va").await;
    let name = name_of(&made);
    let patch = json!({"metadata": {"annotations": {"a": "1", "b": "2"}}});
    merge(&api, name, patch).await.unwrap();
    let patch = json!({"metadata": {"annotations": {"a": null, "c": "3"}}});
    let patched = merge(&api, name, patch).await.unwrap();
    let annotations: Vec<String> = patched.metadata.annotations.unwrap().into_keys().collect();
    assert_eq!(annotations, ["b", "c"]);
}

async fn a_json_patch_happens_as_a_whole_or_not_at_all(server: Server) {
    let cluster = server.cluster().await;
    let client = &cluster.client;
    let before = made(client, "va").await;
    let path = attachment_path(name_of(&before));
    let media_type = "application/json-patch+json";
    let version = &before.metadata.resource_version;
    let steps = |expected: &Value| {
        json!([
            {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}},
            {"op": "test", "path": "/metadata/resourceVersion", "value": expected},
        ])
    };
    let wrong = send(client, "PATCH", &path, media_type, &steps(&json!("1"))).await;
    assert_eq!(refusal(wrong).0, 422);
    let api = attachments(client);
    assert_eq!(api.get(name_of(&before)).await.unwrap(), before);
    let right = send(client, "PATCH", &path, media_type, &steps(&json!(version))).await;
    assert_eq!(right.unwrap()["metadata"]["labels"]["a"], "b");
}

async fn what_does_not_exist_is_404_and_what_is_not_done_405(server: Server) {
    let cluster = server.cluster().await;
    let client = &cluster.client;
    let none = attachment_path(&fresh("va"));
    let patch = "application/merge-patch+json";
    for (method, path, media_type, expected) in [
        ("PATCH", none.as_str(), patch, refused(404, "NotFound")),
        ("DELETE", &none, JSON, refused(404, "NotFound")),
        (
            "GET",
            "/apis/storage.k8s.io/v1/nothing",
            JSON,
            refused(404, "NotFound"),
        ),
        ("POST", &none, JSON, refused(405, "MethodNotAllowed")),
    ] {
        let answer = send(client, method, path, media_type, &json!({})).await;
        assert_eq!(refusal(answer), expected, "{method} {path}");
    }
    let named = json!({"metadata": {"name": none.rsplit('/').next()}, "spec": {
        "attacher": "a", "nodeName": "n", "source": {"persistentVolumeName": "p"},
    }});
    let answer = send(client, "PUT", &none, JSON, &named).await;
    assert_eq!(refusal(answer), refused(404, "NotFound"));
}
