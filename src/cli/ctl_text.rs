//! Replies of the control API as text for people.

use std::fmt::Write as _;

use serde_json::Value;

use crate::readable::{grouped, write_aligned};

/// Names that there are instead of an unknown one, as many as are listed.
const NAMES_SHOWN_MAX: usize = 10;
/// Mistakes that are listed below a refusal.
const PROBLEMS_SHOWN_MAX: usize = 100;

/// A refusal on lines: the error, then what its details list.
pub(super) fn refusal(status: u16, reply: &str) -> String {
    let value: Value = serde_json::from_str(reply).unwrap_or_default();
    let Some(error) = value["error"].as_str() else {
        let reply: String = reply.chars().take(200).collect();
        let mut text = format!("answered {status}: {}", reply.trim());
        if status == 404 {
            text.push_str("; is this the port of global.control_api_port?");
        }
        return text;
    };
    let mut text = error.to_owned();
    let detail = &value["detail"];
    // Where something is meant probably, the error says so.
    let suggested = detail["did_you_mean"].is_string();
    if let Some(available) = detail["available"].as_array().filter(|_| !suggested) {
        let names: Vec<String> = available.iter().map(word).collect();
        let _ = match names.len() {
            0 => write!(text, "; there are none"),
            1..=NAMES_SHOWN_MAX => write!(text, "; available: {}", names.join(", ")),
            count => write!(
                text,
                "; available: {} and {} more",
                names[..NAMES_SHOWN_MAX].join(", "),
                count - NAMES_SHOWN_MAX
            ),
        };
    }
    let problems = detail.as_array().or(detail["problems"].as_array());
    let problems = problems.filter(|problems| problems.len() > 1);
    for problem in problems.into_iter().flatten().take(PROBLEMS_SHOWN_MAX) {
        let _ = write!(text, "\n  ");
        if let (Some(line), Some(column)) = (problem["line"].as_u64(), problem["column"].as_u64()) {
            let _ = write!(text, "{}:{line}:{column}: ", word(&problem["file"]));
        }
        for field in ["path", "field"] {
            if let Some(field) = problem[field].as_str().filter(|field| !field.is_empty()) {
                let _ = write!(text, "{field}: ");
            }
        }
        text.push_str(&word(&problem["message"]));
    }
    text
}

pub(super) fn begun(reply: &Value) -> String {
    let mut text = format!("acts from tick {}", word(&reply["applies_at_tick"]));
    match reply["until_tick"].as_u64() {
        Some(tick) => _ = write!(text, " until tick {tick}"),
        None => text.push_str(" until it is ended"),
    }
    let _ = write!(text, " (id {})", word(&reply["id"]));
    if reply["replaced"].as_u64().is_some_and(|count| count > 0) {
        text.push_str(", in the place of an earlier one");
    }
    text + "\n"
}

pub(super) fn ordered(reply: &Value) -> String {
    let count = |of: &str| grouped(reply["series"][of].as_u64().unwrap_or(0).into());
    format!(
        "acts from tick {} until tick {}: {} series will end, {} will begin\n",
        word(&reply["applies_at_tick"]),
        word(&reply["until_tick"]),
        count("ended"),
        count("began")
    )
}

pub(super) fn started(reply: &Value) -> String {
    let (message, tick) = (word(&reply["message"]), word(&reply["applies_at_tick"]));
    if reply["changed"] == true {
        format!("{message}, from tick {tick} on\n")
    } else {
        format!("{message}\n")
    }
}

pub(super) fn ended(reply: &Value) -> String {
    if reply["changed"] == true {
        let (count, tick) = (word(&reply["ended"]), word(&reply["applies_at_tick"]));
        format!("ended {count}, from tick {tick} on\n")
    } else {
        format!("{}\n", word(&reply["message"]))
    }
}

pub(super) fn log_level(reply: &Value) -> String {
    format!("log level {}\n", word(&reply["level"]))
}

pub(super) fn reloaded(reply: &Value) -> String {
    let mut text = format!(
        "reloaded from tick {} on\n",
        word(&reply["applies_at_tick"])
    );
    let rows = ["added", "removed", "changed", "kept", "needs_restart"].map(|name| {
        let names: Vec<String> = items(&reply[name]).iter().map(word).collect();
        let list = match names.len() {
            0 => "-".to_owned(),
            1..=20 => names.join(", "),
            count => format!("{}, … ({count})", names[..20].join(", ")),
        };
        vec![name.replace('_', " "), list]
    });
    text.push_str(&table(&rows));
    text.push('\n');
    text.push_str(&table(&series_rows(reply)));
    for warning in items(&reply["warnings"]) {
        let place = [&warning["file"], &warning["line"], &warning["column"]].map(word);
        let _ = writeln!(
            text,
            "{}: {}: warning: {}",
            place.join(":"),
            word(&warning["path"]),
            word(&warning["message"])
        );
    }
    text
}

