//! Ports nobody listens on.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use rand::RngExt as _;

use crate::error::Error;

/// Below the ports that the kernel gives to clients (32768 and up by default): from among those, a
/// client could be given the port of an API server that is just restarting, or even be connected to
/// itself there. And below those of pods (20000 and up), for the same reason.
const RANGE: Range<u16> = 15_000..20_000;

/// With ten of these ports in use a draw meets one of them once in 500 times; this many draws only
/// fail where nothing may be bound at all.
const DRAWS: u32 = 100;

/// Different ports that were free a moment ago.
pub(crate) fn free<const N: usize>() -> Result<[u16; N], Error> {
    // All are held until the last one is found, so that none is found twice.
    let mut listeners = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = bind_any().map_err(Error::file("find a free port on", "127.0.0.1"))?;
        *port = listener.1;
        listeners.push(listener);
    }
    Ok(ports)
}

fn bind_any() -> io::Result<(TcpListener, u16)> {
    let mut last = io::Error::other("no draw");
    for _ in 0..DRAWS {
        let port = rand::rng().random_range(RANGE);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => return Ok((listener, port)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ports_are_free_different_and_not_given_to_clients() {
        let ports: [u16; 8] = free().unwrap();
        let different: BTreeSet<u16> = ports.into_iter().collect();
        assert_eq!(different.len(), ports.len(), "{ports:?}");
        for port in ports {
            assert!(RANGE.contains(&port), "{port}");
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        }
    }
}
