//! Runs `helm` on the chart, and reads what it renders.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use testbed::tools::Tools;

/// Release and namespace of every rendering. Different, so that neither passes for the other.
const RELEASE: &str = "storage";
const NAMESPACE: &str = "rds-system";

/// The values that an installation has to give, and nothing else.
pub(crate) const MINIMAL: &str = "minimal";

/// The tool, with no settings of the caller.
pub(crate) struct Helm {
    binary: PathBuf,
    home: tempfile::TempDir,
}

/// What an installation consists of.
pub(crate) struct Rendered {
    /// As `helm template` prints it.
    pub(crate) text: String,
    objects: Vec<Value>,
}

/// A folder of this repository.
pub(crate) fn repository(inside: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(inside)
}

/// A text file of this repository.
pub(crate) fn read(inside: &str) -> String {
    let path = repository(inside);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The representative values: one file each in `tests/chart/values`.
pub(crate) fn cases() -> Vec<String> {
    let folder = repository("tests/chart/values");
    let entries = fs::read_dir(&folder).expect("the folder of values");
    let mut cases: Vec<String> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into())
        .collect();
    cases.sort();
    cases
}

/// The strings of a JSON array; none if it is not there.
pub(crate) fn strings(array: Option<&Value>) -> Vec<&str> {
    let values = array.and_then(Value::as_array).into_iter().flatten();
    values.filter_map(Value::as_str).collect()
}

// === impl Helm ===

impl Helm {
    /// `None` on a machine that has neither the tool nor Go: the test was reported as skipped.
    pub(crate) fn find(test: &str) -> Option<Self> {
        Some(Self {
            binary: Tools::for_test(test, &["helm"])?.path("helm"),
            home: tempfile::tempdir().expect("a temporary folder"),
        })
    }

    /// What one of the representative values files installs.
    pub(crate) fn render(&self, case: &str) -> Rendered {
        let output = self.template(&[&values(case)]);
        assert!(output.status.success(), "{case}: {}", stderr(&output));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
            .unwrap_or_else(|error| panic!("{case} renders what is no YAML: {error}"));
        let objects = documents.into_iter().filter(|one| !one.is_null()).collect();
        Rendered { text, objects }
    }

    /// What helm says to values that it must not render: the minimal ones, with `wrong` over them.
    pub(crate) fn refusal(&self, wrong: &str) -> String {
        let file = self.home.path().join("wrong.yaml");
        fs::write(&file, wrong).expect("the temporary folder can be written");
        let output = self.template(&[&values(MINIMAL), &file]);
        assert!(!output.status.success(), "rendered in spite of {wrong}");
        stderr(&output)
    }

    /// `helm lint --strict`: all that it found, unless it found nothing to object to.
    pub(crate) fn lint(&self, case: &str) -> Result<(), String> {
        let mut command = self.command("lint");
        command.arg("--strict").arg(repository("helm/rds-csi"));
        let output = run(command.arg("--values").arg(values(case)));
        if output.status.success() {
            return Ok(());
        }
        Err(format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            stderr(&output)
        ))
    }

    fn template(&self, values: &[&Path]) -> Output {
        let mut command = self.command("template");
        command.arg(RELEASE).arg(repository("helm/rds-csi"));
        command.args(["--namespace", NAMESPACE]);
        for file in values {
            command.arg("--values").arg(file);
        }
        run(&mut command)
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg(verb).env_clear().stdin(Stdio::null());
        command.env("HOME", self.home.path());
        command
    }
}

fn values(case: &str) -> PathBuf {
    repository(&format!("tests/chart/values/{case}.yaml"))
}

fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

// === impl Rendered ===

impl Rendered {
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Value> {
        self.objects.iter()
    }

    pub(crate) fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        let objects = self.objects.iter();
        objects.filter(move |object| text(object, "/kind") == kind)
    }

    /// The only object of a kind.
    pub(crate) fn only<'a>(&'a self, kind: &'a str) -> &'a Value {
        let all: Vec<_> = self.all(kind).collect();
        match all.as_slice() {
            [one] => one,
            _ => panic!("{} objects are a {kind}, not one", all.len()),
        }
    }

    pub(crate) fn kinds(&self) -> impl Iterator<Item = &str> {
        self.objects.iter().map(|object| text(object, "/kind"))
    }

    /// The pod of a replica.
    pub(crate) fn pod(&self) -> &Value {
        let deployment = self.only("Deployment");
        deployment
            .pointer("/spec/template/spec")
            .expect("a Deployment describes its pods")
    }

    /// The driver first, then the sidecars.
    pub(crate) fn containers(&self) -> Vec<&Value> {
        let lists = ["initContainers", "containers"];
        let lists = lists.iter().filter_map(|list| self.pod().get(list));
        lists.filter_map(Value::as_array).flatten().collect()
    }

    /// The driver's container.
    pub(crate) fn driver(&self) -> &Value {
        let containers = self.containers();
        containers
            .into_iter()
            .find(|container| text(container, "/name") == "rds-csi")
            .expect("the driver has a container")
    }

    /// The sidecars' containers.
    pub(crate) fn sidecars(&self) -> Vec<&Value> {
        let containers = self.containers().into_iter();
        containers
            .filter(|container| text(container, "/name") != "rds-csi")
            .collect()
    }
}

/// The text at a place of an object; empty if there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    let found = object.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}
