//! Faults of the API: what goes wrong, with which requests, how often.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::request::{Call, Verb};

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It is served this much later.
    Latency {
        /// Milliseconds added.
        ms: u64,
    },
    /// It is refused with 429 and a Retry-After.
    TooManyRequests {
        /// Seconds the client is asked to wait.
        retry_after: u32,
    },
    /// It is not served; the answer is this server error.
    Error {
        /// The HTTP status, 500 to 599.
        code: u16,
    },
    /// It is served, and the answer is a server error all the same.
    ErrorAfter {
        /// The HTTP status, 500 to 599.
        code: u16,
    },
    /// It is never served and never answered; the connection stays.
    StallBefore,
    /// It is served and never answered; the connection stays.
    StallAfter,
    /// It waits until [`Faults::release`] and is served then, whether or not anybody still waits.
    Hold,
    /// The connection is reset and the request never served.
    DropBefore,
    /// It is served, then the connection is reset without an answer.
    DropAfter,
    /// A GET or LIST of any version (`resourceVersion=0`) shows the past; other reads are not
    /// touched and do not count. The past reaches as far as the history that is remembered.
    Stale {
        /// The version it shows; see [`super::KubeApi::resource_version`].
        version: u64,
    },
    /// A watch loses its connection.
    CutWatch {
        /// After how many events.
        after: usize,
    },
}

/// Which requests a rule is about. What is not given does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Matcher {
    /// What is done.
    pub verb: Option<Verb>,
    /// To which resource: `leases`, `volumeattachments/status`.
    pub resource: Option<String>,
    /// To the object of this name.
    pub name: Option<String>,
    /// By the client with this bearer token; see [`super::KubeApi::config`].
    pub client: Option<String>,
}

/// One fault for some requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What happens.
    pub fault: Fault,
    /// To which requests.
    #[serde(default)]
    pub on: Matcher,
    /// To how many of them; without a number until the rules are cleared.
    #[serde(default)]
    pub times: Option<u32>,
}

/// The rules in force. Clones are the same rules. The first rule that matches a request is the one
/// that happens.
#[derive(Clone, Debug)]
pub struct Faults {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    rules: Mutex<Vec<Rule>>,
    /// Requests that are held.
    held: watch::Sender<usize>,
    /// How often they were released.
    released: watch::Sender<u64>,
}

/// A request that is held, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    inner: Arc<Inner>,
    released: watch::Receiver<u64>,
}

// === impl Matcher ===

impl Matcher {
    /// All requests of one verb for one resource.
    pub fn of(verb: Verb, resource: &str) -> Self {
        Self {
            verb: Some(verb),
            resource: Some(resource.to_owned()),
            ..Self::default()
        }
    }

    /// The same, by one client only.
    #[must_use]
    pub fn by(self, client: &str) -> Self {
        Self {
            client: Some(client.to_owned()),
            ..self
        }
    }

    fn matches(&self, call: &Call) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        self.verb.is_none_or(|verb| verb == call.verb)
            && is(&self.resource, &call.target.resource())
            && is(&self.name, call.target.name())
            && is(&self.client, &call.token)
    }
}

// === impl Rule ===

impl Rule {
    /// The fault for every such request until the rules are cleared.
    pub fn always(fault: Fault, on: Matcher) -> Self {
        Self {
            fault,
            on,
            times: None,
        }
    }

    /// The fault for the next `times` such requests.
    pub fn next(times: u32, fault: Fault, on: Matcher) -> Self {
        Self {
            fault,
            on,
            times: Some(times),
        }
    }

    fn concerns(&self, call: &Call) -> bool {
        let possible = match self.fault {
            Fault::Stale { .. } => {
                matches!(call.verb, Verb::Get | Verb::List) && call.options.resource_version == "0"
            }
            Fault::CutWatch { .. } => call.verb == Verb::Watch,
            _ => true,
        };
        possible && self.times != Some(0) && self.on.matches(call)
    }
}

// === impl Faults ===

impl Default for Faults {
    fn default() -> Self {
        Self {
            inner: Arc::new(Inner {
                rules: Mutex::default(),
                held: watch::Sender::new(0),
                released: watch::Sender::new(0),
            }),
        }
    }
}

impl Faults {
    /// Puts a rule behind those in force.
    pub fn add(&self, rule: Rule) {
        self.rules().push(rule);
    }

    /// Ends all rules. What is held or stalled stays so.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// Serves the requests that are held.
    pub fn release(&self) {
        self.inner.released.send_modify(|count| *count += 1);
    }

    /// Waits until this many requests are held.
    pub async fn wait_held(&self, count: usize) {
        let mut held = self.inner.held.subscribe();
        // The sender lives as long as `self`.
        if held.wait_for(|held| *held >= count).await.is_err() {
            tracing::debug!("nobody counts held requests any more");
        }
    }

    /// Whether every rule with a number has happened that often.
    pub fn spent(&self) -> bool {
        self.rules()
            .iter()
            .all(|rule| rule.times.is_none_or(|left| left == 0))
    }

    /// The fault of a request, which counts for its rule.
    pub(super) fn take(&self, call: &Call) -> Option<Fault> {
        let mut rules = self.rules();
        let rule = rules.iter_mut().find(|rule| rule.concerns(call))?;
        rule.times = rule.times.map(|left| left - 1);
        Some(rule.fault.clone())
    }

    pub(super) fn hold(&self) -> Held {
        let released = self.inner.released.subscribe();
        self.inner.held.send_modify(|held| *held += 1);
        Held {
            inner: Arc::clone(&self.inner),
            released,
        }
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.inner
            .rules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Held ===

impl Held {
    pub(super) async fn released(mut self) {
        // An error means that the API is gone, and the request with it.
        if self.released.changed().await.is_err() {
            tracing::debug!("a held request outlived its API");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.inner.held.send_modify(|held| *held -= 1);
    }
}
