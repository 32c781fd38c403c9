//! Deleting what is attached, half gone, or gone.

use rds_csi::domain::error::Kind;

use crate::bed::Bed;

#[tokio::test]
async fn an_attached_volume_is_not_deleted_and_its_holder_is_named() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let id = replica.create("v").await.unwrap();
    let told = replica.publish(&id, "node-a").await.unwrap();
    bed.machine("node-a").stage(&told).unwrap();
    // One controller that granted it, and one that found it.
    for replica in [&replica, &bed.controller().await] {
        let refused = replica.delete(&id).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::InUse, "{refused}");
        assert!(refused.context().contains("node-a"), "{refused}");
    }
    assert_eq!(bed.world().sessions().len(), 1, "nobody was cut");
    assert_eq!(bed.holdings().len(), 2);
}

#[tokio::test]
async fn whatever_is_left_of_a_volume_is_deleted_and_gone_is_success() {
    let bed = Bed::new();
    for (entry, file) in [(true, true), (true, false), (false, true), (false, false)] {
        for forgets in [false, true] {
            let case = format!("entry {entry}, file {file}, fresh controller {forgets}");
            let mut replica = bed.controller().await;
            let id = replica.create("v").await.unwrap();
            let path = bed.world().disk(id.as_str()).unwrap().file_path.unwrap();
            if !entry {
                bed.by_hand(&format!("/disk remove [find where slot={id}]"))
                    .await;
            }
            if !file {
                let name = path.trim_start_matches('/');
                bed.by_hand(&format!("/file remove [find where name=\"{name}\"]"))
                    .await;
            }
            if forgets {
                replica = bed.controller().await;
            }
            replica.delete(&id).await.expect(&case);
            assert_eq!(bed.holdings(), Vec::<String>::new(), "{case}");
            replica.delete(&id).await.expect(&case);
        }
    }
}

#[tokio::test]
async fn every_file_of_every_life_of_a_volume_goes_with_it() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    // Three lives, of which only the entry went.
    let mut id = None;
    for _ in 0..3 {
        let made = replica.create("v").await.unwrap();
        bed.by_hand(&format!("/disk remove [find where slot={made}]"))
            .await;
        id = Some(made);
    }
    let id = id.unwrap();
    assert_eq!(replica.create("v").await.unwrap(), id);
    assert_eq!(bed.holdings().len(), 5, "{:?}", bed.holdings());
    replica.delete(&id).await.unwrap();
    assert_eq!(bed.holdings(), Vec::<String>::new());
}
