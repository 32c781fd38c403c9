//! The Lease as the election sees it: whose it is, and nothing that another machine's clock said.

use std::fmt;
use std::time::Duration;

use crate::domain::error::Error;
use crate::domain::leadership::Epoch;

/// A holder is also the field manager of its patches, and Kubernetes takes 128 characters there.
const MAX_HOLDER: usize = 128;
/// Above this an epoch found on the Lease was not counted: a term a microsecond for nine years.
const MAX_EPOCH: u64 = 1 << 48;

/// Who holds the Lease. Ours are never used twice: a restarted process must not take itself for
/// its predecessor, whose commands may still be on their way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HolderId(String);

/// What Kubernetes calls a `resourceVersion`: differs after every write, and tells nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(String);

/// One state of the Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseView {
    /// Which state.
    pub version: Version,
    /// Whose it is.
    pub hold: Hold,
    /// The time of the last renewal as text. It is only ever compared with itself: the clock that
    /// wrote it may be an hour off.
    pub renewed: String,
    /// For how long the holder asked, if that is a span at all.
    pub lasts: Option<Duration>,
    /// How often the holder changed; 0 if the Lease does not say.
    pub transitions: u64,
    /// The epoch its last holder put on record.
    pub epoch: Epoch,
}

/// Whose a Lease is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// A replica, until it stops renewing.
    Held(HolderId),
    /// A replica that has fenced itself and goes on renewing until another takes over.
    Offered(HolderId),
    /// Its holder has stopped and said so: free at once.
    Released,
    /// Nobody, and no holder said that it stopped: a new or a damaged Lease, or one that was
    /// emptied by hand while its holder still leads.
    Nobody,
}

