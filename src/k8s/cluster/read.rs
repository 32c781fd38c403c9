//! Quorum reads, and the one write: each request with a deadline, none repeated. Only a list that
//! expired between two pages begins anew.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use kube::api::{ListParams, ObjectList, Patch, PatchParams};
use kube::{Api, Client, Config};
use serde_json::Value;
use tokio::time::timeout;
use tracing::{Instrument, debug};

use crate::k8s::cluster::failure::{Ask, Failure};
use crate::k8s::cluster::row::Row;
use crate::k8s::cluster::wire::{Attachments, Object};
use crate::k8s::{Error, client, trace};

/// One object is a few milliseconds of work. external-attacher waits 15 s for a call of ours: a
/// read before and one after the RDS, with 5 s left for that.
const CALL: Duration = Duration::from_secs(5);
/// A page is 1 to 2 MB, which a busy server may have to fetch from etcd; the API server's own limit
/// for a request is 60 s.
const PAGE_TIME: Duration = Duration::from_secs(15);
/// Objects in a page: what client-go reads at a time, so that servers are known to bear it.
const PAGE: u32 = 500;
/// A list that takes so long that its version is forgotten (5 minutes, by default) begins anew. It
/// is 20 pages for 10 000 objects: twice is bad luck, thrice a server that cannot do it.
const LISTS: u32 = 3;
/// Up to so many objects are read one by one at the same time; a whole LIST is dearer than that, and
/// dearer for the server than for us.
const FEW: usize = 16;

/// Two clients: the pages of a long list do not delay single reads.
#[derive(Clone)]
pub(super) struct Reader {
    calls: Client,
    lists: Client,
    driver: Arc<str>,
}

// === impl Reader ===

impl Reader {
    pub(super) fn new(config: &Config, driver: &str) -> Result<Self, Error> {
        Ok(Self {
            calls: client::for_calls(config.clone(), CALL)?,
            lists: client::for_calls(config.clone(), PAGE_TIME)?,
            driver: driver.into(),
        })
    }

    /// The object of this name, if there is one and it is ours.
    pub(super) async fn get<R: Row>(&self, name: &str) -> Result<Option<R>, Failure> {
        let ask = Ask::new::<Object<R::Of>>("get", Some(name));
        let api: Api<Object<R::Of>> = Api::all(self.calls.clone());
        let object = match within(&ask, CALL, api.get(name)).await {
            Ok(object) => object,
            Err(failure) if is_absent(&failure, name) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        if object.metadata.name.as_deref() != Some(name) {
            let what = "is another object";
            return Err(Failure::Answer { ask, what });
        }
        Ok(R::of(object, &self.driver))
    }

    /// All objects of ours, from one version of the store.
    pub(super) async fn list<R: Row>(&self) -> Result<Vec<R>, Failure> {
        let mut lists = 1;
        loop {
            match self.pages().await {
                Err(failure) if code(&failure) == Some(410) && lists < LISTS => {
                    debug!(lists, "a list expired between two pages; it begins anew");
                    lists += 1;
                }
                result => return result,
            }
        }
    }

    async fn pages<R: Row>(&self) -> Result<Vec<R>, Failure> {
        let ask = Ask::new::<Object<R::Of>>("list", None);
        let api: Api<Object<R::Of>> = Api::all(self.lists.clone());
        // No resourceVersion: the newest, by a quorum.
        let mut params = ListParams::default().limit(PAGE);
        let mut rows = Vec::new();
        loop {
            let page: ObjectList<Object<R::Of>> =
                within(&ask, PAGE_TIME, api.list(&params)).await?;
            if page.metadata.resource_version.is_none_or(|v| v.is_empty()) {
                let what = "is no list of any version";
                return Err(Failure::Answer { ask, what });
            }
            let ours = page
                .items
                .into_iter()
                .filter_map(|object| R::of(object, &self.driver));
            rows.extend(ours);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(rows),
            }
        }
    }

    /// The objects of these names that exist and are ours: few one by one, many out of a list.
    pub(super) async fn some<R: Row>(&self, names: &HashSet<&str>) -> Result<Vec<R>, Failure> {
        if names.len() > FEW {
            let rows = self.list::<R>().await?.into_iter();
            return Ok(rows.filter(|row| names.contains(row.name())).collect());
        }
        let reads = names.iter().map(|name| self.get::<R>(name));
        Ok(try_join_all(reads).await?.into_iter().flatten().collect())
    }

    /// Merges `patch` into an attachment. False if it is not there any more, or not as `patch` says
    /// that it was.
    pub(super) async fn patch(&self, name: &str, patch: Value) -> Result<bool, Failure> {
        let ask = Ask::new::<Object<Attachments>>("patch", Some(name));
        let api: Api<Object<Attachments>> = Api::all(self.calls.clone());
        let params = PatchParams::default();
        let patch = Patch::Merge(patch);
        match within(&ask, CALL, api.patch(name, &params, &patch)).await {
            Ok(_) => Ok(true),
            // 409: another resourceVersion; 422: another uid, which cannot be changed.
            Err(failure) if matches!(code(&failure), Some(409 | 422)) => Ok(false),
            Err(failure) if is_absent(&failure, name) => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

/// By name.
pub(super) fn by_name<R: Row>(rows: Vec<R>) -> HashMap<Box<str>, R> {
    let named = rows.into_iter().map(|row| (row.name().into(), row));
    named.collect()
}

async fn within<T>(
    ask: &Ask,
    limit: Duration,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, Failure> {
    let span = ask.span();
    let answer = timeout(limit, call).instrument(span.clone()).await;
    let result = match answer {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failure::Call {
            ask: ask.clone(),
            source: Arc::new(error),
        }),
        Err(_) => {
            let ask = ask.clone();
            Err(Failure::Timeout { ask, limit })
        }
    };
    trace::ended(&span, &result, result.as_ref().err().and_then(code));
    result
}

/// The HTTP status that came back.
fn code(failure: &Failure) -> Option<u16> {
    match failure {
        Failure::Call { source, .. } => match &**source {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        },
        _ => None,
    }
}

/// Only a 404 that names the object says that it is not there: one without is about the path, or
/// comes from a proxy.
fn is_absent(failure: &Failure, name: &str) -> bool {
    let Failure::Call { source, .. } = failure else {
        return false;
    };
    let kube::Error::Api(status) = &**source else {
        return false;
    };
    let named = status
        .details
        .as_ref()
        .is_some_and(|details| details.name == name);
    status.code == 404 && status.reason == "NotFound" && named
}
