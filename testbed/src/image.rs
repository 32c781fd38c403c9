//! The driver's image, built from the Dockerfile without Docker and without a registry.

use std::path::PathBuf;

use crate::error::Error;
use crate::tools::{script, skipped};

/// What the image is called before `:` and the version; the chart's default.
const REPOSITORY: &str = "localhost/rds-csi";

/// An image in a file.
#[derive(Debug, Clone)]
pub struct Image {
    /// A docker-archive. It stays where it is, for others too: not to be changed or moved.
    pub archive: PathBuf,
    /// What the image is called in it.
    pub name: String,
}

/// The driver's image as these sources make it, built on first use: that can take ten minutes, and it
/// blocks the thread.
///
/// # Errors
///
/// [`Error::Unavailable`] if this machine cannot build images and is not CI: nobody but root can, and
/// only with Debian's buildah. Everything else, in CI that too, is [`Error::Tools`].
pub fn driver() -> Result<Image, Error> {
    Ok(Image {
        archive: script("image.sh", &[], "the driver's image")?,
        name: format!("{REPOSITORY}:{}", rds_csi::version::VERSION),
    })
}

/// [`driver`] for one test. `None` if this machine cannot build it: the test has then been reported as
/// skipped and returns.
///
/// # Panics
///
/// If it cannot be had for any other reason.
#[allow(clippy::panic, reason = "it speaks for the test that called it")]
pub fn for_test(test: &str) -> Option<Image> {
    match driver() {
        Ok(image) => Some(image),
        Err(Error::Unavailable(why)) => {
            skipped(test, &why);
            None
        }
        Err(error) => panic!("{test}: {error}"),
    }
}
