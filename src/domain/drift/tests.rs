//! The claims table, row by row, and the hard cases below it.

mod lost;

use super::*;
use crate::domain::claim::Attachment;
use crate::domain::grant::Scheme;
use crate::domain::id::{ClusterId, VolumeId};
use crate::domain::leadership::Epoch;
use crate::domain::names::Tail;

fn slot() -> VolumeId {
    "csi-0123456789abcdef0123456789ab".parse().unwrap()
}

fn scheme() -> Scheme {
    Scheme {
        mode: FencingMode::Pair,
        cluster: "c".parse::<ClusterId>().unwrap().tag(),
    }
}

fn tail(random: u64) -> Tail {
    Tail {
        epoch: Epoch::from_record(3),
        unix_seconds: 0,
        random,
    }
}

fn free() -> Names {
    scheme().first_names(&slot(), tail(0))
}

/// The pair made for `node` with this random part.
fn pair(node: &str, random: u64) -> Pair {
    scheme().fresh_pair(&slot(), &node.parse().unwrap(), &free(), tail(random))
}

fn shared(random: u64) -> Pair {
    scheme().shared_pair(&slot(), &free(), tail(random))
}

/// A live attachment that was published under `told`, or has not been published yet.
fn wants(node: &str, told: Option<&Pair>) -> Claim {
    Claim {
        attachment: Attachment {
            name: format!("csi-{node}"),
            uid: node.to_owned(),
            resource_version: "1".to_owned(),
        },
        volume: slot(),
        node: node.parse().unwrap(),
        wish: Wish::Attach,
        attached: told.is_some(),
        told: told.map(|pair| pair.names.clone()),
        remade: None,
        shared: false,
    }
}

/// An attachment that is being deleted.
fn leaves(node: &str, told: Option<&Pair>) -> Claim {
    Claim {
        wish: Wish::Detach,
        ..wants(node, told)
    }
}

/// The same, whose one chance to come back is spent.
fn spent(claim: Claim) -> Claim {
    let told = claim.told.as_ref();
    Claim {
        remade: told.and_then(|names| names.subsystem.clone()),
        ..claim
    }
}

fn granted(pair: &Pair) -> Register {
    Register::Granted(pair.clone())
}

fn prepared(pair: &Pair) -> Register {
    Register::Prepared(pair.clone())
}

fn revoke(pair: &Pair, reason: Reason) -> Need {
    Need::Revoke(pair.names.clone(), reason)
}

/// Nodes whose names begin with `gone` have no Node object, those with `off` are tainted.
fn presence(node: &NodeId) -> Presence {
    match node.as_str() {
        name if name.starts_with("gone") => Presence::Gone,
        name if name.starts_with("off") => Presence::OutOfService,
        _ => Presence::Present,
    }
}

fn check(register: Register, claims: &[Claim], answered: Option<&Pair>, expected: &Need) {
    let sight = Sight {
        mode: FencingMode::Pair,
        register: &register,
        claims,
        answered,
    };
    let need = sight.need(presence);
    assert_eq!(&need, expected, "{register:?} {claims:?} {answered:?}");
}

#[test]
fn a_granted_volume_is_taken_only_from_a_node_without_a_right_to_it() {
    let (a, other) = (pair("a", 1), pair("a", 2));
    let gone = pair("gone", 1);
    let off = pair("off", 1);
    let rows = [
        // Told by its VolumeAttachment, or by us in this term.
        (
            &a,
            vec![wants("a", Some(&a))],
            None,
            Need::Believe(a.clone()),
        ),
        (
            &a,
            vec![wants("a", None)],
            Some(&a),
            Need::Believe(a.clone()),
        ),
        (
            &a,
            vec![leaves("a", Some(&a))],
            None,
            Need::Believe(a.clone()),
        ),
        // Nobody can say that it was told: its Publish will come again and re-open it.
        (&a, vec![wants("a", None)], None, Need::Nothing),
        (&a, vec![leaves("a", None)], None, Need::Nothing),
        (
            &a,
            vec![wants("a", None), wants("b", None)],
            None,
            Need::Nothing,
        ),
        // The node goes on using what it was told, so what stands there is in its way.
        (
            &a,
            vec![wants("a", Some(&other))],
            None,
            revoke(&a, Reason::Superseded),
        ),
        (
            &a,
            vec![wants("a", Some(&other))],
            Some(&a),
            Need::Believe(a.clone()),
        ),
        // Nobody asks for it.
        (&a, vec![], None, revoke(&a, Reason::Orphan)),
        (&a, vec![], Some(&a), revoke(&a, Reason::Orphan)),
        (
            &a,
            vec![leaves("b", None)],
            None,
            revoke(&a, Reason::Orphan),
        ),
        (
            &a,
            vec![wants("b", None)],
            None,
            revoke(&a, Reason::InTheWay),
        ),
        (
            &a,
            vec![wants("b", Some(&other))],
            None,
            revoke(&a, Reason::InTheWay),
        ),
        // A late line wrote it over the grant of a node that goes on using its own.
        (
            &a,
            vec![wants("a", None), wants("b", Some(&other))],
            None,
            revoke(&a, Reason::Usurped),
        ),
        (
            &a,
            vec![leaves("a", None), wants("b", Some(&other))],
            None,
            revoke(&a, Reason::Usurped),
        ),
        // The machine is gone.
        (
            &gone,
            vec![wants("gone", Some(&gone))],
            None,
            revoke(&gone, Reason::NodeGone),
        ),
        (
            &gone,
            vec![leaves("gone", None)],
            None,
            revoke(&gone, Reason::NodeGone),
        ),
        (
            &off,
            vec![leaves("off", Some(&off))],
            None,
            revoke(&off, Reason::OutOfService),
        ),
        (
            &off,
            vec![wants("off", Some(&off))],
            None,
            Need::Believe(off.clone()),
        ),
    ];
    for (pair, claims, answered, expected) in rows {
        check(granted(pair), &claims, answered, &expected);
    }
}

