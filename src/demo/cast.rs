//! Who plays: a simulated RDS, the controller, a folder for their socket and secrets.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::config::rds::{HostKey, RdsConfig};
use crate::controller;
use crate::csi::server::DRAIN_LIMIT;
use crate::demo::client::Csi;
use crate::domain::shard::ShardCount;
use crate::service::Settings;
use crate::sim::handle::{Sim, SimConfig};
use crate::sim::initiator::{Kernel, MachineConfig};
use crate::sim::server::Accounts;
use crate::workload::folder::Folder;
use crate::workload::secrets;

/// The controller's default, and what an operator would have: long enough that a kernel target has
/// ended every session of the node before.
pub(super) const REVOKE_SETTLE: Duration = Duration::from_secs(1);
/// The machines, in the order in which a volume visits them.
pub(super) const NODES: [&str; 3] = ["node-a", "node-b", "node-c"];
/// Unlike that of any installation, so that nobody mistakes one for the other.
const DRIVER: &str = "demo.rds.csi.srvlab.io";
/// The user of the controller on the simulated RDS.
const USER: &str = "csi";
/// Where volumes lie: the pool and directory that a new simulated RDS has.
const BASE: &str = "/storage-pool/metal-csi";
/// The machine is this one, so an answer takes milliseconds; a thousand times that is for one that
/// is busy with something else.
const RDS_LIMIT: Duration = Duration::from_secs(5);
/// Calls come one at a time here; the second connection is for one that breaks.
const CONNECTIONS: usize = 2;
/// Calls under way get [`DRAIN_LIMIT`]; the rest of the end takes no time.
const STOP_LIMIT: Duration = Duration::from_secs(DRAIN_LIMIT.as_secs() + 5);
/// It has nothing to wait for: connections are cut, and there is no state file.
const SIM_STOP_LIMIT: Duration = Duration::from_secs(5);

/// Everything a story can do things with. Dropping it removes the folder.
#[derive(Debug)]
pub(super) struct Cast {
    pub(super) sim: Sim,
    pub(super) csi: Csi,
    pub(super) began: Instant,
    _folder: Folder,
}

/// The controller at work.
#[derive(Debug)]
pub(super) struct Running {
    task: JoinHandle<anyhow::Result<()>>,
    stop: CancellationToken,
    /// The task has told how it ended, which it does once.
    told: bool,
}

/// Starts everybody. The controller is not ready yet: that is for Probe to say.
pub(super) fn start() -> anyhow::Result<(Cast, Running)> {
    let folder = Folder::create().context("make a folder")?;
    let password = secrets::password();
    let password_file = folder.write("password", &password);
    let password_file = password_file.context("write the password file")?;

    let began = Instant::now();
    let sim = Sim::start(SimConfig {
        accounts: Accounts::default().with_password(USER, password.into()),
        ..SimConfig::default()
    })
    .context("start the simulated RDS")?;
    for node in NODES {
        // The older kernel: it keeps a lost controller, and what waits in it, and tries for ever.
        sim.add_machine(MachineConfig::new(node, Kernel::V6_1));
    }

    let socket = folder.path("csi.sock");
    let config = config(&sim, &socket, password_file)?;
    let stop = CancellationToken::new();
    let task = tokio::spawn(controller::run(config, stop.clone()));
    let cast = Cast {
        csi: Csi::new(&socket)?,
        sim,
        began,
        _folder: folder,
    };
    let running = Running {
        task,
        stop,
        told: false,
    };
    Ok((cast, running))
}

/// What `rds-csi controller --standalone` would be told on its command line.
fn config(sim: &Sim, socket: &Path, password_file: PathBuf) -> anyhow::Result<Config> {
    let rds = sim.ssh_addr();
    let settings = Settings {
        cluster: "demo".parse().context("the cluster id")?,
        base: BASE.parse().context("the base path")?,
        rds_address: rds.ip().to_string(),
        nvme_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        revoke_settle: REVOKE_SETTLE,
        allowed_nodes: None,
        shards: ShardCount::default(),
    };
    let rds = RdsConfig {
        address: rds.ip().to_string(),
        port: rds.port(),
        user: USER.to_owned(),
        key_file: None,
        password_file: Some(password_file),
        host_key: HostKey::Pinned(sim.host_key()),
        legacy_algorithms: false,
        connections: CONNECTIONS,
        command_timeout: RDS_LIMIT,
        connect_timeout: RDS_LIMIT,
    };
    Ok(Config {
        endpoint: format!("unix://{}", socket.display()).parse()?,
        driver_name: DRIVER.to_owned(),
        rds,
        volumes: settings,
        replica: None,
        admin: None,
        control: socket.with_file_name("control.sock"),
    })
}

// === impl Running ===

impl Running {
    /// Ends when the controller ends by itself, with the reason.
    pub(super) async fn ended(&mut self) -> anyhow::Error {
        let ended = (&mut self.task).await;
        self.told = true;
        match ended {
            Ok(Ok(())) => anyhow::anyhow!("the controller ended by itself"),
            Ok(Err(error)) => error.context("the controller ended by itself"),
            Err(error) => anyhow::Error::new(error).context("the controller broke off"),
        }
    }

    /// Stops the controller as SIGTERM does, then the simulator.
    pub(super) async fn stop(mut self, sim: &Sim) -> anyhow::Result<()> {
        self.stop.cancel();
        let stopped = if self.told {
            Ok(())
        } else {
            self.stopped().await
        };
        timeout(SIM_STOP_LIMIT, sim.shutdown())
            .await
            .with_context(|| format!("the simulated RDS did not stop within {SIM_STOP_LIMIT:?}"))?
            .context("stop the simulated RDS")?;
        stopped
    }

    async fn stopped(&mut self) -> anyhow::Result<()> {
        let ended = timeout(STOP_LIMIT, &mut self.task).await;
        self.task.abort();
        ended
            .with_context(|| format!("the controller did not stop within {STOP_LIMIT:?}"))?
            .context("the controller broke off")?
            .context("stop the controller")
    }
}
