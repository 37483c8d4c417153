//! Actions from and to JSON: bodies of the control API, entries of a journal.
//!
//! The same reader and rules as for the file, so the same messages. What is
//! written is read back as the same action, to the nanosecond.

use serde_json::{Map, Value, json};

use super::check::Checker;
use super::check::action::taken;
use super::check::selector::Known;
use super::effective::seconds;
use super::problem::{Path, Problems};
use super::raw::RawAction;
use super::yaml::{self, Node};
use super::{Action, Config, Fault, FaultKind, Selector, Target, de, suggest};

/// A mistake in an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionProblem {
    /// The field, such as `labels.region`; empty for the whole.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
    /// The configuration has no such metric.
    pub unknown_metric: bool,
    /// The configuration has no such scenario.
    pub unknown_scenario: bool,
}

/// Reads an action and checks it as if it stood in `config`.
///
/// `known_action` says which action it is where that is known already; a field
/// `action` is unknown then.
///
/// # Errors
/// Every mistake, at least one, in the order in which they are found.
pub fn action_from_json(
    config: &Config,
    value: &Value,
    known_action: Option<&str>,
) -> Result<Action, Vec<ActionProblem>> {
    let mut problems = Problems::default();
    let root = Path::root();
    let mut node = Node::of_json(value);
    yaml::tidy(&mut node, &root, &mut problems);
    if let Some(action) = known_action {
        refuse_unknown(&mut node, action, &mut problems);
    }
    let raw = de::read::<RawAction>(&node, &mut problems);
    let mut checker = Checker::new(&mut problems);
    let action = raw.and_then(|mut raw| {
        if let Some(action) = known_action {
            raw.action = Some(action.to_owned());
        }
        checker.action(&root, raw, &Known::of(config))
    });
    let (metric, scenario) = (checker.unknown_metric, checker.unknown_scenario);
    match action {
        Some(action) if problems.is_empty() => Ok(action),
        _ => Err(problems
            .into_found()
            .into_iter()
            .map(|found| {
                let field = found.path.to_string();
                ActionProblem {
                    unknown_metric: metric && field == "metric",
                    unknown_scenario: scenario && field == "scenario",
                    message: found.message,
                    field,
                }
            })
            .collect()),
    }
}

/// Takes out fields that no action has besides `action`, and reports them with
/// the fields that this action takes.
fn refuse_unknown(node: &mut Node, action: &str, problems: &mut Problems) {
    let Node::Map(entries) = node else { return };
    let root = Path::root();
    let fields = taken(action, None).iter().copied();
    let is_any = |key: &str| {
        let mut actions = super::check::action::ACTIONS.iter();
        actions.any(|action| taken(action, None).contains(&key))
    };
    entries.retain(|(key, _)| {
        let known = is_any(key);
        if !known {
            let hint = suggest::hint(key, "known fields", fields.clone());
            problems.add_key(&root.key(key), 0, format!("unknown field; {hint}"));
            if let Some(meant) = suggest::nearest(key, fields.clone()) {
                problems.explain(root.key(meant));
            }
        }
        known
    });
}

/// An action as JSON, with everything spelled out and with `action`.
pub fn action_to_json(action: &Action) -> Value {
    match action {
        Action::Spike(spike) => {
            let mut fields = fields_of("spike", &spike.on);
            fields.insert("multiplier".into(), spike.multiplier.into());
            let target = match spike.target {
                Target::Rate => "rate",
                Target::Value => "value",
            };
            fields.insert("target".into(), target.into());
            fields.insert("duration_s".into(), seconds(spike.duration_ns));
            Value::Object(fields)
        }
        Action::ErrorRate(error_rate) => {
            let mut fields = fields_of("error_rate", &error_rate.on);
            fields.insert("rate".into(), error_rate.rate.into());
            fields.insert("duration_s".into(), seconds(error_rate.duration_ns));
            Value::Object(fields)
        }
        Action::Fault(fault) => {
            let mut fields = Map::new();
            fields.insert("action".into(), "fault".into());
            fields.extend(fault_fields(fault));
            Value::Object(fields)
        }
        Action::Scenario(name) => json!({"action": "scenario", "scenario": name}),
    }
}

/// A fault's fields without `action`, as in `runtime.failure_modes`.
pub(super) fn fault_fields(fault: &Fault) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("kind".into(), fault.kind.name().into());
    if let Some(on) = fault.kind.selector() {
        select(&mut fields, on);
    }
    match fault.kind {
        FaultKind::ScrapeError { status } => {
            fields.insert("status".into(), status.into());
        }
        FaultKind::ScrapeDelay { delay_ns } => {
            fields.insert("delay_s".into(), seconds(delay_ns));
        }
        _ => {}
    }
    fields.insert("rate".into(), fault.rate.into());
    if let Some(duration_ns) = fault.duration_ns {
        fields.insert("duration_s".into(), seconds(duration_ns));
    }
    fields
}

fn fields_of(action: &str, on: &Selector) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("action".into(), action.into());
    select(&mut fields, on);
    fields
}

fn select(fields: &mut Map<String, Value>, on: &Selector) {
    if let Some(metric) = &on.metric {
        fields.insert("metric".into(), metric.as_str().into());
    }
    if !on.labels.is_empty() {
        fields.insert("labels".into(), json!(on.labels));
    }
}
