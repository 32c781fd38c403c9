//! The processes under measurement, and readings of what they used.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use rds_csi::proto::csi::ProbeRequest;
use rds_csi::proto::csi::identity_client::IdentityClient;
use rds_csi::sim::admin::AdminClient;
use rds_csi::sim::admin::types::Faults;
use rds_csi::sim::transport::Transport;
use tempfile::TempDir;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use super::client::Client;
use super::proc;
use super::process::Process;

/// Reading 10,000 volumes takes seconds; this is ten times that.
const READY_DEADLINE: Duration = Duration::from_mins(1);

/// How often a starting controller is asked whether it is ready: the resolution of start-up times.
/// Its answers cost it 1 % of a processor.
const PROBE_INTERVAL: Duration = Duration::from_millis(10);

/// A simulated RDS and a controller. Both are killed when this is dropped.
pub(crate) struct Rig {
    // Dropped first: a controller that outlives its RDS fills its log.
    controller: Process,
    sim: Process,
    announced: Announced,
    admin: AdminClient,
    channel: Channel,
    folder: TempDir,
    starts: usize,
}

/// What the simulator says when it listens.
struct Announced {
    ssh: SocketAddr,
    fingerprint: String,
}

/// Totals since the processes began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) at: Instant,
    pub(crate) controller: Duration,
    pub(crate) sim: Duration,
    pub(crate) client: Duration,
    pub(crate) commands: u64,
    machine: Duration,
}

/// What happened between two readings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) wall: Duration,
    /// Processor time of the controller, the simulator, and this process.
    pub(crate) controller: Duration,
    pub(crate) sim: Duration,
    pub(crate) client: Duration,
    /// Processor time of everything else on this machine.
    others: Duration,
    /// Lines that the simulated RDS received.
    pub(crate) commands: u64,
}

// === impl Rig ===

impl Rig {
    /// Starts both; the controller is ready. The second value is how long its start took.
    pub(crate) async fn start() -> anyhow::Result<(Self, Duration)> {
        let folder = tempfile::tempdir().context("a temporary folder")?;
        let mut sim = Process::start("sim", folder.path(), &SIM);
        let line = sim.first_line().await;
        let line: serde_json::Value =
            serde_json::from_str(&line).context("the simulator's first line")?;
        let field = |name: &str| {
            let text = line.get(name).and_then(serde_json::Value::as_str);
            text.with_context(|| format!("the simulator announces no {name}"))
        };
        let announced = Announced {
            ssh: field("ssh")?.parse()?,
            fingerprint: field("fingerprint")?.to_owned(),
        };
        let admin = AdminClient::new(field("admin")?.parse()?);
        let (controller, channel, took) =
            start_controller(folder.path(), &announced, 0, &[]).await?;
        let rig = Self {
            controller,
            sim,
            announced,
            admin,
            channel,
            folder,
            starts: 1,
        };
        Ok((rig, took))
    }

    /// Kills the controller and starts another one on the same RDS; how long until it was ready.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<Duration> {
        self.restart_with(&[]).await
    }

    /// As [`Rig::restart`], with more flags.
    pub(crate) async fn restart_with(&mut self, flags: &[String]) -> anyhow::Result<Duration> {
        let number = self.starts;
        self.starts += 1;
        self.controller.kill().await;
        let (controller, channel, took) =
            start_controller(self.folder.path(), &self.announced, number, flags).await?;
        self.controller = controller;
        self.channel = channel;
        Ok(took)
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.channel.clone())
    }

    /// Lets the simulated RDS wait before each line that it runs.
    pub(crate) async fn set_latency(&self, latency: Duration) -> anyhow::Result<()> {
        let latency_ms = u64::try_from(latency.as_millis()).context("a latency")?;
        let faults = Faults {
            transport: Some(Transport {
                latency_ms,
                ..Transport::default()
            }),
            ..Faults::default()
        };
        self.admin.faults(&faults).await.context("set the latency")
    }

    pub(crate) async fn read(&mut self) -> anyhow::Result<Reading> {
        self.controller.assert_running();
        self.sim.assert_running();
        let seen = self.admin.observer().await.context("ask the simulator")?;
        Ok(Reading {
            controller: proc::cpu(self.controller.id())?,
            sim: proc::cpu(self.sim.id())?,
            client: proc::cpu(std::process::id())?,
            commands: seen.counters.commands,
            machine: proc::machine()?,
            at: Instant::now(),
        })
    }

    pub(crate) fn memory(&self) -> anyhow::Result<proc::Memory> {
        proc::memory(self.controller.id())
    }
}

