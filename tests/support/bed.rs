//! A simulated RDS, controllers on it and machines around it: what tests of the whole driver share.

#[path = "bed/clock.rs"]
mod clock;
#[path = "bed/replica.rs"]
pub(crate) mod replica;
#[path = "bed/witness.rs"]
mod witness;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rds_csi::domain::id::VolumeId;
use rds_csi::domain::shard::ShardCount;
use rds_csi::ports::Clock;
use rds_csi::rds::backend::{Options, RdsBackend};
use rds_csi::rds::transport::{
    Algorithms, Backoff, Credentials, Endpoint, HostKeyPin, PoolOptions, Target,
};
use rds_csi::service::{Settings, Volumes};
use rds_csi::sim::handle::{Sim, SimConfig};
use rds_csi::sim::initiator::Machine;
use rds_csi::sim::observer::{CommandRecord, What};
use rds_csi::sim::personality::Personality;
use rds_csi::sim::world::{Config, World};

pub(crate) use self::clock::TestClock;
pub(crate) use self::replica::Replica;
use self::witness::Witness;

/// A test that waits longer than this hangs. Only a failing test waits it out.
pub(crate) const HANG: Duration = Duration::from_secs(30);

/// How often to look whether something has happened.
const POLL: Duration = Duration::from_millis(1);

/// One GiB: what `create` makes.
pub(crate) const GIB: u64 = 1 << 30;

/// What a node is told: the map of a publish context.
pub(crate) type Context = BTreeMap<String, String>;

/// How long a simulated restart takes by the controllers' clock: they must see that it happened.
const RESTART: Duration = Duration::from_mins(2);

/// One simulated RDS and the clock that all its controllers share.
pub(crate) struct Bed {
    pub(crate) sim: Sim,
    pub(crate) clock: Arc<TestClock>,
    _witness: Witness,
}

/// What a controller is started with.
#[derive(Debug, Clone)]
pub(crate) struct Knobs {
    pub(crate) cluster: &'static str,
    pub(crate) settle: Duration,
    /// Longest time for one line.
    pub(crate) run: Duration,
    pub(crate) user: &'static str,
    pub(crate) key_file: Option<PathBuf>,
    /// The pinned host key; the simulator's own if not given.
    pub(crate) host_key: Option<String>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            cluster: "test",
            settle: Duration::ZERO,
            run: Duration::from_secs(10),
            user: "csi",
            key_file: None,
            host_key: None,
        }
    }
}

// === impl Bed ===

impl Bed {
    /// A current device.
    pub(crate) fn new() -> Self {
        Self::with(SimConfig::default())
    }

    /// A device of this kind.
    pub(crate) fn of(personality: Personality) -> Self {
        let device = Config::of(personality);
        Self::with(SimConfig {
            device,
            ..SimConfig::default()
        })
    }

    pub(crate) fn with(config: SimConfig) -> Self {
        Self {
            sim: Sim::start(config).unwrap(),
            clock: Arc::default(),
            _witness: Witness::to("rds_csi=debug"),
        }
    }

    pub(crate) fn world(&self) -> &Arc<World> {
        self.sim.world()
    }

    /// A controller that has read the RDS.
    pub(crate) async fn controller(&self) -> Replica {
        self.controller_with(&Knobs::default()).await
    }

    /// As [`Bed::controller`].
    pub(crate) async fn controller_with(&self, knobs: &Knobs) -> Replica {
        let replica = self.start(knobs);
        replica.ready().await;
        replica
    }

    /// A controller that has only just been started.
    pub(crate) fn start(&self, knobs: &Knobs) -> Replica {
        let backend = self.backend(knobs);
        let volumes = Volumes::new(backend.clone(), self.clock.clone(), settings(knobs));
        let reading = volumes.clone();
        Replica {
            volumes,
            backend,
            reading: tokio::spawn(async move { reading.run().await }),
        }
    }

