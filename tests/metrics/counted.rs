//! One controller in this process: each decision moves the counter that is meant for it, once.

use rds_csi::domain::error::Kind;
use rds_csi::metrics::Metrics;
use rds_csi::metrics::exposition::Form;
use rds_csi::metrics::gauges::Reading;

use crate::bed::{Bed, Replica};
use crate::scrape::Scrape;

fn scrape(replica: &Replica) -> Scrape {
    let metrics = Metrics::default()
        .with(replica.volumes.counters())
        .with(replica.backend.commands());
    let scrape = Scrape::read(&metrics.scrape(Reading::default(), Form::Plain));
    assert_eq!(scrape.strangers(), Vec::<String>::new());
    scrape
}

#[tokio::test]
async fn an_attach_a_conflict_and_a_detach_are_each_counted_once() {
    let bed = Bed::new();
    let replica = bed.controller().await;
    let volume = replica.create("counted").await.unwrap();
    replica.publish(&volume, "node-a").await.unwrap();
    // The same again tells the node what it knows already.
    replica.publish(&volume, "node-a").await.unwrap();
    let refused = replica.publish(&volume, "node-b").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::AttachedElsewhere);
    replica.unpublish(&volume, "node-a").await.unwrap();
    replica.unpublish(&volume, "node-a").await.unwrap();

    let now = scrape(&replica);
    let rows = [
        (
            "rds_csi_attachment_attach_total",
            vec![("fencing", "pair")],
            1.0,
        ),
        ("rds_csi_attachment_detach_total", vec![], 1.0),
        ("rds_csi_attachment_conflicts_total", vec![], 1.0),
        ("rds_csi_attachment_repairs_total", vec![], 0.0),
        // The first attach knew the volume from its making, and the first detach from the attach.
        ("rds_csi_cache_lookups_total", vec![("result", "hit")], 2.0),
        ("rds_csi_cache_lookups_total", vec![("result", "miss")], 3.0),
        (
            "rds_csi_rds_command_duration_seconds_count",
            vec![("verb", "publish"), ("outcome", "done")],
            1.0,
        ),
        (
            "rds_csi_rds_command_duration_seconds_count",
            vec![("verb", "revoke"), ("outcome", "done")],
            1.0,
        ),
        (
            "rds_csi_rebuild_duration_seconds_count",
            vec![("phase", "rds"), ("outcome", "done")],
            1.0,
        ),
    ];
    for (name, labels, expected) in rows {
        let found = now.sum(name, &labels);
        assert!((found - expected).abs() < 0.5, "{name} {labels:?}: {found}");
    }
}