#[test]
fn a_closed_grant_is_opened_again_only_for_a_node_that_uses_it() {
    let a = pair("a", 1);
    let rows = [
        (vec![wants("a", Some(&a))], None, Need::Reopen(a.clone())),
        (vec![wants("a", None)], Some(&a), Need::Reopen(a.clone())),
        (vec![wants("a", None)], None, Need::Nothing),
        // Half-way through a revoke: Unpublish is under way, or will come again.
        (vec![leaves("a", Some(&a))], None, Need::Nothing),
        (vec![], None, revoke(&a, Reason::Orphan)),
    ];
    for (claims, answered, expected) in rows {
        check(prepared(&a), &claims, answered, &expected);
    }
}

#[test]
fn a_shared_grant_stays_until_its_last_holder_has_left_and_comes_back_for_all() {
    let all = shared(1);
    let share = |claim: Claim| Claim {
        shared: true,
        ..claim
    };
    let rows = [
        (
            vec![share(wants("a", Some(&all)))],
            Need::Believe(all.clone()),
        ),
        (
            vec![
                share(leaves("a", Some(&all))),
                share(wants("b", Some(&all))),
            ],
            Need::Believe(all.clone()),
        ),
        (
            vec![share(wants("gone", Some(&all))), share(wants("b", None))],
            Need::Believe(all.clone()),
        ),
        (
            vec![share(wants("gone", Some(&all)))],
            revoke(&all, Reason::NodeGone),
        ),
        (vec![], revoke(&all, Reason::Orphan)),
    ];
    for (claims, expected) in rows {
        check(granted(&all), &claims, None, &expected);
    }
    let (a, b) = (share(wants("a", Some(&all))), share(wants("b", Some(&all))));
    let back = Need::Remake(a.clone(), all.names.clone());
    let given_up = Need::Lost(a.clone(), Reason::SentBefore);
    let others = share(wants("b", Some(&shared(2))));
    let both = vec!["a".parse().unwrap(), "b".parse().unwrap()];
    let rows = [
        (vec![a.clone(), b.clone()], back.clone()),
        (vec![a.clone(), share(wants("b", None))], back),
        (vec![a.clone(), spent(b)], given_up),
        (vec![a, others], Need::Freeze(both)),
    ];
    for (claims, expected) in rows {
        check(Register::Free(free()), &claims, None, &expected);
    }
}

#[test]
fn names_that_are_not_ours_are_left_alone_and_half_written_ones_go() {
    let a = wants("a", Some(&pair("a", 1)));
    let claims = std::slice::from_ref(&a);
    let foreign = Register::Foreign {
        names: free(),
        exported: true,
        why: crate::domain::grant::Foreign::Wildcard,
    };
    check(foreign, claims, None, &Need::Nothing);
    let stray = Need::Revoke(free(), Reason::Stray);
    check(Register::Stray(free()), claims, None, &stray);
}

#[test]
fn a_node_that_asks_gets_only_what_its_holder_has_no_right_to() {
    let (a, gone, off) = (pair("a", 1), pair("gone", 1), pair("off", 1));
    let cut = Contention::Revoke;
    let rows = [
        (&a, vec![wants("a", Some(&a))], Contention::Held),
        (&a, vec![wants("a", None)], Contention::Held),
        (&a, vec![leaves("a", None)], Contention::Held),
        (&a, vec![], cut(Reason::InTheWay)),
        (&a, vec![wants("b", None)], cut(Reason::InTheWay)),
        (&gone, vec![wants("gone", None)], cut(Reason::NodeGone)),
        (&gone, vec![leaves("gone", None)], cut(Reason::NodeGone)),
        (&off, vec![leaves("off", None)], cut(Reason::OutOfService)),
        (&off, vec![wants("off", None)], Contention::Held),
        // The asking node uses the volume; what stands there was written late, and told to nobody.
        (
            &a,
            vec![wants("a", None), wants("b", Some(&pair("b", 2)))],
            cut(Reason::Usurped),
        ),
        (
            &a,
            vec![wants("a", Some(&a)), wants("b", Some(&pair("b", 2)))],
            Contention::Held,
        ),
    ];
    for (pair, claims, expected) in rows {
        let register = granted(pair);
        let sight = Sight {
            mode: FencingMode::Pair,
            register: &register,
            claims: &claims,
            answered: None,
        };
        let verdict = sight.contention(pair, &"b".parse().unwrap(), presence);
        assert_eq!(verdict, expected, "{pair:?} {claims:?}");
    }
}
