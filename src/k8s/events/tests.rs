//! How events are posted over time: on a clock that only moves when nothing else can.

use std::convert::Infallible;
use std::sync::Mutex;

use http::{Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::timeout;
use tower::service_fn;

use super::*;
use crate::domain::event::What;

/// Long enough for everything in these tests, and over at once where the clock is paused.
const LONG: Duration = Duration::from_hours(1);
/// What a leader that takes over a large cluster may have to say.
const STORM: usize = 2_000;

#[derive(Debug, Clone, Copy)]
enum Api {
    Serves,
    Refuses,
    Hangs,
}

/// The requests that arrived, and when.
type Arrived = Arc<Mutex<Vec<(Instant, Value)>>>;

#[derive(Debug)]
struct Everything;

impl PvcLookup for Everything {
    fn pvc_of(&self, volume: &VolumeId) -> Option<PvcRef> {
        Some(PvcRef {
            namespace: "apps".to_owned(),
            name: volume.as_str().to_owned(),
            uid: None,
            volume_name: String::new(),
        })
    }
}

fn events(api: Api) -> (KubeEvents, Arrived) {
    let arrived = Arrived::default();
    let log = Arc::clone(&arrived);
    let service = service_fn(move |request: Request<Body>| {
        let log = Arc::clone(&log);
        async move {
            let sent = request.into_body().collect_bytes().await.unwrap();
            let sent: Value = serde_json::from_slice(&sent).unwrap();
            log.lock().unwrap().push((Instant::now(), sent.clone()));
            let (status, answer) = match api {
                Api::Serves => (StatusCode::CREATED, sent),
                Api::Refuses => (
                    StatusCode::FORBIDDEN,
                    json!({"kind": "Status", "code": 403, "reason": "Forbidden"}),
                ),
                Api::Hangs => std::future::pending().await,
            };
            let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
            *response.status_mut() = status;
            Ok::<_, Infallible>(response)
        }
    });
    let settings = Settings {
        driver: "rds.csi.srvlab.io".to_owned(),
        instance: "controller-0".to_owned(),
        lease_namespace: "rds-csi".to_owned(),
        lease_name: "leader".to_owned(),
        trace: || None,
        limits: Limits::default(),
    };
    let client = Client::new(service, "apps");
    let events = KubeEvents::over(client, settings, Arc::new(Everything));
    (events, arrived)
}

fn event(what: What) -> Event {
    Event {
        epoch: Epoch::from_record(3),
        what,
    }
}

fn volume(number: usize) -> VolumeId {
    let id = format!("csi-{number:028x}");
    VolumeId::from_request(&id).unwrap().unwrap()
}

fn detached(number: usize) -> Event {
    event(What::VolumeDetached {
        volume: volume(number),
        node: None,
    })
}

fn conflict(number: usize) -> Event {
    event(What::AttachmentConflict {
        volume: volume(number),
        holder: "node-1".to_owned(),
        asking: "node-2".parse().unwrap(),
    })
}

#[tokio::test(start_paused = true)]
async fn a_storm_reaches_the_api_at_the_rate_agreed_and_warnings_first() {
    let (events, arrived) = events(Api::Serves);
    for number in 0..STORM {
        events.post(detached(number));
        events.post(conflict(number));
    }
    let both = Tally {
        waiting: 2 * 512,
        dropped: 2 * (2_000 - 512),
        ..Tally::default()
    };
    assert_eq!(events.tally(), both);

    assert!(timeout(LONG, events.run()).await.is_err());
    let expected = Tally {
        posted: both.waiting,
        waiting: 0,
        ..both
    };
    assert_eq!(events.tally(), expected);
    let arrived = arrived.lock().unwrap();
    let (warnings, normal) = arrived.split_at(512);
    assert!(warnings.iter().all(|(_, sent)| sent["type"] == "Warning"));
    assert!(normal.iter().all(|(_, sent)| sent["type"] == "Normal"));
    // 50 at once, and 10 in each second: 61 never fit into one.
    for second in arrived.windows(61) {
        assert!(second[60].0 - second[0].0 >= Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_warning_overtakes_what_waits_for_its_turn() {
    let (events, arrived) = events(Api::Serves);
    for number in 0..100 {
        events.post(detached(number));
    }
    let late = async {
        // The burst is spent by now, and the other half waits.
        sleep(Duration::from_millis(10)).await;
        events.post(conflict(7));
        std::future::pending::<()>().await;
    };
    let both = async { tokio::join!(events.run(), late) };
    assert!(timeout(LONG, both).await.is_err());
    let arrived = arrived.lock().unwrap();
    let place = arrived
        .iter()
        .position(|(_, sent)| sent["type"] == "Warning");
    assert_eq!(place, Some(50));
    assert_eq!(arrived.len(), 101);
}

#[tokio::test(start_paused = true)]
async fn an_api_in_trouble_costs_events_and_nothing_else() {
    for (api, each) in [(Api::Hangs, record::CALL), (Api::Refuses, INTERVAL)] {
        let (events, arrived) = events(api);
        for number in 0..STORM {
            events.post(conflict(number));
        }
        assert!(timeout(LONG, events.run()).await.is_err());
        // Every one that found room was sent once and is gone; there is room for the next ones.
        let expected = Tally {
            dropped: 2_000 - 512,
            failed: 512,
            ..Tally::default()
        };
        assert_eq!(events.tally(), expected, "{api:?}");
        let arrived = arrived.lock().unwrap();
        assert_eq!(arrived.len(), 512);
        let took = arrived[511].0 - arrived[0].0;
        assert!(took <= each * 512, "{api:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_that_lasts_is_one_event_and_after_a_quiet_time_a_new_one() {
    let (events, arrived) = events(Api::Serves);
    let story = async {
        for pause in [0, 300, 300, 361] {
            sleep(Duration::from_secs(pause)).await;
            events.post(conflict(1));
        }
        std::future::pending::<()>().await;
    };
    let both = async { tokio::join!(events.run(), story) };
    assert!(timeout(LONG, both).await.is_err());
    let arrived = arrived.lock().unwrap();
    let counts: Vec<_> = arrived
        .iter()
        .map(|(_, sent)| sent["series"]["count"].as_i64())
        .collect();
    assert_eq!(counts, [None, Some(2), Some(3), None]);
    // Counting changes nothing that the API keeps as it is.
    let changed: Vec<_> = arrived[1].1.as_object().unwrap().keys().collect();
    assert_eq!(changed, ["metadata", "series"]);
}
