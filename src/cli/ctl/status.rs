//! What an instance says of itself as text for people: what runs, and what is in effect.

use std::fmt::Write as _;

use serde_json::Value;

use super::text::{items, labels, table, word};
use crate::readable::grouped;

pub(super) fn status(reply: &Value) -> String {
    let config = &reply["config"];
    let exporters = &reply["exporters"];
    let (scraped, pushed) = (&exporters["prometheus"], &exporters["otel"]);
    let journal = &reply["journal"];
    let count = |value: &Value| grouped(value.as_u64().unwrap_or(0).into());
    let mut rows = vec![
        pair("version", word(&reply["version"])),
        pair(
            "config",
            format!(
                "{} ({})",
                word(&config["path"]),
                word(&config["fingerprint"])
            ),
        ),
        pair(
            "uptime",
            format!("{:.0} s", number(&reply["uptime_seconds"])),
        ),
        pair(
            "ticks",
            format!(
                "{}, every {} s, {:.3} s late{}",
                count(&reply["tick_count"]),
                number(&config["tick_interval_s"]),
                number(&reply["tick_lag_seconds"]),
                clock_offset(number(&reply["clock_offset_seconds"])),
            ),
        ),
        pair(
            "series",
            format!(
                "{} of {} metrics",
                count(&reply["active_series"]),
                count(&reply["active_metrics"])
            ),
        ),
    ];
    if let Some(shard) = reply["shard"].as_str() {
        rows.push(pair("shard", format!("{shard}: these are its series")));
    }
    let off = |exporter: &Value| exporter["enabled"] != true;
    rows.push(pair(
        "scrapes",
        if off(scraped) {
            "off".into()
        } else {
            format!(
                "{} answered, {} failed",
                count(&scraped["scrapes"]),
                count(&scraped["scrape_errors"])
            )
        },
    ));
    let points = |pushed: &Value| {
        let fields = [
            "offered",
            "accepted",
            "rejected",
            "dropped",
            "in_flight",
            "retried",
        ];
        let fields = fields.map(|name| format!("{} {name}", count(&pushed[name])));
        fields.join(", ").replace('_', " ")
    };
    let all_off = |pushed: &Value| {
        if off(pushed) {
            "off".into()
        } else {
            points(pushed)
        }
    };
    rows.push(pair("pushed points", all_off(pushed)));
    for remote in exporters["remote_write"].as_array().into_iter().flatten() {
        let to = word(&remote["url"]);
        rows.push(pair("remote write", format!("{}, to {to}", points(remote))));
    }
    let mut recorded = format!("{} entries", count(&journal["entries"]));
    if let Some(error) = journal["error"].as_str() {
        let _ = write!(recorded, "; {error}");
    }
    rows.push(pair("journal", recorded));
    let mut text = table(&rows);
    let in_effect = in_effect(reply);
    if in_effect.len() == 1 {
        text.push_str("\nnothing is in effect\n");
    } else {
        text.push('\n');
        text.push_str(&table(&in_effect));
    }
    text
}

/// Rows of what acts, below their headings.
pub(super) fn in_effect(reply: &Value) -> Vec<Vec<String>> {
    let heading = ["ID", "WHAT", "ON", "HOW", "LEFT", "BY"];
    let mut rows = vec![heading.map(String::from).to_vec()];
    let left = |of: &Value| match of["remaining_seconds"].as_f64() {
        Some(seconds) => format!("{seconds:.1} s"),
        None => "no end".into(),
    };
    let by = |of: &Value| match of["scenario"].as_str() {
        Some(name) => format!("scenario {name}"),
        None => word(&of["source"]),
    };
    for (field, what) in [
        ("active_spikes", "spike"),
        ("active_error_rates", "error rate"),
    ] {
        let metrics = reply[field].as_object().into_iter().flatten();
        for (metric, entry) in metrics {
            for one in items(&entry["all"]) {
                let how = match what {
                    "spike" => format!("{} × {}", word(&one["target"]), word(&one["multiplier"])),
                    _ => format!("rate {}", word(&one["rate"])),
                };
                let on = format!("{metric}{}", labels(&one["labels"]));
                rows.push(vec![
                    word(&one["id"]),
                    what.into(),
                    on,
                    how,
                    left(one),
                    by(one),
                ]);
            }
        }
    }
    for fault in items(&reply["active_faults"]) {
        let on = match (fault["metric"].as_str(), fault["target"].as_str()) {
            (Some(metric), _) => format!("{metric}{}", labels(&fault["labels"])),
            (None, Some(target)) => format!("target {target}"),
            (None, None) => labels(&fault["labels"]),
        };
        let mut how = format!("rate {}", word(&fault["rate"]));
        for field in ["status", "delay_s", "period_s"] {
            if !fault[field].is_null() {
                let _ = write!(how, ", {field} {}", word(&fault[field]));
            }
        }
        let on = if on.is_empty() { "all".into() } else { on };
        let kind = word(&fault["kind"]);
        rows.push(vec![
            word(&fault["id"]),
            kind,
            on,
            how,
            left(fault),
            by(fault),
        ]);
    }
    for order in items(&reply["active_churn"]) {
        let what = match order["mode"].as_str() {
            Some(_) => word(&order["mode"]),
            None => word(&order["action"]),
        };
        let on = [&order["profile"], &order["label"]].map(word).join(" ");
        let mut how = Vec::new();
        for (field, unit) in [
            ("to", ""),
            ("percent", " %"),
            ("over", " s"),
            ("overlap", " s"),
            ("back", ""),
            ("down", " s"),
        ] {
            let is_none = order[field] == 0 || order[field] == 0.0;
            if !order[field].is_null() && (field == "to" || !is_none) {
                how.push(format!("{field} {}{unit}", word(&order[field])));
            }
        }
        let on = format!("{on}{}", labels(&order["labels"]));
        rows.push(vec![
            "-".into(),
            what,
            on,
            how.join(", "),
            left(order),
            "-".into(),
        ]);
    }
    for (name, scenario) in reply["active_scenarios"].as_object().into_iter().flatten() {
        let since = format!("for {:.1} s", number(&scenario["elapsed_seconds"]));
        let (what, none) = ("scenario".to_owned(), "-".to_owned());
        rows.push(vec![
            none.clone(),
            what,
            name.clone(),
            since,
            none.clone(),
            none,
        ]);
    }
    rows
}

/// That the system's clock was set, where it was.
fn clock_offset(offset_s: f64) -> String {
    if offset_s.abs() < 1.0 || offset_s.is_nan() {
        return String::new();
    }
    let which = if offset_s > 0.0 { "ahead" } else { "behind" };
    format!(", the clock {:.3} s {which}", offset_s.abs())
}

pub(super) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

fn pair(name: &str, value: String) -> Vec<String> {
    vec![name.to_owned(), value]
}
