//! The most entities that sizes let exist at once, by arithmetic on labels: nothing is built.

use super::graph::Graph;
use crate::churn::SizeAt;
use crate::config::{Label, Life};

/// Of so many places for entities of a metric's labels, or for its series, those that the
/// sizes of its profile fill at their largest; all of them where no size says less. Of several
/// sizes the one that leaves least, so that fewer may exist, never more.
pub fn most_at_once(labels: &[Label], life: &Life, places: u128) -> u128 {
    let Ok(graph) = Graph::of(labels, life) else {
        return places;
    };
    let each = life.sizes.iter().filter_map(|size| {
        let index = labels.iter().position(|label| label.name == size.label)?;
        let axes = graph.closures[index].iter().map(|&axis| graph.axes[axis]);
        let counts = axes.map(|axis| labels[axis].values.count());
        let all = counts.fold(1, u64::saturating_mul).max(1);
        let most = SizeAt::new(size, all).most();
        Some(places / u128::from(all) * u128::from(most))
    });
    each.min().unwrap_or(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Amount, LabelValues, Piece, RangeFormat, Size, SizeShape};

    #[test]
    fn the_least_of_all_sizes_holds() {
        let label = |name: &str, last| {
            let format = RangeFormat {
                before: String::new(),
                after: String::new(),
                width: 0,
                zero_fill: false,
                hexadecimal: false,
            };
            let first = 1;
            Label::new(
                name,
                LabelValues::Range {
                    first,
                    last,
                    format,
                },
                false,
            )
        };
        let size = |label: &str, from, to| Size {
            label: label.to_owned(),
            shape: SizeShape::Ramp,
            from,
            to,
            over_ns: 1,
            period_ns: 0,
            steps: 1,
        };
        let mut labels = [label("app", 10), label("pod", 1 << 40), label("path", 3)];
        labels[1].text = Some(vec![Piece::Label("app".to_owned()), Piece::Value]);
        let most = |sizes: &[Size]| {
            let sizes = sizes.to_vec();
            let life = Life {
                sizes,
                ..Life::default()
            };
            most_at_once(&labels, &life, (2 * 30) << 40)
        };
        let pods = size("pod", Amount::Count(7), Amount::Count(1000));
        let apps = size("app", Amount::Share(0.2), Amount::Count(1));
        assert_eq!(most(&[]), (2 * 30) << 40);
        assert_eq!(most(std::slice::from_ref(&pods)), 2 * 3 * 1000);
        assert_eq!(most(std::slice::from_ref(&apps)), (2 * 6) << 40);
        assert_eq!(most(&[apps, pods]), 2 * 3 * 1000);
        assert_eq!(
            most(&[size("other", Amount::Count(1), Amount::Count(1))]),
            (2 * 30) << 40
        );
    }
}
