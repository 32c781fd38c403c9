//! Deletion: at once, or when the last finalizer is gone.

use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::fixture::{attachment, attachments, fresh, merge, refusal, refused, version};
use super::servers::Server;
use super::suite::{Case, every_server};

pub(super) const ON_EVERY_SERVER: &[Case] = every_server![
    without_finalizers_an_attachment_goes_at_once_and_is_returned,
    a_finalizer_keeps_a_deleted_object_until_it_is_removed,
    the_last_of_several_finalizers_counts_and_none_is_added_while_leaving,
    nothing_but_a_delete_begins_a_deletion,
    a_deletion_is_neither_taken_back_nor_put_off,
    a_delete_meant_for_another_uid_or_version_is_refused,
];

const ATTACHER: &str = "external-attacher/rds-csi-srvlab-io";

/// An attachment with a finalizer.
async fn held(client: &Client) -> (Api<VolumeAttachment>, String, VolumeAttachment) {
    let api = attachments(client);
    let name = fresh("va");
    let mut object = attachment(&name);
    object.metadata.finalizers = Some(vec![ATTACHER.to_owned()]);
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    (api, name, made)
}

fn finalizers(list: &[&str]) -> Value {
    json!({"metadata": {"finalizers": list}})
}

async fn without_finalizers_an_attachment_goes_at_once_and_is_returned(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let name = fresh("va");
    let made = api
        .create(&PostParams::default(), &attachment(&name))
        .await
        .unwrap();
    let gone = api.delete(&name, &DeleteParams::default()).await.unwrap();
    assert_eq!(gone.left().unwrap().metadata.uid, made.metadata.uid);
    assert!(api.get_opt(&name).await.unwrap().is_none());
}

async fn a_finalizer_keeps_a_deleted_object_until_it_is_removed(server: Server) {
    let cluster = server.cluster().await;
    let (api, name, made) = held(&cluster.client).await;
    let leaving = api.delete(&name, &DeleteParams::default()).await.unwrap();
    let leaving = leaving.left().unwrap();
    assert!(leaving.metadata.deletion_timestamp.is_some());
    assert!(version(&leaving) > version(&made));
    let again = api.delete(&name, &DeleteParams::default()).await.unwrap();
    assert_eq!(again.left().unwrap(), leaving);
    assert_eq!(api.get(&name).await.unwrap(), leaving);

    let answer = api.create(&PostParams::default(), &attachment(&name)).await;
    assert_eq!(refusal(answer), refused(409, "AlreadyExists"));
    let answer = merge(&api, &name, finalizers(&[])).await.unwrap();
    assert_eq!(answer.metadata.uid, made.metadata.uid);
    assert!(api.get_opt(&name).await.unwrap().is_none());
}

async fn the_last_of_several_finalizers_counts_and_none_is_added_while_leaving(server: Server) {
    let cluster = server.cluster().await;
    let (api, name, _) = held(&cluster.client).await;
    let two = [ATTACHER, "example.com/second"];
    merge(&api, &name, finalizers(&two)).await.unwrap();
    api.delete(&name, &DeleteParams::default()).await.unwrap();
    let answer = merge(&api, &name, finalizers(&[ATTACHER, "example.com/third"])).await;
    assert_eq!(refusal(answer), refused(422, "Invalid"));
    merge(&api, &name, finalizers(&two[..1])).await.unwrap();
    assert!(api.get_opt(&name).await.unwrap().is_some());
    merge(&api, &name, finalizers(&[])).await.unwrap();
    assert!(api.get_opt(&name).await.unwrap().is_none());
}

async fn nothing_but_a_delete_begins_a_deletion(server: Server) {
    let cluster = server.cluster().await;
    let (api, name, made) = held(&cluster.client).await;
    for field in [
        json!({"deletionTimestamp": "2001-01-01T00:00:00Z"}),
        json!({"deletionGracePeriodSeconds": 7}),
    ] {
        let answer = merge(&api, &name, json!({"metadata": field})).await;
        assert_eq!(refusal(answer), refused(422, "Invalid"), "{field}");
    }
    assert_eq!(api.get(&name).await.unwrap(), made);
}

async fn a_deletion_is_neither_taken_back_nor_put_off(server: Server) {
    let cluster = server.cluster().await;
    let (api, name, _) = held(&cluster.client).await;
    let leaving = api.delete(&name, &DeleteParams::default()).await.unwrap();
    let leaving = leaving.left().unwrap().metadata;
    for (time, label) in [(Value::Null, "a"), (json!("2001-01-01T00:00:00Z"), "b")] {
        let patch = json!({"metadata": {
            "deletionTimestamp": time, "deletionGracePeriodSeconds": null, "labels": {"a": label},
        }});
        let patched = merge(&api, &name, patch).await.unwrap().metadata;
        assert_eq!(patched.labels.unwrap()["a"], label);
        assert_eq!(patched.deletion_timestamp, leaving.deletion_timestamp);
        assert_eq!(patched.deletion_grace_period_seconds, Some(0));
    }
    let patch = json!({"metadata": {"deletionGracePeriodSeconds": 7}});
    let answer = merge(&api, &name, patch).await;
    assert_eq!(refusal(answer), refused(422, "Invalid"));
    merge(&api, &name, finalizers(&[])).await.unwrap();
    assert!(api.get_opt(&name).await.unwrap().is_none());
}

async fn a_delete_meant_for_another_uid_or_version_is_refused(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let name = fresh("va");
    let made = api
        .create(&PostParams::default(), &attachment(&name))
        .await
        .unwrap();
    let only = |uid: Option<&str>, resource_version: Option<&str>| DeleteParams {
        preconditions: Some(Preconditions {
            uid: uid.map(str::to_owned),
            resource_version: resource_version.map(str::to_owned),
        }),
        ..DeleteParams::default()
    };
    for wrong in [only(Some("another"), None), only(None, Some("1"))] {
        let answer = api.delete(&name, &wrong).await;
        assert_eq!(refusal(answer), refused(409, "Conflict"), "{wrong:?}");
    }
    let right = only(
        made.metadata.uid.as_deref(),
        made.metadata.resource_version.as_deref(),
    );
    api.delete(&name, &right).await.unwrap();
    assert!(api.get_opt(&name).await.unwrap().is_none());
}
