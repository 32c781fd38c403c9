//! The Lease behind its port: `kube-leader-election` under a guard and a deadline.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, future};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Config};
use kube_leader_election::{Error as LibraryError, LeaseLock, LeaseLockParams, LeaseLockResult};
use tracing::{Span, debug};

use crate::domain::election::{Failure, HolderId, LeaseView, Timing, Version};
use crate::domain::leadership::Epoch;
use crate::k8s::guard::{Guard, Order, Session};
use crate::k8s::object::view;
use crate::k8s::{Error, client};
use crate::ports::LeaseStore;

/// Kubernetes keeps the duration in whole seconds and refuses 0; only tests have shorter leases.
const SHORTEST: Duration = Duration::from_secs(1);

/// One Lease object, and who we are on it.
pub struct KubeLease {
    client: Client,
    watches: Client,
    namespace: String,
    name: String,
    me: HolderId,
    timing: Timing,
}

// === impl KubeLease ===

impl KubeLease {
    /// The Lease `namespace/name`, over clients of its own.
    ///
    /// # Errors
    /// [`Error::Client`] if `config` cannot be used.
    pub fn new(
        config: &Config,
        namespace: &str,
        name: &str,
        me: HolderId,
        timing: Timing,
    ) -> Result<Self, Error> {
        Ok(Self {
            client: client::for_calls(config.clone(), timing.call())?,
            watches: client::for_watches(config.clone())?,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            me,
            timing,
        })
    }

    fn api(&self, client: &Client) -> Api<Lease> {
        Api::namespaced(client.clone(), &self.namespace)
    }

    /// A library object for one call: what it reads and writes passes the guard of this order.
    fn lock(&self, session: &Arc<Session>) -> LeaseLock {
        let guard = Guard::new(self.client.clone(), Arc::clone(session));
        let params = LeaseLockParams {
            lease_name: self.name.clone(),
            holder_id: self.me.as_str().to_owned(),
            lease_ttl: self.timing.lease().max(SHORTEST),
        };
        LeaseLock::new(
            Client::new(guard, self.namespace.as_str()),
            &self.namespace,
            params,
        )
    }

    /// Waits for a call, but not for longer than the timing allows.
    async fn within<T>(
        &self,
        attempt: &'static str,
        session: Option<&Session>,
        call: impl Future<Output = Result<T, LibraryError>>,
    ) -> Result<T, Failure> {
        let limit = self.timing.call();
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(session
                .and_then(Session::refusal)
                .unwrap_or_else(|| self.failure(attempt, error))),
            Err(_) => Err(self.failed(Error::Timeout {
                attempt,
                lease: self.to_string(),
                limit,
            })),
        }
    }

    /// The library's answer is ours only if the Lease that was written names us.
    async fn write(&self, attempt: &'static str, order: Order) -> Result<LeaseView, Failure> {
        let takes = matches!(order, Order::Acquire { .. });
        let session = Session::new(&self.me, order);
        let lock = self.lock(&session);
        let call = lock.try_acquire_or_renew();
        let result = self.within(attempt, Some(&session), call).await;
        if let Some(former) = session.former().filter(|_| takes) {
            former.link(&Span::current());
        }
        let lease = match result? {
            LeaseLockResult::Acquired(lease) => lease,
            // The guard shows a free Lease or our own; if it could not be had, it was not had.
            LeaseLockResult::NotAcquired(_) => return Err(Failure::Conflict),
        };
        let written = self.read(attempt, &lease)?;
        match written.hold.holder() {
            Some(holder) if *holder == self.me => Ok(written),
            Some(_) | None => Err(Failure::NotHeld(Box::new(written))),
        }
    }

    fn read(&self, attempt: &'static str, lease: &Lease) -> Result<LeaseView, Failure> {
        view(lease).ok_or_else(|| {
            self.failed(Error::Answer {
                attempt,
                lease: self.to_string(),
            })
        })
    }

    /// 409 is a lost race. So is 404 from a write: the Lease went after it was read.
    fn failure(&self, attempt: &'static str, error: LibraryError) -> Failure {
        match status(&error) {
            Some(404 | 409) => Failure::Conflict,
            Some(_) | None => self.failed(Error::Call {
                attempt,
                lease: self.to_string(),
                source: Box::new(error),
            }),
        }
    }

    fn failed(&self, error: Error) -> Failure {
        debug!(lease = %self, error = &error as &dyn std::error::Error, "a call on the Lease failed");
        Failure::Call(error.into())
    }
}

