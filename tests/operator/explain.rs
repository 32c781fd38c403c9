//! `explain`: who holds a volume, since when, why another node does not get it, and what to do.

use serde_json::Value;

use super::rig::{HANG, Rig, Whom};

#[tokio::test]
async fn everybody_explains_a_volume_by_its_claim_and_by_its_id() {
    let rig = Rig::start().await;
    let volume = rig.attach("pv-1", "node-a").await;
    let epoch = rig.cluster.lease().unwrap().epoch;
    let placement = rig.cluster.placement();
    let waiting = placement.attach(&volume, "node-b").await.unwrap();
    let refused = placement.refused(&waiting, HANG).await.unwrap();
    assert!(refused.contains("node-a"), "{refused}");
    for (_, whom) in rig.everybody().await {
        for query in ["default/pv-1", "pv-1", &volume.handle] {
            let told = |told: &Value| told["claims"].as_array().is_some_and(|all| all.len() == 2);
            let told = rig.until(&whom, &["explain", query], told).await;
            assert_eq!(told["volume"], *volume.handle, "{told}");
            assert_eq!(told["pvc"], "default/pv-1", "{told}");
            assert_eq!(told["holder"]["node"], "node-a", "{told}");
            assert_eq!(told["holder"]["epoch"].as_u64(), epoch, "{told}");
            assert!(told["holder"]["age_ms"].as_u64().unwrap() < 60_000);
            assert_eq!(told["register"]["state"], "granted", "{told}");
            let shown = told["register"]["subsystem"].as_str().unwrap();
            // A port has no login.
            let is_hidden = shown.ends_with("-...");
            assert_eq!(is_hidden, matches!(whom, Whom::Port(_)), "{shown}");
            assert_claim(&told, "node-a", true);
            assert_claim(&told, "node-b", false);
            let verdict = told["verdict"].as_str().unwrap();
            assert!(verdict.contains("held by node-a"), "{verdict}");
            assert!(verdict.contains("other nodes are refused"), "{verdict}");
            let advice = told["advice"].to_string();
            for words in [
                "delete or scale down the pod",
                "out-of-service=nodeshutdown",
            ] {
                assert!(advice.contains(words), "{advice}");
            }
        }
        let table = rig.ask(&whom, &["explain", "pv-1"]).await.stdout;
        for words in ["default/pv-1", "node-a, since 20", "WISH", "1. to move it"] {
            assert!(table.contains(words), "{table}");
        }
    }
    rig.finish().await;
}

fn assert_claim(told: &Value, node: &str, has_it: bool) {
    let claims = told["claims"].as_array().unwrap();
    let claim = claims.iter().find(|claim| claim["node"] == node).unwrap();
    assert_eq!(claim["wish"], "attach", "{claim}");
    assert_eq!(claim["machine"], "present", "{claim}");
    assert_eq!(claim["attached"], has_it, "{claim}");
    assert_eq!(claim["told"], has_it, "{claim}");
}

#[tokio::test]
async fn a_volume_that_nobody_holds_and_one_that_is_not_there_are_told_apart() {
    let mut rig = Rig::start().await;
    let volume = rig.attach("pv-1", "node-a").await;
    let placement = rig.cluster.placement();
    let attachment = placement.attachment(&volume, "node-a");
    placement.detach(&attachment).await.unwrap();
    placement.gone(&attachment, HANG).await.unwrap();
    let mut asked = rig.everybody().await;
    let is_free = |told: &Value| told["register"]["state"] == "free";
    for (_, whom) in &asked {
        let told = rig.until(whom, &["explain", "pv-1"], is_free).await;
        assert_eq!(told["holder"], Value::Null, "{told}");
        let verdict = told["verdict"].as_str().unwrap();
        assert!(verdict.starts_with("free"), "{verdict}");
        assert_eq!(told["advice"].to_string(), "[]");
        for (query, words) in [
            ("default/nothing", "PersistentVolumeClaim default/nothing"),
            ("no volume", "PersistentVolumeClaim default/no volume"),
        ] {
            let said = rig.ask(whom, &["explain", query]).await;
            assert_eq!(said.code, Some(1), "{said:?}");
            assert!(said.stderr.contains(words), "{said:?}");
        }
        let absent = "csi-0123456789abcdef0123456789ab";
        let told = rig.until(whom, &["explain", absent], |_| true).await;
        let verdict = told["verdict"].as_str().unwrap();
        assert!(verdict.contains("there is no volume"), "{verdict}");
    }
    // Nobody is needed for it.
    for replica in rig.cluster.replicas_mut() {
        replica.remove().await;
    }
    let (_, nobody) = asked.pop().unwrap();
    rig.until(&nobody, &["explain", &volume.handle], is_free)
        .await;
    rig.finish().await;
}