/// Why a call on the Lease did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The Lease is no longer in the state the call was meant for; nothing was written.
    #[error("the Lease changed in the meantime")]
    Conflict,
    /// We do not hold it; nothing was written.
    #[error("the Lease is not ours")]
    NotHeld(Box<LeaseView>),
    /// Nothing was sent: this process is in no state to hold the Lease.
    #[error("{0}")]
    Withheld(#[source] Error),
    /// No answer that says what happened: a write may have taken effect, or may yet.
    #[error("{0}")]
    Call(#[source] Error),
}

// === impl HolderId ===

impl HolderId {
    /// The id of one process: pod name, pod UID, and a number drawn when the process started.
    ///
    /// The name comes last to be read by people and first to be cut: it may have 253 characters.
    ///
    /// # Errors
    /// If the UID is missing or so long that the nonce would not fit.
    pub fn of_process(pod: &str, uid: &str, nonce: u64) -> Result<Self, Error> {
        let tail = format!("_{uid}_{nonce:016x}");
        let room = MAX_HOLDER.saturating_sub(tail.len());
        if uid.is_empty() || room == 0 || !(pod.is_ascii() && uid.is_ascii()) {
            return Err(Error::invalid(format!(
                "pod `{pod}` with UID `{uid}` cannot stand for election: name and UID come from the downward API and are plain ASCII, at most {MAX_HOLDER} characters together"
            )));
        }
        let pod: String = pod.chars().take(room).collect();
        Ok(Self(pod + &tail))
    }

    /// Whether `other` is another process of the same pod. Only a UID of the form that Kubernetes
    /// gives tells pods apart: `$(POD_UID)`, which is what stays when nobody fills it in, is the same
    /// text in every pod.
    pub fn succeeds(&self, other: &Self) -> bool {
        match (self.parts(), other.parts()) {
            (Some((pod, uid, nonce)), Some((other_pod, other_uid, other_nonce))) => {
                is_uuid(uid) && (pod, uid) == (other_pod, other_uid) && nonce != other_nonce
            }
            _ => false,
        }
    }

    /// Pod name, pod UID and nonce, if it has the form that [`HolderId::of_process`] gives.
    fn parts(&self) -> Option<(&str, &str, &str)> {
        let (pod_and_uid, nonce) = self.0.rsplit_once('_')?;
        let (pod, uid) = pod_and_uid.rsplit_once('_')?;
        let is_nonce = nonce.len() == 16 && nonce.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_nonce.then_some((pod, uid, nonce))
    }

    /// A holder read from a Lease, whoever wrote it; nobody if it is empty.
    pub fn from_record(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// As it stands in the Lease.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The 8-4-4-4-12 hexadecimal digits of a UUID, any but the one of zeros.
fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').map(str::len);
    let digits = text.bytes().filter(|byte| *byte != b'-');
    groups.eq([8, 4, 4, 4, 12])
        && digits.clone().all(|byte| byte.is_ascii_hexdigit())
        && !digits.clone().all(|byte| byte == b'0')
}

impl fmt::Display for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Version ===

impl Version {
    /// As Kubernetes told it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As Kubernetes wants it back.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl LeaseView ===

impl LeaseView {
    /// Whether `other` is the same state, by everything a holder changes when it renews.
    pub(super) fn stands_still(&self, other: &Self) -> bool {
        self.version == other.version && self.hold == other.hold && self.renewed == other.renewed
    }

    /// The epoch above every one this Lease knows of.
    pub(super) fn next_epoch(&self, on_the_rds: Epoch) -> Epoch {
        let counted = Epoch::from_record(self.transitions);
        counted.max(self.epoch).max(on_the_rds).next()
    }

    /// Reads the epoch on record. Nonsense counts as none: the epochs on the RDS still hold.
    pub fn epoch_from_record(text: &str) -> Epoch {
        match text.parse() {
            Ok(value) if value <= MAX_EPOCH => Epoch::from_record(value),
            Ok(_) | Err(_) => Epoch::ZERO,
        }
    }
}

impl Hold {
    /// Who would have to stop before another may lead.
    pub fn holder(&self) -> Option<&HolderId> {
        match self {
            Self::Held(holder) | Self::Offered(holder) => Some(holder),
            Self::Released | Self::Nobody => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_fits_a_field_manager_and_keeps_uid_and_nonce() {
        let uid = "0f3c7c5e-6d2c-4c58-9d0a-2f8f0d9b7a11";
        let long = "x".repeat(253);
        for pod in ["rds-csi-controller-7c9d8f4b6-abcde", &long, ""] {
            let id = HolderId::of_process(pod, uid, 0xa1).unwrap();
            assert!(id.as_str().len() <= MAX_HOLDER, "{id}");
            assert!(
                id.as_str().ends_with(&format!("_{uid}_00000000000000a1")),
                "{id}"
            );
        }
        for (pod, uid) in [("a", ""), ("a", "u".repeat(120).as_str()), ("ä", uid)] {
            assert!(HolderId::of_process(pod, uid, 1).is_err(), "{pod} {uid}");
        }
    }

    #[test]
    fn only_another_process_of_the_very_same_pod_is_a_predecessor() {
        const UID: &str = "0f3c7c5e-6d2c-4c58-9d0a-2f8f0d9b7a11";
        let me = HolderId::of_process("pod", UID, 2).unwrap();
        let rows = [
            (format!("pod_{UID}_0000000000000001"), true),
            (format!("pod_{UID}_0000000000000002"), false), // ourselves
            (format!("dop_{UID}_0000000000000001"), false),
            (
                format!("pod_{}_0000000000000001", UID.replace('1', "2")),
                false,
            ),
            (format!("pod_{UID}_1"), false),
            (format!("pod_{UID}_000000000000000g"), false),
            (format!("pod_{UID}"), false),
            (format!("{UID}_0000000000000001"), false),
            ("rds-csi-controller-0".into(), false),
        ];
        for (other, expected) in rows {
            let other = HolderId::from_record(&other).unwrap();
            assert_eq!(me.succeeds(&other), expected, "{other}");
        }
        let look_alikes = [
            "$(POD_UID)",
            "${POD_UID}",
            "{{ .Values.podUid }}",
            "uid",
            "00000000-0000-0000-0000-000000000000",
            "0f3c7c5e6d2c4c589d0a2f8f0d9b7a11",
            "0f3c7c5e-6d2c-4c58-9d0a-2f8f0d9b7a1g",
            "0f3c7c5e-6d2c-4c58-9d0a2f8f-0d9b7a11",
        ];
        for uid in look_alikes {
            let [old, new] = [1, 2].map(|nonce| HolderId::of_process("pod", uid, nonce).unwrap());
            assert!(!new.succeeds(&old), "{uid}");
        }
    }

    #[test]
    fn an_epoch_on_record_that_nobody_counted_is_no_epoch() {
        for (text, expected) in [
            ("0", 0),
            ("17", 17),
            ("281474976710656", 1 << 48),
            ("281474976710657", 0),
            ("18446744073709551615", 0),
            ("-1", 0),
            ("", 0),
            ("e5", 0),
        ] {
            assert_eq!(
                LeaseView::epoch_from_record(text).digits(),
                expected,
                "{text}"
            );
        }
    }
}
