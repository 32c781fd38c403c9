//! Leases, and the election crate that lives on them.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube_leader_election::{LeaseLock, LeaseLockParams, LeaseLockResult};
use serde_json::json;

use super::fixture::{NAMESPACE, fresh, lease, leases, merge, refusal, refused, version};
use super::servers::Server;
use super::suite::{Case, every_server};

pub(super) const ON_EVERY_SERVER: &[Case] = every_server![
    a_lease_is_created_read_changed_listed_and_deleted,
    a_lease_that_exists_is_not_created_again,
    two_candidates_with_the_version_they_read_have_one_winner,
    a_put_of_a_lease_says_which_version_it_replaces,
    a_put_of_a_deleted_lease_is_a_conflict_not_a_new_lease,
    a_lease_without_a_duration_or_with_a_negative_term_is_refused,
    times_of_a_lease_come_back_in_microseconds,
    the_election_crate_acquires_renews_and_steps_down,
];

fn lock(client: &Client, lease_name: &str, holder: &str) -> LeaseLock {
    LeaseLock::new(
        client.clone(),
        NAMESPACE,
        LeaseLockParams {
            holder_id: holder.to_owned(),
            lease_name: lease_name.to_owned(),
            lease_ttl: Duration::from_secs(15),
        },
    )
}

async fn a_lease_is_created_read_changed_listed_and_deleted(server: Server) {
    let cluster = server.cluster().await;
    let api = leases(&cluster.client);
    let name = fresh("lease");
    let made = api
        .create(&PostParams::default(), &lease(&name, "a"))
        .await
        .unwrap();
    assert_eq!(made.metadata.namespace.as_deref(), Some(NAMESPACE));
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());
    let read = api.get(&name).await.unwrap();
    assert_eq!(read, made);

    let patch = json!({"spec": {"holderIdentity": "b"}});
    let patched = merge(&api, &name, patch).await.unwrap();
    assert!(version(&patched) > version(&made));
    let mut next = patched.clone();
    next.spec.as_mut().unwrap().lease_transitions = Some(1);
    let put = api
        .replace(&name, &PostParams::default(), &next)
        .await
        .unwrap();
    assert_eq!(put.spec.as_ref().unwrap().lease_transitions, Some(1));
    assert_eq!(
        put.spec.as_ref().unwrap().holder_identity.as_deref(),
        Some("b")
    );
    assert_eq!(put.metadata.uid, made.metadata.uid);

    let only = ListParams::default().fields(&format!("metadata.name={name}"));
    assert_eq!(api.list(&only).await.unwrap().items, [put]);
    let gone = api.delete(&name, &DeleteParams::default()).await.unwrap();
    assert!(gone.right().unwrap().is_success());
    assert_eq!(refusal(api.get(&name).await), refused(404, "NotFound"));
}

async fn a_lease_that_exists_is_not_created_again(server: Server) {
    let cluster = server.cluster().await;
    let api = leases(&cluster.client);
    let name = fresh("lease");
    let params = PostParams::default();
    api.create(&params, &lease(&name, "a")).await.unwrap();
    let second = api.create(&params, &lease(&name, "b")).await;
    assert_eq!(refusal(second), refused(409, "AlreadyExists"));
    let read = api.get(&name).await.unwrap();
    assert_eq!(read.spec.unwrap().holder_identity.as_deref(), Some("a"));
}

async fn two_candidates_with_the_version_they_read_have_one_winner(server: Server) {
    let cluster = server.cluster().await;
    let api = leases(&cluster.client);
    let name = fresh("lease");
    let made = api
        .create(&PostParams::default(), &lease(&name, ""))
        .await
        .unwrap();
    let claim = |holder: &str| {
        json!({
            "metadata": {"resourceVersion": made.metadata.resource_version},
            "spec": {"holderIdentity": holder},
        })
    };
    let (a, b) = tokio::join!(
        merge(&api, &name, claim("a")),
        merge(&api, &name, claim("b"))
    );
    let (won, lost) = if a.is_ok() { (a, b) } else { (b, a) };
    assert_eq!(refusal(lost), refused(409, "Conflict"));
    let holder = |lease: Lease| lease.spec.unwrap().holder_identity;
    assert_eq!(holder(won.unwrap()), holder(api.get(&name).await.unwrap()));
}

