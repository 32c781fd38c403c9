//! What can happen in one step.

use proptest::prelude::*;
use rds_csi::sim::gate::PointKind;
use rds_csi::sim::transport::Fault;

use crate::deposit::Place;

pub(crate) const VOLUMES: usize = 3;
pub(crate) const NODES: usize = 3;

/// A call of a sidecar.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Call {
    Create(usize),
    Publish(usize, usize),
    Unpublish(usize, usize),
    Delete(usize),
    Expand(usize),
}

/// How a line is lost.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Loss {
    Before,
    After,
    Mid,
    StalledBefore,
    StalledAfter,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Call(Call),
    /// The call's first line is held on the device; its connection is cut.
    HeldCall(Call, Place),
    /// The oldest held line goes on.
    Release,
    /// A node uses what it was told last for the volume, as a correct node plugin does.
    Stage(usize, usize),
    /// A node uses something it was once told, whether or not it still holds.
    Sneak(usize, usize, usize),
    Write(usize, usize),
    Unstage(usize, usize),
    Partition(usize, bool),
    /// The node's kernel tries everything it still has.
    Reconnect(usize),
    /// The next lines about volumes are lost.
    Lose(Loss, u32),
    /// The RDS restarts.
    Restart,
    /// The controller crashes, and another one starts.
    Crash,
}

impl Loss {
    pub(crate) fn fault(self) -> Fault {
        match self {
            Self::Before => Fault::DropBefore,
            Self::After => Fault::DropAfter,
            Self::Mid => Fault::DropMid { at: None },
            Self::StalledBefore => Fault::StallBefore,
            Self::StalledAfter => Fault::StallAfter,
        }
    }
}

fn calls() -> impl Strategy<Value = Call> {
    let (volume, node) = (0..VOLUMES, 0..NODES);
    let both = (volume.clone(), node);
    prop_oneof![
        3 => volume.clone().prop_map(Call::Create),
        6 => both.clone().prop_map(|(volume, node)| Call::Publish(volume, node)),
        4 => both.prop_map(|(volume, node)| Call::Unpublish(volume, node)),
        1 => volume.clone().prop_map(Call::Delete),
        1 => volume.prop_map(Call::Expand),
    ]
}

fn places() -> impl Strategy<Value = Place> {
    let kinds = prop_oneof![
        Just(PointKind::BeforeCommand),
        Just(PointKind::BetweenFindAndSet),
        Just(PointKind::AfterCommand),
    ];
    (0..3_usize, kinds)
}

fn losses() -> impl Strategy<Value = Loss> {
    prop_oneof![
        3 => Just(Loss::Before),
        3 => Just(Loss::After),
        3 => Just(Loss::Mid),
        1 => Just(Loss::StalledBefore),
        1 => Just(Loss::StalledAfter),
    ]
}

pub(crate) fn steps() -> impl Strategy<Value = Step> {
    let (volume, node) = (0..VOLUMES, 0..NODES);
    let both = (node.clone(), volume.clone());
    prop_oneof![
        24 => calls().prop_map(Step::Call),
        4 => (calls(), places()).prop_map(|(call, place)| Step::HeldCall(call, place)),
        3 => Just(Step::Release),
        8 => both.clone().prop_map(|(node, volume)| Step::Stage(node, volume)),
        4 => (both.clone(), 0..4_usize).prop_map(|((n, v), back)| Step::Sneak(n, v, back)),
        10 => both.clone().prop_map(|(node, volume)| Step::Write(node, volume)),
        4 => both.prop_map(|(node, volume)| Step::Unstage(node, volume)),
        4 => (node.clone(), any::<bool>()).prop_map(|(node, on)| Step::Partition(node, on)),
        4 => node.prop_map(Step::Reconnect),
        5 => (losses(), 1..3_u32).prop_map(|(loss, times)| Step::Lose(loss, times)),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
    ]
}
