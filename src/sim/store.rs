//! The state file: the whole state, written beside and renamed over.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tokio::sync::Mutex;

use crate::sim::backing::Backing;
use crate::sim::state::State;
use crate::sim::state::file::FileKind;
use crate::sim::world::World;

/// Where a device keeps what must outlive its process.
#[derive(Debug, Clone, Default)]
pub struct Storage {
    /// Real sparse backing files below this directory. Files found there that the state file does
    /// not list are not shown.
    pub files_dir: Option<PathBuf>,
    /// The whole state as JSON.
    pub state_file: Option<PathBuf>,
    /// When the state file is written.
    pub save: SaveWhen,
}

/// When the state file is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SaveWhen {
    /// Before the answer to every line that changed something. Lines that wait for the file at the
    /// same time share one write. Data written over sessions is saved with the next such line.
    #[default]
    EachMutation,
    /// Only when [`World::save`] is called.
    OnDemand,
}

/// The state could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The state file exists and cannot be read.
    #[error("cannot read the state file {path}: check its permissions")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The state file is not one of ours.
    #[error("the state file {path} is not a simulator state: move it away to start afresh")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A directory of the simulated device could not be made.
    #[error("cannot make the directory {name} for backing files")]
    Directory {
        /// Its name on the device.
        name: String,
        /// Why.
        source: io::Error,
    },
}

/// Writes one state file, one writer at a time.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    when: SaveWhen,
    /// The generation on disk; `None` before the first write.
    saved: Mutex<Option<u64>>,
}

// === impl Storage ===

impl Storage {
    pub(crate) fn load(&self) -> Result<Option<State>, OpenError> {
        let Some(path) = self.state_file.clone() else {
            return Ok(None);
        };
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(OpenError::Read { path, source }),
        };
        let mut state: State =
            serde_json::from_slice(&text).map_err(|source| OpenError::Parse { path, source })?;
        state.reindex();
        Ok(Some(state))
    }

    pub(crate) fn make_directories(state: &State, backing: &Backing) -> Result<(), OpenError> {
        for (name, _) in state
            .files()
            .filter(|(_, file)| file.kind != FileKind::File)
        {
            backing
                .make_directory(name)
                .map_err(|source| OpenError::Directory {
                    name: name.to_owned(),
                    source,
                })?;
        }
        Ok(())
    }
}

// === impl Store ===

impl Store {
    pub(crate) fn new(storage: Storage) -> Option<Self> {
        let path = storage.state_file?;
        Some(Self {
            path,
            when: storage.save,
            saved: Mutex::new(None),
        })
    }

    /// Writes the state unless what is on disk is as new. `asked` writes in any case.
    pub(crate) async fn save(&self, world: &World, asked: bool) -> io::Result<()> {
        if !asked && self.when == SaveWhen::OnDemand {
            return Ok(());
        }
        let wanted = world.device().generation;
        // Held across the write on purpose: it is what puts writers in a row. An async mutex.
        let mut saved = self.saved.lock().await;
        if !asked && saved.is_some_and(|saved| saved >= wanted) {
            return Ok(());
        }
        let (generation, text) = {
            let device = world.device();
            (
                device.generation,
                serde_json::to_vec(&device.state).map_err(io::Error::other)?,
            )
        };
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || replace(&path, &text))
            .await
            .map_err(io::Error::other)??;
        *saved = Some(generation);
        Ok(())
    }
}

/// Writes `text` beside `path` and renames it over, so that a reader sees old or new.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(text)?;
    file.sync_data()?;
    fs::rename(&beside, path)
}
