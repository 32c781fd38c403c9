//! Which pins accept which keys.

use super::*;

const ED25519: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMBmsjLkLiLEh4yQgOymt+RQAwMYxA+cl1XiYHJeJY67";
const ED25519_FINGERPRINT: &str = "SHA256:bHJ/ec0vLaENL1d0Wsputi4QtBQTEG5nc9+/gjcOz5Y";
const OTHER: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHdbERUTm0S2U0+rEylBFuV8lk6pCunO4UYAwyPLfvz1";

fn key(line: &str) -> PublicKey {
    line.parse().unwrap()
}

fn device() -> Endpoint {
    Endpoint::new("rds.example", 2222)
}

#[test]
fn every_form_of_a_pin_accepts_its_key_and_no_other() {
    let blob = ED25519.split_once(' ').unwrap().1;
    for pin in [
        ED25519.to_owned(),
        format!("{ED25519} admin@rds\n"),
        format!("# the device in rack 4\n\n{ED25519}"),
        blob.to_owned(),
        ED25519_FINGERPRINT.to_owned(),
        format!("[rds.example]:2222 {ED25519}"),
        format!("ssh-gateway {OTHER}\n[rds.example]:2222\t{ED25519} comment"),
        format!("|1|VCsEy7llIuzJOrRFRjS5XGHq7gE=|Zoe10TcZ6vD9+hB175AZMEga5/E= {ED25519}"),
    ] {
        let pinned = HostKeyPin::parse(&pin).unwrap().resolve(&device()).unwrap();
        assert!(pinned.accepts(&key(ED25519)), "{pin}");
        assert!(!pinned.accepts(&key(OTHER)), "{pin}");
        assert!(
            pinned.expected().contains(ED25519_FINGERPRINT),
            "{}",
            pinned.expected()
        );
    }
}

#[test]
fn several_keys_may_be_pinned_and_revoked_ones_are_refused() {
    let both = HostKeyPin::parse(&format!("{ED25519}\n{OTHER}")).unwrap();
    let pinned = both.resolve(&device()).unwrap();
    assert!(pinned.accepts(&key(ED25519)) && pinned.accepts(&key(OTHER)));
    let text = format!("@revoked * {OTHER}\n[rds.example]:2222 {ED25519}\n* {OTHER}");
    let pinned = HostKeyPin::parse(&text)
        .unwrap()
        .resolve(&device())
        .unwrap();
    assert!(pinned.accepts(&key(ED25519)) && !pinned.accepts(&key(OTHER)));
}

#[test]
fn text_without_a_usable_key_is_refused() {
    for text in [
        "",
        "# nothing",
        "SHA256:short",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        "rds.example",
    ] {
        let refused = HostKeyPin::parse(text).unwrap_err();
        assert!(matches!(refused, PinError::Unreadable), "{text}: {refused}");
    }
    let authority = format!("@cert-authority * {ED25519}");
    assert!(HostKeyPin::parse(&authority).is_err());
    let other = HostKeyPin::parse(&format!("other.example {ED25519}")).unwrap();
    let message = other.resolve(&device()).unwrap_err().to_string();
    assert!(
        message.contains("ssh-keyscan -p 2222 rds.example"),
        "{message}"
    );
}

#[test]
fn file_is_searched_for_the_device_and_read_again_when_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("known_hosts");
    let pin = HostKeyPin::file(path.clone());
    assert!(matches!(
        pin.resolve(&device()).unwrap_err(),
        PinError::File(_)
    ));
    let garbage = "old.example ssh-dss AAAA";
    std::fs::write(&path, format!("{garbage}\n[rds.example]:2222 {ED25519}\n")).unwrap();
    assert!(pin.resolve(&device()).unwrap().accepts(&key(ED25519)));
    std::fs::write(&path, format!("[rds.example]:2222 {OTHER} rotated\n")).unwrap();
    assert!(!pin.resolve(&device()).unwrap().accepts(&key(ED25519)));
    std::fs::write(&path, garbage).unwrap();
    assert!(matches!(
        pin.resolve(&device()).unwrap_err(),
        PinError::Unreadable
    ));
}

#[test]
fn offer_is_restricted_to_the_kinds_of_the_pinned_keys() {
    let names = |text: &str, algorithms| {
        let pinned = HostKeyPin::parse(text).unwrap().resolve(&device()).unwrap();
        let offer = pinned.offer(algorithms);
        offer
            .iter()
            .map(|name| name.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&format!("{ED25519}\n{OTHER}"), Algorithms::Legacy),
        ["ssh-ed25519"]
    );
    let any = names(ED25519_FINGERPRINT, Algorithms::Modern);
    assert!(
        any.len() > 4 && !any.contains(&"ssh-rsa".to_owned()),
        "{any:?}"
    );
}
