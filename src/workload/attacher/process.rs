//! One life of the process after another: connect, wait in Probe, work, end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::calls::{CallError, Link, answer, within};
use super::handler::Handler;
use super::journal::What;
use super::queue::{Key, Queue};
use super::request::volume_name;
use super::writes::Writes;
use super::{Shared, Stage};
use crate::proto::csi;
use crate::proto::csi::controller_service_capability::rpc::Type as Offer;
use crate::proto::csi::controller_service_capability::{Rpc, Type};
use crate::workload::cache::Cache;
use crate::workload::objects::{finalizer_name, is_leaving};

/// For GetPluginInfo, and for both questions about capabilities together; the real one gives no
/// more, and ends after any error.
const FIRST_CALLS: Duration = Duration::from_secs(1);
/// `--worker-threads`.
const WORKERS: usize = 10;

/// Lives until it is dropped, as often as it takes.
pub(super) async fn lives(shared: Arc<Shared>) {
    loop {
        shared.note(What::Started);
        let why = Box::pin(life(&shared)).await;
        shared.enter(Stage::Down);
        shared.note(What::Ended { why });
        sleep(shared.options.pace.restart).await;
    }
}

/// One life; returns why it ended.
async fn life(shared: &Arc<Shared>) -> String {
    shared.enter(Stage::Connecting);
    let link = Link::open(&shared.options.socket).await;
    let ended = async {
        shared.enter(Stage::Probing);
        wait_until_ready(shared, &link).await?;
        let plugin = ask(&link).await?;
        shared.enter(Stage::Working);
        Err(work(shared, &link, plugin).await)
    };
    tokio::select! {
        () = link.lost() => "the connection to the driver was lost".to_owned(),
        ended = ended => match ended {
            Ok::<std::convert::Infallible, _>(never) => match never {},
            Err(End::Call(error)) => error.to_string(),
            Err(End::Client(error)) => format!("no client for the Kubernetes API: {error}"),
            Err(End::Worker) => "a worker broke".to_owned(),
        },
    }
}

/// Why a life ends.
enum End {
    Call(CallError),
    Client(kube::Error),
    Worker,
}