async fn a_put_of_a_lease_says_which_version_it_replaces(server: Server) {
    let cluster = server.cluster().await;
    let api = leases(&cluster.client);
    let name = fresh("lease");
    let params = PostParams::default();
    let made = api.create(&params, &lease(&name, "a")).await.unwrap();
    let blind = api.replace(&name, &params, &lease(&name, "b")).await;
    assert_eq!(refusal(blind), refused(422, "Invalid"));
    let patch = json!({"spec": {"holderIdentity": "b"}});
    merge(&api, &name, patch).await.unwrap();
    let stale = api.replace(&name, &params, &made).await;
    assert_eq!(refusal(stale), refused(409, "Conflict"));
}

/// A leader must not bring back the Lease that somebody deleted under it.
async fn a_put_of_a_deleted_lease_is_a_conflict_not_a_new_lease(server: Server) {
    let cluster = server.cluster().await;
    let api = leases(&cluster.client);
    let name = fresh("lease");
    let params = PostParams::default();
    let made = api.create(&params, &lease(&name, "a")).await.unwrap();
    api.delete(&name, &DeleteParams::default()).await.unwrap();
    let late = api.replace(&name, &params, &made).await;
    assert_eq!(refusal(late), refused(409, "Conflict"));
    let patch = json!({"spec": {"holderIdentity": "b"}});
    let late = merge(&api, &name, patch).await;
    assert_eq!(refusal(late), refused(404, "NotFound"));
    // Without a UID it is taken for a new one, as only some kinds do.
    let new = api
        .replace(&name, &params, &lease(&name, "c"))
        .await
        .unwrap();
    assert_ne!(new.metadata.uid, made.metadata.uid);
}

async fn a_lease_without_a_duration_or_with_a_negative_term_is_refused(server: Server) {
    let cluster = server.cluster().await;
    let api = leases(&cluster.client);
    for (field, value) in [("leaseDurationSeconds", 0), ("leaseTransitions", -1)] {
        let name = fresh("lease");
        let made = api
            .create(&PostParams::default(), &lease(&name, "a"))
            .await
            .unwrap();
        let mut wrong = serde_json::to_value(&made).unwrap();
        wrong["spec"][field] = json!(value);
        let put = api
            .replace(
                &name,
                &PostParams::default(),
                &serde_json::from_value(wrong).unwrap(),
            )
            .await;
        assert_eq!(refusal(put), refused(422, "Invalid"), "{field}");
    }
}

async fn times_of_a_lease_come_back_in_microseconds(server: Server) {
    let cluster = server.cluster().await;
    let name = fresh("lease");
    let api = leases(&cluster.client);
    api.create(&PostParams::default(), &lease(&name, "a"))
        .await
        .unwrap();
    let patch = json!({"spec": {"renewTime": "2026-01-02T03:04:05.678901+00:00"}});
    merge(&api, &name, patch).await.unwrap();
    let url = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{name}");
    let request = http::Request::get(url).body(Vec::new()).unwrap();
    let text = cluster.client.request_text(request).await.unwrap();
    assert!(text.contains("2026-01-02T03:04:05.678901Z"), "{text}");
}

async fn the_election_crate_acquires_renews_and_steps_down(server: Server) {
    let cluster = server.cluster().await;
    let name = fresh("election");
    let (a, b) = (
        lock(&cluster.client, &name, "a"),
        lock(&cluster.client, &name, "b"),
    );
    let first = a.try_acquire_or_renew().await.unwrap();
    assert!(matches!(first, LeaseLockResult::Acquired(_)), "{first:?}");
    let second = b.try_acquire_or_renew().await.unwrap();
    assert!(
        matches!(second, LeaseLockResult::NotAcquired(_)),
        "{second:?}"
    );
    let renewed = a.try_acquire_or_renew().await.unwrap();
    assert!(
        matches!(renewed, LeaseLockResult::Acquired(_)),
        "{renewed:?}"
    );
    a.step_down().await.unwrap();
    let left = leases(&cluster.client).get(&name).await.unwrap();
    assert_eq!(left.spec.unwrap().holder_identity.as_deref(), Some(""));
}
