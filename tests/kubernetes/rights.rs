//! What the ServiceAccount may do, compared with what was done: the API server's own record of both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use testbed::bed::{Bed, Ground, Options};
use testbed::control_plane::{Component, ControlPlane, Options as PlaneOptions};
use testbed::trouble::{Attempt, Trouble};
use testbed::workload::{ClaimWanted, LONG, Volume};
use tokio::time::{interval, timeout};

use crate::app::{App, CLAIM, attach_by_hand, attach_error, seen, steady};

/// More than a volume may have: 100 TiB.
const TOO_MUCH: u64 = 100 << 10;
/// Between two looks at the record, which is a file of some MiB at most.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The last requests are on record when they are answered; events are posted a little later.
const RECORD_LIMIT: Duration = Duration::from_secs(30);

/// The first replica makes the Lease, and what fails is asked again soon.
pub(crate) fn options() -> Options {
    let soon = json!({"retryIntervalMax": "2s"});
    let values = json!({
        "controller": {"attachmentReconcileInterval": "1s"},
        "sidecars": {"attacher": soon, "provisioner": soon},
    });
    Options {
        released_lease: false,
        ..steady(&["a", "b"], values)
    }
}

/// Who acts under the ServiceAccount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Driver,
    Sidecars,
}

/// What one rule lets somebody do: API group, resource, verb.
type Right = (Who, String, String, String);

/// The requests of a ServiceAccount.
#[derive(Debug, Default)]
struct Done {
    used: BTreeMap<Right, usize>,
    refused: Vec<Value>,
}

/// Volumes are made, grown, attached, refused, brought back and deleted. No request of the driver or
/// of a sidecar is forbidden, and each right of each role is one that was made use of by whom the role
/// is for.
pub(crate) async fn no_request_is_forbidden_and_no_right_is_unused(
    bed: &Bed,
) -> Result<(), Trouble> {
    let granted = granted(bed)?;
    everything(bed).await?;
    // Sidecars ask for a list as a watch that begins with one, and for a plain list where the API
    // server offers no such thing: one before Kubernetes 1.34.
    let is_left = |right: &Right| right.0 == Who::Driver || right.3 != "list";
    let expected = granted.iter().filter(|right| is_left(right)).cloned();
    let mut done = recorded(bed, expected.collect()).await?;
    let older = without_streamed_lists(bed).await?;
    let lists = granted.iter().filter(|right| !is_left(right)).cloned();
    let more = recorded(&older, lists.collect()).await;
    older.finish(more.as_ref().map(drop).map_err(again)).await?;
    done.add(more?);

    let unused: Vec<&Right> = granted
        .iter()
        .filter(|right| !done.used.contains_key(*right))
        .collect();
    assert!(unused.is_empty(), "{unused:#?}");
    assert!(done.refused.is_empty(), "{:#?}", done.refused);
    let requests: usize = done.used.values().sum();
    bed.note("rights granted, all used", granted.len());
    bed.note("requests, none forbidden", requests);
    Ok(())
}

fn again(trouble: &Trouble) -> Trouble {
    Trouble::found(trouble.to_string())
}

/// The same chart on an API server that answers lists only as lists.
async fn without_streamed_lists(bed: &Bed) -> Result<Bed, Trouble> {
    let gate = "--feature-gates=WatchList=false";
    let options = PlaneOptions::quick().flag(Component::ApiServer, gate);
    let ground = Ground {
        plane: Arc::new(ControlPlane::start(options).await?),
        ..bed.ground().clone()
    };
    let name = format!("{}, lists not streamed", bed.name());
    Bed::start(&ground, &name, steady(&[], json!({}))).await
}

/// What is on record once all of these rights have been used, or the time for that is over.
async fn recorded(bed: &Bed, expected: BTreeSet<Right>) -> Result<Done, Trouble> {
    let mut done = record(bed)?;
    let look = async {
        let mut ticks = interval(LOOK_EVERY);
        while !expected.iter().all(|right| done.used.contains_key(right)) {
            ticks.tick().await;
            done = record(bed)?;
        }
        Ok::<_, Trouble>(())
    };
    if let Ok(looked) = timeout(RECORD_LIMIT, look).await {
        looked?;
    }
    Ok(done)
}

/// Every right of every rendered role.
fn granted(bed: &Bed) -> Result<BTreeSet<Right>, Trouble> {
    let mut granted = BTreeSet::new();
    let mut add = |who: Who, rules: Option<Vec<PolicyRule>>| {
        for rule in rules.unwrap_or_default() {
            for group in rule.api_groups.iter().flatten() {
                for resource in rule.resources.iter().flatten() {
                    for verb in &rule.verbs {
                        granted.insert((who, group.clone(), resource.clone(), verb.clone()));
                    }
                }
            }
        }
    };
    for role in bed.chart().all::<ClusterRole>()? {
        let is_sidecars = role.name_any().ends_with("-sidecars");
        let who = if is_sidecars {
            Who::Sidecars
        } else {
            Who::Driver
        };
        add(who, role.rules);
    }
    for role in bed.chart().all::<Role>()? {
        add(Who::Driver, role.rules);
    }
    assert!(!granted.is_empty(), "the chart grants nothing");
    Ok(granted)
}

