//! The command line, as typed. What it means is `config`'s business.
//!
//! Flags have the Go driver's names where the meaning is the same. Each can come from the
//! environment instead: `--rds-port` is `RDS_CSI_RDS_PORT`.

pub mod duration;
pub mod operator;
pub mod traces;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use self::operator::{DrainArgs, ExplainArgs, LogLevelArgs, PictureArgs, StatusArgs, VersionArgs};
use self::traces::TraceArgs;
use crate::telemetry::{DEFAULT_FILTER, Format};

/// The name of the driver where nothing else is configured: the Go driver's, so that volumes,
/// StorageClasses and attachments of its installations go on.
pub const DRIVER_NAME: &str = "rds.csi.srvlab.io";

/// CSI driver for MikroTik ROSE Data Servers.
#[derive(Debug, Parser)]
#[command(name = "rds-csi", version)]
pub struct Cli {
    /// What the process says about itself.
    #[command(flatten)]
    pub log: LogArgs,
    /// The role that this process plays.
    #[command(subcommand)]
    pub command: Command,
}

/// The roles of the one binary.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve CSI Identity and Controller on a unix socket
    Controller(Box<ControllerArgs>),
    /// Simulate an RDS: RouterOS over real SSH, with machines that connect to it
    #[cfg(feature = "sim")]
    Sim(Box<crate::sim::options::Options>),
    /// Show the driver at work on this machine: simulated RDS, controller, nodes, and attacks
    #[cfg(feature = "demo")]
    Demo(DemoArgs),
    /// Show what a replica is and does: leader, RDS, volumes, drift
    #[command(mut_arg("rds_address", |flag| flag.required(false)))]
    Status(Box<StatusArgs>),
    /// Show who holds a volume, since when, and why another node does not get it
    #[command(mut_arg("rds_address", |flag| flag.required(false)))]
    Explain(Box<ExplainArgs>),
    /// Show the trace of a call that Jaeger has: each step, how long it took, what came of it
    Trace(PictureArgs),
    /// Let a replica finish its calls and hand over; for a preStop hook
    Drain(DrainArgs),
    /// Show which log lines a replica writes, or change that until it ends
    LogLevel(LogLevelArgs),
    /// Print the version, and what this binary was built from
    Version(VersionArgs),
}

/// Logging, the same for every role.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub struct LogArgs {
    /// text or json
    #[arg(long, env = "RDS_CSI_LOG_FORMAT", global = true, value_name = "FORMAT", default_value_t = Format::Text)]
    pub log_format: Format,

    /// A level (error, warn, info, debug, trace) or a list of target=level [default: info,russh=warn; for demo, status, explain, trace and drain: error]
    #[arg(long, env = "RDS_CSI_LOG_LEVEL", global = true, value_name = "FILTER")]
    pub log_level: Option<String>,
}

// === impl Command ===

impl Command {
    /// What is logged unless asked otherwise. The demo tells its own story, among which log lines of
    /// calls that are meant to fail would look like mistakes; whoever asks wants the answer only.
    pub const fn default_filter(&self) -> &'static str {
        match self {
            #[cfg(feature = "demo")]
            Self::Demo(_) => "error",
            #[cfg(feature = "sim")]
            Self::Sim(_) => DEFAULT_FILTER,
            // kube logs every connection that fails; what came of it is in our own error.
            Self::Status(_)
            | Self::Explain(_)
            | Self::Trace(_)
            | Self::Drain(_)
            | Self::LogLevel(_) => "error,kube_client=off",
            Self::Controller(_) | Self::Version(_) => DEFAULT_FILTER,
        }
    }
}

/// `rds-csi controller`.
#[derive(Debug, Args)]
pub struct ControllerArgs {
    /// Where sidecars connect: unix:///path [default: the driver's own directory below /var/lib/kubelet/plugins]
    #[arg(long, env = "RDS_CSI_ENDPOINT", value_name = "ENDPOINT")]
    pub endpoint: Option<String>,

    /// Name of the CSI driver, as in CSIDriver and StorageClass
    #[arg(long, env = "RDS_CSI_DRIVER_NAME", value_name = "NAME", default_value = DRIVER_NAME)]
    pub driver_name: String,

