//! What test binaries share whose tests stand on one ground: it is made once, and outlives each of them.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;

use futures::FutureExt as _;
use libtest_mimic::{Arguments, Trial};
use tokio::time::timeout;

use crate::summary::Summary;
use crate::trouble::Trouble;

/// Runs the trials and prints what they measured and saw. The ground goes with the last of them: what
/// the process runs would outlive `exit()`, so this returns instead.
#[allow(
    clippy::print_stdout,
    reason = "what was measured and seen is worth reading when all went well, too"
)]
pub fn conclude(arguments: &Arguments, trials: Vec<Trial>, summary: &Summary) -> ExitCode {
    let conclusion = libtest_mimic::run(arguments, trials);
    let table = summary.to_string();
    if !table.is_empty() {
        println!("{table}");
    }
    conclusion.exit_code()
}

/// The end of one test, whatever it does: neither a panic nor a wait without an end may take the
/// ground from the tests after it.
///
/// # Errors
/// As the test; or it panicked, or had not ended within `limit`.
pub async fn bounded(
    limit: Duration,
    test: impl Future<Output = Result<(), Trouble>>,
) -> Result<(), Trouble> {
    match timeout(limit, AssertUnwindSafe(test).catch_unwind()).await {
        Ok(Ok(result)) => result,
        // Where it did is printed above; what it said is worth saying again, where failures are listed.
        Ok(Err(panic)) => Err(Trouble::found(format!("it panicked: {}", said(&*panic)))),
        Err(_) => Err(Trouble::found(format!("it did not end within {limit:?}"))),
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a word")
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn a_test_ends_whatever_it_does() {
        let limit = Duration::from_mins(1);
        let told = |result: Result<(), Trouble>| result.map_err(|trouble| trouble.to_string());

        assert_eq!(told(bounded(limit, async { Ok(()) }).await), Ok(()));
        let failed = bounded(limit, async { Err(Trouble::found("so")) }).await;
        assert_eq!(told(failed), Err("so".to_owned()));
        let panicked = bounded(limit, async { panic!("so") }).await;
        assert_eq!(told(panicked), Err("it panicked: so".to_owned()));
        let panicked = bounded(limit, async { panic!("{}", 1) }).await;
        assert_eq!(told(panicked), Err("it panicked: 1".to_owned()));
        let late = bounded(Duration::ZERO, pending()).await;
        assert_eq!(told(late), Err("it did not end within 0ns".to_owned()));
    }
}
