//! ControllerPublishVolume: read, decide, act, read back, answer.

mod contend;

use tracing::{Span, warn};

use crate::domain::access::{Access, Mode};
use crate::domain::context::{Portal, PublishContext};
use crate::domain::error::{Effect, Error, Kind};
use crate::domain::event::What;
use crate::domain::grant::{Foreign, Pair, Register};
use crate::domain::id::{NodeId, VolumeId};
use crate::domain::leadership::BootTime;
use crate::domain::names::{Names, NodeLabel};
use crate::domain::publish::{self, Publish};
use crate::metrics::volumes::Repair;
use crate::service::ledger::Told;
use crate::service::publish::contend::Consulted;
use crate::service::registers::{After, View, Work, not_found};
use crate::service::shards::Lane;
use crate::service::{State, Volumes};
use crate::telemetry::context;

/// Steps that one call may take before it gives up on a register that changes under its hands.
/// The longest way in order is: read, revoke a stray, grant with a lost reply, read, re-open. Twice
/// that leaves room for one more lost reply.
pub(super) const MAX_STEPS: usize = 10;

/// ControllerPublishVolume, read.
#[derive(Debug)]
pub struct PublishVolume {
    /// What; `None` is an id that is never ours, so there is no such volume.
    pub id: Option<VolumeId>,
    /// Where.
    pub node: NodeId,
    /// How.
    pub access: Access,
    /// Where nodes connect, from volume_context.
    pub portal: Portal,
}

impl Volumes {
    /// Lets exactly one node connect; answers with the names it must use.
    ///
    /// # Errors
    /// `NotFound` for an unknown volume or node, `AttachedElsewhere` naming the holder,
    /// `Incompatible` if the node holds it in another way, `InUse` for names that are not ours.
    pub async fn publish(&self, request: PublishVolume) -> Result<PublishContext, Error> {
        let began = self.0.clock.boot();
        self.0.name_attachment(request.id.as_ref(), &request.node);
        self.0.know(&request.node).await?;
        let id = request.id.clone().ok_or_else(|| not_found("of that id"))?;
        self.exclusively(
            &id.clone(),
            Lane::Publish,
            "publish",
            move |state| async move {
                state.blocked.check(&id)?;
                let publishing = Publishing {
                    work: Work::begin(&state, &id)?,
                    label: request.label(state.cluster.is_some()),
                    request,
                    began,
                };
                let result = publishing.run().await;
                publishing.work.end(result)
            },
        )
        .await
    }
}

impl State {
    /// Tells the trace of the call which VolumeAttachment it is about.
    pub(super) fn name_attachment(&self, id: Option<&VolumeId>, node: &NodeId) {
        if context::is_on()
            && let Some((cluster, id)) = self.cluster.as_ref().zip(id)
        {
            let name = cluster.attachment(id, node);
            Span::current().record("k8s.volumeattachment.name", name);
        }
    }

    /// Refuses a node that does not exist.
    async fn know(&self, node: &NodeId) -> Result<(), Error> {
        let allowed = match (&self.settings.allowed_nodes, &self.cluster) {
            (Some(nodes), _) => nodes.contains(node),
            (None, Some(cluster)) => {
                // Not on a replica that would refuse the call anyway.
                self.terms.current()?;
                cluster.knows(node).await?
            }
            (None, None) => true,
        };
        if allowed {
            return Ok(());
        }
        let context =
            format!("there is no node {node}: no CSINode lists this driver under that id");
        Err(Error::new(Kind::NotFound, context))
    }
}

impl PublishVolume {
    /// Whose name goes into the grant: the node's, or that of all who share. Who shares a volume only
    /// VolumeAttachments can say, so a standalone controller lets in one node at a time.
    fn label(&self, has_claims: bool) -> NodeLabel {
        if has_claims && self.access.mode == Mode::MultiNodeMultiWriter {
            NodeLabel::shared()
        } else {
            NodeLabel::of(&self.node)
        }
    }
}

