//! What callers are told when the API does not answer as it should.

use std::time::Duration;

use k8s_openapi::api::rbac::v1::PolicyRule;
use rds_csi::domain::claim::Claim;
use rds_csi::domain::error::{Effect, Error, Kind};
use rds_csi::ports::Cluster;
use rds_csi::sim::kubernetes::faults::{Fault, Matcher, Rule};
use rds_csi::sim::kubernetes::{Access, Account, Options, Verb};
use tokio::time::{Instant, timeout};

use super::fixture::{ATTACHMENTS, Bed, CLIENT, node, slots, volume};

const STORAGE: &str = "storage.k8s.io";
/// What the driver's ClusterRole has to hold.
const RULES: [(&str, &str, &[&str]); 4] = [
    (STORAGE, ATTACHMENTS, &["get", "list", "watch", "patch"]),
    ("", "persistentvolumes", &["get", "list", "watch"]),
    (STORAGE, "csinodes", &["get", "list", "watch"]),
    ("", "nodes", &["get", "list", "watch"]),
];

/// Everything but one verb on one resource.
fn without(resource: &str, verb: &str) -> Options {
    let rules = RULES.iter().map(|(group, of, verbs)| PolicyRule {
        api_groups: Some(vec![(*group).to_owned()]),
        resources: Some(vec![(*of).to_owned()]),
        verbs: verbs
            .iter()
            .filter(|given| *of != resource || **given != verb)
            .map(|verb| (*verb).to_owned())
            .collect(),
        ..PolicyRule::default()
    });
    let account = Account {
        user: "system:serviceaccount:rds-csi:controller".to_owned(),
        cluster: rules.collect(),
        ..Account::default()
    };
    Options {
        access: Access::default().with(CLIENT, account),
        ..Options::default()
    }
}

/// Everything the port can be asked; the first failure.
async fn everything(bed: &Bed) -> Result<(), Error> {
    let (id, one) = (volume('a'), node("one"));
    let cluster = &bed.cluster;
    cluster.survey(&slots("a")).await?;
    cluster.claims_on(&id).await?;
    let claim: Option<Claim> = cluster.claim(&id, &one).await?;
    cluster.presence(&one).await?;
    cluster.knows(&one).await?;
    assert!(cluster.record_remake(&claim.unwrap(), "nqn.x").await?);
    Ok(())
}

fn populate(bed: &Bed) {
    bed.volume('a');
    bed.node("one", "one");
    bed.attach_with('a', "one", super::fixture::unannotated);
}

#[tokio::test]
async fn a_refusal_names_the_rule_that_is_missing() {
    for (group, resource, verbs) in RULES {
        for verb in verbs {
            let bed = Bed::with(without(resource, verb)).await;
            populate(&bed);
            let result = everything(&bed).await;
            if *verb == "watch" {
                assert!(result.is_ok(), "{resource}: {result:?}");
                continue;
            }
            let error = result.unwrap_err();
            let rule =
                format!("apiGroups [\"{group}\"], resources [\"{resource}\"], verbs [\"{verb}\"]");
            assert!(error.context().contains(&rule), "{rule}: {error}");
            assert_eq!(
                (error.kind(), error.effect()),
                (Kind::Unavailable, Effect::None)
            );
        }
    }
}

#[tokio::test]
async fn the_rules_that_are_documented_are_enough() {
    let bed = Bed::with(without("nothing", "at all")).await;
    populate(&bed);
    let bed = bed.watching().await;
    everything(&bed).await.unwrap();
}

#[tokio::test]
async fn a_refusal_or_a_broken_connection_is_unavailable_and_never_none() {
    let faults = [
        Fault::TooManyRequests { retry_after: 1 },
        Fault::Error { code: 500 },
        Fault::Error { code: 503 },
        Fault::DropBefore,
        Fault::DropAfter,
    ];
    let bed = Bed::new().await;
    let (id, one) = (volume('a'), node("one"));
    for fault in faults {
        let any = Matcher::default();
        bed.api.faults().add(Rule::always(fault.clone(), any));
        let errors = [
            bed.cluster.survey(&slots("a")).await.unwrap_err(),
            bed.cluster.claims_on(&id).await.unwrap_err(),
            bed.cluster.claim(&id, &one).await.unwrap_err(),
            bed.cluster.presence(&one).await.unwrap_err(),
            bed.cluster.knows(&one).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), Kind::Unavailable, "{fault:?}: {error}");
            assert!(error.context().contains("Kubernetes API"), "{error}");
        }
        bed.api.faults().clear();
        // Nothing of it is remembered.
        assert!(bed.cluster.claims_on(&id).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_call_that_hangs_ends_in_time() {
    let bed = Bed::new().await;
    populate(&bed);
    bed.fault(1, Fault::StallBefore, Verb::Get, ATTACHMENTS);
    let began = Instant::now();
    let (id, one) = (volume('a'), node("one"));
    // external-attacher waits for 15 s, and the RDS has its share of that.
    let limit = Duration::from_secs(8);
    let claim = timeout(limit, bed.cluster.claim(&id, &one)).await;
    let error = claim.expect("it ends by itself").unwrap_err();
    let kind = error.kind();
    assert!(matches!(kind, Kind::Timeout | Kind::Unavailable), "{error}");
    assert!(error.context().contains(ATTACHMENTS), "{error}");
    assert!(began.elapsed() < limit);
}

#[tokio::test]
async fn a_list_that_expires_again_and_again_ends_as_an_error() {
    let bed = Bed::new().await;
    let expired = Fault::Error { code: 410 };
    let on = Matcher::of(Verb::List, ATTACHMENTS);
    bed.api.faults().add(Rule::always(expired, on));
    let error = bed.cluster.survey(&slots("a")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert_eq!(bed.lists(), 3);
}
