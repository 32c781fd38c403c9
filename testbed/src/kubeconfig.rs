//! Kubeconfig files and clients of the control plane, one for each user.

use std::fmt;
use std::time::Duration;

use k8s_openapi::ByteString;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;

use crate::error::Error;
use crate::pki::KeyedCertificate;

/// The server is on this machine: a connection is made at once or not at all.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// What a user shows to the API server.
#[derive(Clone)]
pub enum Credential {
    /// A client certificate.
    Certificate(KeyedCertificate),
    /// A bearer token, such as that of a ServiceAccount.
    Token(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(<redacted>)")
    }
}

/// One user of one API server.
#[derive(Debug, Clone)]
pub struct Access {
    /// Where the API server is: `https://ADDRESS:PORT`.
    pub server: String,
    /// The certificate of the authority that signed the server's, as PEM.
    pub authority: String,
    /// What the user shows.
    pub credential: Credential,
}

impl Access {
    /// The content of a kubeconfig file. It is JSON, which every reader of YAML reads as well.
    pub fn kubeconfig(&self) -> String {
        let user = match &self.credential {
            Credential::Certificate(pair) => json!({
                "client-certificate-data": base64(&pair.certificate),
                "client-key-data": base64(&pair.key),
            }),
            Credential::Token(token) => json!({"token": token}),
        };
        let cluster = json!({
            "server": self.server,
            "certificate-authority-data": base64(&self.authority),
        });
        let file = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "testbed",
            "clusters": [{"name": "testbed", "cluster": cluster}],
            "users": [{"name": "testbed", "user": user}],
            "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "testbed"}}],
        });
        format!("{file:#}\n")
    }

    /// What a client is made of, for callers that want other timeouts.
    pub async fn config(&self) -> Result<Config, Error> {
        // Another part of the process may have installed it first: that is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let failed = |error: kube::config::KubeconfigError| Error::Kubeconfig(error.to_string());
        let file = Kubeconfig::from_yaml(&self.kubeconfig()).map_err(failed)?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(file, &options).await;
        let mut config = config.map_err(failed)?;
        config.connect_timeout = Some(CONNECT_LIMIT);
        Ok(config)
    }

    /// A client. Its connections belong to the tokio runtime that this is called on, so that each
    /// test makes its own.
    pub async fn client(&self) -> Result<Client, Error> {
        let config = self.config().await?;
        Client::try_from(config).map_err(Error::api("make a client"))
    }
}

/// Serializes as base64.
fn base64(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}
