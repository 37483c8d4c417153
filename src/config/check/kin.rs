//! Metrics that follow from others: that these exist, are of a type that has what is
//! asked of them, and have the same series; and that there is no circle.

use super::{Checker, suggest};
use crate::algorithm::counter::{Constant, CounterAlgorithm};
use crate::config::problem::{Path, excerpt, quoted};
use crate::config::{Kind, Label, Metric};
use crate::layout::MetricType;

impl Checker<'_> {
    /// Checks what each metric is of, and names it by its base name.
    pub(super) fn kin(&mut self, at: &Path, metrics: &mut [Option<Metric>]) {
        let parents: Vec<Option<usize>> = (0..metrics.len())
            .map(|index| self.parent(&at.index(index), index, metrics))
            .collect();
        self.circles(at, &parents, metrics);
        for (child, &parent) in parents.iter().enumerate() {
            let Some(parent) = parent else { continue };
            let base_name = metrics[parent].as_ref().map(|metric| metric.name.clone());
            if let (Some(child), Some(name)) = (&mut metrics[child], base_name) {
                child.of = Some(name);
            }
        }
    }

    /// The metric that another one is of; `None` where it is of none, or of none that
    /// fits, which is reported.
    fn parent(&mut self, at: &Path, index: usize, metrics: &[Option<Metric>]) -> Option<usize> {
        let child = metrics[index].as_ref()?;
        let name = child.of.as_deref()?;
        let at = at.key(field(child));
        let mut named = metrics.iter();
        let is_called = |metric: &Option<Metric>| {
            let metric = metric.as_ref();
            metric.is_some_and(|metric| metric.is_called(name))
        };
        let Some(place) = named.position(is_called) else {
            // It may be one that has mistakes of its own.
            if metrics.iter().all(Option::is_some) {
                let others = metrics.iter().flatten();
                let fits = others.filter(|other| other.name != child.name && fits(child, other));
                let names: Vec<&str> = fits.map(|other| &*other.name).collect();
                let defined = suggest::nearest_and_rest(
                    name,
                    ("it can be one of:", "it can also be one of:"),
                    names.iter().copied(),
                );
                let message = format!("no metric {}; {defined}", quoted(name));
                self.problems.add(&at, message);
            }
            return None;
        };
        let parent = metrics[place].as_ref()?;
        if !fits(child, parent) {
            let type_name = parent.kind.metric_type().name();
            let needed = match child.kind {
                Kind::Gauge { .. } => "a counter or a gauge",
                _ => "a counter",
            };
            let message = format!("{} is a {type_name}; it has to be {needed}", quoted(name));
            self.problems.add(&at, message);
            return None;
        }
        let differences = differences(child, parent);
        if !differences.is_empty() {
            self.problems.add(
                &at,
                format!(
                    "series go with those of {} by their labels, which have to be the same, but \
                     {}; give both the same profile and labels",
                    quoted(name),
                    differences.join(", and ")
                ),
            );
            return None;
        }
        if let Some(why) = why_not_whole(child, parent) {
            self.problems.add(
                &at,
                format!(
                    "{} {why}, and there {} of a part of an event; let it be algorithm: poisson",
                    quoted(name),
                    match child.kind {
                        Kind::Counter { .. } => "is no share",
                        _ => "are no observations",
                    }
                ),
            );
        }
        Some(place)
    }

    /// Reports metrics that follow from themselves, each circle once.
    fn circles(&mut self, at: &Path, parents: &[Option<usize>], metrics: &[Option<Metric>]) {
        let mut seen = vec![false; parents.len()];
        for start in 0..parents.len() {
            let mut way: Vec<usize> = Vec::new();
            let mut next = Some(start);
            while let Some(index) = next.filter(|&index| !seen[index]) {
                seen[index] = true;
                way.push(index);
                next = parents[index];
            }
            let Some(first) = next.and_then(|back| way.iter().position(|&one| one == back)) else {
                continue;
            };
            let circle = way[first..].iter().chain(&way[first..=first]);
            let circle = circle.filter_map(|&index| metrics[index].as_ref());
            let names: Vec<String> = circle.map(|metric| quoted(&metric.name)).collect();
            let Some(metric) = &metrics[way[first]] else {
                continue;
            };
            let message = format!(
                "goes round in a circle: {}; one of them has to be of none",
                names.join(" of ")
            );
            let at = at.index(way[first]).key(field(metric));
            self.problems.add(&at, message);
        }
    }
}

