//! Which objects a list or watch is about.

use std::collections::BTreeMap;

use super::refusal::Refusal;
use super::request::Call;
use super::store::{Key, Stored};

/// A namespace, a name and labels, each optional.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    namespace: Option<String>,
    fields: Vec<Field>,
    labels: Vec<Label>,
}

#[derive(Clone, Debug)]
struct Field {
    part: Part,
    value: String,
    wanted: bool,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Name,
    Namespace,
}

/// `key`, `!key`, `key=value` or `key!=value`.
#[derive(Clone, Debug)]
struct Label {
    key: String,
    value: Option<String>,
    wanted: bool,
}

// === impl Selector ===

impl Selector {
    /// # Errors
    /// The selectors use what this API does not support. A selector that is not understood must not
    /// pass for one that selects everything.
    pub(super) fn of(call: &Call) -> Result<Self, Refusal> {
        let terms = |text: &str| -> Vec<String> {
            let terms = text.split(',').map(str::trim);
            terms
                .filter(|term| !term.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let fields = terms(&call.options.field_selector);
        let labels = terms(&call.options.label_selector);
        Ok(Self {
            namespace: call.target.namespace.clone(),
            fields: fields
                .iter()
                .map(|term| Field::parse(term))
                .collect::<Result<_, _>>()?,
            labels: labels
                .iter()
                .map(|term| Label::parse(term))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether it takes everything in its namespace.
    pub(super) fn takes_all(&self) -> bool {
        self.fields.is_empty() && self.labels.is_empty()
    }

    /// Whether it takes an object that never changes its name and may change its labels.
    pub(super) fn takes(&self, key: &Key, stored: &Stored) -> bool {
        self.namespace
            .as_ref()
            .is_none_or(|wanted| *wanted == key.0)
            && self.fields.iter().all(|field| field.takes(key))
            && self.labels.iter().all(|label| label.takes(&stored.labels))
    }
}

// === impl Field ===

impl Field {
    fn parse(term: &str) -> Result<Self, Refusal> {
        let (field, value, wanted) = split(term);
        let part = match (field, &value) {
            ("metadata.name", Some(_)) => Part::Name,
            ("metadata.namespace", Some(_)) => Part::Namespace,
            _ => {
                let message = format!("field label not supported: {field}");
                return Err(Refusal::bad_request(message));
            }
        };
        Ok(Self {
            part,
            value: value.unwrap_or_default(),
            wanted,
        })
    }

    fn takes(&self, (namespace, name): &Key) -> bool {
        let found = match self.part {
            Part::Name => name,
            Part::Namespace => namespace,
        };
        (*found == self.value) == self.wanted
    }
}

// === impl Label ===

impl Label {
    fn parse(term: &str) -> Result<Self, Refusal> {
        if term.contains(['(', ')', ' ', '<', '>']) {
            let message = format!("unable to parse requirement: {term:?} is not supported here");
            return Err(Refusal::bad_request(message));
        }
        let (key, value, wanted) = split(term);
        Ok(match (value, key.strip_prefix('!')) {
            (None, Some(absent)) => Self {
                key: absent.to_owned(),
                value: None,
                wanted: false,
            },
            (value, _) => Self {
                key: key.to_owned(),
                value,
                wanted,
            },
        })
    }

    fn takes(&self, labels: &BTreeMap<String, String>) -> bool {
        let found = labels.get(&self.key);
        let matches = match &self.value {
            None => found.is_some(),
            Some(value) => found == Some(value),
        };
        matches == self.wanted
    }
}

/// Left side, right side, and whether they are to be equal.
fn split(term: &str) -> (&str, Option<String>, bool) {
    if let Some((left, right)) = term.split_once("!=") {
        return (left, Some(right.to_owned()), false);
    }
    match term.split_once('=') {
        Some((left, right)) => (left, Some(right.trim_start_matches('=').to_owned()), true),
        None => (term, None, true),
    }
}
