//! What is read where no replica answers, as meant.

use std::path::PathBuf;

use crate::cli::LeaseArgs;
use crate::cli::operator::OutsideArgs;
use crate::config::rds::RdsConfig;
use crate::config::{Invalid, check_driver_name, invalid, lease_name, parsed};
use crate::domain::file::Directory;
use crate::domain::id::ClusterId;

/// The Kubernetes API and the RDS of an installation, for looking at only.
#[derive(Debug)]
pub struct OutsideConfig {
    /// The name of the CSI driver.
    pub driver: String,
    /// Whose volumes are counted.
    pub cluster: ClusterId,
    /// Backing files lie here or below.
    pub base: Directory,
    /// How to reach the RDS.
    pub rds: RdsConfig,
    /// How to reach the API; as kubectl does, if not given.
    pub kubeconfig: Option<PathBuf>,
    /// The namespace of the Lease; that of the kubeconfig or the pod, if not given.
    pub namespace: Option<String>,
    /// The name of the Lease.
    pub lease: String,
}

// === impl OutsideConfig ===

impl OutsideConfig {
    /// What these flags mean; `None` if none of them names an RDS.
    ///
    /// # Errors
    /// [`Invalid`], naming the flag.
    pub fn read(args: OutsideArgs) -> Result<Option<Self>, Invalid> {
        let OutsideArgs {
            cluster_id,
            driver_name,
            rds_volume_base_path,
            lease:
                LeaseArgs {
                    kubeconfig,
                    leader_election_namespace,
                    leader_election_lease,
                },
            rds,
        } = args;
        let Some(rds) = rds else {
            return Ok(None);
        };
        check_driver_name(&driver_name)?;
        let cluster_id = cluster_id.ok_or_else(|| {
            let reason = "required with --rds-address: the controller's own, as it tells our names on the RDS from those of other clusters";
            invalid("cluster-id", reason)
        })?;
        Ok(Some(Self {
            cluster: parsed("cluster-id", &cluster_id)?,
            base: parsed("rds-volume-base-path", &rds_volume_base_path)?,
            rds: RdsConfig::try_from(rds)?,
            kubeconfig,
            namespace: leader_election_namespace,
            lease: leader_election_lease.unwrap_or_else(|| lease_name(&driver_name)),
            driver: driver_name,
        }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn read(flags: &[&str]) -> Result<Option<OutsideConfig>, Invalid> {
        let cli = Cli::try_parse_from(["rds-csi", "status"].iter().chain(flags)).unwrap();
        let Command::Status(args) = cli.command else {
            panic!("{:?}", cli.command);
        };
        OutsideConfig::read(args.origin.outside)
    }

    #[test]
    fn only_who_names_an_rds_wants_to_look_at_it() {
        for flags in [
            &[][..],
            &["--admin=a:1"],
            &["--cluster-id=c"],
            &["--kubeconfig=k"],
        ] {
            assert!(read(flags).unwrap().is_none(), "{flags:?}");
        }
    }

    #[test]
    fn the_lease_is_the_one_that_the_controller_takes() {
        let least = [
            "--rds-address=rds",
            "--rds-host-key=SHA256:a",
            "--cluster-id=c",
        ];
        let with = |more: &[&str]| {
            let flags: Vec<_> = least.iter().chain(more).copied().collect();
            read(&flags).unwrap().unwrap()
        };
        let config = with(&[]);
        assert_eq!(config.lease, "rds.csi.srvlab.io-controller");
        assert_eq!((config.namespace, config.kubeconfig), (None, None));
        assert_eq!(config.base.as_str(), "/storage-pool/metal-csi");
        assert_eq!(with(&["--driver-name=a.b"]).lease, "a.b-controller");
        assert_eq!(with(&["--leader-election-lease=x"]).lease, "x");
    }

    #[test]
    fn what_cannot_work_is_refused_by_the_name_of_its_flag() {
        let rows: [(&[&str], &str); 5] = [
            (&["--rds-host-key=SHA256:a"], "cluster-id"),
            (&["--cluster-id=c"], "rds-host-key"),
            (&["--cluster-id=", "--rds-host-key=SHA256:a"], "cluster-id"),
            (&["--cluster-id=c", "--driver-name=A"], "driver-name"),
            (
                &["--cluster-id=c", "--rds-volume-base-path=/a/../b"],
                "rds-volume-base-path",
            ),
        ];
        for (flags, flag) in rows {
            let flags: Vec<_> = ["--rds-address=rds"].iter().chain(flags).copied().collect();
            assert_eq!(read(&flags).unwrap_err().flag, flag, "{flags:?}");
        }
    }
}
