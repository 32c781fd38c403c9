//! The images that the chart's pods name, and the programs that go into them.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::Container;
use serde_json::json;

use super::{RELEASE, chart};
use crate::chart::{Chart, Release};
use crate::cluster::image::Image;
use crate::tools::Tools;
use crate::trouble::{Attempt, Trouble};

/// The name of the driver's container, and of its program in the image.
pub(super) const DRIVER: &str = "rds-csi";

/// Where the driver's image comes from.
#[derive(Clone, Debug)]
pub enum DriverImage {
    /// A program of this machine goes into an image with the name that the chart has.
    Program(PathBuf),
    /// An archive of an image that has this name.
    Archive(PathBuf),
}

/// The images of an installation.
#[derive(Debug)]
pub(super) struct Images {
    pub(super) written: Vec<Image>,
    pub(super) ready: Vec<PathBuf>,
}

/// Reads from the rendered chart what its pods are made of. The sidecars' containers are named like
/// their programs.
pub(super) async fn of(tools: &Tools, driver: &DriverImage) -> Result<Images, Trouble> {
    // Only what the chart demands: no image depends on it.
    let values = json!({
        "clusterId": "any", "rds": {"address": "192.0.2.1", "secret": {"name": "any"}},
    });
    let release = Release {
        name: RELEASE.to_owned(),
        namespace: RELEASE.to_owned(),
        values,
    };
    let rendered = Chart::render(&tools.path("helm"), &chart(), &release).await?;
    let pod = rendered.controller()?;
    let mut images = Images {
        written: Vec::new(),
        ready: Vec::new(),
    };
    for container in pod.init_containers.iter().flatten().chain(&pod.containers) {
        match driver {
            DriverImage::Archive(archive) if container.name == DRIVER => {
                images.ready.push(archive.clone());
            }
            DriverImage::Program(program) if container.name == DRIVER => {
                images.written.push(image(container, program.clone())?);
            }
            _ => images
                .written
                .push(image(container, tools.path(&container.name))?),
        }
    }
    Ok(images)
}

fn image(container: &Container, program: PathBuf) -> Result<Image, Trouble> {
    let name = container.image.clone();
    Ok(Image {
        name: name
            .ok_or("it names none")
            .attempt(|| format!("tell the image of container {}", container.name))?,
        program,
        path: PathBuf::from(format!("/{}", container.name)),
        arguments: Vec::new(),
    })
}
