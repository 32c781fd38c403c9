//! Three replicas with an admin port each, and the commands of an operator as processes.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use rds_csi::workload::cluster::{Cluster, LeaseTimes, Options, Replica};
use rds_csi::workload::placement::Volume;
use rds_csi::workload::secrets::leaks_in;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

/// A test that waits longer than this hangs. Only a failing test waits it out.
pub(crate) const HANG: Duration = Duration::from_secs(30);
/// How often to look whether something has happened.
const POLL: Duration = Duration::from_millis(20);
const GIB: i64 = 1 << 30;

/// The shortest that need no flag to be accepted. What happens at once is told from what happens
/// when a Lease runs out.
pub(crate) const LEASE: LeaseTimes = LeaseTimes {
    duration: Duration::from_secs(6),
    deadline: Duration::from_secs(4),
    retry: Duration::from_secs(1),
};

/// A running cluster and what is needed to look at it from outside.
pub(crate) struct Rig {
    pub(crate) cluster: Cluster,
    kubeconfig: tempfile::NamedTempFile,
}

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whom {
    Socket(String),
    Port(String),
    Nobody,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

// === impl Rig ===

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// As [`Rig::start`], with more flags for every controller.
    pub(crate) async fn with(flags: &[&str]) -> Self {
        Self::of(flags, |options| options).await
    }

    /// One controller without Kubernetes.
    #[allow(dead_code, reason = "for the tests of metrics, which share this file")]
    pub(crate) async fn standalone() -> Self {
        Self::of(&[], Options::standalone).await
    }

    async fn of(flags: &[&str], kind: impl FnOnce(Options) -> Options) -> Self {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_rds-csi"));
        let flags = flags.iter().chain(&["--metrics-address=127.0.0.1:0"]);
        let options = Options {
            lease: Some(LEASE),
            arguments: flags.map(|flag| (*flag).to_owned()).collect(),
            ..Options::of(program)
        };
        let cluster = Cluster::start(kind(options)).await.unwrap();
        let kubeconfig = tempfile::NamedTempFile::new().unwrap();
        fs::write(kubeconfig.path(), cluster.api().kubeconfig("operator")).unwrap();
        Self {
            cluster,
            kubeconfig,
        }
    }

    /// The pod that serves, as soon as one does.
    pub(crate) async fn leader(&self) -> String {
        let leader = self.cluster.serving(HANG).await;
        leader.unwrap_or_else(|| panic!("nobody leads\n{}", self.logs()))
    }

    /// A pod that does not lead.
    pub(crate) async fn follower(&self) -> String {
        let leader = self.leader().await;
        let mut pods = self.cluster.replicas().iter().map(Replica::pod);
        pods.find(|pod| *pod != leader).unwrap().to_owned()
    }

    pub(crate) fn replica(&self, pod: &str) -> &Replica {
        let mut replicas = self.cluster.replicas().iter();
        replicas.find(|replica| replica.pod() == pod).unwrap()
    }

    /// What all replicas said last, for the message of a failed assertion.
    pub(crate) fn logs(&self) -> String {
        let logs = self.cluster.replicas().iter();
        let logs = logs.map(|one| format!("=== {}\n{}", one.pod(), one.log_tail()));
        logs.collect::<Vec<_>>().join("\n")
    }

    /// Where this replica serves probes, as its log says.
    pub(crate) fn port(&self, pod: &str) -> String {
        let log = self.replica(pod).socket().with_file_name("1.log");
        let log = fs::read_to_string(log).unwrap();
        let line = log.lines().find(|line| line.contains("health and status"));
        let (_, port) = line.unwrap().rsplit_once("listening=").unwrap();
        port.trim().to_owned()
    }

    /// A new volume, attached.
    pub(crate) async fn attach(&self, name: &str, node: &str) -> Volume {
        let provisioner = self.cluster.provisioner();
        let made = provisioner.create(name, GIB, false, HANG).await;
        let volume = made.unwrap_or_else(|error| panic!("{error}\n{}", self.logs()));
        let placement = self.cluster.placement();
        placement.add_volume(&volume).await.unwrap();
        let attachment = placement.attach(&volume, node).await.unwrap();
        let attached = placement.attached(&attachment, HANG).await;
        attached.unwrap_or_else(|error| panic!("{error}\n{}", self.logs()));
        volume
    }

    /// Each way to ask: both doors of the leader and of a follower, and neither.
    pub(crate) async fn everybody(&self) -> Vec<(&'static str, Whom)> {
        let (leader, follower) = (self.leader().await, self.follower().await);
        vec![
            ("leader", self.socket(&leader)),
            ("leader", Whom::Port(self.port(&leader))),
            ("standby", self.socket(&follower)),
            ("standby", Whom::Port(self.port(&follower))),
            ("outside", Whom::Nobody),
        ]
    }

    pub(crate) fn socket(&self, pod: &str) -> Whom {
        Whom::Socket(path(&self.replica(pod).control_socket()))
    }

    /// Runs `rds-csi WORDS` and asks this one.
    pub(crate) async fn ask(&self, whom: &Whom, words: &[&str]) -> Said {
        let flags = match whom {
            Whom::Socket(socket) => vec![format!("--control-socket={socket}")],
            Whom::Port(port) => vec![format!("--admin={port}")],
            Whom::Nobody => self.cluster.outside(self.kubeconfig.path()),
        };
        let words = words.iter().map(|word| (*word).to_owned());
        run(&words.chain(flags).collect::<Vec<_>>()).await
    }

    /// As [`Rig::ask`], until the answer in JSON is as wanted: watches are a moment late.
    pub(crate) async fn until(
        &self,
        whom: &Whom,
        words: &[&str],
        is_it: impl Fn(&Value) -> bool,
    ) -> Value {
        let words: Vec<_> = words.iter().chain(&["--json"]).copied().collect();
        let mut last = None;
        let look = async {
            let mut ticks = tokio::time::interval(POLL);
            loop {
                ticks.tick().await;
                let said = self.ask(whom, &words).await;
                let answer = said.json();
                last = Some(said);
                if let Some(answer) = answer.filter(|answer| is_it(answer)) {
                    return answer;
                }
            }
        };
        let seen = timeout(HANG, look).await;
        seen.unwrap_or_else(|_| panic!("{whom:?} {words:?}: {last:?}\n{}", self.logs()))
    }

    /// Status line and body of a GET over the admin port.
    pub(crate) async fn get(&self, pod: &str, path: &str) -> (u16, String) {
        let exchange = async {
            let mut stream = TcpStream::connect(self.port(pod)).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = timeout(HANG, exchange).await.expect("an answer");
        assert_eq!(leaks_in(path.as_ref(), &answer), []);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    /// Nobody wrote who should not have.
    pub(crate) async fn finish(self) {
        let world = self.cluster.sim().world();
        assert_eq!(world.second_writers(), []);
        assert_eq!(world.replayed_writes(), []);
        self.cluster.shutdown().await;
    }
}

// === impl Said ===

impl Said {
    /// The answer, if the command ended well and printed one.
    pub(crate) fn json(&self) -> Option<Value> {
        if self.code != Some(0) {
            return None;
        }
        serde_json::from_str(&self.stdout).ok()
    }
}

/// Runs `rds-csi` with a clean environment.
pub(crate) async fn run(words: &[impl AsRef<OsStr>]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rds-csi"));
    // Every flag can come from the environment; a developer's own must not reach the test.
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("RDS_CSI_") {
            command.env_remove(key);
        }
    }
    let running = command
        .args(words)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = timeout(HANG, running).await.expect("it ends");
    let Output {
        status,
        stdout,
        stderr,
    } = ended.unwrap();
    let [stdout, stderr] = [stdout, stderr].map(|said| String::from_utf8(said).unwrap());
    for said in [&stdout, &stderr] {
        assert_eq!(leaks_in("an answer".as_ref(), said), []);
    }
    Said {
        code: status.code(),
        stdout,
        stderr,
    }
}

fn path(path: &std::path::Path) -> String {
    path.display().to_string()
}
