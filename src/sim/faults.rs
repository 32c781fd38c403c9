//! Faults of the device itself (the transport has its own): slow, failing and full.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Faults in force. Verbs are written in full: `/disk/set`, `/file/remove`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeviceFaults {
    /// Milliseconds a verb waits before it is applied, after its `[find …]` was evaluated.
    pub delays_ms: BTreeMap<String, u64>,
    /// Verbs that print a text and fail.
    pub fail: BTreeMap<String, VerbFailure>,
    /// Every `add` and every growth fails as if the pool had no room.
    pub full: bool,
}

/// One failing verb.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VerbFailure {
    /// What the device prints.
    pub text: String,
    /// How many calls fail before the verb works again; without it all do.
    #[serde(default)]
    pub times: Option<u32>,
    /// Apply the verb first and fail then: the text claims a failure that did not happen.
    #[serde(default)]
    pub after_effect: bool,
}

impl DeviceFaults {
    /// How long `verb` waits before it is applied.
    pub fn delay(&self, verb: &str) -> Option<Duration> {
        self.delays_ms.get(verb).copied().map(Duration::from_millis)
    }

    /// Spends one failure of `verb`, if any is left.
    pub fn take_failure(&mut self, verb: &str) -> Option<VerbFailure> {
        let failure = self.fail.get_mut(verb)?;
        if let Some(times) = &mut failure.times {
            *times = times.checked_sub(1)?;
        }
        Some(failure.clone())
    }
}
