//! The driver's gRPC services on a unix socket of their own, as sidecars reach them.

use rds_csi::csi::controller::Controller;
use rds_csi::csi::identity::Identity;
use rds_csi::csi::server::{MayAnswer, routes, serve};
use rds_csi::csi::socket::{Endpoint, bind};
use rds_csi::metrics::rpc::Calls;
use rds_csi::proto::csi::controller_client::ControllerClient;
use rds_csi::service::Volumes;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint as Address};

/// A served controller. Dropping it ends the server.
pub(crate) struct Socket {
    pub(crate) client: ControllerClient<Channel>,
    server: JoinHandle<()>,
    _folder: TempDir,
}

impl Socket {
    pub(crate) async fn serve(volumes: &Volumes) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("csi.sock");
        let endpoint: Endpoint = path.to_str().unwrap().parse().unwrap();
        let listener = bind(&endpoint).await.unwrap();
        let ready = volumes.clone();
        let identity = Identity::new("rds.example".to_owned(), move || ready.ready());
        let routes = routes(identity, Some(Controller::new(volumes.clone())));
        let fenced = volumes.clone();
        let may = MayAnswer::when(move || fenced.may_answer());
        let server = tokio::spawn(async move {
            let ended = serve(
                listener,
                routes,
                may,
                Calls::default(),
                std::future::pending(),
            )
            .await;
            ended.expect("the server goes on");
        });
        let address = Address::from_shared(format!("unix://{}", path.display())).unwrap();
        Self {
            client: ControllerClient::connect(address).await.unwrap(),
            server,
            _folder: folder,
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.server.abort();
    }
}
