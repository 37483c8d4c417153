//! Actions from and to JSON: bodies of the control API, entries of a journal.
//!
//! The same reader and rules as for the file, so the same messages. What is
//! written is read back as the same action, to the nanosecond.

use serde_json::{Value, json};

use super::check::Checker;
use super::check::action::fields_taken;
use super::check::selector::Known;
use super::json::{Fields, seconds};
use super::problem::{Path, Problems};
use super::raw::RawAction;
use super::yaml::{self, Node};
use super::{
    Action, Amount, Churn, Config, Fault, FaultKind, Mode, ScrapeSelector, Scraped, Selector,
    Target, de, suggest,
};

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
/// `known_action` says which action it is, where that does not stand in `value`;
/// a field `action` is a mistake then.
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
        name_action(&mut node, action, &mut problems);
    }
    let raw = de::read::<RawAction>(&mut node, &mut problems);
    let mut checker = Checker::new(&mut problems);
    let action = raw.and_then(|raw| checker.action(&root, raw, &Known::of(config)));
    let (metric, scenario) = (checker.unknown_metric, checker.unknown_scenario);
    match action {
        Some(action) if problems.is_empty() => Ok(action),
        _ => Err(problems
            .into_unlocated()
            .into_iter()
            .map(|problem| {
                let field = problem.path.to_string();
                ActionProblem {
                    unknown_metric: metric && field == "metric",
                    unknown_scenario: scenario && field == "scenario",
                    message: problem.message,
                    field,
                }
            })
            .collect()),
    }
}

/// Writes down which action it is, where that is known already; a field that says
/// so is a mistake then.
fn name_action(node: &mut Node, action: &str, problems: &mut Problems) {
    const NAME: &str = "action";
    let Node::Map(entries) = node else { return };
    if let Some(index) = entries.iter().position(|(key, _)| key == NAME) {
        entries.remove(index);
        let known = suggest::list(fields_taken(action, None).iter().copied());
        let message = format!("unknown field; known fields: {known}");
        problems.add_key(&Path::root().key(NAME), message);
    }
    entries.push((NAME.to_owned(), Node::Str(action.to_owned())));
}

/// An action as JSON, with every default and with `action`.
pub fn action_to_json(action: &Action) -> Value {
    action_fields(action).into()
}

fn action_fields(action: &Action) -> Fields {
    let mut fields = Fields::default();
    match action {
        Action::Spike(spike) => {
            fields.set("action", "spike");
            set_selector(&mut fields, &spike.on);
            fields.set("multiplier", spike.multiplier);
            let target = match spike.target {
                Target::Rate => "rate",
                Target::Value => "value",
            };
            fields.set("target", target);
            fields.set("duration_s", seconds(spike.duration_ns));
        }
        Action::ErrorRate(error_rate) => {
            fields.set("action", "error_rate");
            set_selector(&mut fields, &error_rate.on);
            fields.set("rate", error_rate.rate);
            fields.set("duration_s", seconds(error_rate.duration_ns));
        }
        Action::Fault(fault) => {
            fields.set("action", "fault");
            fields.append(fault_fields(fault));
        }
        Action::Churn(churn) => {
            fields.set("action", "churn");
            set_law(&mut fields, churn);
        }
        Action::Size(resize) => {
            fields.set("action", "size");
            fields.set("profile", &*resize.profile);
            fields.set("label", &*resize.label);
            if !resize.labels.is_empty() {
                fields.set("labels", json!(resize.labels));
            }
            match resize.to {
                Amount::Count(count) => fields.set("to", count),
                Amount::Share(share) => fields.set("to", format!("{}%", percent(share))),
            }
            fields.set("over", seconds(resize.over_ns));
        }
        Action::Scenario(name) => {
            fields.set("action", "scenario");
            fields.set("scenario", &**name);
        }
    }
    fields
}

/// A fault's fields without `action`, as in `runtime.failure_modes`.
fn fault_fields(fault: &Fault) -> Fields {
    let mut fields = Fields::default();
    fields.set("kind", fault.kind.name());
    if let Some(on) = fault.kind.selector() {
        set_selector(&mut fields, on);
    }
    match fault.kind {
        FaultKind::ScrapeError { status, .. } => fields.set("status", status),
        FaultKind::ScrapeDelay { delay_ns, .. } => fields.set("delay_s", seconds(delay_ns)),
        _ => {}
    }
    if let Some(on) = fault.kind.scrapes() {
        set_scrapes(&mut fields, on);
    }
    fields.set("rate", fault.rate);
    if let Some(duration_ns) = fault.duration_ns {
        fields.set("duration_s", seconds(duration_ns));
    }
    fields
}

fn set_law(fields: &mut Fields, churn: &Churn) {
    fields.set("profile", &*churn.profile);
    let mode = match churn.law.mode {
        Mode::Rollout { .. } => "rollout",
        Mode::Restart { .. } => "restart",
        Mode::Outage { .. } => "outage",
        Mode::Replace { .. } => "replace",
        Mode::Relabel { .. } => "relabel",
        Mode::Job { .. } => unreachable!("there is no single job"),
    };
    fields.set("mode", mode);
    fields.set("label", &*churn.law.label);
    if !churn.labels.is_empty() {
        fields.set("labels", json!(churn.labels));
    }
    match churn.law.mode {
        Mode::Rollout {
            over_ns,
            share,
            overlap_ns,
            back,
            ..
        } => {
            fields.set("percent", percent(share));
            fields.set("over", seconds(over_ns));
            fields.set("overlap", seconds(overlap_ns));
            fields.set("back", back);
        }
        Mode::Restart {
            every_ns,
            share,
            down_ns,
        } => {
            fields.set("percent", percent(share));
            fields.set("over", seconds(every_ns - down_ns));
            fields.set("down", seconds(down_ns));
        }
        Mode::Outage {
            share,
            down_ns,
            moves,
            ..
        } => {
            fields.set("percent", percent(share));
            fields.set("down", seconds(down_ns));
            fields.set("move", moves);
        }
        // At once is a window of a nanosecond.
        Mode::Replace { lifetime_ns: 1 } => fields.set("over", seconds(0)),
        Mode::Replace { lifetime_ns } => fields.set("over", seconds(lifetime_ns)),
        Mode::Relabel { share, .. } => fields.set("percent", percent(share)),
        Mode::Job { .. } => {}
    }
}

/// The number that is read as this share, a hundredth of it.
fn percent(share: f64) -> f64 {
    let near = share * 100.0;
    let short = (near * 1e9).round() / 1e9;
    let others = [near, near.next_up(), near.next_down()];
    let mut all = std::iter::once(short).chain(others);
    all.find(|percent| percent / 100.0 == share).unwrap_or(near)
}

fn set_scrapes(fields: &mut Fields, on: &ScrapeSelector) {
    match &on.of {
        Scraped::All => {}
        Scraped::Labels(labels) => fields.set("labels", json!(labels)),
        Scraped::Target(id) => fields.set("target", &**id),
    }
    if let Some(period_ns) = on.period_ns {
        fields.set("period_s", seconds(period_ns));
    }
}

fn set_selector(fields: &mut Fields, on: &Selector) {
    if let Some(metric) = &on.metric {
        fields.set("metric", &**metric);
    }
    if !on.labels.is_empty() {
        fields.set("labels", json!(on.labels));
    }
}
