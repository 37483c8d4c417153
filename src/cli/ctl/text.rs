//! Replies of the control API as text for people, that of `/status` apart.

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

pub(super) fn labels(value: &Value) -> String {
    let pairs = value.as_object().into_iter().flatten();
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if pairs.is_empty() {
        return String::new();
    }
    format!("{{{}}}", pairs.join(","))
}

pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A value in running text; control characters of an answer stay off the terminal.
pub(super) fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace(|c: char| c.is_control(), " "),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

/// Rows with their columns aligned, the last one as it is.
pub(super) fn table(rows: &[Vec<String>]) -> String {
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
