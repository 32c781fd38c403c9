//! One replica's life: it follows, takes over, serves while it leads, and says when it cannot reach
//! the RDS.
//!
//! The order of a take-over: the Lease is ours, every grant is read, the epoch goes on record above
//! every other, the claims are read and joined, what was lost is brought back, calls are served. An
//! RDS that restarted, or may have, is taken over again by the same steps.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{Instrument, Span, info, info_span, warn};

use crate::domain::election::{HolderId, Standing};
use crate::domain::error::{Error, Kind};
use crate::domain::event::What;
use crate::domain::grant::FencingMode;
use crate::domain::leadership::{BootTime, Leadership};
use crate::service::election::Reports;
use crate::service::join;
use crate::service::loss::Losses;
use crate::service::reading::Reading;
use crate::service::rebuild::{Complaint, RETRY};
use crate::service::reconcile::{self, Pace};
use crate::service::term::NoTerm;
use crate::service::{State, traced};

/// Between two looks at whether the RDS can be reached. Three of them fit into [`OUT_OF_REACH`], so
/// that one lost line is not taken for a lost RDS.
const LOOK: Duration = Duration::from_secs(3);
/// A leader that has not reached its RDS for so long asks another replica to try. A switch that
/// restarts its port takes less.
const OUT_OF_REACH: Duration = Duration::from_secs(10);
/// Between two looks of whoever might lead again, or in another's place.
const SEARCH: Duration = Duration::from_secs(1);
/// An RDS that is well answers a line in half a second; four times that is for a busy one.
const PROMPT: Duration = Duration::from_secs(2);
/// A follower whose RDS does not answer promptly either knows that more than the leader has lost it.
/// When it comes back, the leader goes first: its connections try again after 10 s at the latest, and
/// 2 s are for connecting and reading.
const COURTESY: Duration = Duration::from_secs(12);

/// What a replica keeps over its changes of standing.
struct Replica<'a> {
    state: &'a Arc<State>,
    reports: Reports,
    pace: Pace,
    losses: Losses,
    /// What was read after the election, until the claims are joined to it.
    reading: Option<Reading>,
    /// When the Lease became ours.
    elected: Option<BootTime>,
    complaint: Complaint,
}

/// Follows the election for ever.
pub(super) async fn run(
    state: &Arc<State>,
    mut standing: watch::Receiver<Standing>,
    reports: Reports,
    pace: Pace,
) {
    let mut replica = Replica {
        state,
        reports,
        pace,
        losses: Losses::new(),
        reading: None,
        elected: None,
        complaint: Complaint::default(),
    };
    loop {
        let now = standing.borrow_and_update().clone();
        replica.state.terms.end(why_not(&now));
        tokio::select! {
            biased;
            changed = standing.changed() => if changed.is_err() {
                // The election is over and has said how.
                std::future::pending::<()>().await;
            },
            () = replica.act(&now) => {}
        }
    }
}

/// What callers are told while this is what we are.
fn why_not(standing: &Standing) -> NoTerm {
    match standing {
        Standing::Following { leader, .. } => {
            NoTerm::Following(leader.as_ref().map(HolderId::to_string))
        }
        Standing::Elected(_) | Standing::Leading(_) => NoTerm::Unread(None),
        Standing::Offering => NoTerm::Offering,
        Standing::Ended(_) => NoTerm::Stopping,
    }
}

// === impl Replica ===

