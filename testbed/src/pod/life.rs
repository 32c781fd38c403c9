//! The order of a pod's life: who starts after whom, what is asked meanwhile, and how it ends.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{ExecAction, Probe};
use tokio::time::{Instant, interval};

use super::container::Container;
use super::probe::{self, here};
use super::{Member, Pod};
use crate::trouble::{Attempt, Trouble};

/// What a kubelet leaves to a container of which SIGTERM comes at the end of the grace period.
const LEAST_GRACE: Duration = Duration::from_secs(2);

impl Pod {
    /// Waits for the startup probe of the container that was started last.
    pub(super) async fn started(&self) -> Result<(), Trouble> {
        let Some(member) = self.members.last() else {
            return Ok(());
        };
        let Some(probe) = &member.rendered.startup_probe else {
            return Ok(());
        };
        let period =
            Duration::from_secs(u64::from(probe.period_seconds.unwrap_or(10).unsigned_abs()));
        let mut ticks = interval(period);
        for _ in 0..probe.failure_threshold.unwrap_or(3) {
            ticks.tick().await;
            if self.answers(member, probe).await? {
                return Ok(());
            }
        }
        let (name, log) = (&member.rendered.name, member.container.log_tail());
        Err(Trouble::found(format!(
            "{name} of {} does not start:\n{log}",
            self.name()
        )))
    }

    async fn answers(&self, member: &Member, probe: &Probe) -> Result<bool, Trouble> {
        if let Some(http) = &probe.http_get {
            let port = self.port(&member.rendered, &http.port)?;
            let answer = probe::get(here(port), http.path.as_deref().unwrap_or("/")).await;
            return Ok(answer.is_some_and(|(status, _)| (200..400).contains(&status)));
        }
        if let Some(exec) = &probe.exec {
            return self.run("probe", member, exec, LEAST_GRACE).await;
        }
        let name = &member.rendered.name;
        Err(Trouble::found(format!(
            "the bed cannot probe {name} as the chart asks"
        )))
    }

    /// What a kubelet does when the pod is deleted: every preStop hook at once, SIGTERM to each
    /// container after its hook, to native sidecars after all others have ended, the last started
    /// first; SIGKILL at the end of the grace period.
    pub async fn delete(&self) {
        let end = Instant::now() + self.grace;
        for member in &self.members {
            member.container.retire();
        }
        let (sidecars, others): (Vec<_>, Vec<_>) = self
            .members
            .iter()
            .partition(|member| member.is_native_sidecar);
        let others = others.into_iter().map(|member| async move {
            self.pre_stop(member, end).await;
            member.container.stop(remaining(end)).await;
        });
        let hooks = sidecars.iter().map(|member| self.pre_stop(member, end));
        tokio::join!(join_all(others), join_all(hooks));
        for member in sidecars.iter().rev() {
            member.container.stop(remaining(end)).await;
        }
        self.volumes.remove();
    }

    /// Everything ends at once and nobody is told: the pod's machine has lost its power.
    pub async fn vanish(&self) {
        join_all(self.containers().map(Container::kill)).await;
        self.volumes.remove();
    }

    async fn pre_stop(&self, member: &Member, end: Instant) {
        let lifecycle = member.rendered.lifecycle.as_ref();
        let hook = lifecycle.and_then(|lifecycle| lifecycle.pre_stop.as_ref());
        if let Some(exec) = hook.and_then(|hook| hook.exec.as_ref()) {
            // A hook that fails is an event for the pod, and nothing else, to a kubelet too.
            drop(self.run("prestop", member, exec, remaining(end)).await);
        }
    }

    /// Runs a command in a container; whether it ended well in time.
    async fn run(
        &self,
        why: &str,
        member: &Member,
        exec: &ExecAction,
        limit: Duration,
    ) -> Result<bool, Trouble> {
        let command = exec.command.clone().unwrap_or_default();
        let launch = member
            .launch
            .inside(&member.rendered, &command, &self.volumes.places)?;
        let name = format!("{}.{why}", member.rendered.name);
        let child = self.program(&name, &launch).start();
        let child = child.attempt(|| format!("run {command:?}"))?;
        Ok(child
            .ended(limit)
            .await
            .is_ok_and(|exit| exit.status.success()))
    }
}

fn remaining(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
        .max(LEAST_GRACE)
}
