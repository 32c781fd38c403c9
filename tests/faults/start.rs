//! Starting when the RDS is down, is somebody else, or does not let the controller in.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rds_csi::domain::error::Kind;
use rds_csi::sim::handle::SimConfig;
use rds_csi::sim::observer::What;
use rds_csi::sim::personality::Policies;
use rds_csi::sim::server::Accounts;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

use crate::bed::{Bed, Knobs, Replica, until, within};

/// Lines that the device has run at all.
fn lines_run(bed: &Bed) -> usize {
    let entries = bed.world().log(0);
    let commands = entries
        .iter()
        .filter(|entry| matches!(entry.what, What::Command(_)));
    commands.count()
}

/// Waits until the pool says why it has no session.
async fn reason(replica: &Replica, word: &str) {
    until("the reason is known", || {
        let state = replica.backend.pool();
        state
            .last_error
            .is_some_and(|error| error.to_string().contains(word))
    })
    .await;
    assert!(!replica.volumes.ready());
    answers(replica, word).await;
}

/// Waits until callers are told why nothing is served.
async fn answers(replica: &Replica, word: &str) {
    let told = async {
        loop {
            let refused = replica.create("v").await.unwrap_err();
            assert_eq!(refused.kind(), Kind::Unavailable, "{refused:?}");
            if refused.context().contains(word) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    within(told).await;
}

fn key() -> PrivateKey {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()
}

/// Replaces the file in one step, as mounted secrets are.
fn write_key(path: &Path, key: &PrivateKey) {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap();
    let text = key.to_openssh(LineEnding::LF).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    std::fs::set_permissions(file.path(), Permissions::from_mode(0o600)).unwrap();
    file.persist(path).unwrap();
}

#[tokio::test]
async fn a_controller_waits_for_an_rds_that_is_down_and_serves_once_it_is_up() {
    let bed = Bed::new();
    bed.sim.power_off().await;
    let replica = bed.start(&Knobs::default());
    reason(&replica, "connect").await;
    bed.sim.power_on().unwrap();
    replica.ready().await;
    replica.create("v").await.unwrap();
}

#[tokio::test]
async fn somebody_else_at_the_address_is_told_nothing() {
    let bed = Bed::new();
    let expected = bed.sim.host_key();
    bed.sim.server().rotate_host_key();
    let replica = bed.start(&Knobs {
        host_key: Some(expected),
        ..Knobs::default()
    });
    reason(&replica, "host key").await;
    assert_eq!(bed.sim.server().counters().commands, 0);
    assert_eq!(lines_run(&bed), 0);
}

#[tokio::test]
async fn a_refused_key_is_replaced_without_a_restart_of_the_controller() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("id");
    let good = key();
    write_key(&path, &key());
    let bed = Bed::with(SimConfig {
        accounts: Accounts::default().with_key("csi", good.public_key().clone()),
        ..SimConfig::default()
    });
    let replica = bed.start(&Knobs {
        key_file: Some(path.clone()),
        ..Knobs::default()
    });
    reason(&replica, "csi").await;
    assert_eq!(lines_run(&bed), 0);

    write_key(&path, &good);
    replica.ready().await;
    replica.create("v").await.unwrap();
}

#[tokio::test]
async fn a_user_who_may_only_read_serves_nothing_and_changes_nothing() {
    let bed = Bed::new();
    bed.world().set_policies("csi", Policies::READ_ONLY);
    let replica = bed.start(&Knobs::default());
    answers(&replica, "policies").await;
    assert_eq!(bed.holdings(), Vec::<String>::new());

    bed.world().set_policies("csi", Policies::FULL);
    replica.ready().await;
    let id = replica.create("v").await.unwrap();

    // The policy is taken away while the controller runs.
    bed.world().set_policies("csi", Policies::READ_ONLY);
    let before = bed.holdings();
    for refused in [
        replica.create("w").await.map(drop),
        replica.publish(&id, "node-a").await.map(drop),
        replica.delete(&id).await,
        replica.expand(&id, 2 << 30).await.map(drop),
    ] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), Kind::Misconfigured, "{refused:?}");
        assert!(refused.context().contains("policies"), "{refused}");
    }
    assert_eq!(bed.holdings(), before);
    replica.volumes.status(Some(id)).await.unwrap();
}
