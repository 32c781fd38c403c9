//! Where the device listens: a host and a port.

use std::fmt;

/// The SSH address of a device. Prints as `host:port`, with brackets around an IPv6 address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// `host` is a name or an address; brackets around an IPv6 address are taken off.
    pub fn new(host: &str, port: u16) -> Self {
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        Self {
            host: bare.to_owned(),
            port,
        }
    }

    /// The name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_addresses_are_printed_in_brackets_and_taken_with_or_without() {
        let check = |host, expected| assert_eq!(Endpoint::new(host, 22).to_string(), expected);
        check("rds.example", "rds.example:22");
        check("10.0.0.1", "10.0.0.1:22");
        check("fd00::1", "[fd00::1]:22");
        check("[fd00::1]", "[fd00::1]:22");
    }
}
