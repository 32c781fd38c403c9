//! One line from its arrival to its reply, with the faults it meets on the way.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::ChannelId;
use russh::server::Handle;
use tokio::sync::watch;

use super::Shared;
use super::session::Channels;
use super::wire::Line;
use crate::sim::transport::{After, Before, Plan};

/// How long a cut waits for the bytes before it to leave. They go to a local socket within
/// milliseconds; a caller that has stopped reading is cut all the same.
const CUT_PATIENCE: Duration = Duration::from_secs(2);

/// A line to run, and the way back to its caller.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) user: String,
    pub(super) line: String,
    pub(super) channel: ChannelId,
    pub(super) channels: Channels,
    pub(super) session: Handle,
    pub(super) wire: Arc<Line>,
    /// Bytes on the wire, last looked at before the request was confirmed.
    pub(super) written: watch::Receiver<usize>,
}

/// The session is gone, so nobody hears the rest of the reply.
#[derive(Debug)]
struct Gone;

/// Runs the line in a task that only the end of the server can stop.
pub(super) fn start(shared: &Arc<Shared>, job: Job) {
    let stop = shared.stop.clone();
    let shared = Arc::clone(shared);
    let tasks = shared.tasks.clone();
    drop(tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            answered = run(&shared, job) => {
                if let Err(Gone) = answered {
                    tracing::debug!("the caller left before the reply");
                }
            }
        }
    }));
}

async fn run(shared: &Shared, mut job: Job) -> Result<(), Gone> {
    let plan = shared.faults.plan(&job.line);
    if !plan.latency.is_zero() {
        tokio::time::sleep(plan.latency).await;
    }
    if plan.hold {
        shared.faults.hold().await;
    }
    match plan.before {
        Some(Before::Drop) => {
            job.wire.cut();
            return Ok(());
        }
        Some(Before::Stall) => return Ok(()),
        None => {}
    }
    let output = shared.world.exec(&job.user, &job.line).await;
    shared.gauges.change(|seen| seen.executed += 1);
    let stdout = fill(&output.stdout, &plan);
    match plan.after {
        Some(After::Drop) => {
            job.wire.cut();
            return Ok(());
        }
        Some(After::Stall) => return Ok(()),
        Some(After::Cut { at }) => return job.cut_inside(stdout, at).await,
        Some(After::Trickle { bytes_per_second }) => {
            return job.trickle(stdout, bytes_per_second).await;
        }
        None => {}
    }
    let transport = shared.faults.transport();
    job.send(stdout, transport.chunk_bytes).await?;
    let exit = output.exit.filter(|_| !transport.omit_exit_status);
    job.finish(output.stderr, exit).await
}

/// Makes a reply as long as a fault wants it. Blanks in front leave the sentinel at its end.
fn fill(reply: &[u8], plan: &Plan) -> Bytes {
    let missing = plan.fill_to.saturating_sub(reply.len());
    let mut filled = vec![b' '; missing];
    filled.extend_from_slice(reply);
    filled.into()
}

impl Job {
    async fn send(&self, mut reply: Bytes, chunk: usize) -> Result<(), Gone> {
        while !reply.is_empty() {
            let next = if chunk == 0 {
                reply.len()
            } else {
                chunk.min(reply.len())
            };
            let piece = reply.split_to(next);
            self.session
                .data(self.channel, piece)
                .await
                .map_err(|_| Gone)?;
        }
        Ok(())
    }

    async fn finish(&self, stderr: Vec<u8>, exit: Option<u32>) -> Result<(), Gone> {
        if !stderr.is_empty() {
            self.session
                .extended_data(self.channel, 1, stderr)
                .await
                .map_err(|_| Gone)?;
        }
        if let Some(status) = exit {
            self.session
                .exit_status_request(self.channel, status)
                .await
                .map_err(|()| Gone)?;
        }
        self.session.eof(self.channel).await.map_err(|()| Gone)?;
        // Before the close is sent: a caller that has seen it may open its next channel at once.
        self.channels.close(self.channel).await;
        self.session.close(self.channel).await.map_err(|()| Gone)
    }

    /// Sends the beginning of the reply, waits until it has left, and ends the connection.
    async fn cut_inside(&mut self, reply: Bytes, at: Option<usize>) -> Result<(), Gone> {
        let keep = at.unwrap_or(reply.len() / 2).min(reply.len());
        // The confirmation of the request goes first, so that its bytes are not taken for the
        // reply's.
        let confirmed = tokio::time::timeout(CUT_PATIENCE, self.written.changed()).await;
        tracing::debug!(confirmed = confirmed.is_ok(), "about to cut a reply");
        let before = *self.written.borrow_and_update();
        let sent = self.send(reply.slice(..keep), 0).await;
        let left = self.written.wait_for(|written| *written >= before + keep);
        let left = tokio::time::timeout(CUT_PATIENCE, left).await;
        tracing::debug!(left = left.is_ok(), "cutting the reply");
        self.wire.cut();
        sent
    }

    /// Sends the reply a byte at a time, then blanks, until the caller leaves.
    async fn trickle(&self, reply: Bytes, bytes_per_second: u32) -> Result<(), Gone> {
        let pause = Duration::from_secs(1) / bytes_per_second.max(1);
        for byte in reply.into_iter().chain(std::iter::repeat(b' ')) {
            self.session
                .data(self.channel, vec![byte])
                .await
                .map_err(|_| Gone)?;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }
}