/// One publish under way.
struct Publishing {
    work: Work,
    label: NodeLabel,
    request: PublishVolume,
    began: BootTime,
}

impl Publishing {
    async fn run(&self) -> Result<PublishContext, Error> {
        Box::pin(self.unblock()).await?;
        let mut view: Option<View> = None;
        let foreseen = matches!(self.work.expectation(), Some(Register::Free(_)));
        self.work.state.counters.looked_up(foreseen);
        let mut lost = None;
        // Names about which the claims were asked: what they say is done at once, and they are asked
        // again about others only.
        let mut settled: Option<Names> = None;
        let has_claims = self.work.state.cluster.is_some();
        for _ in 0..MAX_STEPS {
            let (register, fresh) = match (&view, self.work.expectation()) {
                (Some(view), _) => (view.register.clone(), true),
                // Worth a try without reading: if the names are not what was last seen, the line
                // changes nothing and its own read-back tells what they are.
                (None, Some(free @ Register::Free(_))) => (free, false),
                (None, Some(_) | None) => {
                    view = Some(self.read().await?);
                    continue;
                }
            };
            let told = fresh && self.work.is_told(&self.work.memory(), &register);
            let decided = self.decide(&register, told);
            let is_settled = settled.as_ref() == Some(register.names());
            if has_claims && !is_settled && self.needs_claims(&decided, &register, told) {
                // Boxed: most calls never come here, and it is many times the size of the rest.
                match Box::pin(self.consult(&decided)).await? {
                    Consulted::Seen(seen) => {
                        settled = Some(seen.register.names().clone());
                        view = Some(*seen);
                    }
                    Consulted::AsDecided => settled = Some(register.names().clone()),
                    Consulted::Unknown => view = None,
                }
                continue;
            }
            let after = match decided {
                Publish::Grant(free) => {
                    self.work.settle(&self.label).await;
                    let (pair, after) = self.grant(&free).await?;
                    if let Some(view) = holding(&after, &pair) {
                        return self.attached(view, pair);
                    }
                    after
                }
                Publish::AsItStands(pair) => {
                    let view = view.as_ref().ok_or_else(unread)?;
                    return self.answer(view, pair);
                }
                Publish::Reopen(pair) => {
                    let after = self.work.reopen(&pair).await?;
                    match holding(&after, &pair) {
                        Some(view) if told => return self.repaired(view, pair),
                        Some(view) => return self.attached(view, pair),
                        None => after,
                    }
                }
                Publish::RevokeFirst(names) => self.work.revoke(&names).await?,
                Publish::HeldBy(pair) => return Err(self.held_by(&pair)),
                Publish::Untouchable(why) => return Err(self.untouchable(why)),
            };
            view = match after {
                After::View(view) => Some(*view),
                After::Gone => return Err(self.work.not_found()),
                After::Unknown(error) => {
                    lost = Some(error);
                    None
                }
            };
        }
        Err(gave_up("publish", &self.work.id, lost))
    }

    async fn grant(&self, free: &Names) -> Result<(Pair, After), Error> {
        if self.label.is_shared() {
            self.work.share(free).await
        } else {
            self.work.grant(&self.request.node, free).await
        }
    }

    /// A fresh attachment: the node could not connect before this call.
    fn attached(&self, view: &View, pair: Pair) -> Result<PublishContext, Error> {
        let context = self.answer(view, pair)?;
        let took = self.began.until(self.work.state.clock.boot());
        self.work.happened(What::VolumeAttached {
            volume: self.work.id.clone(),
            node: self.request.node.clone(),
            took,
        });
        Ok(context)
    }

    /// What the node was told stands again: somebody had closed it on the RDS.
    fn repaired(&self, view: &View, pair: Pair) -> Result<PublishContext, Error> {
        let (work, node) = (&self.work, pair.node.clone());
        let context = self.answer(view, pair)?;
        warn!(volume.id = %work.id, %node, "re-opened a grant that was closed on the RDS");
        work.note_repair(&node, Repair::Reopened);
        Ok(context)
    }

