//! Runs the tests on one installation: made by the first test, gone after the last, whatever happens in
//! between.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use testbed::image;
use testbed::installed::{DriverImage, Installed, Options};
use testbed::machines::judge;
use testbed::suite::{bounded, conclude};
use testbed::summary::Summary;
use testbed::tools::{in_ci, skipped};
use testbed::trouble::Trouble;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// The longest waits for a Lease to expire and for a node to come back.
const TEST_LIMIT: Duration = Duration::from_mins(8);

/// One test.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) body: for<'a> fn(&'a Ground) -> BoxFuture<'a, Result<(), Trouble>>,
}

/// The list of tests.
macro_rules! tests {
    ($($function:path;)*) => {
        /// All tests.
        const TESTS: &[$crate::suite::Test] = &[$($crate::suite::Test {
            name: stringify!($function),
            body: |ground| Box::pin($function(ground)),
        }),*];
    };
}
pub(crate) use tests;

/// What a test stands on.
pub(crate) struct Ground {
    pub(crate) installed: Arc<Installed>,
    test: &'static str,
    summary: Summary,
}

struct Suite {
    runtime: Runtime,
    installed: OnceCell<Arc<Installed>>,
    summary: Summary,
}

/// Runs the tests that the command line asks for.
pub(crate) fn run(tests: &'static [Test]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // What one does to the cluster, no other could bear.
    arguments.test_threads = Some(1);
    let suite = Arc::new(Suite {
        runtime: Runtime::new().expect("a runtime"),
        installed: OnceCell::new(),
        summary: Summary::default(),
    });
    let trials = tests.iter().map(|test| {
        let suite = Arc::clone(&suite);
        Trial::test(test.name, move || suite.run(test))
    });
    conclude(&arguments, trials.collect(), &suite.summary)
}

// === impl Ground ===

impl Ground {
    /// Adds a row to the table of what was measured and seen.
    pub(crate) fn note(&self, what: impl Into<String>, value: impl std::fmt::Display) {
        self.summary.add(self.test, what, value);
    }

    /// Adds a row: how long ago something began, which is over now.
    pub(crate) fn took(&self, what: impl Into<String>, since: Instant) {
        self.note(what, format_args!("{:.2?}", since.elapsed()));
    }
}

// === impl Suite ===

impl Suite {
    fn run(&self, test: &Test) -> Result<(), Failed> {
        self.runtime.block_on(async {
            match self.installed.get_or_try_init(|| self.install()).await {
                Ok(installed) => {
                    let ground = Ground {
                        installed: Arc::clone(installed),
                        test: test.name,
                        summary: self.summary.clone(),
                    };
                    on(&ground, test).await.map_err(Failed::from)
                }
                Err(trouble) => match trouble.unavailable() {
                    Some(why) if !in_ci() => {
                        skipped(test.name, why);
                        Ok(())
                    }
                    _ => Err(trouble.into()),
                },
            }
        })
    }

    async fn install(&self) -> Result<Arc<Installed>, Trouble> {
        let image = tokio::task::spawn_blocking(image::driver).await;
        let image = image.expect("building an image does not panic")?;
        let options = Options::of(DriverImage::Archive(image.archive));
        let installed = Box::pin(Installed::start(options)).await?;
        for (what, took) in installed.timings() {
            let took = format!("{took:.1?}");
            self.summary.add("the start of the cluster", *what, took);
        }
        Ok(Arc::new(installed))
    }
}

async fn on(ground: &Ground, test: &Test) -> Result<(), Trouble> {
    let result = bounded(TEST_LIMIT, (test.body)(ground)).await;
    let result = result.and_then(|()| judge(ground.installed.sim()));
    result.inspect_err(|_| ground.installed.cluster().keep())
}
