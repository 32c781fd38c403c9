//! Where traces go, as meant: by flags, and by the standard variables of OpenTelemetry.

use std::env;
use std::time::Duration;

use crate::cli::ControllerArgs;
use crate::cli::traces::{TraceArgs, share};
use crate::telemetry::traces::{Collector, Sampling, Tls, Traces};

/// Reads a variable of the environment that is there and says something.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Where the traces of a controller go; nowhere if nobody says where.
pub fn traces(args: &ControllerArgs) -> Option<Traces> {
    let pod = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let traces = read(&args.traces, &variable)?;
    Some(Traces {
        pod: pod(&args.replica.pod_name),
        pod_uid: pod(&args.replica.pod_uid),
        ..traces
    })
}

fn read(args: &TraceArgs, variable: &dyn Fn(&str) -> Option<String>) -> Option<Traces> {
    let TraceArgs {
        otlp_endpoint,
        trace_ratio,
    } = args;
    let is = |name, word| variable(name).is_some_and(|value| value.eq_ignore_ascii_case(word));
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return None;
    }
    // A variable for traces goes before the one for everything.
    let otlp = |what: &str| {
        variable(&format!("OTEL_EXPORTER_OTLP_TRACES_{what}"))
            .or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{what}")))
    };
    let endpoint = otlp_endpoint.clone().filter(|flag| !flag.is_empty());
    let number = |name| variable(name).and_then(|value| value.trim().parse::<u64>().ok());
    let certificate = otlp("CLIENT_CERTIFICATE").zip(otlp("CLIENT_KEY"));
    Some(Traces {
        endpoint: Collector::new(endpoint.or_else(|| otlp("ENDPOINT"))?),
        sampling: sampling(*trace_ratio, variable),
        tls: Tls {
            authority: otlp("CERTIFICATE").map(Into::into),
            identity: certificate.map(|(certificate, key)| (certificate.into(), key.into())),
        },
        queue: number("OTEL_BSP_MAX_QUEUE_SIZE").and_then(|size| usize::try_from(size).ok()),
        delay: number("OTEL_BSP_SCHEDULE_DELAY").map(Duration::from_millis),
        service: variable("OTEL_SERVICE_NAME"),
        pod: None,
        pod_uid: None,
    })
}

/// What is not understood records everything: too many traces are better than none.
fn sampling(ratio: Option<f64>, variable: &dyn Fn(&str) -> Option<String>) -> Sampling {
    if let Some(ratio) = ratio {
        return Sampling::ParentOr(ratio);
    }
    let argument = variable("OTEL_TRACES_SAMPLER_ARG");
    let argument = argument
        .and_then(|text| share(text.trim()).ok())
        .unwrap_or(1.0);
    match variable("OTEL_TRACES_SAMPLER").as_deref().map(str::trim) {
        Some("always_on") => Sampling::Always(1.0),
        Some("always_off") => Sampling::Always(0.0),
        Some("traceidratio") => Sampling::Always(argument),
        Some("parentbased_always_off") => Sampling::ParentOr(0.0),
        Some("parentbased_traceidratio") => Sampling::ParentOr(argument),
        Some(_) | None => Sampling::ParentOr(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(flags: &TraceArgs, variables: &[(&str, &str)]) -> Option<Traces> {
        read(flags, &|name| {
            let found = variables.iter().find(|(key, _)| *key == name)?;
            Some(found.1.to_owned())
        })
    }

    fn flags(endpoint: Option<&str>, ratio: Option<f64>) -> TraceArgs {
        TraceArgs {
            otlp_endpoint: endpoint.map(ToOwned::to_owned),
            trace_ratio: ratio,
        }
    }

    #[test]
    fn nothing_is_traced_unless_somebody_says_where_to() {
        const ALL: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all");
        const TRACES: (&str, &str) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces");
        let rows = [
            (None, vec![], None),
            (Some(""), vec![], None),
            (None, vec![ALL], Some("http://all")),
            (None, vec![ALL, TRACES], Some("http://traces")),
            (Some("http://flag"), vec![ALL, TRACES], Some("http://flag")),
            (
                Some("http://flag"),
                vec![("OTEL_SDK_DISABLED", "true")],
                None,
            ),
            (
                None,
                vec![ALL, ("OTEL_SDK_DISABLED", "false")],
                Some("http://all"),
            ),
            (None, vec![ALL, ("OTEL_TRACES_EXPORTER", "none")], None),
        ];
        for (flag, variables, expected) in rows {
            let traces = given(&flags(flag, None), &variables);
            let endpoint = traces.map(|traces| traces.endpoint);
            assert_eq!(endpoint, expected.map(Collector::new), "{variables:?}");
        }
    }

    #[test]
    fn the_standard_samplers_are_understood() {
        const ARGUMENT: (&str, &str) = ("OTEL_TRACES_SAMPLER_ARG", "0.25");
        let rows = [
            ("always_on", Sampling::Always(1.0)),
            ("always_off", Sampling::Always(0.0)),
            ("traceidratio", Sampling::Always(0.25)),
            ("parentbased_always_on", Sampling::ParentOr(1.0)),
            ("parentbased_always_off", Sampling::ParentOr(0.0)),
            ("parentbased_traceidratio", Sampling::ParentOr(0.25)),
            ("jaeger_remote", Sampling::ParentOr(1.0)),
        ];
        for (name, expected) in rows {
            let variables = [("OTEL_TRACES_SAMPLER", name), ARGUMENT];
            let traces = given(&flags(Some("http://c"), None), &variables);
            assert_eq!(traces.unwrap().sampling, expected, "{name}");
            let traces = given(&flags(Some("http://c"), Some(0.5)), &variables);
            assert_eq!(traces.unwrap().sampling, Sampling::ParentOr(0.5), "{name}");
        }
    }

    #[test]
    fn the_limits_and_names_of_the_standard_variables_are_taken_over() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/crt"),
            ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/key"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "17"),
            ("OTEL_BSP_SCHEDULE_DELAY", "200"),
            ("OTEL_SERVICE_NAME", "storage"),
        ];
        let traces = given(&flags(None, None), &variables).unwrap();
        assert_eq!(traces.queue, Some(17));
        assert_eq!(traces.delay, Some(Duration::from_millis(200)));
        assert_eq!(traces.service.as_deref(), Some("storage"));
        let identity = Some(("/crt".into(), "/key".into()));
        let authority = Some("/ca".into());
        assert_eq!(
            traces.tls,
            Tls {
                authority,
                identity
            }
        );
    }
}
