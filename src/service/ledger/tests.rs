//! What is remembered, and for how long.

use std::time::Duration;

use super::*;
use crate::domain::grant::{FencingMode, Scheme};
use crate::domain::id::ClusterId;
use crate::domain::leadership::Epoch;

fn id() -> VolumeId {
    "csi-0123456789abcdef0123456789ab".parse().unwrap()
}

fn scheme() -> Scheme {
    let cluster = "c".parse::<ClusterId>().unwrap().tag();
    Scheme {
        mode: FencingMode::Pair,
        cluster,
    }
}

fn tail(random: u64) -> Tail {
    Tail {
        epoch: Epoch::ZERO,
        unix_seconds: 0,
        random,
    }
}

fn free(random: u64) -> Register {
    Register::Free(scheme().first_names(&id(), tail(random)))
}

fn granted(node: &str, random: u64) -> Register {
    let free = scheme().first_names(&id(), tail(0));
    Register::Granted(scheme().fresh_pair(&id(), &node.parse().unwrap(), &free, tail(random)))
}

fn file(nonce: u64) -> BackingFile {
    let path = format!("/pool/{}.{}.00000000.{nonce:016x}.img", id(), "00000000");
    BackingFile::read(&path).unwrap()
}

fn at(seconds: u64) -> BootTime {
    BootTime::new(Duration::from_secs(seconds))
}

#[test]
fn every_way_of_losing_a_holder_starts_the_settling_time() {
    let left = |node: &str| Some((Some(NodeLabel::of(&node.parse().unwrap())), at(9)));
    let rows = [
        (vec![granted("a", 1), free(2)], left("a")),
        (vec![granted("a", 1), granted("b", 2)], left("a")),
        (vec![free(1), free(1)], None),
        (vec![free(1), granted("a", 2)], None),
        (vec![granted("a", 1), granted("a", 1)], None),
        // Somebody else granted and revoked it between two reads.
        (vec![free(1), free(2)], Some((None, at(9)))),
    ];
    for (seen, expected) in rows {
        for in_doubt in [false, true] {
            let ledger = Ledger::default();
            ledger.born(&id(), &file(1), seen[0].clone());
            ledger.observe(&id(), &file(1), &seen[0], at(1));
            if in_doubt {
                ledger.doubt(&id());
            }
            ledger.observe(&id(), &file(1), &seen[1], at(9));
            assert_eq!(
                ledger.memory(&id()).unwrap().left,
                expected,
                "{seen:?} {in_doubt}"
            );
        }
    }
}

#[test]
fn a_volume_seen_for_the_first_time_may_just_have_been_left() {
    let ledger = Ledger::default();
    ledger.observe(&id(), &file(1), &free(1), at(3));
    assert_eq!(ledger.memory(&id()).unwrap().left, Some((None, at(3))));
}

#[test]
fn a_volume_made_again_under_its_name_is_another_volume() {
    let ledger = Ledger::default();
    ledger.born(&id(), &file(1), free(1));
    let Register::Granted(pair) = granted("a", 2) else {
        panic!("a grant")
    };
    ledger.tell(
        &id(),
        Told {
            pair,
            from: at(0),
            access: None,
            remade: false,
        },
    );
    ledger.observe(&id(), &file(2), &free(3), at(3));
    assert_eq!(ledger.memory(&id()).unwrap().told, None);
}

#[test]
fn a_told_pair_is_brought_back_once_in_its_life() {
    let ledger = Ledger::default();
    let Register::Granted(pair) = granted("a", 2) else {
        panic!("a grant")
    };
    let told = Told {
        pair: pair.clone(),
        from: at(0),
        access: None,
        remade: false,
    };
    assert!(!ledger.begin_remake(&id(), &pair), "nobody was told it");
    ledger.tell(&id(), told.clone());
    assert!(ledger.begin_remake(&id(), &pair));
    ledger.tell(&id(), told);
    assert!(
        !ledger.begin_remake(&id(), &pair),
        "telling it again changes nothing"
    );
}