    /// Run without Kubernetes, as the only controller of this RDS
    #[arg(long, env = "RDS_CSI_STANDALONE")]
    pub standalone: bool,

    /// Whose volumes these are: unique among the clusters that share one RDS, and never changed
    #[arg(long, env = "RDS_CSI_CLUSTER_ID", value_name = "ID")]
    pub cluster_id: String,

    /// Directory of the volumes on the RDS; what lies elsewhere is never touched
    #[arg(
        long,
        env = "RDS_CSI_RDS_VOLUME_BASE_PATH",
        value_name = "PATH",
        default_value = "/storage-pool/metal-csi"
    )]
    pub rds_volume_base_path: String,

    /// Where nodes connect to volumes, an IP address [default: --rds-address, if that is one]
    #[arg(long, env = "RDS_CSI_NVME_ADDRESS", value_name = "IP")]
    pub nvme_address: Option<String>,

    /// How long a node must have been cut off before another one is let in
    #[arg(long, env = "RDS_CSI_REVOKE_SETTLE", value_name = "DURATION", default_value = "1s", value_parser = duration::parse)]
    pub revoke_settle: Duration,

    /// Accept a --revoke-settle that is too short for a real RDS; for tests
    #[arg(long, env = "RDS_CSI_UNSAFE_REVOKE_SETTLE", hide = true)]
    pub unsafe_revoke_settle: bool,

    /// Where health, status and metrics are served over HTTP, as address:port [default: nowhere]
    #[arg(long, env = "RDS_CSI_METRICS_ADDRESS", value_name = "ADDRESS")]
    pub metrics_address: Option<std::net::SocketAddr>,

    /// Unix socket for status, explain and drain on this machine [default: control.sock beside --endpoint]
    #[arg(long, env = "RDS_CSI_CONTROL_SOCKET", value_name = "PATH")]
    pub control_socket: Option<PathBuf>,

    /// Shards among which volumes are divided, 1 to 16
    #[arg(long, env = "RDS_CSI_SHARDS", value_name = "N", default_value_t = 16)]
    pub shards: u8,

    /// A node that may attach volumes, repeatable; any other does not exist [default: every node]
    #[arg(
        long,
        env = "RDS_CSI_ALLOWED_NODE",
        value_name = "NODE",
        value_delimiter = ','
    )]
    pub allowed_node: Vec<String>,

    /// Where traces go
    #[command(flatten)]
    pub traces: TraceArgs,

    /// The other replicas
    #[command(flatten)]
    pub replica: ReplicaArgs,

    /// The RDS. Last, as its help heading would be taken for that of all that follows
    #[command(flatten)]
    pub rds: RdsArgs,
}

/// Where the Lease of an installation is.
#[derive(Debug, Args)]
pub struct LeaseArgs {
    /// How to reach the Kubernetes API [default: a controller as its pod does, others as kubectl does]
    #[arg(long, env = "RDS_CSI_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Namespace of the Lease [default: that of the kubeconfig or the pod]
    #[arg(
        long,
        env = "RDS_CSI_LEADER_ELECTION_NAMESPACE",
        value_name = "NAMESPACE"
    )]
    pub leader_election_namespace: Option<String>,

    /// Name of the Lease [default: the name of the driver and "-controller"]
    #[arg(long, env = "RDS_CSI_LEADER_ELECTION_LEASE", value_name = "NAME")]
    pub leader_election_lease: Option<String>,
}

/// How one controller of several finds the others; nothing of it is used with --standalone.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kubernetes")]
pub struct ReplicaArgs {
    /// The API, and the Lease in it
    #[command(flatten)]
    pub lease: LeaseArgs,

    /// Set of times: default (10s, 6s, 2s) or conservative (15s, 10s, 2s), for a slow API server
    #[arg(long, env = "RDS_CSI_LEADER_ELECTION_PROFILE", value_name = "PROFILE", value_enum, default_value_t = Profile::Default)]
    pub leader_election_profile: Profile,

