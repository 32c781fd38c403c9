//! Versions are written down in several places and are the same in all of them.

use serde_json::Value;

use super::helm::read;

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn chart_and_driver_have_one_version() {
    let chart = yaml("helm/rds-csi/Chart.yaml");
    for key in ["version", "appVersion"] {
        let found = chart.get(key).and_then(Value::as_str);
        assert_eq!(
            found,
            Some(env!("CARGO_PKG_VERSION")),
            "{key} in Chart.yaml"
        );
    }
}