    fn decide(&self, register: &Register, told: bool) -> Publish {
        let decided = publish::publish(register, &self.label, told);
        self.work
            .decided("publish", register, told, decided.as_str());
        decided
    }

    async fn read(&self) -> Result<View, Error> {
        self.work
            .read_ours()
            .await?
            .ok_or_else(|| self.work.not_found())
    }

    /// The one place that tells a node its names.
    fn answer(&self, view: &View, pair: Pair) -> Result<PublishContext, Error> {
        let access = self.request.access.clone();
        let memory = self.work.memory();
        if let Some(told) = &memory.told
            && told.pair.tail == pair.tail
            && told.access.as_ref().is_some_and(|before| before != &access)
        {
            return Err(Error::new(
                Kind::Incompatible,
                format!(
                    "volume {} is published to {} in another way than asked now; unpublish it first",
                    self.work.id, self.request.node
                ),
            ));
        }
        let settings = &self.work.state.settings;
        let portal = self.request.portal;
        let context = PublishContext {
            address: portal.address.unwrap_or(settings.nvme_address),
            port: view.entry.port,
            subsystem: pair.names.subsystem.clone().unwrap_or_default(),
            host: pair.names.host.clone(),
            fs_type: access.fs_type(),
        };
        let from = self.work.state.clock.boot();
        self.work.tell(Told {
            pair,
            from,
            access: Some(access),
            remade: false,
        })?;
        if self.label.is_shared() {
            self.work
                .state
                .shares
                .join(&self.work.id, &self.request.node);
        }
        Ok(context)
    }

    /// The refusal of a volume that another node holds, told and counted.
    fn held_by(&self, pair: &Pair) -> Error {
        self.work.happened(What::AttachmentConflict {
            volume: self.work.id.clone(),
            holder: pair.node.to_string(),
            asking: self.request.node.clone(),
        });
        Error::new(
            Kind::AttachedElsewhere,
            format!(
                "volume {} is attached to node {} (since unix time {}, epoch {}); it can be attached to {} once it is detached there",
                self.work.id,
                pair.node,
                pair.tail.unix_seconds,
                pair.tail.epoch.digits(),
                self.request.node
            ),
        )
    }

    fn untouchable(&self, why: Foreign) -> Error {
        Error::new(
            Kind::InUse,
            format!(
                "volume {} cannot be attached: {}",
                self.work.id,
                explain(why)
            ),
        )
    }
}

/// The read-back, if it shows `pair` granted: the only thing that makes a publish succeed.
fn holding<'a>(after: &'a After, pair: &Pair) -> Option<&'a View> {
    match after {
        After::View(view) if view.register == Register::Granted(pair.clone()) => Some(view),
        After::View(_) | After::Gone | After::Unknown(_) => None,
    }
}

fn unread() -> Error {
    Error::bug("a grant was about to be answered from memory")
}

pub(super) fn gave_up(operation: &str, id: &VolumeId, lost: Option<Error>) -> Error {
    let context = format!(
        "{operation} of {id}: the names on the RDS kept changing, or replies kept getting lost; retry later"
    );
    match lost {
        Some(cause) if cause.effect() == Effect::Unknown => {
            Error::unknown(cause.kind(), context).because(cause)
        }
        Some(_) | None => Error::new(Kind::Busy, context),
    }
}

/// What an operator should know about names that are not ours.
pub fn explain(why: Foreign) -> &'static str {
    match why {
        Foreign::OtherCluster => {
            "its names on the RDS belong to another cluster; check --cluster-id, or detach it there"
        }
        Foreign::Wildcard => {
            "it is exported to any host (as the Go driver does, or by hand), so nobody can say who uses it; when no machine does, set nvme-tcp-export=no and names of this driver on the RDS"
        }
        Foreign::Unreadable => {
            "its names on the RDS are none of this driver, so nobody can say who holds it; compare /disk print detail with docs/operations.md"
        }
    }
}
