//! `status`: everybody names the same leader, and nobody claims to know what he does not.

use serde_json::{Value, json};

use super::rig::{Rig, Whom, run};

#[tokio::test]
async fn leader_follower_and_outsider_agree_on_who_leads_in_which_epoch() {
    let rig = Rig::start().await;
    rig.attach("pv-1", "node-a").await;
    let lease = rig.cluster.lease().unwrap();
    assert_eq!(lease.pod, Some(rig.leader().await));
    for (role, whom) in rig.everybody().await {
        let knows = |status: &Value| {
            // A standby asks the RDS, too: it is to take over some day.
            status["holder"] == *lease.holder
                && status["epoch"] == json!(lease.epoch)
                && status["rds"]["reachable"] == true
        };
        let status = rig.until(&whom, &["status"], knows).await;
        assert_eq!(status["role"], role, "{status}");
        assert_eq!(status["ready"], role == "leader", "{status}");
        assert!(status["lease_age_ms"].as_u64().unwrap() < 6_000, "{status}");
        // What is not known is not zero.
        let counted = match role {
            "leader" => json!({"granted": 1, "free": 0, "blocked": []}),
            "outside" => json!({"granted": 1, "free": 0, "blocked": null}),
            _ => Value::Null,
        };
        assert_eq!(status["attachments"], counted, "{status}");
        assert_eq!(status["drift"].is_array(), role == "leader", "{status}");
        assert_eq!(status["shards"].is_null(), role == "outside", "{status}");
        assert_eq!(status["deadline_ms"].is_u64(), role == "leader", "{status}");
        let mode = &status["fencing"]["mode"];
        assert_eq!(mode == "pair", role == "leader", "{status}");

        let table = rig.ask(&whom, &["status"]).await;
        assert_eq!((table.code, table.stderr.as_str()), (Some(0), ""));
        assert!(table.stdout.contains(&lease.holder), "{}", table.stdout);
        assert!(table.stdout.contains(role), "{}", table.stdout);
    }
    rig.finish().await;
}

#[tokio::test]
async fn whoever_has_installed_the_driver_is_told_when_a_replica_serves() {
    let rig = Rig::start().await;
    let (leader, follower) = (rig.leader().await, rig.follower().await);
    let leader = Whom::Port(rig.port(&leader));
    let words = ["status", "--ready-within=20s"];
    let said = rig.ask(&leader, &words).await;
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    assert!(said.stdout.contains("leader, serves calls"), "{said:?}");

    let rows = [
        (Whom::Port(rig.port(&follower)), "is standby"),
        (Whom::Nobody, "which replicas?"),
    ];
    for (whom, words) in rows {
        let said = rig.ask(&whom, &["status", "--ready-within=1s"]).await;
        assert_ne!(said.code, Some(0), "{said:?}");
        assert!(said.stderr.contains(words), "{said:?}");
    }
    rig.finish().await;
}

#[tokio::test]
async fn probes_are_told_what_each_replica_is() {
    let rig = Rig::start().await;
    let leader = rig.leader().await;
    for replica in rig.cluster.replicas() {
        let pod = replica.pod();
        let role = if pod == leader { "leader" } else { "standby" };
        let ready = (200, format!("{role}\n"));
        assert_eq!(rig.get(pod, "/readyz").await, ready, "{pod}");
        assert_eq!(rig.get(pod, "/livez").await, (200, "ok\n".to_owned()));
    }
    rig.finish().await;
}

#[tokio::test]
async fn from_outside_one_side_is_told_while_the_other_is_away() {
    let mut rig = Rig::start().await;
    rig.attach("pv-1", "node-a").await;
    let holder = rig.cluster.lease().unwrap().holder;
    for replica in rig.cluster.replicas_mut() {
        replica.remove().await;
    }
    // The Lease still names a process that is dead; its age tells.
    let status = rig.until(&Whom::Nobody, &["status"], |_| true).await;
    assert_eq!(status["holder"], *holder);
    assert_eq!(status["attachments"]["granted"], 1, "{status}");
    assert_eq!(status["not_ready_because"], Value::Null, "{status}");

    rig.cluster.sim().power_off().await;
    let status = rig.until(&Whom::Nobody, &["status"], |_| true).await;
    assert_eq!(status["holder"], *holder);
    assert_eq!(status["rds"]["reachable"], false, "{status}");
    assert_eq!(status["attachments"], Value::Null, "{status}");
    let why = status["not_ready_because"].as_str().unwrap();
    assert!(why.contains("127.0.0.1"), "{why}");
    rig.finish().await;
}

#[tokio::test]
async fn flags_that_are_missing_or_wrong_are_named() {
    let rows: [(&[&str], &str); 4] = [
        (&["status"], "--control-socket"),
        (&["status"], "--rds-address"),
        (&["status", "--rds-address=rds"], "--cluster-id"),
        (
            &["explain", "x", "--rds-address=rds", "--cluster-id=c"],
            "--rds-host-key",
        ),
    ];
    for (words, flag) in rows {
        let said = run(words).await;
        assert_eq!(said.code, Some(1), "{words:?}: {said:?}");
        assert!(said.stderr.contains(flag), "{words:?}: {said:?}");
        assert_eq!(said.stdout, "", "{words:?}");
    }
}
