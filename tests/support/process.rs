//! The driver's binary as a child process that ends with the test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rds_csi::workload::secrets::leaks_in;
use tokio::process::{Child, Command};

/// A debug build on a busy machine starts in less than a second; this is thirty times that.
pub(crate) const START_DEADLINE: Duration = Duration::from_secs(30);

/// How often to look whether something has happened: fifty times a second costs nothing.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// Enough to see what went wrong, not so much that it hides the assertion.
const LOG_LINES: usize = 60;

/// One running `rds-csi`. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts `rds-csi ARGS` with a clean environment. What it prints goes to files in `folder`: a
    /// pipe that the test does not read would stop the process when it is full.
    pub(crate) fn start(name: &str, folder: &Path, args: &[&str]) -> Self {
        let [stdout, stderr] = ["out", "log"].map(|kind| folder.join(format!("{name}.{kind}")));
        let file = |path: &Path| {
            File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_rds-csi"));
        // Every flag can come from the environment; a developer's own must not reach the test.
        for (key, _) in std::env::vars_os() {
            let name = key.to_string_lossy();
            if name.starts_with("RDS_CSI_") || name.starts_with("OTEL_") {
                command.env_remove(key);
            }
        }
        let child = command
            .args(args)
            .stdin(Stdio::null())
            .stdout(file(&stdout))
            .stderr(file(&stderr))
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// The first line on stdout, such as the one in which the simulator says where it listens.
    pub(crate) async fn first_line(&mut self) -> String {
        let mut tick = tokio::time::interval(POLL);
        let line = async {
            loop {
                tick.tick().await;
                let text = fs::read_to_string(&self.stdout).unwrap_or_default();
                if let Some((line, _)) = text.split_once('\n') {
                    return line.to_owned();
                }
                self.assert_running();
            }
        };
        let line = tokio::time::timeout(START_DEADLINE, line).await;
        line.unwrap_or_else(|_| panic!("nothing on stdout:\n{}", self.log_tail()))
    }

    /// Its process id.
    #[allow(dead_code, reason = "not every target that includes this file asks")]
    pub(crate) fn id(&self) -> u32 {
        self.child
            .id()
            .unwrap_or_else(|| panic!("the process has ended"))
    }

    /// Kills it, and returns when it is gone.
    #[allow(dead_code, reason = "not every target that includes this file asks")]
    pub(crate) async fn kill(&mut self) {
        let killed = self.child.kill().await;
        killed.unwrap_or_else(|error| panic!("cannot kill the process: {error}"));
    }

    /// Fails the test if the process has ended.
    pub(crate) fn assert_running(&mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            panic!("the process ended with {status}:\n{}", self.log_tail());
        }
    }

    /// The end of what it printed.
    pub(crate) fn log_tail(&self) -> String {
        let tail = |path: &Path| {
            let text = fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
            let lines: Vec<&str> = text.lines().collect();
            let start = lines.len().saturating_sub(LOG_LINES);
            lines
                .iter()
                .skip(start)
                .copied()
                .collect::<Vec<_>>()
                .join("\n")
        };
        format!("{}\n{}", tail(&self.stdout), tail(&self.stderr))
    }
}

impl Drop for Process {
    /// Whatever a test is about, no process may have told a secret.
    fn drop(&mut self) {
        for path in [&self.stdout, &self.stderr] {
            let text = fs::read(path).unwrap_or_default();
            let leaks = leaks_in(path, &String::from_utf8_lossy(&text));
            assert!(
                leaks.is_empty() || std::thread::panicking(),
                "secrets were told: {leaks:#?}"
            );
        }
    }
}
