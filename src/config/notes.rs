//! What a right configuration means to those who read its metrics, where it may
//! surprise.

use super::{Config, Kind, Metric};

/// So many metrics are named.
const NAMES_MAX: usize = 5;

impl Config {
    /// Sentences to be shown with a check, a plan and at the start.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.prometheus.enabled {
            let metrics = self.metrics.iter();
            let negative: Vec<&str> = metrics.filter_map(with_negative_buckets).collect();
            notes.extend(about_negative_buckets(&negative));
        }
        notes
    }
}

/// The name of a histogram that has a bucket below 0.
fn with_negative_buckets(metric: &Metric) -> Option<&str> {
    let Kind::Histogram { bounds, .. } = &metric.kind else {
        return None;
    };
    let is_negative = bounds.first().is_some_and(|&bound| bound < 0.0);
    is_negative.then_some(metric.name.as_str())
}

fn about_negative_buckets(names: &[&str]) -> Option<String> {
    let (shown, more) = names.split_at(names.len().min(NAMES_MAX));
    let more = match more.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!shown.is_empty()).then(|| {
        format!(
            "histograms with negative buckets ({}{more}): OpenMetrics forbids their _sum and \
             _count, and the OpenTelemetry Collector, scraping OpenMetrics, drops such a histogram \
             whole; the text format has all of it (for Prometheus and the Collector: \
             scrape_protocols: [PrometheusText0.0.4])",
            shown.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::load_str;

    fn notes(text: &str) -> Vec<String> {
        let config = load_str(Path::new("f.yaml"), text.as_bytes(), &|_| None);
        config.unwrap_or_else(|error| panic!("{error}")).notes()
    }

    #[test]
    fn negative_buckets_are_told_where_open_metrics_is_served() {
        let metrics = |buckets: &str| {
            let names = ["a", "b", "c", "d", "e", "f"];
            let lines = names.map(|name| {
                format!(
                    "  - {{name: {name}, type: histogram, algorithm: exponential, lam: 1, \
                     buckets: [{buckets}]}}\n"
                )
            });
            format!("metrics:\n{}", lines.concat())
        };
        let found = notes(&metrics("-1, 0, 1"));
        assert_eq!(found.len(), 1);
        assert!(
            found[0].contains("(a, b, c, d, e and 1 more)"),
            "{}",
            found[0]
        );
        assert!(notes(&metrics("0, 1")).is_empty());
        let off = format!(
            "exporters: {{prometheus: {{enabled: false}}}}\n{}",
            metrics("-1, 1")
        );
        assert!(notes(&off).is_empty());
    }
}
