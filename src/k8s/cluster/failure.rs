//! What can go wrong when Kubernetes is asked about volumes: what was asked, what came back, what
//! to do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kube::Resource;
use kube::runtime::watcher;
use tracing::Span;

use crate::domain::error::{Error as DomainError, Kind};
use crate::k8s::trace;

/// One kind of request, in the words of an RBAC rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    verb: &'static str,
    group: String,
    resource: String,
    /// The object; `None` for all of them.
    name: Option<String>,
}

/// A request that got no answer to rely on. One failure may answer many callers.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Failure {
    /// No answer in time.
    #[error(
        "{ask}: no answer of the Kubernetes API within {limit:?}; is it overloaded, or cut off from this pod?"
    )]
    Timeout {
        /// What was asked.
        ask: Ask,
        /// For how long it was waited.
        limit: Duration,
    },
    /// A refusal, or no connection.
    #[error("{ask}: {}", explain(ask, source))]
    Call {
        /// What was asked.
        ask: Ask,
        /// What came back.
        #[source]
        source: Arc<kube::Error>,
    },
    /// An answer that cannot be one to this request.
    #[error("{ask}: the answer {what}; is there a proxy before the Kubernetes API?")]
    Answer {
        /// What was asked.
        ask: Ask,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Objects that do not tell what is needed of them.
    #[error("{0}")]
    Unresolved(String),
    /// The task that asked for several callers ended without an answer.
    #[error("{0} ended without an answer; it is a mistake of this program or its end")]
    Broken(&'static str),
}

// === impl Ask ===

impl Ask {
    pub(super) fn new<K: Resource<DynamicType = ()>>(
        verb: &'static str,
        name: Option<&str>,
    ) -> Self {
        Self {
            verb,
            group: K::group(&()).into_owned(),
            resource: K::plural(&()).into_owned(),
            name: name.map(str::to_owned),
        }
    }

    /// The request as a span.
    pub(super) fn span(&self) -> Span {
        trace::request(self.verb, &self.resource, self.name.as_deref())
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        match &self.name {
            Some(name) => write!(f, "/{name}"),
            None => Ok(()),
        }
    }
}

// === impl Failure ===

impl Failure {
    /// What broke a watch, or the list before it.
    pub(super) fn of_watch<K: Resource<DynamicType = ()>>(error: watcher::Error) -> Self {
        let (verb, source) = match error {
            watcher::Error::InitialListFailed(source) => ("list", source),
            watcher::Error::WatchStartFailed(source) | watcher::Error::WatchFailed(source) => {
                ("watch", source)
            }
            watcher::Error::WatchError(status) => ("watch", kube::Error::Api(status)),
            watcher::Error::NoResourceVersion => {
                let ask = Ask::new::<K>("watch", None);
                let what = "has no version";
                return Self::Answer { ask, what };
            }
        };
        Self::Call {
            ask: Ask::new::<K>(verb, None),
            source: Arc::new(source),
        }
    }
}

/// What came back, and what to do.
fn explain(ask: &Ask, error: &kube::Error) -> String {
    let kube::Error::Api(status) = error else {
        return "no answer that can be read; is the Kubernetes API up, and reachable from this pod?"
            .to_owned();
    };
    let said = format!(
        "the Kubernetes API answered {} ({})",
        status.code, status.message
    );
    match status.code {
        401 => format!("{said}; is the token of our service account mounted and current?"),
        403 => format!(
            "{said}; its ClusterRole lacks the rule apiGroups [\"{}\"], resources [\"{}\"], verbs [\"{}\"]",
            ask.group, ask.resource, ask.verb
        ),
        410 => format!("{said}; what was read is older than its history, a new list is needed"),
        429 => format!("{said}; it is overloaded"),
        _ => format!("{said}; nothing was decided by that"),
    }
}

impl From<Failure> for DomainError {
    /// Nothing of this touches the RDS, hence no unknown effect.
    fn from(failure: Failure) -> Self {
        let context = failure.to_string();
        match failure {
            Failure::Timeout { .. } => Self::new(Kind::Timeout, context),
            Failure::Call { source, .. } => Self::new(Kind::Unavailable, context).because(source),
            Failure::Answer { .. } | Failure::Unresolved(_) | Failure::Broken(_) => {
                Self::new(Kind::Unavailable, context)
            }
        }
    }
}
