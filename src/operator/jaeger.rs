//! Asks Jaeger for traces, over the HTTP API that its own pages use.

pub mod answer;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use kube::{Client, Config};
use tokio::time::timeout;

use self::answer::{Answer, Trace};

/// Jaeger reads its storage while it answers: seconds, with a search far back.
const PATIENCE: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);
/// A reconcile pass over 10 000 volumes is some 40 000 spans of about 1 KiB. Half again as much is
/// no trace of ours.
const MAX_ANSWER: usize = 64 << 20;
/// Calls on one volume that a search returns. Only the newest is wanted, but storages differ in which
/// they leave out when there are more.
const MAX_FOUND: usize = 100;

/// A Jaeger that answers queries.
#[derive(Clone)]
pub struct Jaeger {
    client: Client,
    address: Uri,
}

/// What to look for: a call on a volume.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The `service.name` of the controllers.
    pub service: &'a str,
    /// The name of the span: `csi.v1.Controller/ControllerPublishVolume`.
    pub operation: &'a str,
    /// What its `csi.volume_id` is.
    pub volume: &'a str,
    /// How long ago it began at most.
    pub since: Duration,
}

/// A question without an answer.
#[derive(Debug, thiserror::Error)]
pub enum JaegerError {
    /// The address is none, or TLS cannot be set up.
    #[error("cannot make a client for Jaeger at {address}")]
    Client {
        /// Where.
        address: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nobody is there, or the connection broke.
    #[error(
        "cannot ask Jaeger for {path} at {address}: is that its query port (16686), and reachable from here?"
    )]
    Unreachable {
        /// Where.
        address: String,
        /// What was asked.
        path: String,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No whole answer in time.
    #[error("Jaeger at {address} has not answered {path} within {PATIENCE:?}")]
    Late {
        /// Where.
        address: String,
        /// What was asked.
        path: String,
    },
    /// It answered that it cannot, or somebody before it refused.
    #[error("Jaeger at {address} answered {path} with {status}: {said}")]
    Refused {
        /// Where.
        address: String,
        /// What was asked.
        path: String,
        /// The HTTP status.
        status: StatusCode,
        /// What it said.
        said: String,
    },
    /// The answer is something else: another program may listen there.
    #[error("what {address} answered to {path} is no answer of Jaeger's query API")]
    Strange {
        /// Where.
        address: String,
        /// What was asked.
        path: String,
        /// Why it cannot be read.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

// === impl Jaeger ===

impl std::fmt::Debug for Jaeger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Jaeger").field(&self.address).finish()
    }
}

impl Jaeger {
    /// The one at this address. Nothing is sent yet.
    ///
    /// # Errors
    /// [`JaegerError::Client`]. As everywhere here, it needs a tokio runtime.
    pub fn new(address: Uri) -> Result<Self, JaegerError> {
        let unfit = |source| JaegerError::Client {
            address: address.to_string(),
            source,
        };
        if address.scheme().is_none() || address.authority().is_none() {
            return Err(unfit("it must be like http://host:16686".into()));
        }
        // Nothing in it is about Kubernetes: it is the HTTP client that is linked in anyway, with TLS
        // against the machine's authorities, base paths and proxies.
        let mut config = Config::new(address.clone());
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(PATIENCE);
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|error| unfit(error.into()))?;
        Ok(Self { client, address })
    }

    /// All traces that have such a call.
    ///
    /// # Errors
    /// [`JaegerError`]; that there is none is no error.
    pub async fn search(&self, wanted: Wanted<'_>) -> Result<Vec<Trace>, JaegerError> {
        let Wanted {
            service,
            operation,
            volume,
            since,
        } = wanted;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let begin = now.unwrap_or_default().saturating_sub(since).as_micros();
        let tags = serde_json::json!({"csi.volume_id": volume}).to_string();
        let path = format!(
            "/api/traces?service={}&operation={}&tags={}&start={begin}&limit={MAX_FOUND}",
            escaped(service),
            escaped(operation),
            escaped(&tags)
        );
        Ok(self.ask(path).await?.unwrap_or_default())
    }

    /// The trace of this id.
    ///
    /// # Errors
    /// [`JaegerError`]; that there is none is no error.
    pub async fn trace(&self, id: &str) -> Result<Option<Trace>, JaegerError> {
        let path = format!("/api/traces/{}", escaped(id));
        let found: Option<Vec<Trace>> = self.ask(path).await?;
        Ok(found.and_then(|found| found.into_iter().next()))
    }

    /// The services that have sent spans. A Jaeger that answers this is ready.
    ///
    /// # Errors
    /// [`JaegerError`].
    pub async fn services(&self) -> Result<Vec<String>, JaegerError> {
        let found = self.ask("/api/services".to_owned()).await?;
        Ok(found.unwrap_or_default())
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        path: String,
    ) -> Result<Option<T>, JaegerError> {
        let address = || self.address.to_string();
        let asked = timeout(PATIENCE, self.get(&path)).await;
        let (status, body) = asked.map_err(|_| JaegerError::Late {
            address: address(),
            path: path.clone(),
        })??;
        let answer = serde_json::from_slice::<Answer<T>>(&body);
        match answer {
            Ok(answer) if answer.is_nothing_found() => Ok(None),
            Ok(answer) if status.is_success() && answer.errors().is_empty() => Ok(answer.data),
            Err(source) if status.is_success() => Err(JaegerError::Strange {
                address: address(),
                path,
                source: source.into(),
            }),
            answer => Err(JaegerError::Refused {
                address: address(),
                path,
                status,
                said: answer.map_or_else(
                    |_| String::from_utf8_lossy(&body).chars().take(200).collect(),
                    |answer| answer.errors().join("; "),
                ),
            }),
        }
    }

    async fn get(&self, path: &str) -> Result<(StatusCode, Vec<u8>), JaegerError> {
        let broken = |source| JaegerError::Unreachable {
            address: self.address.to_string(),
            path: path.to_owned(),
            source,
        };
        let request = Request::get(path).body(Body::empty());
        let request = request.map_err(|error| broken(error.into()))?;
        let sent = self.client.send(request).await;
        let (parts, body) = sent.map_err(|error| broken(error.into()))?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(broken)?.to_bytes().to_vec();
        Ok((parts.status, body))
    }
}

/// Text as part of a URL: letters and digits are plain, everything else is escaped byte by byte.
fn escaped(text: &str) -> String {
    let bytes = text.bytes().map(|byte| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    });
    bytes.collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_has_a_scheme_and_a_host() {
        for (address, is_one) in [
            ("http://jaeger:16686", true),
            ("https://example.com/jaeger", true),
            ("jaeger:16686", false),
            ("/jaeger", false),
        ] {
            let made = Jaeger::new(address.parse().unwrap());
            assert_eq!(made.is_ok(), is_one, "{address}: {made:?}");
        }
    }

    #[test]
    fn only_plain_characters_go_into_a_url_as_they_are() {
        let escaped = escaped("{\"a.b\":\"c d\"}&x=é");
        assert_eq!(escaped, "%7B%22a.b%22%3A%22c%20d%22%7D%26x%3D%C3%A9");
    }
}
