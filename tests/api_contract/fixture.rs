//! What every test of the contract begins with: a client, and objects to send.

use std::fmt::Debug;
use std::sync::Once;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Config, Resource};
use rds_csi::sim::kubernetes::{KubeApi, Options};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Where namespaced objects go.
pub(crate) const NAMESPACE: &str = "rds-csi-contract";

/// The path of all attachments.
pub(crate) const ATTACHMENTS: &str = "/apis/storage.k8s.io/v1/volumeattachments";

/// No answer of a local server takes this long; an idle watch is sent a bookmark well before.
const READ_LIMIT: Duration = Duration::from_secs(20);

/// Installs what TLS is made with, once.
pub(crate) fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        rustls::crypto::ring::default_provider()
            .install_default()
            .expect("nobody else installs one");
    });
}

/// A stand-in, for tests of what only it can do.
pub(crate) async fn stand_in(options: Options) -> KubeApi {
    install_crypto();
    KubeApi::start(options).await.unwrap()
}

/// A client of the stand-in that is known to it by this name.
pub(crate) fn client(api: &KubeApi, name: &str) -> Client {
    client_of(api.config(name))
}

/// A client with this configuration.
pub(crate) fn client_of(mut config: Config) -> Client {
    config.read_timeout = Some(READ_LIMIT);
    Client::try_from(config).unwrap()
}

/// A name no other test uses, and no earlier run on a real server.
pub(crate) fn fresh(what: &str) -> String {
    format!("{what}-{:016x}", rand::random::<u64>())
}

/// The leases of the test namespace.
pub(crate) fn leases(client: &Client) -> Api<Lease> {
    namespaced(client)
}

/// The objects of the test namespace.
pub(crate) fn namespaced<K>(client: &Client) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(client.clone(), NAMESPACE)
}

/// An object from JSON.
pub(crate) fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// A lease held by `holder`.
pub(crate) fn lease(name: &str, holder: &str) -> Lease {
    object(json!({
        "metadata": {"name": name},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 0},
    }))
}

/// An attachment of a volume to a node.
pub(crate) fn attachment(name: &str) -> VolumeAttachment {
    object(json!({
        "metadata": {"name": name},
        "spec": {
            "attacher": "rds.csi.srvlab.io", "nodeName": "node-1",
            "source": {"persistentVolumeName": format!("pv-{name}")},
        },
    }))
}

/// Sends a merge patch.
pub(crate) async fn merge<K>(api: &Api<K>, name: &str, patch: Value) -> kube::Result<K>
where
    K: Clone + DeserializeOwned + Debug,
{
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
}

/// The code and reason of a refusal.
pub(crate) fn refusal<T: Debug>(result: kube::Result<T>) -> (u16, String) {
    match result {
        Err(kube::Error::Api(status)) => (status.code, status.reason),
        other => panic!("no refusal: {other:?}"),
    }
}

/// The same, with the reason as a literal.
pub(crate) fn refused(code: u16, reason: &str) -> (u16, String) {
    (code, reason.to_owned())
}

/// The version of an object as a number, for comparisons between answers of one server.
pub(crate) fn version<K: Resource + Serialize>(object: &K) -> u64 {
    let version = object.meta().resource_version.as_deref();
    version.unwrap().parse().unwrap()
}

/// The attachments.
pub(crate) fn attachments(client: &Client) -> Api<VolumeAttachment> {
    Api::all(client.clone())
}

/// Sends JSON as it is and returns what comes back as JSON, or the refusal.
pub(crate) async fn send(
    client: &Client,
    method: &str,
    path: &str,
    media_type: &str,
    body: &Value,
) -> kube::Result<Value> {
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", media_type)
        .body(body)
        .unwrap();
    client.request(request).await
}

/// The path of an attachment.
pub(crate) fn attachment_path(name: &str) -> String {
    format!("{ATTACHMENTS}/{name}")
}
