//! Container images as `docker save` writes them: one layer with one program and the libraries it needs,
//! and what to run it with. Nothing is downloaded and nothing is built.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::command::now;
use crate::error::Error;

/// What `ldd` says of a program that needs no libraries.
const STATIC: [&str; 2] = ["not a dynamic executable", "statically linked"];

/// What the layer is called in the archive.
const LAYER: &str = "layer.tar";

/// An image to write.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its whole name with the tag, as pods name it.
    pub name: String,
    /// The program on this machine.
    pub program: PathBuf,
    /// Where it is in the image.
    pub path: PathBuf,
    /// The arguments of the entrypoint, which is the program.
    pub arguments: Vec<String>,
}

impl Image {
    /// Writes it to an archive that `ctr images import` reads.
    ///
    /// # Errors
    ///
    /// The program or one of its libraries cannot be read, or the archive cannot be written.
    pub fn write(&self, archive: &Path) -> Result<(), Error> {
        let libraries = libraries(&self.program)?;
        let folder = tempfile::tempdir_in(archive.parent().unwrap_or(Path::new("/")));
        let folder = folder.map_err(Error::file("make a folder beside", archive))?;
        let layer = folder.path().join("layer.tar");
        let made = self.write_layer(&layer, &libraries);
        made.map_err(Error::file("make a layer of", &self.program))?;
        let config = folder.path().join("config.json");
        let content = self.config(&digest(&layer)?).to_string();
        fs::write(&config, content).map_err(Error::file("write", &config))?;
        let config_name = format!("{}.json", digest(&config)?);
        let manifest = folder.path().join("manifest.json");
        let content = json!([{
            "Config": config_name, "RepoTags": [self.name], "Layers": [LAYER],
        }]);
        fs::write(&manifest, content.to_string()).map_err(Error::file("write", &manifest))?;
        let files = [
            (LAYER, layer),
            (&config_name, config),
            ("manifest.json", manifest),
        ];
        let written = File::create(archive).and_then(|archive| {
            let mut archive = Builder::new(archive);
            for (name, file) in &files {
                archive.append_path_with_name(file, name)?;
            }
            archive.finish()
        });
        written.map_err(Error::file("write", archive))
    }

    fn write_layer(&self, layer: &Path, libraries: &BTreeSet<PathBuf>) -> io::Result<()> {
        let mut layer = Builder::new(File::create(layer)?);
        let same = libraries
            .iter()
            .map(|path| (path.as_path(), path.as_path()));
        let files: Vec<(&Path, &Path)> = same.chain([(&*self.path, &*self.program)]).collect();
        let folders: BTreeSet<&Path> = files
            .iter()
            .flat_map(|(inside, _)| inside.ancestors().skip(1))
            .filter(|folder| *folder != Path::new("/"))
            .collect();
        for folder in folders {
            append(&mut layer, folder, EntryType::Directory, 0, io::empty())?;
        }
        for (inside, outside) in files {
            let file = File::open(outside)?;
            let size = file.metadata()?.len();
            append(&mut layer, inside, EntryType::Regular, size, file)?;
        }
        layer.finish()
    }

    fn config(&self, layer: &str) -> Value {
        let program = self.path.to_string_lossy().into_owned();
        let entrypoint: Vec<String> = [program]
            .into_iter()
            .chain(self.arguments.clone())
            .collect();
        json!({
            "architecture": architecture(), "os": "linux",
            "config": {"Entrypoint": entrypoint},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]},
        })
    }
}

/// Everybody may read and run it; it is root's.
fn append(
    archive: &mut Builder<File>,
    path: &Path,
    kind: EntryType,
    size: u64,
    content: impl io::Read,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(size);
    archive.append_data(&mut header, path.strip_prefix("/").unwrap_or(path), content)
}

/// The SHA-256 of a file, by a program: our own code is not optimized when tests run, and takes half a
/// minute for the images of a cluster.
fn digest(file: &Path) -> Result<String, Error> {
    let said = now("sha256sum", &[file])?;
    Ok(said.split(' ').next().unwrap_or_default().to_owned())
}

/// Go's name for what Rust was built for.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The loader and the libraries of a program, at the paths where it looks for them.
fn libraries(program: &Path) -> Result<BTreeSet<PathBuf>, Error> {
    let ran = Command::new("ldd")
        .arg(program)
        .stdin(Stdio::null())
        .output();
    let output = ran.map_err(|source| Error::Process {
        attempt: "run",
        name: format!("ldd {}", program.display()),
        source,
    })?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    if STATIC
        .iter()
        .any(|text| said.contains(text) || complaint.contains(text))
    {
        return Ok(BTreeSet::new());
    }
    if !output.status.success() {
        return Err(Error::Ended {
            name: format!("ldd {}", program.display()),
            status: output.status.to_string(),
            log: complaint.into_owned(),
        });
    }
    Ok(needed(&said))
}

/// The paths in what `ldd` prints: `libc.so.6 => /lib/libc.so.6 (0x7f…)`, `/lib64/ld.so (0x7f…)`.
fn needed(said: &str) -> BTreeSet<PathBuf> {
    let paths = said.split_whitespace().filter(|word| word.starts_with('/'));
    paths.map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;

    #[test]
    fn ldd_names_the_loader_and_the_libraries() {
        let said = "\tlinux-vdso.so.1 (0x00007f)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expected = ["/lib/x/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(needed(said), expected.map(PathBuf::from).into());
    }

    #[test]
    fn an_archive_names_what_it_holds_by_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, "#!/bin/nothing").unwrap();
        let image = Image {
            name: "example.org/a/program:v1".to_owned(),
            program,
            path: "/bin/program".into(),
            arguments: vec!["now".to_owned()],
        };
        let archive = folder.path().join("image.tar");
        image.write(&archive).unwrap();
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(File::open(archive).unwrap())
            .entries()
            .unwrap()
        {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(
                entry.path().unwrap().to_string_lossy().into_owned(),
                content,
            );
        }
        let json = |name: &str| -> Value { serde_json::from_slice(&files[name]).unwrap() };
        let manifest = json("manifest.json");
        assert_eq!(manifest[0]["RepoTags"], json!(["example.org/a/program:v1"]));
        let config = json(manifest[0]["Config"].as_str().unwrap());
        assert_eq!(
            config["config"]["Entrypoint"],
            json!(["/bin/program", "now"])
        );
        let layer = folder.path().join("layer");
        let name = manifest[0]["Layers"][0].as_str().unwrap();
        fs::write(&layer, &files[name]).unwrap();
        let expected = format!("sha256:{}", digest(&layer).unwrap());
        assert_eq!(config["rootfs"]["diff_ids"], json!([expected]));
    }
}
