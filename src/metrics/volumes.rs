//! What becomes of volumes: grants, conflicts, repairs, rebuilds.

use std::time::Duration;

use super::catalog::{
    ATTACH, CACHE_LOOKUPS, CONFLICTS, DETACH, MIGRATIONS, REBUILD, REBUILD_ROWS, REPAIRS,
    STALE_CLEARED,
};
use super::kinds::{Count, Counts, Levels, Times, up_to_minutes};
use super::{Group, Metrics};
use crate::domain::event::What;
use crate::domain::grant::FencingMode;

/// Counts for the services. Clones count for the same volumes.
#[derive(Debug, Clone)]
pub struct Volumes {
    attach: Counts<1>,
    detach: Count,
    conflicts: Count,
    stale: Count,
    repairs: Counts<1>,
    migrations: Counts<1>,
    lookups: Counts<1>,
    rebuild: Times<2>,
    rows: Levels,
}

/// How a grant that was not as it should be was brought in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// It was closed, and is open again.
    Reopened,
    /// The RDS had lost it, and has it again.
    Remade,
    /// It should not have been there.
    Revoked,
    /// It cannot be brought back.
    Lost,
}

/// A part of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading the RDS.
    Rds,
    /// Joining the claims to it, and repairing.
    Join,
}

/// What a rebuild found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rows {
    /// Volumes of ours on the RDS.
    pub volumes: usize,
    /// Registers that are not free.
    pub granted: usize,
    /// Volumes with VolumeAttachments.
    pub claimed: usize,
    /// Volumes that needed a repair.
    pub repaired: usize,
    /// Volumes that are not served.
    pub blocked: usize,
}

// === impl Volumes ===

impl Volumes {
    /// Something happened that people are told, while the RDS enforces this.
    pub fn happened(&self, what: &What, fencing: FencingMode) {
        match what {
            What::VolumeAttached { .. } => self.attach.add([fencing.as_str()]),
            What::VolumeDetached { .. } => self.detach.add(),
            What::AttachmentConflict { .. } => self.conflicts.add(),
            What::StaleAttachmentCleared { .. } => self.stale.add(),
            What::MigrationStarted { .. } => self.migrations.add(["started"]),
            What::MigrationCompleted { .. } => self.migrations.add(["success"]),
            What::MigrationFailed { .. } => self.migrations.add(["failed"]),
            // Counted where they are repaired, with or without somebody to tell; or gauges.
            What::GrantRepaired { .. }
            | What::GrantLost { .. }
            | What::OrphanFound { .. }
            | What::FencingDegraded { .. }
            | What::LeaderElected { .. } => {}
        }
    }

    /// A grant was repaired, or cannot be.
    pub fn repaired(&self, how: Repair) {
        self.repairs.add([how.as_str()]);
    }

    /// A first line was, or could not be, built on what was last seen.
    pub fn looked_up(&self, found: bool) {
        self.lookups.add([if found { "hit" } else { "miss" }]);
    }

    /// A part of a rebuild ended.
    pub fn rebuilt(&self, phase: Phase, well: bool, took: Duration) {
        let outcome = if well { "done" } else { "failed" };
        self.rebuild.add([phase.as_str(), outcome], took);
    }

    /// What the last rebuild found.
    pub fn found(&self, rows: Rows) {
        let Rows {
            volumes,
            granted,
            claimed,
            repaired,
            blocked,
        } = rows;
        for (kind, count) in [
            ("volumes", volumes),
            ("granted", granted),
            ("claimed", claimed),
            ("repaired", repaired),
            ("blocked", blocked),
        ] {
            self.rows
                .gauge(kind)
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

impl Default for Volumes {
    fn default() -> Self {
        let modes = [
            FencingMode::Pair,
            FencingMode::HostNqn,
            FencingMode::SubsystemNqn,
        ];
        let repairs = [
            Repair::Reopened,
            Repair::Remade,
            Repair::Revoked,
            Repair::Lost,
        ];
        Self {
            attach: Counts::of(&ATTACH, modes.map(|mode| [mode.as_str()])),
            detach: Count::of(&DETACH),
            conflicts: Count::of(&CONFLICTS),
            stale: Count::of(&STALE_CLEARED),
            repairs: Counts::of(&REPAIRS, repairs.map(|how| [how.as_str()])),
            migrations: Counts::of(&MIGRATIONS, ["started", "success", "failed"].map(|r| [r])),
            lookups: Counts::of(&CACHE_LOOKUPS, ["hit", "miss"].map(|result| [result])),
            rebuild: Times::of(&REBUILD, up_to_minutes),
            rows: Levels::of(&REBUILD_ROWS),
        }
    }
}

impl Group for Volumes {
    fn enter(&self, metrics: &mut Metrics) {
        let Self {
            attach,
            detach,
            conflicts,
            stale,
            repairs,
            migrations,
            lookups,
            rebuild,
            rows,
        } = self;
        for counts in [attach, repairs, migrations, lookups] {
            counts.enter(metrics);
        }
        for count in [detach, conflicts, stale] {
            count.enter(metrics);
        }
        rebuild.enter(metrics);
        rows.enter(metrics);
    }
}

// === impl Repair ===

impl Repair {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Reopened => "reopened",
            Self::Remade => "remade",
            Self::Revoked => "revoked",
            Self::Lost => "lost",
        }
    }
}

// === impl Phase ===

impl Phase {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Rds => "rds",
            Self::Join => "join",
        }
    }
}
