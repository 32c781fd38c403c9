//! A client of the admin interface, for tests and scenarios in other processes.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::types::{
    Action, ActionReply, ActionRequest, Faults, NewMachine, Observer, Problem, Reboot, SnapshotId,
    State,
};
use crate::sim::initiator::MachineView;

/// Longest wait for an answer; ample even for a full log of 65,536 entries, some 60 MB on loopback.
const DEADLINE: Duration = Duration::from_secs(30);
/// Longest answer: a full log at about 1 kB for each of 65,536 entries, with room to spare.
const MAX_ANSWER: u64 = 256 << 20;

/// A request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The simulator was not reached, or hung up.
    #[error("{request}: {source}")]
    Io {
        /// Method and path.
        request: String,
        /// Why.
        source: std::io::Error,
    },
    /// No answer in time.
    #[error("{0}: no answer in time")]
    Late(String),
    /// It answered that it will not.
    #[error("{request}: status {status}: {error}")]
    Refused {
        /// Method and path.
        request: String,
        /// HTTP status.
        status: u16,
        /// What it said.
        error: String,
    },
    /// The answer is not HTTP, or not the JSON expected.
    #[error("{request}: unexpected answer: {answer}")]
    Answer {
        /// Method and path.
        request: String,
        /// What came.
        answer: String,
    },
}

/// One connection per request, nothing kept between them.
#[derive(Clone, Copy, Debug)]
pub struct AdminClient {
    address: SocketAddr,
}

impl AdminClient {
    /// A client of the simulator whose admin interface listens there.
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Disks, files and sessions.
    ///
    /// # Errors
    /// [`ClientError`], as for every other request.
    pub async fn state(&self) -> Result<State, ClientError> {
        self.get("/state").await
    }

    /// What the observer holds against the driver.
    pub async fn observer(&self) -> Result<Observer, ClientError> {
        self.get("/observer").await
    }

    /// Log entries after this number, as JSON objects.
    pub async fn log(&self, since: u64) -> Result<Vec<serde_json::Value>, ClientError> {
        self.get(&format!("/log?since={since}")).await
    }

    /// All machines.
    pub async fn machines(&self) -> Result<Vec<MachineView>, ClientError> {
        self.get("/machines").await
    }

    /// Changes faults and settings.
    pub async fn faults(&self, faults: &Faults) -> Result<(), ClientError> {
        self.order("/faults", faults).await
    }

    /// Power off, and on after the time given.
    pub async fn reboot(&self, reboot: Reboot) -> Result<(), ClientError> {
        self.order("/reboot", &reboot).await
    }

    /// Power on.
    pub async fn power_on(&self) -> Result<(), ClientError> {
        self.order("/power-on", &()).await
    }

    /// Keeps the disk entries as they are.
    pub async fn snapshot(&self) -> Result<SnapshotId, ClientError> {
        self.post("/snapshot", &()).await
    }

    /// Loads older disk entries.
    pub async fn restore(&self, snapshot: SnapshotId) -> Result<(), ClientError> {
        self.order("/restore", &snapshot).await
    }

    /// Makes a machine.
    pub async fn new_machine(&self, machine: &NewMachine) -> Result<MachineView, ClientError> {
        self.post("/machines", machine).await
    }

    /// Lets a machine do something.
    pub async fn act(
        &self,
        machine: &str,
        action: Action,
        request: &ActionRequest,
    ) -> Result<ActionReply, ClientError> {
        let action = serde_json::to_value(action).unwrap_or_default();
        let action = action.as_str().unwrap_or_default();
        self.post(&format!("/machines/{machine}/{action}"), request)
            .await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let request = format!("GET {path}");
        parse(&self.send(&request, Vec::new()).await?, request)
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let request = format!("POST {path}");
        parse(&self.send(&request, json(body)).await?, request)
    }

    /// A post whose answer has no body.
    async fn order(&self, path: &str, body: &impl Serialize) -> Result<(), ClientError> {
        self.send(&format!("POST {path}"), json(body))
            .await
            .map(drop)
    }

    async fn send(&self, request: &str, body: Vec<u8>) -> Result<Vec<u8>, ClientError> {
        let answer = timeout(DEADLINE, self.exchange(request, body))
            .await
            .map_err(|_| ClientError::Late(request.to_owned()))?
            .map_err(|source| ClientError::Io {
                request: request.to_owned(),
                source,
            })?;
        body_of(&answer, request)
    }

    async fn exchange(&self, request: &str, body: Vec<u8>) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address).await?;
        // HTTP/1.0: the answer ends with the connection and is never sent in chunks.
        let head = format!(
            "{request} HTTP/1.0\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body).await?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
        Ok(answer)
    }
}

fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("our own types are plain JSON")
}

/// Takes the status line and the headers off an answer.
fn body_of(answer: &[u8], request: &str) -> Result<Vec<u8>, ClientError> {
    let unexpected = || ClientError::Answer {
        request: request.to_owned(),
        answer: String::from_utf8_lossy(answer.get(..200).unwrap_or(answer)).into_owned(),
    };
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .ok_or_else(unexpected)?;
    let (head, body) = answer.split_at(end);
    let body = body.get(4..).unwrap_or_default();
    let status = String::from_utf8_lossy(head)
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse::<u16>().ok())
        .ok_or_else(unexpected)?;
    if status == 200 {
        return Ok(body.to_vec());
    }
    let error = match serde_json::from_slice::<Problem>(body) {
        Ok(Problem { error }) => error,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    Err(ClientError::Refused {
        request: request.to_owned(),
        status,
        error,
    })
}

fn parse<T: DeserializeOwned>(body: &[u8], request: String) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| ClientError::Answer {
        request,
        answer: format!("{error}: {}", String::from_utf8_lossy(body)),
    })
}
