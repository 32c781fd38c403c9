//! The lock in directories of which the kernel is said to tell this and that.

use std::fmt::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use tempfile::TempDir;

use super::*;

const BOOT: &str = "0f3c7c5e-6d2c-4c58-9d0a-2f8f0d9b7a11";
const UID: &str = "a6f1b2c3-6d2c-4c58-9d0a-2f8f0d9b7a11";

/// A directory that is said to be a mount.
struct Bed {
    directory: TempDir,
    facts: Facts,
}

impl Bed {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let point = directory.path().to_owned();
        Self {
            facts: facts(&point, &point, "tmpfs"),
            directory,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("lock")
    }

    fn take(&self) -> Result<LockFile, Refused> {
        LockFile::take_with(&self.path(), &self.facts)
    }

    fn on_record(&self) -> Option<PodRecord> {
        block::read(&fs::read(self.path()).unwrap())
    }
}

/// What the kernel would say if `point` were the mount that `directory` is part of.
fn facts(directory: &Path, point: &Path, filesystem: &str) -> Facts {
    let open = File::open(directory).unwrap();
    let told = fs::read_to_string(format!("/proc/self/fdinfo/{}", open.as_raw_fd())).unwrap();
    let id = told.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    let (id, point) = (id.unwrap().trim(), point.display());
    let mut text = String::new();
    writeln!(
        text,
        "{id} 1 0:1 /volumes/lock {point} rw - {filesystem} x rw"
    )
    .unwrap();
    Facts {
        mountinfo: text.into_bytes(),
        boot: BootId::new(BOOT).unwrap(),
    }
}

fn holder(uid: &str, nonce: u64) -> HolderId {
    HolderId::of_process("pod", uid, nonce).unwrap()
}

fn s(seconds: u64) -> BootTime {
    BootTime::new(Duration::from_secs(seconds))
}

/// Of a process that led from 100 s to 200 s.
fn tenure(uid: &str) -> Tenure {
    Tenure {
        holder: holder(uid, 1),
        began: s(100),
        renewed: s(200),
        until: s(206),
    }
}

#[test]
fn a_directory_that_is_no_mount_of_a_local_filesystem_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let above = here.parent().unwrap();
    let rows = [
        (here, "tmpfs", "taken"),
        (here, "ext4", "taken"),
        (here, "xfs", "taken"),
        (here, "overlay", "mount of overlay"),
        (here, "nfs4", "mount of nfs4"),
        (here, "cifs", "mount of cifs"),
        (here, "fuse.glusterfs", "mount of fuse.glusterfs"),
        (here, "9p", "mount of 9p"),
        (here, "virtiofs", "mount of virtiofs"),
        (above, "tmpfs", "no mount of its own"),
        (Path::new("/"), "ext4", "no mount of its own"),
    ];
    for (row, (point, filesystem, expected)) in rows.into_iter().enumerate() {
        let path = here.join(format!("lock{row}"));
        let answer = LockFile::take_with(&path, &facts(here, point, filesystem));
        let told = answer.map_or_else(|refused| refused.to_string(), |_| "taken".to_owned());
        assert!(told.contains(expected), "{point:?} {filesystem}: {told}");
    }
    let nothing = Facts {
        mountinfo: Vec::new(),
        ..facts(here, here, "tmpfs")
    };
    let answer = LockFile::take_with(&here.join("unknown"), &nothing);
    assert!(matches!(answer, Err(Refused::Call { .. })), "{answer:?}");
}

#[test]
fn what_is_no_plain_file_of_its_own_is_refused() {
    let bed = Bed::new();
    let here = bed.directory.path();
    let (link, dangling, folder) = (
        here.join("link"),
        here.join("dangling"),
        here.join("folder"),
    );
    fs::write(here.join("target"), "").unwrap();
    symlink(here.join("target"), &link).unwrap();
    symlink(here.join("nothing"), &dangling).unwrap();
    fs::create_dir(&folder).unwrap();
    for path in [
        &link,
        &dangling,
        &folder,
        Path::new("relative/lock"),
        Path::new("lock"),
    ] {
        let answer = LockFile::take_with(path, &bed.facts);
        assert!(
            matches!(answer, Err(Refused::Call { .. })),
            "{path:?}: {answer:?}"
        );
    }
    assert!(
        !here.join("nothing").exists(),
        "no link is followed, not even to create"
    );
    let null = LockFile::take_with(Path::new("/dev/null"), &bed.facts);
    assert!(matches!(null, Err(Refused::NoFile(_))), "{null:?}");
    fs::write(bed.path(), "").unwrap();
    fs::hard_link(bed.path(), here.join("second name")).unwrap();
    assert!(matches!(bed.take(), Err(Refused::Replaced(_))));
}

