//! Logs and metrics: how the process speaks about itself. Only `app` and `main` use this.
//!
//! Logs go to standard error, as JSON lines unless a person is looking at a terminal. JSON escapes control bytes,
//! so text from outside can never forge a line of its own. Metrics are kept in memory and handed out as text for
//! the `/metrics` page.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// What is logged when `MUSTER_LOG` says nothing.
const FILTER: &str = "info,sqlx=warn";

/// What is never logged, whatever `MUSTER_LOG` says: these repeat the whole path of a request, and that of a one-time link
/// signs somebody in.
const SILENT: [&str; 1] = ["tower_http::csrf=off"];

/// How often histogram samples are folded away; without it they pile up until somebody reads `/metrics`.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Requests, queries, waits for a connection: milliseconds to half a minute.
const SECONDS: [f64; 13] = [
    0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// Runs, steps, gates and what is measured about incidents: a second to a day.
const LONG_SECONDS: [f64; 12] = [
    0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 10_800.0, 21_600.0, 86_400.0,
];
/// Bodies and files.
const BYTES: [f64; 8] = [
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    16_777_216.0,
];

/// Why logs or metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `MUSTER_LOG` is not a filter.
    #[error("MUSTER_LOG is {filter:?}, expected a filter such as \"info,muster::execute=debug\"")]
    Filter {
        /// What was given.
        filter: String,
        /// Where it went wrong.
        source: ParseError,
    },
    /// Something else in this process already took the logs.
    #[error("logs are already set up")]
    Logs(#[from] TryInitError),
    /// Something else in this process already took the metrics, or the buckets are wrong.
    #[error("metrics cannot be set up")]
    Metrics(#[from] BuildError),
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Short coloured lines for a person.
    Compact,
}

/// What to log, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// How lines look.
    pub format: LogFormat,
    /// Which lines are written, in the syntax of `tracing-subscriber`'s filters.
    pub filter: String,
}

impl LogOptions {
    /// Reads `MUSTER_LOG_FORMAT` and `MUSTER_LOG`.
    pub fn from_env() -> LogOptions {
        LogOptions::read(|name| std::env::var(name).ok(), std::io::stderr().is_terminal())
    }

    fn read(variable: impl Fn(&str) -> Option<String>, terminal: bool) -> LogOptions {
        let format = match variable("MUSTER_LOG_FORMAT").as_deref() {
            Some("json") => LogFormat::Json,
            Some("compact") => LogFormat::Compact,
            _ if terminal => LogFormat::Compact,
            _ => LogFormat::Json,
        };
        let filter = variable("MUSTER_LOG").filter(|filter| !filter.trim().is_empty());
        LogOptions {
            format,
            filter: filter.unwrap_or_else(|| FILTER.to_owned()),
        }
    }
}

/// Sends the process's log lines to standard error from here on.
pub fn init(options: &LogOptions) -> Result<(), TelemetryError> {
    let told = |source| TelemetryError::Filter {
        filter: options.filter.clone(),
        source,
    };
    let mut filter = EnvFilter::try_new(&options.filter).map_err(told)?;
    for silent in SILENT {
        filter = filter.add_directive(silent.parse().map_err(told)?);
    }
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let subscriber = tracing_subscriber::registry().with(filter);
    match options.format {
        LogFormat::Json => subscriber
            .with(
                lines
                    .json()
                    .flatten_event(true)
                    .with_current_span(true)
                    .with_span_list(false),
            )
            .try_init()?,
        LogFormat::Compact => subscriber
            .with(lines.compact().with_ansi(std::io::stderr().is_terminal()))
            .try_init()?,
    }
    Ok(())
}

/// Starts keeping metrics, once a process: every further call hands out the same handle.
pub fn metrics() -> Result<PrometheusHandle, TelemetryError> {
    static HANDLE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut handle = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*handle {
        return Ok(handle.clone());
    }
    let installed = builder()?.install_recorder()?;
    Ok(handle.insert(installed).clone())
}

/// Folds samples away until `shutdown`; run it as a task of its own.
pub async fn upkeep(handle: PrometheusHandle, shutdown: CancellationToken) {
    let mut timer = tokio::time::interval(UPKEEP_EVERY);
    while shutdown.run_until_cancelled(timer.tick()).await.is_some() {
        handle.run_upkeep();
    }
}

/// Without buckets a histogram would come out as a summary, which cannot be added up over replicas.
fn builder() -> Result<PrometheusBuilder, BuildError> {
    let long = [
        "muster_run",
        "muster_step",
        "muster_gate",
        "muster_incident",
        "muster_drill",
    ];
    let mut builder = PrometheusBuilder::new()
        .set_buckets(&SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES)?;
    for prefix in long {
        builder = builder.set_buckets_for_metric(Matcher::Prefix(prefix.to_owned()), &LONG_SECONDS)?;
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)], terminal: bool) -> LogOptions {
        LogOptions::read(
            |name| {
                variables
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| (*value).to_owned())
            },
            terminal,
        )
    }

    #[test]
    fn lines_are_json_unless_a_person_looks_or_it_is_asked_otherwise() {
        assert_eq!(
            read(&[], false),
            LogOptions {
                format: LogFormat::Json,
                filter: FILTER.to_owned()
            }
        );
        assert_eq!(read(&[], true).format, LogFormat::Compact);
        assert_eq!(
            read(&[("MUSTER_LOG_FORMAT", "json")], true).format,
            LogFormat::Json
        );
        assert_eq!(
            read(&[("MUSTER_LOG_FORMAT", "compact")], false).format,
            LogFormat::Compact
        );
        assert_eq!(read(&[("MUSTER_LOG", "debug")], true).filter, "debug");
        assert_eq!(read(&[("MUSTER_LOG", " ")], true).filter, FILTER);
    }

    #[test]
    fn a_wrong_filter_is_refused_by_name() {
        let options = LogOptions {
            format: LogFormat::Json,
            filter: "muster=loud".to_owned(),
        };
        let error = init(&options).expect_err("not a filter");
        assert!(
            error.to_string().contains("MUSTER_LOG is \"muster=loud\""),
            "{error}"
        );
    }

    #[test]
    fn histograms_have_buckets_fit_for_what_they_measure() {
        let recorder = builder().expect("valid buckets").build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("http_request_seconds").record(0.003);
            metrics::histogram!("muster_run_seconds").record(1_000.0);
            metrics::histogram!("webhook_body_bytes").record(300.0);
        });
        let text = recorder.handle().render();
        assert!(
            text.contains("http_request_seconds_bucket{le=\"0.005\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("muster_run_seconds_bucket{le=\"1800\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("webhook_body_bytes_bucket{le=\"1024\"} 1"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn metrics_are_set_up_once_and_upkeep_ends_with_the_process() {
        let first = metrics().expect("metrics can be set up");
        let again = metrics().expect("and asked for again");
        metrics::counter!("telemetry_test_total").increment(2);
        assert_eq!(first.render(), again.render());
        assert!(again.render().contains("telemetry_test_total 2"));
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        upkeep(first, shutdown).await;
    }
}
