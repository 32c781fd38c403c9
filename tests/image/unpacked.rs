//! The image taken apart, and a way to run it as a container runtime would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use testbed::image;
use testbed::tools::{in_ci, skipped};

/// Enters the root in `$1` as a pod of the chart does: read-only, nobody, no groups, no privileges.
const ENTER: &str = r#"
root=$1; shift
mount --bind "$root" "$root"
for device in null random urandom; do mount --bind "/dev/$device" "$root/dev/$device"; done
mount -o remount,bind,ro "$root"
exec chroot --userspec=65532:65532 --groups= "$root" /rds-csi "$@"
"#;

/// Where `mount` and its like are, for a process that inherits nothing else.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

pub(crate) struct Unpacked {
    /// What it is called.
    pub(crate) name: String,
    /// The image's configuration, as the OCI specification has it.
    pub(crate) config: Value,
    /// Every path in its layers, sorted; folders end in `/`.
    pub(crate) paths: Vec<String>,
    /// How large it is as a file.
    pub(crate) bytes: u64,
    folder: tempfile::TempDir,
}

impl Unpacked {
    /// The image, for a test that only looks at it. `None` if the test was reported as skipped.
    pub(crate) fn of(test: &str) -> Option<Self> {
        let image::Image { archive, name } = image::for_test(test)?;
        let folder = tempfile::tempdir().unwrap();
        let (parts, root) = (folder.path().join("parts"), folder.path().join("root"));
        for folder in [&parts, &root] {
            fs::create_dir(folder).unwrap();
        }
        tar(&["--extract", "--file"], &archive, &parts);
        let json = |name: &str| -> Value {
            serde_json::from_slice(&fs::read(parts.join(name)).unwrap()).unwrap()
        };
        let manifest = &json("manifest.json")[0];
        assert_eq!(manifest["RepoTags"], serde_json::json!([name]));
        let config = json(manifest["Config"].as_str().unwrap());
        let mut paths = Vec::new();
        for layer in manifest["Layers"].as_array().unwrap() {
            let layer = parts.join(layer.as_str().unwrap());
            let listed = tar(&["--list", "--file"], &layer, &root);
            paths.extend(listed.lines().map(str::to_owned));
            tar(
                &["--extract", "--preserve-permissions", "--file"],
                &layer,
                &root,
            );
        }
        paths.sort();
        Some(Self {
            name,
            config,
            paths,
            bytes: fs::metadata(&archive).unwrap().len(),
            folder,
        })
    }

    /// The same with the places where a container runtime mounts, for a test that runs it.
    pub(crate) fn to_run(test: &str) -> Option<Self> {
        let probe = Command::new("unshare").args(["--mount", "true"]).output();
        if !probe.is_ok_and(|probe| probe.status.success()) {
            assert!(
                !in_ci(),
                "{test} must be root with a mount namespace of its own"
            );
            skipped(test, "only root can run an image here");
            return None;
        }
        let image = Self::of(test)?;
        let root = image.root();
        fs::create_dir(root.join("dev")).unwrap();
        for device in ["null", "random", "urandom"] {
            fs::write(root.join("dev").join(device), "").unwrap();
        }
        fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
        Some(image)
    }

    /// Its file system.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// What the driver prints to stdout and stderr when it is run in there.
    pub(crate) fn run(&self, arguments: &[&str]) -> (String, String) {
        let mut command = Command::new("unshare");
        command
            .args([
                "--mount",
                "--propagation=private",
                "sh",
                "-euc",
                ENTER,
                "sh",
            ])
            .arg(self.root())
            .args(arguments)
            .env_clear()
            .env("PATH", PATH);
        let Output { stdout, stderr, .. } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(stdout), text(stderr))
    }
}

fn tar(arguments: &[&str], archive: &Path, folder: &Path) -> String {
    let mut command = Command::new("tar");
    command
        .args(arguments)
        .arg(archive)
        .arg("--directory")
        .arg(folder);
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}
