//! The two text forms that scrapers read: OpenMetrics, and the older form of Prometheus.

use super::catalog::{ALL, Kind};

/// A text form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// OpenMetrics 1.0, which Prometheus asks for since version 2.5.
    OpenMetrics,
    /// Prometheus 0.0.4, which everything reads.
    Plain,
}

// === impl Form ===

impl Form {
    /// What to answer to this `Accept` header: OpenMetrics only to who names it.
    pub fn accepted(accept: Option<&str>) -> Self {
        if accept.is_some_and(|accept| accept.contains("application/openmetrics-text")) {
            Self::OpenMetrics
        } else {
            Self::Plain
        }
    }

    /// The `Content-Type` of the answer.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// From OpenMetrics, which is what the registry writes.
    pub(super) fn write(self, open: String) -> String {
        match self {
            Self::OpenMetrics => open,
            Self::Plain => open.lines().filter_map(plain).collect(),
        }
    }
}

/// The older form declares a counter under the name that its samples have, and knows no end mark.
fn plain(line: &str) -> Option<String> {
    if line == "# EOF" {
        return None;
    }
    let mut words = line.splitn(4, ' ');
    if let (Some("#"), Some(what), Some(stem), Some(rest)) =
        (words.next(), words.next(), words.next(), words.next())
        && let Some(counter) = ALL
            .iter()
            .find(|spec| spec.kind == Kind::Counter && spec.stem() == stem)
    {
        return Some(format!("# {what} {} {rest}\n", counter.name));
    }
    Some(format!("{line}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::metrics::gauges::Reading;
    use crate::metrics::volumes::{Repair, Volumes};

    #[test]
    fn only_who_asks_for_openmetrics_gets_it() {
        let rows = [
            (None, Form::Plain),
            (Some("*/*"), Form::Plain),
            (Some("text/plain;version=0.0.4;q=0.5"), Form::Plain),
            (
                Some("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"),
                Form::OpenMetrics,
            ),
        ];
        for (accept, expected) in rows {
            assert_eq!(Form::accepted(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn both_forms_declare_what_they_show_under_its_name_there() {
        let volumes = Volumes::default();
        volumes.repaired(Repair::Remade);
        let metrics = Metrics::default().with(&volumes);
        let scrape = |form| metrics.scrape(Reading::default(), form);
        let sample = "rds_csi_attachment_repairs_total{kind=\"remade\"} 1\n";
        let open = scrape(Form::OpenMetrics);
        assert!(
            open.contains("# TYPE rds_csi_attachment_repairs counter\n"),
            "{open}"
        );
        assert!(open.contains(sample) && open.ends_with("# EOF\n"), "{open}");
        let plain = scrape(Form::Plain);
        assert!(
            plain.contains("# TYPE rds_csi_attachment_repairs_total counter\n"),
            "{plain}"
        );
        assert!(plain.contains(sample) && !plain.contains("EOF"), "{plain}");
    }
}
