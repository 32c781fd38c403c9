//! The command line of `rds-csi sim`, and the process behind it.

#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{ArgGroup, Args};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::sim::admin::Admin;
use crate::sim::handle::{Sim, SimConfig};
use crate::sim::personality::Personality;
use crate::sim::server::{Accounts, HostKey};
use crate::sim::store::Storage;
use crate::sim::transport::Transport;
use crate::sim::world::{Config, PoolConfig};

/// Run a simulated RDS: an SSH server that speaks the driver's part of RouterOS.
#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("login").required(true))]
pub struct Options {
    /// Where SSH listens; port 0 takes a free one.
    #[arg(long, env = "RDS_CSI_SIM_LISTEN", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// The user who may log in.
    #[arg(long, env = "RDS_CSI_SIM_USER", default_value = "admin")]
    pub user: String,
    /// Keys the user logs in with, one OpenSSH public key a line.
    #[arg(long, env = "RDS_CSI_SIM_AUTHORIZED_KEYS", group = "login")]
    pub authorized_keys: Option<PathBuf>,
    /// File with the password the user logs in with.
    #[arg(long, env = "RDS_CSI_SIM_PASSWORD_FILE", group = "login")]
    pub password_file: Option<PathBuf>,
    /// Let everybody in under any name.
    #[arg(long, env = "RDS_CSI_SIM_NO_AUTH", group = "login")]
    pub no_auth: bool,
    /// SSH host key in OpenSSH form; created when missing. Without it the key is new with each
    /// start.
    #[arg(long, env = "RDS_CSI_SIM_HOST_KEY")]
    pub host_key: Option<PathBuf>,
    /// Keep disks and files in this file, and start with what it holds.
    #[arg(long, env = "RDS_CSI_SIM_STATE")]
    pub state: Option<PathBuf>,
    /// Keep real sparse backing files below this directory.
    #[arg(long, env = "RDS_CSI_SIM_FILES")]
    pub files: Option<PathBuf>,
    /// Wait before each line runs, such as 20ms or 1.5s.
    #[arg(long, env = "RDS_CSI_SIM_LATENCY", default_value = "0ms", value_parser = parse_duration)]
    pub latency: Duration,
    /// Serve the admin interface there. It has no login: whoever connects may do everything.
    #[arg(long, env = "RDS_CSI_SIM_ADMIN")]
    pub admin: Option<SocketAddr>,
    /// Kind of device.
    #[arg(long, env = "RDS_CSI_SIM_PERSONALITY", default_value = "7.24",
          value_parser = clap::builder::PossibleValuesParser::new(Personality::NAMES))]
    pub personality: String,
    /// Directory for volumes, in the pool that is its first part. Created.
    #[arg(
        long,
        env = "RDS_CSI_SIM_BASE_PATH",
        default_value = "/storage-pool/metal-csi"
    )]
    pub base_path: String,
    /// Size of the pool in bytes, all of it free.
    #[arg(long, env = "RDS_CSI_SIM_CAPACITY")]
    pub capacity: Option<u64>,
}

/// The one line that is printed once the simulator listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Where SSH listens.
    pub ssh: SocketAddr,
    /// The public host key, as `ssh-ed25519 AAAA…`.
    pub host_key: String,
    /// Its fingerprint, as `SHA256:…`.
    pub fingerprint: String,
    /// Where the admin interface listens, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<SocketAddr>,
}

/// The running process: the simulator and its admin interface.
#[derive(Debug)]
pub struct Running {
    /// The simulator.
    pub sim: Sim,
    /// Its admin interface, if there is one.
    pub admin: Option<Admin>,
}

/// Runs the simulator until it is told to stop.
///
/// # Errors
/// It cannot start, or its state cannot be written at the end.
pub async fn run(options: Options, stop: CancellationToken) -> anyhow::Result<()> {
    let running = options.start().await?;
    let ready = serde_json::to_string(&running.ready())?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{ready}")
        .and_then(|()| stdout.flush())
        .context("print the ready line")?;
    drop(stdout);
    stop.cancelled().await;
    running.stop().await
}