    /// The way of one controller to the device.
    pub(crate) fn backend(&self, knobs: &Knobs) -> Arc<RdsBackend> {
        let host_key = knobs.host_key.clone();
        let target = Target {
            endpoint: Endpoint::new("127.0.0.1", self.sim.ssh_addr().port()),
            user: knobs.user.to_owned(),
            host_key: HostKeyPin::parse(&host_key.unwrap_or_else(|| self.sim.host_key())).unwrap(),
            credentials: Credentials::new(knobs.key_file.clone(), None),
            algorithms: Algorithms::Modern,
            connect_timeout: Duration::from_secs(10),
        };
        let pool = PoolOptions {
            connections: 2,
            backoff: Backoff {
                first: Duration::from_millis(2),
                longest: Duration::from_millis(20),
                operator: Duration::from_millis(20),
            },
            grace: Duration::from_millis(200),
            ..PoolOptions::default()
        };
        let options = Options {
            target,
            pool,
            wait: knobs.run,
            run: knobs.run,
        };
        let clock: Arc<dyn Clock> = self.clock.clone();
        Arc::new(RdsBackend::new(options, clock))
    }

    /// A machine with kernel 6.12.
    pub(crate) fn machine(&self, name: &str) -> Arc<Machine> {
        self.sim.machine(name)
    }

    /// The device goes down and comes back, which took it two minutes.
    pub(crate) fn reboot(&self) {
        self.sim.server().cut_connections();
        self.world().reboot();
        self.clock.advance(RESTART);
    }

    /// Loads an older configuration, with the restart that goes with it.
    pub(crate) fn restore(&self, snapshot: usize) {
        assert!(self.sim.restore(snapshot), "no such snapshot");
        self.clock.advance(RESTART);
    }

    /// Runs a line as an operator would, and takes anything it says for a failure.
    pub(crate) async fn by_hand(&self, line: &str) {
        let output = self.world().exec("admin", line).await;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said, "", "{line}");
    }

    /// Lines about volumes that the device has run since `seq`.
    pub(crate) fn commands(&self, seq: u64) -> Vec<CommandRecord> {
        let entries = self.world().log(seq).into_iter();
        let commands = entries.filter_map(|entry| match entry.what {
            What::Command(command) if command.text.contains("csi-") => Some(command),
            _ => None,
        });
        commands.collect()
    }

    /// No two machines at once, and no write that was issued before another machine came.
    #[track_caller]
    pub(crate) fn assert_one_writer(&self, case: &str) {
        let (overlaps, replays) = (
            self.world().second_writers(),
            self.world().replayed_writes(),
        );
        let found = !overlaps.is_empty() || !replays.is_empty();
        assert!(
            !found && self.world().findings_dropped() == 0,
            "{case}: {overlaps:#?} {replays:#?}\n{}",
            self.story()
        );
    }

    /// What the observer saw, for the message of a failed assertion.
    pub(crate) fn story(&self) -> String {
        let entries = self.world().log(0);
        let lines = entries
            .iter()
            .map(|entry| format!("{} {:?}", entry.seq, entry.what));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The text last written to the start of a volume.
    pub(crate) fn content(&self, id: &VolumeId) -> Option<String> {
        let stamp = self.world().read_backing(id.as_str(), 0)?;
        Some(String::from_utf8_lossy(stamp.as_bytes()).into_owned())
    }

    /// Disk entries and backing files of this driver, as text that can be compared.
    pub(crate) fn holdings(&self) -> Vec<String> {
        let disks = self.world().disks().into_iter();
        let disks = disks.filter(|disk| disk.slot.starts_with("csi-"));
        let files = self.world().files().into_iter();
        let files = files.filter(|name| name.contains("/csi-"));
        disks.map(|disk| format!("{disk:?}")).chain(files).collect()
    }
}

pub(crate) fn settings(knobs: &Knobs) -> Settings {
    Settings {
        cluster: knobs.cluster.parse().unwrap(),
        base: "/storage-pool/metal-csi".parse().unwrap(),
        rds_address: "127.0.0.1".to_owned(),
        nvme_address: "127.0.0.1".parse().unwrap(),
        revoke_settle: knobs.settle,
        allowed_nodes: None,
        shards: ShardCount::default(),
    }
}

// === waiting ===

/// What the future gives, unless the test hangs.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, work)
        .await
        .expect("the test hangs")
}

/// Waits until `holds`.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let mut tick = tokio::time::interval(POLL);
    let wait = async {
        while !holds() {
            tick.tick().await;
        }
    };
    let waited = tokio::time::timeout(HANG, wait).await;
    waited.unwrap_or_else(|_| panic!("it never came to be that {what}"));
}
