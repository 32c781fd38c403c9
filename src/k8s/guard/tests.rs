//! What the guard lets through, without a server.

use super::*;

fn session(order: Order) -> Arc<Session> {
    Session::new(&HolderId::from_record("me").unwrap(), order)
}

fn acquire(version: &str) -> Order {
    Order::Acquire {
        expecting: Version::new(version),
        epoch: Epoch::from_record(9),
    }
}

fn renew(offer: bool) -> Order {
    let epoch = Epoch::from_record(9);
    Order::Renew { epoch, offer }
}

fn lease(version: &str, holder: &str) -> Vec<u8> {
    let spec = json!({
        "holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 3,
        "renewTime": "2099-01-01T00:00:00.000000Z",
    });
    let lease = json!({"metadata": {"resourceVersion": version}, "spec": spec});
    serde_json::to_vec(&lease).unwrap()
}

fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn a_write_carries_the_version_that_was_read_and_only_once() {
    let session = session(renew(false));
    session.read(&lease("41", "me")).unwrap();
    let patch = session.write(&Method::PATCH, br#"{"metadata":{"name":"l"},"spec":{}}"#);
    let patch = value(&patch.unwrap());
    assert_eq!(patch["metadata"]["resourceVersion"], "41");
    assert_eq!(patch["metadata"]["name"], "l");
    assert!(
        session.write(&Method::PATCH, b"{}").is_err(),
        "a second one"
    );
}

#[test]
fn a_write_that_follows_no_read_is_refused() {
    let rows: [(Order, Option<Option<&str>>, Method, bool); 9] = [
        // order, what was read (a holder, or that there is nothing), the write, passes
        (renew(false), None, Method::PATCH, false),
        (renew(false), None, Method::POST, false),
        (renew(false), Some(Some("me")), Method::PATCH, true),
        (renew(false), Some(Some("me")), Method::POST, false),
        (renew(false), Some(Some("me")), Method::PUT, false),
        (renew(false), Some(Some("me")), Method::DELETE, false),
        (renew(false), Some(None), Method::POST, true),
        (renew(false), Some(None), Method::PATCH, false),
        (acquire("1"), Some(Some("other")), Method::PATCH, true),
    ];
    for (order, read, method, passes) in rows {
        let session = session(order.clone());
        match read {
            Some(Some(holder)) => drop(session.read(&lease("1", holder)).unwrap()),
            Some(None) => session.absent().unwrap(),
            None => {}
        }
        let written = session.write(&method, b"{}");
        assert_eq!(written.is_ok(), passes, "{order:?} {read:?} {method}");
    }
}

#[test]
fn a_read_against_the_order_ends_the_call_and_says_why() {
    let rows = [
        (acquire("1"), "other", None),
        (acquire("1"), "me", None),
        (
            acquire("2"),
            "other",
            Some("the Lease changed in the meantime"),
        ),
        (renew(false), "me", None),
        (renew(false), "other", Some("the Lease is not ours")),
        (renew(false), "", Some("the Lease is not ours")),
        (Order::Release, "me", None),
        (Order::Release, "other", Some("the Lease is not ours")),
    ];
    for (order, holder, why) in rows {
        let session = session(order.clone());
        let read = session.read(&lease("1", holder));
        let refusal = session.refusal().map(|failure| failure.to_string());
        assert_eq!(refusal.as_deref(), why, "{order:?} {holder}");
        assert_eq!(read.is_err(), why.is_some(), "{order:?} {holder}");
    }
    let session = session(acquire("1"));
    assert!(session.absent().is_err(), "the Lease it expects is gone");
}

#[test]
fn the_library_never_sees_what_another_clock_said() {
    let session = session(acquire("1"));
    let shown = value(&session.read(&lease("1", "other")).unwrap());
    assert_eq!(
        shown["spec"],
        json!({
            "holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 3,
            "renewTime": LONG_AGO,
        })
    );
}

#[test]
fn fields_that_the_library_stumbles_over_are_made_whole() {
    let rows = [
        (json!({}), 0),
        (json!({"spec": null}), 0),
        (json!({"spec": {"leaseTransitions": null}}), 0),
        (json!({"spec": {"leaseTransitions": -7}}), 0),
        (json!({"spec": {"leaseTransitions": 5}}), 5),
        (
            json!({"spec": {"leaseTransitions": i32::MAX}}),
            i64::from(i32::MAX) - 1,
        ),
    ];
    for (mut lease, transitions) in rows {
        let before = lease.to_string();
        show_as_free(&mut lease);
        assert_eq!(lease["spec"]["leaseTransitions"], transitions, "{before}");
        assert_eq!(lease["spec"]["holderIdentity"], "", "{before}");
    }
}

#[test]
fn every_write_sets_and_clears_the_marks() {
    let rows = [
        (
            acquire("1"),
            json!({EPOCH: "9", OFFERED_BY: null, RELEASED_BY: null}),
        ),
        (
            renew(false),
            json!({EPOCH: "9", OFFERED_BY: null, RELEASED_BY: null}),
        ),
        (
            renew(true),
            json!({EPOCH: "9", OFFERED_BY: "me", RELEASED_BY: null}),
        ),
        (Order::Release, json!({OFFERED_BY: null, RELEASED_BY: "me"})),
    ];
    for (order, marks) in rows {
        let session = session(order.clone());
        session.read(&lease("1", "me")).unwrap();
        let patch = value(&session.write(&Method::PATCH, b"{}").unwrap());
        assert_eq!(patch["metadata"]["annotations"], marks, "{order:?}");
    }
}
