//! The whole simulated appliance in one value: device, SSH server and machines.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::sim::initiator::{Kernel, Machine, MachineConfig, MachineView, Writer};
use crate::sim::server::{Accounts, HostKey, Server};
use crate::sim::store::{OpenError, Storage};
use crate::sim::transport::{Transport, TransportFaults};
use crate::sim::world::{Config, Snapshot, World};

/// What to simulate.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// Where SSH listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The SSH host key.
    pub host_key: HostKey,
    /// Who may log in.
    pub accounts: Accounts,
    /// The device.
    pub device: Config,
    /// What outlives the process.
    pub storage: Storage,
    /// How the SSH server behaves.
    pub transport: Transport,
}

impl Default for SimConfig {
    /// A default device in memory on a free local port that lets anybody in.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            host_key: HostKey::default(),
            accounts: Accounts::open(),
            device: Config::default(),
            storage: Storage::default(),
            transport: Transport::default(),
        }
    }
}

/// The simulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its stored state is unusable.
    #[error(transparent)]
    Storage(#[from] OpenError),
    /// The SSH server could not start.
    #[error("cannot serve SSH on {listen}: check the address and the host key file")]
    Serve {
        /// The address asked for.
        listen: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A running simulator. Clones are the same simulator; it runs until [`Sim::shutdown`].
#[derive(Clone, Debug)]
pub struct Sim {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    world: Arc<World>,
    server: Server,
    faults: TransportFaults,
    machines: Mutex<BTreeMap<String, Member>>,
    snapshots: Mutex<Vec<Snapshot>>,
    stop: CancellationToken,
}

/// A machine and what it does by itself.
#[derive(Debug)]
struct Member {
    machine: Arc<Machine>,
    background: bool,
    writers: BTreeMap<String, Writer>,
}

impl Sim {
    /// Starts it; SSH listens when this returns.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub fn start(config: SimConfig) -> Result<Self, StartError> {
        let SimConfig {
            listen,
            host_key,
            accounts,
            device,
            storage,
            transport,
        } = config;
        let world = World::open(device, storage)?;
        let faults = TransportFaults::default();
        faults.set_transport(transport);
        let server = Server::start(
            listen,
            &host_key,
            accounts,
            faults.clone(),
            Arc::clone(&world),
        )
        .map_err(|source| StartError::Serve { listen, source })?;
        Ok(Self {
            inner: Arc::new(Inner {
                world,
                server,
                faults,
                machines: Mutex::default(),
                snapshots: Mutex::default(),
                stop: CancellationToken::new(),
            }),
        })
    }

    /// Where SSH listens.
    pub fn ssh_addr(&self) -> SocketAddr {
        self.inner.server.address()
    }

    /// The public host key in force, as `ssh-ed25519 AAAA…`.
    pub fn host_key(&self) -> String {
        self.inner.server.host_key()
    }

    /// Its fingerprint, as `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        self.inner.server.fingerprint()
    }

    /// The device.
    pub fn world(&self) -> &Arc<World> {
        &self.inner.world
    }

    /// The SSH server.
    pub fn server(&self) -> &Server {
        &self.inner.server
    }

    /// Faults on the way to the device. Those of the device itself are set on [`Sim::world`].
    pub fn faults(&self) -> &TransportFaults {
        &self.inner.faults
    }

    /// Power off: sessions and running lines end, SSH connections go silent, connects are refused.
    pub async fn power_off(&self) {
        self.inner.server.power_off().await;
        self.inner.world.set_power(false);
    }

    /// Power on: disks, files and data are as they were.
    ///
    /// # Errors
    /// The SSH address cannot be listened on again.
    pub fn power_on(&self) -> io::Result<()> {
        self.inner.world.set_power(true);
        self.inner.server.power_on()
    }

    /// Power off now, power on after `down`.
    pub async fn reboot(&self, down: Duration) {
        self.power_off().await;
        let sim = self.clone();
        drop(tokio::spawn(async move {
            tokio::select! {
                () = sim.inner.stop.cancelled() => {}
                () = tokio::time::sleep(down) => {
                    if let Err(error) = sim.power_on() {
                        tracing::error!(%error, "the simulated device does not come back");
                    }
                }
            }
        }));
    }

    /// Keeps the disk entries as they are now; the number names them in [`Sim::restore`].
    pub fn snapshot(&self) -> usize {
        let mut snapshots = lock(&self.inner.snapshots);
        snapshots.push(self.inner.world.snapshot());
        snapshots.len() - 1
    }

    /// Loads older disk entries as a restored RouterOS backup does, with the restart that goes with
    /// it. Returns whether there is such a snapshot.
    pub fn restore(&self, snapshot: usize) -> bool {
        let Some(snapshot) = lock(&self.inner.snapshots).get(snapshot).cloned() else {
            return false;
        };
        self.inner.server.cut_connections();
        self.inner.world.restore(&snapshot);
        true
    }

    /// Ends everything and writes the state file, if there is one.
    ///
    /// # Errors
    /// The state file cannot be written.
    pub async fn shutdown(&self) -> io::Result<()> {
        self.inner.stop.cancel();
        lock(&self.inner.machines).clear();
        self.inner.server.stop().await;
        self.inner.world.save().await
    }
}

