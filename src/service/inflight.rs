//! One operation per volume at a time, in the order they came.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as FifoMutex, OwnedMutexGuard};

use crate::domain::error::{Error, Kind};
use crate::domain::id::VolumeId;

/// Callers that may wait for one volume. Sidecars send at most one call per volume and verb (about
/// four); 16 leaves room for retries of callers that gave up.
const MAX_WAITING: usize = 16;

/// The volumes that somebody works on or waits for.
#[derive(Debug, Default, Clone)]
pub(super) struct Inflight(Arc<Mutex<HashMap<VolumeId, Line>>>);

#[derive(Debug)]
struct Line {
    /// tokio's mutex hands over in order of arrival.
    turn: Arc<FifoMutex<()>>,
    present: usize,
    operation: &'static str,
}

/// The right to work on a volume. The next in line goes on when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    // Dropped before the place, so that the line is never forgotten while it is held.
    _held: OwnedMutexGuard<()>,
    _place: Place,
}

#[derive(Debug)]
struct Place {
    inflight: Inflight,
    id: VolumeId,
}

impl Inflight {
    /// Waits for this volume's turn.
    ///
    /// # Errors
    /// `Busy`, naming the operation under way, if too many wait already.
    pub(super) async fn enter(
        &self,
        id: &VolumeId,
        operation: &'static str,
    ) -> Result<Turn, Error> {
        let (turn, place) = self.queue(id, operation)?;
        let held = turn.lock_owned().await;
        self.with(|lines| {
            if let Some(line) = lines.get_mut(id) {
                line.operation = operation;
            }
        });
        Ok(Turn {
            _held: held,
            _place: place,
        })
    }

    fn queue(
        &self,
        id: &VolumeId,
        operation: &'static str,
    ) -> Result<(Arc<FifoMutex<()>>, Place), Error> {
        self.with(|lines| {
            let line = lines.entry(id.clone()).or_insert_with(|| Line {
                turn: Arc::default(),
                present: 0,
                operation,
            });
            if line.present > MAX_WAITING {
                return Err(Error::new(
                    Kind::Busy,
                    format!(
                        "{operation} of {id}: {} other calls wait for this volume, {} is under way; retry later",
                        line.present - 1,
                        line.operation
                    ),
                ));
            }
            line.present += 1;
            let place = Place { inflight: self.clone(), id: id.clone() };
            Ok((Arc::clone(&line.turn), place))
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<VolumeId, Line>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.inflight.with(|lines| {
            if let Some(line) = lines.get_mut(&self.id) {
                line.present -= 1;
                if line.present == 0 {
                    lines.remove(&self.id);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn id() -> VolumeId {
        "csi-0123456789abcdef0123456789ab".parse().unwrap()
    }

    #[tokio::test]
    async fn turns_go_in_order_of_arrival_and_skip_callers_that_left() {
        let (inflight, id) = (Inflight::default(), id());
        let first = inflight.enter(&id, "one").await.unwrap();
        let mut second = Box::pin(inflight.enter(&id, "two"));
        let mut third = Box::pin(inflight.enter(&id, "three"));
        let mut fourth = Box::pin(inflight.enter(&id, "four"));
        for waiting in [&mut second, &mut third, &mut fourth] {
            assert!(waiting.now_or_never().is_none());
        }
        drop(third);
        drop(first);
        assert!(
            (&mut fourth).now_or_never().is_none(),
            "the second came before the fourth"
        );
        let second = second.now_or_never().unwrap().unwrap();
        drop(second);
        assert!(fourth.now_or_never().unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_long_line_is_refused_by_name_and_nothing_is_kept_of_it() {
        let (inflight, id) = (Inflight::default(), id());
        let first = inflight.enter(&id, "publish").await.unwrap();
        let mut waiting: Vec<_> = (0..MAX_WAITING)
            .map(|_| Box::pin(inflight.enter(&id, "unpublish")))
            .collect();
        for one in &mut waiting {
            assert!(one.now_or_never().is_none());
        }
        let refused = inflight.enter(&id, "delete").await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Busy);
        assert!(
            refused.context().contains("publish is under way"),
            "{refused}"
        );
        drop(waiting);
        drop(first);
        assert!(inflight.0.lock().unwrap().is_empty());
    }
}
