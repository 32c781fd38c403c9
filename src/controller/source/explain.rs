//! One volume in words: who has it, whether another node would get it now, and what to do.

use crate::admin::report::{self, Explanation};
use crate::domain::claim::{Claim, Presence, PvcRef, Wish};
use crate::domain::drift::Contention;
use crate::domain::grant::Register;
use crate::domain::id::VolumeId;
use crate::service::{Account, Decision};

/// What is told of a volume. `now` is in seconds since 1970.
pub(super) fn explanation(
    id: &VolumeId,
    account: &Account,
    pvc: Option<&PvcRef>,
    now: u64,
) -> Explanation {
    let register = account.register.as_ref();
    let pair = register.and_then(Register::pair);
    let entry = account.entry.as_ref().zip(register);
    Explanation {
        volume: id.to_string(),
        pvc: pvc.map(|pvc| format!("{}/{}", pvc.namespace, pvc.name)),
        holder: pair.map(|pair| report::Holder {
            node: pair.node.to_string(),
            since_unix: pair.tail.unix_seconds,
            age_ms: now
                .saturating_sub(pair.tail.unix_seconds)
                .saturating_mul(1000),
            epoch: pair.tail.epoch.digits(),
        }),
        register: entry.map(|(entry, register)| report::Register {
            state: register.as_str().to_owned(),
            exported: entry.exported,
            subsystem: entry.names.subsystem.clone(),
            host: entry.names.host.clone(),
        }),
        claims: account
            .claims
            .iter()
            .map(|(claim, machine)| attachment(claim, *machine, register))
            .collect(),
        last_decision: account.decision.as_ref().map(|one| decision(one, now)),
        verdict: verdict(id, account),
        advice: advice(account),
    }
}

/// A decision, as it is told.
pub(super) fn decision(decision: &Decision, now: u64) -> report::Decision {
    let Decision {
        volume,
        operation,
        decided,
        unix,
        trace,
    } = decision;
    report::Decision {
        volume: volume.to_string(),
        operation: (*operation).to_owned(),
        decided: (*decided).to_owned(),
        age_ms: now.saturating_sub(*unix).saturating_mul(1000),
        trace: trace.clone(),
    }
}

fn attachment(claim: &Claim, machine: Presence, register: Option<&Register>) -> report::Attachment {
    report::Attachment {
        name: claim.attachment.name.clone(),
        node: claim.node.to_string(),
        wish: match claim.wish {
            Wish::Attach => "attach",
            Wish::Detach => "detach",
        }
        .to_owned(),
        attached: claim.attached,
        told: claim.told.is_some() && claim.told.as_ref() == register.map(Register::names),
        machine: match machine {
            Presence::Present => "present",
            Presence::OutOfService => "out-of-service",
            Presence::Gone => "gone",
        }
        .to_owned(),
    }
}

/// Whether another node would get the volume now, and if not, why.
fn verdict(id: &VolumeId, account: &Account) -> String {
    if let Some(why) = &account.blocked {
        return why.clone();
    }
    let Some(register) = &account.register else {
        return format!("there is no volume {id} on the RDS");
    };
    match (register, account.contention) {
        (Register::Free(_), _) => "free: the next node that is to have it gets it".to_owned(),
        (Register::Stray(_), _) => {
            "its names are half written and nobody was told them: the next node gets it".to_owned()
        }
        (Register::Foreign { why, .. }, _) => {
            format!("refused to every node: {}", crate::service::explain(*why))
        }
        (Register::Granted(pair) | Register::Prepared(pair), Some(Contention::Revoke(reason))) => {
            format!(
                "held by {}, but another node that asks gets it: {}",
                pair.node,
                reason.as_str()
            )
        }
        (Register::Granted(pair) | Register::Prepared(pair), Some(Contention::Held) | None) => {
            format!(
                "held by {}, which has a VolumeAttachment: other nodes are refused until it has let go",
                pair.node
            )
        }
    }
}

fn advice(account: &Account) -> Vec<String> {
    let Some(Contention::Held) = account.contention else {
        return Vec::new();
    };
    vec![
        "to move it, delete or scale down the pod that uses it; Kubernetes then detaches it".to_owned(),
        "if its node is dead, make sure that the machine is off, then taint it: kubectl taint node NODE node.kubernetes.io/out-of-service=nodeshutdown:NoExecute".to_owned(),
    ]
}
