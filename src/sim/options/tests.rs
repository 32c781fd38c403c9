//! The command line of the simulator, and what it starts.

use clap::Parser;

use super::*;
use crate::sim::admin::AdminClient;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    options: Options,
}

fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
    let arguments = std::iter::once("sim").chain(arguments.iter().copied());
    Command::try_parse_from(arguments).map(|command| command.options)
}

#[test]
fn exactly_one_way_to_log_in_is_asked_for() {
    for (arguments, expected) in [
        (&["--no-auth"][..], true),
        (&["--password-file", "p"][..], true),
        (&["--authorized-keys", "k", "--user", "csi"][..], true),
        (&[][..], false),
        (&["--no-auth", "--password-file", "p"][..], false),
        (&["--no-auth", "--personality", "9.9"][..], false),
        (&["--no-auth", "--latency", "5"][..], false),
    ] {
        assert_eq!(parse(arguments).is_ok(), expected, "{arguments:?}");
    }
}

#[test]
fn durations_have_units() {
    for (text, expected) in [
        ("20ms", Some(Duration::from_millis(20))),
        ("1.5s", Some(Duration::from_millis(1500))),
        ("2m", Some(Duration::from_mins(2))),
        ("20", None),
        ("-1s", None),
        ("1h", None),
        ("ms", None),
    ] {
        assert_eq!(parse_duration(text).ok(), expected, "{text}");
    }
}

#[test]
fn a_base_path_names_a_pool_and_its_directories() {
    let made = pool("/tank/a/b", Some(1 << 30)).unwrap();
    assert_eq!(
        (made.name.as_str(), made.size, made.free),
        ("tank", 1 << 30, 1 << 30)
    );
    assert_eq!(made.directories, ["a", "a/b"]);
    assert!(pool("/", None).is_err());
}

#[tokio::test]
async fn the_ready_line_says_where_and_who() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    std::fs::write(dir.path().join("password"), "secret\n").unwrap();
    let (password, key, state) = (file("password"), file("key"), file("state"));
    let arguments = [
        "--password-file",
        &password,
        "--host-key",
        &key,
        "--state",
        &state,
        "--admin",
        "127.0.0.1:0",
        "--base-path",
        "/tank/volumes",
        "--latency",
        "1ms",
    ];
    let running = parse(&arguments).unwrap().start().await.unwrap();
    let ready = running.ready();
    let line = serde_json::to_value(&ready).unwrap();
    assert!(line["ssh"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(
        line["host_key"]
            .as_str()
            .unwrap()
            .starts_with("ssh-ed25519 AAAA")
    );
    assert!(line["fingerprint"].as_str().unwrap().starts_with("SHA256:"));
    let admin = AdminClient::new(ready.admin.unwrap());
    let state = admin.state().await.unwrap();
    assert_eq!(state.host_key, ready.host_key);
    assert!(
        state
            .files
            .iter()
            .any(|file| file.ends_with("tank/volumes")),
        "{state:?}"
    );
    running.stop().await.unwrap();

    let again = parse(&arguments).unwrap().start().await.unwrap();
    assert_eq!(again.ready().fingerprint, ready.fingerprint);
    again.stop().await.unwrap();
}

#[test]
fn the_ready_line_leaves_an_absent_admin_out() {
    let ready = Ready {
        ssh: "127.0.0.1:22".parse().unwrap(),
        host_key: "k".into(),
        fingerprint: "f".into(),
        admin: None,
    };
    let line = serde_json::to_string(&ready).unwrap();
    assert_eq!(
        line,
        r#"{"ssh":"127.0.0.1:22","host_key":"k","fingerprint":"f"}"#
    );
}
