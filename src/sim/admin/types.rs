//! What goes over the admin interface, for both ends.

use serde::{Deserialize, Serialize};

use crate::sim::faults::DeviceFaults;
use crate::sim::initiator::{MachineConfig, MachineView, PublishContext, Written};
use crate::sim::personality::Policies;
use crate::sim::server::Counters;
use crate::sim::state::disk::DiskView;
use crate::sim::target::{Overlap, Replay, Session};
use crate::sim::transport::{Rule, Transport};

/// `GET /state`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Disk entries.
    pub disks: Vec<Disk>,
    /// Files and directories.
    pub files: Vec<String>,
    /// Live sessions.
    pub sessions: Vec<LiveSession>,
    /// The host key shown to new connections.
    pub host_key: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// The newest number in the order of everything.
    pub now_seq: u64,
}

/// One disk entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Slot.
    pub slot: String,
    /// Exact bytes.
    pub size: u64,
    /// Backing file with its leading `/`.
    pub file_path: Option<String>,
    /// `nvme-tcp-export`.
    pub exported: bool,
    /// `nvme-tcp-server-nqn`.
    pub subsystem_nqn: String,
    /// `nvme-tcp-server-allow-host-name`.
    pub allow_host_name: String,
    /// `comment`.
    pub comment: String,
}

impl From<DiskView> for Disk {
    fn from(view: DiskView) -> Self {
        let DiskView {
            id: _,
            slot,
            size,
            file_path,
            exported,
            port: _,
            subsystem_nqn,
            allow_host_name,
            comment,
        } = view;
        Self {
            slot,
            size,
            file_path,
            exported,
            subsystem_nqn,
            allow_host_name,
            comment,
        }
    }
}

/// One live session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveSession {
    /// Its number.
    pub id: u64,
    /// Whose it is.
    pub machine: String,
    /// Slot of the disk entry when it was opened.
    pub slot: String,
    /// The subsystem name it was opened with.
    pub subsystem_nqn: String,
    /// The host name it was opened with.
    pub host_nqn: String,
    /// Its place in the order of everything.
    pub opened_seq: u64,
}

impl From<Session> for LiveSession {
    fn from(session: Session) -> Self {
        Self {
            id: session.id.0,
            machine: session.machine.to_string(),
            slot: session.slot.to_string(),
            subsystem_nqn: session.subsystem_nqn.to_string(),
            host_nqn: session.host_nqn.to_string(),
            opened_seq: session.opened_seq,
        }
    }
}

/// `GET /observer`: what must not happen, and how much happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observer {
    /// Times at which two machines had sessions on one backing file.
    pub second_writers: Vec<SecondWriter>,
    /// Writes of an old attachment that were accepted after another machine's began.
    pub replayed_writes: Vec<ReplayedWrite>,
    /// Findings beyond those kept.
    pub findings_dropped: u64,
    /// What the SSH server has seen.
    pub counters: Counters,
}

/// Two machines with sessions on one backing file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondWriter {
    /// The backing file.
    pub backing: String,
    /// The machine that was there.
    pub first: String,
    /// The machine that came as well.
    pub second: String,
    /// When it came.
    pub from_seq: u64,
    /// When either left; absent while both are there.
    pub until_seq: Option<u64>,
}

impl From<Overlap> for SecondWriter {
    fn from(overlap: Overlap) -> Self {
        Self {
            backing: overlap.backing.to_string(),
            first: overlap.first.machine.to_string(),
            second: overlap.second.machine.to_string(),
            from_seq: overlap.from_seq,
            until_seq: overlap.until_seq,
        }
    }
}

/// A write of an old attachment that landed late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayedWrite {
    /// The backing file.
    pub backing: String,
    /// Whose write.
    pub writer: String,
    /// Whose session lay between.
    pub between: String,
    /// When the write was issued.
    pub issued_seq: u64,
    /// When that session was opened.
    pub opened_seq: u64,
    /// When the write was accepted.
    pub accepted_seq: u64,
}

impl From<Replay> for ReplayedWrite {
    fn from(replay: Replay) -> Self {
        Self {
            backing: replay.backing.to_string(),
            writer: replay.writer.machine.to_string(),
            between: replay.between.machine.to_string(),
            issued_seq: replay.issued_seq,
            opened_seq: replay.opened_seq,
            accepted_seq: replay.accepted_seq,
        }
    }
}

/// `POST /faults`: everything named is changed, in this order; nothing else is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Remove all rules first.
    pub clear: bool,
    /// Rules to add.
    pub rules: Vec<Rule>,
    /// How the SSH server behaves.
    pub transport: Option<Transport>,
    /// Faults of the device itself.
    pub device: Option<DeviceFaults>,
    /// What a user may do.
    pub policies: Option<UserPolicies>,
    /// Another kind of device, by name.
    pub personality: Option<String>,
    /// What happens once, now.
    pub now: Vec<Incident>,
}

/// Something that happens once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Incident {
    /// Connects are refused from now on.
    RefuseConnects,
    /// Connects are accepted again.
    AcceptConnects,
    /// Another host key is shown to new connections.
    RotateHostKey,
    /// All connections end without a goodbye.
    CutConnections,
    /// Held lines run.
    Release,
}

/// What one user may do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserPolicies {
    /// The user.
    pub user: String,
    /// The policies.
    pub policies: Policies,
}

/// `POST /reboot`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reboot {
    /// Milliseconds without power; without it until `POST /power-on`.
    pub ms: Option<u64>,
}

/// Answer to `POST /snapshot`, body of `POST /restore`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotId {
    /// Which snapshot.
    pub id: usize,
}

/// `POST /machines`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewMachine {
    /// The machine.
    #[serde(flatten)]
    pub config: MachineConfig,
    /// It notices and reconnects by itself.
    #[serde(default)]
    pub background: bool,
}

/// Last part of `POST /machines/{name}/{action}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Gain a path and delete nothing first. Needs the context.
    Connect,
    /// Gain a path as a node plugin does. Needs the context.
    Stage,
    /// Write once. Needs the volume.
    Write,
    /// Write once in every period until told otherwise. Needs the volume.
    KeepWriting,
    /// Stop that. Needs the volume.
    StopWriting,
    /// Delete every controller of the volume. Needs the volume.
    Disconnect,
    /// Cut off from the target.
    Partition,
    /// End of the partition.
    Heal,
    /// Stop the machine.
    Freeze,
    /// Let it go on.
    Thaw,
    /// Try to reconnect what is lost, once.
    Reconnect,
    /// The machine's keep-alive timer runs out.
    GiveUpSessions,
    /// The target's keep-alive timer runs out.
    ExpireStaleSessions,
}

/// Body of `POST /machines/{name}/{action}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ActionRequest {
    /// What Publish answered.
    pub context: Option<PublishContext>,
    /// A slot or a subsystem name.
    pub volume: Option<String>,
    /// Milliseconds between writes.
    pub period_ms: Option<u64>,
}

/// Answer to `POST /machines/{name}/{action}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionReply {
    /// What became of a write.
    pub written: Option<Written>,
    /// The machine afterwards.
    pub machine: MachineView,
}

/// Body of every answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What was wrong.
    pub error: String,
}
