//! The exemplar of a series at a tick.

use std::fmt::Write as _;

use super::{Series, is_below};
use crate::config::Kind;
use crate::random::{Lane, Stream};
use crate::twin::Exemplar;

impl Series<'_> {
    /// That of a tick, if it has one and a point.
    pub(in crate::twin) fn exemplar(&self, tick: u64) -> Option<Exemplar> {
        let metric = self.metric();
        let spec = metric.exemplars.as_ref()?;
        let is_drawn = is_below(self.draw(tick, Lane::Exemplar), spec.share);
        if !is_drawn || self.is_missing(tick) || self.origin(tick) == tick {
            return None;
        }
        let mut stream = Stream::new(self.draw(tick, Lane::ExemplarParts));
        let mut below = |count: u64| {
            // The whole part of the draw's share of the count.
            let product = u128::from(stream.bits()) * u128::from(count);
            (product / (1 << 64)) as u64
        };
        let (bound, value, time_ms) = match &metric.kind {
            Kind::Counter { .. } => {
                let _ = below(1);
                let value = self.increment(tick);
                if value <= 0.0 {
                    return None;
                }
                (f64::INFINITY, value, self.exemplar_time(tick, &mut below))
            }
            Kind::Histogram { bounds, .. } => {
                let sample = self.sample(tick);
                let place = below(sample.count);
                // Listed one by one; huge samples would not fit into memory.
                let position = if sample.count <= 5000 {
                    let mut positions = Vec::new();
                    sample.list(&mut positions);
                    *positions.get(place as usize)?
                } else {
                    sample.nth(place)
                };
                let value = self.values(tick).value(position) * self.factors(tick).value;
                let (mut bound, mut below_it) = (f64::INFINITY, f64::NEG_INFINITY);
                for &other in bounds {
                    if position >= self.position(tick, other) {
                        below_it = other;
                    } else {
                        bound = other;
                        break;
                    }
                }
                let value = if value > bound { bound } else { value };
                let value = if value <= below_it {
                    below_it.next_up()
                } else {
                    value
                };
                (bound, value, self.exemplar_time(tick, &mut below))
            }
            Kind::Gauge { .. } | Kind::Summary { .. } => return None,
        };
        let mut labels = spec.labels.iter();
        let labels = labels.by_ref().map(|label| {
            let mut text = String::new();
            while text.len() < 2 * usize::from(label.bytes) {
                let _ = write!(text, "{:016x}", stream.bits());
            }
            text.truncate(2 * usize::from(label.bytes));
            (label.name.clone(), text)
        });
        Some(Exemplar {
            labels: labels.collect(),
            name: metric.name.clone(),
            series: self.labels.clone(),
            bound,
            value,
            time_ms,
        })
    }

    /// Whole milliseconds, less than an interval before the tick.
    fn exemplar_time(&self, tick: u64, below: &mut impl FnMut(u64) -> u64) -> i64 {
        let interval_ms = self.config.global.tick_interval_ns / 1_000_000;
        self.time_ns(tick).div_euclid(1_000_000) - below(interval_ms) as i64
    }
}