/// The HTTP status that the API answered with, if it did.
fn status(error: &LibraryError) -> Option<u16> {
    match error {
        LibraryError::GetLease(kube::Error::Api(status))
        | LibraryError::CreateLease(kube::Error::Api(status))
        | LibraryError::AcquireLease(kube::Error::Api(status))
        | LibraryError::RenewLease(kube::Error::Api(status))
        | LibraryError::ReleaseLease(kube::Error::Api(status))
        | LibraryError::Kube(kube::Error::Api(status))
        | LibraryError::ApiError { response: status } => Some(status.code),
        _ => None,
    }
}

#[async_trait]
impl LeaseStore for KubeLease {
    async fn get(&self) -> Result<Option<LeaseView>, Failure> {
        const ATTEMPT: &str = "reading";
        let api = self.api(&self.client);
        let call = async { Ok(api.get_opt(&self.name).await?) };
        let lease = self.within(ATTEMPT, None, call).await?;
        lease.map(|lease| self.read(ATTEMPT, &lease)).transpose()
    }

    async fn create(&self) -> Result<LeaseView, Failure> {
        const ATTEMPT: &str = "creating";
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                lease_transitions: Some(0),
                ..LeaseSpec::default()
            }),
        };
        let api = self.api(&self.client);
        let call = async { Ok(api.create(&PostParams::default(), &lease).await?) };
        let lease = self.within(ATTEMPT, None, call).await?;
        self.read(ATTEMPT, &lease)
    }

    async fn acquire(&self, expecting: &Version, epoch: Epoch) -> Result<LeaseView, Failure> {
        let expecting = expecting.clone();
        self.write("taking", Order::Acquire { expecting, epoch })
            .await
    }

    async fn renew(&self, epoch: Epoch, offer: bool) -> Result<LeaseView, Failure> {
        self.write("renewing", Order::Renew { epoch, offer }).await
    }

    async fn release(&self) -> Result<(), Failure> {
        let session = Session::new(&self.me, Order::Release);
        let lock = self.lock(&session);
        let call = async {
            match lock.step_down().await {
                // There is nothing to give up.
                Err(LibraryError::GetLease(kube::Error::Api(status))) if status.code == 404 => {
                    Ok(())
                }
                other => other,
            }
        };
        self.within("releasing", Some(&session), call).await
    }

    fn watch(&self) -> BoxStream<'static, Option<LeaseView>> {
        let config = watcher::Config::default()
            .fields(&format!("metadata.name={}", self.name))
            .timeout(client::WATCH_SECONDS);
        let lease = self.to_string();
        watcher(self.api(&self.watches), config)
            .default_backoff()
            // Every list begins with the question whether there is a Lease at all.
            .scan(false, move |seen, event| {
                let tells = match event {
                    Ok(Event::Apply(lease)) => Some(view(&lease)),
                    Ok(Event::InitApply(lease)) => {
                        *seen = true;
                        Some(view(&lease))
                    }
                    Ok(Event::Delete(_)) => Some(None),
                    Ok(Event::Init) => {
                        *seen = false;
                        None
                    }
                    Ok(Event::InitDone) => (!*seen).then_some(None),
                    Err(error) => {
                        debug!(lease, error = &error as &dyn std::error::Error, "the watch of the Lease broke; another begins");
                        None
                    }
                };
                future::ready(Some(tells))
            })
            .filter_map(future::ready)
            .boxed()
    }
}

impl fmt::Display for KubeLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for KubeLease {
    /// Not the clients: they carry tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubeLease")
            .field("lease", &self.to_string())
            .field("me", &self.me.as_str())
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}