/// What became of series: of all metrics where some began or ended, as far as they
/// fit, and of all together.
fn series_rows(reply: &Value) -> Vec<Vec<String>> {
    const LISTED_MAX: usize = 20;
    let row = |name: &str, counts: &Value| {
        let count = |of: &str| grouped(counts[of].as_u64().unwrap_or(0).into());
        let counts = ["kept", "began", "ended"].map(count);
        [&[name.to_owned()][..], &counts].concat()
    };
    let metrics = reply["series"].as_object().into_iter().flatten();
    let differ = |counts: &Value| counts["began"] != 0 || counts["ended"] != 0;
    let changed: Vec<_> = metrics.filter(|(_, counts)| differ(counts)).collect();
    let head = ["series", "kept", "began", "ended"].map(String::from);
    let mut rows = vec![head.to_vec()];
    let listed = changed.iter().take(LISTED_MAX);
    rows.extend(listed.map(|(name, counts)| row(name, counts)));
    if let more @ 1.. = changed.len().saturating_sub(LISTED_MAX) {
        rows.push(vec![format!("… {more} more")]);
    }
    rows.push(row("all", &reply["all_series"]));
    for column in 1..rows[0].len() {
        let cells = rows.iter_mut().filter_map(|row| row.get_mut(column));
        let mut cells: Vec<&mut String> = cells.collect();
        let width = cells.iter().map(|cell| cell.len()).max().unwrap_or(0);
        for cell in &mut cells {
            **cell = format!("{cell:>width$}");
        }
    }
    rows
}

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
fn in_effect(reply: &Value) -> Vec<Vec<String>> {
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
        let on = match fault["metric"].as_str() {
            Some(metric) => format!("{metric}{}", labels(&fault["labels"])),
            None => labels(&fault["labels"]),
        };
        let mut how = format!("rate {}", word(&fault["rate"]));
        for field in ["status", "delay_s"] {
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

pub(super) fn series(reply: &Value) -> String {
    let mut rows = vec![["SERIES", "TYPE", "VALUE"].map(String::from).to_vec()];
    for one in items(&reply["series"]) {
        let value = match (&one["value"], &one["present"]) {
            (_, Value::Bool(false)) => "missing".into(),
            (Value::Null, _) => {
                format!("count {}, sum {}", word(&one["count"]), word(&one["sum"]))
            }
            (value, _) => word(value),
        };
        let name = format!("{}{}", word(&one["metric"]), labels(&one["labels"]));
        rows.push(vec![name, word(&one["type"]), value]);
    }
    let more = if reply["truncated"] == true {
        ", and more"
    } else {
        ""
    };
    let count = rows.len() - 1;
    let tick = word(&reply["tick"]);
    format!("{}{count} series at tick {tick}{more}\n", table(&rows))
}

fn labels(value: &Value) -> String {
    let pairs = value.as_object().into_iter().flatten();
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if pairs.is_empty() {
        return String::new();
    }
    format!("{{{}}}", pairs.join(","))
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// That the system's clock was set, where it was.
fn clock_offset(offset_s: f64) -> String {
    if offset_s.abs() < 1.0 || offset_s.is_nan() {
        return String::new();
    }
    let which = if offset_s > 0.0 { "ahead" } else { "behind" };
    format!(", the clock {:.3} s {which}", offset_s.abs())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// A value in running text; control characters of an answer stay off the terminal.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace(|c: char| c.is_control(), " "),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

fn pair(name: &str, value: String) -> Vec<String> {
    vec![name.to_owned(), value]
}

/// Rows with their columns aligned, the last one as it is.
fn table(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    write_aligned(&mut text, "", rows, |_| true, &str::to_owned);
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refusals_tell_what_there_is_instead() {
        let check = |reply: Value, expected: &str| {
            assert_eq!(refusal(404, &reply.to_string()), expected);
        };
        check(json!({"error": "no", "detail": null}), "no");
        let available = json!({"error": "no", "detail": {"available": ["a", "b"]}});
        check(available, "no; available: a, b");
        let many: Vec<String> = (0..30).map(|n| format!("m{n}")).collect();
        check(
            json!({"error": "no", "detail": {"available": many, "did_you_mean": null}}),
            "no; available: m0, m1, m2, m3, m4, m5, m6, m7, m8, m9 and 20 more",
        );
        let meant = json!({"available": many, "did_you_mean": "m7"});
        check(
            json!({"error": "no; did you mean m7?", "detail": meant}),
            "no; did you mean m7?",
        );
        let problem = |line, message| json!({"file": "f", "line": line, "column": 2, "path": "p", "message": message});
        let problems = json!({"error": "two", "detail": [problem(1, "x"), problem(3, "y")]});
        check(problems, "two\n  f:1:2: p: x\n  f:3:2: p: y");
        assert_eq!(refusal(502, "<html>"), "answered 502: <html>");
    }

    #[test]
    fn a_reload_tells_what_became_of_series() {
        let none: [&str; 0] = [];
        let reply = json!({
            "applies_at_tick": 7, "added": none, "removed": ["gone"], "changed": ["hits"],
            "kept": ["same"], "needs_restart": none,
            "series": {
                "gone": {"kept": 0, "began": 0, "ended": 12},
                "hits": {"kept": 20000, "began": 1, "ended": 0},
                "same": {"kept": 5, "began": 0, "ended": 0},
            },
            "all_series": {"kept": 20005, "began": 1, "ended": 12},
        });
        let text = reloaded(&reply);
        let (_, series) = text.split_once("\n\n").unwrap();
        let expected = "\
series    kept  began  ended
gone         0      0     12
hits    20,000      1      0
all     20,005      1     12
";
        assert_eq!(series, expected, "{text}");
    }
}
