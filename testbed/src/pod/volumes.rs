//! The volumes of a pod as folders of this machine.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, KeyToPath, PodSpec, Secret, Volume};
use kube::{Api, Client};
use tokio::time::timeout;

use super::launch::Place;
use crate::trouble::{Attempt, Trouble};

/// A mount point of a local filesystem that everybody may write to: what an `emptyDir` in memory is.
const MEMORY: &str = "/dev/shm";
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// What the kubelet mounts into the containers of one pod.
#[derive(Debug, Default)]
pub(crate) struct Volumes {
    pub(crate) places: BTreeMap<String, Place>,
    /// Values that variables of the environment refer to, by `name/key`.
    pub(crate) values: BTreeMap<String, String>,
    prefix: String,
}

// === impl Volumes ===

impl Volumes {
    /// Makes every volume that the pod names, in `folder`. Those in memory are files in a folder that
    /// is a mount point, with the pod's UID in front of their names: no other mount can be made
    /// without being root.
    pub(crate) async fn make(
        pod: &PodSpec,
        client: &Client,
        namespace: &str,
        uid: &str,
        folder: &Path,
    ) -> Result<Self, Trouble> {
        let mut made = Self {
            prefix: format!("rds-csi-{uid}-"),
            ..Self::default()
        };
        for volume in pod.volumes.iter().flatten() {
            let place = made.place(volume, client, namespace, folder).await?;
            made.places.insert(volume.name.clone(), place);
        }
        let containers = pod.init_containers.iter().flatten().chain(&pod.containers);
        for variable in containers.flat_map(|one| one.env.iter().flatten()) {
            let source = variable.value_from.as_ref();
            let Some(key) = source.and_then(|source| source.secret_key_ref.as_ref()) else {
                continue;
            };
            let secret = content(client, namespace, &Kind::Secret, &key.name).await?;
            let value = secret.get(&key.key).cloned().unwrap_or_default();
            let value = String::from_utf8(value).attempt(|| format!("read key {}", key.key))?;
            made.values
                .insert(format!("{}/{}", key.name, key.key), value);
        }
        Ok(made)
    }

    async fn place(
        &self,
        volume: &Volume,
        client: &Client,
        namespace: &str,
        parent: &Path,
    ) -> Result<Place, Trouble> {
        if let Some(empty) = &volume.empty_dir
            && empty.medium.as_deref() == Some("Memory")
        {
            return Ok(Place::Prefix(format!(
                "{MEMORY}/{}{}-",
                self.prefix, volume.name
            )));
        }
        let folder = parent.join(&volume.name);
        make(&folder)?;
        let (files, items) = if volume.empty_dir.is_some() {
            (BTreeMap::new(), None)
        } else if let Some(secret) = &volume.secret {
            let name = secret.secret_name.as_deref().unwrap_or_default();
            let files = content(client, namespace, &Kind::Secret, name).await?;
            (files, secret.items.as_ref())
        } else if let Some(config) = &volume.config_map {
            let files = content(client, namespace, &Kind::ConfigMap, &config.name).await?;
            (files, config.items.as_ref())
        } else {
            let name = &volume.name;
            return Err(Trouble::found(format!("the bed cannot make volume {name}")));
        };
        for (key, path) in chosen(&files, items) {
            let content = files.get(&key).map(Vec::as_slice).unwrap_or_default();
            let path = folder.join(path);
            fs::write(&path, content).attempt(|| format!("write {}", path.display()))?;
        }
        Ok(Place::Folder(folder))
    }

    /// Removes what does not lie in the pod's folder.
    pub(crate) fn remove(&self) {
        let entries = fs::read_dir(MEMORY).into_iter().flatten().flatten();
        for entry in entries {
            let is_ours = entry
                .file_name()
                .to_string_lossy()
                .starts_with(&self.prefix);
            if !self.prefix.is_empty() && is_ours {
                // It is empty, and gone at the latest when the machine restarts.
                drop(fs::remove_file(entry.path()));
            }
        }
    }
}

enum Kind {
    Secret,
    ConfigMap,
}

/// The keys of a Secret or ConfigMap and what they hold.
async fn content(
    client: &Client,
    namespace: &str,
    kind: &Kind,
    name: &str,
) -> Result<BTreeMap<String, Vec<u8>>, Trouble> {
    let what = || format!("read the Secret or ConfigMap {name}, which the chart refers to");
    let plain = |data: Option<BTreeMap<String, String>>| {
        let data = data.into_iter().flatten();
        data.map(|(key, text)| (key, text.into_bytes())).collect()
    };
    let read = async {
        Ok::<BTreeMap<String, Vec<u8>>, kube::Error>(match kind {
            Kind::Secret => {
                let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
                let data = api.get(name).await?.data.into_iter().flatten();
                data.map(|(key, ByteString(bytes))| (key, bytes)).collect()
            }
            Kind::ConfigMap => {
                let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
                plain(api.get(name).await?.data)
            }
        })
    };
    timeout(CALL_LIMIT, read).await.attempt(what)?.attempt(what)
}

/// Which keys become which files.
fn chosen(
    files: &BTreeMap<String, Vec<u8>>,
    items: Option<&Vec<KeyToPath>>,
) -> Vec<(String, PathBuf)> {
    match items {
        Some(items) => {
            let items = items.iter();
            items
                .map(|item| (item.key.clone(), PathBuf::from(&item.path)))
                .collect()
        }
        None => files
            .keys()
            .map(|key| (key.clone(), PathBuf::from(key)))
            .collect(),
    }
}

fn make(folder: &Path) -> Result<(), Trouble> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.attempt(|| format!("make {}", folder.display()))
}
