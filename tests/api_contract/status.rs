//! The `status` subresource: two writers of one object that cannot overwrite each other.

use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::VolumeAttachmentStatus;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::fixture::{
    attachment, attachments, fresh, merge, namespaced, object, refusal, refused, send,
};
use super::servers::Server;
use super::suite::{Case, every_server};

pub(super) const ON_EVERY_SERVER: &[Case] = every_server![
    a_new_attachment_is_not_attached_whatever_its_creator_says,
    a_write_of_an_attachment_leaves_its_status_alone,
    a_write_of_a_status_leaves_the_attachment_alone,
    a_status_is_replaced_only_over_the_version_that_was_read,
    a_node_brings_its_status_and_changes_it_apart,
    new_volumes_and_claims_are_pending,
];

fn nodes(client: &Client) -> Api<Node> {
    Api::all(client.clone())
}

async fn a_new_attachment_is_not_attached_whatever_its_creator_says(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let mut asked = attachment(&fresh("va"));
    asked.status = Some(VolumeAttachmentStatus {
        attached: true,
        ..VolumeAttachmentStatus::default()
    });
    let made = api.create(&PostParams::default(), &asked).await.unwrap();
    assert!(!made.status.unwrap().attached);
}

async fn a_write_of_an_attachment_leaves_its_status_alone(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let name = fresh("va");
    let made = api
        .create(&PostParams::default(), &attachment(&name))
        .await
        .unwrap();
    let patch = json!({"metadata": {"labels": {"a": "b"}}, "status": {"attached": true}});
    let patched = merge(&api, &name, patch).await.unwrap();
    assert_eq!(patched.status, made.status);
    let mut next = patched;
    next.status.as_mut().unwrap().attached = true;
    next.metadata.labels = None;
    let put = api
        .replace(&name, &PostParams::default(), &next)
        .await
        .unwrap();
    assert_eq!((put.status, put.metadata.labels), (made.status, None));
}

async fn a_write_of_a_status_leaves_the_attachment_alone(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let name = fresh("va");
    let params = PostParams::default();
    let made = api.create(&params, &attachment(&name)).await.unwrap();
    let patch = json!({
        "metadata": {"labels": {"a": "b"}, "finalizers": ["example.com/x"]},
        "spec": {"nodeName": "node-2"},
        "status": {"attached": true, "attachmentMetadata": {"nvmeAddress": "192.0.2.1"}},
    });
    let patched = api
        .patch_status(&name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    let status = patched.status.clone().unwrap();
    assert!(
        status.attached
            && status
                .attachment_metadata
                .unwrap()
                .contains_key("nvmeAddress")
    );
    assert_eq!(patched.spec, made.spec);
    assert_eq!(patched.metadata.labels, None);
    assert_eq!(patched.metadata.finalizers, None);
    assert_eq!(api.get_status(&name).await.unwrap(), patched);
}

async fn a_status_is_replaced_only_over_the_version_that_was_read(server: Server) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let name = fresh("va");
    let params = PostParams::default();
    let mut made = api.create(&params, &attachment(&name)).await.unwrap();
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    let newer = merge(&api, &name, label).await.unwrap();
    made.status.as_mut().unwrap().attached = true;
    let answer = api.replace_status(&name, &params, &made).await;
    assert_eq!(refusal(answer), refused(409, "Conflict"));
    made.metadata.resource_version = newer.metadata.resource_version;
    let put = api.replace_status(&name, &params, &made).await.unwrap();
    assert!(put.status.unwrap().attached);
}

async fn a_node_brings_its_status_and_changes_it_apart(server: Server) {
    let cluster = server.cluster().await;
    let api = nodes(&cluster.client);
    let name = fresh("node");
    let in_use = |volume: &str| json!({"volumesInUse": [volume]});
    let node: Node = object(json!({"metadata": {"name": name}, "status": in_use("a")}));
    let made = api.create(&PostParams::default(), &node).await.unwrap();
    let volumes = |node: Node| node.status.unwrap().volumes_in_use.unwrap();
    assert_eq!(volumes(made), ["a"]);
    let patch = json!({"spec": {"unschedulable": true}, "status": in_use("b")});
    let main = merge(&api, &name, patch.clone()).await.unwrap();
    assert_eq!(main.spec.as_ref().unwrap().unschedulable, Some(true));
    assert_eq!(volumes(main), ["a"]);
    let patch = json!({"spec": {"unschedulable": null}, "status": in_use("c")});
    let status = api
        .patch_status(&name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    assert_eq!(status.spec.as_ref().unwrap().unschedulable, Some(true));
    assert_eq!(volumes(status), ["c"]);
    let url = format!("/api/v1/nodes/{name}/status");
    let sent = send(&cluster.client, "DELETE", &url, "", &Value::Null).await;
    assert_eq!(refusal(sent), refused(405, "MethodNotAllowed"));
}

async fn new_volumes_and_claims_are_pending(server: Server) {
    let cluster = server.cluster().await;
    let volumes: Api<PersistentVolume> = Api::all(cluster.client.clone());
    let claims: Api<PersistentVolumeClaim> = namespaced(&cluster.client);
    let params = PostParams::default();
    let volume: PersistentVolume = object(json!({
        "metadata": {"name": fresh("pv")},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "csi": {"driver": "rds.csi.srvlab.io", "volumeHandle": "csi-1"},
        },
        "status": {"phase": "Bound"},
    }));
    let volume = volumes.create(&params, &volume).await.unwrap();
    assert_eq!(volume.status.unwrap().phase.as_deref(), Some("Pending"));
    let claim: PersistentVolumeClaim = object(json!({
        "metadata": {"name": fresh("claim")},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "none",
            "resources": {"requests": {"storage": "1Gi"}},
        },
        "status": {"phase": "Bound"},
    }));
    let claim = claims.create(&params, &claim).await.unwrap();
    assert_eq!(claim.status.unwrap().phase.as_deref(), Some("Pending"));
}
