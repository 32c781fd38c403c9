//! Deletion: at once, or when the last finalizer is gone.

use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::fixture::{attachment, attachments, cluster, fresh, merge, refusal, refused, version};

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

#[tokio::test]
async fn without_finalizers_an_attachment_goes_at_once_and_is_returned() {
    let cluster = cluster().await;
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

#[tokio::test]
async fn a_finalizer_keeps_a_deleted_object_until_it_is_removed() {
    let cluster = cluster().await;
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

#[tokio::test]
async fn the_last_of_several_finalizers_counts_and_none_is_added_while_leaving() {
    let cluster = cluster().await;
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

#[tokio::test]
async fn a_deletion_is_not_taken_back() {
    let cluster = cluster().await;
    let (api, name, _) = held(&cluster.client).await;
    api.delete(&name, &DeleteParams::default()).await.unwrap();
    let patch = json!({"metadata": {"deletionTimestamp": null, "labels": {"a": "b"}}});
    let patched = merge(&api, &name, patch).await.unwrap();
    assert!(patched.metadata.deletion_timestamp.is_some());
    merge(&api, &name, finalizers(&[])).await.unwrap();
    assert!(api.get_opt(&name).await.unwrap().is_none());
}

#[tokio::test]
async fn a_delete_meant_for_another_uid_or_version_is_refused() {
    let cluster = cluster().await;
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
