//! The kinds this API serves, and what sets each apart.

use k8s_openapi::Resource;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::events::v1::Event as NewEvent;
use k8s_openapi::api::storage::v1::{CSINode, VolumeAttachment};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// One row of the table below. The values are those of an API server of Kubernetes 1.36.
#[derive(Debug)]
pub(super) struct Kind {
    /// Empty for the core group.
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    /// The plural in the path.
    pub(super) resource: &'static str,
    pub(super) name: &'static str,
    pub(super) namespaced: bool,
    /// What the `status` subresource means, for kinds that have it.
    pub(super) status: Option<StatusRules>,
    pub(super) put: PutRules,
    /// DELETE answers with the object that went, not with a Status.
    pub(super) returns_deleted: bool,
    /// `spec` never changes once created.
    pub(super) fixed_spec: bool,
    /// Reads the object as its own type and writes it back: wrong types are refused, unknown fields
    /// go, times get the form the API server gives them.
    pub(super) typed: fn(Value) -> Result<Value, serde_json::Error>,
}

/// What a kind makes of a PUT that does not say all it could.
#[derive(Debug)]
pub(super) struct PutRules {
    /// Without a resourceVersion it replaces whatever is there.
    pub(super) unconditional: bool,
    /// It creates an object that does not exist.
    pub(super) creates: bool,
}

/// How a kind with a `status` subresource treats it.
#[derive(Debug)]
pub(super) struct StatusRules {
    /// The status of every new object, as JSON; `None` takes what is sent.
    pub(super) initial: Option<&'static str>,
    /// A write of the subresource leaves metadata as it is.
    pub(super) keeps_metadata: bool,
}

fn typed<K: DeserializeOwned + Serialize>(value: Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_value::<K>(value)?)
}

const fn row<K: Resource + DeserializeOwned + Serialize>(namespaced: bool) -> Kind {
    Kind {
        group: K::GROUP,
        version: K::VERSION,
        resource: K::URL_PATH_SEGMENT,
        name: K::KIND,
        namespaced,
        status: None,
        put: PutRules {
            unconditional: true,
            creates: false,
        },
        returns_deleted: false,
        fixed_spec: false,
        typed: typed::<K>,
    }
}

/// Every kind there is.
pub(super) static KINDS: [Kind; 8] = [
    Kind {
        put: PutRules {
            unconditional: false,
            creates: true,
        },
        ..row::<Lease>(true)
    },
    Kind {
        status: Some(StatusRules {
            initial: Some(r#"{"attached":false}"#),
            keeps_metadata: true,
        }),
        put: PutRules {
            unconditional: false,
            creates: false,
        },
        returns_deleted: true,
        fixed_spec: true,
        ..row::<VolumeAttachment>(false)
    },
    Kind {
        status: Some(StatusRules {
            initial: Some(r#"{"phase":"Pending"}"#),
            keeps_metadata: false,
        }),
        returns_deleted: true,
        ..row::<PersistentVolume>(false)
    },
    Kind {
        status: Some(StatusRules {
            initial: Some(r#"{"phase":"Pending"}"#),
            keeps_metadata: false,
        }),
        returns_deleted: true,
        ..row::<PersistentVolumeClaim>(true)
    },
    Kind {
        status: Some(StatusRules {
            initial: None,
            keeps_metadata: false,
        }),
        ..row::<Node>(false)
    },
    Kind {
        put: PutRules {
            unconditional: false,
            creates: false,
        },
        returns_deleted: true,
        ..row::<CSINode>(false)
    },
    Kind {
        put: PutRules {
            unconditional: true,
            creates: true,
        },
        ..row::<Event>(true)
    },
    Kind {
        put: PutRules {
            unconditional: true,
            creates: true,
        },
        ..row::<NewEvent>(true)
    },
];

// === impl Kind ===

impl Kind {
    pub(super) fn find(group: &str, version: &str, resource: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| {
            kind.group == group && kind.version == version && kind.resource == resource
        })
    }

    /// The kind of an object by its own `apiVersion` and `kind`.
    pub(super) fn of(object: &Value) -> Option<&'static Self> {
        let api_version = object.get("apiVersion")?.as_str()?;
        let name = object.get("kind")?.as_str()?;
        KINDS
            .iter()
            .find(|kind| kind.name == name && kind.api_version() == api_version)
    }

    /// `v1` or `group/v1`.
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// How messages name the resource: `leases.coordination.k8s.io`, `nodes`.
    pub(super) fn qualified(&self) -> String {
        qualified(self.resource, self.group)
    }

    /// How messages of refused fields name the kind: `Lease.coordination.k8s.io`, `Node`.
    pub(super) fn qualified_name(&self) -> String {
        qualified(self.name, self.group)
    }
}

fn qualified(what: &str, group: &str) -> String {
    if group.is_empty() {
        what.to_owned()
    } else {
        format!("{what}.{group}")
    }
}
