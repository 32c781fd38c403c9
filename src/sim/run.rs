//! Execution of one line.

mod interpret;
pub(crate) mod pure;

use std::sync::Arc;

use crate::sim::lang;
use crate::sim::name::Name;
use crate::sim::observer::{CommandRecord, Outcome, What};
use crate::sim::personality::ExitStyle;
use crate::sim::run::interpret::{Halt, Run};
use crate::sim::world::{ExecOutput, World};

/// Parses a line and, if all of it parses, runs it.
pub(crate) async fn line(world: &Arc<World>, number: u64, user: &str, text: &str) -> ExecOutput {
    let (user, text): (Name, Name) = (user.into(), text.into());
    let (start_seq, boot, parsed) = {
        let mut device = world.device();
        let parsed = lang::parse(&text, &device.personality);
        (device.log.tick(), device.boot(), parsed)
    };
    let mut guard = Unfinished {
        world,
        record: Some(CommandRecord {
            line: number,
            user: user.clone(),
            text: text.clone(),
            start_seq,
            outcome: Outcome::Abandoned,
        }),
    };
    let generation = world.device().generation;
    let mut run = Run::new(world, number, user, text, boot);
    let result = match &parsed {
        Ok(block) => run.top(block).await,
        Err(error) => Err(Halt::Parse(error.to_string())),
    };
    let out = run.finish();
    let changed = world.device().generation != generation;
    if let Some(store) = world.store().filter(|_| changed)
        && let Err(error) = store.save(world, false).await
    {
        tracing::error!(%error, "state file not written");
    }
    guard.done(match &result {
        Ok(()) => Outcome::Done,
        Err(Halt::Parse(text)) => Outcome::ParseError(text.clone()),
        Err(Halt::Failed(text)) => Outcome::Failed(text.clone()),
        Err(Halt::Abandoned) => Outcome::Abandoned,
        Err(Halt::Interrupted) => Outcome::Interrupted,
    });
    answer(world.device().personality.exit, out, result)
}

/// Puts an error where this kind of device puts it.
fn answer(style: ExitStyle, mut out: String, result: Result<(), Halt>) -> ExecOutput {
    let exit = |failed: bool| match style {
        ExitStyle::AlwaysZero => Some(0),
        ExitStyle::Strict => Some(u32::from(failed)),
        ExitStyle::Absent => None,
    };
    let mut stderr = String::new();
    let exit = match result {
        Ok(()) => exit(false),
        Err(Halt::Parse(text) | Halt::Failed(text)) => {
            let stream = if style == ExitStyle::Strict {
                &mut stderr
            } else {
                &mut out
            };
            stream.push_str(&text);
            stream.push_str("\r\n");
            exit(true)
        }
        // Nobody is left to answer.
        Err(Halt::Abandoned | Halt::Interrupted) => {
            out.clear();
            None
        }
    };
    ExecOutput {
        stdout: out.into_bytes(),
        stderr: stderr.into_bytes(),
        exit,
    }
}

/// Logs the line when it ends, also when its future is dropped.
struct Unfinished<'w> {
    world: &'w World,
    record: Option<CommandRecord>,
}

impl Unfinished<'_> {
    fn done(&mut self, outcome: Outcome) {
        if let Some(record) = self.record.take() {
            self.world
                .device()
                .log
                .push(What::Command(CommandRecord { outcome, ..record }));
        }
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.done(Outcome::Abandoned);
    }
}
