//! The Rust files of the repository, read and parsed.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold our sources. `chaos` may be absent.
const FOLDERS: [&str; 5] = ["src", "tests", "build", "testbed", "chaos"];

/// One Rust file.
pub(crate) struct Source {
    /// Relative to the repository, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) ast: syn::File,
}

impl Source {
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let ast = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            ast,
        }
    }

    /// The last part of the path.
    pub(crate) fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// A Cargo.toml: where it lies, relative to the repository, and what it says.
pub(crate) struct Manifest {
    pub(crate) folder: String,
    pub(crate) text: String,
}

pub(crate) fn all() -> Vec<Source> {
    let sources: Vec<Source> = files("rs")
        .into_iter()
        .map(|path| {
            let text = read(&path);
            Source::parse(&path, &text)
        })
        .collect();
    assert!(
        sources.iter().any(|source| source.path == "src/lib.rs"),
        "nothing found to check"
    );
    sources
}

/// Our own manifest and those of packages inside it.
pub(crate) fn manifests() -> Vec<Manifest> {
    let inner = files("toml")
        .into_iter()
        .filter(|path| path.ends_with("/Cargo.toml"));
    ["Cargo.toml".to_owned()]
        .into_iter()
        .chain(inner)
        .map(|path| Manifest {
            folder: path.trim_end_matches("Cargo.toml").to_owned(),
            text: read(&path),
        })
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn files(extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry
                .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
                .path();
            if path.is_dir() {
                // Packages inside ours (the fuzz targets) have build folders of their own.
                if path.file_name().is_some_and(|name| name != "target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                let path = path.strip_prefix(root()).unwrap_or(&path);
                found.push(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}
