//! Is all of it there? Counts and sums over all series of a name at an instant; where
//! they differ, the series are found (`locate`). A place in, examples out.

use std::collections::BTreeSet;

use super::backend::{AskError, seconds};
use super::context::Context;
use super::generations::Generations;
use super::locate::{Group, locate};
use super::naming::{matcher, selector};
use super::native_totals;
use super::place::{Place, numbers};
use super::report::{Example, What};
use super::route::Ends;
use super::selection::{Rows, for_each_series};
use super::sums::Totals;
use super::sums_at::totals;

/// Compares count and sum of a name. Returns examples where they differ, the
/// first one about the totals themselves; with `look` the others name series.
///
/// # Errors
/// When the backend does not answer.
pub(super) fn check(
    (ctx, known): (&Context, &Generations),
    place: Place,
    look: bool,
) -> Result<Vec<Example>, AskError> {
    let own = place.own_labels();
    let mut matchers = ctx.added().matchers(&own);
    for (name, value) in ctx.matches() {
        let stored = ctx.added().stored_name(name, &own);
        matchers.push(matcher(&stored, value));
    }
    let (rows, expected) = match place.family {
        None => (Rows::None, Totals::default()),
        Some(family) => {
            let rows = ctx.rows(place.frame.population(family));
            let expected = totals(place, family, &rows);
            (rows, expected)
        }
    };
    let selecting = selector(&[place.text()], &matchers);
    let points = place.points(&selecting);
    let query = format!("count({points})");
    let found = ctx.single(&query, place.exactly.query_ms)?;
    let count = ctx.stored_count(&expected);
    if found.is_none() && place.may_be_left_out() {
        ctx.allow_left_out();
        return Ok(Vec::new());
    }
    let found = found.unwrap_or(0.0);
    // A sum doesn't tell zeros.
    let zeros = (found as u64).saturating_sub(count);
    let zeros = zeros.min(place.starting(ctx, &rows));
    let all = count + zeros;
    let mut examples = if found != all as f64 {
        let expected = format!("{count} series");
        vec![place.totals_example(expected, format!("{found}"), query)]
    } else if all > 0 && !place.is_added_up(ctx) {
        let mut examples = check_values(ctx, place, (&expected, zeros), &place.values(&selecting))?;
        if examples.is_empty() && place.names.is_native() {
            examples = native_totals::check(ctx, place, (&rows, look), &points)?;
            if !examples.is_empty() {
                // Their counts are right, so that nothing else is to be found.
                return Ok(examples);
            }
        }
        examples
    } else {
        Vec::new()
    };
    if examples.is_empty() {
        if zeros > 0 {
            ctx.allow_start_zero();
        }
        // What the backend shows without being told how far to look back.
        return ends(ctx, place, (&rows, all), &selecting);
    }
    if !look {
        return Ok(examples);
    }
    let group = Group {
        with: rows.values().to_vec(),
        rows,
        slot: None,
        matchers,
        expected: count,
        found: found.max(0.0) as u64,
    };
    examples.extend(locate((ctx, known), place, group, &expected)?);
    Ok(examples)
}

/// Compares the values of series whose number is right: how many are no NaN, and the
/// sum of these. So many zeros are among them that only tell starts.
fn check_values(
    ctx: &Context,
    place: Place,
    (expected, zeros): (&Totals, u64),
    points: &str,
) -> Result<Vec<Example>, AskError> {
    let at_ms = place.exactly.query_ms;
    let numbers = numbers(points, expected.nan > 0);
    let mut examples = Vec::new();
    if expected.nan > 0 && ctx.keeps_nan() {
        let query = format!("count({numbers})");
        let found = ctx.single(&query, at_ms)?.unwrap_or(0.0);
        let not_nan = expected.count - expected.nan + zeros;
        if found != not_nan as f64 {
            let expected = format!("{not_nan} series that are not NaN");
            examples.push(place.totals_example(expected, format!("{found}"), query));
        }
    }
    let query = format!("sum({numbers})");
    let mut found = ctx.single(&query, at_ms)?;
    if zeros > 0 && expected.count == expected.nan {
        found = found.filter(|&sum| sum != 0.0);
    }
    if !ctx.is_sum(expected, found) {
        let expected = format!("a sum of {:?}", expected.sum());
        let found = found.map_or("nothing".to_owned(), |found| format!("{found:?}"));
        examples.push(place.totals_example(expected, found, query));
    }
    Ok(examples)
}

/// Whether series that have no point at a scrape are over for the backend: a
/// query that looks back must not find them.
fn ends(
    ctx: &Context,
    place: Place,
    (rows, count): (&Rows, u64),
    selector: &str,
) -> Result<Vec<Example>, AskError> {
    // So many may be shown.
    let mut count = count;
    let is_marked = match (ctx.route().ends, place.family) {
        (Ends::Missing | Ends::Removed, None) => true,
        (Ends::Missing, Some(family)) => {
            let blocks = place.frame.catalog().family_blocks(family);
            blocks
                .map(|block| place.frame.gaps(block))
                .any(|gaps| !gaps.is_empty())
        }
        (Ends::Removed, Some(family)) => {
            // What exists is shown, whether or not it has a point here.
            let population = place.frame.population(family);
            let slots = place.names.slots_of(place.name).len();
            count = count.max((rows.count(population) * slots) as u64);
            population.entities().is_some()
        }
        _ => false,
    };
    if !is_marked {
        return Ok(Vec::new());
    }
    let query = format!("count({selector})");
    let query_ms = ctx.marked_ms(place.scrape);
    let found = ctx.single(&query, query_ms)?.unwrap_or(0.0);
    if found <= count as f64 || found <= (count + zeros_shown(ctx, place, rows, selector)?) as f64 {
        return Ok(Vec::new());
    }
    Ok(vec![Example {
        expected: Some(format!("{count} series")),
        found: Some(format!("{found}")),
        note: Some("series that are over are still shown".to_owned()),
        query_ms,
        ..place.example(What::StaleLate, place.text().to_owned(), query)
    }])
}

/// How many series without a point at a scrape show the zero at which they began: it was
/// put there by their next point, so that nothing had ended.
fn zeros_shown(ctx: &Context, place: Place, rows: &Rows, selector: &str) -> Result<u64, AskError> {
    /// Times at which they began that are asked for.
    const STARTS_MAX: usize = 10;
    let Some(family) = place.family.filter(|_| place.is_counted()) else {
        return Ok(0);
    };
    let mut starts_ms: BTreeSet<i64> = BTreeSet::new();
    for_each_series(place.frame, family, rows, |_, block, row| {
        if place.frame.gaps(block).contains(row) && starts_ms.len() < STARTS_MAX {
            let created_ms = place.frame.created(block).at(row).div_euclid(1_000_000);
            starts_ms.extend(ctx.route().starts_ms(created_ms));
        }
    });
    let mut zeros = 0;
    for start_ms in starts_ms {
        let start = seconds(start_ms);
        let query = format!("count({selector} == 0 and timestamp({selector}) == {start})");
        let found = ctx.single(&query, ctx.marked_ms(place.scrape))?;
        zeros += found.unwrap_or(0.0) as u64;
    }
    if zeros > 0 {
        ctx.allow_start_zero();
    }
    Ok(zeros)
}