impl Options {
    /// Starts what the options describe.
    ///
    /// # Errors
    /// A file cannot be used, or an address cannot be listened on.
    pub async fn start(self) -> anyhow::Result<Running> {
        let admin = self.admin;
        let sim = Sim::start(self.config()?)?;
        let admin = match admin {
            Some(listen) => match Admin::start(listen, sim.clone()).await {
                Ok(admin) => Some(admin),
                Err(error) => {
                    sim.shutdown().await.context("stop the simulator")?;
                    return Err(error)
                        .with_context(|| format!("serve the admin interface on {listen}"));
                }
            },
            None => None,
        };
        Ok(Running { sim, admin })
    }

    fn config(self) -> anyhow::Result<SimConfig> {
        let Self {
            listen,
            user,
            authorized_keys,
            password_file,
            no_auth: _,
            host_key,
            state,
            files,
            latency,
            admin: _,
            personality,
            base_path,
            capacity,
        } = self;
        let accounts = match (authorized_keys, password_file) {
            (Some(file), _) => Accounts::default()
                .with_authorized_keys(&user, &file)
                .with_context(|| format!("read the authorized keys {}", file.display()))?,
            (None, Some(file)) => {
                let password = std::fs::read_to_string(&file)
                    .with_context(|| format!("read the password file {}", file.display()))?;
                Accounts::default().with_password(&user, password.trim_end().into())
            }
            (None, None) => Accounts::open(),
        };
        let personality = Personality::named(&personality)
            .with_context(|| format!("no personality is called {personality}"))?;
        Ok(SimConfig {
            listen,
            host_key: host_key.map_or(HostKey::Generated, HostKey::File),
            accounts,
            device: Config {
                pools: vec![pool(&base_path, capacity)?],
                ..Config::of(personality)
            },
            storage: Storage {
                files_dir: files,
                state_file: state,
                ..Storage::default()
            },
            transport: Transport {
                latency_ms: u64::try_from(latency.as_millis()).context("such a latency")?,
                ..Transport::default()
            },
        })
    }
}

impl Running {
    /// What [`run`] prints.
    pub fn ready(&self) -> Ready {
        Ready {
            ssh: self.sim.ssh_addr(),
            host_key: self.sim.host_key(),
            fingerprint: self.sim.fingerprint(),
            admin: self.admin.as_ref().map(Admin::address),
        }
    }

    /// Ends both.
    ///
    /// # Errors
    /// The state file cannot be written.
    pub async fn stop(self) -> anyhow::Result<()> {
        if let Some(admin) = self.admin {
            admin.stop().await;
        }
        self.sim.shutdown().await.context("write the state file")
    }
}

/// The pool a base path lies in, with every directory on the way to it.
fn pool(base_path: &str, capacity: Option<u64>) -> anyhow::Result<PoolConfig> {
    let mut parts = base_path.split('/').filter(|part| !part.is_empty());
    let name = parts.next().context("the base path names no pool")?;
    let mut directories: Vec<String> = Vec::new();
    for part in parts {
        let parent = directories.last().map(|parent| format!("{parent}/"));
        directories.push(parent.unwrap_or_default() + part);
    }
    let mut pool = Config::default()
        .pools
        .into_iter()
        .next()
        .context("a default pool")?;
    name.clone_into(&mut pool.name);
    pool.directories = directories;
    if let Some(capacity) = capacity {
        (pool.size, pool.free) = (capacity, capacity);
    }
    Ok(pool)
}

/// `20ms`, `1.5s`, `2m`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|letter: char| letter.is_ascii_alphabetic())
        .ok_or("a duration needs a unit: ms, s or m")?;
    let (number, unit) = text.split_at(split);
    let number: f64 = number
        .parse()
        .map_err(|_| format!("{number:?} is no number"))?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        _ => return Err(format!("{unit:?} is not one of ms, s, m")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
