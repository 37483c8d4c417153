//! Are metrics described as they were? Their type, help and unit, where the
//! backend tells them.

use std::collections::BTreeMap;

use super::backend::{AskError, MetricMetadata};
use super::context::Context;
use super::naming::{Names, selector};
use super::report::{Example, Tally, What};
use crate::model::{Catalog, Family};

/// Compares what the backend tells (`known`, by name) of the families that there are at the end;
/// returns how many it knows.
///
/// # Errors
/// When it cannot be asked.
pub(super) fn check(
    ctx: &Context,
    (catalog, known): (&Catalog, &BTreeMap<String, Vec<MetricMetadata>>),
    tallies: &mut [Tally],
    at_ms: i64,
) -> Result<usize, AskError> {
    let mut described = 0;
    for family in catalog.families() {
        let names = ctx.route().names(family);
        let Some(tally) = tallies.iter().position(|t| t.metric == names.family) else {
            continue;
        };
        let tally = &mut tallies[tally];
        // OpenMetrics calls a counter's family by its name without the suffix.
        let short = family.shape.metric_type().base_name(&names.family);
        let told = known.get(&names.family).or_else(|| known.get(short));
        let Some(told) = told.filter(|told| !told.is_empty()) else {
            continue;
        };
        // Another target may have a metric of that name, and nobody tells whose this is.
        let is_right = told.iter().any(|one| is_described(family, one));
        if !is_right && is_of_others(ctx, family, &names, at_ms)? {
            continue;
        }
        described += 1;
        tally.described = true;
        if is_right {
            continue;
        }
        tally.described_wrong += 1;
        let text = |kind: &str, help: &str, unit: &str| format!("{kind} {help:?} [{unit}]");
        let one = &told[0];
        tally.push(Example {
            what: What::Described,
            series: names.family.clone(),
            time_ms: at_ms,
            tick: None,
            expected: Some(text(family.shape.type_name(), &family.help, &family.unit)),
            found: Some(text(&one.kind, &one.help, &one.unit)),
            note: None,
            query: format!("/api/v1/metadata?metric={short}"),
            query_ms: at_ms,
        });
    }
    Ok(described)
}

/// Whether there are series of these names besides the target's.
fn is_of_others(
    ctx: &Context,
    family: &Family,
    names: &Names,
    at_ms: i64,
) -> Result<bool, AskError> {
    let texts: Vec<&str> = names.texts.iter().map(String::as_str).collect();
    let own = family.space.label_names();
    let count = |matchers: &[String]| {
        let selector = selector(&texts, matchers);
        ctx.single(&format!("count(last_over_time({selector}[5m]))"), at_ms)
    };
    Ok(count(&[])? != count(&ctx.added().matchers(&own))?)
}

/// The unit only comes by `OpenMetrics`, and there only in some cases.
fn is_described(family: &Family, told: &MetricMetadata) -> bool {
    told.kind == family.shape.type_name()
        && told.help == family.help
        && (told.unit.is_empty() || told.unit == family.unit)
}
