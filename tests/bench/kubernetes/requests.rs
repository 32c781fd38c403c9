//! Who asked the Kubernetes API for what, from the audit log of the API server.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use super::report::Table;

/// Of a thousand attachments ten requests: a watch that broke, or a renewal of the Lease, is fewer.
const WORTH_TELLING: f64 = 0.01;

/// The audit log from some place on.
#[derive(Debug)]
pub(crate) struct Requests {
    log: PathBuf,
    /// All requests of the driver and of its sidecars come from this user.
    user: String,
    from: u64,
}

/// How often each kind of request was made.
pub(crate) type Counts = BTreeMap<Kind, u64>;

/// A kind of request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind {
    /// The program.
    by: String,
    /// Verb and resource.
    what: String,
}

// === impl Requests ===

impl Requests {
    /// Requests of this namespace's ServiceAccounts from now on.
    pub(crate) fn from_now_on(log: &Path, namespace: &str) -> anyhow::Result<Self> {
        let metadata = std::fs::metadata(log).context("find the audit log")?;
        Ok(Self {
            log: log.to_owned(),
            user: format!("system:serviceaccount:{namespace}:"),
            from: metadata.len(),
        })
    }

    /// What was asked since then. Long requests, such as watches, are told of when they end.
    pub(crate) fn count(&self) -> anyhow::Result<Counts> {
        let mut log = File::open(&self.log).context("open the audit log")?;
        log.seek(SeekFrom::Start(self.from))?;
        let mut counts = Counts::new();
        for line in BufReader::new(log).split(b'\n') {
            // The last line may be half written.
            let Ok(entry) = serde_json::from_slice::<Value>(&line?) else {
                continue;
            };
            let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str);
            let is_ours = text("/user/username").is_some_and(|user| user.starts_with(&self.user));
            let verb = text("/verb").unwrap_or_default();
            if !is_ours || verb == "watch" {
                continue;
            }
            let by = text("/userAgent").and_then(|agent| agent.split('/').next());
            let resource = text("/objectRef/resource").unwrap_or_default();
            let part = text("/objectRef/subresource").map(|part| format!("/{part}"));
            let what = format!("{verb} {resource}{}", part.unwrap_or_default());
            let by = by.unwrap_or("somebody").to_owned();
            *counts.entry(Kind { by, what }).or_default() += 1;
        }
        Ok(counts)
    }
}

/// A table of requests, and how many of them there were for each unit of work.
pub(crate) fn table(title: &str) -> Table {
    let header = ["request", "of them", "for each"];
    Table::new(format!("{title}: requests to Kubernetes"), &header)
}

/// Adds what grew with the work: the rest is housekeeping.
pub(crate) fn add(table: &mut Table, during: &str, counts: &Counts, work: f64) {
    for (kind, &count) in counts {
        let each = count as f64 / work;
        if each >= WORTH_TELLING {
            table.row(vec![
                format!("{during}: {} {}", kind.by, kind.what),
                count.to_string(),
                format!("{each:.2}"),
            ]);
        }
    }
}
