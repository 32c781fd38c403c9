//! The watch machinery of the client library on top of the API: caches that stay true.

use std::future::ready;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::Client;
use kube::api::{DeleteParams, PostParams};
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher::{Config, DefaultBackoff, Event, InitialListStrategy};
use kube::runtime::{WatchStreamExt, reflector, watcher};
use rds_csi::sim::kubernetes::faults::{Fault, Matcher, Rule};
use rds_csi::sim::kubernetes::{KubeApi, Options, Verb};
use tokio::time::timeout;

use super::fixture::{attachment, attachments, client, fresh, stand_in};
use super::servers::Server;
use super::suite::{Case, every_server, stand_in_only};

pub(super) const ON_EVERY_SERVER: &[Case] = every_server![
    a_cache_that_lists_and_watches_follows_the_api,
    a_cache_that_reads_pages_follows_the_api,
    a_cache_that_streams_its_list_follows_the_api,
];

pub(super) const ON_THE_STAND_IN: &[Case] = stand_in_only![
    a_cache_whose_watch_was_cut_goes_on_where_it_was,
    a_cache_that_was_away_for_too_long_lists_again,
    a_watcher_sees_a_list_from_the_past_for_what_it_is,
];

/// A cache behind by longer than this has lost its way; the watcher's longest pause is 30 s, its
/// first ones are below 2 s.
const LIMIT: Duration = Duration::from_secs(15);

/// A reflector, run by whoever waits for it.
struct Cache {
    store: Store<VolumeAttachment>,
    events: std::pin::Pin<Box<dyn Stream<Item = ()> + Send>>,
}

impl Cache {
    fn of(client: &Client, config: Config) -> Self {
        let (store, writer) = store();
        let watcher = watcher(attachments(client), config);
        let events = reflector(writer, watcher.backoff(DefaultBackoff::default())).map(|_| ());
        Self {
            store,
            events: Box::pin(events),
        }
    }

    /// Runs it until it holds just these.
    async fn settles(&mut self, names: &[&str]) {
        let mut expected: Vec<ObjectRef<VolumeAttachment>> =
            names.iter().map(|name| ObjectRef::new(name)).collect();
        expected.sort_by_key(ToString::to_string);
        let store = self.store.clone();
        let found = || {
            let mut found: Vec<_> = store
                .state()
                .iter()
                .map(|object| ObjectRef::from_obj(&**object))
                .collect();
            found.sort_by_key(ToString::to_string);
            found
        };
        let mut done = Box::pin(
            self.events
                .by_ref()
                .skip_while(|()| ready(found() != expected)),
        );
        let settled = timeout(LIMIT, done.next()).await;
        assert!(settled.is_ok(), "{:?} instead of {expected:?}", found());
    }
}

fn put(api: &KubeApi, name: &str) {
    api.seed(&attachment(name)).unwrap();
}

fn remove(api: &KubeApi, name: &str) {
    assert!(api.evict::<VolumeAttachment>("", name));
}

/// A cache of the attachments with a label of this test, on a server that has others too.
async fn follows(server: Server, config: Config) {
    let cluster = server.cluster().await;
    let api = attachments(&cluster.client);
    let label = fresh("label");
    let [a, b] = ["a", "b"].map(fresh);
    let make = async |name: &str| {
        let mut object = attachment(name);
        object.metadata.labels = Some([("test".to_owned(), label.clone())].into());
        api.create(&PostParams::default(), &object).await.unwrap();
    };
    make(&a).await;
    let mut cache = Cache::of(&cluster.client, config.labels(&format!("test={label}")));
    cache.settles(&[&a]).await;
    make(&b).await;
    cache.settles(&[&a, &b]).await;
    api.delete(&a, &DeleteParams::default()).await.unwrap();
    cache.settles(&[&b]).await;
}

async fn a_cache_that_lists_and_watches_follows_the_api(server: Server) {
    follows(server, Config::default()).await;
}

async fn a_cache_that_reads_pages_follows_the_api(server: Server) {
    follows(server, Config::default().page_size(1)).await;
}

async fn a_cache_that_streams_its_list_follows_the_api(server: Server) {
    let strategy = InitialListStrategy::StreamingList;
    let config = Config {
        initial_list_strategy: strategy,
        ..Config::default()
    };
    follows(server, config).await;
}

async fn a_cache_whose_watch_was_cut_goes_on_where_it_was() {
    let api = stand_in(Options::default()).await;
    put(&api, "a");
    let mut cache = Cache::of(&client(&api, "cache"), Config::default());
    cache.settles(&["a"]).await;
    put(&api, "b");
    cache.settles(&["a", "b"]).await;
    api.cut_watches("volumeattachments");
    put(&api, "c");
    remove(&api, "a");
    cache.settles(&["b", "c"]).await;
    assert_eq!(api.requests(Verb::List, "volumeattachments"), 1);
}

async fn a_cache_that_was_away_for_too_long_lists_again() {
    let api = stand_in(Options::default()).await;
    put(&api, "a");
    put(&api, "b");
    let mut cache = Cache::of(&client(&api, "cache"), Config::default());
    cache.settles(&["a", "b"]).await;
    put(&api, "c");
    cache.settles(&["a", "b", "c"]).await;
    // Its next watches fail while the past it would need is forgotten.
    let no_watch = Matcher::of(Verb::Watch, "volumeattachments");
    api.faults()
        .add(Rule::next(1, Fault::Error { code: 503 }, no_watch));
    api.cut_watches("volumeattachments");
    remove(&api, "a");
    put(&api, "d");
    api.compact();
    cache.settles(&["b", "c", "d"]).await;
    assert_eq!(api.requests(Verb::List, "volumeattachments"), 2);
}

async fn a_watcher_sees_a_list_from_the_past_for_what_it_is() {
    let api = stand_in(Options::default()).await;
    put(&api, "a");
    let past = api.resource_version();
    put(&api, "b");
    remove(&api, "a");
    let lists = Matcher::of(Verb::List, "volumeattachments");
    let stale = Fault::Stale { version: past };
    api.faults().add(Rule::next(1, stale, lists));
    // Lists in pages never ask for any version.
    let config = Config {
        page_size: None,
        ..Config::default().any_semantic()
    };
    let events = watcher(attachments(&client(&api, "cache")), config);
    let told = events.filter_map(|event| {
        let name = |object: VolumeAttachment| object.metadata.name.unwrap();
        ready(match event.unwrap() {
            Event::InitApply(object) => Some(format!("listed {}", name(object))),
            Event::Apply(object) => Some(format!("applied {}", name(object))),
            Event::Delete(object) => Some(format!("deleted {}", name(object))),
            Event::Init | Event::InitDone => None,
        })
    });
    let told: Vec<String> = timeout(LIMIT, told.take(3).collect()).await.unwrap();
    assert_eq!(told, ["listed a", "applied b", "deleted a"]);
}
