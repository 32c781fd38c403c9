//! Runs the tests on one control plane: started before the first, ended after the last, whatever
//! happens in between.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use testbed::bed::{Bed, Ground, Options, TOOLS};
use testbed::control_plane::{ControlPlane, Options as PlaneOptions};
use testbed::error::Error;
use testbed::jaeger;
use testbed::suite::{bounded, conclude};
use testbed::summary::Summary;
use testbed::tools::{Tools, skipped};
use testbed::trouble::Trouble;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

/// Each has three drivers and nine sidecars; on two cores more at a time would only wait.
const AT_ONCE: usize = 2;
/// The longest test waits for a dead node and for what follows.
const TEST_LIMIT: Duration = Duration::from_mins(10);

/// One test.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    /// Whether it does to the control plane what no other test could bear.
    pub(crate) alone: bool,
    pub(crate) options: fn() -> Options,
    pub(crate) body: for<'a> fn(&'a Bed) -> BoxFuture<'a, Result<(), Trouble>>,
}

/// The list of tests: `FUNCTION;`, `FUNCTION => OPTIONS;`, and `FUNCTION, alone;` for one that gets a
/// control plane of its own.
macro_rules! tests {
    ($($function:path $(=> $options:expr)? $(, $alone:ident)?;)*) => {
        /// All tests.
        const TESTS: &[$crate::suite::Test] = &[$($crate::suite::Test {
            name: stringify!($function),
            alone: $crate::suite::is!($($alone)?),
            options: || {
                #[allow(unused_mut, unused_assignments, reason = "only some tests have their own")]
                let mut options = testbed::bed::Options::default();
                $(options = $options;)?
                options
            },
            body: |bed| Box::pin($function(bed)),
        }),*];
    };
}
pub(crate) use tests;

/// Whether a word is there that can only be `alone`.
macro_rules! is {
    () => {
        false
    };
    (alone) => {
        true
    };
}
pub(crate) use is;

/// What the tests share.
struct Suite {
    runtime: Runtime,
    /// Made by the first test that is not alone.
    ground: OnceCell<Ground>,
    summary: Summary,
}

/// Runs the tests that the command line asks for.
pub(crate) fn run(tests: &'static [Test]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let suite = Arc::new(Suite {
        runtime: Runtime::new().expect("a runtime"),
        ground: OnceCell::new(),
        summary: Summary::default(),
    });
    let trials = tests.iter().map(|test| {
        let suite = Arc::clone(&suite);
        Trial::test(test.name, move || suite.run(test))
    });
    conclude(&arguments, trials.collect(), &suite.summary)
}

// === impl Suite ===

impl Suite {
    fn run(&self, test: &Test) -> Result<(), Failed> {
        let options = (test.options)();
        let ground = self.runtime.block_on(async {
            if options.traced {
                // Building it takes minutes, too.
                jaeger::executable().await?;
            }
            self.ground(test.alone).await
        });
        let ground = match ground {
            Ok(ground) => ground,
            Err(Error::Unavailable(why)) => {
                skipped(test.name, &why);
                return Ok(());
            }
            Err(error) => return Err(Trouble::from(error).into()),
        };
        let ran = self.runtime.block_on(on_a_bed(&ground, test, options));
        ran.map_err(Failed::from)
    }

    async fn ground(&self, alone: bool) -> Result<Ground, Error> {
        if alone {
            return self.new_ground().await;
        }
        let shared = self.ground.get_or_try_init(|| self.new_ground()).await;
        shared.cloned()
    }

    async fn new_ground(&self) -> Result<Ground, Error> {
        // Building them takes minutes on a machine that has none yet.
        let tools = tokio::task::spawn_blocking(|| Tools::find(&TOOLS));
        let tools = tools.await.expect("looking for tools does not panic")?;
        let plane = ControlPlane::start(PlaneOptions::quick()).await?;
        Ok(Ground {
            plane: Arc::new(plane),
            tools,
            program: PathBuf::from(env!("CARGO_BIN_EXE_rds-csi")),
            summary: self.summary.clone(),
        })
    }
}

async fn on_a_bed(ground: &Ground, test: &Test, options: Options) -> Result<(), Trouble> {
    let bed = Bed::start(ground, test.name, options).await?;
    let result = bounded(TEST_LIMIT, (test.body)(&bed)).await;
    bed.finish(result).await
}
