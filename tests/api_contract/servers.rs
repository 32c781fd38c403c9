//! The two kinds of server that the contract is held against.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use k8s_openapi::api::core::v1::Namespace;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use rds_csi::sim::kubernetes::{Access, Account, KubeApi, Options};
use serde_json::json;
use testbed::control_plane::{self, ControlPlane};
use testbed::error::Error;

use super::fixture::{
    NAMESPACE, attachment, client, client_of, fresh, install_crypto, object, stand_in,
};
use super::grants;

/// Names the kubeconfig file of somebody else's API server, to be used in place of our own.
const KUBECONFIG: &str = "RDS_CSI_TEST_KUBECONFIG";

/// A kind of server, from which a test gets one.
pub(crate) enum Server {
    /// Each test has one of its own.
    StandIn,
    /// All tests share one, and this is how its administrator reaches it.
    Real(Box<Config>),
}

/// An API and a client of it that may do everything.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// Kept for as long as the test runs; `None` when this is a real API server.
    stand_in: Option<KubeApi>,
}

/// An API with one account that may do some things.
pub(crate) struct Guarded {
    /// Whose token nobody has given out.
    pub(crate) stranger: Client,
    pub(crate) account: Client,
    /// May do everything.
    pub(crate) admin: Client,
    _stand_in: Option<KubeApi>,
}

impl Server {
    pub(crate) async fn cluster(&self) -> Cluster {
        match self {
            Self::StandIn => {
                let api = stand_in(Options::default()).await;
                Cluster {
                    client: client(&api, "test"),
                    stand_in: Some(api),
                }
            }
            Self::Real(config) => Cluster {
                client: client_of(Config::clone(config)),
                stand_in: None,
            },
        }
    }

    /// An API and a version of the past that it no longer remembers.
    pub(crate) async fn forgetful(&self) -> (Cluster, u64) {
        let cluster = self.cluster().await;
        if let Some(api) = &cluster.stand_in {
            let past = api.resource_version();
            api.seed(&attachment(&fresh("va"))).unwrap();
            api.compact();
            return (cluster, past);
        }
        // From before its start.
        (cluster, 1)
    }

    /// An API on which an account may do what these rules say.
    pub(crate) async fn guarded(&self, account: Account) -> Guarded {
        match self {
            Self::StandIn => {
                let everything = Account {
                    user: "system:admin".to_owned(),
                    cluster: vec![grants::rule("*", "*", &["*"])],
                    namespaces: BTreeMap::new(),
                };
                let access = Access::default();
                let access = access.with("secret", account).with("admin", everything);
                let api = stand_in(Options {
                    access,
                    ..Options::default()
                })
                .await;
                Guarded {
                    stranger: client(&api, "guessed"),
                    account: client(&api, "secret"),
                    admin: client(&api, "admin"),
                    _stand_in: Some(api),
                }
            }
            Self::Real(config) => {
                let admin = client_of(Config::clone(config));
                let token = grants::give(&admin, &fresh("account"), &account).await;
                let owner = client_of(with_token(config, token));
                grants::wait(&owner, &account).await;
                Guarded {
                    stranger: client_of(with_token(config, "guessed".to_owned())),
                    account: owner,
                    admin,
                    _stand_in: None,
                }
            }
        }
    }
}

/// The same server, reached by the owner of a token.
fn with_token(config: &Config, token: String) -> Config {
    let mut config = config.clone();
    config.auth_info = AuthInfo {
        token: Some(token.into()),
        ..AuthInfo::default()
    };
    config
}

/// The real API server: started when the first test asks for it.
#[derive(Default)]
pub(crate) struct RealServer {
    started: OnceLock<Result<Started, NoServer>>,
}

/// Why there is no real API server.
pub(crate) enum NoServer {
    /// This machine cannot build one, and may go without.
    Unavailable(String),
    Failed(String),
}

struct Started {
    config: Config,
    /// `None` if it is somebody else's.
    plane: Option<ControlPlane>,
}

impl RealServer {
    /// How the administrator reaches it.
    pub(crate) fn config(&self) -> Result<&Config, &NoServer> {
        let started = self.started.get_or_init(|| {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_all().build().unwrap().block_on(start())
        });
        started.as_ref().map(|started| &started.config)
    }

    /// Keeps what it wrote.
    pub(crate) fn keep(&self) {
        if let Some(Ok(Started {
            plane: Some(plane), ..
        })) = self.started.get()
        {
            plane.keep();
        }
    }
}

async fn start() -> Result<Started, NoServer> {
    install_crypto();
    let (mut config, plane) = if let Ok(path) = std::env::var(KUBECONFIG) {
        (theirs(&path).await, None)
    } else {
        let options = control_plane::Options::api_only();
        let plane = ControlPlane::start(options).await?;
        // A server remembers no further back than to its own start. This one's was on empty ground;
        // now it has a past that it has forgotten.
        plane.restart_apiserver().await?;
        (plane.admin_access().config().await?, Some(plane))
    };
    // A test wants to see what the server says, not what a fourth try would make of it.
    config.default_retry = false;
    make_namespace(&client_of(config.clone())).await;
    Ok(Started { config, plane })
}

async fn theirs(path: &str) -> Config {
    let file = Kubeconfig::read_from(path).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(file, &options).await;
    config.unwrap()
}

async fn make_namespace(client: &Client) {
    let namespace: Namespace = object(json!({"metadata": {"name": NAMESPACE}}));
    let namespaces: Api<Namespace> = Api::all(client.clone());
    if namespaces.get_opt(NAMESPACE).await.unwrap().is_none() {
        let params = kube::api::PostParams::default();
        namespaces.create(&params, &namespace).await.unwrap();
    }
}

impl From<Error> for NoServer {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(why) => Self::Unavailable(why),
            other => Self::Failed(other.to_string()),
        }
    }
}
