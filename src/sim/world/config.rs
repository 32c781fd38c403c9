//! A new device: its kind, its pools and its users.

use std::collections::BTreeMap;

use crate::sim::observer::LOG_CAPACITY;
use crate::sim::personality::{Personality, Policies};
use crate::sim::state::State;
use crate::sim::state::disk::{Disk, Pool};
use crate::sim::state::file::FileKind;

/// A new device.
#[derive(Debug, Clone)]
pub struct Config {
    /// What kind of device.
    pub personality: Personality,
    /// `/system/identity`.
    pub identity: String,
    /// Its pools.
    pub pools: Vec<PoolConfig>,
    /// Users and what they may do; a user not named here may do everything, since letting users
    /// in is the business of the SSH side.
    pub users: BTreeMap<String, Policies>,
    /// Entries the observer keeps.
    pub log_capacity: usize,
}

/// A pool: a RAID entry with a mounted file system.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// Slot and mount point.
    pub name: String,
    /// `btrfs` or `xfs`.
    pub fs: String,
    /// Bytes.
    pub size: u64,
    /// Free bytes at the start.
    pub free: u64,
    /// Directories in it, relative to the mount point.
    pub directories: Vec<String>,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        // The size and free space recorded on an RDS with a RAID6 btrfs pool.
        let pool = PoolConfig {
            name: "storage-pool".to_owned(),
            fs: "btrfs".to_owned(),
            size: 7_681_574_174_720,
            free: 7_301_927_047_168,
            directories: vec!["metal-csi".to_owned()],
        };
        Self {
            personality: Personality::default(),
            identity: "rds-sim".to_owned(),
            pools: vec![pool],
            users: BTreeMap::new(),
            log_capacity: LOG_CAPACITY,
        }
    }
}

impl Config {
    /// A default device of this kind.
    pub fn of(personality: Personality) -> Self {
        Self {
            personality,
            ..Self::default()
        }
    }

    /// The state of a device that has just been unpacked.
    pub(super) fn state(&self, now: u64) -> State {
        let mut state = State::default();
        state.identity.clone_from(&self.identity);
        for pool in &self.pools {
            let mut disk = Disk::new(pool.name.clone(), None, pool.size);
            disk.pool = Some(Pool {
                mount_point: pool.name.clone(),
                fs: pool.fs.clone(),
                elsewhere: pool.size.saturating_sub(pool.free),
                used: 0,
            });
            state.add_disk(disk);
            state.add_directory(&pool.name, FileKind::Root, now);
            for directory in &pool.directories {
                let name = format!("{}/{directory}", pool.name);
                state.add_directory(&name, FileKind::Directory, now);
            }
        }
        state
    }
}
