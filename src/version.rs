//! `rds-csi version`: what this binary is, what it was built from, and what it offers.

use std::io::{self, Write as _};

use anyhow::Context;
use serde::Serialize;

use crate::csi::controller::OFFERED;
use crate::csi::identity::SERVICE;
use crate::proto::SPECIFICATION;
use crate::proto::csi::controller_service_capability::rpc::Type as Offer;

/// That of `Cargo.toml`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// All that the binary knows about itself.
#[derive(Debug, Serialize)]
pub struct Version {
    /// The name of the program.
    pub name: &'static str,
    /// That of `Cargo.toml`, which the chart has too.
    pub version: &'static str,
    /// The commit it was built from, with `-dirty` behind it if files had been changed, or `unknown`.
    pub commit: &'static str,
    /// What the compiler says of itself.
    pub rustc: &'static str,
    /// The version of the CSI specification that it speaks.
    pub csi: &'static str,
    /// What it offers, in the words of that specification: a plugin's services, then what its
    /// controller can.
    pub capabilities: Vec<&'static str>,
}

/// Prints the version for people, or as one line of JSON.
///
/// # Errors
/// If nobody reads it.
pub fn print(json: bool) -> anyhow::Result<()> {
    let version = Version::of_this_binary();
    let text = if json {
        serde_json::to_string(&version).context("cannot write the version as JSON")?
    } else {
        version.table()
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .context("cannot print")
}

// === impl Version ===

impl Version {
    fn of_this_binary() -> Self {
        let controller = OFFERED.iter().map(Offer::as_str_name);
        Self {
            name: env!("CARGO_PKG_NAME"),
            version: VERSION,
            commit: env!("RDS_CSI_COMMIT"),
            rustc: env!("RDS_CSI_RUSTC"),
            csi: SPECIFICATION,
            capabilities: [SERVICE.as_str_name()]
                .into_iter()
                .chain(controller)
                .collect(),
        }
    }

    fn table(&self) -> String {
        let Self {
            name,
            version,
            commit,
            rustc,
            csi,
            capabilities,
        } = self;
        let capabilities = capabilities.join("\n              ");
        format!(
            "{name} {version}\ncommit        {commit}\ncompiler      {rustc}\n\
             CSI           {csi}\ncapabilities  {capabilities}"
        )
    }
}
