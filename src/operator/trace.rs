//! `rds-csi trace`: a call as Jaeger has it, as lines for a terminal and as a picture.

mod lines;
pub mod picture;
mod scale;
#[cfg(test)]
mod tests;
pub mod waterfall;

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use tokio_util::sync::CancellationToken;

use super::jaeger::answer::{Answer, Trace};
use super::jaeger::{Jaeger, Wanted};
use super::{INTERRUPTED, print, print_json};
use crate::cli::operator::PictureArgs;
use waterfall::Waterfall;

/// Hex digits of a trace's id. No volume's id looks like that: each has a hyphen.
const TRACE_ID: usize = 32;

/// What a call decides that has nothing to do.
const FOUND_DONE: &str = "as-it-stands";

/// Prints the trace of a call, and draws it if asked to.
///
/// # Errors
/// If Jaeger does not answer or has no such trace, the file cannot be read or written, or `stop` is
/// cancelled before.
pub async fn run(args: PictureArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let PictureArgs {
        query,
        jaeger,
        from,
        call,
        service,
        since,
        svg,
        json,
    } = args;
    let trace = match (from, jaeger, query) {
        (Some(file), _, _) => saved(&file)?,
        (None, Some(jaeger), Some(query)) => {
            let jaeger = Jaeger::new(jaeger)?;
            let operation = format!("csi.v1.Controller/{call}");
            let wanted = Wanted {
                service: &service,
                operation: &operation,
                volume: &query,
                since,
            };
            let found = stop.run_until_cancelled(found(&jaeger, wanted));
            found.await.context(INTERRUPTED)??
        }
        // clap sees to it that there is one or the other.
        _ => anyhow::bail!("which trace? give VOLUME or TRACE and --jaeger URL, or --from FILE"),
    };
    let waterfall = Waterfall::of(&trace).context("this trace has no spans")?;
    if let Some(file) = svg {
        fs::write(&file, picture::svg(&waterfall))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if json {
        print_json(&Answer::of([&trace]))
    } else {
        print(&lines::lines(&waterfall))
    }
}

/// The trace of this id, or that of the newest such call on this volume. Sidecars repeat calls that were
/// answered; one that found all done is shown only if there is no other.
async fn found(jaeger: &Jaeger, wanted: Wanted<'_>) -> anyhow::Result<Trace> {
    let query = wanted.volume;
    if query.len() == TRACE_ID && query.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let trace = jaeger.trace(query).await?;
        return trace.with_context(|| {
            format!("Jaeger has no trace {query}: was it recorded, and is it not too old?")
        });
    }
    let traces = jaeger.search(wanted).await?;
    let newest = traces
        .into_iter()
        .max_by_key(|trace| (!is_repeated(trace), trace.begin()));
    newest.with_context(|| {
        let Wanted {
            service,
            operation,
            volume,
            since,
        } = wanted;
        format!(
            "Jaeger has no {operation} of volume {volume} from service {service} in the last {since:?}: \
             is the controller given --otlp-endpoint? (--call, --service and --since look elsewhere)"
        )
    })
}

fn is_repeated(trace: &Trace) -> bool {
    let mut spans = trace.spans.iter();
    spans.any(|span| span.tag("decided").as_deref() == Some(FOUND_DONE))
}

/// The first trace of a file, in any form that is a sensible one to save.
fn saved(file: &Path) -> anyhow::Result<Trace> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let what = || format!("{} holds no trace in Jaeger's JSON", file.display());
    let answer: Answer<Vec<Trace>> = serde_json::from_str(&text).with_context(what)?;
    let traces = answer.data.unwrap_or_default();
    let count = traces.len();
    ensure!(
        count <= 1,
        "{} holds {count} traces: save one of them",
        file.display()
    );
    traces.into_iter().next().with_context(what)
}
