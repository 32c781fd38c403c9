//! What no test may bring to light, whatever it is about.

use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use rds_csi::workload::secrets::{Leak, leaks_below, leaks_in};
use tokio::time::timeout;

use super::{Bed, CALL_LIMIT};
use crate::trouble::{Attempt, Trouble};

impl Bed {
    /// Whether a secret is in anything that the replicas and their sidecars have logged, in what they
    /// answer whoever asks, or in their events.
    ///
    /// # Errors
    /// One is, or that cannot be found out.
    pub async fn check_secrets(&self) -> Result<(), Trouble> {
        let below = leaks_below(&self.folder.logs());
        let mut leaks = below.attempt(|| "search the logs for secrets".to_owned())?;
        for pod in self.deployment.pods() {
            for path in ["/metrics", "/status"] {
                // One that was frozen or cut off by the test says nothing.
                let Some((_, said)) = pod.admin(path).await else {
                    continue;
                };
                let place = format!("{}{path}", pod.name());
                leaks.extend(leaks_in(place.as_ref(), &said));
            }
        }
        let what = || "list the events of the test".to_owned();
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.workload.namespace);
        let params = ListParams::default();
        let call = timeout(CALL_LIMIT, events.list(&params));
        for event in call.await.attempt(what)?.attempt(what)? {
            leaks.extend(leaks_in("an event".as_ref(), &format!("{event:?}")));
        }
        if leaks.is_empty() {
            return Ok(());
        }
        let told: Vec<_> = leaks.iter().map(Leak::to_string).collect();
        Err(Trouble::found(format!(
            "secrets were told:\n{}",
            told.join("\n")
        )))
    }
}
