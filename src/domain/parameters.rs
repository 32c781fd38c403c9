//! StorageClass parameters: the Go driver's names and defaults, read strictly.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use sha2::{Digest, Sha256};

use crate::domain::error::Error;
use crate::domain::file::{Directory, ParametersDigest};
use crate::domain::id::hex;

/// The port that RouterOS listens on unless told otherwise.
pub const DEFAULT_NVME_PORT: u16 = 4420;
/// Keys that sidecars add for the driver's information.
const SIDECAR_PREFIX: &str = "csi.storage.k8s.io/";
const SIDECAR_KEYS: [&str; 4] = ["fstype", "pvc/name", "pvc/namespace", "pv/name"];
/// Words of the Go driver's documentation that it never read, and what to write instead.
const NEVER_READ: [(&str, &str); 3] = [
    ("fsType", "use csi.storage.k8s.io/fstype"),
    ("sshPort", "the controller's --rds-port sets it"),
    ("nqnPrefix", "subsystem names are made by the driver"),
];
/// Seconds that a live migration may take, as in the Go driver: clamped, never refused.
const MIGRATION_SECONDS: RangeInclusive<i64> = 30..=3600;
const DEFAULT_MIGRATION_SECONDS: i64 = 300;

/// What a StorageClass says about its volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// `rdsAddress`: informational, as in the Go driver.
    pub rds_address: Option<String>,
    /// `nvmeAddress`: where nodes connect, an IP address.
    pub nvme_address: Option<IpAddr>,
    /// `nvmePort`: port of NVMe/TCP on the RDS.
    pub nvme_port: u16,
    /// `volumePath`: directory of the backing file, at or below the configured base.
    pub directory: Option<Directory>,
    /// `ctrlLossTmo`: for how many seconds a node tries to reconnect; -1 is for ever.
    pub ctrl_loss_tmo: i64,
    /// `reconnectDelay`: seconds between two such tries, 1 to 3600.
    pub reconnect_delay: i64,
    /// `keepAliveTmo`: keep-alive timeout of a session in seconds, up to 3600; 0 is the default of the kernel.
    pub keep_alive_tmo: i64,
    /// `migrationTimeoutSeconds`: seconds that a live migration may take, 30 to 3600.
    pub migration_timeout: i64,
}

impl Parameters {
    /// Reads the parameters of a CreateVolume or GetCapacity request.
    ///
    /// # Errors
    /// `Invalid`, naming the parameter, if it is unknown or malformed.
    pub fn from_request<'a>(
        raw: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Error> {
        let mut read = Self {
            rds_address: None,
            nvme_address: None,
            nvme_port: DEFAULT_NVME_PORT,
            directory: None,
            ctrl_loss_tmo: -1,
            reconnect_delay: 5,
            keep_alive_tmo: 0,
            migration_timeout: DEFAULT_MIGRATION_SECONDS,
        };
        // In order of name, so that a request with two mistakes always reports the same one.
        for (key, value) in raw.into_iter().collect::<BTreeMap<_, _>>() {
            read.set(key, value)?;
        }
        Ok(read)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Error> {
        match key {
            "rdsAddress" => self.rds_address = Some(host(key, value)?),
            "nvmeAddress" => self.nvme_address = Some(ip(key, value)?),
            "nvmePort" => self.nvme_port = port(key, value)?,
            "volumePath" => {
                self.directory = Some(
                    value
                        .parse()
                        .map_err(|error: Error| error.while_doing("parameter volumePath"))?,
                );
            }
            "ctrlLossTmo" => self.ctrl_loss_tmo = integer(key, value, -1..=i64::from(i32::MAX))?,
            "reconnectDelay" => self.reconnect_delay = integer(key, value, 1..=3600)?,
            "keepAliveTmo" => self.keep_alive_tmo = integer(key, value, 0..=3600)?,
            "migrationTimeoutSeconds" => {
                let seconds = integer(key, value, 0..=i64::from(i32::MAX))?;
                self.migration_timeout = match seconds {
                    0 => DEFAULT_MIGRATION_SECONDS,
                    given => given.clamp(*MIGRATION_SECONDS.start(), *MIGRATION_SECONDS.end()),
                };
            }
            sidecar if is_sidecar_key(sidecar) => {}
            unknown => return Err(unknown_key(unknown)),
        }
        Ok(())
    }

    /// A digest over everything that makes two volumes of one size different.
    pub fn digest(&self) -> ParametersDigest {
        let Self {
            rds_address,
            nvme_address,
            nvme_port,
            directory,
            ctrl_loss_tmo,
            reconnect_delay,
            keep_alive_tmo,
            migration_timeout,
        } = self;
        let text = format!(
            "{rds_address:?} {nvme_address:?} {nvme_port} {directory:?} {ctrl_loss_tmo} {reconnect_delay} {keep_alive_tmo} {migration_timeout}"
        );
        ParametersDigest::from_hex(&hex(&Sha256::digest(text.as_bytes())))
    }
}

fn is_sidecar_key(key: &str) -> bool {
    key.strip_prefix(SIDECAR_PREFIX)
        .is_some_and(|rest| SIDECAR_KEYS.contains(&rest))
}

fn unknown_key(key: &str) -> Error {
    let shown: String = key.chars().take(64).collect();
    match NEVER_READ.iter().find(|(name, _)| *name == key) {
        Some((_, instead)) => Error::invalid(format!("parameter {shown:?} is not used: {instead}")),
        None => Error::invalid(format!(
            "parameter {shown:?} is unknown; known are rdsAddress, nvmeAddress, nvmePort, volumePath, ctrlLossTmo, reconnectDelay, keepAliveTmo, migrationTimeoutSeconds"
        )),
    }
}

/// An IP literal, as node plugins need it.
///
/// # Errors
/// `Invalid`, naming `key`.
pub(crate) fn ip(key: &str, value: &str) -> Result<IpAddr, Error> {
    value
        .parse()
        .map_err(|_| Error::invalid(format!("{key} {value:?} is not an IP address")))
}

/// A TCP port.
///
/// # Errors
/// `Invalid`, naming `key`.
pub(crate) fn port(key: &str, value: &str) -> Result<u16, Error> {
    value
        .parse()
        .ok()
        .filter(|port| *port != 0 && value.bytes().all(|b| b.is_ascii_digit()))
        .ok_or_else(|| Error::invalid(format!("{key} {value:?} is not a port (1 to 65535)")))
}

fn host(key: &str, value: &str) -> Result<String, Error> {
    let good = !value.is_empty()
        && value.len() <= 253
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b));
    good.then(|| value.to_owned())
        .ok_or_else(|| Error::invalid(format!("{key} {value:?} is not a host name or address")))
}

