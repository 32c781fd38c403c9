//! What can be taken out of the protocol, or put into it.

/// One rule taken out of the protocol, or one promise taken out of the device or put into it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ablation {
    /// No step of a line looks at the names.
    NoCondition,
    /// A pair that nobody can say was told is answered as it stands.
    UntoldAsItStands,
    /// Publish and re-make open without having cut.
    NoCutBeforeOpen,
    /// A re-make writes both names in one step.
    RemakeInOneStep,
    /// Every grant of a volume has the same subsystem name.
    KeptSubsystem,
    /// A revoke takes the names back and leaves the export on.
    NoCutInRevoke,
    /// Nothing ever turns the export off: names go from node to node while exported.
    NoCut,
    /// The device does not end sessions when an export goes off.
    SessionsOutliveExport,
    /// A process goes on after its term, and answers.
    NoDeadline,
    /// Calls are served over a register that the RDS lost, before the claim on it is brought back.
    ClaimIgnored,
    /// Nothing comes between a `find` and its `set`; every line may run twice.
    AtomicSet,
    /// Nothing is recorded before a line that brings back a told pair is sent.
    NoRecord,
    /// A line that brings a fresh pair may run twice.
    PublishCopied,
    /// A line that brings back a told pair may run twice.
    RemakeCopied,
    /// A grant that nobody was told holds the volume, though another node's claim was told its pair.
    UntoldBeatsTold,
    /// The clock by which a leader measures its term may stand still, as one does that does not
    /// count suspend, or any in a paused virtual machine.
    LeadersClockStops,
    /// A term is measured from the answer of a renewal instead of from when it was sent.
    DeadlineFromReply,
    /// The lock file was made anew: a replacement gets a lock that its frozen predecessor does not
    /// hold.
    LockRecreated,
}
