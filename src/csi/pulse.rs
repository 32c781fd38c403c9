//! Asks our own server who it is, as a sidecar does: what answers here answers them.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tonic::transport::Endpoint as Address;
use tracing::debug;

use crate::csi::socket::Endpoint;
use crate::proto::csi::GetPluginInfoRequest;
use crate::proto::csi::identity_client::IdentityClient;
use crate::service::election::heartbeat::Heartbeat;

/// Between two questions; kubelet asks for the answer about as often.
const ASK: Duration = Duration::from_secs(10);
/// For an answer that needs neither RDS nor API. External-attacher gives it one second.
const PATIENCE: Duration = Duration::from_secs(5);
/// Three questions without an answer: a machine that is busy for a moment is no reason to restart.
pub const SILENT: Duration = Duration::from_secs(45);

/// Asks for ever, and beats at each answer.
pub async fn run(endpoint: Endpoint, heart: Heartbeat) {
    loop {
        match timeout(PATIENCE, ask(&endpoint)).await {
            Ok(Ok(())) => heart.beat(),
            Ok(Err(error)) => debug!(error, "our own server did not answer"),
            Err(_) => debug!(limit = ?PATIENCE, "our own server did not answer in time"),
        }
        sleep(ASK).await;
    }
}

/// Over a connection of its own, so that accepting is asked for, too.
async fn ask(endpoint: &Endpoint) -> Result<(), String> {
    let address = format!("unix://{}", endpoint.path().display());
    let address = Address::from_shared(address).map_err(|error| error.to_string())?;
    let channel = address.connect().await.map_err(|error| error.to_string())?;
    let mut client = IdentityClient::new(channel);
    let answer = client.get_plugin_info(GetPluginInfoRequest {}).await;
    answer
        .map(drop)
        .map_err(|status| status.message().to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tempfile::TempDir;

    use super::*;
    use crate::csi::identity::Identity;
    use crate::csi::server::{MayAnswer, routes, serve};
    use crate::csi::socket::bind;
    use crate::domain::leadership::BootTime;
    use crate::metrics::rpc::Calls;
    use crate::ports::Clock;

    /// Tokio's time, which a test can pause.
    #[derive(Debug)]
    struct Paused(tokio::time::Instant);

    impl Clock for Paused {
        fn boot(&self) -> BootTime {
            BootTime::new(self.0.elapsed())
        }

        fn unix_seconds(&self) -> u64 {
            0
        }

        fn random(&self) -> u64 {
            0
        }
    }

    fn endpoint(folder: &TempDir) -> Endpoint {
        let path = folder.path().join("x.sock");
        path.to_str().unwrap().parse().unwrap()
    }

    #[tokio::test]
    async fn only_a_server_that_answers_makes_it_beat() {
        let folder = TempDir::new().unwrap();
        let endpoint = endpoint(&folder);
        assert!(ask(&endpoint).await.is_err(), "nobody is there");
        let listener = bind(&endpoint).await.unwrap();
        let waiting = ask(&endpoint);
        let may = MayAnswer::when(|| true);
        let routes = routes(Identity::new("d".to_owned(), || false), None);
        let serving = serve(
            listener,
            routes,
            may,
            Calls::default(),
            std::future::pending(),
        );
        tokio::select! {
            asked = waiting => assert_eq!(asked, Ok(()), "a standby answers, too"),
            ended = serving => panic!("the server ended: {ended:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_accepts_and_says_nothing_is_silent_after_three_questions() {
        let folder = TempDir::new().unwrap();
        let endpoint = endpoint(&folder);
        let _listener = bind(&endpoint).await.unwrap();
        let clock = Arc::new(Paused(tokio::time::Instant::now()));
        let heart = Heartbeat::new(clock);
        let asking = tokio::spawn(run(endpoint, heart.clone()));
        while heart.quiet_for() < SILENT {
            sleep(Duration::from_secs(1)).await;
        }
        assert!(heart.quiet_for() >= (ASK + PATIENCE) * 3);
        asking.abort();
    }
}
