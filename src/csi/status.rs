//! The one place that chooses gRPC codes.
//!
//! A code is an instruction to its reader, mostly a sidecar. ABORTED, CANCELLED, DEADLINE_EXCEEDED
//! and UNAVAILABLE tell external-provisioner that the operation may still be running
//! (`checkError`); every other code is final, and it may forget a volume that exists. So a final
//! code is a claim about the RDS, and no operation whose outcome is unknown may get one.

use tonic::codegen::http::HeaderMap;
use tonic::{Code, Status};

use crate::csi::rpc::Rpc;
use crate::domain::error::{Effect, Error, Kind};

/// Longest message to a caller, in bytes. It travels in an HTTP/2 header, ends up in Kubernetes
/// events (at most 1 KiB of it) and may quote a value of the request, which can be a megabyte.
const MAX_MESSAGE: usize = 2048;

/// The outcome of a call that succeeded.
pub const OK: &str = name(Code::Ok);
/// The outcome of a call whose caller went away before it was answered.
pub const CANCELLED: &str = name(Code::Cancelled);

/// The answer to a call that failed: its code and the message for the caller. Causes stay in the
/// log, as they can tell of the inside of the RDS.
pub fn answer(rpc: Rpc, error: &Error) -> Status {
    let message = error.context();
    let end = message.floor_char_boundary(MAX_MESSAGE);
    let (message, _) = message.split_at(end);
    Status::new(code(rpc, error.kind(), error.effect()), message)
}

/// The code of an answer, as the gRPC specification spells it.
pub fn outcome(answer: &Status) -> &'static str {
    name(answer.code())
}

/// The code of an answer, by the headers it is sent with: only a failure has one there.
pub fn outcome_in(headers: &HeaderMap) -> &'static str {
    headers
        .get(Status::GRPC_STATUS)
        .map_or(OK, |code| name(Code::from_bytes(code.as_bytes())))
}

/// The number of a code by its name, as the gRPC specification counts them.
pub fn number(outcome: &str) -> i32 {
    let code = (0..=16).find(|raw| name(Code::from_i32(*raw)) == outcome);
    code.unwrap_or(Code::Unknown as i32)
}

/// The code for a call that failed.
pub fn code(rpc: Rpc, kind: Kind, effect: Effect) -> Code {
    if rpc == Rpc::Probe {
        // Sidecars end on any other error of Probe (csi-lib-utils, `ProbeForever`).
        return Code::DeadlineExceeded;
    }
    match effect {
        Effect::None => certain(rpc, kind),
        Effect::Unknown => uncertain(kind),
    }
}

/// The RDS was not touched, or was read afterwards.
fn certain(rpc: Rpc, kind: Kind) -> Code {
    match kind {
        Kind::Invalid => Code::InvalidArgument,
        Kind::Unsupported => Code::Unimplemented,
        Kind::NotFound => Code::NotFound,
        Kind::Incompatible => Code::AlreadyExists,
        Kind::AttachedElsewhere | Kind::InUse => Code::FailedPrecondition,
        Kind::OutOfRange => Code::OutOfRange,
        Kind::NoSpace => no_space(rpc),
        Kind::Busy | Kind::BadToken => Code::Aborted,
        Kind::NotLeader | Kind::Unavailable => Code::Unavailable,
        Kind::Timeout => Code::DeadlineExceeded,
        Kind::Misconfigured => misconfigured(rpc),
        Kind::Bug => Code::Internal,
    }
}

/// A command was sent and not answered: it may still take effect.
fn uncertain(kind: Kind) -> Code {
    match kind {
        Kind::Busy => Code::Aborted,
        Kind::Timeout => Code::DeadlineExceeded,
        Kind::Invalid
        | Kind::Unsupported
        | Kind::NotFound
        | Kind::Incompatible
        | Kind::AttachedElsewhere
        | Kind::InUse
        | Kind::OutOfRange
        | Kind::NoSpace
        | Kind::BadToken
        | Kind::NotLeader
        | Kind::Unavailable
        | Kind::Misconfigured
        | Kind::Bug => Code::Unavailable,
    }
}

fn no_space(rpc: Rpc) -> Code {
    if rpc == Rpc::ControllerPublishVolume {
        // external-attacher copies the code into the VolumeAttachment, where kubelet reads
        // RESOURCE_EXHAUSTED as "this node has no room for another volume" and fails the pod.
        return Code::Unavailable;
    }
    // external-provisioner picks another node on this code only for drivers with topology, which
    // this one does not have: the same request comes again, with back-off.
    Code::ResourceExhausted
}

fn misconfigured(rpc: Rpc) -> Code {
    if rpc == Rpc::ControllerExpandVolume {
        // external-resizer takes FAILED_PRECONDITION for "offline expansion only" and does not ask
        // again before the pod is gone, however soon the RDS is put right.
        return Code::Unavailable;
    }
    Code::FailedPrecondition
}