/// What the API server's record says about the ServiceAccount of this test.
fn record(bed: &Bed) -> Result<Done, Trouble> {
    let plan = bed.deployment().plan();
    let account = plan.spec.service_account_name.clone().unwrap_or_default();
    let user = format!("system:serviceaccount:{}:{account}", plan.namespace);
    let path = bed.plane().audit_log();
    let log = std::fs::read_to_string(path).attempt(|| format!("read {}", path.display()))?;
    let mut done = Done::default();
    // The last line may be half-written.
    let requests = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    for request in requests {
        let request: Value = request;
        let text = |pointer: &str| {
            let found = request.pointer(pointer).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        if text("/user/username") != user {
            continue;
        }
        if request.pointer("/responseStatus/code") == Some(&json!(403)) {
            done.refused.push(request);
            continue;
        }
        let mut resource = text("/objectRef/resource");
        let part = text("/objectRef/subresource");
        if !part.is_empty() {
            resource = format!("{resource}/{part}");
        }
        let is_sidecar = text("/userAgent").starts_with("csi-");
        let who = if is_sidecar {
            Who::Sidecars
        } else {
            Who::Driver
        };
        let right = (who, text("/objectRef/apiGroup"), resource, text("/verb"));
        *done.used.entry(right).or_default() += 1;
    }
    Ok(done)
}

impl Done {
    fn add(&mut self, other: Self) {
        let Self { used, refused } = other;
        for (right, times) in used {
            *self.used.entry(right).or_default() += times;
        }
        self.refused.extend(refused);
    }
}

/// Everything that the driver and its sidecars ask the API for.
async fn everything(bed: &Bed) -> Result<(), Trouble> {
    let (user, world) = (bed.workload(), bed.sim().world());
    user.claim(CLAIM).await?;
    let slot = user.bound(CLAIM, LONG).await?.handle;
    let free = world.disk(&slot).expect("it was made");
    let (holder, asking) = (bed.node("a")?.name(), bed.node("b")?.name());
    let app = App::on_claim(bed, "app", Some(holder)).await?;
    user.expand(CLAIM, 2).await?;
    user.event("pvc/data", &["FileSystemResizeRequired"], LONG)
        .await?;

    let granted = world.disk(&slot).expect("it is attached");
    let line = format!(
        "/disk/set [find where slot=\"{slot}\"] nvme-tcp-export=no \
         nvme-tcp-server-nqn=\"{}\" nvme-tcp-server-allow-host-name=\"{}\"",
        free.subsystem_nqn, free.allow_host_name
    );
    world.exec("somebody", &line).await;
    let is_back = || world.disk(&slot).as_ref() == Some(&granted);
    seen("the grant is back", is_back).await?;

    // Somebody left an attachment of a volume and a node that are both gone: before anybody is let
    // in, what it means has to be found out.
    let lost = Volume {
        name: format!("lost-{}", app.volume.name),
        handle: "csi-00000000000000000000000000ff".to_owned(),
    };
    attach_by_hand(bed, &lost, &format!("lost-{holder}")).await?;
    attach_by_hand(bed, &app.volume, asking).await?;
    attach_error(bed, &app.volume, asking).await?;
    let words = ["AttachmentConflict", "(x"];
    user.event("pvc/data", &words, LONG).await?;
    let attachments = user.all::<VolumeAttachment>();
    let name = user.attachment(&app.volume, asking);
    let params = DeleteParams::default();
    let call = attachments.delete(&name, &params);
    let what = || format!("delete VolumeAttachment {name}");
    timeout(LONG, call).await.attempt(what)?.attempt(what)?;
    user.detached(&app.volume, asking, LONG).await?;

    let wanted = ClaimWanted {
        name: "too-much",
        gib: TOO_MUCH,
        shared_block: false,
    };
    user.make_claim(wanted).await?;
    let words = ["ProvisioningFailed", "code = OutOfRange", "(x"];
    let event = user.event("pvc/too-much", &words, LONG).await?;
    bed.note("kubectl events, too large a claim", event);
    user.delete::<PersistentVolumeClaim>("too-much").await?;

    user.delete::<Pod>("app").await?;
    user.detached(&app.volume, holder, LONG).await?;
    user.delete::<PersistentVolumeClaim>(CLAIM).await?;
    let volumes = user.all::<PersistentVolume>();
    user.gone(volumes, &app.volume.name, LONG).await
}
