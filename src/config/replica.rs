//! How one controller of several finds the others, as meant.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::{LeaseArgs, Profile, ReplicaArgs};
use crate::config::{Invalid, invalid, lease_name};
use crate::domain::election::{ShortCutRules, Timing};

/// Under this, a shard would still be at its last pass when the next is due: a pass reads two pages
/// of the RDS and asks the API about what looks wrong.
const SHORTEST_RECONCILE: Duration = Duration::from_secs(1);

/// The configuration of a replica.
#[derive(Debug)]
pub struct ReplicaConfig {
    /// How to reach the API; as a pod does, if not given.
    pub kubeconfig: Option<PathBuf>,
    /// The namespace of the Lease; that of the kubeconfig or the pod, if not given.
    pub namespace: Option<String>,
    /// The name of the Lease.
    pub lease: String,
    /// The times of the election.
    pub timing: Timing,
    /// The name of this pod.
    pub pod: String,
    /// The UID of this pod.
    pub pod_uid: String,
    /// What proves that a former process of this pod is dead.
    pub lock_file: Option<PathBuf>,
    /// When that earns this one the Lease at once.
    pub short_cut: ShortCutRules,
    /// Between two reconcile passes of a shard.
    pub reconcile_interval: Duration,
    /// How long something must look wrong before it is taken away.
    pub grace: Duration,
}

// === impl ReplicaConfig ===

impl ReplicaConfig {
    pub(super) fn read(args: ReplicaArgs, driver: &str) -> Result<Self, Invalid> {
        let ReplicaArgs {
            lease:
                LeaseArgs {
                    kubeconfig,
                    leader_election_namespace,
                    leader_election_lease,
                },
            leader_election_profile,
            leader_election_lease_duration,
            leader_election_renew_deadline,
            leader_election_retry_period,
            unsafe_lease_duration,
            pod_name,
            pod_uid,
            lock_file,
            unsafe_short_cut_after,
            attachment_reconcile_interval,
            attachment_grace_period,
        } = args;
        let base = match leader_election_profile {
            Profile::Default => Timing::default(),
            Profile::Conservative => Timing::conservative(),
        };
        let lease = leader_election_lease_duration.unwrap_or(base.lease());
        let deadline = leader_election_renew_deadline.unwrap_or(base.renew_deadline());
        let retry = leader_election_retry_period.unwrap_or(base.retry());
        let timing = if unsafe_lease_duration {
            Timing::unsafely(lease, deadline, retry)
        } else {
            Timing::new(lease, deadline, retry)
        };
        let mut short_cut = ShortCutRules::default();
        if let Some(led_for) = unsafe_short_cut_after {
            short_cut.led_for = led_for;
        }
        if attachment_reconcile_interval < SHORTEST_RECONCILE {
            return Err(invalid(
                "attachment-reconcile-interval",
                format!("{attachment_reconcile_interval:?} is less than {SHORTEST_RECONCILE:?}"),
            ));
        }
        Ok(Self {
            kubeconfig,
            namespace: leader_election_namespace,
            lease: leader_election_lease.unwrap_or_else(|| lease_name(driver)),
            timing: timing
                .map_err(|error| invalid("leader-election-lease-duration", error.to_string()))?,
            pod: required("pod-name", pod_name)?,
            pod_uid: required("pod-uid", pod_uid)?,
            lock_file,
            short_cut,
            reconcile_interval: attachment_reconcile_interval,
            grace: attachment_grace_period,
        })
    }
}

/// Without them a replica cannot be told from another, and its own former process not from itself.
fn required(flag: &'static str, value: Option<String>) -> Result<String, Invalid> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| {
        invalid(
            flag,
            "required without --standalone: the pod's own, from the downward API (fieldRef)",
        )
    })
}
