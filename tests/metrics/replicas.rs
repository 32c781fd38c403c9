//! Replicas as processes: what a scraper of all of them sees.

use std::collections::BTreeSet;

use rds_csi::metrics::catalog::ALL;
use rds_csi::workload::cluster::Replica;

use crate::rig::Rig;
use crate::scrape::Scrape;

async fn scrape(rig: &Rig, pod: &str) -> Scrape {
    let (status, body) = rig.get(pod, "/metrics").await;
    assert_eq!(status, 200, "{body}");
    let scrape = Scrape::read(&body);
    assert_eq!(scrape.strangers(), Vec::<String>::new(), "{pod}");
    scrape
}

#[tokio::test(flavor = "multi_thread")]
async fn together_the_replicas_show_every_metric_of_the_catalog() {
    let rig = Rig::start().await;
    let leader = rig.leader().await;
    rig.attach("scraped", "node-a").await;

    let mut shown = BTreeSet::new();
    let pods: Vec<String> = rig
        .cluster
        .replicas()
        .iter()
        .map(Replica::pod)
        .map(ToOwned::to_owned)
        .collect();
    for pod in pods {
        let scrape = scrape(&rig, &pod).await;
        let leads = f64::from(u8::from(pod == leader));
        for gauge in ["rds_csi_leader", "rds_csi_ready"] {
            assert_eq!(scrape.gauge(gauge), Some(leads), "{pod}: {gauge}");
        }
        assert_eq!(
            scrape.gauge("rds_csi_rds_connection_state"),
            Some(1.0),
            "{pod}"
        );
        shown.extend(scrape.families.into_keys());
    }
    let missing: Vec<&str> = ALL
        .iter()
        .map(|spec| spec.name)
        .filter(|name| !shown.contains(*name))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
    rig.finish().await;
}
