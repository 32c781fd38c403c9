//! Flags of the subcommands that ask a running replica, or look where there is none.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{DRIVER_NAME, LeaseArgs, RdsArgs, duration};

/// `rds-csi status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Look again every second until Ctrl-C
    #[arg(long, short)]
    pub watch: bool,

    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,

    /// Ask every replica behind --admin again and again, and show the first that serves calls; fail if none does in so long
    #[arg(long, value_name = "DURATION", conflicts_with = "watch", value_parser = duration::parse)]
    pub ready_within: Option<Duration>,

    /// Who is asked
    #[command(flatten)]
    pub origin: OriginArgs,
}

/// `rds-csi explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A PersistentVolumeClaim as NAMESPACE/NAME, or the id of a volume
    #[arg(value_name = "PVC|VOLUME")]
    pub query: String,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,

    /// Who is asked
    #[command(flatten)]
    pub origin: OriginArgs,
}

/// Where the answers come from.
#[derive(Debug, Args)]
pub struct OriginArgs {
    /// The admin port of a replica: HOST:PORT. Goes before --control-socket, which the pod may set
    #[arg(long, value_name = "HOST:PORT")]
    pub admin: Option<String>,

    /// The control socket of a replica, inside its pod
    #[arg(long, env = "RDS_CSI_CONTROL_SOCKET", value_name = "PATH")]
    pub control_socket: Option<PathBuf>,

    /// What is read if neither is given
    #[command(flatten)]
    pub outside: OutsideArgs,
}

/// The Kubernetes API and the RDS, where no replica answers. Values as the controller has them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Without a replica")]
pub struct OutsideArgs {
    /// The controller's --cluster-id
    #[arg(long, env = "RDS_CSI_CLUSTER_ID", value_name = "ID")]
    pub cluster_id: Option<String>,

    /// The controller's --driver-name
    #[arg(long, env = "RDS_CSI_DRIVER_NAME", value_name = "NAME", default_value = DRIVER_NAME)]
    pub driver_name: String,

    /// The controller's --rds-volume-base-path
    #[arg(
        long,
        env = "RDS_CSI_RDS_VOLUME_BASE_PATH",
        value_name = "PATH",
        default_value = "/storage-pool/metal-csi"
    )]
    pub rds_volume_base_path: String,

    /// The API, and the Lease in it
    #[command(flatten)]
    pub lease: LeaseArgs,

    /// The RDS; without it, only a replica is asked
    #[command(flatten)]
    pub rds: Option<RdsArgs>,
}

/// `rds-csi trace`.
#[derive(Debug, Args)]
pub struct PictureArgs {
    /// The id of a volume, whose newest call is shown, or of a trace: 32 hex digits
    #[arg(value_name = "VOLUME|TRACE", required_unless_present = "from")]
    pub query: Option<String>,

    /// Where Jaeger answers queries: http://host:16686, with its base path if it has one
    #[arg(
        long,
        env = "RDS_CSI_JAEGER",
        value_name = "URL",
        required_unless_present = "from"
    )]
    pub jaeger: Option<http::Uri>,

    /// Read a trace that was saved (--json, or "Trace JSON" in Jaeger) instead of asking for one
    #[arg(long, value_name = "FILE", conflicts_with = "query")]
    pub from: Option<PathBuf>,

    /// Which call on the volume
    #[arg(long, value_name = "CALL", default_value = "ControllerPublishVolume")]
    pub call: String,

    /// The service.name that the controllers report
    #[arg(long, value_name = "NAME", default_value = "rds-csi")]
    pub service: String,

    /// How far back to look for calls on the volume
    #[arg(long, value_name = "DURATION", default_value = "48h", value_parser = duration::parse)]
    pub since: Duration,

    /// Also draw it into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,

    /// Print the trace in Jaeger's JSON
    #[arg(long)]
    pub json: bool,
}

/// `rds-csi drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// The control socket of the replica, inside its pod
    #[arg(long, env = "RDS_CSI_CONTROL_SOCKET", value_name = "PATH")]
    pub control_socket: PathBuf,

    /// How long to wait. Kubernetes gives a pod 30s by default for this and its end
    #[arg(long, env = "RDS_CSI_TIMEOUT", value_name = "DURATION", default_value = "25s", value_parser = duration::parse)]
    pub timeout: Duration,
}

/// `rds-csi log-level`.
#[derive(Debug, Args)]
pub struct LogLevelArgs {
    /// A level, or a list of target=level; without it, the present one is printed
    #[arg(value_name = "FILTER")]
    pub filter: Option<String>,

    /// The admin port of a replica: HOST:PORT. It shows the level, and does not change it
    #[arg(
        long,
        value_name = "HOST:PORT",
        required_unless_present = "control_socket"
    )]
    pub admin: Option<String>,

    /// The control socket of a replica, inside its pod
    #[arg(long, env = "RDS_CSI_CONTROL_SOCKET", value_name = "PATH")]
    pub control_socket: Option<PathBuf>,
}

/// `rds-csi version`.
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