/// The field that names what a metric is of.
fn field(metric: &Metric) -> &'static str {
    match metric.kind {
        Kind::Counter { .. } | Kind::Gauge { .. } => "of",
        Kind::Histogram { .. } | Kind::Summary { .. } => "observations_of",
    }
}

/// Whether a metric is of a type that another one can be of.
fn fits(child: &Metric, parent: &Metric) -> bool {
    match parent.kind.metric_type() {
        MetricType::Counter => true,
        MetricType::Gauge => matches!(child.kind, Kind::Gauge { .. }),
        MetricType::Histogram | MetricType::Summary => false,
    }
}

/// Why series of two metrics do not go together.
fn differences(child: &Metric, parent: &Metric) -> Vec<String> {
    let mut all = Vec::new();
    let is_in = |labels: &[Label], name: &str| labels.iter().any(|label| label.name == name);
    for label in &child.labels {
        if !is_in(&parent.labels, &label.name) {
            all.push(format!("only this one has the label {}", label.name));
        }
    }
    for label in &parent.labels {
        let own = child.labels.iter().find(|own| own.name == label.name);
        match own {
            None => all.push(format!("this one lacks the label {}", label.name)),
            Some(own) if own.hidden && !label.hidden => {
                all.push(format!("this one lacks the label {}", label.name));
            }
            Some(own) if label.hidden && !own.hidden => {
                all.push(format!("only this one has the label {}", label.name));
            }
            Some(own) if !is_same(own, label) => {
                all.push(format!("the label {} has other values", label.name));
            }
            Some(_) => {}
        }
    }
    let names = |metric: &Metric| -> Vec<String> {
        let labels = metric.labels.iter();
        labels.map(|label| label.name.clone()).collect()
    };
    if all.is_empty() && child.series_cap.is_some() && names(child) != names(parent) {
        // The first ones of another order are others.
        all.push("labels come in another order".to_owned());
    }
    let cap = |metric: &Metric| match metric.series_cap {
        Some(cap) => format!("series_cap {cap}"),
        None => "no series_cap".to_owned(),
    };
    if child.series_cap != parent.series_cap {
        let (own, its) = (cap(child), cap(parent));
        all.push(format!("this one has {own}, that one {its}"));
    } else if child.series_cap.is_some() && child.sampling != parent.sampling {
        all.push("their sampling_strategy differs".to_owned());
    }
    if child.zipf_alpha != parent.zipf_alpha {
        let (own, its) = (child.zipf_alpha, parent.zipf_alpha);
        all.push(format!("this one has zipf_alpha {own}, that one {its}"));
    }
    if child.life != parent.life {
        all.push("their series come and go by other laws".to_owned());
    }
    all
}

/// Whether two labels are the same, whoever they were written for.
fn is_same(own: &Label, other: &Label) -> bool {
    let Label {
        name,
        values,
        from_metric: _,
        text,
        of,
        weights,
        hidden,
    } = own;
    *name == other.name
        && *values == other.values
        && *text == other.text
        && *of == other.of
        && *weights == other.weights
        && *hidden == other.hidden
}

/// Whether the weights of a label's values differ.
fn has_parts(label: &Label) -> bool {
    let mut pairs = label.weights.iter().flat_map(|weights| weights.windows(2));
    pairs.any(|pair| pair[0] != pair[1])
}

/// Why the events of a counter are not whole, where they have to be: those that are
/// observed, or are a share of others, are counted one by one.
fn why_not_whole(child: &Metric, parent: &Metric) -> Option<String> {
    let Kind::Counter {
        algorithm: CounterAlgorithm::Constant(Constant { increment_per_tick }),
        diurnal,
    } = &parent.kind
    else {
        return None;
    };
    if matches!(child.kind, Kind::Gauge { .. }) {
        return None;
    }
    if increment_per_tick.fract() != 0.0 {
        return Some(format!("grows by {increment_per_tick} at each tick"));
    }
    if diurnal.amplitude != 0.0 {
        return Some("grows by a part of its increment at most times of day".to_owned());
    }
    if *increment_per_tick == 0.0 {
        return None;
    }
    if parent.zipf_alpha != 0.0 {
        return Some("has series that grow by parts, by zipf_alpha".to_owned());
    }
    let label = parent.labels.iter().find(|label| has_parts(label))?;
    Some(format!(
        "has series that grow by parts, by the weights of {}",
        excerpt(&label.name)
    ))
}
