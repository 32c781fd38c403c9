//! Child processes that are watched, signalled by test, and gone when their owner is: also when the
//! test itself was killed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::error::Error;
use crate::folder;

mod nursery;
mod watcher;

use watcher::Life;

/// Enough to see what went wrong, not so much that it hides the assertion.
const LOG_LINES: usize = 40;

/// How often to look whether something has happened: fifty times a second costs nothing.
const POLL: Duration = Duration::from_millis(20);

/// How to start a process, any number of times.
#[derive(Debug, Clone)]
pub struct Program {
    name: String,
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    logs: PathBuf,
}

impl Program {
    /// A program that is called `name` here and writes to files in the folder `logs`.
    pub fn new(
        name: impl Into<String>,
        path: impl Into<PathBuf>,
        logs: impl Into<PathBuf>,
    ) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            logs: logs.into(),
        }
    }

    /// With these arguments behind those it has.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// With this variable. It gets these and `PATH`, nothing else of our environment: a developer's
    /// own settings must not reach a test.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// What it is called here.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts it in a process group of its own. The files for what it prints are new for each start;
    /// a pipe that nobody reads would stop it when it is full.
    ///
    /// # Errors
    ///
    /// If the program does not exist or cannot be started. What it then does is seen in its log.
    pub fn start(&self) -> Result<Child, Error> {
        let failed = |source| Error::Process {
            attempt: "start",
            name: self.name.clone(),
            source,
        };
        fs::metadata(&self.path).map_err(Error::file("find", &self.path))?;
        let [(out, stdout), (log, stderr)] = folder::outputs(&self.logs, &self.name)?;
        let mut command = nursery::guarded(&self.path, &self.arguments);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr);
        let child = nursery::spawn(command).map_err(failed)?;
        let (pid, life, exits, watcher) = watcher::watch(child).map_err(failed)?;
        Ok(Child {
            name: self.name.clone(),
            pid,
            out,
            log,
            life,
            exits,
            watcher: Some(watcher),
        })
    }
}

/// The end of a process.
#[derive(Debug, Clone, Copy)]
pub struct Exit {
    /// When it was seen, milliseconds after it happened.
    pub at: Instant,
    /// Exit code or signal.
    pub status: ExitStatus,
}

/// A process that was started here. Dropping it kills it and everything in its process group, and
/// returns when it is gone.
#[derive(Debug)]
pub struct Child {
    name: String,
    pid: Pid,
    out: PathBuf,
    log: PathBuf,
    life: Life,
    exits: watch::Receiver<Option<Exit>>,
    /// Taken when it is dropped.
    watcher: Option<JoinHandle<()>>,
}

impl Child {
    /// What it is called here.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The file with its stderr.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The file with its stdout.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// Sends a signal to it. One that has ended is sent nothing, even if another process has its id.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        self.life.signal(signal).map_err(|source| Error::Process {
            attempt: "signal",
            name: self.name.clone(),
            source,
        })
    }

    /// SIGKILL: what a crash looks like from outside.
    pub fn kill(&self) -> Result<(), Error> {
        self.signal(Signal::KILL)
    }

    /// SIGTERM: what a kubelet sends first.
    pub fn terminate(&self) -> Result<(), Error> {
        self.signal(Signal::TERM)
    }

    /// SIGSTOP: it hangs, and keeps its connections.
    pub fn pause(&self) -> Result<(), Error> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT: it goes on after [`Child::pause`].
    pub fn resume(&self) -> Result<(), Error> {
        self.signal(Signal::CONT)
    }

    /// How it ended, or `None` while it runs.
    pub fn exit(&self) -> Option<Exit> {
        *self.exits.borrow()
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// [`Error::Late`] if it runs for longer than `limit`.
    pub async fn ended(&self, limit: Duration) -> Result<Exit, Error> {
        let mut exits = self.exits.clone();
        let exit = timeout(limit, exits.wait_for(Option::is_some)).await;
        match exit {
            Ok(Ok(exit)) => Ok(exit.expect("this is what was waited for")),
            Ok(Err(_)) | Err(_) => Err(self.late("its end", limit)),
        }
    }

    /// An error if it has ended.
    pub fn check_running(&self) -> Result<(), Error> {
        let Some(exit) = self.exit() else {
            return Ok(());
        };
        Err(Error::Ended {
            name: self.name.clone(),
            status: exit.status.to_string(),
            log: self.log_tail(),
        })
    }

    /// Its first line on stdout, such as the one in which the simulator says where it listens.
    pub async fn first_line(&self, limit: Duration) -> Result<String, Error> {
        let line = async {
            let mut tick = tokio::time::interval(POLL);
            loop {
                tick.tick().await;
                let text = fs::read_to_string(&self.out).unwrap_or_default();
                if let Some((line, _)) = text.split_once('\n') {
                    return Ok(line.to_owned());
                }
                self.check_running()?;
            }
        };
        let line = timeout(limit, line).await;
        line.unwrap_or_else(|_| Err(self.late("a line on stdout", limit)))
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let skip = text.lines().count().saturating_sub(LOG_LINES);
        text.lines().skip(skip).collect::<Vec<_>>().join("\n")
    }

    fn late(&self, what: &str, limit: Duration) -> Error {
        Error::Late {
            what: format!("{what} ({})", self.name),
            limit,
            last: format!("its log ends with:\n{}", self.log_tail()),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.life.end();
        if let Some(watcher) = self.watcher.take() {
            // It returns when the process has been reaped. That it panicked is not ours to repeat.
            drop(watcher.join());
        }
    }
}
