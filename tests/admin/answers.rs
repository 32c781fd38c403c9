//! Requests and answers at both doors.

use std::sync::atomic::Ordering;

use super::fixture::{Replica, SUBSYSTEM};

/// Request, status at the port, status at the control socket, what the body holds.
type Row = (&'static str, u16, u16, &'static str);

const ROWS: [Row; 22] = [
    ("GET /livez", 200, 200, "ok"),
    ("GET /readyz", 200, 200, "leader"),
    ("GET /metrics", 200, 200, "Plain"),
    ("GET /status", 200, 200, r#""role":"leader""#),
    ("HEAD /status", 200, 200, ""),
    ("GET /explain/csi-01", 200, 200, r#""volume":"csi-01""#),
    ("GET /explain/apps/data", 200, 200, r#""pvc":"apps/data""#),
    ("GET /explain/foreign", 404, 404, "no volume of ours"),
    ("GET /explain/bad%20name", 400, 400, "no name: bad name"),
    ("GET /explain/elsewhere", 503, 503, "controller-1 leads"),
    ("GET /explain/broken", 500, 500, "a mistake"),
    ("GET /explain/", 404, 404, "/explain/VOLUME"),
    ("GET /", 404, 404, "/status"),
    ("GET /metricz", 404, 404, "there is no /metricz"),
    ("GET /log-level", 503, 503, "no log"),
    ("PUT /log-level", 403, 400, "error"),
    ("POST /log-level", 405, 405, "/log-level with PUT"),
    ("POST /status", 405, 405, "asked with GET"),
    ("DELETE /explain/csi-01", 405, 405, "asked with GET"),
    ("GET /drain", 405, 405, "/drain with POST"),
    ("PUT /drain", 405, 405, "/drain with POST"),
    // Last: a replica that has drained is another one.
    ("POST /drain", 403, 200, "drain"),
];

#[tokio::test]
async fn every_request_has_its_answer_at_each_door() {
    let replica = Replica::start().await;
    for (request, public, control, words) in ROWS {
        let answers = [
            (public, replica.public(request).await),
            (control, replica.control(request).await),
        ];
        for (status, answer) in answers {
            assert_eq!(answer.status, status, "{request}: {answer:?}");
            assert!(answer.body.contains(words), "{request}: {answer:?}");
        }
    }
    assert_eq!(replica.source.drains.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_sick_replica_and_a_standby_say_so_to_probes() {
    let replica = Replica::start().await;
    replica.source.standby.store(true, Ordering::SeqCst);
    let ready = replica.public("GET /readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, "standby\n"));

    replica.source.sick.store(true, Ordering::SeqCst);
    let rows = [
        ("GET /livez", "a task ended\n"),
        ("GET /readyz", "standby: a task ended\n"),
    ];
    for (request, body) in rows {
        let answer = replica.public(request).await;
        assert_eq!((answer.status, answer.body.as_str()), (503, body));
    }
    // It can still be looked at.
    assert_eq!(replica.public("GET /status").await.status, 200);
}

#[tokio::test]
async fn a_scraper_that_asks_for_openmetrics_gets_it() {
    let replica = Replica::start().await;
    let request =
        "GET /metrics HTTP/1.1\r\naccept: application/openmetrics-text; version=1.0.0\r\nx:";
    let answer = replica.public(request).await;
    assert_eq!(answer.body, "OpenMetrics\n");
    let form = "content-type: application/openmetrics-text; version=1.0.0";
    assert!(answer.head.contains(form), "{answer:?}");
}

#[tokio::test]
async fn names_that_let_one_connect_are_shown_at_the_control_socket_only() {
    let replica = Replica::start().await;
    let control = replica.control("GET /explain/csi-01").await;
    assert!(control.body.contains(SUBSYSTEM), "{control:?}");
    let public = replica.public("GET /explain/csi-01").await;
    assert!(public.body.contains("7-1700000000-..."), "{public:?}");
    assert!(!public.body.contains("00ff"), "{public:?}");
}

#[tokio::test]
async fn answers_say_what_they_are() {
    let replica = Replica::start().await;
    let rows = [
        ("GET /status", "content-type: application/json"),
        ("GET /nowhere", "content-type: application/json"),
        ("GET /livez", "content-type: text/plain"),
        ("GET /metrics", "content-type: text/plain; version=0.0.4"),
        ("POST /status", "allow: GET"),
    ];
    for (request, header) in rows {
        let answer = replica.public(request).await;
        assert!(answer.head.contains(header), "{request}: {answer:?}");
    }
}
