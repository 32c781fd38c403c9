//! The demo from start to end: cast, story, summary, and nothing left behind.

use std::io::{self, Write as _};

use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;

use crate::demo::play::Play;
use crate::demo::report::Report;
use crate::demo::story::{self, Chapter};
use crate::demo::timeline::Timeline;
use crate::demo::{cast, failover, judge, moves};

/// The name of the PersistentVolume that the story is about.
const VOLUME: &str = "pvc-demo";

/// What to play, and how to tell it.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What it is about.
    pub scene: Scene,
    /// End by itself; otherwise leaders keep dying, or a volume keeps moving, until the process is
    /// stopped.
    pub once: bool,
    /// Print one JSON object at the end and nothing else.
    pub json: bool,
    /// Tamper with the RDS so that an old write comes back, which the demo must notice.
    pub sabotage: bool,
}

/// What a demo can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// Three controllers, a leader that keeps dying, volumes that keep moving.
    Failover,
    /// One volume and one controller without Kubernetes, told step by step.
    Story,
}

/// Plays to the end, or until it is told to stop.
///
/// # Errors
/// It cannot start, its output cannot be written, or anything was not as it must be.
pub async fn run(options: Options, stop: CancellationToken) -> anyhow::Result<()> {
    match options.scene {
        Scene::Failover => failover::run(options, stop).await,
        Scene::Story => tell_story(options, stop).await,
    }
}

async fn tell_story(options: Options, stop: CancellationToken) -> anyhow::Result<()> {
    let mut timeline = if options.json {
        Timeline::silent()
    } else {
        Timeline::stdout()
    };
    let (cast, mut running) = cast::start()?;
    let sim = cast.sim.clone();
    let mut report = Report::default();
    let played = tokio::select! {
        played = Box::pin(play(&options, Play::new(cast, VOLUME), &mut timeline, &mut report)) => played,
        error = running.ended() => Err(error),
        () = stop.cancelled() => Ok(()),
    };
    let stopped = running.stop(&sim).await;
    if options.json {
        let json = serde_json::to_string(&report).context("write the report")?;
        writeln!(io::stdout(), "{json}").context("print the report")?;
    } else if options.once || !report.ok {
        timeline.summary(&report).context("print the summary")?;
    } else {
        timeline.farewell(&report).context("print the summary")?;
    }
    played?;
    stopped?;
    match report.violations.as_slice() {
        [] => Ok(()),
        [first, ..] => bail!("{} violations, first: {first}", report.violations.len()),
    }
}

async fn play(
    options: &Options,
    mut play: Play,
    timeline: &mut Timeline<io::Stdout>,
    report: &mut Report,
) -> anyhow::Result<()> {
    timeline.opening().context("print")?;
    for chapter in story::chapters(options.sabotage) {
        tell(&chapter, &mut play, timeline, report).await?;
        if !report.violations.is_empty() {
            return Ok(());
        }
    }
    report.ok = true;
    if options.once {
        return Ok(());
    }
    timeline.summary(report).context("print")?;
    moves::run(play, timeline, report).await
}

/// Ends at the first step that is not as it must be: what follows would rest on it.
async fn tell(
    chapter: &Chapter,
    play: &mut Play,
    timeline: &mut Timeline<io::Stdout>,
    report: &mut Report,
) -> anyhow::Result<()> {
    timeline.chapter(chapter.title).context("print")?;
    for step in &chapter.steps {
        let seen = play.step(step.act).await;
        let violations = judge::violations(step, &seen);
        timeline.step(step, &seen, &violations).context("print")?;
        report.add(step.act, &seen, &violations);
        if !violations.is_empty() {
            return Ok(());
        }
    }
    Ok(())
}
