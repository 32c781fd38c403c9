//! WATCH: the changes of a resource as lines of JSON, from a version on.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::unfold;
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::event;
use super::kind::Kind;
use super::refusal::Refusal;
use super::request::Call;
use super::selector::Selector;
use super::store::{Change, Store, Stored};

/// How long a watch lasts whose client did not say. An API server draws 30 to 60 minutes.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(30);

/// A watch under way.
struct Watch {
    shared: Arc<Shared>,
    kind: &'static Kind,
    selector: Selector,
    /// Everything up to here was sent or is in `lines`.
    seen: u64,
    lines: VecDeque<Bytes>,
    news: Receiver<u64>,
    bookmarks: Option<Bookmarks>,
    ends: Instant,
    cut: CancellationToken,
    /// After how many lines a fault cuts the connection.
    cut_after: Option<usize>,
    over: bool,
}

struct Bookmarks {
    every: Duration,
    next: Instant,
}

/// What a watch does next when it has nothing to send.
enum Turn {
    Look,
    Bookmark,
    End,
    Stop,
    Cut,
}

/// Starts a watch. `cut_after` is the fault that ends it after so many lines.
///
/// # Errors
/// Its options are not understood. A version that is too old is not an error here: the API server
/// reports it as the only event of the watch.
pub(super) fn serve(
    shared: &Arc<Shared>,
    call: &Call,
    cut_after: Option<usize>,
) -> Result<Response, Refusal> {
    let kind = call.target.kind;
    let selector = Selector::of(call)?;
    // Subscribed before the store is read, so that nothing falls in between.
    let news = shared.news();
    let start = start(&shared.store(), call, &selector)?;
    let now = Instant::now();
    let timeout = call.options.timeout_seconds;
    let every = shared.bookmark_every;
    let watch = Watch {
        kind,
        selector,
        seen: start.seen,
        lines: start.lines,
        news,
        bookmarks: call.options.allow_watch_bookmarks.then(|| Bookmarks {
            every,
            next: now + every,
        }),
        ends: now + timeout.map_or(DEFAULT_TIMEOUT, Duration::from_secs),
        cut: shared.watches.token(kind),
        cut_after,
        over: start.over,
        shared: Arc::clone(shared),
    };
    let lines = unfold(watch, |mut watch| async move {
        let line = watch.next().await?;
        Some((line, watch))
    });
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((json, Body::from_stream(lines)).into_response())
}

/// With what a watch begins.
struct Start {
    seen: u64,
    lines: VecDeque<Bytes>,
    over: bool,
}

fn start(store: &Store, call: &Call, selector: &Selector) -> Result<Start, Refusal> {
    let kind = call.target.kind;
    let newest = store.version();
    let initial = call.options.send_initial_events;
    match call.version()? {
        Some(version) if version > 0 && !initial => Ok(match store.since(kind, version) {
            Ok(_) => Start {
                seen: version,
                lines: VecDeque::new(),
                over: false,
            },
            Err(refusal) => Start {
                seen: version,
                lines: VecDeque::from([line("ERROR", refusal.status().to_string().as_bytes())]),
                over: true,
            },
        }),
        _ => {
            let objects = store.at(kind, newest)?;
            let mut lines: VecDeque<Bytes> = objects
                .iter()
                .filter(|(key, stored)| selector.takes(key, stored))
                .map(|(_, stored)| line("ADDED", &event::served_text(kind, &stored.text)))
                .collect();
            if initial && call.options.allow_watch_bookmarks {
                lines.push_back(bookmark(kind, newest, true));
            }
            Ok(Start {
                seen: newest,
                lines,
                over: false,
            })
        }
    }
}

fn line(what: &str, object: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(object.len() + 40);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(what.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    Bytes::from(line)
}

fn bookmark(kind: &Kind, version: u64, ends_initial: bool) -> Bytes {
    let mut metadata = json!({"resourceVersion": version.to_string(), "creationTimestamp": null});
    if let (Some(metadata), true) = (metadata.as_object_mut(), ends_initial) {
        let annotations = json!({"k8s.io/initial-events-end": "true"});
        metadata.insert("annotations".to_owned(), annotations);
    }
    let object: Value =
        json!({"kind": kind.name, "apiVersion": kind.api_version(), "metadata": metadata});
    line("BOOKMARK", object.to_string().as_bytes())
}

// === impl Watch ===

impl Watch {
    /// The next line; `None` ends the watch well, an error cuts its connection.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if self.cut_after == Some(0) {
                // Whoever polls this sends what it has got when there is nothing more just now, but
                // throws it away on an error.
                tokio::task::yield_now().await;
                return Some(self.cut());
            }
            if let Some(line) = self.lines.pop_front() {
                self.cut_after = self.cut_after.map(|left| left - 1);
                return Some(Ok(line));
            }
            if self.over {
                return None;
            }
            self.news.mark_unchanged();
            self.look();
            if !self.lines.is_empty() || self.over {
                continue;
            }
            match self.turn().await {
                Turn::Look => {}
                Turn::Bookmark => self.bookmark(),
                Turn::End => {
                    self.over = true;
                    self.bookmark();
                }
                Turn::Stop => return None,
                Turn::Cut => return Some(self.cut()),
            }
        }
    }

    fn cut(&mut self) -> io::Result<Bytes> {
        self.over = true;
        self.cut_after = None;
        self.lines.clear();
        Err(io::ErrorKind::ConnectionReset.into())
    }

    async fn turn(&mut self) -> Turn {
        let bookmark = self.bookmarks.as_ref().map_or(self.ends, |b| b.next);
        tokio::select! {
            () = self.shared.stop.cancelled() => Turn::Stop,
            () = self.cut.cancelled() => Turn::Cut,
            changed = self.news.changed() => changed.map_or(Turn::Stop, |()| Turn::Look),
            () = sleep_until(self.ends) => Turn::End,
            () = sleep_until(bookmark), if bookmark < self.ends => Turn::Bookmark,
        }
    }

    fn bookmark(&mut self) {
        if let Some(bookmarks) = &mut self.bookmarks {
            bookmarks.next = Instant::now() + bookmarks.every;
            self.lines.push_back(bookmark(self.kind, self.seen, false));
        }
    }

    /// Takes what happened since the last look. A watch that is so slow that some of it is already
    /// forgotten ends, and its client learns at the next one that it has to list again.
    fn look(&mut self) {
        let store = self.shared.store();
        match store.since(self.kind, self.seen) {
            Ok(changes) => {
                let lines = changes.filter_map(|change| shown(self.kind, &self.selector, change));
                self.lines.extend(lines);
                // A version asked for may lie in the future; what happens before it is not shown.
                self.seen = self.seen.max(store.version());
            }
            Err(_) => self.over = true,
        }
    }
}

/// A change as a watch with this selector sees it: an object whose labels begin or cease to fit
/// appears or goes.
fn shown(kind: &Kind, selector: &Selector, change: &Change) -> Option<Bytes> {
    let fits = |stored: &Stored| selector.takes(&change.key, stored);
    let before = change.before.as_deref().is_some_and(fits);
    let now = !change.removed && fits(&change.object);
    let what = match (before, now) {
        (false, true) => "ADDED",
        (true, true) => "MODIFIED",
        (true, false) => "DELETED",
        (false, false) => return None,
    };
    Some(line(what, &event::served_text(kind, &change.object.text)))
}
