//! The DNS of a cluster, as far as pods here need it: the addresses behind a headless Service.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::error::Error;

/// What kubelets tell pods to put behind the names of Services.
pub(super) const DOMAIN: &str = "cluster.local";
/// What DNS is asked on.
const PORT: u16 = 53;
/// Pods change their addresses, and nothing is gained by remembering them for longer.
const TTL_SECONDS: u32 = 1;
/// The resolver of a pod asks again after five seconds.
const CALL_LIMIT: Duration = Duration::from_secs(4);
/// What fits in an answer without extensions.
const MESSAGE_BYTES: usize = 512;

/// A server that answers until it is dropped.
#[derive(Debug)]
pub(super) struct Dns {
    serving: JoinHandle<()>,
}

impl Dns {
    /// Starts to answer on this address.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if somebody else answers there already.
    pub(super) async fn start(address: Ipv4Addr, client: Client) -> Result<Self, Error> {
        let bound = UdpSocket::bind((address, PORT)).await;
        let socket = bound.map_err(|error| {
            Error::Unavailable(format!("cannot listen on {address}:{PORT}: {error}"))
        })?;
        Ok(Self {
            serving: tokio::spawn(serve(Arc::new(socket), client)),
        })
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Whoever gets no answer asks again.
async fn serve(socket: Arc<UdpSocket>, client: Client) {
    let mut buffer = [0; MESSAGE_BYTES];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let question = buffer.get(..length).unwrap_or_default();
        if let Ok(question) = Message::from_vec(question) {
            let answering = answer(Arc::clone(&socket), client.clone(), question, from);
            tokio::spawn(async { drop(timeout(CALL_LIMIT, answering).await) });
        }
    }
}

async fn answer(
    socket: Arc<UdpSocket>,
    client: Client,
    question: Message,
    from: SocketAddr,
) -> io::Result<()> {
    let mut answer = question.into_response();
    for query in answer.queries.clone() {
        let service = service_of(query.name());
        let found = match &service {
            Some((service, namespace)) => addresses(client.clone(), service, namespace).await,
            None => Ok(BTreeSet::new()),
        };
        match found {
            Ok(found) if found.is_empty() => answer.metadata.response_code = ResponseCode::NXDomain,
            Ok(found) if query.query_type() == RecordType::A => {
                let record = |address| {
                    let data = RData::A(A(address));
                    Record::from_rdata(query.name().clone(), TTL_SECONDS, data)
                };
                answer.answers.extend(found.into_iter().map(record));
            }
            // It has addresses, of another kind.
            Ok(_) => {}
            Err(_) => answer.metadata.response_code = ResponseCode::ServFail,
        }
    }
    let answer = answer.to_vec().map_err(io::Error::other)?;
    socket.send_to(&answer, from).await.map(drop)
}

/// The Service and the namespace of `SERVICE.NAMESPACE.svc.cluster.local.`
fn service_of(name: &Name) -> Option<(String, String)> {
    let name = name.to_lowercase().to_ascii();
    let rest = name.trim_end_matches('.').strip_suffix(DOMAIN)?;
    let rest = rest.strip_suffix(".svc.")?;
    let (service, namespace) = rest.split_once('.')?;
    let is_one = !service.is_empty() && !namespace.is_empty() && !namespace.contains('.');
    is_one.then(|| (service.to_owned(), namespace.to_owned()))
}

/// The addresses of the pods behind a Service that are ready.
async fn addresses(
    client: Client,
    service: &str,
    namespace: &str,
) -> kube::Result<BTreeSet<Ipv4Addr>> {
    let slices: Api<EndpointSlice> = Api::namespaced(client, namespace);
    let of_it = format!("kubernetes.io/service-name={service}");
    let slices = slices.list(&ListParams::default().labels(&of_it)).await?;
    let endpoints = slices.into_iter().flat_map(|slice| slice.endpoints);
    let ready = endpoints.filter(|one| {
        let conditions = one.conditions.as_ref();
        conditions.is_none_or(|conditions| conditions.ready != Some(false))
    });
    let addresses = ready.flat_map(|one| one.addresses);
    Ok(addresses.filter_map(|one| one.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_services_have_addresses() {
        for (name, expected) in [
            ("web.shop.svc.cluster.local.", Some(("web", "shop"))),
            ("WEB.shop.svc.cluster.local.", Some(("web", "shop"))),
            ("web.shop.svc.shop.svc.cluster.local.", None),
            ("web.shop.svc.svc.cluster.local.", None),
            ("web.svc.cluster.local.", None),
            ("web.shop.svc.", None),
            ("example.org.", None),
        ] {
            let found = service_of(&Name::from_ascii(name).unwrap());
            let expected = expected.map(|(one, two)| (one.to_owned(), two.to_owned()));
            assert_eq!(found, expected, "{name}");
        }
    }
}
