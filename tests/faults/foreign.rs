//! Names and objects that are not this driver's: refused with a reason, never changed, never deleted.

use rds_csi::domain::error::Kind;
use rds_csi::domain::id::VolumeId;

use crate::bed::{Bed, GIB, Knobs, Replica};

const OTHERS: &str = "nqn.2026-11.io.srvlab.csi.rds:00000000:node-z:1-1-00000000000000aa";

/// Everything on the device, as text.
fn everything(bed: &Bed) -> Vec<String> {
    let disks = bed.world().disks();
    let disks = disks.iter().map(|disk| format!("{disk:?}"));
    disks.chain(bed.world().files()).collect()
}

async fn edit(bed: &Bed, id: &VolumeId, names: &str, export: &str) {
    bed.by_hand(&format!(
        "/disk set [find where slot={id}] {names} nvme-tcp-export={export}"
    ))
    .await;
}

/// What each call makes of an entry: `None` is success.
async fn answers(replica: &Replica, id: &VolumeId) -> [Option<(Kind, String)>; 3] {
    let told = |error: rds_csi::domain::error::Error| (error.kind(), error.to_string());
    [
        replica.publish(id, "node-a").await.err().map(told),
        replica.unpublish(id, "node-a").await.err().map(told),
        replica.delete(id).await.err().map(told),
    ]
}

#[tokio::test]
async fn names_edited_by_hand_are_refused_for_their_reason_and_stay_as_they_are() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let host = |name: &str| format!("nvme-tcp-server-allow-host-name=\"{name}\"");
    let subsystem = "nvme-tcp-server-nqn=\"nqn.2000-02.com.mikrotik:mine\" ".to_owned();
    let (any, others) = ("exported to any host", "another cluster");
    let unreadable = "none of this driver";
    // Names, exported, the word in the refusal, whether a detach is refused as well.
    let rows = [
        (host(""), "yes", any, true),
        (subsystem.clone() + &host(""), "yes", any, true),
        (host(""), "no", unreadable, false),
        (host(OTHERS), "yes", others, false),
        (host(OTHERS), "no", others, false),
        (
            host("nqn.2014-08.org.nvmexpress:uuid:1"),
            "yes",
            unreadable,
            true,
        ),
        (
            host("nqn.2014-08.org.nvmexpress:uuid:1"),
            "no",
            unreadable,
            false,
        ),
        (subsystem, "yes", unreadable, true),
    ];
    for (names, export, word, holds) in rows {
        let case = format!("{names} exported={export}");
        let id = replica.create("v").await.expect(&case);
        edit(&bed, &id, &names, export).await;
        let before = everything(&bed);
        // One controller that remembers the volume, and one that has only just read it.
        let other = bed.controller().await;
        for replica in [&replica, &other] {
            let [publish, unpublish, delete] = answers(replica, &id).await;
            for refused in [publish, delete] {
                let (kind, message) = refused.expect(&case);
                assert_eq!(kind, Kind::InUse, "{case}: {message}");
                assert!(message.contains(word), "{case}: {message}");
            }
            let refused = unpublish.map(|(kind, _)| kind);
            assert_eq!(refused, holds.then_some(Kind::InUse), "{case}: detach");
        }
        let status = replica.volumes.status(Some(id.clone())).await.unwrap();
        assert!(status.abnormal.is_some(), "{case}: {status:?}");
        assert_eq!(everything(&bed), before, "{case}");
        bed.by_hand(&format!(
            "/disk set [find where slot={id}] nvme-tcp-export=no"
        ))
        .await;
        bed.by_hand(&format!("/disk remove [find where slot={id}]"))
            .await;
        replica.delete(&id).await.expect(&case);
    }
}

#[tokio::test]
async fn objects_of_others_in_our_place_are_never_changed() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    // The slot of a volume "v", taken by somebody else.
    let id = replica.create("v").await.unwrap();
    replica.delete(&id).await.unwrap();
    let base = "/storage-pool/metal-csi";
    let files = [
        (format!("{base}/somebody.img"), "does not carry the mark"),
        (format!("{base}/{id}.img"), "does not carry the mark"),
        (
            format!("{base}/{id}.00000000.00000000.0000000000000001.img"),
            "another cluster",
        ),
        (
            format!(
                "{base}/csi-ffffffffffffffffffffffffffff.9f86d081.00000000.0000000000000001.img"
            ),
            "another volume",
        ),
        (
            format!("/storage-pool/{id}.9f86d081.00000000.0000000000000001.img"),
            "outside",
        ),
    ];
    for (file, word) in files {
        bed.by_hand(&format!(
            "/disk add type=file slot={id} file-path=\"{file}\" file-size={GIB}"
        ))
        .await;
        let before = everything(&bed);
        let create = replica.create("v").await.map(drop);
        let expand = replica.expand(&id, 2 * GIB).await.map(drop);
        let [publish, unpublish, delete] = answers(&replica, &id).await;
        assert_eq!(unpublish, None, "{file}: nothing of ours is attached");
        let refused = [create, expand].map(|answer| answer.expect_err(&file).to_string());
        let others = [publish, delete].map(|answer| answer.expect(&file).1);
        for message in refused.into_iter().chain(others) {
            assert!(message.contains(word), "{file}: {message}");
        }
        assert_eq!(everything(&bed), before, "{file}");
        bed.by_hand(&format!("/disk remove [find where slot={id}]"))
            .await;
        let file = file.trim_start_matches('/');
        bed.by_hand(&format!("/file remove [find where name=\"{file}\"]"))
            .await;
    }
}

#[tokio::test]
async fn two_clusters_on_one_rds_neither_see_nor_touch_each_other() {
    let bed = Bed::new();
    let (ours, theirs) = (
        bed.controller().await,
        bed.controller_with(&Knobs {
            cluster: "other",
            ..Knobs::default()
        })
        .await,
    );
    let mine = ours.create("v").await.unwrap();
    let yours = theirs.create("v").await.unwrap();
    assert_ne!(mine, yours, "the same name in two clusters");
    let told = theirs.publish(&yours, "node-a").await.unwrap();
    let before = bed.world().disk(yours.as_str());

    for answer in answers(&ours, &yours).await.into_iter().step_by(2) {
        let (kind, message) = answer.expect("refused");
        assert_eq!(kind, Kind::InUse, "{message}");
    }
    ours.expand(&yours, 2 * GIB).await.unwrap_err();
    let listed = ours.volumes.list(None, 0).await.unwrap().entries;
    let ids: Vec<_> = listed.into_iter().map(|volume| volume.id).collect();
    assert_eq!(ids, [mine]);
    assert_eq!(bed.world().disk(yours.as_str()), before);
    assert_eq!(theirs.publish(&yours, "node-a").await.unwrap(), told);
}
