//! The network of a cluster: a bridge with this machine and the nodes on it, and behind each node its
//! pods. Nothing is translated and this machine forwards nothing: nodes send to each other's pods over
//! the bridge, and the API server and the simulated RDS listen on the bridge itself.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::command::now;
use super::record::Id;
use crate::error::Error;

/// The second bytes of the networks to choose from: seldom used by anybody else.
const BLOCKS: std::ops::RangeInclusive<u8> = 201..=250;
/// The addresses and the networks of pods begin behind this.
const FIRST: u8 = 10;
/// Nobody listens there, and the kernel says so at once.
const UNUSED_PORT: u16 = 1;
/// A bridge takes microseconds. The first packet asks who has the address, and is sent again after 1 s.
const REACH_LIMIT: Duration = Duration::from_secs(5);

/// Names and addresses. `10.BLOCK.0.0/24` are services, `10.BLOCK.1.0/24` are nodes, and the pods of
/// node N are in `10.BLOCK.1N.0/24`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    id: Id,
    block: u8,
    /// How many nodes it is for.
    nodes: u8,
}

// === impl Network ===

impl Network {
    /// Makes a bridge with addresses that nobody on this machine uses.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if all are in use.
    pub(super) fn make(id: Id, nodes: u8) -> Result<Self, Error> {
        let used = now("ip", &["-4", "route", "show", "table", "all"])?;
        let block = BLOCKS.into_iter().find(|block| is_free(&used, *block));
        let block = block.ok_or_else(|| {
            Error::Unavailable("all of the networks 10.201 to 10.250 are in use".to_owned())
        })?;
        let this = Self { id, block, nodes };
        let bridge = this.bridge();
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        let service = format!("{}/32", this.service());
        ip(&["addr", "add", &service, "dev", &bridge])?;
        let host = format!("{}/24", this.host());
        ip(&["addr", "add", &host, "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])?;
        Ok(this)
    }

    /// The `kubernetes` service: this machine.
    pub(super) fn service(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.block, 0, 1)
    }

    /// This machine, as nodes and pods reach it.
    pub(super) fn host(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.block, 1, 1)
    }

    /// A node; the first is 1.
    pub(super) fn node(self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, self.block, 1, FIRST + number)
    }

    /// The pods of a node.
    pub(super) fn pods(self, number: u8) -> String {
        format!("10.{}.{}.0/24", self.block, FIRST + number)
    }

    /// Gives the network namespace of a process its place.
    pub(super) fn join(self, number: u8, pid: u32) -> Result<(), Error> {
        let (link, bridge) = (self.link(number), self.bridge());
        let (node, host, pid) = (self.node(number), self.host(), pid.to_string());
        let peer = ["type", "veth", "peer", "name", "eth0", "netns", &pid];
        ip(&[&["link", "add", &link], &peer[..]].concat())?;
        ip(&["link", "set", &link, "master", &bridge, "up"])?;
        let inside = format!(
            "ip addr add {node}/24 dev eth0 && ip link set eth0 up && ip link set lo up && \
             ip route add default via {host} && echo 1 >/proc/sys/net/ipv4/ip_forward"
        );
        now("nsenter", &["-t", &pid, "-n", "sh", "-c", &inside])?;
        let others = (1..=self.nodes).filter(|other| *other != number);
        for other in others {
            let (pods, node) = (self.pods(other), self.node(other).to_string());
            let route = ["ip", "route", "add", &pods, "via", &node];
            now("nsenter", &[&["-t", &pid, "-n"], &route[..]].concat())?;
        }
        let node = node.to_string();
        ip(&["route", "add", &self.pods(number), "via", &node])
    }

    /// Sends from the network namespace of a process to a node.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if it does not arrive.
    pub(super) fn check_reaches(self, pid: u32, number: u8) -> Result<(), Error> {
        let node = self.node(number);
        let namespace = PathBuf::from(format!("/proc/{pid}/ns/net"));
        let entrance = File::open(&namespace).map_err(Error::file("open", &namespace))?;
        // The thread ends with the namespace that it went into.
        let sent = std::thread::spawn(move || {
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(entrance.as_fd(), network)?;
            TcpStream::connect_timeout(&(node, UNUSED_PORT).into(), REACH_LIMIT).map(drop)
        });
        match sent.join().expect("connecting does not panic") {
            // It arrived, and the node said so.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
            Ok(()) => Ok(()),
            Err(error) => Err(Error::Unavailable(format!(
                "no nodes on this machine: what one sends to {node} does not arrive ({error}); does a \
                 firewall drop what bridges forward (iptables -S FORWARD)?"
            ))),
        }
    }

    /// Pulls the plug of a node, or puts it back in.
    pub(super) fn plug(self, number: u8, is_in: bool) -> Result<(), Error> {
        let state = if is_in { "up" } else { "down" };
        ip(&["link", "set", &self.link(number), state])
    }

    fn bridge(self) -> String {
        self.id.link()
    }

    fn link(self, number: u8) -> String {
        format!("{}n{number}", self.bridge())
    }
}

/// Removes the bridge of a cluster and what is left of its nodes' links. The kernel removes the links
/// with the nodes' processes, but takes its time.
pub(super) fn remove(id: Id) -> Result<(), Error> {
    let ours = |name: &str| {
        let rest = name.strip_prefix(&id.link());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('n'))
    };
    let links = Path::new("/sys/class/net");
    let found = fs::read_dir(links).map_err(Error::file("list", links))?;
    let names = found.filter_map(|link| link.ok()?.file_name().into_string().ok());
    for name in names.filter(|name| ours(name)) {
        let removed = ip(&["link", "del", &name]);
        if links.join(&name).exists() {
            removed?;
        }
    }
    Ok(())
}

fn ip(arguments: &[&str]) -> Result<(), Error> {
    now("ip", arguments).map(drop)
}

/// Whether no route of this machine goes to or through a block. Its own addresses are routes, too.
fn is_free(routes: &str, block: u8) -> bool {
    let prefix = format!("10.{block}.");
    !routes
        .split_whitespace()
        .any(|word| word.starts_with(&prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_with_any_route_is_not_free() {
        let routes = "default via 10.20.1.1 dev eth0\nlocal 10.201.0.1 dev br table local\n\
                      10.203.0.0/16 dev docker0 scope link src 10.203.0.1\n10.20.0.0/16 dev eth0\n";
        let free: Vec<u8> = (200..=204)
            .filter(|block| is_free(routes, *block))
            .collect();
        assert_eq!(free, [200, 202, 204]);
    }

    #[test]
    fn services_nodes_and_pods_do_not_overlap() {
        let network = Network {
            id: Id(1),
            block: 7,
            nodes: 3,
        };
        assert_eq!(network.service().to_string(), "10.7.0.1");
        assert_eq!(network.host().to_string(), "10.7.1.1");
        assert_eq!(network.node(1).to_string(), "10.7.1.11");
        assert_eq!(network.pods(1), "10.7.11.0/24");
    }
}
