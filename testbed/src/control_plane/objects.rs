//! The few objects that every test begins with.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::timeout;

use super::ControlPlane;
use super::options::Scope;
use crate::error::Error;

/// The controller-manager makes the default ServiceAccount within a second of the namespace; under
/// the load of a test run it may take some more.
const ACCOUNT_LIMIT: Duration = Duration::from_secs(30);

/// How often to look for it.
const POLL: Duration = Duration::from_millis(50);

impl ControlPlane {
    /// Makes a namespace, and returns when pods can be made in it.
    pub async fn create_namespace(&self, client: &Client, name: &str) -> Result<(), Error> {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let made = namespaces.create(&PostParams::default(), &namespace).await;
        made.map_err(Error::api(format!("make namespace {name}")))?;
        if self.options.scope == Scope::ApiOnly {
            return Ok(());
        }
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
        let account = async {
            let mut tick = tokio::time::interval(POLL);
            loop {
                tick.tick().await;
                let found = accounts.get_opt("default").await;
                let found = found.map_err(Error::api("read ServiceAccount default"))?;
                if found.is_some() {
                    return Ok(());
                }
            }
        };
        let account = timeout(ACCOUNT_LIMIT, account).await;
        account.unwrap_or_else(|_| {
            Err(Error::Late {
                what: format!("the default ServiceAccount of namespace {name}"),
                limit: ACCOUNT_LIMIT,
                last: "it did not exist".to_owned(),
            })
        })
    }

    /// A token of a ServiceAccount, good for the longest time that the API server allows by itself.
    pub async fn token(
        &self,
        client: &Client,
        namespace: &str,
        account: &str,
    ) -> Result<String, Error> {
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec::default(),
            ..TokenRequest::default()
        };
        let attempt = format!("make a token of ServiceAccount {namespace}/{account}");
        let made = accounts
            .create_token_request(account, &PostParams::default(), &request)
            .await;
        let made = made.map_err(Error::api(&attempt))?;
        let token = made.status.map(|status| status.token);
        token.ok_or(Error::Answer {
            attempt,
            answer: "no token",
        })
    }
}
