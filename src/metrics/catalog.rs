//! Every metric there is: name, type, labels, help. `docs/metrics.md` is held to it by a test.
//!
//! Names that the Go driver has keep its name where they mean the same.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only ever goes up, until the process ends.
    Counter,
    /// How it is at the moment.
    Gauge,
    /// How often something took how long.
    Histogram,
}

/// One metric.
#[derive(Debug)]
pub struct Spec {
    /// As in queries; a histogram has `_bucket`, `_sum` and `_count` behind it.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says. No full stop: the registry writes one.
    pub help: &'static str,
}

/// Declares the metrics and the list of all of them.
macro_rules! catalog {
    ($($item:ident: $kind:ident $name:literal $labels:tt $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $item: Spec = Spec {
                name: $name,
                kind: Kind::$kind,
                labels: &$labels,
                help: $help,
            };
        )*
        /// All of them, in the order in which they are documented.
        pub const ALL: &[&Spec] = &[$(&$item),*];
    };
}

catalog! {
    BUILD: Gauge "rds_csi_build_info" ["version", "commit"]
        "Always 1; what the driver was built from is in the labels";

    RPC_DURATION: Histogram "rds_csi_rpc_duration_seconds" ["method", "code"]
        "CSI calls from arrival to answer; CANCELLED if the caller went away";
    RPC_IN_FLIGHT: Gauge "rds_csi_rpc_in_flight" ["method"]
        "CSI calls that are not answered yet";
    SHARD_WAITING: Gauge "rds_csi_shard_waiting" ["shard"]
        "Operations that wait for their turn";
    SHARD_RUNNING: Gauge "rds_csi_shard_running" ["shard"]
        "Operations under way";
    SHARD_OLDEST: Gauge "rds_csi_shard_oldest_seconds" ["shard"]
        "How long the operation that waits longest has waited; 0 if none waits";
    CACHE_LOOKUPS: Counter "rds_csi_cache_lookups_total" ["result"]
        "Attaches and detaches whose first line could be built on what was last seen (hit), or needed a read before it (miss)";

    RDS_COMMAND_DURATION: Histogram "rds_csi_rds_command_duration_seconds" ["verb", "outcome"]
        "RouterOS lines from asking for a session to the complete reply; unknown is a change whose reply was lost";
    RDS_UNKNOWN: Counter "rds_csi_rds_unknown_outcomes_total" []
        "Changes whose reply was lost: each is resolved by reading before anybody is told anything";
    RDS_CONNECTIONS: Gauge "rds_csi_rds_connections" ["state"]
        "SSH sessions that should be there (wanted), are there (up), and run a line (busy)";
    RDS_CONNECTION_STATE: Gauge "rds_csi_rds_connection_state" []
        "1 if there is an SSH session with the RDS";
    RDS_LINES_WAITING: Gauge "rds_csi_rds_lines_waiting" []
        "RouterOS lines that wait for a session";
    RDS_RECONNECT: Counter "rds_csi_rds_reconnect_total" ["status"]
        "SSH sessions made to replace a lost or old one (success), and attempts that came to nothing (failure)";
    RDS_RESTARTS: Counter "rds_csi_rds_restarts_total" []
        "Restarts of the RDS that were noticed, doubtful ones included";
    RDS_ANSWER_AGE: Gauge "rds_csi_rds_answer_age_seconds" []
        "Since when the RDS has not answered this replica; each asks at least every 30 s";
    RDS_POOL_SIZE: Gauge "rds_csi_rds_pool_size_bytes" []
        "Size of the pool that holds the volumes";
    RDS_POOL_FREE: Gauge "rds_csi_rds_pool_free_bytes" []
        "Room in that pool";
    RDS_POOL_AGE: Gauge "rds_csi_rds_pool_age_seconds" []
        "How old size and room of the pool are";

    ATTACH: Counter "rds_csi_attachment_attach_total" ["fencing"]
        "Grants told to a node that could not connect before, by what the RDS enforces";
    DETACH: Counter "rds_csi_attachment_detach_total" []
        "Grants revoked as asked and read back free";
    CONFLICTS: Counter "rds_csi_attachment_conflicts_total" []
        "Attaches refused because another node holds the volume";
    STALE_CLEARED: Counter "rds_csi_attachment_stale_cleared_total" []
        "Grants taken from a node that is gone or has no VolumeAttachment";
    REPAIRS: Counter "rds_csi_attachment_repairs_total" ["kind"]
        "Grants brought in line: reopened, remade, revoked; lost could not be";
    MIGRATIONS: Counter "rds_csi_migration_migrations_total" ["result"]
        "Live migrations: started, and how they ended";
    VOLUMES: Gauge "rds_csi_volumes" ["state"]
        "Volumes that some node may be using (granted) and that none does (free); from the leader";
    BLOCKED: Gauge "rds_csi_blocked_volumes" []
        "Volumes that are not served until somebody acts; from the leader";
    DRIFT: Gauge "rds_csi_drift_volumes" []
        "Volumes that the last reconcile passes found not as they should be; from the leader";
    ORPHAN_GRANTS: Gauge "rds_csi_orphan_grants" []
        "Grants that no VolumeAttachment asks for; revoked after the grace period; from the leader";
    ORPHAN_VOLUMES: Gauge "rds_csi_orphan_volumes" []
        "Volumes that no PersistentVolume has, at most 64 of a shard; never deleted; from the leader";
    FENCING: Gauge "rds_csi_fencing_mode" ["mode"]
        "1 for what the RDS enforces against a second writer, pair being best; from the leader";

    LEADER: Gauge "rds_csi_leader" []
        "1 while this replica holds leadership that has not run out";
    READY: Gauge "rds_csi_ready" []
        "1 while this replica serves calls, as Probe says";
    EPOCH: Gauge "rds_csi_leader_epoch" []
        "The epoch of the term, or on a standby the one it last saw on the Lease";
    DEADLINE: Gauge "rds_csi_leader_deadline_seconds" []
        "Until leadership ends if nothing renews it; from the leader";
    LEASE_AGE: Gauge "rds_csi_lease_age_seconds" []
        "Since the Lease was last seen to change";
    LEASE_CALLS: Histogram "rds_csi_lease_call_duration_seconds" ["call", "outcome"]
        "Calls on the Lease; call=renew is what keeps leadership";
    TRANSITIONS: Counter "rds_csi_leader_transitions_total" []
        "Changes of the holder of the Lease that this replica saw";
    SELF_FENCES: Counter "rds_csi_leader_self_fences_total" ["reason"]
        "Times that this replica stopped itself from leading; but for offered its process ends within a second, so look at failovers of kind expired, too";
    FAILOVER: Histogram "rds_csi_failover_duration_seconds" ["kind"]
        "From the last sign of life of the former leader that this replica saw until it serves itself";
    REBUILD: Histogram "rds_csi_rebuild_duration_seconds" ["phase", "outcome"]
        "Reading every register on the RDS (rds), and joining the claims to them and repairing (join)";
    REBUILD_ROWS: Gauge "rds_csi_rebuild_rows" ["kind"]
        "What the last rebuild of this replica found";

    EVENTS_POSTED: Counter "rds_csi_events_posted_total" []
        "Kubernetes events that the API took";
    EVENTS_LOST: Counter "rds_csi_events_lost_total" ["reason"]
        "Kubernetes events without room to wait (dropped), refused by the API (failed), or about a volume whose claim is not known (homeless)";
    TELEMETRY_DROPPED: Counter "rds_csi_telemetry_dropped_total" []
        "Spans that were not exported, since the collector is slow or away";
}

// === impl Kind ===

impl Kind {
    /// The word in `# TYPE` lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

// === impl Spec ===

impl Spec {
    /// The name without what the text format puts behind a counter.
    pub fn stem(&self) -> &'static str {
        self.name.strip_suffix("_total").unwrap_or(self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// What a name of this type and unit ends with (Prometheus, "Metric and label naming").
    const UNITS: [&str; 2] = ["_seconds", "_bytes"];

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        let mut seen = HashSet::new();
        for spec in ALL {
            let Spec {
                name,
                kind,
                labels,
                help,
            } = spec;
            assert!(seen.insert(name), "{name} is there twice");
            assert!(name.starts_with("rds_csi_"), "{name}");
            let plain = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            assert!(
                plain(name) && labels.iter().all(|label| plain(label)),
                "{name}"
            );
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            if *kind == Kind::Histogram {
                assert!(UNITS.iter().any(|unit| name.ends_with(unit)), "{name}");
            }
            assert!(!help.is_empty() && !help.ends_with('.'), "{name}: {help}");
        }
    }
}
