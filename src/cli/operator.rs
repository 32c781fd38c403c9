//! Flags of the subcommands that ask a running replica.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::duration;

/// `rds-csi status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Look again every second until Ctrl-C
    #[arg(long, short)]
    pub watch: bool,

    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,

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
