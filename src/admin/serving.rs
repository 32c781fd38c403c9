//! Waits until a replica serves calls: the question of whoever has just installed the driver.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::{sleep, timeout};

use crate::admin::client::{Client, ClientError};
use crate::admin::report::StatusReport;

/// Between two rounds. A take-over is a matter of seconds, and a question costs a replica nothing.
const LOOK: Duration = Duration::from_millis(500);
/// What one round waits for one replica: it answers from memory, and one that is frozen must not
/// hide the others until the whole time is over.
const ANSWER: Duration = Duration::from_secs(3);

/// Nobody serves.
#[derive(Debug, thiserror::Error)]
pub enum NotServing {
    /// Not one round of questions has ended.
    #[error("no replica has answered within {limit:?}")]
    Silent {
        /// For how long it was asked.
        limit: Duration,
    },
    /// Each of them said something else.
    #[error("no replica serves calls after {limit:?}: {}", said.join("; "))]
    Waiting {
        /// For how long it was asked.
        limit: Duration,
        /// What each of them said last.
        said: Vec<String>,
    },
}

/// The first replica behind an address that serves calls.
///
/// # Errors
/// None does in that time.
pub async fn within(limit: Duration, replicas: &Client) -> Result<StatusReport, NotServing> {
    let mut last = Vec::new();
    let serving = async {
        loop {
            match round(replicas).await {
                Ok(status) => return status,
                Err(said) => last = said,
            }
            sleep(LOOK).await;
        }
    };
    let found = timeout(limit, serving).await;
    found.map_err(|_| match last.as_slice() {
        [] => NotServing::Silent { limit },
        _ => NotServing::Waiting { limit, said: last },
    })
}

/// Asks all of them at once: the one that serves, or what each of them said instead.
async fn round(replicas: &Client) -> Result<StatusReport, Vec<String>> {
    let each = replicas.each().await.map_err(|error| vec![told(&error)])?;
    first(&each).await
}

async fn first(each: &[Client]) -> Result<StatusReport, Vec<String>> {
    let asked = each.iter().map(|replica| timeout(ANSWER, replica.status()));
    let mut said = Vec::new();
    for (replica, answer) in each.iter().zip(join_all(asked).await) {
        match answer {
            Ok(Ok(status)) if status.ready => return Ok(status),
            Ok(Ok(status)) => said.push(waits(&status)),
            Ok(Err(error)) => said.push(told(&error)),
            Err(_) => said.push(format!(
                "{} did not answer within {ANSWER:?}: is it reachable from here?",
                replica.address()
            )),
        }
    }
    Err(said)
}

fn waits(status: &StatusReport) -> String {
    let who = status.instance.as_deref().unwrap_or("a replica");
    match &status.not_ready_because {
        Some(why) => format!("{who} is {}: {why}", status.role),
        None => format!("{who} is {}", status.role),
    }
}

/// The error and its causes, on one line.
fn told(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use axum::{Json, Router, routing::get};
    use tokio::net::TcpListener;

    use serde_json::json;

    use super::*;
    use crate::admin::client::Address;

    fn report(role: &str, why: Option<&str>) -> StatusReport {
        let report = json!({
            "driver": "rds.csi.srvlab.io", "version": "0.1.0", "instance": "controller-0",
            "role": role, "ready": role == "leader", "not_ready_because": why,
            "rds": {"address": "10.0.0.1"},
        });
        serde_json::from_value(report).unwrap()
    }

    /// A replica that answers with this report, and where.
    async fn replica(report: StatusReport) -> (Client, impl Future<Output = std::io::Result<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().to_string();
        let routes = Router::new().route("/status", get(async move || Json(report)));
        let serving = async move { axum::serve(listener, routes).await };
        (Client::new(Address::Port(port)), serving)
    }

    #[tokio::test]
    async fn the_one_that_serves_is_found_behind_others_that_wait_or_are_gone() {
        let waiting = report("standby", Some("controller-1 leads"));
        let (standby, first_serves) = replica(waiting).await;
        let (serving, second_serves) = replica(report("leader", None)).await;
        let gone = Client::new(Address::Port("127.0.0.1:0".to_owned()));
        let look = async {
            let found = first(&[gone.clone(), standby.clone(), serving]).await;
            assert_eq!(found, Ok(report("leader", None)));
            let said = first(&[standby, gone]).await.unwrap_err().join("; ");
            for word in ["controller-0 is standby: controller-1 leads", "127.0.0.1:0"] {
                assert!(said.contains(word), "{said}");
            }
        };
        tokio::select! {
            () = look => {}
            ended = first_serves => panic!("{ended:?}"),
            ended = second_serves => panic!("{ended:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_answer_is_named_by_its_address() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let client = Client::new(Address::Port(address.clone()));
        let said = first(&[client]).await.unwrap_err().join("; ");
        assert!(said.contains(&address), "{said}");
        assert!(said.contains("did not answer"), "{said}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_nobody_has_is_asked_for_until_the_time_is_over() {
        let nobody = Client::new(Address::Socket("/nonexistent/control.sock".into()));
        let error = within(Duration::from_secs(5), &nobody).await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains("after 5s"), "{said}");
        assert!(said.contains("/nonexistent/control.sock"), "{said}");
    }
}
