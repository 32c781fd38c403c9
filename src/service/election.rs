//! Drives the election: asks it what to do, does it over the Lease, publishes what this replica is.

pub mod heartbeat;
mod said;
#[cfg(test)]
mod testing;
pub mod thread;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::domain::election::{
    Change, Election, End, Event, Failure, HolderId, Intent, LeaseView, Loss, Predecessor,
    Standing, Tenure, Timing, Vacancy, Version,
};
use crate::domain::error::{Error, Kind};
use crate::domain::leadership::{BootTime, Epoch};
use crate::metrics::election::Election as Counters;
use crate::ports::{Clock, LeaseStore, Legacy};
use crate::service::election::heartbeat::Heartbeat;
use crate::service::election::trace::TermTrace;

/// Reports that wait while a call on the Lease is under way, which takes seconds at most; the RDS is
/// read every few seconds at most.
const REPORTS: usize = 8;

/// For one write to the pod's record, which is a write to the page cache. It must not hold up the end
/// of a lost leader, which has a second.
const RECORD: Duration = Duration::from_millis(200);

/// One replica's part in the election.
#[derive(Debug)]
pub struct Candidate {
    election: Election,
    store: Arc<dyn LeaseStore>,
    clock: Arc<dyn Clock>,
    legacy: Option<Arc<dyn Legacy>>,
    /// What the legacy says, as far as we know.
    recorded: Option<Tenure>,
    reports: mpsc::Receiver<Report>,
    standing: watch::Sender<Standing>,
    change: watch::Sender<Option<Change>>,
    counters: Counters,
    trace: TermTrace,
    pulse: Heartbeat,
}

/// How the rest of the process tells the election about the RDS. Clones tell the same election.
#[derive(Debug, Clone)]
pub struct Reports {
    told: mpsc::Sender<Report>,
    trace: TermTrace,
    counters: Counters,
}

#[derive(Debug)]
enum Report {
    Read { highest: Epoch, sent: BootTime },
    Lost,
}

