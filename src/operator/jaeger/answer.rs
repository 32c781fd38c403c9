//! What Jaeger's query API answers, as far as it is looked at.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What Jaeger says of a trace that it does not have.
const NOT_FOUND: u16 = 404;

/// Everything that the API answers has this around it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer<T> {
    /// What was asked for.
    pub data: Option<T>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<Problem>>,
}

/// Something that went wrong.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Problem {
    code: u16,
    msg: String,
}

/// One trace. Spans come in any order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// 32 hex digits.
    #[serde(rename = "traceID")]
    pub trace_id: String,
    /// Its steps.
    pub spans: Vec<Span>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// 16 hex digits.
    #[serde(rename = "spanID")]
    pub span_id: String,
    /// What it is called.
    pub operation_name: String,
    /// What it belongs to, and what it is linked to.
    #[serde(default)]
    pub references: Vec<Reference>,
    /// Microseconds since 1970.
    pub start_time: u64,
    /// Microseconds.
    pub duration: u64,
    /// Its attributes.
    #[serde(default)]
    pub tags: Vec<Tag>,
}

/// Another span that a span names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// `CHILD_OF`, or `FOLLOWS_FROM` for a link.
    pub ref_type: String,
    /// The trace of the other span.
    #[serde(rename = "traceID")]
    pub trace_id: String,
    /// The other span.
    #[serde(rename = "spanID")]
    pub span_id: String,
}

/// An attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Its name.
    pub key: String,
    /// A text, a number or a truth.
    pub value: Value,
}

// === impl Answer ===

impl<T> Answer<T> {
    /// An answer that went well.
    pub fn of(data: T) -> Self {
        Self {
            data: Some(data),
            errors: None,
        }
    }

    pub(super) fn errors(&self) -> Vec<&str> {
        let errors = self.errors.iter().flatten();
        errors.map(|error| error.msg.as_str()).collect()
    }

    pub(super) fn is_nothing_found(&self) -> bool {
        let mut errors = self.errors.iter().flatten();
        errors.any(|error| error.code == NOT_FOUND)
    }
}

// === impl Trace ===

impl Trace {
    /// When its first span began, in microseconds since 1970.
    pub fn begin(&self) -> u64 {
        let begins = self.spans.iter().map(|span| span.start_time);
        begins.min().unwrap_or_default()
    }

    /// The spans above this one, its parent first.
    pub fn ancestors<'a>(&'a self, span: &'a Span) -> Vec<&'a Span> {
        let mut found: Vec<&Span> = Vec::new();
        let mut next = self.parent(span);
        // More than there are spans only if they are their own ancestors.
        while let Some(one) = next.filter(|_| found.len() < self.spans.len()) {
            found.push(one);
            next = self.parent(one);
        }
        found
    }

    /// The span that this one is a part of, if the trace has it.
    pub fn parent(&self, span: &Span) -> Option<&Span> {
        let mut references = span.references.iter();
        let parent =
            references.find(|one| one.ref_type == "CHILD_OF" && one.trace_id == self.trace_id)?;
        let mut spans = self.spans.iter();
        spans.find(|one| one.span_id == parent.span_id)
    }
}

// === impl Span ===

impl Span {
    /// An attribute as text.
    pub fn tag(&self, key: &str) -> Option<String> {
        let tag = self.tags.iter().find(|tag| tag.key == key)?;
        Some(match &tag.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The text of an answer, cut down to one span below another.
    fn answer() -> Value {
        json!({"data": [{
            "traceID": "t", "processes": {"p1": {"serviceName": "rds-csi"}}, "warnings": null,
            "spans": [
                {"traceID": "t", "spanID": "b", "operationName": "rds.command",
                 "references": [
                     {"refType": "FOLLOWS_FROM", "traceID": "other", "spanID": "z"},
                     {"refType": "CHILD_OF", "traceID": "t", "spanID": "a"},
                 ],
                 "startTime": 12, "duration": 5, "processID": "p1", "logs": [],
                 "tags": [{"key": "rds.attempt", "type": "int64", "value": 1},
                          {"key": "outcome", "type": "string", "value": "done"}]},
                {"traceID": "t", "spanID": "a", "operationName": "rpc", "startTime": 10,
                 "duration": 9, "references": [], "tags": []},
            ],
        }], "total": 0, "limit": 0, "offset": 0, "errors": null})
    }

    #[test]
    fn an_answer_is_read_with_who_is_below_whom() {
        let answer: Answer<Vec<Trace>> = serde_json::from_value(answer()).unwrap();
        assert!(answer.errors().is_empty() && !answer.is_nothing_found());
        let trace = answer.data.unwrap().remove(0);
        assert_eq!(trace.begin(), 10);
        let (command, root) = (&trace.spans[0], &trace.spans[1]);
        assert_eq!(trace.ancestors(command), [root]);
        assert_eq!(trace.ancestors(root), [] as [&Span; 0]);
        assert_eq!(command.tag("rds.attempt").as_deref(), Some("1"));
        assert_eq!(command.tag("outcome").as_deref(), Some("done"));
        assert_eq!(command.tag("error"), None);
        // What is written again can be read again.
        let again = serde_json::to_value(Answer::of(vec![trace.clone()])).unwrap();
        let again: Answer<Vec<Trace>> = serde_json::from_value(again).unwrap();
        assert_eq!(again.data, Some(vec![trace]));
    }

    #[test]
    fn spans_above_each_other_end_all_the_same() {
        let mut text = answer().to_string();
        text = text.replacen(
            "\"references\":[]",
            "\"references\":[{\"refType\":\"CHILD_OF\",\"traceID\":\"t\",\"spanID\":\"b\"}]",
            1,
        );
        let answer: Answer<Vec<Trace>> = serde_json::from_str(&text).unwrap();
        let trace = answer.data.unwrap().remove(0);
        assert_eq!(trace.ancestors(&trace.spans[0]).len(), 2);
    }

    #[test]
    fn a_trace_that_is_not_there_is_told_from_trouble() {
        for (text, is_absent) in [
            (
                r#"{"data":null,"errors":[{"code":404,"msg":"trace not found"}]}"#,
                true,
            ),
            (
                r#"{"data":null,"errors":[{"code":500,"msg":"no shards"}]}"#,
                false,
            ),
        ] {
            let answer: Answer<Vec<Trace>> = serde_json::from_str(text).unwrap();
            assert_eq!(answer.is_nothing_found(), is_absent, "{text}");
            assert_eq!(answer.errors().len(), 1);
        }
    }
}
