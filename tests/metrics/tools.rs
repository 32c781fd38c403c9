//! Prometheus and its promtool, from the Debian package: fetched once into the cache, never installed.

use std::path::PathBuf;
use std::process::{Command, Output};

use testbed::debian;
use testbed::error::Error;
use testbed::tools::{in_ci, skipped};

/// The folder with `prometheus` and `promtool`. `None` where there is no apt: the test named here has
/// then been reported as skipped and returns. In CI that is a failure.
pub(crate) fn tools(test: &str) -> Option<PathBuf> {
    match debian::package("prometheus", "usr/bin/promtool") {
        Ok(tree) => Some(tree.join("usr/bin")),
        Err(Error::Unavailable(why)) if !in_ci() => {
            skipped(test, &why);
            None
        }
        Err(error) => panic!("{test}: {error}"),
    }
}

/// Runs one of them to its end; both outputs as text, and whether it went well.
pub(crate) fn run(command: &mut Command) -> (bool, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = String::from_utf8([stdout, stderr].concat()).unwrap();
    (status.success(), text)
}
