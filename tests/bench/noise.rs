//! What else kept the machine busy during a run whose processes are many and come and go.

use std::time::Duration;

use tokio::time::Instant;

use super::proc;

/// A span of time, begun and not yet ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noise {
    began: Instant,
    before: Duration,
}

// === impl Noise ===

impl Noise {
    /// To be called while none of our processes runs.
    pub(crate) fn from_now_on() -> anyhow::Result<Self> {
        Ok(Self {
            began: Instant::now(),
            before: others()?,
        })
    }

    /// How many processors were busy with something else, on average. To be called when all
    /// processes that we started have ended: their time counts as ours from then on.
    pub(crate) fn processors(self) -> anyhow::Result<f64> {
        let noise = others()?.saturating_sub(self.before);
        Ok(noise.as_secs_f64() / self.began.elapsed().as_secs_f64())
    }
}

fn others() -> anyhow::Result<Duration> {
    let all = proc::machine()?;
    Ok(all.saturating_sub(proc::cpu(std::process::id())?))
}
