//! The judges: what a server stored against what it should have stored. Each returns its
//! complaints, none when all is well. Pure, so that the tests below can hand them wrong input
//! and see them complain.

use super::samples::{Identity, Samples};
use std::collections::{BTreeMap, BTreeSet};

/// A series as a server stored it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    pub(crate) identity: Identity,
    /// (Unix milliseconds, value) in time order.
    pub(crate) points: Vec<(i64, f64)>,
}

/// What the program said beforehand of one metric (`mockingbird plan`).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Planned {
    /// Prefix and base name, without a counter's `_total`.
    pub(crate) stem: String,
    /// `counter`, `gauge`, `histogram` or `summary`.
    pub(crate) kind: String,
    /// Label sets, `le` and `quantile` not counted.
    pub(crate) series: usize,
    /// Samples per scrape in text 0.0.4.
    pub(crate) samples_text: usize,
    /// Samples per scrape in `OpenMetrics`.
    pub(crate) samples_openmetrics: usize,
}

impl Planned {
    /// What a sample of this metric has after the stem; `None` for a sample of another one.
    fn suffix<'a>(&self, sample: &'a str) -> Option<&'a str> {
        let suffix = sample.strip_prefix(self.stem.as_str())?;
        let own: &[_] = match self.kind.as_str() {
            "counter" => &["_total", "_created"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count", "_created"],
            "summary" => &["", "_sum", "_count", "_created"],
            kind => panic!("{}: unknown type {kind}", self.stem),
        };
        own.contains(&suffix).then_some(suffix)
    }

    /// Whether samples of this name are of this metric.
    pub(crate) fn owns(&self, sample: &str) -> bool {
        self.suffix(sample).is_some()
    }

    /// Whether samples of this name only ever grow. Sums do because all shipped distributions
    /// are of positive numbers.
    fn is_cumulative(&self, sample: &str) -> bool {
        matches!(
            self.suffix(sample),
            Some("_total" | "_bucket" | "_count" | "_sum")
        )
    }
}

/// Regroups series by time: one scrape is what was stored at one time.
pub(crate) fn scrapes(series: &[Stored]) -> BTreeMap<i64, Samples> {
    let mut scrapes = BTreeMap::<i64, Samples>::new();
    for Stored { identity, points } in series {
        for &(time, value) in points {
            let scrape = scrapes.entry(time).or_default();
            let earlier = scrape.insert(identity.clone(), value);
            assert!(earlier.is_none(), "{identity} twice at {time}");
        }
    }
    scrapes
}

/// A scrape holds the planned number of samples and of label sets of every metric, and nothing
/// that wasn't planned.
pub(crate) fn counts(scrape: &Samples, plan: &[Planned], openmetrics: bool) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut owned = 0;
    for metric in plan {
        let mine: Vec<_> = scrape
            .keys()
            .filter(|identity| metric.owns(&identity.name))
            .collect();
        owned += mine.len();
        let samples = if openmetrics {
            metric.samples_openmetrics
        } else {
            metric.samples_text
        };
        if mine.len() != samples {
            let stem = &metric.stem;
            complaints.push(format!("{stem}: {} samples, planned {samples}", mine.len()));
        }
        let series: BTreeSet<_> = mine.iter().map(|identity| label_set(identity)).collect();
        if series.len() != metric.series {
            complaints.push(format!(
                "{}: {} series, planned {}",
                metric.stem,
                series.len(),
                metric.series
            ));
        }
    }
    if owned != scrape.len() {
        complaints.push(format!(
            "{} samples belong to no planned metric",
            scrape.len().abs_diff(owned)
        ));
    }
    complaints
}

fn label_set(identity: &Identity) -> BTreeMap<&str, &str> {
    let labels = identity.labels.iter();
    labels
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| !matches!(*name, "le" | "quantile"))
        .collect()
}

/// No counter, bucket, count or sum ever went down; and they aren't all standing still, which
/// would prove nothing.
pub(crate) fn decreases(series: &[Stored], plan: &[Planned]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut growing = 0;
    for Stored { identity, points } in series {
        if !plan.iter().any(|m| m.is_cumulative(&identity.name)) {
            continue;
        }
        for pair in points.windows(2) {
            let [(_, before), (time, after)] = [pair[0], pair[1]];
            growing += usize::from(after > before);
            // Not `after < before`, which a NaN would pass.
            if !matches!(
                after.partial_cmp(&before),
                Some(std::cmp::Ordering::Equal | std::cmp::Ordering::Greater)
            ) {
                complaints.push(format!(
                    "{identity} fell from {before} to {after} at {time}"
                ));
            }
        }
    }
    if growing == 0 {
        complaints.push("no cumulative series ever grew".into());
    }
    complaints
}

