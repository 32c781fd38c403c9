//! Watches: every change once and in order, from a version on, or the news that this is impossible.

use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::Api;
use kube::api::{DeleteParams, PostParams, WatchEvent, WatchParams};
use rds_csi::sim::kubernetes::Options;
use serde_json::json;

use super::fixture::{attachment, attachments, client, fresh, merge, stand_in, version};
use super::servers::Server;
use super::suite::{Case, every_server, stand_in_only};

pub(super) const ON_EVERY_SERVER: &[Case] = every_server![
    a_watch_shows_every_later_change_once_and_in_order,
    a_watch_from_no_version_begins_with_what_is_there,
    the_last_sight_of_a_deleted_object_has_a_newer_version,
    an_object_that_gets_or_loses_the_label_appears_or_goes,
    a_watch_ends_when_its_time_is_up,
    streamed_lists_end_with_a_marked_bookmark,
    a_watch_from_a_forgotten_version_says_so_and_ends,
];

pub(super) const ON_THE_STAND_IN: &[Case] = stand_in_only![
    the_past_reaches_as_far_as_it_was_asked_to,
    an_idle_watch_is_told_how_far_it_has_come,
];

type Events = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<VolumeAttachment>>> + Send>>;

/// A watch of the attachments with a label of this test.
struct Watched {
    api: Api<VolumeAttachment>,
    label: String,
    params: WatchParams,
}

impl Watched {
    fn new(client: &kube::Client) -> Self {
        let label = fresh("label");
        Self {
            api: attachments(client),
            params: WatchParams::default().labels(&format!("test={label}")),
            label,
        }
    }

    fn labelled(&self) -> (String, VolumeAttachment) {
        let name = fresh("va");
        let mut object = attachment(&name);
        object.metadata.labels = Some([("test".to_owned(), self.label.clone())].into());
        (name, object)
    }

    async fn create(&self) -> (String, u64) {
        let (name, object) = self.labelled();
        let params = PostParams::default();
        let made = self.api.create(&params, &object).await.unwrap();
        (name, version(&made))
    }

    async fn from(&self, version: u64) -> Events {
        let version = version.to_string();
        Box::pin(self.api.watch(&self.params, &version).await.unwrap())
    }
}

/// `ADDED name`, `ERROR 410`, `BOOKMARK`.
fn told(event: WatchEvent<VolumeAttachment>) -> String {
    let name = |object: VolumeAttachment| object.metadata.name.unwrap();
    match event {
        WatchEvent::Added(object) => format!("ADDED {}", name(object)),
        WatchEvent::Modified(object) => format!("MODIFIED {}", name(object)),
        WatchEvent::Deleted(object) => format!("DELETED {}", name(object)),
        WatchEvent::Bookmark(_) => "BOOKMARK".to_owned(),
        WatchEvent::Error(status) => format!("ERROR {} {}", status.code, status.reason),
    }
}

async fn next(events: &mut Events, count: usize) -> Vec<String> {
    let events = events.take(count).map_ok(told);
    events.try_collect().await.unwrap()
}

async fn a_watch_shows_every_later_change_once_and_in_order(server: Server) {
    let cluster = server.cluster().await;
    let watched = Watched::new(&cluster.client);
    let (first, start) = watched.create().await;
    let (second, _) = watched.create().await;
    let mut events = watched.from(start).await;
    let patch = json!({"metadata": {"annotations": {"a": "b"}}});
    merge(&watched.api, &first, patch).await.unwrap();
    let status = kube::api::Patch::Merge(json!({"status": {"attached": true}}));
    let params = kube::api::PatchParams::default();
    let patched = watched.api.patch_status(&second, &params, &status).await;
    patched.unwrap();
    watched
        .api
        .delete(&first, &DeleteParams::default())
        .await
        .unwrap();
    assert_eq!(
        next(&mut events, 4).await,
        [
            format!("ADDED {second}"),
            format!("MODIFIED {first}"),
            format!("MODIFIED {second}"),
            format!("DELETED {first}"),
        ]
    );
}

async fn a_watch_from_no_version_begins_with_what_is_there(server: Server) {
    let cluster = server.cluster().await;
    let watched = Watched::new(&cluster.client);
    let (name, start) = watched.create().await;
    for from in ["", "0"] {
        let stream = watched.api.watch(&watched.params, from).await.unwrap();
        let mut events: Events = Box::pin(stream);
        assert_eq!(next(&mut events, 1).await, [format!("ADDED {name}")]);
    }
    let mut events = watched.from(start).await;
    let (later, _) = watched.create().await;
    assert_eq!(next(&mut events, 1).await, [format!("ADDED {later}")]);
}

