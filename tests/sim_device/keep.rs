//! The state file and real backing files.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rds_csi::sim::store::{OpenError, SaveWhen, Storage};
use rds_csi::sim::world::{Config, World};

use super::fixture::{GIB, add, connect, content, out, quiet, set, write_now};

fn storage(directory: &Path, save: SaveWhen) -> Storage {
    Storage {
        state_file: Some(directory.join("state.json")),
        files_dir: None,
        save,
    }
}

#[tokio::test]
async fn the_state_file_follows_every_mutation() {
    let directory = tempfile::tempdir().unwrap();
    let storage = storage(directory.path(), SaveWhen::EachMutation);
    let world = World::open(Config::default(), storage.clone()).unwrap();
    add(&world, "csi-a").await;
    set(
        &world,
        "csi-a",
        "nvme-tcp-export=yes nvme-tcp-server-allow-host-name=\"\"",
    )
    .await;
    let session = connect(&world, "n1", "sub-csi-a", "h").unwrap();
    world.write(session, write_now(&world, "data")).unwrap();
    set(&world, "csi-a", "comment=last").await;
    let again = World::open(Config::default(), storage).unwrap();
    assert_eq!(again.disks(), world.disks());
    assert_eq!(again.files(), world.files());
    assert_eq!(content(&again, "csi-a").as_deref(), Some("data"));
    // Indexes are whole again: lookups, exports and ids.
    assert_eq!(connect(&again, "n1", "sub-csi-a", "h").err(), None);
    let newest = again.disk("csi-a").unwrap().id;
    add(&again, "csi-b").await;
    assert!(again.disk("csi-b").unwrap().id > newest);
    assert_eq!(
        out(&again, ":put [:len [/disk find where slot=csi-a]]").await,
        "1\r\n"
    );
}

#[tokio::test]
async fn on_demand_means_on_demand() {
    let directory = tempfile::tempdir().unwrap();
    let storage = storage(directory.path(), SaveWhen::OnDemand);
    let world = World::open(Config::default(), storage.clone()).unwrap();
    add(&world, "csi-a").await;
    assert!(!directory.path().join("state.json").exists());
    world.save().await.unwrap();
    let again = World::open(Config::default(), storage).unwrap();
    assert!(again.disk("csi-a").is_some());
}

#[tokio::test]
async fn a_foreign_state_file_is_refused_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("state.json"), "shopping list").unwrap();
    let storage = storage(directory.path(), SaveWhen::EachMutation);
    let error = World::open(Config::default(), storage).unwrap_err();
    assert!(matches!(error, OpenError::Parse { .. }), "{error}");
}

#[tokio::test]
async fn backing_files_are_real_sparse_and_copied_for_real() {
    let directory = tempfile::tempdir().unwrap();
    let files_dir = Some(directory.path().to_owned());
    let storage = Storage {
        files_dir,
        ..Storage::default()
    };
    let world = World::open(Config::default(), storage).unwrap();
    add(&world, "csi-a").await;
    add(&world, "csi-b").await;
    let path = |slot| {
        directory
            .path()
            .join(format!("storage-pool/metal-csi/{slot}.img"))
    };
    let made = fs::metadata(path("csi-a")).unwrap();
    assert_eq!((made.len(), made.blocks()), (GIB, 0));
    set(
        &world,
        "csi-a",
        "nvme-tcp-export=yes nvme-tcp-server-allow-host-name=\"\"",
    )
    .await;
    let session = connect(&world, "n1", "sub-csi-a", "h").unwrap();
    let mut write = write_now(&world, "far out");
    write.offset = GIB / 2;
    world.write(session, write).unwrap();
    let text = out(&world, "/disk/copy src=csi-a dst=csi-b").await;
    assert!(text.contains("(100%)"), "{text}");
    let copied = world.read_backing("csi-b", GIB / 2).unwrap();
    assert_eq!(copied.as_bytes(), b"far out");
    let copy = fs::metadata(path("csi-b")).unwrap();
    assert_eq!(copy.len(), GIB);
    assert!(copy.blocks() * 512 < GIB / 100, "the copy kept its holes");
    quiet(&world, "/disk/set csi-b file-size=2G").await;
    assert_eq!(fs::metadata(path("csi-b")).unwrap().len(), 2 * GIB);
    quiet(&world, "/disk/remove csi-b").await;
    assert!(path("csi-b").exists());
    quiet(
        &world,
        "/file/remove [find where name=\"storage-pool/metal-csi/csi-b.img\"]",
    )
    .await;
    assert!(!path("csi-b").exists());
}
