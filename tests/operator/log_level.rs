//! `log-level`: which lines a running replica writes, and who may change that.

use std::fs;

use super::rig::{Rig, Whom};

/// What a controller logs unless told otherwise.
const DEFAULT: &str = "info,russh=warn\n";

#[tokio::test]
async fn the_level_of_one_module_is_changed_in_a_running_replica_through_its_socket_only() {
    let rig = Rig::start().await;
    let leader = rig.leader().await;
    let (socket, port) = (rig.socket(&leader), Whom::Port(rig.port(&leader)));
    for whom in [&socket, &port] {
        assert_eq!(rig.ask(whom, &["log-level"]).await.stdout, DEFAULT);
    }
    let wanted = "warn,rds_csi::rds=debug";
    let refused = rig.ask(&port, &["log-level", wanted]).await;
    assert!(refused.stderr.contains("changes nothing"), "{refused:?}");
    let refused = rig.ask(&socket, &["log-level", "dbug"]).await;
    assert!(refused.stderr.contains("neither a level"), "{refused:?}");
    assert_eq!(rig.ask(&socket, &["log-level"]).await.stdout, DEFAULT);

    let changed = rig.ask(&socket, &["log-level", wanted]).await;
    assert_eq!(
        (changed.code, changed.stdout),
        (Some(0), format!("{wanted}\n"))
    );
    let shown = rig.ask(&port, &["log-level"]).await;
    assert_eq!(shown.stdout, format!("{wanted}\n"));
    rig.attach("logged", "node-a").await;
    let log = rig.replica(&leader).socket().with_file_name("1.log");
    let log = fs::read_to_string(log).unwrap();
    let mark = "the log level was changed";
    let (before, after) = log.split_once(mark).unwrap_or_else(|| panic!("{log}"));
    assert!(
        !before.contains("DEBUG") && before.contains("INFO"),
        "{before}"
    );
    assert!(after.contains("RouterOS command"), "{after}");
    // Outside of that module, what a call did is of a level that is not shown any more.
    assert!(!after.contains("rpc done"), "{after}");
    rig.finish().await;
}