#[test]
fn what_was_locked_must_be_what_the_path_leads_to() {
    type Hand = fn(&Path);
    let rows: [(&str, Hand, bool); 5] = [
        ("untouched", |_| {}, true),
        ("unlinked", |path| fs::remove_file(path).unwrap(), false),
        (
            "made anew",
            |path| {
                fs::remove_file(path).unwrap();
                fs::write(path, "").unwrap();
            },
            false,
        ),
        (
            "replaced by a copy",
            |path| {
                let copy = path.with_extension("copy");
                fs::copy(path, &copy).unwrap();
                fs::rename(copy, path).unwrap();
            },
            false,
        ),
        (
            "moved, with a link in its place",
            |path| {
                let moved = path.with_extension("moved");
                fs::rename(path, &moved).unwrap();
                symlink(moved, path).unwrap();
            },
            false,
        ),
    ];
    for (what, hand, expected) in rows {
        let bed = Bed::new();
        let path = bed.path();
        let file = File::create(&path).unwrap();
        hand(&path);
        let answer = check_identity(&file, &path);
        assert_eq!(answer.is_ok(), expected, "{what}: {answer:?}");
    }
}

#[test]
fn one_process_holds_it_and_only_its_end_gives_it_up() {
    let bed = Bed::new();
    let other = File::create(bed.path()).unwrap();
    flock(&other, FlockOperation::NonBlockingLockExclusive).unwrap();
    assert!(matches!(bed.take(), Err(Refused::Held(_))));
    drop(other);
    let lock = bed.take().unwrap();
    drop(lock);
    assert!(matches!(bed.take(), Err(Refused::Held(_))), "for life");
}

#[test]
fn a_new_file_is_private_and_says_nothing() {
    let bed = Bed::new();
    let lock = bed.take().unwrap();
    let mode = fs::metadata(bed.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let told = lock.predecessor(&holder(UID, 2), &ShortCutRules::default(), s(201));
    assert_eq!(told, Err(NoShortCut::NoRecord));
}

#[tokio::test]
async fn what_one_process_leaves_the_next_one_finds_while_it_may() {
    let bed = Bed::new();
    let lock = bed.take().unwrap();
    lock.short_cut(s(90)).await.unwrap();
    lock.tenure(Some(tenure(UID))).await.unwrap();
    let left = fs::read(bed.path()).unwrap();

    let short_cut = Some(NoShortCut::TooSoon {
        ago: Duration::from_secs(111),
        apart: Duration::from_mins(10),
    });
    let eager = ShortCutRules {
        apart: Duration::ZERO,
        ..ShortCutRules::default()
    };
    let rows = [
        (eager, UID, 201, None),
        (eager, UID, 206, Some(NoShortCut::RanOut)),
        (ShortCutRules::default(), UID, 201, short_cut),
        (
            eager,
            "$(POD_UID)",
            201,
            Some(NoShortCut::OtherPod(holder(UID, 1))),
        ),
    ];
    for (rules, uid, now, expected) in rows {
        // The same content in a file that nobody holds: the author is dead.
        let next = Bed::new();
        fs::write(next.path(), &left).unwrap();
        let lock = next.take().unwrap();
        let told = lock.predecessor(&holder(uid, 2), &rules, s(now));
        assert_eq!(told.err(), expected, "{uid} at {now} s");
    }
    let mut rebooted = Bed::new();
    rebooted.facts.boot = BootId::new("another").unwrap();
    fs::write(rebooted.path(), &left).unwrap();
    let told = rebooted
        .take()
        .unwrap()
        .predecessor(&holder(UID, 2), &eager, s(201));
    assert_eq!(told, Err(NoShortCut::OtherBoot));
}

#[tokio::test]
async fn a_process_that_has_not_led_keeps_what_it_found_and_adds_to_it() {
    let bed = Bed::new();
    let of = |boot: &str, tenure, short_cut| PodRecord {
        boot: BootId::new(boot).unwrap(),
        tenure,
        short_cut,
    };
    let found = of(BOOT, Some(tenure(UID)), None);
    fs::write(bed.path(), block::write(&found).unwrap()).unwrap();
    let lock = bed.take().unwrap();
    lock.short_cut(s(201)).await.unwrap();
    let expected = of(BOOT, Some(tenure(UID)), Some(s(201)));
    assert_eq!(bed.on_record(), Some(expected));
    lock.tenure(None).await.unwrap();
    assert_eq!(bed.on_record(), Some(of(BOOT, None, Some(s(201)))));

    // Times of another boot would be nonsense in this one.
    let bed = Bed::new();
    let found = of("another", Some(tenure(UID)), Some(s(9_999)));
    fs::write(bed.path(), block::write(&found).unwrap()).unwrap();
    bed.take().unwrap().short_cut(s(201)).await.unwrap();
    assert_eq!(bed.on_record(), Some(of(BOOT, None, Some(s(201)))));
}
