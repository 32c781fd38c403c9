//! Which node ids there are, and whether the machines behind them are.

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::storage::v1::CSINode;
use rds_csi::domain::claim::Presence;
use rds_csi::ports::Cluster;
use rds_csi::sim::kubernetes::Verb;
use rds_csi::sim::kubernetes::faults::Fault;
use serde_json::json;

use super::fixture::{Bed, node};

async fn populated() -> Bed {
    let bed = Bed::new().await;
    bed.node("up", "id-of-up");
    let taint = json!([{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]);
    bed.machine("off", &taint);
    bed.plugin("off", "id-of-off");
    bed.plugin("gone", "id-of-gone");
    bed.machine("same-id", &json!([]));
    bed.machine("unplugged", &json!([]));
    bed.volume('a');
    bed.attach_with('a', "unplugged", |object| {
        object["metadata"]["annotations"]["csi.alpha.kubernetes.io/node-id"] =
            json!("id-unplugged");
    });
    bed
}

#[tokio::test]
async fn a_node_is_as_its_node_object_says_whether_watched_or_not() {
    for watching in [false, true] {
        let mut bed = populated().await;
        if watching {
            bed = bed.watching().await;
        }
        for (id, expected) in [
            ("id-of-up", Presence::Present),
            ("id-of-off", Presence::OutOfService),
            ("id-of-gone", Presence::Gone),
            // Nobody reports this id, and it is the name of a node.
            ("same-id", Presence::Present),
            ("never-there", Presence::Gone),
        ] {
            let presence = bed.cluster.presence(&node(id)).await.unwrap();
            assert_eq!(presence, expected, "{id}, watching: {watching}");
        }
        if watching {
            // The plugin is not running, but an attachment knows the node.
            let id = node("id-unplugged");
            let presence = bed.cluster.presence(&id).await.unwrap();
            assert_eq!(presence, Presence::Present);
            assert_eq!(bed.cluster.watched_presence(&id), Some(Presence::Present));
        }
    }
}

#[tokio::test]
async fn a_node_that_came_back_under_another_name_is_not_gone() {
    let bed = populated().await.watching().await;
    bed.fault(1, Fault::Hold, Verb::Watch, "csinodes");
    bed.api.cut_watches("csinodes");
    bed.api.faults().wait_held(1).await;
    assert!(bed.api.evict::<Node>("", "up"));
    assert!(bed.api.evict::<CSINode>("", "up"));
    bed.node("renamed", "id-of-up");
    let presence = bed.cluster.presence(&node("id-of-up")).await.unwrap();
    assert_eq!(presence, Presence::Present);
}

#[tokio::test]
async fn an_id_is_known_if_a_plugin_reports_it_and_only_a_miss_needs_a_list() {
    let bed = populated().await.watching().await;
    let lists = || bed.api.requests(Verb::List, "csinodes");
    let before = lists();
    assert!(bed.cluster.knows(&node("id-of-up")).await.unwrap());
    assert_eq!(lists(), before);
    // The name of a node is not its id.
    assert!(!bed.cluster.knows(&node("up")).await.unwrap());
    assert_eq!(lists(), before + 1);

    let unwatched = populated().await;
    assert!(unwatched.cluster.knows(&node("id-of-up")).await.unwrap());
    assert!(!unwatched.cluster.knows(&node("never")).await.unwrap());
}
