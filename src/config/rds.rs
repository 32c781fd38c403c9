//! How to reach the RDS.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::RdsArgs;
use crate::config::{Invalid, invalid};

/// RouterOS needs a session for each, and serves one command after the other anyway: four keep it
/// busy. More than 16 only take sessions from people who want to log in.
const CONNECTIONS: RangeInclusive<usize> = 1..=16;
/// Below 100 ms a loaded RDS looks like a dead one; beyond a minute, a dead one like a loaded one.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(1);
/// DNS, RFC 1035: at most 253 characters in text form.
const MAX_HOST: usize = 253;

/// Where the RDS is, who we are there, and how long it may take.
#[derive(Debug, PartialEq, Eq)]
pub struct RdsConfig {
    /// Host name or IP address.
    pub address: String,
    /// Port of SSH.
    pub port: u16,
    /// User on the RDS.
    pub user: String,
    /// File with its private key.
    pub key_file: Option<PathBuf>,
    /// File with its password.
    pub password_file: Option<PathBuf>,
    /// What the RDS has to prove to be.
    pub host_key: HostKey,
    /// Offer algorithms that are no longer considered safe, too.
    pub legacy_algorithms: bool,
    /// SSH connections.
    pub connections: usize,
    /// Deadline of one command.
    pub command_timeout: Duration,
    /// Deadline of one connection.
    pub connect_timeout: Duration,
}

/// How the RDS is told from somebody else at its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKey {
    /// A fingerprint, public key or known_hosts line.
    Pinned(String),
    /// A file of such lines.
    File(PathBuf),
    /// Not at all, by the operator's explicit word.
    Unverified,
}

// === impl RdsConfig ===

impl TryFrom<RdsArgs> for RdsConfig {
    type Error = Invalid;

    fn try_from(args: RdsArgs) -> Result<Self, Invalid> {
        let RdsArgs {
            rds_address,
            rds_port,
            rds_user,
            rds_key_file,
            rds_password_file,
            rds_host_key,
            rds_insecure_skip_verify,
            rds_legacy_algorithms,
            rds_connections,
            rds_command_timeout,
            rds_connect_timeout,
        } = args;
        check_address(&rds_address)?;
        if rds_user.is_empty() || rds_user.chars().any(char::is_control) {
            return Err(invalid("rds-user", "is empty or has control characters"));
        }
        if !CONNECTIONS.contains(&rds_connections) {
            let (least, most) = (CONNECTIONS.start(), CONNECTIONS.end());
            let reason = format!("{rds_connections} is not a number from {least} to {most}");
            return Err(invalid("rds-connections", reason));
        }
        check_timeout("rds-command-timeout", rds_command_timeout)?;
        check_timeout("rds-connect-timeout", rds_connect_timeout)?;
        Ok(Self {
            address: rds_address,
            port: rds_port,
            user: rds_user,
            key_file: rds_key_file,
            password_file: rds_password_file,
            host_key: host_key(rds_host_key, rds_insecure_skip_verify)?,
            legacy_algorithms: rds_legacy_algorithms,
            connections: rds_connections,
            command_timeout: rds_command_timeout,
            connect_timeout: rds_connect_timeout,
        })
    }
}

/// A host key counts even if verification may be skipped, as in the Go driver: the two flags
/// together are what is left of somebody's first steps.
fn host_key(given: Option<String>, skip_verify: bool) -> Result<HostKey, Invalid> {
    let Some(given) = given.filter(|given| !given.trim().is_empty()) else {
        return skip_verify.then_some(HostKey::Unverified).ok_or_else(|| {
            invalid(
                "rds-host-key",
                "required: a file (known_hosts or public key), a fingerprint as SHA256:..., or a public key; `ssh-keyscan` prints one. Without it, somebody else could answer at the address of the RDS",
            )
        });
    };
    // A key has a kind and a body with a space between; a path begins with a slash or a dot, or
    // has no space.
    let is_path = given.starts_with(['/', '.']) || !given.trim().contains(char::is_whitespace);
    if is_path && !given.starts_with("SHA256:") {
        return Ok(HostKey::File(PathBuf::from(given)));
    }
    Ok(HostKey::Pinned(given))
}

fn check_address(address: &str) -> Result<(), Invalid> {
    let is_name = address.len() <= MAX_HOST
        && address.starts_with(|c: char| c.is_ascii_alphanumeric())
        && address
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if is_name || address.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let reason = format!(
        "{address:?} is not a host name or IP address; an IPv6 address has no brackets, and --rds-port gives the port"
    );
    Err(invalid("rds-address", reason))
}

fn check_timeout(flag: &'static str, timeout: Duration) -> Result<(), Invalid> {
    if TIMEOUTS.contains(&timeout) {
        return Ok(());
    }
    let (least, most) = (TIMEOUTS.start(), TIMEOUTS.end());
    Err(invalid(
        flag,
        format!("{timeout:?} is not between {least:?} and {most:?}"),
    ))
}
