//! The string maps that travel with a volume: the only place that knows their keys.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::domain::access::FsType;
use crate::domain::error::Error;
use crate::domain::id::VolumeId;
use crate::domain::names::{Names, SUBSYSTEM_STEM};
use crate::domain::parameters::{self, Parameters};

/// The key of the subsystem name in a publish_context.
const SUBSYSTEM: &str = "nvme_nqn";
/// The key of the host name in a publish_context.
const HOST: &str = "nvme_hostnqn";

/// `volume_context`: what CreateVolume tells every later call, in the Go driver's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeContext {
    /// What the StorageClass said.
    pub parameters: Parameters,
    /// The controller's own RDS, where the StorageClass names none.
    pub rds_address: String,
    /// Where nodes connect.
    pub nvme_address: IpAddr,
    /// The backing file.
    pub path: String,
}

/// Where nodes connect: the part of a volume_context that Publish reads back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Portal {
    /// `nvmeAddress`.
    pub address: Option<IpAddr>,
    /// `nvmePort`.
    pub port: Option<u16>,
}

/// `publish_context`: everything a node needs for one attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishContext {
    /// Where to connect.
    pub address: IpAddr,
    /// Where to connect.
    pub port: u16,
    /// The subsystem name of this grant.
    pub subsystem: String,
    /// The host name of this grant; `None` where the device has no allow-list.
    pub host: Option<String>,
    /// What to format and mount.
    pub fs_type: FsType,
}

// === impl VolumeContext ===

impl VolumeContext {
    /// The map for CreateVolume. `nqn` is the stem that all subsystem names of the volume share:
    /// each attachment appends a tail of its own, told by publish_context.
    pub fn to_map(&self, volume: &VolumeId) -> HashMap<String, String> {
        let parameters = &self.parameters;
        let rds_address = parameters.rds_address.as_ref().unwrap_or(&self.rds_address);
        [
            ("rdsAddress", rds_address.clone()),
            ("nvmeAddress", self.nvme_address.to_string()),
            ("nvmePort", parameters.nvme_port.to_string()),
            ("nqn", format!("{SUBSYSTEM_STEM}{volume}")),
            ("volumePath", self.path.clone()),
            ("ctrlLossTmo", parameters.ctrl_loss_tmo.to_string()),
            ("reconnectDelay", parameters.reconnect_delay.to_string()),
            ("keepAliveTmo", parameters.keep_alive_tmo.to_string()),
            (
                "migrationTimeoutSeconds",
                parameters.migration_timeout.to_string(),
            ),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }
}

// === impl Portal ===

impl Portal {
    /// Reads a volume_context, made by this driver, by the Go driver, or by hand for a static PV.
    /// Keys that others add are left alone.
    ///
    /// # Errors
    /// `Invalid`, naming the key.
    pub fn from_request(context: &HashMap<String, String>) -> Result<Self, Error> {
        let field = |key: &str| context.get(key).filter(|value| !value.is_empty());
        Ok(Self {
            address: field("nvmeAddress")
                .map(|value| parameters::ip("volume_context.nvmeAddress", value))
                .transpose()?,
            port: field("nvmePort")
                .map(|value| parameters::port("volume_context.nvmePort", value))
                .transpose()?,
        })
    }
}

// === impl PublishContext ===

impl PublishContext {
    /// The map for ControllerPublishVolume.
    pub fn to_map(&self) -> HashMap<String, String> {
        let Self {
            address,
            port,
            subsystem,
            host,
            fs_type,
        } = self;
        let mut map = HashMap::from([
            ("nvme_address".to_owned(), address.to_string()),
            ("nvme_port".to_owned(), port.to_string()),
            (SUBSYSTEM.to_owned(), subsystem.clone()),
            ("fs_type".to_owned(), fs_type.as_str().to_owned()),
        ]);
        if let Some(host) = host {
            map.insert(HOST.to_owned(), host.clone());
        }
        map
    }

    /// The names that a node was told, out of the map that external-attacher keeps in
    /// `status.attachmentMetadata`. None in a map that names no subsystem.
    pub fn names_in<'a>(mut value: impl FnMut(&str) -> Option<&'a str>) -> Option<Names> {
        let subsystem = value(SUBSYSTEM).filter(|name| !name.is_empty())?;
        Some(Names {
            subsystem: Some(subsystem.to_owned()),
            host: value(HOST).map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(rows: &[(&str, &str)]) -> HashMap<String, String> {
        rows.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_portal_reads_back_from_the_context_that_create_made() {
        let context = VolumeContext {
            parameters: Parameters::from_request([("nvmePort", "4421")]).unwrap(),
            rds_address: "rds".to_owned(),
            nvme_address: "fd00::1".parse().unwrap(),
            path: "/p/x.img".to_owned(),
        };
        let made = context.to_map(&"csi-0123456789abcdef0123456789ab".parse().unwrap());
        let read = Portal::from_request(&made).unwrap();
        assert_eq!(
            read,
            Portal {
                address: Some(context.nvme_address),
                port: Some(4421)
            }
        );
    }

    #[test]
    fn what_a_node_was_told_is_read_back_from_the_map_it_was_told() {
        let told = PublishContext {
            address: "192.0.2.1".parse().unwrap(),
            port: 4420,
            subsystem: "nqn.a".to_owned(),
            host: Some("nqn.b".to_owned()),
            fs_type: FsType::Xfs,
        };
        let map = told.to_map();
        let names = PublishContext::names_in(|key| map.get(key).map(String::as_str));
        let expected = Names {
            subsystem: Some(told.subsystem),
            host: told.host,
        };
        assert_eq!(names, Some(expected));
        assert_eq!(PublishContext::names_in(|_| None), None);
        assert_eq!(PublishContext::names_in(|_| Some("")), None);
    }

    #[test]
    fn contexts_of_others_are_read_where_they_make_sense_and_refused_where_not() {
        let foreign = map(&[
            ("storage.kubernetes.io/csiProvisionerIdentity", "x"),
            ("nvmePort", ""),
        ]);
        assert_eq!(Portal::from_request(&foreign).unwrap(), Portal::default());
        for (key, value) in [("nvmePort", "0"), ("nvmeAddress", "a;b")] {
            let error = Portal::from_request(&map(&[(key, value)])).unwrap_err();
            assert!(error.context().contains(key), "{error}");
        }
    }
}