// === Machines ===

impl Sim {
    /// The machine of this name; made with kernel 6.12 when there is none. It does nothing by
    /// itself.
    pub fn machine(&self, name: &str) -> Arc<Machine> {
        let mut machines = lock(&self.inner.machines);
        let member = machines
            .entry(name.to_owned())
            .or_insert_with(|| self.member(MachineConfig::new(name, Kernel::default())));
        Arc::clone(&member.machine)
    }

    /// Makes a machine that does nothing by itself. One that has the name already is replaced, and
    /// its sessions stay at the target, as when the machine lost power.
    pub fn add_machine(&self, config: MachineConfig) -> Arc<Machine> {
        let member = self.member(config);
        let machine = Arc::clone(&member.machine);
        lock(&self.inner.machines).insert(machine.name().to_owned(), member);
        machine
    }

    /// The machine of this name, if there is one.
    pub fn find_machine(&self, name: &str) -> Option<Arc<Machine>> {
        let machines = lock(&self.inner.machines);
        machines.get(name).map(|member| Arc::clone(&member.machine))
    }

    /// Lets a machine notice and reconnect by itself from now on, until the simulator ends.
    pub fn run_machine(&self, name: &str) {
        let mut machines = lock(&self.inner.machines);
        if let Some(member) = machines.get_mut(name)
            && !std::mem::replace(&mut member.background, true)
        {
            let machine = Arc::clone(&member.machine);
            drop(tokio::spawn(machine.run(self.inner.stop.child_token())));
        }
    }

    /// Lets a machine write to a volume once in every `period`; without a period it stops.
    pub fn keep_writing(&self, name: &str, volume: &str, period: Option<Duration>) {
        let mut machines = lock(&self.inner.machines);
        let Some(member) = machines.get_mut(name) else {
            return;
        };
        member.writers.remove(volume);
        if let Some(period) = period {
            let writer = member.machine.keep_writing(volume, period);
            member.writers.insert(volume.to_owned(), writer);
        }
    }

    /// All machines by name.
    pub fn machines(&self) -> Vec<MachineView> {
        let machines = lock(&self.inner.machines);
        machines
            .values()
            .map(|member| member.machine.view())
            .collect()
    }

    fn member(&self, config: MachineConfig) -> Member {
        Member {
            machine: Arc::new(Machine::new(config, Arc::clone(&self.inner.world))),
            background: false,
            writers: BTreeMap::new(),
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;
    use crate::sim::observer::Event;

    /// Longest wait for something that must happen. Only a failing test waits it out.
    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_reboot_ends_by_itself_and_keeps_disks_and_files() {
        let sim = Sim::start(SimConfig::default()).unwrap();
        let (disks, files) = (sim.world().disks(), sim.world().files());
        let mut events = sim.world().subscribe();
        sim.reboot(Duration::from_millis(5)).await;
        for expected in [Event::PoweredOff, Event::Rebooted] {
            let event = timeout(SOON, events.recv())
                .await
                .expect("it goes on")
                .unwrap();
            assert_eq!(event, expected);
        }
        let back = async {
            while TcpStream::connect(sim.ssh_addr()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, back).await.expect("SSH listens again");
        assert_eq!((sim.world().disks(), sim.world().files()), (disks, files));
        sim.shutdown().await.unwrap();
    }

    #[tokio::test]
    async fn a_machine_is_the_same_each_time_and_replaced_when_added() {
        let sim = Sim::start(SimConfig::default()).unwrap();
        let first = sim.machine("a");
        assert!(Arc::ptr_eq(&first, &sim.machine("a")));
        assert!(sim.find_machine("b").is_none());
        let added = sim.add_machine(MachineConfig::new("a", Kernel::V6_1));
        assert!(Arc::ptr_eq(&added, &sim.machine("a")));
        assert_eq!(sim.machines().len(), 1);
        assert_eq!(sim.machines()[0].kernel, Kernel::V6_1);
    }

    #[tokio::test]
    async fn two_simulators_cannot_share_an_address() {
        let config = SimConfig::default();
        let sim = Sim::start(config.clone()).unwrap();
        let taken = Sim::start(SimConfig {
            listen: sim.ssh_addr(),
            ..config
        });
        assert!(matches!(taken, Err(StartError::Serve { .. })), "{taken:?}");
        sim.shutdown().await.unwrap();
    }
}
