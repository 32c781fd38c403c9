//! What can go wrong in the test bed: what was attempted, on what, and what came back. A message says
//! all of it, the source too: what a failed test prints is the message.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// An error of the test bed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This machine cannot build tools or images: a reason to skip a test, and a failure in CI.
    #[error("{0}")]
    Unavailable(String),
    /// Something could not be built although this machine should be able to.
    #[error("cannot get {names}: {why}")]
    Tools {
        /// Which were asked for.
        names: String,
        /// What the build said.
        why: String,
    },
    /// A file of the test bed.
    #[error("cannot {attempt} {}: {source}", path.display())]
    File {
        /// A verb, such as `write`.
        attempt: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A process could not be started, signalled or waited for.
    #[error("cannot {attempt} {name}: {source}")]
    Process {
        /// A verb, such as `start`.
        attempt: &'static str,
        /// The name of the process.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A process ended although it should run.
    #[error("{name} ended with {status}; its log ends with:\n{log}")]
    Ended {
        /// The name of the process.
        name: String,
        /// Exit code or signal.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {limit:?}: {last}")]
    Late {
        /// What was waited for.
        what: String,
        /// For how long.
        limit: Duration,
        /// What was seen last.
        last: String,
    },
    /// Keys and certificates.
    #[error("cannot make the certificate of {subject}: {source}")]
    Certificate {
        /// Its common name.
        subject: String,
        /// What the library said.
        source: rcgen::Error,
    },
    /// A kubeconfig that no client can be made of.
    #[error("cannot make a client of a kubeconfig: {0}")]
    Kubeconfig(String),
    /// An answer of the API server that should not be possible.
    #[error("cannot {attempt}: the answer held {answer}")]
    Answer {
        /// What was asked, with the object's name.
        attempt: String,
        /// What is wrong with the answer.
        answer: &'static str,
    },
    /// A request to the API server.
    #[error("cannot {attempt}: {source}")]
    Api {
        /// What was asked, with the object's name.
        attempt: String,
        /// What came back.
        source: Box<kube::Error>,
    },
}

impl Error {
    /// The error of a request to the API server.
    pub fn api(attempt: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let attempt = attempt.into();
        move |source| Self::Api {
            attempt,
            source: Box::new(source),
        }
    }

    /// The error of an operation on a file.
    pub fn file(attempt: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            attempt,
            path,
            source,
        }
    }
}
