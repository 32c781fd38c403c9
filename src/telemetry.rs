//! What the process says about itself: logs on stderr, as text or JSON.

use std::fmt;
use std::io::{self, IsTerminal};
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Shown unless asked otherwise: what changed, and nothing of the SSH library's own news.
pub const DEFAULT_FILTER: &str = "info,russh=warn";

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object per line, for collectors.
    Json,
}

/// A word that names no log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be text or json")]
pub struct UnknownFormat;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The filter cannot be read.
    #[error("log filter {filter:?}: {why}; write for example info,rds_csi=debug")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it. Not its source: it prints its own.
        why: ParseError,
    },
    /// Something else in this process logs already.
    #[error("logging is set up twice")]
    Twice(#[from] TryInitError),
}

/// Starts logging for the whole process. `filter` is a level, or a list of `target=level`.
///
/// # Errors
/// If the filter cannot be read, or logging is already set up.
pub fn init(format: Format, filter: &str) -> Result<(), InitError> {
    let parsed = EnvFilter::try_new(filter).map_err(|why| InitError::Filter {
        filter: filter.to_owned(),
        why,
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(io::stderr);
    match format {
        Format::Text => lines
            .with_ansi(io::stderr().is_terminal())
            .finish()
            .try_init()?,
        Format::Json => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .finish()
            .try_init()?,
    }
    Ok(())
}

// === impl Format ===

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(raw: &str) -> Result<Self, UnknownFormat> {
        match raw {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(UnknownFormat),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_read_back_and_other_words_are_refused() {
        for format in [Format::Text, Format::Json] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        for bad in ["", "yaml", "JSON", "json "] {
            assert_eq!(bad.parse::<Format>(), Err(UnknownFormat), "{bad:?}");
        }
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_shown_in_the_error() {
        let error = init(Format::Text, "info,rds_csi=loud").unwrap_err();
        assert!(error.to_string().contains("rds_csi=loud"), "{error}");
    }

    #[test]
    fn the_default_filter_can_be_read() {
        assert!(EnvFilter::try_new(DEFAULT_FILTER).is_ok());
    }
}