async fn the_last_sight_of_a_deleted_object_has_a_newer_version(server: Server) {
    let cluster = server.cluster().await;
    let watched = Watched::new(&cluster.client);
    let (name, start) = watched.create().await;
    let mut events = watched.from(start).await;
    let params = DeleteParams::default();
    watched.api.delete(&name, &params).await.unwrap();
    let event = events.next().await.unwrap().unwrap();
    let WatchEvent::Deleted(last) = event else {
        panic!("{event:?}")
    };
    assert!(version(&last) > start);
}

async fn an_object_that_gets_or_loses_the_label_appears_or_goes(server: Server) {
    let cluster = server.cluster().await;
    let watched = Watched::new(&cluster.client);
    let (name, start) = watched.create().await;
    let mut events = watched.from(start).await;
    for label in [json!(null), json!(watched.label)] {
        let patch = json!({"metadata": {"labels": {"test": label}}});
        merge(&watched.api, &name, patch).await.unwrap();
    }
    let told = next(&mut events, 2).await;
    assert_eq!(told, [format!("DELETED {name}"), format!("ADDED {name}")]);
}

async fn a_watch_ends_when_its_time_is_up(server: Server) {
    let cluster = server.cluster().await;
    let mut watched = Watched::new(&cluster.client);
    watched.params = watched.params.timeout(1).disable_bookmarks();
    let (_, start) = watched.create().await;
    let events = watched.from(start).await;
    let all: Vec<_> = events.map_ok(told).try_collect().await.unwrap();
    assert!(all.is_empty(), "{all:?}");
}

async fn streamed_lists_end_with_a_marked_bookmark(server: Server) {
    let cluster = server.cluster().await;
    let mut watched = Watched::new(&cluster.client);
    watched.params = watched.params.initial_events();
    let (name, start) = watched.create().await;
    let stream = watched.api.watch(&watched.params, "0").await.unwrap();
    let events: Vec<_> = stream.take(2).try_collect().await.unwrap();
    let [WatchEvent::Added(object), WatchEvent::Bookmark(bookmark)] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(object.metadata.name, Some(name));
    let seen: u64 = bookmark.metadata.resource_version.parse().unwrap();
    assert!(seen >= start);
    let mark = bookmark
        .metadata
        .annotations
        .get("k8s.io/initial-events-end");
    assert_eq!(mark.map(String::as_str), Some("true"));
}

async fn a_watch_from_a_forgotten_version_says_so_and_ends(server: Server) {
    let (cluster, forgotten) = server.forgetful().await;
    let watched = Watched::new(&cluster.client);
    let events = watched.from(forgotten).await;
    let all: Vec<_> = events.map_ok(told).try_collect().await.unwrap();
    assert_eq!(all, ["ERROR 410 Expired"]);
    let (_, current) = watched.create().await;
    let mut events = watched.from(current).await;
    let (later, _) = watched.create().await;
    assert_eq!(next(&mut events, 1).await, [format!("ADDED {later}")]);
}

async fn the_past_reaches_as_far_as_it_was_asked_to() {
    const HISTORY: usize = 3;
    let stand_in = stand_in(Options {
        history: HISTORY,
        ..Options::default()
    })
    .await;
    let watched = Watched::new(&client(&stand_in, "test"));
    let mut versions = Vec::new();
    for _ in 0..=HISTORY + 1 {
        versions.push(watched.create().await.1);
    }
    let mut events = watched.from(versions[0]).await;
    assert_eq!(next(&mut events, 1).await, ["ERROR 410 Expired"]);
    let mut events = watched.from(versions[1]).await;
    let told = next(&mut events, HISTORY).await;
    assert!(
        told.iter().all(|event| event.starts_with("ADDED")),
        "{told:?}"
    );
}

async fn an_idle_watch_is_told_how_far_it_has_come() {
    let stand_in = stand_in(Options {
        bookmark_every: Duration::from_millis(10),
        ..Options::default()
    })
    .await;
    let client = client(&stand_in, "test");
    let watched = Watched::new(&client);
    let (_, start) = watched.create().await;
    let mut events = watched.from(start).await;
    // A change that this watch does not show moves it on all the same.
    let other = Watched::new(&client).create().await.1;
    loop {
        let event = events.next().await.unwrap().unwrap();
        let WatchEvent::Bookmark(bookmark) = event else {
            panic!("{event:?}")
        };
        if bookmark.metadata.resource_version == other.to_string() {
            break;
        }
    }
    assert_eq!(stand_in.resource_version(), other);
}