const SIM: [&str; 6] = [
    "sim",
    "--listen=127.0.0.1:0",
    "--admin=127.0.0.1:0",
    "--user=csi",
    "--no-auth",
    "--latency=0ms",
];

async fn start_controller(
    folder: &Path,
    sim: &Announced,
    number: usize,
    flags: &[String],
) -> anyhow::Result<(Process, Channel, Duration)> {
    let endpoint = format!(
        "unix:{}",
        folder.join(format!("csi-{number}.sock")).display()
    );
    let arguments = [
        "controller".to_owned(),
        "--standalone".to_owned(),
        "--cluster-id=bench".to_owned(),
        format!("--endpoint={endpoint}"),
        format!("--rds-address={}", sim.ssh.ip()),
        format!("--rds-port={}", sim.ssh.port()),
        "--rds-user=csi".to_owned(),
        format!("--rds-host-key={}", sim.fingerprint),
    ];
    let arguments = arguments.iter().chain(flags);
    let arguments: Vec<&str> = arguments.map(String::as_str).collect();
    let started = Instant::now();
    let mut controller = Process::start(&format!("controller-{number}"), folder, &arguments);
    let ready = async {
        let mut tick = tokio::time::interval(PROBE_INTERVAL);
        let mut connected = None;
        loop {
            tick.tick().await;
            controller.assert_running();
            if connected.is_none() {
                connected = connect(&endpoint).await;
            }
            match &connected {
                Some(channel) if is_ready(channel).await => return channel.clone(),
                Some(_) | None => {}
            }
        }
    };
    let ready = tokio::time::timeout(READY_DEADLINE, ready).await;
    let channel = ready.with_context(|| {
        let log = controller.log_tail();
        format!("the controller was not ready within {READY_DEADLINE:?}:\n{log}")
    })?;
    Ok((controller, channel, started.elapsed()))
}

/// `None` while there is no socket yet.
async fn connect(endpoint: &str) -> Option<Channel> {
    let endpoint = Endpoint::from_shared(endpoint.to_owned()).ok()?;
    endpoint.connect().await.ok()
}

async fn is_ready(channel: &Channel) -> bool {
    let mut identity = IdentityClient::new(channel.clone());
    let answer = identity.probe(ProbeRequest {}).await;
    answer.is_ok_and(|answer| answer.into_inner().ready == Some(true))
}

// === impl Reading ===

impl Reading {
    pub(crate) fn since(&self, before: &Self) -> Spent {
        let spent = Spent {
            wall: self.at - before.at,
            controller: self.controller.saturating_sub(before.controller),
            sim: self.sim.saturating_sub(before.sim),
            client: self.client.saturating_sub(before.client),
            others: Duration::ZERO,
            commands: self.commands - before.commands,
        };
        let ours = spent.controller + spent.sim + spent.client;
        let all = self.machine.saturating_sub(before.machine);
        Spent {
            others: all.saturating_sub(ours),
            ..spent
        }
    }
}

// === impl Spent ===

impl Spent {
    /// How many processors were busy with something else, on average.
    pub(crate) fn disturbance(&self) -> f64 {
        self.others.as_secs_f64() / self.wall.as_secs_f64()
    }
}
