//! Events on the Kubernetes API: one object for each thing that happens, and a count on it when it
//! happens again.
//!
//! The client library has a recorder, which does not fit: it takes two events for the same whatever
//! their notes say, so that a second holder of a volume would be counted under the name of the
//! first; it writes no annotations; and it goes on counting on an object that was deleted.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::queue::{Key, Waiting};
use super::{About, LEASE, Marks};
use crate::k8s::trace;

/// How long one request may take. An API server answers in milliseconds; one that does not has
/// more important things to do than events.
pub(super) const CALL: Duration = Duration::from_secs(2);
/// The same thing within this time is a repetition. external-attacher asks again after at most 5
/// minutes (`--retry-interval-max`), so that a conflict that lasts for days is one event.
const WINDOW: Duration = Duration::from_mins(6);
/// Events that are remembered, of about 1 KiB each: 1 MiB. At ten requests a second 3600 fit into
/// the window, but only where each is about something else; the oldest then begins anew.
const MAX_SERIES: usize = 1024;
/// What events are called in requests.
const EVENTS: &str = "events";
/// The API has 253 for a name; 16 hex digits and a dot are ours.
const MAX_STEM: usize = 253 - 17;

/// Why an event was not posted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unposted {
    #[error("no answer within {CALL:?}")]
    Late,
    #[error("the API refused")]
    Refused(#[from] kube::Error),
}

/// Who writes, and what was written of late.
#[derive(Debug)]
pub(super) struct Record {
    controller: String,
    instance: String,
    series: HashMap<Key, Series>,
}

/// An event on the API.
#[derive(Debug, Clone)]
struct Series {
    name: String,
    count: i32,
    last: Instant,
}

// === impl Record ===

impl Record {
    pub(super) fn new(controller: String, instance: String) -> Self {
        Self {
            controller,
            instance,
            series: HashMap::new(),
        }
    }

    /// Writes a new event, or counts on the one that is there.
    ///
    /// # Errors
    /// [`Unposted`]. After `Late` it may be there all the same; the next one then stands beside it.
    pub(super) async fn post(
        &mut self,
        client: &Client,
        key: Key,
        happened: Waiting,
    ) -> Result<(), Unposted> {
        let events: Api<Event> = Api::namespaced(client.clone(), &key.about.namespace);
        let known = self.series.get(&key).cloned();
        if let Some(mut series) = known.filter(|series| series.last.elapsed() < WINDOW) {
            let times = i32::try_from(happened.times).unwrap_or(i32::MAX);
            series.count = series.count.saturating_add(times);
            if count(&events, &series, &happened).await? {
                series.last = Instant::now();
                self.series.insert(key, series);
                return Ok(());
            }
        }
        let event = self.event(&key, happened, uid(client, &key.about).await);
        let params = PostParams::default();
        let create = events.create(&params, &event);
        let span = trace::request("create", EVENTS, None);
        let created = timeout(CALL, create).instrument(span.clone()).await;
        let created = created
            .map_err(|_| Unposted::Late)
            .and_then(|done| Ok(done?));
        trace::ended(&span, &created, None);
        created?;
        self.remember(key, &event);
        Ok(())
    }

    fn remember(&mut self, key: Key, event: &Event) {
        self.series
            .retain(|_, series| series.last.elapsed() < WINDOW);
        if self.series.len() >= MAX_SERIES
            && let Some(oldest) = self.series.iter().min_by_key(|(_, series)| series.last)
        {
            let oldest = oldest.0.clone();
            self.series.remove(&oldest);
        }
        let series = Series {
            name: event.metadata.name.clone().unwrap_or_default(),
            count: event.series.as_ref().map_or(1, |series| series.count),
            last: Instant::now(),
        };
        self.series.insert(key, series);
    }

    fn event(&self, key: &Key, happened: Waiting, uid: Option<String>) -> Event {
        let Key {
            about,
            severity,
            reason,
            action,
            note,
        } = key;
        let Waiting {
            times,
            at,
            marks,
            cause: _,
        } = happened;
        let series = (times > 1).then(|| EventSeries {
            count: i32::try_from(times).unwrap_or(i32::MAX),
            last_observed_time: MicroTime(at),
        });
        Event {
            metadata: ObjectMeta {
                namespace: Some(about.namespace.clone()),
                name: Some(name(&about.name, Timestamp::now())),
                annotations: Some(annotations(marks)),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(at)),
            type_: Some(severity.as_str().to_owned()),
            reason: Some((*reason).to_owned()),
            action: Some((*action).to_owned()),
            note: Some(note.clone()),
            regarding: Some(ObjectReference {
                api_version: Some(about.api_version.to_owned()),
                kind: Some(about.kind.to_owned()),
                namespace: Some(about.namespace.clone()),
                name: Some(about.name.clone()),
                uid,
                ..ObjectReference::default()
            }),
            reporting_controller: Some(self.controller.clone()),
            reporting_instance: Some(self.instance.clone()),
            series,
            ..Event::default()
        }
    }
}

/// Counts on an event; false if it is not there any more.
async fn count(events: &Api<Event>, series: &Series, happened: &Waiting) -> Result<bool, Unposted> {
    // Nothing else: the API refuses to change what an event says.
    let patch = json!({
        "metadata": {"annotations": annotations(happened.marks.clone())},
        "series": {
            "count": series.count,
            "lastObservedTime": MicroTime(happened.at),
        },
    });
    let params = PatchParams::default();
    let patch = Patch::Merge(patch);
    let call = events.patch(&series.name, &params, &patch);
    let span = trace::request("patch", EVENTS, Some(&series.name));
    let answer = timeout(CALL, call).instrument(span.clone()).await;
    let counted = match answer {
        Ok(Ok(_)) => Ok(true),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(false),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Unposted::Late),
    };
    trace::ended(&span, &counted, None);
    counted
}

/// The uid of the object, without which `kubectl describe` does not show the event. The Lease may
/// have been deleted and made again, so it is asked for; without an answer the event goes without.
async fn uid(client: &Client, about: &About) -> Option<String> {
    if about.kind != LEASE {
        return about.uid.clone();
    }
    let leases: Api<Lease> = Api::namespaced(client.clone(), &about.namespace);
    let lease = timeout(CALL, leases.get(&about.name)).await.ok()?;
    lease.ok()?.metadata.uid
}

/// `<object>.<hex>`, as other reporters name theirs. Cut so that what is left is still a DNS name.
fn name(object: &str, now: Timestamp) -> String {
    let stem = super::notice::clip(object.to_owned(), MAX_STEM);
    let stem = stem.trim_end_matches(['.', '-']);
    // 64 bits of nanoseconds reach for 584 years from 1970; the low ones are what tells apart.
    let unique = u64::try_from(now.as_nanosecond()).unwrap_or_default();
    format!("{stem}.{unique:x}")
}

fn annotations(marks: Marks) -> BTreeMap<String, String> {
    marks
        .0
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_event_is_a_dns_name_however_long_that_of_its_object() {
        let now = Timestamp::from_nanosecond(0x1234).unwrap();
        let rows = [
            ("data".to_owned(), "data.1234".to_owned()),
            ("a".repeat(253), format!("{}.1234", "a".repeat(MAX_STEM))),
            (
                format!("{}.-.b", "a".repeat(MAX_STEM - 2)),
                format!("{}.1234", "a".repeat(MAX_STEM - 2)),
            ),
        ];
        for (object, expected) in rows {
            assert_eq!(name(&object, now), expected);
        }
        assert!(name(&"a".repeat(253), Timestamp::now()).len() <= 253);
    }
}
