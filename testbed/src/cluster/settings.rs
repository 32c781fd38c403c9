//! What the programs of a node are told. Everything of a node is below `/run` of its own mount namespace,
//! so that this is the same for all of them, but for addresses.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::dns::DOMAIN;

/// The image of the container that holds a pod's namespaces; any pod may use it to do nothing.
pub const PAUSE: &str = "localhost/pause:1";

/// Becomes the first process of a node, in new mount, network, process and IPC namespaces. With it the
/// kernel ends everything in them. Arguments: the file that takes it into the node's control groups,
/// the node's folder, and the folders of containerd's data, the tools, the CNI plugins and runc.
///
/// The host's `/var/lib` and `/var/log` are hidden because CNI and kubelet write there without asking.
/// A kubelet wants to set six values of the kernel: it finds them set, in files, and the machine keeps
/// its own. `wait` is there to reap what nobody else does.
pub(super) const FIRST_PROCESS: &str = r#"
set -e
echo 0 >"$1"
cd "$2"
mkdir -p run sysctl kubelet cni
mount -t tmpfs -o mode=755 run run
mkdir -p run/lock run/host/node run/host/data run/host/tools run/host/cni run/host/runc
mount --bind . run/host/node
mount --bind "$3" run/host/data
mount --bind "$4" run/host/tools
mount --bind "$5" run/host/cni
mount --bind "$6" run/host/runc
mount --no-mtab --move run /run
mount -t tmpfs -o mode=755 lib /var/lib
mount -t tmpfs -o mode=755 log /var/log
mount --make-rshared /
for setting in kernel/panic=10 kernel/panic_on_oops=1 vm/overcommit_memory=1 vm/panic_on_oom=0 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000
do
    file=/run/host/node/sysctl/$(echo "${setting%=*}" | tr / .)
    echo "${setting#*=}" >"$file"
    mount --bind "$file" "/proc/sys/${setting%=*}"
done
echo ready
sleep infinity &
wait
"#;

/// containerd's: all paths that are not here are below `/run` by themselves.
pub(super) fn containerd() -> String {
    format!(
        r#"version = 3
root = "/run/host/data"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "{PAUSE}"
[plugins.'io.containerd.cri.v1.runtime']
  # We may have been started with less than a kubelet wants to give.
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/run/host/cni"]
    conf_dir = "/run/host/node/cni"
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = "/run/host/runc/runc"
        SystemdCgroup = false
"#
    )
}

/// The network of pods: a bridge inside the node, and the node routes.
pub(super) fn cni(pods: &str) -> Value {
    let ipam = json!({
        "type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    });
    json!({
        "cniVersion": "1.0.0", "name": "pods",
        "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true, "ipam": ipam}],
    })
}

/// The kubelet's.
pub(super) fn kubelet(address: Ipv4Addr, dns: Ipv4Addr, control_group: &str) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "address": address,
        "authentication": {
            "anonymous": {"enabled": false}, "webhook": {"enabled": true},
            "x509": {"clientCAFile": "/run/host/node/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "podLogsDir": "/run/host/node/pods",
        "volumePluginDir": "/run/flexvolume",
        "cgroupDriver": "cgroupfs", "cgroupRoot": control_group,
        "cgroupsPerQOS": true, "enforceNodeAllocatable": ["pods"],
        "failCgroupV1": false, "failSwapOn": false,
        "makeIPTablesUtilChains": false,
        "clusterDNS": [dns], "clusterDomain": DOMAIN,
        // That of this machine is none of the pods' business.
        "resolvConf": "",
        // A disk that is nearly full must not cost a pod its life.
        "localStorageCapacityIsolation": false,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
        },
        // Heartbeats as a stock kubelet sends them; status soon after it changes.
        "nodeStatusUpdateFrequency": "5s",
    })
}
