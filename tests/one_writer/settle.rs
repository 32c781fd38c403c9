//! Another node is let in no earlier than the settling time after a revoke was read back: kernel
//! targets take a moment to end sessions.

use std::time::Duration;

use rds_csi::sim::observer::What;

use crate::bed::{Bed, Knobs};

const SETTLE: Duration = Duration::from_millis(200);
/// A wait of this length is a test that hangs.
const NEVER: Duration = Duration::from_hours(1);

fn settling(settle: Duration) -> Knobs {
    Knobs {
        settle,
        ..Knobs::default()
    }
}

/// The lines that matter here, told apart by their text.
#[derive(Debug, Clone, Copy)]
enum Line {
    Reading,
    RevokeOfA,
    GrantToB,
}

impl Line {
    fn is(self, text: &str) -> bool {
        match self {
            Self::Reading => text.contains("where slot~\"^csi-\""),
            Self::RevokeOfA => text.contains(":node-a:") && !text.contains("export=yes"),
            Self::GrantToB => text.contains(":node-b:") && text.contains("export=yes"),
        }
    }
}

/// When the newest line of this kind had run.
fn ran_at(bed: &Bed, line: Line) -> Duration {
    let entries = bed.world().log(0);
    let is_it = |what: &What| matches!(what, What::Command(command) if line.is(&command.text));
    let newest = entries.iter().rev().find(|entry| is_it(&entry.what));
    newest.unwrap_or_else(|| panic!("no {line:?}")).at
}

#[tokio::test]
async fn another_node_waits_for_the_settling_time_after_a_revoke() {
    let bed = Bed::new();
    let replica = bed.controller_with(&settling(SETTLE)).await;
    let id = replica.create("v").await.unwrap();
    replica.publish(&id, "node-a").await.unwrap();
    replica.unpublish(&id, "node-a").await.unwrap();
    replica.publish(&id, "node-b").await.unwrap();
    let between = ran_at(&bed, Line::GrantToB).saturating_sub(ran_at(&bed, Line::RevokeOfA));
    assert!(between >= SETTLE, "{between:?}");
}

#[tokio::test]
async fn a_new_controller_counts_from_its_first_reading() {
    let bed = Bed::new();
    let first = bed.controller().await;
    let id = first.create("v").await.unwrap();
    first.publish(&id, "node-a").await.unwrap();
    first.unpublish(&id, "node-a").await.unwrap();
    drop(first);
    let second = bed.controller_with(&settling(SETTLE)).await;
    second.publish(&id, "node-b").await.unwrap();
    // Nobody knows when the revoke was, so it counts as just now.
    let between = ran_at(&bed, Line::GrantToB).saturating_sub(ran_at(&bed, Line::Reading));
    assert!(between >= SETTLE, "{between:?}");
}

#[tokio::test]
async fn a_grant_that_is_gone_without_our_doing_is_waited_for_as_well() {
    let bed = Bed::new();
    let replica = bed.controller_with(&settling(SETTLE)).await;
    let other = bed.controller().await;
    let id = replica.create("v").await.unwrap();
    replica.publish(&id, "node-a").await.unwrap();
    other.unpublish(&id, "node-a").await.unwrap();
    replica.publish(&id, "node-b").await.unwrap();
    let between = ran_at(&bed, Line::GrantToB).saturating_sub(ran_at(&bed, Line::RevokeOfA));
    assert!(between >= SETTLE, "{between:?}");
}

#[tokio::test]
async fn nobody_waits_for_a_volume_that_no_other_node_has_left() {
    let bed = Bed::new();
    let replica = bed.controller_with(&settling(NEVER)).await;
    let id = replica.create("v").await.unwrap();
    for _ in 0..2 {
        replica.publish(&id, "node-a").await.unwrap();
        replica.unpublish(&id, "node-a").await.unwrap();
    }
    // A volume made again under the same name is another one.
    replica.delete(&id).await.unwrap();
    assert_eq!(replica.create("v").await.unwrap(), id);
    replica.publish(&id, "node-b").await.unwrap();
    assert_eq!(replica.holders(&id).await, ["node-b"]);
}
