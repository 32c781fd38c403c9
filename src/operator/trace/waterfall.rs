//! A trace as rows in the order in which it is read: each span under the one that it is part of, with
//! what is worth saying about it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::operator::jaeger::answer::{Span, Trace};

/// A take-over of thousands of volumes has more; nobody reads them as a picture.
const MAX_ROWS: usize = 200;

/// Attributes that are shown, the ones that matter most first: a row may be too short for all.
const SHOWN: [&str; 24] = [
    "outcome",
    "error",
    "decided",
    "operation",
    "register",
    "told",
    "rds.verb",
    "rds.slot",
    "rds.attempt",
    "rds.connection",
    "rds.request_bytes",
    "rds.reply_bytes",
    "after",
    "csi.volume_id",
    "csi.volume_name",
    "csi.node_id",
    "k8s.verb",
    "k8s.resource",
    "k8s.event.reason",
    "k8s.object",
    "lease.epoch",
    "lease.seconds_left",
    "shard",
    "times",
];

/// Outcomes that are what was hoped for.
const GOOD: [&str; 4] = ["OK", "done", "granted", "replied"];

/// Spans in which nothing is done but waiting.
const WAITS: [&str; 3] = ["rds.connection.wait", "settle", "shard.queue"];

/// A trace, ready to be shown.
#[derive(Debug)]
pub struct Waterfall<'a> {
    /// Its id.
    pub id: &'a str,
    /// From the first begin to the last end, in microseconds. Never 0.
    pub length: u64,
    /// When it began, in microseconds since 1970.
    pub begin: u64,
    /// Its spans; at least one.
    pub rows: Vec<Row<'a>>,
    /// How many spans more it has.
    pub hidden: usize,
}

/// One span.
#[derive(Debug)]
pub struct Row<'a> {
    /// How many are above it.
    pub depth: usize,
    /// Its name.
    pub name: &'a str,
    /// When it began, in microseconds after the trace.
    pub offset: u64,
    /// How long it took, in microseconds.
    pub duration: u64,
    /// How it went.
    pub tone: Tone,
    /// Attributes and their values, but for those that are the same above it.
    pub details: Vec<(&'static str, String)>,
}

/// How a span went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// It did what it was for.
    Done,
    /// It was answered otherwise: a refusal that is the caller's business, a conflict.
    Otherwise,
    /// The driver or the RDS failed.
    Failed,
    /// It only waited.
    Waited,
    /// A step of the driver itself.
    Step,
}

// === impl Waterfall ===

impl<'a> Waterfall<'a> {
    /// Of a trace. `None` if it has no span that is not below itself.
    pub fn of(trace: &'a Trace) -> Option<Self> {
        let begin = trace.begin();
        let ends = trace.spans.iter();
        let ends = ends.map(|span| span.start_time.saturating_add(span.duration));
        let length = ends.max().unwrap_or_default().saturating_sub(begin).max(1);
        let mut rows: Vec<Row<'a>> = Vec::new();
        // The rows above the next one, the outermost first.
        let mut above: Vec<&Span> = Vec::new();
        for (depth, span) in ordered(trace).into_iter().take(MAX_ROWS) {
            above.truncate(depth);
            rows.push(Row::of(span, &above, begin));
            above.push(span);
        }
        let shown = rows.len();
        (!rows.is_empty()).then_some(Self {
            id: &trace.trace_id,
            length,
            begin,
            rows,
            hidden: trace.spans.len() - shown,
        })
    }
}

/// The spans with how deep each is: parents before their children, these by their begin.
fn ordered(trace: &Trace) -> Vec<(usize, &Span)> {
    let known: BTreeSet<&str> = trace.spans.iter().map(|span| &*span.span_id).collect();
    let mut children: BTreeMap<Option<&str>, Vec<&Span>> = BTreeMap::new();
    for span in &trace.spans {
        let mut references = span.references.iter();
        let parent = references.find(|one| {
            one.ref_type == "CHILD_OF"
                && one.trace_id == trace.trace_id
                && known.contains(&*one.span_id)
        });
        let parent = parent.map(|parent| &*parent.span_id);
        children.entry(parent).or_default().push(span);
    }
    for siblings in children.values_mut() {
        // Last first: they are taken from the end.
        siblings.sort_by_key(|span| std::cmp::Reverse((span.start_time, &span.span_id)));
    }
    let below = |parent: Option<&str>, depth: usize| {
        let spans = children.get(&parent).into_iter().flatten();
        spans.map(move |span| (depth, *span)).collect::<Vec<_>>()
    };
    let mut waiting = below(None, 0);
    let mut found = Vec::with_capacity(trace.spans.len());
    while let Some((depth, span)) = waiting.pop() {
        found.push((depth, span));
        waiting.extend(below(Some(&span.span_id), depth + 1));
    }
    found
}

/// An attribute as it is shown.
fn shown(span: &Span, key: &str) -> Option<String> {
    let mut tags = span.tags.iter().filter(|tag| tag.key == key);
    // Jaeger marks a failure with a tag `error` that is true; ours of that name has the reason.
    let tag = tags.find(|tag| key != "error" || tag.value.is_string())?;
    Some(match (&tag.value, tag.value.as_f64()) {
        (Value::String(text), _) => text.clone(),
        (Value::Number(number), Some(value)) if number.is_f64() => format!("{value:.2}"),
        (other, _) => other.to_string(),
    })
}

// === impl Row ===

impl<'a> Row<'a> {
    fn of(span: &'a Span, above: &[&Span], begin: u64) -> Self {
        let is_news = |key: &str, value: &String| {
            let mut above = above.iter().rev();
            above.find_map(|span| shown(span, key)).as_ref() != Some(value)
        };
        let details = SHOWN.iter().filter_map(|key| {
            let value = shown(span, key)?;
            // How each step went is worth a word even if the one above went as well.
            (*key == "outcome" || is_news(key, &value)).then_some((*key, value))
        });
        Self {
            depth: above.len(),
            name: &span.operation_name,
            offset: span.start_time.saturating_sub(begin),
            duration: span.duration,
            tone: Tone::of(span),
            details: details.collect(),
        }
    }

    /// The value of an attribute that is shown.
    pub fn said(&self, key: &str) -> Option<&str> {
        let mut details = self.details.iter();
        let found = details.find(|(name, _)| *name == key)?;
        Some(&found.1)
    }
}

// === impl Tone ===

impl Tone {
    /// All of them, as a legend has them.
    pub const ALL: [Self; 5] = [
        Self::Done,
        Self::Otherwise,
        Self::Failed,
        Self::Waited,
        Self::Step,
    ];

    fn of(span: &Span) -> Self {
        let outcome = span.tag("outcome");
        let failed = span
            .tag("otel.status_code")
            .is_some_and(|code| code == "ERROR")
            || span
                .tags
                .iter()
                .any(|tag| tag.key == "error" && tag.value == true);
        match outcome.as_deref() {
            _ if failed => Self::Failed,
            Some(outcome) if GOOD.contains(&outcome) => Self::Done,
            Some(_) => Self::Otherwise,
            None if WAITS.contains(&&*span.operation_name) => Self::Waited,
            None => Self::Step,
        }
    }

    /// What it means, in a word or two.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Otherwise => "other answer",
            Self::Failed => "failed",
            Self::Waited => "waiting",
            Self::Step => "step of the driver",
        }
    }
}
