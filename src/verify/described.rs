//! Are metrics described as they were? Their type, help and unit, where the
//! backend tells them.

use super::backend::{AskError, MetricMetadata};
use super::context::Context;
use super::report::{Example, Tally, What};
use crate::model::{Catalog, Family};

/// Compares what the backend tells of the families that there are at the end;
/// returns how many it knows.
///
/// # Errors
/// When it cannot be asked.
pub(super) fn check(
    ctx: &Context,
    catalog: &Catalog,
    tallies: &mut [Tally],
    at_ms: i64,
) -> Result<usize, AskError> {
    let known = ctx.backend().metadata()?;
    let mut described = 0;
    for family in catalog.families() {
        let names = ctx.route().names(family);
        let Some(tally) = tallies.iter().position(|t| t.metric == names.family) else {
            continue;
        };
        let tally = &mut tallies[tally];
        // OpenMetrics calls a counter's family by its name without the suffix.
        let short = names.family.strip_suffix("_total").unwrap_or(&names.family);
        let told = known.get(&names.family).or_else(|| known.get(short));
        let Some(told) = told.filter(|told| !told.is_empty()) else {
            continue;
        };
        described += 1;
        tally.described = true;
        // Another target may have a metric of that name.
        if told.iter().any(|one| is_described(family, one)) {
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

/// The unit only comes by `OpenMetrics`, and there only in some cases.
fn is_described(family: &Family, told: &MetricMetadata) -> bool {
    told.kind == family.shape.type_name()
        && told.help == family.help
        && (told.unit.is_empty() || told.unit == family.unit)
}
