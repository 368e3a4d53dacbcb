//! The figures of a server in the text format of Prometheus.

use std::fmt::Write;

use crate::figure::{Figure, FigureKind};
use crate::histogram::TimeHistogram;

/// The media type of the text.
pub(crate) const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The figures and the times of answers as metrics, whose names begin with `prefix`.
pub(crate) fn metrics(prefix: &str, figures: &[Figure], answer_times: &TimeHistogram) -> String {
    let mut text = String::with_capacity(4096);
    let mut last = "";
    for figure in figures {
        let (kind, suffix) = match figure.kind {
            FigureKind::Counter => ("counter", "_total"),
            FigureKind::Gauge => ("gauge", ""),
        };
        let name = format!("{prefix}_{}{suffix}", figure.name);
        // Figures with labels share one description.
        if figure.name != last {
            describe(&mut text, &name, kind, figure.meaning);
            last = figure.name;
        }
        let label = match &figure.label {
            None => String::new(),
            Some((label, value)) => format!("{{{label}=\"{}\"}}", escape(value)),
        };
        line(&mut text, format_args!("{name}{label} {}", figure.value));
    }
    let name = format!("{prefix}_answer_seconds");
    let meaning = "Time from reading a request to writing its answer";
    describe(&mut text, &name, "histogram", meaning);
    for (bound, count) in answer_times.buckets() {
        let bound = bound.as_secs_f64();
        line(
            &mut text,
            format_args!("{name}_bucket{{le=\"{bound}\"}} {count}"),
        );
    }
    let (count, sum) = (answer_times.count(), answer_times.sum().as_secs_f64());
    line(
        &mut text,
        format_args!("{name}_bucket{{le=\"+Inf\"}} {count}"),
    );
    line(&mut text, format_args!("{name}_sum {sum}"));
    line(&mut text, format_args!("{name}_count {count}"));
    text
}

fn describe(text: &mut String, name: &str, kind: &str, meaning: &str) {
    line(text, format_args!("# HELP {name} {meaning}"));
    line(text, format_args!("# TYPE {name} {kind}"));
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}

/// The value of a label.
fn escape(value: &str) -> String {
    value
        .replace('\\', r"\\")
        .replace('"', r#"\""#)
        .replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn metrics_are_in_the_text_format() {
        let relay = |name: &str, value| Figure {
            label: Some(("relay", name.to_owned())),
            ..Figure::gauge("registered_at", value, "1 if registered there")
        };
        let figures = [
            Figure::gauge("nodes", 3, "Registered nodes"),
            Figure::counter("finds", 4, "Requests"),
            relay("[::1]:4000", 1),
            relay("a\"b\\", 0),
        ];
        let mut times = TimeHistogram::default();
        times.record(Duration::from_micros(20), 2);
        let text = metrics("peerline_relay", &figures, &times);
        let start = "\
# HELP peerline_relay_nodes Registered nodes
# TYPE peerline_relay_nodes gauge
peerline_relay_nodes 3
# HELP peerline_relay_finds_total Requests
# TYPE peerline_relay_finds_total counter
peerline_relay_finds_total 4
# HELP peerline_relay_registered_at 1 if registered there
# TYPE peerline_relay_registered_at gauge
peerline_relay_registered_at{relay=\"[::1]:4000\"} 1
peerline_relay_registered_at{relay=\"a\\\"b\\\\\"} 0
# HELP peerline_relay_answer_seconds Time from reading a request to writing its answer
# TYPE peerline_relay_answer_seconds histogram
peerline_relay_answer_seconds_bucket{le=\"0.00001\"} 0
peerline_relay_answer_seconds_bucket{le=\"0.00003\"} 2
";
        assert!(text.starts_with(start), "{text}");
        let end = "\
peerline_relay_answer_seconds_bucket{le=\"+Inf\"} 2
peerline_relay_answer_seconds_sum 0.00004
peerline_relay_answer_seconds_count 2
";
        assert!(text.ends_with(end), "{text}");
    }
}
