//! The Lease object and our marks on it, read into the words of the election.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;

use crate::domain::election::{Hold, HolderId, LeaseView, Version};
use crate::telemetry::context::Place;

/// The epoch of the last holder. `leaseTransitions` cannot carry it: it counts changes of holder,
/// begins at 0 when the object is deleted, and has 31 bits.
pub(super) const EPOCH: &str = "rds.csi.srvlab.io/epoch";
/// The holder, once it has fenced itself and asks others to take over.
pub(super) const OFFERED_BY: &str = "rds.csi.srvlab.io/offered-by";
/// The last holder, if it gave the Lease up itself. Without it an empty Lease is not free at once.
pub(super) const RELEASED_BY: &str = "rds.csi.srvlab.io/released-by";

/// The last root span of the last holder, as a `traceparent`: where whoever looks into a failover goes on.
pub(super) const TRACE: &str = "rds.csi.srvlab.io/trace";

/// The span that a Lease names, if it names one.
pub(super) fn trace(lease: &Lease) -> Option<Place> {
    let annotations = lease.metadata.annotations.as_ref()?;
    annotations.get(TRACE)?.parse().ok()
}

/// What the election needs to know of a Lease; `None` for an object that was never stored.
pub(super) fn view(lease: &Lease) -> Option<LeaseView> {
    let version = lease.metadata.resource_version.as_deref()?;
    let spec = lease.spec.clone().unwrap_or_default();
    let holder = spec
        .holder_identity
        .as_deref()
        .and_then(HolderId::from_record);
    let mark = |key| {
        let annotations = lease.metadata.annotations.as_ref()?;
        annotations.get(key).map(String::as_str)
    };
    let hold = match holder {
        Some(holder) if mark(OFFERED_BY) == Some(holder.as_str()) => Hold::Offered(holder),
        Some(holder) => Hold::Held(holder),
        None if mark(RELEASED_BY).is_some_and(|by| !by.is_empty()) => Hold::Released,
        None => Hold::Nobody,
    };
    Some(LeaseView {
        version: Version::new(version),
        hold,
        renewed: spec
            .renew_time
            .map(|moment| moment.0.to_string())
            .unwrap_or_default(),
        lasts: spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs),
        transitions: spec
            .lease_transitions
            .and_then(|count| u64::try_from(count).ok())
            .unwrap_or_default(),
        epoch: LeaseView::epoch_from_record(mark(EPOCH).unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(spec: &serde_json::Value, annotations: &serde_json::Value) -> LeaseView {
        let lease = json!({
            "metadata": {"resourceVersion": "7", "annotations": annotations},
            "spec": spec,
        });
        view(&serde_json::from_value(lease).unwrap()).unwrap()
    }

    #[test]
    fn whose_a_lease_is_depends_on_marks_that_fit_its_holder() {
        let id = |name| HolderId::from_record(name).unwrap();
        let rows = [
            (json!("a"), json!({}), Hold::Held(id("a"))),
            (json!("a"), json!({OFFERED_BY: "a"}), Hold::Offered(id("a"))),
            // A mark that an earlier holder left behind.
            (json!("a"), json!({OFFERED_BY: "b"}), Hold::Held(id("a"))),
            (json!("a"), json!({RELEASED_BY: "b"}), Hold::Held(id("a"))),
            (json!(""), json!({RELEASED_BY: "a"}), Hold::Released),
            (json!(null), json!({RELEASED_BY: "a"}), Hold::Released),
            (json!(""), json!({RELEASED_BY: ""}), Hold::Nobody),
            (json!(""), json!({OFFERED_BY: ""}), Hold::Nobody),
            (json!(null), json!(null), Hold::Nobody),
        ];
        for (holder, annotations, expected) in rows {
            let seen = read(&json!({"holderIdentity": holder}), &annotations);
            assert_eq!(seen.hold, expected, "{holder} {annotations}");
        }
        assert_eq!(read(&json!(null), &json!(null)).hold, Hold::Nobody);
    }

    #[test]
    fn numbers_that_make_no_sense_count_as_absent() {
        let rows = [
            (json!({}), None, 0),
            (
                json!({"leaseDurationSeconds": -5, "leaseTransitions": -1}),
                None,
                0,
            ),
            (
                json!({"leaseDurationSeconds": 15, "leaseTransitions": 4}),
                Some(15),
                4,
            ),
        ];
        for (spec, seconds, transitions) in rows {
            let seen = read(&spec, &json!({EPOCH: "no number"}));
            assert_eq!(seen.lasts, seconds.map(Duration::from_secs), "{spec}");
            assert_eq!(seen.transitions, transitions, "{spec}");
            assert_eq!(seen.epoch.digits(), 0, "{spec}");
        }
    }
}