/// Leadership is over, and this process must end: what it began may be carried on by another.
#[derive(Debug, thiserror::Error)]
#[error("leadership is over; this process ends, and its successor stands for election again")]
pub struct Lost(#[source] pub Loss);

/// What a wait ended with.
enum Woken {
    Told(Event),
    WatchEnded,
}

// === impl Candidate ===

impl Candidate {
    /// A candidate called `me`, where it is told of the RDS, and where it tells what it is.
    pub fn new(
        me: HolderId,
        timing: Timing,
        store: Arc<dyn LeaseStore>,
        clock: Arc<dyn Clock>,
    ) -> (Self, Reports, watch::Receiver<Standing>) {
        let trace = TermTrace::of(&me);
        let election = Election::new(me, timing);
        let (report, reports) = mpsc::channel(REPORTS);
        let (standing, published) = watch::channel(election.standing());
        let counters = Counters::default();
        let pulse = Heartbeat::new(Arc::clone(&clock));
        let told = Reports {
            told: report,
            trace: trace.clone(),
            counters: counters.clone(),
        };
        let candidate = Self {
            election,
            store,
            clock,
            legacy: None,
            recorded: None,
            reports,
            standing,
            change: watch::Sender::new(None),
            trace,
            counters,
            pulse,
        };
        (candidate, told, published)
    }

    /// The same candidate in a pod whose lock this process holds: it leaves its leadership to its
    /// successor, and may take the Lease of this predecessor at once.
    #[must_use]
    pub fn with_legacy(
        mut self,
        legacy: Arc<dyn Legacy>,
        predecessor: Option<Predecessor>,
    ) -> Self {
        self.election = self.election.with_predecessor(predecessor);
        self.legacy = Some(legacy);
        self
    }

    /// Where it tells what the Lease says, for people.
    pub fn lease(&self) -> watch::Receiver<Option<Change>> {
        self.change.subscribe()
    }

    /// Beats with every turn of it.
    pub fn pulse(&self) -> &Heartbeat {
        &self.pulse
    }

    /// What it counts.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Stands for election until `stop`, then gives the Lease up. Cancel `stop` when no operation is
    /// under way any more: another replica may lead a moment later.
    ///
    /// # Errors
    /// [`Lost`] once leadership is lost.
    ///
    /// # Cancellation
    /// Dropping it leaves the Lease to run out; leaderships it published end at their deadline.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Lost> {
        let mut watch = Some(self.store.watch());
        let mut stopping = false;
        loop {
            self.pulse.beat();
            if stop.is_cancelled() && !stopping {
                stopping = true;
                let (now, chance) = (self.clock.boot(), self.clock.random());
                self.election.on(Event::Stop, now, chance);
            }
            let intent = self.election.intent(self.clock.boot());
            self.publish();
            // Before the intent is carried out: once others are told that they may lead, nothing on
            // record may say that we do.
            self.record().await;
            let event = match intent {
                Intent::End(end) => {
                    self.trace.end(&end);
                    return match end {
                        End::Stopped => Ok(()),
                        End::Lost(loss) => Err(Lost(loss)),
                    };
                }
                Intent::Wait { until } => match self.wait(until, &mut watch, &stop, stopping).await
                {
                    Woken::Told(event) => event,
                    Woken::WatchEnded => {
                        warn!("the watch of the Lease ended; a release is seen at the next look");
                        watch = None;
                        Event::Tick
                    }
                },
                call => self.carry_out(call).await,
            };
            let (now, chance) = (self.clock.boot(), self.clock.random());
            self.election.on(event, now, chance);
            self.publish();
        }
    }

    /// One call on the Lease. It is given up at the moment at which leadership ends anyway.
    async fn carry_out(&self, intent: Intent) -> Event {
        let sent = self.clock.boot();
        let call = async {
            let event = match &intent {
                Intent::Get => Event::Seen(self.store.get().await),
                Intent::Create => Event::Seen(self.store.create().await.map(Some)),
                Intent::TryAcquire { expecting, epoch } => {
                    let write = self.store.acquire(expecting, *epoch);
                    let result = self.trace.take(*epoch, "election", write).await;
                    Event::Written { sent, result }
                }
                Intent::Succeed { expecting, epoch } => {
                    let write = self.succeed(expecting, *epoch, sent);
                    let result = self.trace.take(*epoch, "short cut", write).await;
                    Event::Written { sent, result }
                }
                Intent::Renew { epoch, offer } => Event::Written {
                    sent,
                    result: self.store.renew(*epoch, *offer).await,
                },
                Intent::Release => Event::Released(self.store.release().await),
                Intent::Wait { .. } | Intent::End(_) => Event::Tick,
            };
            said::failure(&intent, &event);
            event
        };
        if let Some((vacancy, since)) = self.election.vacancy() {
            let is_ours = matches!(intent, Intent::Succeed { .. });
            let vacancy = if is_ours { Vacancy::SamePod } else { vacancy };
            self.counters.reaches(vacancy, since);
        }
        let end = async {
            match self.election.deadline() {
                Some(deadline) => self.sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            biased;
            event = call => event,
            () = end => Event::Tick,
        };
        let took = sent.until(self.clock.boot());
        said::call(&intent, &event, took, &self.counters);
        event
    }

    /// The short cut, once it is on record that it was used: whatever becomes of this process, the
    /// next one in this pod knows.
    async fn succeed(
        &self,
        expecting: &Version,
        epoch: Epoch,
        now: BootTime,
    ) -> Result<LeaseView, Failure> {
        if let Some(legacy) = &self.legacy {
            let recorded = in_time(legacy.short_cut(now)).await;
            recorded.map_err(Failure::Withheld)?;
        }
        info!(?epoch, "taking the Lease of this pod's crashed process");
        self.store.acquire(expecting, epoch).await
    }

    /// Keeps the pod's record up to date. Nothing waits for a second try: a tenure that is not on
    /// record is a short cut that the next process does not take, and one that stays on record
    /// although it was given up is good for a Lease that names this process, and none does any more.
    async fn record(&mut self) {
        let Some(legacy) = &self.legacy else {
            return;
        };
        let tenure = self.election.tenure();
        if tenure == self.recorded {
            return;
        }
        match in_time(legacy.tenure(tenure.clone())).await {
            Ok(()) => self.recorded = tenure,
            Err(error) => warn!(?error, "the pod's record was not written"),
        }
    }

    async fn wait(
        &mut self,
        until: BootTime,
        watch: &mut Option<BoxStream<'static, Option<LeaseView>>>,
        stop: &CancellationToken,
        stopping: bool,
    ) -> Woken {
        let time = self.clock.boot().until(until);
        let seen = async {
            match watch {
                Some(watch) => watch.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled(), if !stopping => Woken::Told(Event::Tick),
            Some(report) = self.reports.recv() => Woken::Told(report.into()),
            view = seen => view.map_or(Woken::WatchEnded, |view| Woken::Told(Event::Watched(view))),
            () = tokio::time::sleep(time) => Woken::Told(Event::Tick),
        }
    }

    async fn sleep_until(&self, end: BootTime) {
        tokio::time::sleep(self.clock.boot().until(end)).await;
    }

    fn publish(&self) {
        let change = self.election.last_change();
        self.change.send_if_modified(|last| {
            let changed = *last != change;
            if changed {
                let holder = |change: &Option<Change>| change.as_ref()?.holder.clone();
                if last.is_some() && holder(&change).is_some() && holder(&change) != holder(last) {
                    self.counters.changed_hands();
                }
                *last = change;
            }
            changed
        });
        let now = self.election.standing();
        self.standing.send_if_modified(|standing| {
            let changed = !standing.is(&now);
            if changed {
                said::standing(&now, &self.counters);
                *standing = now;
            }
            changed
        });
    }
}

async fn in_time(write: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let written = tokio::time::timeout(RECORD, write).await;
    written.unwrap_or_else(|_| {
        let what = format!("writing the pod's record took longer than {RECORD:?}");
        Err(Error::new(Kind::Unavailable, what))
    })
}

// === impl Reports ===

impl Reports {
    /// The whole RDS was read, beginning at `sent`; `highest` is the highest epoch in any name.
    pub async fn rds_read(&self, highest: Epoch, sent: BootTime) {
        self.tell(Report::Read { highest, sent }).await;
    }

    /// The RDS has been out of reach for so long that another replica should try.
    pub async fn rds_lost(&self) {
        self.tell(Report::Lost).await;
    }

    /// Calls are served from now on.
    pub fn serving(&self, now: BootTime) {
        self.counters.serves(now);
    }

    /// The term as a trace.
    pub(in crate::service) fn trace(&self) -> &TermTrace {
        &self.trace
    }

    /// An election that is over needs no reports.
    async fn tell(&self, report: Report) {
        if self.told.send(report).await.is_err() {
            debug!("nobody stands for election any more");
        }
    }
}

impl From<Report> for Event {
    fn from(report: Report) -> Self {
        match report {
            Report::Read { highest, sent } => Self::RdsRead { highest, sent },
            Report::Lost => Self::RdsLost,
        }
    }
}
