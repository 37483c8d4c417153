//! What to say about a field that there is not: the field that was probably
//! meant, those that fit what else is said, or what there is in the place of
//! something that other generators have.

use super::check::action::{ACTIONS, fields_taken};
use super::check::parameters;
use super::suggest;
use super::yaml::Node;

/// The message about `key` in a map that is read as the type `owner` with these
/// fields, and the field that it was probably meant to be.
pub(super) fn field(
    owner: &str,
    entries: &[(String, Node)],
    key: &str,
    fields: &'static [&'static str],
) -> (String, Option<&'static str>) {
    let known = fitting(owner, entries, fields);
    if let Some(sentence) = elsewhere(key) {
        return (format!("unknown field; {sentence}"), None);
    }
    if let Some(meant) = suggest::nearest(key, known.iter().copied()) {
        let message = format!("unknown field; did you mean {meant:?}?");
        return (message, Some(meant));
    }
    let list = suggest::list(known);
    (format!("unknown field; known fields: {list}"), None)
}

/// The fields that fit what the other fields say, the important ones first; all
/// of them where that is not known.
fn fitting(
    owner: &str,
    entries: &[(String, Node)],
    fields: &'static [&'static str],
) -> Vec<&'static str> {
    let word = |name: &str| {
        let entry = entries.iter().find(|(key, _)| key == name);
        match entry.map(|(_, value)| value) {
            Some(Node::Str(text) | Node::Variable(text)) => Some(&**text),
            _ => None,
        }
    };
    let taken = match owner {
        "RawMetric" => word("type").and_then(|kind| parameters::taken_by(kind, word("algorithm"))),
        "RawAction" | "RawStep" => word("action")
            .filter(|action| ACTIONS.contains(action))
            .map(|action| fields_taken(action, word("kind")).to_vec()),
        "RawFailureMode" => Some(fields_taken("fault", word("kind")).to_vec()),
        _ => None,
    };
    let Some(taken) = taken else {
        return fields.to_vec();
    };
    let always = |field: &&str| match owner {
        "RawMetric" => !parameters::is_parameter(field),
        "RawFailureMode" => *field == "kind",
        _ => *field == "at_s" || (*field == "kind" && word("action") == Some("fault")),
    };
    let is_new = |field: &&str| !taken.contains(field);
    let more = fields.iter().copied().filter(always).filter(is_new);
    taken.iter().copied().chain(more).collect()
}

/// What other generators have under such a name, and what there is here.
pub(super) fn elsewhere(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().replace('-', "_").as_str() {
        "native_histogram" | "native_histograms" | "native_buckets" => {
            "native histograms are not offered; exporters.otel pushes exponential ones with \
             histograms: exponential"
        }
        "exemplar" | "exemplars" => "exemplars are not generated",
        "churn"
        | "churn_rate"
        | "series_churn"
        | "series_interval"
        | "metric_interval"
        | "series_change_interval"
        | "series_change_rate" => {
            "series do not change by themselves; the fault stale lets them vanish and return \
             (runtime.failure_modes), and `mockingbird ctl reload` puts other labels into effect"
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