impl Replica<'_> {
    /// Does what this standing asks for, for as long as it lasts. Dropped at any await when it ends.
    async fn act(&mut self, standing: &Standing) {
        match standing {
            Standing::Following { offered: true, .. } => {
                let courtesy = self.courtesy().await;
                self.look_for_the_rds(courtesy).await;
            }
            Standing::Offering => self.look_for_the_rds(Duration::ZERO).await,
            Standing::Following { offered: false, .. } | Standing::Ended(_) => {
                self.reading = None;
                std::future::pending::<()>().await;
            }
            Standing::Elected(leadership) => self.read(leadership).await,
            Standing::Leading(leadership) => self.serve(leadership).await,
        }
    }

    /// For how long a follower must have reached the RDS before it takes an offer: not at all, if the
    /// RDS is well and only the leader cannot reach it.
    async fn courtesy(&self) -> Duration {
        let asked = self.state.backend.space(&self.state.settings.base);
        match timeout(PROMPT, asked).await {
            Ok(Ok(_)) => Duration::ZERO,
            Ok(Err(_)) | Err(_) => COURTESY,
        }
    }

    /// Tells the election whenever the whole RDS could be read, once that has gone well for so long: a
    /// follower may then take an offer, and who made it takes it back.
    async fn look_for_the_rds(&mut self, well_for: Duration) {
        let mut well_since = None;
        loop {
            let sent = self.state.clock.boot();
            match Reading::highest(self.state).await {
                Ok(highest) => {
                    if well_since.get_or_insert(sent).until(sent) >= well_for {
                        self.reports.rds_read(highest, sent).await;
                    }
                }
                Err(error) => {
                    well_since = None;
                    self.complaint.about(&error);
                }
            }
            sleep(SEARCH).await;
        }
    }

    /// The first half of a take-over. Ends only with the standing.
    async fn read(&mut self, leadership: &Arc<Leadership>) {
        let began = self.state.clock.boot();
        self.elected = Some(began);
        self.reading = None;
        let taking_over = self.reports.trace().taking_over();
        let reading = self.reading(leadership, began, &taking_over).await;
        let (highest, sent) = (reading.highest, reading.sent);
        self.reading = Some(reading);
        self.reports.rds_read(highest, sent).await;
        std::future::pending::<()>().await;
    }

    /// The second half, and again after every restart of the RDS.
    async fn serve(&mut self, leadership: &Arc<Leadership>) {
        let began = self.state.clock.boot();
        // The first time this is the rest of the take-over, and a trace of its own ever after.
        let mut pass = self.reports.trace().taking_over();
        loop {
            if pass.is_none() {
                pass = info_span!(
                    parent: None,
                    "rebuild",
                    lease.epoch = traced(leadership.epoch()),
                );
                self.reports.trace().link(&pass);
            }
            let reading = match self.reading.take() {
                Some(reading) if reading.incarnation == self.state.backend.incarnation() => reading,
                Some(_) | None => {
                    let reading = self.reading(leadership, began, &pass).await;
                    // An older state may carry a later epoch than ours: then another leads.
                    self.reports.rds_read(reading.highest, reading.sent).await;
                    reading
                }
            };
            let incarnation = reading.incarnation;
            let span = info_span!(parent: &pass, "rebuild.join");
            let joined = join::serve(self.state, leadership, reading, &mut self.losses);
            match joined.instrument(span).await {
                Ok(mode) => {
                    info_span!(parent: &pass, "ready", fencing = mode.as_str())
                        .in_scope(|| self.began_to_serve(leadership, mode));
                    self.reports.trace().serves();
                    pass = Span::none();
                }
                Err(error) => {
                    self.state
                        .terms
                        .end(NoTerm::Unread(Some(error.to_string())));
                    self.complaint.about(&error);
                    sleep(RETRY).await;
                    continue;
                }
            }
            tokio::select! {
                () = self.state.backend.restarted(incarnation) => {
                    self.state.terms.end(NoTerm::Unread(None));
                    warn!("the RDS restarted, or may have; nothing is served until it is read again");
                }
                () = self.keep_watch() => {}
                () = reconcile::run(self.state, self.pace) => {}
            }
        }
    }

    fn began_to_serve(&mut self, leadership: &Leadership, mode: FencingMode) {
        self.complaint.clear();
        let epoch = leadership.epoch();
        self.reports.serving(self.state.clock.boot());
        if mode != FencingMode::Pair {
            self.state.tell(epoch, What::FencingDegraded { mode });
        }
        // Only the first time: a restart of the RDS elects nobody.
        if let Some(elected) = self.elected.take() {
            let took = elected.until(self.state.clock.boot());
            info!(?epoch, ?took, fencing = mode.as_str(), "serving");
            self.state.tell(epoch, What::LeaderElected { took });
        }
    }

    /// Reads until it succeeds. A leader that cannot, says so.
    async fn reading(&mut self, leadership: &Leadership, began: BootTime, pass: &Span) -> Reading {
        let mut reached = began;
        loop {
            let span = info_span!(parent: pass, "rebuild.rds");
            let reading = Reading::take(self.state, leadership, &mut self.losses);
            match reading.instrument(span).await {
                Ok(reading) => return reading,
                Err(error) => {
                    self.state
                        .terms
                        .end(NoTerm::Unread(Some(error.to_string())));
                    self.complaint.about(&error);
                    reached = self.reached(reached, Some(&error)).await;
                }
            }
            sleep(RETRY).await;
        }
    }

    /// Looks at the RDS now and then while calls are served. Never ends.
    async fn keep_watch(&self) {
        let mut reached = self.state.clock.boot();
        loop {
            sleep(LOOK).await;
            let seen = self.state.look().await;
            reached = self.reached(reached, seen.err().as_ref()).await;
        }
    }

    /// Takes in one try to reach the RDS; returns when it was last reached.
    async fn reached(&self, before: BootTime, error: Option<&Error>) -> BootTime {
        let now = self.state.clock.boot();
        // A device that refuses is a device that answers.
        let out_of_reach =
            error.is_some_and(|error| matches!(error.kind(), Kind::Unavailable | Kind::Timeout));
        self.state.reach.record(!out_of_reach, now);
        if !out_of_reach {
            return now;
        }
        if before.until(now) >= OUT_OF_REACH {
            self.reports.rds_lost().await;
        }
        before
    }
}