    /// How long the Lease must stand still before another replica takes it [default: the profile's]
    #[arg(long, env = "RDS_CSI_LEADER_ELECTION_LEASE_DURATION", value_name = "DURATION", value_parser = duration::parse)]
    pub leader_election_lease_duration: Option<Duration>,

    /// How long after its last renewal a leader stops [default: the profile's]
    #[arg(long, env = "RDS_CSI_LEADER_ELECTION_RENEW_DEADLINE", value_name = "DURATION", value_parser = duration::parse)]
    pub leader_election_renew_deadline: Option<Duration>,

    /// Between two renewals [default: the profile's]
    #[arg(long, env = "RDS_CSI_LEADER_ELECTION_RETRY_PERIOD", value_name = "DURATION", value_parser = duration::parse)]
    pub leader_election_retry_period: Option<Duration>,

    /// Accept a lease that is too short for a real API server; for tests
    #[arg(long, env = "RDS_CSI_UNSAFE_LEASE_DURATION", hide = true)]
    pub unsafe_lease_duration: bool,

    /// Name of this pod, from the downward API
    #[arg(long, env = "RDS_CSI_POD_NAME", value_name = "NAME")]
    pub pod_name: Option<String>,

    /// UID of this pod, from the downward API
    #[arg(long, env = "RDS_CSI_POD_UID", value_name = "UID")]
    pub pod_uid: Option<String>,

    /// A file in an emptyDir of its own: a process that crashed leads again at once if it was locked here
    #[arg(long, env = "RDS_CSI_LOCK_FILE", value_name = "FILE")]
    pub lock_file: Option<PathBuf>,

    /// After so long in the lead a crashed process earns its pod the Lease at once; for tests
    #[arg(long, env = "RDS_CSI_UNSAFE_SHORT_CUT_AFTER", value_name = "DURATION", hide = true, value_parser = duration::parse)]
    pub unsafe_short_cut_after: Option<Duration>,

    /// Between two reconcile passes of a shard
    #[arg(long, env = "RDS_CSI_ATTACHMENT_RECONCILE_INTERVAL", value_name = "DURATION", default_value = "1m", value_parser = duration::parse)]
    pub attachment_reconcile_interval: Duration,

    /// How long a grant must have been without a VolumeAttachment, or its node without a Node object, before it is revoked
    #[arg(long, env = "RDS_CSI_ATTACHMENT_GRACE_PERIOD", value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    pub attachment_grace_period: Duration,
}

/// Times of the election that fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// 10 s lease, 6 s deadline, 2 s between renewals
    Default,
    /// 15 s lease, 10 s deadline, 2 s between renewals
    Conservative,
}

/// `rds-csi demo`.
#[cfg(feature = "demo")]
#[derive(Debug, Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag that stands alone"
)]
pub struct DemoArgs {
    /// End by itself, after about a minute, instead of going on until Ctrl-C
    #[arg(long, env = "RDS_CSI_DEMO_ONCE")]
    pub once: bool,

    /// Tell the story of one volume and one controller, without Kubernetes
    #[arg(long, env = "RDS_CSI_DEMO_STANDALONE")]
    pub standalone: bool,

    /// Print nothing but one JSON object at the end
    #[arg(long, env = "RDS_CSI_DEMO_JSON", requires = "once")]
    pub json: bool,

    /// Tamper with the RDS so that an old write comes back: the demo must notice, and fail
    #[arg(long, env = "RDS_CSI_DEMO_SABOTAGE", hide = true)]
    pub sabotage: bool,
}

/// How to reach the RDS, the same for every role that talks to it.
#[derive(Debug, Args)]
#[command(next_help_heading = "RDS")]
pub struct RdsArgs {
    /// Host name or IP address of the RDS
    #[arg(long, env = "RDS_CSI_RDS_ADDRESS", value_name = "HOST")]
    pub rds_address: String,

    /// Port of SSH on the RDS
    #[arg(long, env = "RDS_CSI_RDS_PORT", value_name = "PORT", default_value_t = 22, value_parser = clap::value_parser!(u16).range(1..))]
    pub rds_port: u16,

