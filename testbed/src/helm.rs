//! Helm, as people run it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::trouble::{Attempt, Trouble};

/// A template takes a tenth of a second, an installation one; a machine that compiles at the same time,
/// a few.
const LIMIT: Duration = Duration::from_mins(1);

/// Helm with what is common to its runs.
#[derive(Clone, Debug)]
pub struct Helm {
    program: PathBuf,
    home: PathBuf,
    common: Vec<OsString>,
}

impl Helm {
    /// With this folder for what it keeps.
    pub fn new(program: &Path, home: &Path) -> Self {
        Self {
            program: program.to_owned(),
            home: home.to_owned(),
            common: Vec::new(),
        }
    }

    /// For the releases of a namespace of the cluster that this kubeconfig file is for.
    #[must_use]
    pub fn with(mut self, kubeconfig: &Path, namespace: &str) -> Self {
        let kubeconfig: [OsString; 2] = ["--kubeconfig".into(), kubeconfig.into()];
        self.common.extend(kubeconfig);
        self.common
            .extend(["--namespace", namespace].map(OsString::from));
        self
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs it with these arguments; gives what it prints.
    ///
    /// # Errors
    /// It refuses, with what it says, or takes longer than a minute.
    pub async fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String, Trouble> {
        let words = arguments.iter().map(|one| one.as_ref().to_string_lossy());
        let words: Vec<_> = words.collect();
        let what = || format!("run helm {}", words.join(" "));
        let mut command = Command::new(&self.program);
        command.args(arguments).args(&self.common);
        // It keeps caches and looks for repositories below these.
        for home in ["HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            command.env(home, &self.home);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(LIMIT, command.output()).await.attempt(what)?;
        let output = output.attempt(what)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(said).attempt(what);
        }
        String::from_utf8(output.stdout).attempt(what)
    }
}
