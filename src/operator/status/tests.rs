//! What a status looks like.

use super::*;
use crate::admin::report::{Blocked, Decision, Drift, Role};

fn leader() -> StatusReport {
    StatusReport {
        driver: "rds.csi.srvlab.io".to_owned(),
        version: "0.1.0".to_owned(),
        instance: Some("controller-0".to_owned()),
        role: Role::Leader,
        ready: true,
        not_ready_because: None,
        holder: Some("controller-0_u_n".to_owned()),
        epoch: Some(7),
        lease_age_ms: Some(400),
        deadline_ms: Some(5_600),
        fencing: Some(Fencing {
            mode: "pair".to_owned(),
            verified: false,
        }),
        rds: Rds {
            address: "10.0.0.1".to_owned(),
            reachable: Some(true),
            incarnation: Some(1),
            last_answer_ms: Some(120),
        },
        shards: Some(vec![
            Shard {
                waiting: 3,
                running: 1,
                oldest_ms: 90,
            },
            Shard {
                waiting: 0,
                running: 1,
                oldest_ms: 250,
            },
        ]),
        attachments: Some(Attachments {
            granted: 12,
            free: 30,
            blocked: Some(vec![Blocked {
                volume: "csi-01".to_owned(),
                why: "its row cannot be read".to_owned(),
            }]),
        }),
        drift: Some(vec![Drift {
            volume: "csi-02".to_owned(),
            what: "granted without a claim".to_owned(),
            age_ms: 61_000,
        }]),
        events: Some(Events {
            posted: 40,
            dropped: 2,
            failed: 0,
        }),
        last_decision: Some(Decision {
            volume: "csi-01".to_owned(),
            operation: "publish".to_owned(),
            decided: "grant".to_owned(),
            age_ms: 2_000,
            trace: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
        }),
    }
}

#[test]
fn a_leader_shows_all_that_it_knows() {
    let expected = "\
driver   rds.csi.srvlab.io 0.1.0
replica  controller-0
role     leader, serves calls
leader   controller-0_u_n
epoch    7
lease    changed 400 ms ago, ends in 5 s 600 ms unless renewed
RDS      10.0.0.1 answers (last 120 ms ago), 1 restart noticed
fencing  pair, not verified on this device
volumes  12 granted, 30 free, 1 not served
shards   2: 3 waiting, 2 running, the oldest for 250 ms
events   40 posted, 2 dropped, 0 failed
decided  csi-01: publish: grant, 2 s ago, trace 4bf92f3577b34da6a3ce929d0e0e4736

NOT SERVED  WHY
csi-01      its row cannot be read

DRIFT   FOR        WHAT
csi-02  1 min 1 s  granted without a claim
";
    assert_eq!(text(&leader()), expected);
}

#[test]
fn a_standby_says_why_it_serves_nothing_and_leaves_out_what_it_does_not_know() {
    let standby = StatusReport {
        role: Role::Standby,
        ready: false,
        not_ready_because: Some("controller-0 leads".to_owned()),
        lease_age_ms: None,
        deadline_ms: None,
        fencing: None,
        rds: Rds {
            address: "rds".to_owned(),
            reachable: None,
            incarnation: Some(0),
            last_answer_ms: None,
        },
        shards: Some(Vec::new()),
        attachments: None,
        drift: None,
        ..leader()
    };
    let expected = "\
driver   rds.csi.srvlab.io 0.1.0
replica  controller-0
role     standby, serves no calls: controller-0 leads
leader   controller-0_u_n
epoch    7
RDS      rds was not asked by this replica, 0 restarts noticed
fencing  only the leader knows
volumes  only the leader knows
drift    only the leader knows
shards   0: 0 waiting, 0 running
events   40 posted, 2 dropped, 0 failed
decided  csi-01: publish: grant, 2 s ago, trace 4bf92f3577b34da6a3ce929d0e0e4736
";
    assert_eq!(text(&standby), expected);
}

/// As the Kubernetes API and the RDS tell it.
fn outside() -> StatusReport {
    StatusReport {
        role: Role::Outside,
        instance: None,
        ready: false,
        deadline_ms: None,
        fencing: None,
        rds: Rds {
            incarnation: None,
            ..leader().rds
        },
        shards: None,
        attachments: Some(Attachments {
            granted: 12,
            free: 30,
            blocked: None,
        }),
        drift: None,
        events: None,
        last_decision: None,
        ..leader()
    }
}

#[test]
fn from_outside_nothing_is_shown_as_zero_that_is_not_known() {
    let expected = "\
driver   rds.csi.srvlab.io 0.1.0
role     outside: no replica was asked but the Kubernetes API and the RDS
leader   controller-0_u_n
epoch    7
lease    renewed 400 ms ago by its holder's clock
RDS      10.0.0.1 answers (last 120 ms ago)
fencing  only the leader knows
volumes  12 granted, 30 free
drift    only the leader knows
shards   only a replica knows
events   only a replica knows
";
    assert_eq!(text(&outside()), expected);
}

#[test]
fn a_lease_that_nobody_holds_is_not_one_that_could_not_be_read() {
    let released = StatusReport {
        holder: None,
        ..outside()
    };
    assert!(text(&released).contains("leader   nobody\n"));
    let unread = StatusReport {
        epoch: None,
        lease_age_ms: None,
        not_ready_because: Some("the API is away".to_owned()),
        ..released
    };
    let text = text(&unread);
    assert!(text.contains("could be read: the API is away\n"), "{text}");
    assert!(
        text.contains("leader   unknown\nepoch    unknown\nRDS"),
        "{text}"
    );
}
