//! Pods of one machine share its ports: each port that a container listens on becomes a free one.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::trouble::Trouble;

/// Below what Linux gives to connections on its own account (32768 and up), so that nobody has taken
/// a port that was free a moment ago.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// The next to try. Two processes that begin at random are rarely at the same.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// The ports of one pod: what its containers call them, and what they are here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ports(BTreeMap<u16, u16>);

// === impl Ports ===

impl Ports {
    /// The port here of a port of the pod.
    pub(crate) fn here(&mut self, port: u16) -> Result<u16, Trouble> {
        if let Some(here) = self.0.get(&port) {
            return Ok(*here);
        }
        let here = free()?;
        self.0.insert(port, here);
        Ok(here)
    }

    /// The text, unless it is an address to listen on (every address of the pod, or a port that the
    /// container declares): then that address on the loopback interface, with the port that it has
    /// here.
    pub(crate) fn relocated(&mut self, text: &str, declared: &[i32]) -> Result<String, Trouble> {
        let (flag, value) = match text.split_once('=') {
            Some((flag, value)) if flag.starts_with('-') => (Some(flag), value),
            _ => (None, text),
        };
        let parts = value.rsplit_once(':');
        let Some((host, Ok(port))) = parts.map(|(host, port)| (host, port.parse::<u16>())) else {
            return Ok(text.to_owned());
        };
        let everywhere = ["", "0.0.0.0", "[::]"].contains(&host);
        let plain = host
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        let is_declared = plain && declared.contains(&i32::from(port));
        if !everywhere && !is_declared {
            return Ok(text.to_owned());
        }
        let here = self.here(port)?;
        Ok(match flag {
            Some(flag) => format!("{flag}=127.0.0.1:{here}"),
            None => format!("127.0.0.1:{here}"),
        })
    }
}

fn free() -> Result<u16, Trouble> {
    let start = std::process::id().wrapping_mul(31) % u32::from(COUNT);
    let start = u16::try_from(start).unwrap_or_default();
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (start + step) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Trouble::found("this machine has no free port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_to_listen_on_are_changed() {
        let mut ports = Ports::default();
        let here = ports.here(9808).unwrap();
        let listening = [
            "--metrics-address=0.0.0.0:9808",
            "--http-endpoint=:9808",
            "--a=[::]:9808",
            "--a=10.1.1.1:9808",
        ];
        for text in listening {
            let flag = text.split_once('=').unwrap().0;
            let expected = format!("{flag}=127.0.0.1:{here}");
            assert_eq!(ports.relocated(text, &[9808]).unwrap(), expected);
        }
        assert_eq!(
            ports.relocated(":9808", &[]).unwrap(),
            format!("127.0.0.1:{here}")
        );
        let others = [
            "--otlp-endpoint=http://127.0.0.1:4317",
            "--rds-address=10.1.1.1",
            "--connect=10.1.1.1:22",
            "controller",
            "--endpoint=unix:///csi/csi.sock",
            "--timeout=60s",
        ];
        for text in others {
            assert_eq!(ports.relocated(text, &[9808]).unwrap(), text);
        }
        assert_ne!(ports.here(9809).unwrap(), here);
    }
}
