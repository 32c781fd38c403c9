//! Lanes between the volumes of a shard: whose turn it is, and nobody waits for ever.

use std::collections::BTreeMap;

use crate::domain::id::VolumeId;

/// Starts that publish lets pass before it takes a turn out of order. A drained node brings hundreds
/// of detaches at once; one attach after every four of them keeps a fifth of the starts for attaches
/// in the worst storm, and delays the detaches by a quarter.
const PUBLISH_PATIENCE: u32 = 4;

/// Starts that repair lets pass before it takes a turn out of order. Whoever waits for an attach or a
/// detach is a pod; a repair nobody waits for gets one start in seventeen of a shard that is never
/// done, which costs the others six in a hundred.
const REPAIR_PATIENCE: u32 = 16;

/// How urgent a job is. It orders volumes of which each could start; jobs of one volume keep the
/// order in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::service) enum Lane {
    /// Detaches: the next node can only attach after them.
    Unpublish,
    /// Attaches, and all else that a caller waits for: create, delete, expand.
    Publish,
    /// What nobody waits for.
    Repair,
}

/// The place of a job in the order in which jobs came to a shard.
pub(super) type Ticket = u64;

/// The volumes that could start, by the lane and the ticket of the job that is first in their line.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    unpublish: Track,
    publish: Track,
    repair: Track,
}

#[derive(Debug, Default)]
struct Track {
    ready: BTreeMap<Ticket, VolumeId>,
    /// Starts of other lanes since this one last had a turn, while somebody waited in it.
    passed_over: u32,
}

// === impl Lane ===

impl Lane {
    /// From the most urgent to the least.
    pub(super) const ALL: [Self; 3] = [Self::Unpublish, Self::Publish, Self::Repair];

    /// After so many starts of other lanes it has a turn out of order. The most urgent lane needs
    /// none: the others pass it only on such a turn, which they have to wait for anew.
    fn patience(self) -> u32 {
        match self {
            Self::Unpublish => u32::MAX,
            Self::Publish => PUBLISH_PATIENCE,
            Self::Repair => REPAIR_PATIENCE,
        }
    }
}

// === impl Lanes ===

impl Lanes {
    /// This volume could start.
    pub(super) fn add(&mut self, lane: Lane, ticket: Ticket, id: VolumeId) {
        self.track(lane).ready.insert(ticket, id);
    }

    /// It cannot, or not with this job.
    pub(super) fn remove(&mut self, lane: Lane, ticket: Ticket) {
        self.track(lane).ready.remove(&ticket);
    }

    /// Takes out the volume whose turn it is: of the most urgent lane, unless another has been
    /// patient for long enough; of that lane, the one whose job came first.
    pub(super) fn next(&mut self) -> Option<VolumeId> {
        let mut waiting = Lane::ALL;
        waiting.reverse();
        let out_of_order = waiting
            .into_iter()
            .find(|lane| self.track(*lane).is_impatient(lane.patience()));
        let chosen = out_of_order.or_else(|| {
            Lane::ALL
                .into_iter()
                .find(|lane| !self.track(*lane).ready.is_empty())
        })?;
        for lane in Lane::ALL {
            let track = self.track(lane);
            track.passed_over = if lane == chosen || track.ready.is_empty() {
                0
            } else {
                track.passed_over.saturating_add(1)
            };
        }
        self.track(chosen).ready.pop_first().map(|(_, id)| id)
    }

    fn track(&mut self, lane: Lane) -> &mut Track {
        match lane {
            Lane::Unpublish => &mut self.unpublish,
            Lane::Publish => &mut self.publish,
            Lane::Repair => &mut self.repair,
        }
    }
}

// === impl Track ===

impl Track {
    fn is_impatient(&self, patience: u32) -> bool {
        !self.ready.is_empty() && self.passed_over >= patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: Ticket) -> VolumeId {
        format!("csi-{number:028x}").parse().unwrap()
    }

    /// The lanes of the first starts, where each lane named in `busy` never runs out of volumes.
    fn starts(busy: &[Lane], count: usize) -> String {
        let mut lanes = Lanes::default();
        let mut ticket = 0;
        let mut add = |lanes: &mut Lanes, lane: Lane| {
            ticket += 1;
            lanes.add(lane, ticket, id(ticket));
        };
        for lane in busy {
            add(&mut lanes, *lane);
        }
        (0..count)
            .map(|_| {
                lanes.next().unwrap();
                let started = |lane: &&Lane| lanes.track(**lane).ready.is_empty();
                let lane = busy.iter().find(started).unwrap();
                add(&mut lanes, *lane);
                match lane {
                    Lane::Unpublish => 'u',
                    Lane::Publish => 'p',
                    Lane::Repair => 'r',
                }
            })
            .collect()
    }

    #[test]
    fn the_most_urgent_lane_goes_first_and_no_lane_starves() {
        use Lane::{Publish, Repair, Unpublish};
        let rows: [(&[Lane], &str); 5] = [
            (&[Unpublish, Publish], "uuuupuuuupuuuup"),
            (&[Publish, Repair], "pppppppppppppppprpppppppppppppppprp"),
            (&[Unpublish, Repair], "uuuuuuuuuuuuuuuuruuuuuuuuuuuuuuuur"),
            (
                &[Unpublish, Publish, Repair],
                "uuuupuuuupuuuupuruupuuuupuuuupuuurp",
            ),
            (&[Repair], "rrr"),
        ];
        for (busy, expected) in rows {
            assert_eq!(starts(busy, expected.len()), expected, "{busy:?}");
        }
    }

    #[test]
    fn within_a_lane_the_oldest_job_starts_first_and_removed_ones_never() {
        let mut lanes = Lanes::default();
        for ticket in [5, 2, 9, 4] {
            lanes.add(Lane::Publish, ticket, id(ticket));
        }
        lanes.remove(Lane::Publish, 4);
        let order: Vec<_> = std::iter::from_fn(|| lanes.next()).collect();
        assert_eq!(order, [id(2), id(5), id(9)]);
    }
}