    /// User on the RDS
    #[arg(
        long,
        env = "RDS_CSI_RDS_USER",
        value_name = "USER",
        default_value = "admin"
    )]
    pub rds_user: String,

    /// File with the private key of that user; read again when it changes
    #[arg(long, env = "RDS_CSI_RDS_KEY_FILE", value_name = "FILE")]
    pub rds_key_file: Option<PathBuf>,

    /// File with the password of that user, tried if there is no key or the RDS refuses it
    #[arg(long, env = "RDS_CSI_RDS_PASSWORD_FILE", value_name = "FILE")]
    pub rds_password_file: Option<PathBuf>,

    /// Host key of the RDS: a file (known_hosts or public key), a fingerprint (SHA256:...) or a public key
    #[arg(long, env = "RDS_CSI_RDS_HOST_KEY", value_name = "FILE|KEY")]
    pub rds_host_key: Option<String>,

    /// Accept any host key if none is given: whoever answers can read and change all commands
    #[arg(long, env = "RDS_CSI_RDS_INSECURE_SKIP_VERIFY")]
    pub rds_insecure_skip_verify: bool,

    /// Also offer SSH algorithms that are no longer considered safe, for an old RouterOS
    #[arg(long, env = "RDS_CSI_RDS_LEGACY_ALGORITHMS")]
    pub rds_legacy_algorithms: bool,

    /// SSH connections to the RDS; each runs one command at a time
    #[arg(
        long,
        env = "RDS_CSI_RDS_CONNECTIONS",
        value_name = "N",
        default_value_t = 4
    )]
    pub rds_connections: usize,

    /// How long the RDS may take for one command
    #[arg(long, env = "RDS_CSI_RDS_COMMAND_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    pub rds_command_timeout: Duration,

    /// How long the RDS may take to accept a connection
    #[arg(long, env = "RDS_CSI_RDS_CONNECT_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    pub rds_connect_timeout: Duration,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_in_itself() {
        Cli::command().debug_assert();
        for role in Cli::command().get_subcommands() {
            assert!(
                role.get_about().is_some(),
                "{} has no help",
                role.get_name()
            );
        }
    }

    #[test]
    fn every_flag_can_be_set_from_the_environment_under_one_rule() {
        let command = Cli::command();
        let controller = command.find_subcommand("controller").unwrap();
        let drain = command.find_subcommand("drain").unwrap();
        let flags = command.get_arguments().chain(controller.get_arguments());
        let flags = flags.chain(drain.get_arguments());
        let mut seen = 0;
        for flag in flags.filter(|flag| !["help", "version"].contains(&flag.get_id().as_str())) {
            let name = flag.get_long().unwrap();
            let expected = format!("RDS_CSI_{}", name.to_uppercase().replace('-', "_"));
            let env = flag.get_env().and_then(|env| env.to_str());
            assert_eq!(env, Some(expected.as_str()), "--{name}");
            assert!(flag.get_help().is_some(), "--{name} has no help");
            seen += 1;
        }
        assert!(seen > 20, "{seen} flags were looked at");
    }

    #[test]
    fn words_that_make_no_sense_are_refused_before_anything_starts() {
        let good = ["controller", "--cluster-id=c", "--rds-address=rds"];
        let rows: [&[&str]; 12] = [
            &[],
            &["operator"],
            &["explain"],
            &["drain"],
            &["controller"],
            &["controller", "--cluster-id=c"],
            &["--rds-port=0"],
            &["--rds-port=65536"],
            &["--rds-command-timeout=10"],
            &["--revoke-settle=-1s"],
            &["--log-format=yaml"],
            &["--rds-hostkey=x"],
        ];
        for row in rows {
            let flags_only = row.first().is_some_and(|word| word.starts_with("--"));
            let prefix = if flags_only { &good[..] } else { &[] };
            let words = ["rds-csi"].iter().chain(prefix).chain(row);
            assert!(Cli::try_parse_from(words).is_err(), "{row:?}");
        }
        let words = ["rds-csi"].iter().chain(&good);
        assert!(Cli::try_parse_from(words).is_ok());
    }
}
