//! What is reported, as JSON and in its own words: the same types at both ends. Durations are in
//! milliseconds and end with `_ms`; a moment is in seconds since 1970 and ends with `_unix`. What
//! whoever was asked cannot know is `null`, never zero.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a replica is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The only controller, by the operator's word.
    Standalone,
    /// It holds the Lease and serves calls.
    Leader,
    /// It holds the Lease and is still reading what is granted.
    Rebuilding,
    /// It holds the Lease, cannot reach the RDS, and asks another replica to take over.
    Offering,
    /// Another one leads.
    Standby,
    /// It finishes what it does and serves no new calls.
    Draining,
    /// No replica was asked: this is what the Kubernetes API and the RDS say.
    Outside,
}

/// One replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The name of the driver.
    pub driver: String,
    /// The version of the binary that answers.
    pub version: String,
    /// The name of this pod; absent if no replica was asked.
    pub instance: Option<String>,
    /// What this replica is.
    pub role: Role,
    /// Whether it serves calls.
    pub ready: bool,
    /// Why it does not; of [`Role::Outside`], what could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_ready_because: Option<String>,
    /// Who holds the Lease, as it stands there.
    pub holder: Option<String>,
    /// The term: its own, or that of the leader as the Lease tells it.
    pub epoch: Option<u64>,
    /// How long ago the Lease was last seen to change; of [`Role::Outside`], how long ago it was
    /// renewed, by the clocks of this machine and of the leader's.
    pub lease_age_ms: Option<u64>,
    /// How long this replica leads if it cannot renew the Lease.
    pub deadline_ms: Option<u64>,
    /// What the RDS enforces; absent as long as that has not been found out.
    pub fencing: Option<Fencing>,
    /// The RDS.
    pub rds: Rds,
    /// The queues of calls, by number. Only a replica has any.
    pub shards: Option<Vec<Shard>>,
    /// Volumes by what their register says; a standby does not know.
    pub attachments: Option<Attachments>,
    /// What differs from what it should be, and is not repaired yet. Only a leader looks.
    pub drift: Option<Vec<Drift>>,
    /// Events for Kubernetes. Only a replica posts any.
    pub events: Option<Events>,
    /// What this replica decided last, about any volume; absent if it has decided nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_decision: Option<Decision>,
}

/// What was decided about a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The volume.
    pub volume: String,
    /// `publish`, `unpublish` or `mend`.
    pub operation: String,
    /// `grant`, `held`, `revoke` and the like.
    pub decided: String,
    /// How long ago.
    pub age_ms: u64,
    /// The trace to look up, if this replica traces.
    pub trace: Option<String>,
}

/// What the RDS enforces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fencing {
    /// `pair`, `host-nqn`, `subsystem-nqn` or `controller`.
    pub mode: String,
    /// Whether that was put to the proof on this device and version.
    pub verified: bool,
}

/// The RDS, as this replica sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rds {
    /// Host name or IP address.
    pub address: String,
    /// Whether it answered when it was last asked; absent if it was not: a standby does not ask.
    pub reachable: Option<bool>,
    /// How often a replica has noticed it to restart, doubtful times included.
    pub incarnation: Option<u64>,
    /// How long ago it last answered; absent if it never did.
    pub last_answer_ms: Option<u64>,
}

/// One queue of calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Calls that wait for their turn.
    pub waiting: u64,
    /// Calls under way.
    pub running: u64,
    /// How long the oldest of them has been there; 0 if there is none.
    pub oldest_ms: u64,
}

/// Volumes, by what their register says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachments {
    /// Some node can connect.
    pub granted: u64,
    /// None can.
    pub free: u64,
    /// Not served until somebody acts. Only a leader knows.
    pub blocked: Option<Vec<Blocked>>,
}

/// A volume that is not served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// Its id.
    pub volume: String,
    /// Why, and what to do.
    pub why: String,
}

/// Something that differs from what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// The volume.
    pub volume: String,
    /// What differs.
    pub what: String,
    /// Since when that is known.
    pub age_ms: u64,
}

/// Events for Kubernetes, since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// Taken by the API.
    pub posted: u64,
    /// Not sent, as too many waited.
    pub dropped: u64,
    /// Not taken by the API.
    pub failed: u64,
}

/// Everything about one volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The volume.
    pub volume: String,
    /// `namespace/name` of its claim, if that is known.
    pub pvc: Option<String>,
    /// Who holds it.
    pub holder: Option<Holder>,
    /// What stands on the RDS; absent if there is no entry.
    pub register: Option<Register>,
    /// The VolumeAttachments on it.
    pub claims: Vec<Attachment>,
    /// What was decided about it last by the replica that answers; absent if it decided nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_decision: Option<Decision>,
    /// Whether another node would get it now, and if not, why. Names no NQN.
    pub verdict: String,
    /// What an operator can do, in this order. Names no NQN.
    pub advice: Vec<String>,
}

/// Who holds a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The node, as the names on the RDS give it.
    pub node: String,
    /// Since when.
    pub since_unix: u64,
    /// How long that is ago, by the clock of the replica.
    pub age_ms: u64,
    /// The term in which it was granted.
    pub epoch: u64,
}

/// The entry on the RDS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// `free`, `prepared`, `granted`, `stray` or `foreign`.
    pub state: String,
    /// Whether it is exported.
    pub exported: bool,
    /// The subsystem name.
    pub subsystem: Option<String>,
    /// The allowed host name.
    pub host: Option<String>,
}

/// A VolumeAttachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// The node.
    pub node: String,
    /// `attach` or `detach`.
    pub wish: String,
    /// `status.attached`.
    pub attached: bool,
    /// Whether the node was told the names that stand on the RDS now.
    pub told: bool,
    /// The machine: `present`, `out-of-service` or `gone`.
    pub machine: String,
}

// === impl Role ===

impl Role {
    /// The word, the same as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Leader => "leader",
            Self::Rebuilding => "rebuilding",
            Self::Offering => "offering",
            Self::Standby => "standby",
            Self::Draining => "draining",
            Self::Outside => "outside",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Explanation ===

impl Explanation {
    /// The same without the random part of names: with it, whoever can reach the RDS could connect.
    #[must_use]
    pub fn for_everybody(mut self) -> Self {
        if let Some(register) = &mut self.register {
            for name in [&mut register.subsystem, &mut register.host] {
                *name = name.as_deref().map(without_tail);
            }
        }
        self
    }
}

/// A name up to its last dash: `…:<epoch>-<unix time>-<random>` is how ours end.
fn without_tail(name: &str) -> String {
    match name.rsplit_once('-') {
        Some((known, _)) => format!("{known}-..."),
        // The name of another system, of which nothing is known: all of it may be its secret.
        None => "...".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_random_part_of_a_name_is_shown_to_nobody_in_public() {
        let rows = [
            (
                "nqn.2000-02.com.mikrotik:csi-01:7-1700000000-00ff00ff00ff00ff",
                "nqn.2000-02.com.mikrotik:csi-01:7-1700000000-...",
            ),
            ("secret", "..."),
            ("", "..."),
        ];
        for (name, expected) in rows {
            assert_eq!(without_tail(name), expected);
        }
    }

    #[test]
    fn the_word_of_a_role_is_the_one_in_json() {
        let roles = [
            Role::Standalone,
            Role::Leader,
            Role::Rebuilding,
            Role::Offering,
            Role::Standby,
            Role::Draining,
            Role::Outside,
        ];
        for role in roles {
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
    }
}
