//! The one error of the bed: what was attempted, and what came back.

use std::error::Error;
use std::fmt;

/// Something in the bed did not work. A test ends with it.
#[derive(Debug)]
pub struct Trouble {
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// Says what was attempted when something fails.
pub trait Attempt<T> {
    /// The same, with the attempt in words that follow "cannot".
    ///
    /// # Errors
    /// As before, as a [`Trouble`].
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T, Trouble>;
}

// === impl Trouble ===

impl Trouble {
    /// Nothing failed, but what is so must not be so.
    pub fn found(what: impl Into<String>) -> Self {
        let what = what.into();
        Self { what, source: None }
    }

    /// Why this machine cannot do it, if that is what is wrong: a reason to skip a test.
    pub fn unavailable(&self) -> Option<&str> {
        match self.source.as_ref()?.downcast_ref()? {
            crate::error::Error::Unavailable(why) => Some(why),
            _ => None,
        }
    }
}

impl fmt::Display for Trouble {
    /// The whole chain: a test prints nothing but this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(source) = &self.source else {
            return f.write_str(&self.what);
        };
        write!(f, "cannot {}: {source}", self.what)?;
        let mut next = source.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

impl Error for Trouble {}

impl From<crate::error::Error> for Trouble {
    fn from(error: crate::error::Error) -> Self {
        let source: Box<dyn Error + Send + Sync> = error.into();
        Self {
            what: "set up the bed".to_owned(),
            source: Some(source),
        }
    }
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Attempt<T> for Result<T, E> {
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T, Trouble> {
        self.map_err(|source| Trouble {
            what: what(),
            source: Some(source.into()),
        })
    }
}
