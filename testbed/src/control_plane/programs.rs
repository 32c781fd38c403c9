//! The four programs with their flags, and the files that these name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::component::Component;
use super::options::{Options, Reach, Scope};
use super::ports;
use crate::error::Error;
use crate::folder::RunFolder;
use crate::kubeconfig::{Access, Credential};
use crate::pki::{Authority, TokenKeys};
use crate::process::Program;
use crate::tools::Tools;

/// Controllers that need a cloud, give addresses to nodes, or serve kubeadm's way of joining nodes.
const CONTROLLERS: &str = "*,-cloud-node-lifecycle-controller,-node-route-controller,\
    -service-lb-controller,-node-ipam-controller,-bootstrap-signer-controller,\
    -token-cleaner-controller";

/// Who asked for what, for every ServiceAccount but those of the controller-manager: this stays
/// small, and is what it takes to tell which rules of a role are used.
const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
  "rules": [
    {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
    {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
    {"level": "None"}
  ]
}
"#;

/// The port of the `kubernetes` service.
const SERVICE_PORT: u16 = 443;

/// The address of the `kubernetes` service where no pod asks for it.
const UNUSED_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// Ports and files of one control plane.
#[derive(Debug)]
pub(super) struct Layout {
    reach: Reach,
    server: String,
    authority: String,
    ports: BTreeMap<Component, u16>,
    peer_port: u16,
    authority_file: PathBuf,
    serving_certificate: PathBuf,
    serving_key: PathBuf,
    token_public_key: PathBuf,
    token_private_key: PathBuf,
    kubelet_certificate: PathBuf,
    kubelet_key: PathBuf,
    audit_policy: PathBuf,
    kubeconfigs: BTreeMap<Component, PathBuf>,
    pub(super) audit_log: PathBuf,
}

impl Layout {
    /// Finds ports, and writes everything the programs read.
    pub(super) fn write(
        folder: &RunFolder,
        authority: &Authority,
        reach: Reach,
    ) -> Result<Self, Error> {
        let [scheduler, manager, free, etcd, peer_port] = ports::free()?;
        let (host, api, service) = match reach {
            Reach::Loopback => (Ipv4Addr::LOCALHOST, free, UNUSED_SERVICE),
            Reach::Service(address) => (address, SERVICE_PORT, address),
        };
        let ports = [scheduler, manager, api, etcd];
        let serving = authority.serving(service)?;
        let kubelets = authority.client("kube-apiserver", "system:masters")?;
        let tokens = TokenKeys::new()?;
        let mut layout = Self {
            reach,
            server: format!("https://{host}:{api}"),
            authority: authority.certificate(),
            ports: Component::ALL.into_iter().zip(ports).collect(),
            peer_port,
            authority_file: folder.write("ca.crt", &authority.certificate())?,
            serving_certificate: folder.write("serving.crt", &serving.certificate)?,
            serving_key: folder.write("serving.key", &serving.key)?,
            token_public_key: folder.write("tokens.pub", &tokens.public)?,
            token_private_key: folder.write("tokens.key", &tokens.private)?,
            kubelet_certificate: folder.write("kubelets.crt", &kubelets.certificate)?,
            kubelet_key: folder.write("kubelets.key", &kubelets.key)?,
            audit_policy: folder.write("audit-policy.json", AUDIT_POLICY)?,
            kubeconfigs: BTreeMap::new(),
            audit_log: folder.path().join("audit.log"),
        };
        for component in [Component::ControllerManager, Component::Scheduler] {
            // The API server has roles for these two names from the start.
            let tool = component.tool();
            let access = layout.access(authority, &format!("system:{tool}"), tool)?;
            let file = folder.write(&format!("{tool}.kubeconfig"), &access.kubeconfig())?;
            layout.kubeconfigs.insert(component, file);
        }
        Ok(layout)
    }

    /// A user with a certificate.
    pub(super) fn access(
        &self,
        authority: &Authority,
        user: &str,
        group: &str,
    ) -> Result<Access, Error> {
        Ok(Access {
            server: self.server.clone(),
            authority: self.authority.clone(),
            credential: Credential::Certificate(authority.client(user, group)?),
        })
    }

    /// The address where a component listens.
    pub(super) fn host(&self, component: Component) -> Ipv4Addr {
        match (component, self.reach) {
            (Component::ApiServer, Reach::Service(address)) => address,
            _ => Ipv4Addr::LOCALHOST,
        }
    }

    /// The port where a component listens.
    pub(super) fn port(&self, component: Component) -> u16 {
        let port = self.ports.get(&component);
        *port.expect("each has one")
    }

    fn kubeconfig(&self, component: Component) -> &Path {
        let file = self.kubeconfigs.get(&component);
        file.expect("those that ask have one")
    }

    /// The flags of what serves https: where, and with which certificate.
    fn secure(&self, component: Component) -> Vec<OsString> {
        vec![
            format!("--bind-address={}", self.host(component)).into(),
            format!("--secure-port={}", self.port(component)).into(),
            flag("tls-cert-file", &self.serving_certificate),
            flag("tls-private-key-file", &self.serving_key),
        ]
    }
}

/// The programs of all components that are wanted.
pub(super) fn all(
    options: &Options,
    tools: &Tools,
    layout: &Layout,
    folder: &RunFolder,
) -> BTreeMap<Component, Program> {
    options
        .components()
        .map(|component| {
            let arguments = match component {
                Component::Etcd => etcd(layout, folder),
                Component::ApiServer => api_server(layout, options.scope),
                Component::ControllerManager => controller_manager(layout, options, folder),
                Component::Scheduler => scheduler(layout),
            };
            let more = options.flags.get(&component).into_iter().flatten();
            let tool = component.tool();
            let program = Program::new(tool, tools.path(tool), folder.logs())
                .args(arguments)
                .args(more)
                .env("HOME", folder.path());
            (component, program)
        })
        .collect()
}

fn etcd(layout: &Layout, folder: &RunFolder) -> Vec<OsString> {
    let clients = format!("http://127.0.0.1:{}", layout.port(Component::Etcd));
    let peers = format!("http://127.0.0.1:{}", layout.peer_port);
    vec![
        flag("data-dir", &folder.path().join("etcd")),
        format!("--listen-client-urls={clients}").into(),
        format!("--advertise-client-urls={clients}").into(),
        format!("--listen-peer-urls={peers}").into(),
        format!("--initial-advertise-peer-urls={peers}").into(),
        format!("--initial-cluster=default={peers}").into(),
        // The data has to survive our SIGKILLs, not a loss of power.
        "--unsafe-no-fsync".into(),
    ]
}

fn api_server(layout: &Layout, scope: Scope) -> Vec<OsString> {
    let mut flags = layout.secure(Component::ApiServer);
    flags.extend([
        format!(
            "--etcd-servers=http://127.0.0.1:{}",
            layout.port(Component::Etcd)
        )
        .into(),
        flag("client-ca-file", &layout.authority_file),
        "--allow-privileged=true".into(),
        // Otherwise it looks for an address of this machine that others reach, and needs to find
        // one. Loopback is no address for Endpoints either: it would complain every ten seconds.
        format!("--advertise-address={}", layout.host(Component::ApiServer)).into(),
        "--endpoint-reconciler-type=none".into(),
        format!("--service-account-issuer={}/", layout.server).into(),
        flag("service-account-key-file", &layout.token_public_key),
        flag(
            "service-account-signing-key-file",
            &layout.token_private_key,
        ),
        flag("audit-policy-file", &layout.audit_policy),
        flag("audit-log-path", &layout.audit_log),
    ]);
    match layout.reach {
        Reach::Loopback => {
            flags.extend(["--authorization-mode=RBAC".into(), services(UNUSED_SERVICE)]);
        }
        Reach::Service(address) => flags.extend([
            // A kubelet may read what its own pods need, and no more.
            "--authorization-mode=Node,RBAC".into(),
            services(address),
            // For logs and exec; by default it looks for the node's name in the DNS.
            "--kubelet-preferred-address-types=InternalIP".into(),
            flag("kubelet-client-certificate", &layout.kubelet_certificate),
            flag("kubelet-client-key", &layout.kubelet_key),
        ]),
    }
    if scope == Scope::ApiOnly {
        // Without the controller-manager no namespace has a default ServiceAccount, which this
        // plugin wants pods to have.
        flags.push("--disable-admission-plugins=ServiceAccount".into());
    }
    flags
}

fn controller_manager(layout: &Layout, options: &Options, folder: &RunFolder) -> Vec<OsString> {
    let mut flags = layout.secure(Component::ControllerManager);
    let period = |name: &str, time: Duration| -> OsString {
        format!("--{name}={}ms", time.as_millis()).into()
    };
    flags.extend([
        flag(
            "kubeconfig",
            layout.kubeconfig(Component::ControllerManager),
        ),
        "--leader-elect=false".into(),
        // Its one user may only make ServiceAccounts' tokens; each controller has one of these.
        "--use-service-account-credentials=true".into(),
        flag(
            "service-account-private-key-file",
            &layout.token_private_key,
        ),
        flag("root-ca-file", &layout.authority_file),
        format!("--controllers={CONTROLLERS}").into(),
        // It makes this folder if it is not there; the default is outside of ours.
        flag("flex-volume-plugin-dir", &folder.path().join("flexvolume")),
        period(
            "node-monitor-grace-period",
            options.node_monitor_grace_period,
        ),
        period("node-monitor-period", options.node_monitor_period),
        period(
            "attach-detach-reconcile-sync-period",
            options.attach_detach_sync,
        ),
    ]);
    flags
}

fn scheduler(layout: &Layout) -> Vec<OsString> {
    let mut flags = layout.secure(Component::Scheduler);
    flags.extend([
        flag("kubeconfig", layout.kubeconfig(Component::Scheduler)),
        "--leader-elect=false".into(),
    ]);
    flags
}

/// The range of services, of which the first is `kubernetes`.
fn services(first: Ipv4Addr) -> OsString {
    let [a, b, c, _] = first.octets();
    format!("--service-cluster-ip-range={a}.{b}.{c}.0/24").into()
}

/// `--NAME=PATH`.
fn flag(name: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(format!("--{name}="));
    flag.push(path);
    flag
}
