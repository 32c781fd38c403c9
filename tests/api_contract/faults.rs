//! The faults of the stand-in: each does what it says, to as many requests as it says.

use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{ListParams, PostParams, WatchParams};
use kube::client::Body;
use kube::{Api, Client};
use rds_csi::sim::kubernetes::faults::{Fault, Matcher, Rule};
use rds_csi::sim::kubernetes::{KubeApi, Options, Verb};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::fixture::{NAMESPACE, client, lease, leases, merge, refusal, refused, stand_in};
use super::suite::{Case, stand_in_only};

pub(super) const ON_THE_STAND_IN: &[Case] = stand_in_only![
    latency_comes_before_the_answer_and_only_as_often_as_asked,
    too_many_requests_say_when_to_come_back,
    a_server_error_comes_before_or_after_the_effect,
    a_stalled_request_is_not_answered_whether_served_or_not,
    a_dropped_request_is_no_answer_whether_served_or_not,
    a_held_write_arrives_late_and_loses_by_its_version,
    a_held_write_arrives_although_its_sender_has_gone,
    a_stale_list_is_for_those_who_ask_for_any_version,
    a_stale_list_does_not_touch_a_list_of_the_newest,
    a_watch_is_cut_after_as_many_events_as_asked,
    a_fault_for_one_client_leaves_the_other_alone,
    an_api_that_ends_lets_go_of_everybody,
];

/// What a request that is never answered is given.
const PATIENCE: Duration = Duration::from_millis(200);

struct Setup {
    api: KubeApi,
    leases: Api<Lease>,
    client: Client,
}

/// An API with one lease, `l`, held by `a`.
async fn setup() -> Setup {
    let api = stand_in(Options::default()).await;
    let client = client(&api, "one");
    let leases = leases(&client);
    leases
        .create(&PostParams::default(), &lease("l", "a"))
        .await
        .unwrap();
    Setup {
        api,
        leases,
        client,
    }
}

impl Setup {
    fn fault(&self, times: u32, fault: Fault, verb: Verb) {
        let on = Matcher::of(verb, "leases");
        self.api.faults().add(Rule::next(times, fault, on));
    }

    async fn claim(&self, holder: &str) -> kube::Result<Lease> {
        merge(&self.leases, "l", claim_of(holder)).await
    }

    /// Who holds the lease, past all faults.
    fn holder(&self) -> String {
        let leases = self.api.objects::<Lease>();
        let spec = leases.into_iter().next().unwrap().spec.unwrap();
        spec.holder_identity.unwrap()
    }
}

fn claim_of(holder: &str) -> Value {
    json!({"spec": {"holderIdentity": holder}})
}

/// Whether this is a broken connection, not an answer.
fn is_broken<T>(result: &kube::Result<T>) -> bool {
    matches!(
        result,
        Err(kube::Error::HyperError(_) | kube::Error::Service(_))
    )
}

async fn latency_comes_before_the_answer_and_only_as_often_as_asked() {
    let setup = setup().await;
    let added = Duration::from_millis(150);
    setup.fault(1, Fault::Latency { ms: 150 }, Verb::Get);
    let start = Instant::now();
    setup.leases.get("l").await.unwrap();
    assert!(start.elapsed() >= added, "{:?}", start.elapsed());
    assert!(setup.api.faults().spent());
    setup.leases.get("l").await.unwrap();
    assert_eq!(setup.api.requests(Verb::Get, "leases"), 2);
}

async fn too_many_requests_say_when_to_come_back() {
    let setup = setup().await;
    setup.fault(2, Fault::TooManyRequests { retry_after: 7 }, Verb::Get);
    assert_eq!(
        refusal(setup.leases.get("l").await),
        refused(429, "TooManyRequests")
    );
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/l");
    let request = http::Request::get(path).body(Body::empty()).unwrap();
    let response = setup.client.send(request).await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
    setup.leases.get("l").await.unwrap();
}

async fn a_server_error_comes_before_or_after_the_effect() {
    let setup = setup().await;
    setup.fault(1, Fault::Error { code: 500 }, Verb::Patch);
    setup.fault(1, Fault::ErrorAfter { code: 503 }, Verb::Patch);
    let answer = setup.claim("b").await;
    assert_eq!(refusal(answer), refused(500, "InternalError"));
    assert_eq!(setup.holder(), "a");
    let answer = setup.claim("b").await;
    assert_eq!(refusal(answer), refused(503, "ServiceUnavailable"));
    assert_eq!(setup.holder(), "b");
}

async fn a_stalled_request_is_not_answered_whether_served_or_not() {
    let setup = setup().await;
    setup.fault(1, Fault::StallBefore, Verb::Patch);
    setup.fault(1, Fault::StallAfter, Verb::Patch);
    assert!(timeout(PATIENCE, setup.claim("b")).await.is_err());
    assert_eq!(setup.holder(), "a");
    assert!(timeout(PATIENCE, setup.claim("b")).await.is_err());
    assert_eq!(setup.holder(), "b");
    setup.claim("c").await.unwrap();
}