const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// What external-provisioner, -resizer and -snapshotter take for "may still be running".
    const NOT_FINAL: [Code; 4] = [
        Code::Aborted,
        Code::Cancelled,
        Code::DeadlineExceeded,
        Code::Unavailable,
    ];

    fn space() -> impl Iterator<Item = (Rpc, Kind, Effect)> {
        let kinds = Rpc::ALL
            .into_iter()
            .flat_map(|rpc| Kind::ALL.map(|kind| (rpc, kind)));
        kinds.flat_map(|(rpc, kind)| {
            [Effect::None, Effect::Unknown].map(|effect| (rpc, kind, effect))
        })
    }

    fn expected(kind: Kind) -> Code {
        match kind {
            Kind::Invalid => Code::InvalidArgument,
            Kind::Unsupported => Code::Unimplemented,
            Kind::NotFound => Code::NotFound,
            Kind::Incompatible => Code::AlreadyExists,
            Kind::AttachedElsewhere | Kind::InUse | Kind::Misconfigured => Code::FailedPrecondition,
            Kind::OutOfRange => Code::OutOfRange,
            Kind::NoSpace => Code::ResourceExhausted,
            Kind::Busy | Kind::BadToken => Code::Aborted,
            Kind::NotLeader | Kind::Unavailable => Code::Unavailable,
            Kind::Timeout => Code::DeadlineExceeded,
            Kind::Bug => Code::Internal,
        }
    }

    #[test]
    fn an_unknown_outcome_never_gets_a_code_that_claims_to_know_it() {
        for (rpc, kind, _) in space() {
            let code = code(rpc, kind, Effect::Unknown);
            assert!(
                NOT_FINAL.contains(&code),
                "{rpc:?} {kind:?}: {code:?} lets external-provisioner forget a volume that may exist"
            );
        }
    }

    #[test]
    fn a_known_outcome_gets_the_code_of_its_kind_but_for_the_named_exceptions() {
        let exceptions = [
            (
                Rpc::ControllerPublishVolume,
                Kind::NoSpace,
                Code::Unavailable,
            ),
            (
                Rpc::ControllerExpandVolume,
                Kind::Misconfigured,
                Code::Unavailable,
            ),
        ];
        for (rpc, kind, effect) in space().filter(|(rpc, ..)| *rpc != Rpc::Probe) {
            if effect == Effect::Unknown {
                continue;
            }
            let named = exceptions
                .iter()
                .find(|(for_rpc, for_kind, _)| (*for_rpc, *for_kind) == (rpc, kind));
            let expected = named.map_or(expected(kind), |(.., code)| *code);
            assert_eq!(code(rpc, kind, effect), expected, "{rpc:?} {kind:?}");
        }
    }

    #[test]
    fn no_failure_is_answered_as_success_or_without_a_meaning() {
        for (rpc, kind, effect) in space() {
            let code = code(rpc, kind, effect);
            assert!(
                ![Code::Ok, Code::Unknown, Code::Cancelled].contains(&code),
                "{rpc:?} {kind:?} {effect:?}: {code:?}"
            );
        }
    }

    #[test]
    fn no_error_of_probe_ends_a_sidecar() {
        for (_, kind, effect) in space() {
            assert_eq!(code(Rpc::Probe, kind, effect), Code::DeadlineExceeded);
        }
    }

    #[test]
    fn kubelet_never_fails_a_pod_because_the_pool_is_full() {
        for (_, kind, effect) in space() {
            let code = code(Rpc::ControllerPublishVolume, kind, effect);
            assert_ne!(code, Code::ResourceExhausted, "{kind:?} {effect:?}");
        }
    }

    #[test]
    fn only_an_attachment_makes_the_resizer_wait_for_the_pod() {
        for (_, kind, effect) in space() {
            let parked =
                code(Rpc::ControllerExpandVolume, kind, effect) == Code::FailedPrecondition;
            let attachment =
                matches!(kind, Kind::AttachedElsewhere | Kind::InUse) && effect == Effect::None;
            assert_eq!(parked, attachment, "{kind:?} {effect:?}");
        }
    }

    #[test]
    fn every_code_has_a_name_of_its_own() {
        let codes: HashSet<_> = (0..=16).map(|raw| name(Code::from_i32(raw))).collect();
        assert_eq!(codes.len(), 17);
    }

    #[test]
    fn the_caller_reads_the_message_and_not_its_causes() {
        let error = Error::new(Kind::Unavailable, "cannot reach the RDS")
            .because(std::io::Error::other("10.0.0.1 refused"));
        let answer = answer(Rpc::CreateVolume, &error);
        assert_eq!(answer.message(), "cannot reach the RDS");
        assert_eq!(outcome(&answer), "UNAVAILABLE");
    }

    #[test]
    fn a_message_that_quotes_a_huge_value_still_fits_into_a_header() {
        let error = Error::invalid("ü".repeat(1 << 20));
        let length = answer(Rpc::CreateVolume, &error).message().len();
        assert_eq!(length, MAX_MESSAGE);
    }
}
