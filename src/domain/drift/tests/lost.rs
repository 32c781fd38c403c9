//! What is not on the RDS any more: what is brought back, and what never is.

use super::*;

#[test]
fn a_lost_grant_comes_back_once_and_only_where_nobody_else_has_a_claim() {
    let (a, b) = (pair("a", 1), pair("b", 2));
    let lost = wants("a", Some(&a));
    let gone = wants("gone", Some(&pair("gone", 1)));
    let again = spent(lost.clone());
    let earlier = Claim {
        remade: b.names.subsystem.clone(),
        ..lost.clone()
    };
    let give_up = |claim: &Claim, reason| Need::Lost(claim.clone(), reason);
    let rows = [
        (
            vec![lost.clone()],
            Need::Remake(lost.clone(), a.names.clone()),
        ),
        (
            vec![earlier.clone()],
            Need::Remake(earlier.clone(), a.names.clone()),
        ),
        (vec![again.clone()], give_up(&again, Reason::SentBefore)),
        // The other node was never told anything.
        (
            vec![lost.clone(), wants("b", None)],
            Need::Remake(lost.clone(), a.names.clone()),
        ),
        // It will have gone soon.
        (
            vec![lost.clone(), leaves("b", Some(&b))],
            Need::Freeze(vec!["a".parse().unwrap(), "b".parse().unwrap()]),
        ),
        (
            vec![lost.clone(), leaves("b", Some(&b)), wants("c", None)],
            Need::Freeze(["a", "b", "c"].map(|node| node.parse().unwrap()).into()),
        ),
        (
            vec![again.clone(), leaves("b", Some(&b))],
            give_up(&again, Reason::SentBefore),
        ),
        (
            vec![lost.clone(), wants("b", Some(&b))],
            Need::Freeze(vec!["a".parse().unwrap(), "b".parse().unwrap()]),
        ),
        // Not published yet, or about to go: a Publish or an Unpublish will come.
        (vec![wants("a", None)], Need::Nothing),
        (vec![leaves("a", Some(&a))], Need::Nothing),
        (vec![], Need::Nothing),
        // Others may have it from now on, and the node may come back one day.
        (vec![gone.clone()], give_up(&gone, Reason::NodeGone)),
        (vec![spent(gone.clone())], Need::Nothing),
        (
            vec![spent(gone), lost.clone()],
            give_up(&lost, Reason::OtherClaims),
        ),
    ];
    for (claims, expected) in rows {
        check(Register::Free(free()), &claims, None, &expected);
    }
}

#[test]
fn what_a_node_was_told_is_given_up_once_another_one_holds_the_volume() {
    let (a, b) = (pair("a", 1), pair("b", 2));
    let late = wants("b", Some(&b));
    let given_up = Need::Lost(late.clone(), Reason::OtherClaims);
    let holds = wants("a", Some(&a));
    let rows = [
        (vec![holds.clone(), late.clone()], given_up),
        // What stands there was told to nobody.
        (
            vec![wants("a", None), late.clone()],
            revoke(&a, Reason::Usurped),
        ),
        (
            vec![holds.clone(), spent(late.clone())],
            Need::Believe(a.clone()),
        ),
        (
            vec![holds.clone(), leaves("b", Some(&b))],
            Need::Believe(a.clone()),
        ),
        (vec![holds, wants("b", None)], Need::Believe(a.clone())),
        // Whoever stands there has no right to it.
        (vec![late], revoke(&a, Reason::InTheWay)),
    ];
    for (claims, expected) in rows {
        check(granted(&a), &claims, None, &expected);
    }
}

#[test]
fn where_one_name_is_a_grant_nothing_lost_is_brought_back() {
    let a = pair("a", 1);
    for mode in [FencingMode::HostNqn, FencingMode::SubsystemNqn] {
        let claim = wants("a", Some(&a));
        let sight = Sight {
            mode,
            register: &Register::Free(free()),
            claims: std::slice::from_ref(&claim),
            answered: None,
        };
        assert_eq!(
            sight.need(presence),
            Need::Lost(claim.clone(), Reason::OneName)
        );
    }
}
