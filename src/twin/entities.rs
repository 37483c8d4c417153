//! The series of metrics whose labels depend on one another, as their populations tell.
//!
//! Who exists when is a matter of the fleet, which has a twin of its own among its tests; here
//! it is taken from there, by its closed form instead of from tick to tick.

use super::Labels;
use crate::churn::Order;
use crate::config::Metric;
use crate::engine::row_weights;
use crate::model::population::{Fleets, Populations};
use crate::model::{Catalog, Family, Shape, space_of};

/// Of a metric at a tick, after the orders so far, the label sets, the ticks of their first values, and their weights;
/// `None` where all of them exist always.
pub(super) fn at(
    metric: &Metric,
    interval_ns: u64,
    orders: &[Order],
    tick: u64,
) -> Option<(Vec<Labels>, Vec<u64>, Vec<f64>)> {
    let space = space_of(metric, interval_ns, None, &mut Vec::new()).ok()?;
    space.fleet()?;
    let family = Family::new(&metric.name, "", "", Shape::Gauge, space.into());
    let weights = row_weights(metric, &family);
    let catalog = Catalog::from_families(vec![family], 1);
    let populations = Populations::founded_with(&catalog, 0, &Fleets::at(&catalog, orders, tick));
    let population = populations.family(0);
    let rows = (0..population.row_count()).filter(|&row| population.exists(row));
    let each = rows.map(|row| {
        let cursor = population.cursor(row);
        let labels = cursor.labels();
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let weight = weights.as_ref().map_or(1.0, |weights| weights[row]);
        (labels.collect(), population.born_tick(row), weight)
    });
    let each: Vec<(Labels, u64, f64)> = each.collect();
    let births = each.iter().map(|(_, birth, _)| *birth).collect();
    let weights = each.iter().map(|(_, _, weight)| *weight).collect();
    Some((
        each.into_iter().map(|(labels, ..)| labels).collect(),
        births,
        weights,
    ))
}