fn integer(key: &str, value: &str, allowed: RangeInclusive<i64>) -> Result<i64, Error> {
    value
        .parse()
        .ok()
        .filter(|number| allowed.contains(number))
        .ok_or_else(|| {
            Error::invalid(format!(
                "{key} {value:?} is not a whole number from {} to {}",
                allowed.start(),
                allowed.end()
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rows: &[(&str, &str)]) -> Result<Parameters, Error> {
        Parameters::from_request(rows.iter().copied())
    }

    #[test]
    fn defaults_are_those_of_the_go_driver() {
        let read = read(&[]).unwrap();
        assert_eq!((read.nvme_port, read.ctrl_loss_tmo), (4420, -1));
        assert_eq!((read.reconnect_delay, read.keep_alive_tmo), (5, 0));
        assert_eq!(read.migration_timeout, 300);
    }

    #[test]
    fn every_key_of_the_go_driver_is_read() {
        let read = read(&[
            ("rdsAddress", "rds.example"),
            ("nvmeAddress", "10.42.68.1"),
            ("nvmePort", "4421"),
            ("volumePath", "/storage-pool/metal-csi/a"),
            ("ctrlLossTmo", "600"),
            ("reconnectDelay", "2"),
            ("keepAliveTmo", "7"),
            ("migrationTimeoutSeconds", "1"),
            ("csi.storage.k8s.io/fstype", "xfs"),
            ("csi.storage.k8s.io/pvc/name", "data"),
        ])
        .unwrap();
        assert_eq!(read.rds_address.as_deref(), Some("rds.example"));
        assert_eq!(read.nvme_address, Some("10.42.68.1".parse().unwrap()));
        assert_eq!((read.nvme_port, read.ctrl_loss_tmo), (4421, 600));
        assert_eq!((read.reconnect_delay, read.keep_alive_tmo), (2, 7));
        assert_eq!(read.migration_timeout, 30);
    }

    #[test]
    fn unknown_or_malformed_parameters_are_refused_by_name() {
        for (key, value) in [
            ("nvmeport", "4420"),
            ("fsType", "xfs"),
            ("", ""),
            ("csi.storage.k8s.io/other", "x"),
            ("nvmePort", "0"),
            ("nvmePort", "65536"),
            ("nvmePort", "44x"),
            ("nvmePort", "+1"),
            ("nvmePort", ""),
            ("nvmeAddress", "rds.example"),
            ("nvmeAddress", "1.2.3.4; /quit"),
            ("rdsAddress", "a b"),
            ("volumePath", "relative"),
            ("volumePath", "/a/../b"),
            ("ctrlLossTmo", "-2"),
            ("ctrlLossTmo", "1.5"),
            ("reconnectDelay", "0"),
            ("keepAliveTmo", "-1"),
            ("migrationTimeoutSeconds", "soon"),
        ] {
            let error = read(&[(key, value)]).unwrap_err();
            assert!(error.context().contains(key), "{key}={value}: {error}");
        }
    }

    #[test]
    fn the_digest_changes_with_every_parameter() {
        let mut seen = vec![read(&[]).unwrap().digest()];
        for row in [
            ("rdsAddress", "x"),
            ("nvmeAddress", "10.0.0.1"),
            ("nvmePort", "1"),
            ("volumePath", "/a"),
            ("ctrlLossTmo", "1"),
            ("reconnectDelay", "1"),
            ("keepAliveTmo", "1"),
            ("migrationTimeoutSeconds", "31"),
        ] {
            let digest = read(&[row]).unwrap().digest();
            assert!(!seen.contains(&digest), "{row:?}");
            seen.push(digest);
        }
        let with_pvc = read(&[("csi.storage.k8s.io/pvc/name", "a")])
            .unwrap()
            .digest();
        assert!(
            seen.contains(&with_pvc),
            "names that sidecars add change nothing"
        );
    }
}
