//! What requests ask for: their fields as commands.

use serde_json::{Map, Value, json};

use super::error::ErrorReply;
use crate::config::{self, Action, Config, Metric};
use crate::exporters;
use crate::layout::MetricType;
use crate::timeline::Command;

/// The command of a request to begin something; `action` is a name as in a
/// scenario's steps.
///
/// # Errors
/// 404 for a metric or scenario that there is not, 422 for other mistakes.
pub(super) fn begin(
    config: &Config,
    action: &str,
    fields: Map<String, Value>,
) -> Result<Command, ErrorReply> {
    if let Some(Value::String(name)) = fields.get("metric") {
        metric(config, name)?;
    }
    if let (Some(Value::String(name)), "scenario") = (fields.get("scenario"), action) {
        scenario(config, name)?;
    }
    let action = action_of(config, action, fields)?;
    Ok(Command::Do(action))
}

fn action_of(
    config: &Config,
    action: &str,
    fields: Map<String, Value>,
) -> Result<Action, ErrorReply> {
    config::action_from_json(config, &Value::Object(fields), Some(action)).map_err(|problems| {
        let problem = &problems[0];
        let error = match problem.field.as_str() {
            "" => problem.message.clone(),
            field => format!("{field}: {}", problem.message),
        };
        let all: Vec<Value> = problems.iter().map(mistake).collect();
        ErrorReply::new(422, error).with(json!({"field": problem.field, "problems": all}))
    })
}

fn mistake(problem: &config::ActionProblem) -> Value {
    json!({"field": problem.field, "message": problem.message})
}

/// The metric of a name, with or without a counter's `_total`.
///
/// # Errors
/// 404 with the names there are.
pub(super) fn metric<'a>(config: &'a Config, name: &str) -> Result<&'a Metric, ErrorReply> {
    let found = config.metrics.iter().find(|metric| metric.is_called(name));
    found.ok_or_else(|| {
        let available: Vec<&str> = config.metrics.iter().map(|m| m.name.as_str()).collect();
        unknown("metric", name, meant_metric(config, name), &available)
    })
}

/// The refusal of a name that there is not.
fn unknown(what: &str, name: &str, meant: Option<&str>, available: &[&str]) -> ErrorReply {
    let mut error = format!("no {what} {:?}", clipped(name));
    if let Some(meant) = meant {
        error = format!("{error}; did you mean {meant:?}?");
    }
    ErrorReply::new(404, error).with(json!({"available": available, "did_you_mean": meant}))
}

/// The metric that somebody probably meant: one whose samples are exposed or pushed
/// under the name, else the one with the nearest name.
fn meant_metric<'a>(config: &'a Config, name: &str) -> Option<&'a str> {
    let suffixes = || MetricType::ALL.into_iter().flat_map(MetricType::suffixes);
    let exporters = exporters::all(config).into_iter();
    let prefixes = exporters.map(|exporter| exporter.section.prefix());
    let stripped: Vec<&str> = std::iter::once("")
        .chain(prefixes)
        .filter_map(|prefix| name.strip_prefix(prefix))
        .flat_map(|rest| suffixes().filter_map(|suffix| rest.strip_suffix(suffix)))
        .collect();
    let names = || config.metrics.iter().map(|metric| metric.name.as_str());
    let exposed = stripped
        .iter()
        .find_map(|&base| names().find(|&known| known == base));
    exposed.or_else(|| {
        stripped
            .iter()
            .find_map(|base| config::nearest(base, names()))
    })
}

/// Checks that there is a scenario of a name.
///
/// # Errors
/// 404 with the names there are.
fn scenario(config: &Config, name: &str) -> Result<(), ErrorReply> {
    if config.scenarios.contains_key(name) {
        return Ok(());
    }
    let available: Vec<&str> = config.scenarios.keys().map(String::as_str).collect();
    let meant = config::nearest(name, available.iter().copied());
    Err(unknown("scenario", name, meant, &available))
}

/// The log threshold that a request asks for.
///
/// # Errors
/// 400 for an unknown one, 422 where something else is wrong.
pub(super) fn log_level(mut fields: Map<String, Value>) -> Result<log::LevelFilter, ErrorReply> {
    const LEVELS: &str = "off, error, warning, info, debug, trace";
    let level = fields.remove("level");
    only(&fields, "level")?;
    match level {
        Some(Value::String(word)) => {
            // The configuration's words, and those that it leaves out.
            let level = config::parse_level(&word).or_else(|| word.parse().ok());
            level.ok_or_else(|| {
                let error = format!("no log level {:?}; there are: {LEVELS}", clipped(&word));
                ErrorReply::new(400, error)
            })
        }
        Some(_) => Err(ErrorReply::new(422, "level: expected a string")),
        None => Err(ErrorReply::new(
            422,
            format!("level is missing; one of {LEVELS}"),
        )),
    }
}

/// Checks that no field is left.
///
/// # Errors
/// 422 naming the first one.
pub(super) fn only(rest: &Map<String, Value>, known: &str) -> Result<(), ErrorReply> {
    let Some(name) = rest.keys().next() else {
        return Ok(());
    };
    let known = match known {
        "" => "there are none".to_owned(),
        known => format!("there are: {known}"),
    };
    let error = format!("unknown field {:?}; {known}", clipped(name));
    Err(ErrorReply::new(422, error).with(json!({"field": clipped(name)})))
}

/// The beginning of what somebody sent, for messages.
pub(super) fn clipped(text: &str) -> String {
    const CHARACTERS_MAX: usize = 60;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
