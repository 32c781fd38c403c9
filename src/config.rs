//! The configuration, as meant: everything checked, nothing contradictory, defaults filled in.

pub mod outside;
pub mod rds;
pub mod replica;
pub mod traces;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::{ControllerArgs, DRIVER_NAME};

use crate::config::rds::RdsConfig;
use crate::config::replica::ReplicaConfig;
use crate::csi::server::DRAIN_LIMIT;
use crate::csi::socket::Endpoint;
use crate::domain::id::NodeId;
use crate::domain::shard::ShardCount;
use crate::service::Settings;

/// CSI section "GetPluginInfo": at most 63 characters.
const MAX_DRIVER_NAME: usize = 63;
/// The Linux NVMe target has ended every session 0.3 s after an export was switched off, and that
/// is the target that RouterOS builds on: less would let a node in before another one is out.
const MIN_REVOKE_SETTLE: Duration = Duration::from_millis(300);

/// The control socket's name in the directory of the CSI socket.
const CONTROL: &str = "control.sock";

/// The configuration of the controller.
#[derive(Debug)]
pub struct Config {
    /// Where sidecars connect.
    pub endpoint: Endpoint,
    /// The name of the CSI driver.
    pub driver_name: String,
    /// How to reach the RDS.
    pub rds: RdsConfig,
    /// What the services are told.
    pub volumes: Settings,
    /// How this replica finds the others; `None` for the only controller of its RDS.
    pub replica: Option<ReplicaConfig>,
    /// Where health, status and metrics are served.
    pub admin: Option<SocketAddr>,
    /// Where people on this machine ask and drain.
    pub control: PathBuf,
}

/// A flag (or its environment variable) that cannot be used as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{flag}: {reason}")]
pub struct Invalid {
    /// The flag, without its dashes.
    pub flag: &'static str,
    /// What is wrong, and what to write instead.
    pub reason: String,
}

// === impl Config ===

impl TryFrom<ControllerArgs> for Config {
    type Error = Invalid;

    fn try_from(args: ControllerArgs) -> Result<Self, Invalid> {
        let ControllerArgs {
            endpoint,
            driver_name,
            standalone,
            cluster_id,
            rds,
            rds_volume_base_path,
            nvme_address,
            revoke_settle,
            unsafe_revoke_settle,
            allowed_node,
            metrics_address,
            control_socket,
            replica,
            shards,
            // They are set up before anything else; see `traces`.
            traces: _,
        } = args;
        check_driver_name(&driver_name)?;
        let rds = RdsConfig::try_from(rds)?;
        check_revoke_settle(revoke_settle, unsafe_revoke_settle)?;
        check_drain(rds.command_timeout, revoke_settle)?;
        let endpoint = endpoint.unwrap_or_else(|| default_endpoint(&driver_name));
        let endpoint: Endpoint = parsed("endpoint", &endpoint)?;
        let control = control_socket.unwrap_or_else(|| endpoint.path().with_file_name(CONTROL));
        let replica = if standalone {
            None
        } else {
            Some(ReplicaConfig::read(replica, &driver_name)?)
        };
        Ok(Self {
            endpoint,
            replica,
            admin: metrics_address,
            control,
            volumes: Settings {
                cluster: parsed("cluster-id", &cluster_id)?,
                base: parsed("rds-volume-base-path", &rds_volume_base_path)?,
                nvme_address: nvme(nvme_address.as_deref(), &rds.address)?,
                rds_address: rds.address.clone(),
                revoke_settle,
                allowed_nodes: allowed_nodes(&allowed_node)?,
                shards: ShardCount::new(shards)
                    .map_err(|error| invalid("shards", error.to_string()))?,
            },
            driver_name,
            rds,
        })
    }
}

/// The Lease of the replicas of a driver of this name.
fn lease_name(driver_name: &str) -> String {
    format!("{driver_name}-controller")
}

/// Where kubelet looks for the sockets of a driver of this name.
fn default_endpoint(driver_name: &str) -> String {
    format!("unix:///var/lib/kubelet/plugins/{driver_name}/csi.sock")
}

/// CSI wants a domain name, and Kubernetes (CSIDriver objects) one in lower case.
fn check_driver_name(name: &str) -> Result<(), Invalid> {
    let label_is_good = |label: &str| {
        let inner = label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() <= MAX_DRIVER_NAME && name.split('.').all(label_is_good) {
        return Ok(());
    }
    Err(invalid(
        "driver-name",
        format!(
            "{name:?} is not a lower-case domain name of at most {MAX_DRIVER_NAME} characters, like {DRIVER_NAME}"
        ),
    ))
}

fn check_revoke_settle(settle: Duration, accept_any: bool) -> Result<(), Invalid> {
    if settle >= MIN_REVOKE_SETTLE || accept_any {
        return Ok(());
    }
    Err(invalid(
        "revoke-settle",
        format!(
            "{settle:?} is less than {MIN_REVOKE_SETTLE:?}, which an RDS may need to end the sessions of a node: two nodes could write to one volume"
        ),
    ))
}

/// The longest a call can take once it runs: it waits for a revoke to settle and sends one command.
fn check_drain(command: Duration, settle: Duration) -> Result<(), Invalid> {
    let longest = command.saturating_add(settle);
    if longest <= DRAIN_LIMIT {
        return Ok(());
    }
    Err(invalid(
        "rds-command-timeout",
        format!(
            "{command:?} and --revoke-settle {settle:?} make {longest:?}, more than the {DRAIN_LIMIT:?} that sidecars wait for a call and that calls under way get at shutdown"
        ),
    ))
}

fn nvme(given: Option<&str>, rds_address: &str) -> Result<IpAddr, Invalid> {
    match given {
        Some(address) => address.parse().map_err(|_| {
            let reason = format!("{address:?} is not an IP address");
            invalid("nvme-address", reason)
        }),
        None => rds_address.parse().map_err(|_| {
            let reason = format!(
                "required, as --rds-address {rds_address:?} is a name and nodes connect to IP addresses only"
            );
            invalid("nvme-address", reason)
        }),
    }
}

fn allowed_nodes(raw: &[String]) -> Result<Option<Vec<NodeId>>, Invalid> {
    if raw.is_empty() {
        return Ok(None);
    }
    raw.iter()
        .map(|node| parsed("allowed-node", node))
        .collect::<Result<_, _>>()
        .map(Some)
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    flag: &'static str,
    raw: &str,
) -> Result<T, Invalid> {
    raw.parse()
        .map_err(|error: T::Err| invalid(flag, error.to_string()))
}

fn invalid(flag: &'static str, reason: impl Into<String>) -> Invalid {
    Invalid {
        flag,
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests;
