//! What requests change: each as a change for the clock's thread, how it is answered, and when
//! it is to be made.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::actions;
use super::error::ErrorReply;
use super::hub::{Change, Done, Tell};
use super::reload::Switch;
use crate::config::Config;
use crate::http::Request;
use crate::timeline::{Applied, Command};

/// Below `/control/`, what takes POST.
pub(super) const POSTED: [&str; 8] = [
    "spike",
    "error_rate",
    "fault",
    "churn",
    "size",
    "scenario",
    "reload",
    "loglevel",
];
/// What takes DELETE, with an item.
pub(super) const DELETED: [&str; 4] = ["spike", "error_rate", "fault", "scenario"];

/// When a change is to be made, if not now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct When {
    /// The first tick at which it acts.
    pub(super) at_tick: u64,
    /// Whether it waits until it is confirmed.
    pub(super) is_held: bool,
}

impl When {
    /// What a request's query says, the same for all changes.
    ///
    /// # Errors
    /// 422 for a parameter that is unknown or wrong.
    pub(super) fn of(request: &Request<'_>) -> Result<Option<Self>, ErrorReply> {
        Self::read(request.query_pairs()?)
    }

    fn read(pairs: Vec<(String, String)>) -> Result<Option<Self>, ErrorReply> {
        let (mut at_tick, mut hold) = (None, None);
        for (name, text) in pairs {
            let wrong = |expected: &str| {
                let text = actions::clipped(&text);
                let name = actions::clipped(&name);
                ErrorReply::new(422, format!("{name}: expected {expected}, found {text:?}"))
                    .with(json!({"field": name}))
            };
            match name.as_str() {
                "at_tick" => at_tick = Some(text.parse().map_err(|_| wrong("a number"))?),
                "hold" => hold = Some(text.parse().map_err(|_| wrong("true or false"))?),
                _ => {
                    let name = actions::clipped(&name);
                    let error = format!("unknown parameter {name:?}; there are: at_tick, hold");
                    return Err(ErrorReply::new(422, error).with(json!({"field": name})));
                }
            }
        }
        match (at_tick, hold) {
            (Some(at_tick), hold) => Ok(Some(Self {
                at_tick,
                is_held: hold.unwrap_or(false),
            })),
            (None, Some(_)) => {
                Err(ErrorReply::new(422, "hold: only goes with at_tick")
                    .with(json!({"field": "hold"})))
            }
            (None, None) => Ok(None),
        }
    }
}

/// What a POST to begin something asks for; `name` is one of [`POSTED`], other than reload.
///
/// # Errors
/// 400, 404 or 422 for what is wrong with the fields.
pub(super) fn of_post(
    config: &Arc<Config>,
    name: &str,
    fields: Map<String, Value>,
) -> Result<(Change, Tell), ErrorReply> {
    if name == "loglevel" {
        let level = actions::log_level(fields)?;
        let told = json!({"level": level.as_str().to_lowercase()});
        return Ok((Change::LogLevel(level), Tell::new(move |_| told)));
    }
    let command = actions::begin(config, name, fields)?;
    let change = Change::Command(command, Arc::clone(config));
    let tell: fn(Applied, Option<(u64, u64)>) -> Value = match name {
        "churn" | "size" => |applied, forecast| {
            let (ended, began) = forecast.unwrap_or_default();
            json!({
                "applies_at_tick": applied.tick,
                "until_tick": applied.until_tick,
                "series": {"began": began, "ended": ended},
            })
        },
        "scenario" => |applied, _| {
            json!({
                "applies_at_tick": applied.tick,
                "changed": applied.changed,
                "message": if applied.changed { "started" } else { "runs already" },
            })
        },
        _ => |applied, _| {
            json!({
                "id": applied.id,
                "applies_at_tick": applied.tick,
                "until_tick": applied.until_tick,
                "replaced": applied.ended,
            })
        },
    };
    Ok((change, tell_applied(tell)))
}

/// What a DELETE asks for; `name` is one of [`DELETED`].
///
/// # Errors
/// 404 for a metric that there is not, or what is no id.
pub(super) fn of_delete(
    config: &Arc<Config>,
    name: &str,
    item: &str,
) -> Result<(Change, Tell), ErrorReply> {
    let metric = || actions::metric(config, item).map(|metric| metric.name.clone());
    let command = match name {
        "spike" => Command::EndSpike(metric()?),
        "error_rate" => Command::EndErrorRate(metric()?),
        "fault" => {
            let id = item.parse();
            Command::EndFault(id.map_err(|_| {
                let item = actions::clipped(item);
                ErrorReply::new(404, format!("no fault {item:?}; an id is a number"))
            })?)
        }
        _ => Command::EndScenario(item.to_owned()),
    };
    let tell = tell_applied(|applied, _| {
        let message = if applied.changed {
            "ended"
        } else {
            "nothing was in effect"
        };
        json!({
            "applies_at_tick": applied.tick,
            "ended": applied.ended,
            "changed": applied.changed,
            "message": message,
        })
    });
    Ok((Change::Command(command, Arc::clone(config)), tell))
}

/// How a reload is answered.
pub(super) fn tell_reload(switch: Switch) -> Tell {
    Tell::new(move |done| switch.outcome(done).json())
}

fn tell_applied(tell: fn(Applied, Option<(u64, u64)>) -> Value) -> Tell {
    Tell::new(move |done| match done {
        Done::Applied(applied, forecast) => tell(applied, forecast),
        done => unreachable!("a command was asked for: {done:?}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_tells_when() {
        let read = |query: &[(&str, &str)]| {
            let pairs = query
                .iter()
                .map(|(name, text)| ((*name).into(), (*text).into()));
            When::read(pairs.collect())
        };
        let when = |at_tick, is_held| Ok(Some(When { at_tick, is_held }));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("at_tick", "7")]), when(7, false));
        assert_eq!(read(&[("at_tick", "7"), ("hold", "false")]), when(7, false));
        assert_eq!(read(&[("hold", "true"), ("at_tick", "0")]), when(0, true));
        for (query, word) in [
            (&[("at_tick", "-1")][..], "at_tick: expected a number"),
            (&[("at_tick", "")], "at_tick: expected a number"),
            (
                &[("at_tick", "7"), ("hold", "1")],
                "hold: expected true or false",
            ),
            (&[("hold", "true")], "hold: only goes with at_tick"),
            (&[("at_tik", "7")], "unknown parameter \"at_tik\""),
        ] {
            let refused = read(query).unwrap_err();
            assert_eq!(refused.status, 422);
            assert!(refused.error.contains(word), "{}", refused.error);
        }
    }
}
