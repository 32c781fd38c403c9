//! Lines that the device holds at one of their points, while their caller gives up on them.

use std::sync::Arc;

use rds_csi::sim::gate::{Breakpoints, Held, Point, PointKind};
use rds_csi::sim::observer::What;

use crate::bed::{Bed, until, within};

/// Where in a line: which of its commands, and where in that.
pub(crate) type Place = (usize, PointKind);

/// Every place of a line with so many commands.
pub(crate) fn places(commands: usize) -> impl Iterator<Item = Place> + Clone {
    let kinds = [
        PointKind::BeforeCommand,
        PointKind::BetweenFindAndSet,
        PointKind::AfterCommand,
    ];
    (0..commands).flat_map(move |step| kinds.map(|kind| (step, kind)))
}

/// Whether the point is `place` of a line with all of these texts.
pub(crate) fn is_at(
    place: Place,
    texts: &[&str],
) -> impl Fn(&Point) -> bool + Send + Sync + 'static {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    move |point| {
        let fits = (point.step, point.kind) == place;
        fits && texts.iter().all(|text| point.text.contains(text.as_str()))
    }
}

/// A line that stands on the device, and its number there.
pub(crate) struct Deposit {
    held: Held,
    line: u64,
}

impl Deposit {
    /// Makes `call`, holds its line at `place`, cuts the connection it came over, and lets the call
    /// come to its own end.
    pub(crate) async fn of<T>(
        bed: &Bed,
        place: Place,
        texts: &[&str],
        call: impl Future<Output = T>,
    ) -> (Self, T) {
        let gate = Arc::new(Breakpoints::default());
        let held = gate.hold(is_at(place, texts));
        bed.world().set_gate(Some(gate));
        let lose = async {
            let line = within(held.arrived()).await.line;
            bed.sim.server().cut_connections();
            line
        };
        let (answer, line) = tokio::join!(call, lose);
        bed.world().set_gate(None);
        (Self { held, line }, answer)
    }

    /// A line that was stopped by other means.
    pub(crate) fn standing(held: Held, line: u64) -> Self {
        Self { held, line }
    }

    /// Lets the line go on to its end.
    pub(crate) async fn release(self, bed: &Bed) {
        self.held.release();
        ended(bed, self.line).await;
    }
}

/// Waits until the device is done with a line.
pub(crate) async fn ended(bed: &Bed, line: u64) {
    until("the line has ended", || {
        let is_it = |what: &What| matches!(what, What::Command(command) if command.line == line);
        bed.world().log(0).iter().any(|entry| is_it(&entry.what))
    })
    .await;
}
