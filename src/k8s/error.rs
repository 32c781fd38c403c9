//! What can go wrong between us and the Kubernetes API.

use std::time::Duration;

use crate::domain::error::{Error as DomainError, Kind};

/// A call on the Kubernetes API that did not do what it was made for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No client could be made of the configuration.
    #[error(
        "no client for the Kubernetes API can be made (is the service account mounted, or KUBECONFIG right?)"
    )]
    Client(#[source] kube::Error),
    /// No answer in time: the write may have happened, or may yet happen.
    #[error("{attempt} Lease {lease}: no answer within {limit:?}")]
    Timeout {
        /// What was attempted.
        attempt: &'static str,
        /// `namespace/name`.
        lease: String,
        /// For how long it was waited.
        limit: Duration,
    },
    /// The API refused, or could not be reached.
    #[error("{attempt} Lease {lease} failed")]
    Call {
        /// What was attempted.
        attempt: &'static str,
        /// `namespace/name`.
        lease: String,
        /// What came back.
        #[source]
        source: Box<kube_leader_election::Error>,
    },
    /// An answer that is no Lease, or one without a version.
    #[error("{attempt} Lease {lease}: the answer is no Lease that was ever stored")]
    Answer {
        /// What was attempted.
        attempt: &'static str,
        /// `namespace/name`.
        lease: String,
    },
}

impl From<Error> for DomainError {
    fn from(error: Error) -> Self {
        let context = error.to_string();
        match error {
            Error::Client(source) => DomainError::new(Kind::Misconfigured, context).because(source),
            Error::Timeout { .. } => DomainError::new(Kind::Timeout, context),
            Error::Call { source, .. } => {
                DomainError::new(Kind::Unavailable, context).because(source)
            }
            Error::Answer { .. } => DomainError::new(Kind::Unavailable, context),
        }
    }
}
