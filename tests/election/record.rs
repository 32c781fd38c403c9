//! What candidates said they are, in order, each line with the boot clock's time.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use rds_csi::clock::SystemClock;
use rds_csi::domain::election::Standing;
use rds_csi::domain::leadership::BootTime;
use rds_csi::ports::Clock;
use tokio::sync::watch;
use tokio::time::timeout;

/// Longer than any scenario takes on a loaded machine: it ends tests that would hang.
const PATIENCE: Duration = Duration::from_mins(1);

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) at: BootTime,
    pub(crate) who: &'static str,
    pub(crate) what: Standing,
}

/// The record of one test. Clones write on the same one.
#[derive(Debug, Clone)]
pub(crate) struct Record(Arc<watch::Sender<Vec<Line>>>);

impl Record {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }

    pub(crate) fn note(&self, who: &'static str, what: Standing) {
        let at = SystemClock.boot();
        self.0
            .send_modify(|lines| lines.push(Line { at, who, what }));
    }

    /// The first line that is so, now or later.
    pub(crate) async fn first(&self, so: impl Fn(&Line) -> bool) -> Line {
        let mut lines = self.0.subscribe();
        let found = timeout(PATIENCE, lines.wait_for(|lines| lines.iter().any(&so))).await;
        match found {
            Ok(Ok(lines)) => lines.iter().find(|line| so(line)).unwrap().clone(),
            _ => panic!("it never came to that:\n{}", self.text()),
        }
    }

    /// The first time that this candidate held the Lease.
    pub(crate) async fn elected(&self, who: &str) -> Line {
        self.first(|line| line.who == who && line.holds()).await
    }

    /// The first time that this candidate led.
    pub(crate) async fn leads(&self, who: &str) -> Line {
        self.first(|line| line.who == who && matches!(line.what, Standing::Leading(_)))
            .await
    }

    /// When this candidate was done.
    pub(crate) async fn ended(&self, who: &str) -> Line {
        self.first(|line| line.who == who && matches!(line.what, Standing::Ended(_)))
            .await
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        self.0.borrow().clone()
    }

    /// Every candidate that ever held the Lease, in order.
    pub(crate) fn holders(&self) -> Vec<&'static str> {
        let mut holders: Vec<&str> = Vec::new();
        for line in self.lines().iter().filter(|line| line.holds()) {
            if holders.last() != Some(&line.who) {
                holders.push(line.who);
            }
        }
        holders
    }

    fn text(&self) -> String {
        self.lines().iter().fold(String::new(), |mut text, line| {
            writeln!(text, "{:?} {} {:?}", line.at, line.who, line.what).unwrap();
            text
        })
    }
}

impl Line {
    pub(crate) fn holds(&self) -> bool {
        matches!(self.what, Standing::Elected(_) | Standing::Leading(_))
    }

    /// The epoch held or led at.
    pub(crate) fn epoch(&self) -> u64 {
        match &self.what {
            Standing::Elected(leadership) | Standing::Leading(leadership) => {
                leadership.epoch().digits()
            }
            other => panic!("no epoch in {other:?}"),
        }
    }
}
