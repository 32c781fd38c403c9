//! ControllerUnpublishVolume: refuse what is out of date, revoke, read back, answer.

use crate::domain::claim::Wish;
use crate::domain::error::{Error, Kind};
use crate::domain::event::What;
use crate::domain::grant::Register;
use crate::domain::id::{NodeId, VolumeId};
use crate::domain::names::NodeLabel;
use crate::domain::publish::{self, Unpublish};
use crate::service::Volumes;
use crate::service::publish::{MAX_STEPS, explain, gave_up};
use crate::service::registers::{After, Work};
use crate::service::shards::Lane;

impl Volumes {
    /// Takes a volume from a node, or from whichever node holds it. Done when it reads back free.
    ///
    /// # Errors
    /// `Busy` while a VolumeAttachment asks for the opposite; any error while the revoke is unproven:
    /// the volume may only move when the node is out.
    pub async fn unpublish(&self, id: Option<VolumeId>, node: Option<NodeId>) -> Result<(), Error> {
        let Some(id) = id else { return Ok(()) };
        if let Some(node) = &node {
            self.0.name_attachment(Some(&id), node);
        }
        let lane = Lane::Unpublish;
        self.exclusively(&id.clone(), lane, "unpublish", |state| async move {
            let work = Work::begin(&state, &id)?;
            let unpublishing = Unpublishing {
                label: node.as_ref().map(NodeLabel::of),
                node,
                work,
            };
            let result = unpublishing.run().await;
            unpublishing.work.end(result)
        })
        .await
    }
}

/// One unpublish under way.
struct Unpublishing {
    work: Work,
    node: Option<NodeId>,
    label: Option<NodeLabel>,
}

/// A shared volume that goes on being used.
struct Kept {
    by: NodeId,
    /// Whether the node that leaves had it too.
    from_sharer: bool,
}

impl Unpublishing {
    async fn run(&self) -> Result<(), Error> {
        self.refuse_if_wanted().await?;
        let work = &self.work;
        // A grant that was last seen with this node is revoked without reading first; anything else
        // is not worth believing.
        let mut register = work.expectation().filter(|seen| {
            matches!(self.decide(seen), Unpublish::Revoke(_)) && seen.pair().is_some()
        });
        work.state.counters.looked_up(register.is_some());
        let mut lost = None;
        let mut revoked = false;
        for _ in 0..MAX_STEPS {
            let current = match register.take() {
                Some(register) => register,
                None => match self.read().await? {
                    Some(register) => register,
                    None => return Ok(()),
                },
            };
            let decided = self.decide(&current);
            work.decided("unpublish", &current, false, decided.as_str());
            let after = match decided {
                Unpublish::Nothing => {
                    if matches!(current, Register::Free(_)) {
                        return self.detached(revoked);
                    }
                    return work.term.check();
                }
                Unpublish::LeaveShare(pair) => {
                    if let Some(kept) = self.keeper().await? {
                        return self.left(&kept);
                    }
                    revoked = true;
                    work.revoke(&pair.names).await?
                }
                Unpublish::Unprovable(why) => {
                    let context =
                        format!("volume {} cannot be detached: {}", work.id, explain(why));
                    return Err(Error::new(Kind::InUse, context));
                }
                Unpublish::Revoke(names) => {
                    revoked = true;
                    work.revoke(&names).await?
                }
            };
            match after {
                After::Gone => return Ok(()),
                After::View(view) if matches!(view.register, Register::Free(_)) => {
                    return self.detached(revoked);
                }
                After::View(view) => register = Some(view.register),
                After::Unknown(error) => lost = Some(error),
            }
        }
        Err(gave_up("unpublish", &work.id, lost))
    }

    fn decide(&self, register: &Register) -> Unpublish {
        publish::unpublish(register, self.label.as_ref())
    }

    /// The register; `None` if there is no such volume, or none of ours.
    async fn read(&self) -> Result<Option<Register>, Error> {
        let work = &self.work;
        let Some(entry) = work.read().await? else {
            return Ok(None);
        };
        let base = &work.state.settings.base;
        if entry.prove_ours(&work.term.scheme, base).is_err() {
            return Ok(None);
        }
        Ok(Some(work.view(entry)?.register))
    }

    /// An external-attacher may outlive its leader and ask for what is long out of date: a volume whose
    /// attachment is not being deleted is not taken away. Nothing is changed then.
    async fn refuse_if_wanted(&self) -> Result<(), Error> {
        let Some(cluster) = &self.work.state.cluster else {
            return Ok(());
        };
        let id = &self.work.id;
        let claims = match &self.node {
            Some(node) => cluster.claim(id, node).await?.into_iter().collect(),
            None => cluster.claims_on(id).await?,
        };
        let wanted = claims.iter().find(|claim| claim.wish == Wish::Attach);
        wanted.map_or(Ok(()), |claim| {
            Err(Error::new(
                Kind::Busy,
                format!(
                    "volume {id} is not taken from node {}: VolumeAttachment {} asks for it and is not being deleted; if this call comes from an external-attacher, it is out of date",
                    claim.node, claim.attachment.name
                ),
            ))
        })
    }

    /// Who keeps a shared volume when this node leaves: anybody who was told how to connect, or may have
    /// been, and that external-attacher has not let go.
    async fn keeper(&self) -> Result<Option<Kept>, Error> {
        let work = &self.work;
        let proof = work.proof().await?;
        let (own, others): (Vec<_>, Vec<_>) = proof
            .entitled()
            .filter(|claim| work.state.shares.counts(&work.id, claim))
            .partition(|claim| Some(&claim.node) == self.node.as_ref());
        Ok(others.first().map(|claim| Kept {
            by: claim.node.clone(),
            from_sharer: !own.is_empty(),
        }))
    }

    /// The node has left a volume that another one keeps. It could still connect: all who share a
    /// volume know the same names, and they go with the last one.
    fn left(&self, kept: &Kept) -> Result<(), Error> {
        let work = &self.work;
        work.term.check()?;
        let Some(node) = &self.node else {
            return Ok(());
        };
        let was_first = work.state.shares.leave(&work.id, node);
        let Some(was_first) = was_first.filter(|_| kept.from_sharer) else {
            return Ok(());
        };
        let (volume, left, kept) = (work.id.clone(), node.clone(), kept.by.to_string());
        tracing::info!(volume.id = %volume, node.id = %left, "left a shared volume; it is not fenced before the last one leaves");
        work.happened(if was_first {
            What::MigrationCompleted { volume, left, kept }
        } else {
            What::MigrationFailed { volume, left, kept }
        });
        Ok(())
    }

    /// It reads back free: nobody may have it back, should the RDS come back with an older state.
    fn detached(&self, revoked: bool) -> Result<(), Error> {
        let work = &self.work;
        work.state.ledger.untell(&work.id);
        work.term.check()?;
        work.state.blocked.clear(&work.id);
        work.state.shares.clear(&work.id);
        if revoked {
            work.happened(What::VolumeDetached {
                volume: work.id.clone(),
                node: self.node.clone(),
            });
        }
        Ok(())
    }
}