impl From<CallError> for End {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// What the driver said about itself.
struct Plugin {
    name: String,
    multi_writer: bool,
    lists_nodes: bool,
}

/// csi-lib-utils `ProbeForever`: not ready and too late are waited out, any error ends the process.
async fn wait_until_ready(shared: &Shared, link: &Link) -> Result<(), CallError> {
    let pace = &shared.options.pace;
    let mut identity = link.identity.clone();
    loop {
        let call = identity.probe(within(pace.call, csi::ProbeRequest {}));
        match answer(pace.call, call).await {
            Ok(probe) => {
                // The CSI specification: an absent value means ready.
                let ready = probe.ready.unwrap_or(true);
                shared.note(What::Probed { ready });
                if ready {
                    return Ok(());
                }
            }
            Err(error) if error.is_late() => {}
            Err(error) => return Err(error),
        }
        sleep(pace.probe).await;
    }
}

async fn ask(link: &Link) -> Result<Plugin, CallError> {
    let mut identity = link.identity.clone();
    let request = within(FIRST_CALLS, csi::GetPluginInfoRequest {});
    let info = answer(FIRST_CALLS, identity.get_plugin_info(request)).await?;
    let request = within(FIRST_CALLS, csi::GetPluginCapabilitiesRequest {});
    answer(FIRST_CALLS, identity.get_plugin_capabilities(request)).await?;
    let request = within(FIRST_CALLS, csi::ControllerGetCapabilitiesRequest {});
    let mut controller = link.controller.clone();
    let offered = answer(FIRST_CALLS, controller.controller_get_capabilities(request)).await?;
    let offers = |wanted: Offer| {
        let mut all = offered.capabilities.iter();
        all.any(|one| {
            matches!(one.r#type, Some(Type::Rpc(Rpc { r#type })) if r#type == i32::from(wanted))
        })
    };
    Ok(Plugin {
        multi_writer: offers(Offer::SingleNodeMultiWriter),
        lists_nodes: offers(Offer::ListVolumes) && offers(Offer::ListVolumesPublishedNodes),
        name: info.name,
    })
}

/// Keys that wait, and a bell for whoever takes them.
#[derive(Clone, Debug, Default)]
struct Inbox {
    queue: Arc<Mutex<Queue>>,
    bell: Arc<Notify>,
}

async fn work(shared: &Arc<Shared>, link: &Link, plugin: Plugin) -> End {
    let finalizer = finalizer_name(&plugin.name);
    let client = match Client::try_from(shared.options.api.clone()) {
        Ok(client) => client,
        Err(error) => return End::Client(error),
    };
    let handler = Arc::new(Handler {
        shared: Arc::clone(shared),
        link: link.clone(),
        writes: Writes::new(&client, finalizer.clone()),
        driver: plugin.name,
        finalizer,
        multi_writer: plugin.multi_writer,
        attachments: Cache::default(),
        volumes: Cache::default(),
        nodes: Cache::default(),
        forced: Mutex::default(),
    });
    let inbox = Inbox::default();
    let mut watches = follow(&client, &handler, &inbox);
    handler.attachments.listed().await;
    handler.volumes.listed().await;
    handler.nodes.listed().await;

    let mut compare = JoinSet::new();
    if plugin.lists_nodes {
        compare.spawn(keep_comparing(Arc::clone(&handler), inbox.clone()));
    }
    let ended = dispatch(&handler, &inbox);
    tokio::select! {
        () = ended => End::Worker,
        _ = watches.join_next() => End::Worker,
        Some(_) = compare.join_next() => End::Worker,
    }
}

/// Keeps three caches, and puts what changes into the inbox.
fn follow(client: &Client, handler: &Arc<Handler>, inbox: &Inbox) -> JoinSet<()> {
    let pause = handler.shared.options.pace.relist;
    let mut watches = JoinSet::new();
    let into = inbox.clone();
    let changed =
        move |before: Option<&VolumeAttachment>, after: Option<&VolumeAttachment>| match after {
            Some(after) if !only_errors_differ(before, after) => {
                into.add(Key::Attachment(after.name_any()));
            }
            Some(_) => {}
            // It may have been the last one of its volume.
            None => {
                if let Some(name) = before.and_then(volume_name) {
                    into.add(Key::Volume(name.to_owned()));
                }
            }
        };
    let cache = handler.attachments.clone();
    watches.spawn(cache.follow(Api::all(client.clone()), pause, changed));
    let into = inbox.clone();
    let changed = move |_: Option<&PersistentVolume>, after: Option<&PersistentVolume>| {
        if let Some(after) = after.filter(|after| is_leaving(*after)) {
            into.add(Key::Volume(after.name_any()));
        }
    };
    let cache = handler.volumes.clone();
    watches.spawn(cache.follow(Api::all(client.clone()), pause, changed));
    let cache = handler.nodes.clone();
    watches.spawn(cache.follow(Api::all(client.clone()), pause, |_, _| {}));
    watches
}

/// Its own words about a failure must not wake it, or the back-off would be for nothing.
fn only_errors_differ(before: Option<&VolumeAttachment>, after: &VolumeAttachment) -> bool {
    let Some(before) = before else {
        return false;
    };
    let bare = |attachment: &VolumeAttachment| {
        let mut bare = attachment.clone();
        bare.metadata.resource_version = None;
        bare.metadata.managed_fields = None;
        if let Some(status) = &mut bare.status {
            status.attach_error = None;
            status.detach_error = None;
        }
        bare
    };
    let version = |attachment: &VolumeAttachment| attachment.resource_version();
    version(before) != version(after) && bare(before) == bare(after)
}

/// Hands keys to workers, and back to the queue when they fail. Returns when a worker broke.
async fn dispatch(handler: &Arc<Handler>, inbox: &Inbox) {
    let pace = handler.shared.options.pace;
    let mut workers = JoinSet::new();
    let mut later = JoinSet::new();
    let mut resync = interval(pace.resync);
    resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        while let Some(key) = inbox.queue().next(WORKERS) {
            let handler = Arc::clone(handler);
            workers.spawn(async move {
                let ended = handler.sync(&key).await;
                (key, ended)
            });
        }
        tokio::select! {
            () = inbox.bell.notified() => {}
            Some(done) = workers.join_next() => {
                let Ok((key, ended)) = done else { return };
                let mut queue = inbox.queue();
                queue.done(&key);
                match ended {
                    Ok(()) => queue.forget(&key),
                    Err(error) => {
                        let wait = queue.back_off(&key, pace.first_retry, pace.longest_retry);
                        tracing::debug!(?key, %error, ?wait, "tried again later");
                        later.spawn(async move {
                            sleep(wait).await;
                            key
                        });
                    }
                }
            }
            Some(Ok(key)) = later.join_next() => inbox.queue().add(key),
            _ = resync.tick() => {
                for attachment in handler.attachments.all() {
                    inbox.queue().add(Key::Attachment(attachment.name_any()));
                }
            }
        }
    }
}

async fn keep_comparing(handler: Arc<Handler>, inbox: Inbox) {
    let mut ticks = interval(handler.shared.options.pace.compare);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for name in handler.compare().await {
            inbox.add(Key::Attachment(name));
        }
    }
}

// === impl Inbox ===

impl Inbox {
    fn add(&self, key: Key) {
        self.queue().add(key);
        self.bell.notify_one();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
