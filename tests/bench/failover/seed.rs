//! Thousands of volumes, all attached: on the RDS, and in the Kubernetes API, as if they had been
//! published one after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::ensure;
use rds_csi::domain::file::{BackingFile, ParametersDigest};
use rds_csi::domain::id::{ClusterId, NodeId, VolumeId};
use rds_csi::domain::leadership::Epoch;
use rds_csi::domain::names::{Holder, NodeLabel, Tail, host, subsystem};
use rds_csi::sim::kubernetes::KubeApi;
use rds_csi::sim::world::World;
use rds_csi::workload::placement::Volume;

use super::objects::{self, Stage};

/// As the controllers of a cluster are started.
const CLUSTER: &str = "demo";
const DIRECTORY: &str = "/storage-pool/metal-csi";
const USER: &str = "seed";
/// As many nodes as a cluster of the size that one RDS serves.
const NODES: usize = 100;
/// Some day in 2026.
const SECONDS: u64 = 1_790_000_000;

/// Makes so many volumes, each attached to one node.
pub(crate) async fn attached(
    api: &KubeApi,
    world: &Arc<World>,
    volumes: usize,
) -> anyhow::Result<()> {
    for number in 0..NODES {
        objects::node(api, &worker(number))?;
    }
    for number in 0..volumes {
        let node = worker(number % NODES);
        let (volume, told) = grant(world, number, &node).await?;
        objects::volume(api, &volume)?;
        objects::attach(api, &volume, &node, Stage::Attached(&told))?;
    }
    Ok(())
}

fn worker(number: usize) -> String {
    format!("worker-{number}")
}

/// One volume on the RDS, open to one node; and what that node was told.
async fn grant(
    world: &Arc<World>,
    number: usize,
    node: &str,
) -> anyhow::Result<(Volume, BTreeMap<String, String>)> {
    let cluster: ClusterId = CLUSTER.parse()?;
    // A name of the length that external-provisioner gives.
    let name = format!("pvc-00000000-0000-0000-0000-{number:012}");
    let id = VolumeId::derive(&cluster, &name);
    let tail = Tail {
        epoch: Epoch::from_record(1),
        unix_seconds: SECONDS,
        random: number as u64,
    };
    let holder = Holder::Node(NodeLabel::of(&node.parse::<NodeId>()?));
    let (subsystem, host) = (
        subsystem(&id, false, tail),
        host(&cluster.tag(), &holder, tail),
    );
    let file = BackingFile {
        directory: DIRECTORY.parse()?,
        volume: id.clone(),
        cluster: cluster.tag(),
        parameters: ParametersDigest::from_hex("00112233"),
        nonce: number as u64,
    };
    let line = format!(
        "/disk/add type=file slot=\"{id}\" file-path=\"{file}\" file-size=1073741824 \
         mount-filesystem=no nvme-tcp-server-port=4420 nvme-tcp-server-nqn=\"{subsystem}\" \
         nvme-tcp-server-allow-host-name=\"{host}\" nvme-tcp-export=yes"
    );
    let said = world.exec(USER, &line).await.stdout;
    let said = String::from_utf8_lossy(&said);
    ensure!(said.is_empty(), "{line}: {said}");
    let pairs = |pairs: &[(&str, &str)]| {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect::<BTreeMap<_, _>>()
    };
    let volume = Volume {
        name,
        handle: id.to_string(),
        context: pairs(&[
            ("rdsAddress", "127.0.0.1"),
            ("nvmeAddress", "127.0.0.1"),
            ("nvmePort", "4420"),
            ("nqn", &format!("nqn.2000-02.com.mikrotik:{id}")),
            ("volumePath", &file.path()),
            ("ctrlLossTmo", "-1"),
            ("reconnectDelay", "2"),
            ("keepAliveTmo", "5"),
            ("migrationTimeoutSeconds", "300"),
        ]),
        shared_block: false,
    };
    let told = pairs(&[
        ("nvme_address", "127.0.0.1"),
        ("nvme_port", "4420"),
        ("nvme_nqn", &subsystem),
        ("nvme_hostnqn", &host),
        ("fs_type", "ext4"),
    ]);
    Ok((volume, told))
}
