//! Are all native histograms of a name right at an instant? Their sum, bucket by bucket, as one
//! histogram; where it differs, the series. A place in, examples out.

use std::collections::HashMap;

use super::backend::AskError;
use super::context::Context;
use super::naming;
use super::native::Native;
use super::place::Place;
use super::report::{Example, What};
use super::selection::{Rows, for_each_series, labels};
use super::series::shown;
use super::sums::Totals;

/// Where there are no more series they are looked at one by one.
const LISTED_MAX: usize = 2000;
/// Series that are named at most.
const NAMED_MAX: usize = 20;

/// Compares the sum of the series of a name, of which the number is right; `points` are these.
/// With `look` series are named.
///
/// # Errors
/// When the backend does not answer.
pub(super) fn check(
    ctx: &Context,
    place: Place,
    (rows, look): (&Rows, bool),
    points: &str,
) -> Result<Vec<Example>, AskError> {
    let Some(family) = place.family else {
        return Ok(Vec::new());
    };
    let mut expected: Option<Native> = None;
    let mut sums = Totals::default();
    for_each_series(place.frame, family, rows, |_, block, row| {
        if place.frame.gaps(block).contains(row) {
            return;
        }
        let (one, slack) = place.native(family, (block, row));
        sums.add_grown((one.sum, slack));
        expected = Some(match expected.take() {
            Some(sum) => sum.add(one),
            None => one,
        });
    });
    let Some(mut expected) = expected else {
        return Ok(Vec::new());
    };
    expected.sum = sums.sum();
    let query = format!("sum({points})");
    let found = ctx.backend().histograms(&query, place.exactly.query_ms)?;
    let Some((_, found)) = found.into_iter().next() else {
        let (expected, query) = (expected.text(), query);
        return Ok(vec![place.totals_example(
            expected,
            "nothing".into(),
            query,
        )]);
    };
    let Some(difference) = expected.judge(&found, &|own, other| {
        // Counts are whole numbers; what is not is the sum.
        own.to_bits() == other.to_bits()
            || own.to_bits() == expected.sum.to_bits() && ctx.is_sum(&sums, Some(other))
    }) else {
        return Ok(Vec::new());
    };
    let mut examples = vec![Example {
        note: difference.note,
        ..place.totals_example(difference.expected, difference.found, query)
    }];
    if look && sums.count as usize <= LISTED_MAX {
        examples.extend(name(ctx, place, (family, rows), points)?);
    }
    Ok(examples)
}

/// Names the series that differ.
fn name(
    ctx: &Context,
    place: Place,
    (family, rows): (usize, &Rows),
    points: &str,
) -> Result<Vec<Example>, AskError> {
    let own = place.own_labels();
    let mut found = HashMap::new();
    for (labels, histogram) in ctx.backend().histograms(points, place.exactly.query_ms)? {
        found.insert(ctx.identity_of(&labels, &own, None).0, histogram);
    }
    let mut examples = Vec::new();
    for_each_series(place.frame, family, rows, |cursor, block, row| {
        if place.frame.gaps(block).contains(row) || examples.len() >= NAMED_MAX {
            return;
        }
        let identity = naming::identity(place.text(), labels(cursor), None);
        let Some(found) = found.get(&identity) else {
            return;
        };
        let (expected, slack) = place.native(family, (block, row));
        let is_same = |own, other| ctx.is_grown(own, other, slack);
        if let Some(difference) = expected.judge(found, &is_same) {
            let selecting = ctx.selector(place.text(), labels(cursor), None);
            let series = shown(place.text(), labels(cursor), None);
            examples.push(Example {
                expected: Some(difference.expected),
                found: Some(difference.found),
                note: difference.note,
                ..place.example(What::Wrong, series, place.points(&selecting))
            });
        }
    });
    Ok(examples)
}
