//! The host column of a `known_hosts` line: plain names, `[host]:port`, wildcards, hashed names.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;

use russh::keys::known_hosts::known_host_keys_path;
use rustix::fs::{MemfdFlags, memfd_create};

use crate::rds::transport::endpoint::Endpoint;

/// The port for which `known_hosts` carries a name without brackets.
const DEFAULT_PORT: u16 = 22;

/// What starts a hashed host name; it is followed by a salt and an HMAC-SHA1, both in base64.
const HASHED: &str = "|1|";

/// A well-formed key to complete a line with when only its host column is of interest.
const ANY_KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIMBmsjLkLiLEh4yQgOymt+RQAwMYxA+cl1XiYHJeJY67";

/// Whether the host column `hosts` speaks of `endpoint`. A matching `!pattern` wins over all others,
/// as sshd(8) has it. Fails only when a hashed name could not be computed.
pub(super) fn matches(hosts: &str, endpoint: &Endpoint) -> io::Result<bool> {
    let name = if endpoint.port() == DEFAULT_PORT {
        endpoint.host().to_ascii_lowercase()
    } else {
        format!(
            "[{}]:{}",
            endpoint.host().to_ascii_lowercase(),
            endpoint.port()
        )
    };
    if hosts.starts_with(HASHED) {
        return hashed(hosts, endpoint);
    }
    let mut found = false;
    for pattern in hosts.split(',') {
        let (negated, pattern) = match pattern.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        if glob(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes()) {
            if negated {
                return Ok(false);
            }
            found = true;
        }
    }
    Ok(found)
}

/// Whether `text` matches `pattern`, in which `*` stands for any run of characters and `?` for one.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), Some((_, shorter))) => glob(rest, text) || glob(pattern, shorter),
        (Some((b'*', rest)), None) => glob(rest, text),
        (Some((b'?', rest)), Some((_, shorter))) => glob(rest, shorter),
        (Some((wanted, rest)), Some((present, shorter))) => {
            wanted == present && glob(rest, shorter)
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// The SSH library can compute a hashed name but takes it from a file only, so it gets the line in
/// an anonymous one.
fn hashed(name: &str, endpoint: &Endpoint) -> io::Result<bool> {
    let mut file = File::from(memfd_create("known_hosts", MemfdFlags::CLOEXEC)?);
    writeln!(file, "{name} ssh-ed25519 {ANY_KEY}")?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let host = endpoint.host().to_ascii_lowercase();
    known_host_keys_path(&host, endpoint.port(), path)
        .map(|keys| !keys.is_empty())
        .map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_column_matches_the_endpoint_it_names_and_no_other() {
        let check = |hosts: &str, host: &str, port, expected: bool| {
            let endpoint = Endpoint::new(host, port);
            assert_eq!(
                matches(hosts, &endpoint).unwrap(),
                expected,
                "{hosts} {endpoint}"
            );
        };
        check("rds", "rds", 22, true);
        check("RDS.Example", "rds.example", 22, true);
        check("other,rds", "rds", 22, true);
        check("rds", "rds2", 22, false);
        check("rds", "rds", 2222, false);
        check("[rds]:2222", "rds", 2222, true);
        check("[rds]:2222", "rds", 22, false);
        check("[fd00::1]:2222", "[fd00::1]", 2222, true);
        check("fd00::1", "fd00::1", 22, true);
        check("10.0.0.*", "10.0.0.9", 22, true);
        check("10.0.0.?", "10.0.0.19", 22, false);
        check("10.0.0.*,!10.0.0.9", "10.0.0.9", 22, false);
        check("!10.0.0.9", "10.0.0.8", 22, false);
        check("[*]:2222", "rds", 2222, true);
        // Made by `ssh-keygen -H` from rds.example and [rds.example]:2222.
        let plain = "|1|q5DRXY3iLb4uNUQOxuwnMLeKRFc=|TNkIqjZrWGNEK08HH9jZtEgJyqA=";
        let with_port = "|1|VCsEy7llIuzJOrRFRjS5XGHq7gE=|Zoe10TcZ6vD9+hB175AZMEga5/E=";
        check(plain, "rds.example", 22, true);
        check(plain, "RDS.Example", 22, true);
        check(plain, "rds.example", 2222, false);
        check(plain, "other.example", 22, false);
        check(with_port, "rds.example", 2222, true);
        check(with_port, "rds.example", 22, false);
        check("|1|broken", "example.com", 22, false);
    }
}
