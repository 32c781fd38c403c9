//! The names a machine connects with, as a publish context gives them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// What a controller answers to Publish.
pub type PublishContext = BTreeMap<String, String>;

/// The publish context cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the publish context has no {0}")]
pub struct BadContext(pub &'static str);

/// Who connects to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The subsystem to reach.
    pub subsystem_nqn: String,
    /// The name the host gives itself.
    pub host_nqn: String,
    /// The id the host gives itself.
    pub host_id: String,
}

impl Names {
    /// Names with the host id that belongs to the host name.
    pub fn new(subsystem_nqn: &str, host_nqn: &str) -> Self {
        Self {
            subsystem_nqn: subsystem_nqn.to_owned(),
            host_nqn: host_nqn.to_owned(),
            host_id: host_id_of(host_nqn),
        }
    }

    /// Names out of a publish context. A context without a host name is that of an older driver:
    /// the machine's own host name is used.
    ///
    /// # Errors
    /// The context lacks `nvme_address`, `nvme_port` or `nvme_nqn`.
    pub fn from_context(context: &PublishContext, own_host_nqn: &str) -> Result<Self, BadContext> {
        for key in ["nvme_address", "nvme_port"] {
            context.get(key).ok_or(BadContext(key))?;
        }
        let subsystem = context.get("nvme_nqn").ok_or(BadContext("nvme_nqn"))?;
        let host = context.get("nvme_hostnqn");
        Ok(Self::new(
            subsystem,
            host.map_or(own_host_nqn, String::as_str),
        ))
    }
}

/// A host id that follows from the host name, since Linux wants one of each to belong together.
fn host_id_of(host_nqn: &str) -> String {
    let digest = Sha256::digest(host_nqn);
    let mut id = String::new();
    for (place, byte) in digest.iter().take(16).enumerate() {
        if [4, 6, 8, 10].contains(&place) {
            id.push('-');
        }
        write!(id, "{byte:02x}").expect("a string can always be written to");
    }
    id
}

/// The slot in a subsystem name of the form `nqn.2000-02.com.mikrotik:<slot>[:…]`; otherwise the
/// whole name.
pub fn slot_of(subsystem_nqn: &str) -> &str {
    subsystem_nqn.split(':').nth(1).unwrap_or(subsystem_nqn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_context() {
        let mut context: PublishContext = [
            ("nvme_address", "10.0.0.1"),
            ("nvme_port", "4420"),
            ("nvme_nqn", "nqn.2000-02.com.mikrotik:csi-1:7-8-9"),
            ("nvme_hostnqn", "nqn.host"),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
        let names = Names::from_context(&context, "nqn.own").unwrap();
        assert_eq!(names.host_nqn, "nqn.host");
        assert_eq!(slot_of(&names.subsystem_nqn), "csi-1");
        assert_eq!(names.host_id.len(), 36);

        context.remove("nvme_hostnqn");
        let own = Names::from_context(&context, "nqn.own").unwrap();
        assert_eq!(own, Names::new(&names.subsystem_nqn, "nqn.own"));
        assert_ne!(own.host_id, names.host_id);

        for key in ["nvme_address", "nvme_port", "nvme_nqn"] {
            let mut lacking = context.clone();
            lacking.remove(key);
            assert_eq!(
                Names::from_context(&lacking, "nqn.own"),
                Err(BadContext(key))
            );
        }
    }
}
