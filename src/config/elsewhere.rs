//! Words of other generators, and what there is here in their place.

/// What other generators have under such a name, and what there is here.
pub(super) fn elsewhere(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().replace('-', "_").as_str() {
        "native_histograms" | "native_buckets" => {
            "a histogram is native with histograms: native (or both), and native_histogram says \
             how; exporters have histograms, too"
        }
        "exemplar" => "counters and histograms have exemplars with exemplars: {share: 0.01}",
        "churn"
        | "churn_rate"
        | "series_churn"
        | "series_interval"
        | "metric_interval"
        | "series_change_interval"
        | "series_change_rate" => {
            "how series come and go is said of a profile (profiles.NAME.churn: steady, k8s, ci or \
             a list of laws)"
        }
        "gradual_change"
        | "double_halve"
        | "spike_multiplier"
        | "series_operation_mode"
        | "operation_mode" => {
            "the number of series does not change by itself; change series_cap or the labels and \
             run `mockingbird ctl reload` (the action spike multiplies rates and values)"
        }
        "scrape_interval" | "scrape_interval_s" | "value_interval" => {
            "who scrapes decides when; global.tick_interval_s says how often values change"
        }
        "scrape_timeout" => "who scrapes decides how long to wait",
        "metric_count"
        | "metrics_count"
        | "counter_metric_count"
        | "gauge_metric_count"
        | "histogram_metric_count"
        | "summary_metric_count" => {
            "every metric is listed by itself; the labels of its profile make the series"
        }
        "series_count" | "cardinality" | "label_count" | "labels_count" => {
            "the number of series is the product of the labels' values, or the profile's \
             series_cap where that is less"
        }
        "resets" | "reset_interval" | "counter_resets" => {
            "a counter restarts by a fault of kind reset (runtime.failure_modes, scenarios)"
        }
        "out_of_order" | "out_of_order_share" => {
            "`mockingbird backfill --out-of-order` sends samples out of order"
        }
        "tls_config" | "tls_server_config" | "web_config" => {
            "the metrics page has no TLS; receivers of pushes take ca_file, cert_file and key_file"
        }
        "traces" | "logs" | "spans" => "only metrics are generated",
        "untyped" | "unknown" | "info" | "stateset" | "gaugehistogram" | "gauge_histogram" => {
            "this type is not offered; a gauge comes nearest"
        }
        "normal" | "gaussian" => {
            "there is no such distribution; lognormal has a normal logarithm, and a gauge's \
             random_walk has normal steps"
        }
        "uniform" | "random" => {
            "there is no such algorithm; a gauge that moves at random is a random_walk within clamp"
        }
        _ => return None,
    })
}
