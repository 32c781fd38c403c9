//! A scrape, read: families of samples. Reads the older text form, strictly.

use std::collections::BTreeMap;

use rds_csi::metrics::catalog::{ALL, Kind, Spec};

/// Everything that one scrape shows.
#[derive(Debug, Default)]
pub(crate) struct Scrape {
    pub(crate) families: BTreeMap<String, Family>,
}

/// One metric.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) samples: Vec<Sample>,
}

/// One line.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

// === impl Scrape ===

impl Scrape {
    pub(crate) fn read(text: &str) -> Self {
        let mut scrape = Self::default();
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (what, name) = (words.next().unwrap(), words.next().unwrap());
                let rest = words.next().unwrap().to_owned();
                let family = scrape.families.entry(name.to_owned()).or_default();
                match what {
                    "HELP" => family.help = rest,
                    "TYPE" => family.kind = rest,
                    _ => panic!("{line}"),
                }
            } else {
                scrape.sample(line);
            }
        }
        scrape
    }

    fn sample(&mut self, line: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
        // No value of ours has a comma, a quote or a backslash in it.
        let labels = labels.split(',').filter(|label| !label.is_empty());
        let labels = labels.map(|label| {
            let (key, value) = label.split_once('=').unwrap();
            (key.to_owned(), value.trim_matches('"').to_owned())
        });
        let family = self.families.iter_mut().find(|(family, found)| {
            let parts = ["_bucket", "_sum", "_count"].into_iter();
            let parts = parts.filter(|_| found.kind == "histogram");
            name == *family
                || parts
                    .into_iter()
                    .any(|part| name.strip_suffix(part).is_some_and(|stem| stem == *family))
        });
        let (_, family) = family.unwrap_or_else(|| panic!("nothing declares {line}"));
        family.samples.push(Sample {
            name: name.to_owned(),
            labels: labels.collect(),
            value: value.parse().unwrap_or_else(|_| panic!("{line}")),
        });
    }

    /// The sum of all samples of this name that have these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let all = self.families.values().flat_map(|family| &family.samples);
        let fits = |sample: &&Sample| {
            let mut wanted = labels.iter();
            sample.name == name
                && wanted
                    .all(|(key, value)| sample.labels.get(*key).is_some_and(|found| found == value))
        };
        all.filter(fits).map(|sample| sample.value).sum()
    }

    /// The value of a gauge without labels, if it is there.
    pub(crate) fn gauge(&self, name: &str) -> Option<f64> {
        let family = self.families.get(name)?;
        assert_eq!(family.samples.len(), 1, "{name}");
        Some(family.samples[0].value)
    }

    /// What differs from the catalog.
    pub(crate) fn strangers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, family) in &self.families {
            let Some(spec) = ALL.iter().find(|spec| spec.name == name) else {
                found.push(format!("{name} is in no catalog"));
                continue;
            };
            found.extend(differences(spec, family));
        }
        found
    }
}

fn differences(spec: &Spec, family: &Family) -> Vec<String> {
    let mut found = Vec::new();
    let name = spec.name;
    if family.kind != spec.kind.as_str() {
        found.push(format!("{name} is a {}", family.kind));
    }
    if family.help != format!("{}.", spec.help) {
        found.push(format!("{name} says {:?}", family.help));
    }
    for sample in &family.samples {
        let keys: Vec<&str> = sample.labels.keys().map(String::as_str).collect();
        let mut wanted = spec.labels.to_vec();
        if spec.kind == Kind::Histogram && sample.name.ends_with("_bucket") {
            wanted.push("le");
        }
        wanted.sort_unstable();
        if keys != wanted {
            found.push(format!("{} has the labels {keys:?}", sample.name));
        }
    }
    found
}