async fn a_dropped_request_is_no_answer_whether_served_or_not() {
    let setup = setup().await;
    setup.fault(1, Fault::DropBefore, Verb::Patch);
    setup.fault(1, Fault::DropAfter, Verb::Patch);
    assert!(is_broken(&setup.claim("b").await));
    assert_eq!(setup.holder(), "a");
    assert!(is_broken(&setup.claim("b").await));
    assert_eq!(setup.holder(), "b");
    setup.claim("c").await.unwrap();
}

/// The write of a deposed leader: sent long ago, with a version that was current then.
async fn a_held_write_arrives_late_and_loses_by_its_version() {
    let setup = setup().await;
    let read = setup.leases.get("l").await.unwrap();
    setup.fault(1, Fault::Hold, Verb::Patch);
    let faults = setup.api.faults().clone();
    let mut late = claim_of("late");
    late["metadata"]["resourceVersion"] = json!(read.metadata.resource_version);
    let sender = setup.leases.clone();
    let sent = tokio::spawn(async move { merge(&sender, "l", late).await });
    faults.wait_held(1).await;
    setup.claim("b").await.unwrap();
    faults.release();
    assert_eq!(refusal(sent.await.unwrap()), refused(409, "Conflict"));
    assert_eq!(setup.holder(), "b");
}

async fn a_held_write_arrives_although_its_sender_has_gone() {
    let setup = setup().await;
    setup.fault(1, Fault::Hold, Verb::Patch);
    let faults = setup.api.faults().clone();
    let gave_up = timeout(PATIENCE, setup.claim("late")).await;
    assert!(gave_up.is_err());
    faults.wait_held(1).await;
    assert_eq!(setup.holder(), "a");
    let before = setup.api.resource_version().to_string();
    let params = WatchParams::default();
    let events = setup.leases.watch(&params, &before).await;
    let mut events = events.unwrap().boxed();
    faults.release();
    events.next().await.unwrap().unwrap();
    assert_eq!(setup.holder(), "late");
}

async fn a_stale_list_is_for_those_who_ask_for_any_version() {
    let setup = setup().await;
    let past = setup.api.resource_version();
    setup.claim("b").await.unwrap();
    let fault = Fault::Stale { version: past };
    let lists = Matcher::of(Verb::List, "leases");
    setup.api.faults().add(Rule::always(fault, lists));
    let holder = |params: ListParams| async move {
        let list = setup.leases.list(&params).await.unwrap();
        let version = list.metadata.resource_version.clone().unwrap();
        let spec = list.items.into_iter().next().unwrap().spec.unwrap();
        (spec.holder_identity.unwrap(), version)
    };
    let any = holder(ListParams::default().match_any());
    assert_eq!(any.await, ("a".to_owned(), past.to_string()));
}

async fn a_stale_list_does_not_touch_a_list_of_the_newest() {
    let setup = setup().await;
    let past = setup.api.resource_version();
    setup.claim("b").await.unwrap();
    setup.fault(1, Fault::Stale { version: past }, Verb::List);
    let list = setup.leases.list(&ListParams::default()).await.unwrap();
    let spec = list.items.into_iter().next().unwrap().spec.unwrap();
    assert_eq!(spec.holder_identity.as_deref(), Some("b"));
    assert!(!setup.api.faults().spent());
}

async fn a_watch_is_cut_after_as_many_events_as_asked() {
    let setup = setup().await;
    setup.fault(1, Fault::CutWatch { after: 2 }, Verb::Watch);
    let start = setup.api.resource_version().to_string();
    let params = WatchParams::default();
    let events = setup.leases.watch(&params, &start).await.unwrap();
    for holder in ["b", "c", "d"] {
        setup.claim(holder).await.unwrap();
    }
    let all: Vec<bool> = events.map(|event| event.is_ok()).collect().await;
    assert_eq!(all, [true, true, false]);
}

async fn a_fault_for_one_client_leaves_the_other_alone() {
    let setup = setup().await;
    let on = Matcher::of(Verb::Get, "leases").by("one");
    let fault = Fault::Error { code: 503 };
    setup.api.faults().add(Rule::always(fault, on));
    let other = leases(&client(&setup.api, "other"));
    for _ in 0..2 {
        assert_eq!(refusal(setup.leases.get("l").await).0, 503);
        other.get("l").await.unwrap();
    }
    setup.api.faults().clear();
    setup.leases.get("l").await.unwrap();
}

async fn an_api_that_ends_lets_go_of_everybody() {
    let setup = setup().await;
    setup.fault(1, Fault::StallBefore, Verb::Get);
    let start = setup.api.resource_version().to_string();
    let params = WatchParams::default();
    let events = setup.leases.watch(&params, &start).await.unwrap();
    let stalled = setup.leases.clone();
    let stalled = tokio::spawn(async move { stalled.get("l").await });
    while setup.api.requests(Verb::Get, "leases") == 0 {
        tokio::task::yield_now().await;
    }
    timeout(Duration::from_secs(5), setup.api.shutdown())
        .await
        .unwrap();
    assert_eq!(refusal(stalled.await.unwrap()).0, 503);
    assert_eq!(events.count().await, 0);
    assert!(is_broken(&setup.leases.get("l").await));
}
