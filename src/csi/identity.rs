//! CSI Identity: answers at once on every replica, with or without an RDS.
//!
//! Sidecars call it before anything else and end on any error, so nothing here can fail.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tonic::{Request, Response, Status, async_trait};

use crate::csi::observe::Call;
use crate::csi::rpc::Rpc;
use crate::proto::csi;
use crate::proto::csi::identity_server::Identity as Service;
use crate::proto::csi::plugin_capability::service::Type as ServiceType;
use crate::proto::csi::plugin_capability::volume_expansion::Type as ExpansionType;
use crate::proto::csi::plugin_capability::{self, Type};

/// The service beside Identity.
pub(crate) const SERVICE: ServiceType = ServiceType::ControllerService;

/// Who this plugin is, and whether it serves calls at the moment.
#[derive(Clone)]
pub struct Identity {
    driver: String,
    ready: Arc<dyn Fn() -> bool + Send + Sync>,
}

// === impl Identity ===

impl Identity {
    /// The plugin called `driver`. `ready` is asked at every Probe and must not block.
    pub fn new(driver: String, ready: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self {
            driver,
            ready: Arc::new(ready),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("driver", &self.driver)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Service for Identity {
    async fn get_plugin_info(
        &self,
        _: Request<csi::GetPluginInfoRequest>,
    ) -> Result<Response<csi::GetPluginInfoResponse>, Status> {
        let answer = csi::GetPluginInfoResponse {
            name: self.driver.clone(),
            vendor_version: env!("CARGO_PKG_VERSION").to_owned(),
            manifest: HashMap::new(),
        };
        Call::begin(Rpc::GetPluginInfo)
            .answer(async { Ok(answer) })
            .await
    }

    async fn get_plugin_capabilities(
        &self,
        _: Request<csi::GetPluginCapabilitiesRequest>,
    ) -> Result<Response<csi::GetPluginCapabilitiesResponse>, Status> {
        let service = plugin_capability::Service {
            r#type: SERVICE.into(),
        };
        let expansion = plugin_capability::VolumeExpansion {
            r#type: ExpansionType::Online.into(),
        };
        let capabilities = [Type::Service(service), Type::VolumeExpansion(expansion)]
            .map(|offered| csi::PluginCapability {
                r#type: Some(offered),
            })
            .to_vec();
        Call::begin(Rpc::GetPluginCapabilities)
            .answer(async { Ok(csi::GetPluginCapabilitiesResponse { capabilities }) })
            .await
    }

    /// A replica that does not serve answers `ready = false` and never an error: sidecars wait for
    /// a plugin that is not ready, and end when Probe fails (csi-lib-utils, `ProbeForever`).
    async fn probe(
        &self,
        _: Request<csi::ProbeRequest>,
    ) -> Result<Response<csi::ProbeResponse>, Status> {
        Call::begin(Rpc::Probe)
            .answer(async {
                let ready = Some((self.ready)());
                Ok(csi::ProbeResponse { ready })
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn probe_says_what_is_so_now_and_never_fails() {
        let serving = Arc::new(AtomicBool::new(false));
        let asked = serving.clone();
        let identity = Identity::new("d".to_owned(), move || asked.load(Ordering::SeqCst));
        for ready in [false, true, false] {
            serving.store(ready, Ordering::SeqCst);
            let answer = identity.probe(Request::new(csi::ProbeRequest {})).await;
            assert_eq!(answer.unwrap().into_inner().ready, Some(ready));
        }
    }

    #[tokio::test]
    async fn a_plugin_that_is_not_ready_still_says_who_it_is_and_what_it_offers() {
        let identity = Identity::new("rds.example".to_owned(), || false);
        let about = identity
            .get_plugin_info(Request::new(csi::GetPluginInfoRequest {}))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(about.name, "rds.example");
        assert_eq!(about.vendor_version, env!("CARGO_PKG_VERSION"));

        let request = Request::new(csi::GetPluginCapabilitiesRequest {});
        let offered = identity
            .get_plugin_capabilities(request)
            .await
            .unwrap()
            .into_inner()
            .capabilities;
        let offered: Vec<_> = offered.into_iter().filter_map(|one| one.r#type).collect();
        // Topology in particular is not offered: every node reaches the one RDS.
        let [Type::Service(service), Type::VolumeExpansion(expansion)] = offered[..] else {
            panic!("{offered:?}");
        };
        assert_eq!(service.r#type(), ServiceType::ControllerService);
        assert_eq!(expansion.r#type(), ExpansionType::Online);
    }
}
