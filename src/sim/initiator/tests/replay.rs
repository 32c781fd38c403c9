//! A -> B -> A: what becomes of a write that waited under an old attachment.

use super::*;

/// A writes OLD while it has lost its path; B writes NEW; the volume is granted to A again with
/// these names.
async fn a_b_a(rig: &Rig, a: &Machine, subsystem_tail: &str) -> PublishContext {
    a.stage(&rig.grant(SLOT, "1", "host-a").await).unwrap();
    rig.revoke(SLOT).await;
    assert_eq!(a.write(SLOT), Written::Queued);

    let b = rig.machine("b", Kernel::V6_12);
    b.stage(&rig.grant(SLOT, "b", "host-b").await).unwrap();
    assert_eq!(b.write(SLOT), Written::Done);
    b.disconnect(SLOT);
    rig.revoke(SLOT).await;
    rig.grant(SLOT, subsystem_tail, "host-a2").await
}

#[tokio::test]
async fn a_queued_write_is_replayed_through_a_new_grant_of_the_same_subsystem_name() {
    for kernel in BOTH {
        let rig = Rig::new().await;
        let a = rig.machine("a", kernel);
        let granted = a_b_a(&rig, &a, "1").await;
        a.connect_only(&granted).unwrap();
        assert_eq!(
            rig.content(SLOT),
            "a:csi-1:1",
            "{kernel:?}: OLD lies over NEW"
        );
        let replays = rig.world.replayed_writes();
        assert_eq!(replays.len(), 1, "{kernel:?}");
        assert_eq!(a.view().queued(), 0);
    }
}

#[tokio::test]
async fn a_queued_write_is_not_replayed_through_a_fresh_subsystem_name() {
    // 6.1 still has the old controller: the new one is live and has no device until that is gone.
    let rig = Rig::new().await;
    let a = rig.machine("a", Kernel::V6_1);
    let granted = a_b_a(&rig, &a, "2").await;
    a.connect_only(&granted).unwrap();
    a.reconnect_now();
    let view = a.view();
    assert_eq!((view.queued(), view.live_paths()), (1, 0));
    assert!(view.controllers[1].live && !view.controllers[1].usable);
    a.disconnect(&subsystem(SLOT, "1"));
    assert_eq!(
        (a.view().failed, a.view().live_paths()),
        (1, 0),
        "no device by itself"
    );
    a.rescan();
    assert_eq!(
        (a.view().live_paths(), rig.content(SLOT).as_str()),
        (1, "b:csi-1:1")
    );

    // 6.12 believed the refusal and has forgotten the old one by then.
    let rig = Rig::new().await;
    let a = rig.machine("a", Kernel::V6_12);
    let granted = a_b_a(&rig, &a, "2").await;
    a.reconnect_now();
    a.connect_only(&granted).unwrap();
    assert_eq!((a.view().live_paths(), a.view().failed), (1, 1));
    assert_eq!(rig.content(SLOT), "b:csi-1:1");
    assert_eq!(rig.world.replayed_writes(), []);
}

#[tokio::test]
async fn staging_deletes_controllers_of_earlier_grants_first() {
    for kernel in BOTH {
        let rig = Rig::new().await;
        let a = rig.machine("a", kernel);
        let granted = a_b_a(&rig, &a, "1").await;
        a.stage(&granted).unwrap();
        assert_eq!((a.view().live_paths(), a.view().failed), (1, 1));
        assert_eq!(rig.content(SLOT), "b:csi-1:1", "{kernel:?}");
        assert_eq!(rig.world.replayed_writes(), []);
    }
}
