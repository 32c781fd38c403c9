//! Which log lines are written: a filter that can be changed while the process runs.
//!
//! There is one logger in a process, so there is one filter.

use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload;

/// The filter of this process, once logging is set up.
static LEVEL: OnceLock<Level> = OnceLock::new();

/// A text that is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("log filter {filter:?}: {why}; write for example info,rds_csi=debug")]
pub struct BadFilter {
    filter: String,
    why: String,
}

/// Why the filter was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The text is no filter.
    #[error(transparent)]
    Filter(#[from] BadFilter),
    /// This process does not log.
    #[error("this process has no log whose level could be changed")]
    NoLog,
}

struct Level {
    now: Mutex<String>,
    put: Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>,
}

/// The filter now; `None` if logging has not been set up.
pub fn current() -> Option<String> {
    let now = LEVEL.get()?.now.lock();
    Some(now.unwrap_or_else(PoisonError::into_inner).clone())
}

/// Puts another filter in its place, until the process ends.
///
/// # Errors
/// If it cannot be read, or there is no log.
pub fn change(filter: &str) -> Result<(), ChangeError> {
    let parsed = parse(filter)?;
    let level = LEVEL.get().ok_or(ChangeError::NoLog)?;
    let mut now = level.now.lock().unwrap_or_else(PoisonError::into_inner);
    (level.put)(parsed).map_err(|_gone| ChangeError::NoLog)?;
    filter.clone_into(&mut now);
    Ok(())
}

/// Reads a level, or a list of `target=level`.
///
/// # Errors
/// If it is neither: the library would take a misspelt level for the name of a module, and show nothing
/// of any other.
pub(super) fn parse(filter: &str) -> Result<EnvFilter, BadFilter> {
    let bad = |why: String| BadFilter {
        filter: filter.to_owned(),
        why,
    };
    let parts: Vec<&str> = filter.split(',').map(str::trim).collect();
    for part in &parts {
        let is_level = !part.is_empty() && part.parse::<LevelFilter>().is_ok();
        if !is_level && !part.contains('=') {
            return Err(bad(format!("{part:?} is neither a level nor target=level")));
        }
    }
    // People put blanks behind commas; the library takes none.
    EnvFilter::try_new(parts.join(",")).map_err(|error| bad(error.to_string()))
}

/// The filter of a logger that is being set up, and what has to be called once it is.
pub(super) fn reloadable<S: 'static>(
    filter: &str,
) -> Result<(reload::Layer<EnvFilter, S>, impl FnOnce()), BadFilter> {
    let (layer, handle) = reload::Layer::new(parse(filter)?);
    let level = Level {
        now: Mutex::new(filter.to_owned()),
        put: Box::new(move |parsed| handle.reload(parsed)),
    };
    Ok((layer, move || {
        // It was set by whoever set logging up before, which then has failed already.
        drop(LEVEL.set(level));
    }))
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Level")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_filter_is_refused_with_the_word_that_is_wrong() {
        for good in [
            "info",
            "INFO",
            "off",
            "info,rds_csi=debug",
            "warn, russh=trace",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        let rows = [
            ("", "\"\" is neither"),
            ("dbug", "\"dbug\" is neither"),
            ("info,rds_csi", "\"rds_csi\" is neither"),
            ("info,rds_csi=loud", "rds_csi=loud"),
            ("info,", "\"\" is neither"),
        ];
        for (bad, word) in rows {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.contains(word), "{bad:?}: {error}");
        }
    }

    #[test]
    fn without_a_log_there_is_no_level_to_change() {
        assert!(matches!(change("loud"), Err(ChangeError::Filter(_))));
        if current().is_none() {
            assert!(matches!(change("debug"), Err(ChangeError::NoLog)));
        }
    }
}
