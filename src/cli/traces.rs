//! The flags of tracing, as typed.

use clap::Args;

/// Where traces go. The standard `OTEL_*` variables say the same; a flag goes before them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Traces")]
pub struct TraceArgs {
    /// Collector that traces are sent to over OTLP/gRPC, as http://host:4317 or https://... [default: OTEL_EXPORTER_OTLP_ENDPOINT; without it nothing is traced]
    #[arg(long, env = "RDS_CSI_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// Share of traces that is recorded, 0 to 1, unless the caller has decided [default: OTEL_TRACES_SAMPLER, or all]
    #[arg(long, env = "RDS_CSI_TRACE_RATIO", value_name = "SHARE", value_parser = share)]
    pub trace_ratio: Option<f64>,
}

/// Reads a share of all.
///
/// # Errors
/// If it is no number from 0 to 1.
pub fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "must be a number from 0 to 1")?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("must be from 0 to 1".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_number_from_0_to_1() {
        for good in ["0", "1", "0.25", "1.0"] {
            assert!(share(good).is_ok(), "{good}");
        }
        for bad in ["", "-0.1", "1.1", "NaN", "inf", "half"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }
}
