//! The ways in which a leader goes.

use rds_csi::workload::cluster::Blow;

/// How a leader goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is asked to, and hands over.
    Term,
    /// It crashes, and is started again in its pod at once.
    Crash,
    /// It crashes, and its pod is gone.
    Gone,
    /// It freezes.
    Freeze,
}

// === impl Kind ===

impl Kind {
    /// In tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Term => "SIGTERM",
            Self::Crash => "SIGKILL, the pod survives",
            Self::Gone => "SIGKILL, the pod is gone",
            Self::Freeze => "SIGSTOP",
        }
    }

    /// The signal.
    pub(crate) fn blow(self) -> Blow {
        match self {
            Self::Term => Blow::Terminate,
            Self::Crash | Self::Gone => Blow::Kill,
            Self::Freeze => Blow::Freeze,
        }
    }

    /// The most that the medians may be, in seconds, and how a table calls them: ready, Publish to
    /// the node that has the volume, Publish to another one.
    pub(crate) fn aim(self) -> Option<(f64, [&'static str; 3])> {
        match self {
            Self::Term => Some((
                1.0,
                [
                    "SIGTERM: ready, p50",
                    "SIGTERM: Publish, same node, p50",
                    "SIGTERM: Publish, another node, p50",
                ],
            )),
            Self::Crash => Some((
                2.0,
                [
                    "same pod: ready, p50",
                    "same pod: Publish, same node, p50",
                    "same pod: Publish, another node, p50",
                ],
            )),
            Self::Gone => Some((
                10.0,
                [
                    "pod gone: ready, p50",
                    "pod gone: Publish, same node, p50",
                    "pod gone: Publish, another node, p50",
                ],
            )),
            Self::Freeze => None,
        }
    }
}