/// Both hold the same series, and every value is the same to the last bit (one NaN is as good
/// as another: the query interface doesn't tell them apart).
pub(crate) fn differences(stored: &Samples, expected: &Samples) -> Vec<String> {
    let mut complaints = Vec::new();
    for (identity, value) in expected {
        match stored.get(identity) {
            None => complaints.push(format!("{identity} is missing, expected {value}")),
            Some(found) if same(*found, *value) => {}
            Some(found) => complaints.push(format!("{identity} is {found}, expected {value}")),
        }
    }
    for (identity, value) in stored {
        if !expected.contains_key(identity) {
            complaints.push(format!("{identity} {value} wasn't expected"));
        }
    }
    complaints
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

/// Panics with the first few complaints, if there are any.
pub(crate) fn assert_none(what: &str, complaints: &[String]) {
    assert!(
        complaints.is_empty(),
        "{what}: {} complaints\n{}",
        complaints.len(),
        complaints[..complaints.len().min(10)].join("\n")
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::samples::identity;

    fn samples(rows: &[(&str, f64)]) -> Samples {
        let rows = rows.iter();
        rows.map(|(text, value)| (identity(text), *value)).collect()
    }

    fn metric(stem: &str, kind: &str, series: usize, text: usize, openmetrics: usize) -> Planned {
        Planned {
            stem: stem.into(),
            kind: kind.into(),
            series,
            samples_text: text,
            samples_openmetrics: openmetrics,
        }
    }

    fn plan() -> Vec<Planned> {
        vec![
            metric("p_c", "counter", 2, 2, 4),
            metric("p_h", "histogram", 1, 4, 5),
            metric("p_h_c", "gauge", 1, 1, 1),
        ]
    }

    const RIGHT: [(&str, f64); 7] = [
        (r#"p_c_total{a="1"}"#, 1.0),
        (r#"p_c_total{a="2"}"#, 2.5),
        (r#"p_h_bucket{le="0.1"}"#, 1.0),
        (r#"p_h_bucket{le="+Inf"}"#, 2.0),
        ("p_h_sum", 0.3),
        ("p_h_count", 2.0),
        ("p_h_c", f64::NAN),
    ];

    #[test]
    fn the_same_samples_are_no_difference() {
        assert_eq!(differences(&samples(&RIGHT), &samples(&RIGHT)).len(), 0);
    }

    #[test]
    fn every_difference_is_told() {
        let right = samples(&RIGHT);
        for wrong in 0..RIGHT.len() {
            let mut rows = RIGHT.to_vec();
            // The next number, one bit away.
            rows[wrong].1 = if rows[wrong].1.is_nan() {
                0.0
            } else {
                rows[wrong].1.next_up()
            };
            assert_eq!(differences(&samples(&rows), &right).len(), 1, "{rows:?}");
            rows.remove(wrong);
            assert_eq!(differences(&samples(&rows), &right).len(), 1, "{rows:?}");
            assert_eq!(differences(&right, &samples(&rows)).len(), 1, "{rows:?}");
        }
        let renamed = samples(&[(r#"p_c_total{b="1"}"#, 1.0)]);
        let original = samples(&[(r#"p_c_total{a="1"}"#, 1.0)]);
        assert_eq!(differences(&renamed, &original).len(), 2);
        assert_eq!(
            differences(&samples(&[("g", -0.0)]), &samples(&[("g", 0.0)])).len(),
            1
        );
    }

    #[test]
    fn planned_counts_are_met() {
        assert_eq!(counts(&samples(&RIGHT), &plan(), false), [""; 0]);
        let mut created = samples(&RIGHT);
        created.extend(samples(&[
            (r#"p_c_created{a="1"}"#, 7.0),
            (r#"p_c_created{a="2"}"#, 7.0),
            ("p_h_created", 7.0),
        ]));
        assert_eq!(counts(&created, &plan(), true), [""; 0]);
    }

    #[test]
    fn every_wrong_count_is_told() {
        for dropped in 0..RIGHT.len() {
            let mut rows = RIGHT.to_vec();
            rows.remove(dropped);
            assert_ne!(counts(&samples(&rows), &plan(), false), [""; 0], "{rows:?}");
        }
        for added in [r#"p_c_total{a="3"}"#, "p_x", "p_c", "p_h_bucket"] {
            let mut wrong = samples(&RIGHT);
            wrong.insert(identity(added), 1.0);
            assert_ne!(counts(&wrong, &plan(), false), [""; 0], "{added}");
        }
        // The right number of samples, one of them of an unplanned series.
        let mut rows = RIGHT.to_vec();
        rows[2].0 = r#"p_h_bucket{le="0.1",z="1"}"#;
        assert_eq!(counts(&samples(&rows), &plan(), false).len(), 1);
        // The other format's numbers.
        assert_ne!(counts(&samples(&RIGHT), &plan(), true), [""; 0]);
    }

    fn stored(name: &str, values: &[f64]) -> Stored {
        let points = (0..).zip(values).map(|(at, value)| (at, *value));
        let points = points.collect();
        let identity = identity(name);
        Stored { identity, points }
    }

    #[test]
    fn falling_counters_are_told() {
        let growing = stored("p_c_total", &[1.0, 1.0, 2.0]);
        let check = |series: &[Stored]| decreases(series, &plan()).len();
        assert_eq!(check(std::slice::from_ref(&growing)), 0);
        assert_eq!(check(&[growing.clone(), stored("p_h_c", &[2.0, 1.0])]), 0);
        for name in ["p_c_total", "p_h_bucket", "p_h_count", "p_h_sum"] {
            for falling in [[2.0, 1.0, 3.0], [1.0, 3.0, 2.0], [1.0, f64::NAN, 0.5]] {
                let series = [growing.clone(), stored(name, &falling)];
                assert_ne!(check(&series), 0, "{name} {falling:?}");
            }
        }
        assert_eq!(check(&[stored("p_c_total", &[1.0, 1.0])]), 1);
        assert_eq!(check(&[stored("p_h_c", &[1.0, 2.0])]), 1);
    }

    #[test]
    fn scrapes_regroup_by_time() {
        let series = [stored("a", &[1.0, 2.0]), stored("b", &[3.0])];
        let scrapes = scrapes(&series);
        assert_eq!(scrapes[&0], samples(&[("a", 1.0), ("b", 3.0)]));
        assert_eq!(scrapes[&1], samples(&[("a", 2.0)]));
        assert_eq!(scrapes.len(), 2);
    }
}
