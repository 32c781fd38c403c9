//! Whether a component says that it is ready.

use std::time::Duration;

use http::Request;
use kube::Client;
use tokio::time::timeout;

use super::ControlPlane;
use super::component::Component;
use crate::error::Error;

/// kube-apiserver takes 4 to 5 s on two idle cores, of which a test run leaves it few.
const START_LIMIT: Duration = Duration::from_mins(2);

/// How often to ask: ten times a second delays a start by a twentieth of a second.
const POLL: Duration = Duration::from_millis(100);

/// No answer of a server on this machine takes this long unless it hangs.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

impl ControlPlane {
    /// Waits until a component is ready.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] if it ends, [`Error::Late`] if it takes longer than two minutes.
    pub(super) async fn ready(&self, component: Component) -> Result<(), Error> {
        let client = self.prober(component).await?;
        let mut last = String::from("no answer");
        let asking = async {
            let mut tick = tokio::time::interval(POLL);
            loop {
                tick.tick().await;
                self.check_running(component)?;
                match timeout(ANSWER_LIMIT, ask(&client, component)).await {
                    Ok(Ok(())) => return Ok(()),
                    Ok(Err(answer)) => last = answer,
                    Err(_) => last = format!("no answer in {ANSWER_LIMIT:?}"),
                }
            }
        };
        let asked = timeout(START_LIMIT, asking).await;
        asked.unwrap_or_else(|_| {
            Err(Error::Late {
                what: format!("the start of {}", component.tool()),
                limit: START_LIMIT,
                last,
            })
        })
    }

    /// An error if any component up to this one has ended: those that wait for another one that has
    /// gone would wait for ever.
    fn check_running(&self, component: Component) -> Result<(), Error> {
        let running = self.running();
        running
            .range(component..)
            .try_for_each(|(_, child)| child.check_running())
    }

    async fn prober(&self, component: Component) -> Result<Client, Error> {
        let mut access = self.admin_access().clone();
        let scheme = match component {
            Component::Etcd => "http",
            Component::ApiServer | Component::ControllerManager | Component::Scheduler => "https",
        };
        let (host, port) = (self.layout.host(component), self.layout.port(component));
        access.server = format!("{scheme}://{host}:{port}");
        access.client().await
    }
}

/// Asks once. The error is what came instead of a yes.
async fn ask(client: &Client, component: Component) -> Result<(), String> {
    let path = match component {
        Component::ApiServer => "/readyz",
        Component::Etcd => "/health",
        Component::ControllerManager | Component::Scheduler => "/healthz",
    };
    let request = Request::get(path).body(Vec::new());
    let request = request.expect("a path and no body are a request");
    let answer = client.request_text(request).await;
    answer.map(drop).map_err(|error| error.to_string())
}
