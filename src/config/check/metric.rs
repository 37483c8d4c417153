//! `metrics[]`: types, algorithms and their parameters.

use std::collections::HashSet;

use super::super::problem::{Path, quoted};
use super::super::raw::{AnyFloat, Entries, Item, RawComponent, RawMetric};
use super::super::yaml::float_text;
use super::super::{
    Component, CounterAlgorithm, Distribution, Diurnal, GaugeAlgorithm, Global, Kind, Label,
    LabelValues, Metric, Objective, Observations, Sampling,
};
use super::labels::{Profile, Profiles};
use super::parameters::{TYPES, algorithms};
use super::{Checker, MAGNITUDE_MAX, suggest};

const BUCKETS_DEFAULT: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
const BUCKETS_MAX: usize = 1000;
const OBJECTIVES_DEFAULT: [(f64, f64); 3] = [(0.5, 0.05), (0.9, 0.01), (0.99, 0.001)];
const WINDOW_TICKS_MAX: f64 = 1e6;
/// Label values that all metrics together may get from their profiles' lists.
const VALUES_COPIED_MAX: usize = 5_000_000;

impl Checker<'_> {
    /// One entry per entry of the file; `None` where there was a mistake.
    pub(super) fn metrics(
        &mut self,
        at: &Path,
        raw: Option<Vec<Item<RawMetric>>>,
        profiles: &Profiles,
        global: &Global,
    ) -> Vec<Option<Metric>> {
        let raw = raw.unwrap_or_default();
        if raw.is_empty() {
            self.problems
                .missing(at, "missing; a configuration needs at least one metric");
        }
        let mut reported = HashSet::new();
        let metrics: Vec<_> = self
            .items(at, raw)
            .into_iter()
            .map(|(path, raw)| self.metric(&path, raw?, profiles, global, &mut reported))
            .collect();
        self.collisions(at, &metrics);
        metrics
    }

    fn metric(
        &mut self,
        at: &Path,
        mut raw: RawMetric,
        profiles: &Profiles,
        global: &Global,
        reported: &mut HashSet<String>,
    ) -> Option<Metric> {
        let name = self.required_text(at, "name", raw.name.take(), "a metric needs a name");
        let name = name.map(|name| self.metric_name(&at.key("name"), &name, raw.kind.as_deref()));
        let profile = self.profile_of(at, raw.profile.take(), profiles);
        let (own, own_complete) = match raw.labels.take() {
            Some(labels) => self.labels(&at.key("labels"), labels, true),
            None => (Vec::new(), true),
        };
        let (labels, known) = match &profile {
            Ok(profile) => (
                self.merge_labels(at, profile.map(|(_, profile)| &profile.labels[..]), own),
                own_complete && !profile.is_some_and(|(_, profile)| profile.incomplete),
            ),
            Err(()) => (own, false),
        };
        let profile = profile.ok().flatten();
        if known {
            self.combinations(at, &labels, profile, reported);
        }
        self.reserved_labels(
            at,
            &labels,
            raw.kind.as_deref(),
            profile.map(|(name, _)| name),
        );
        let description = raw.description.take().unwrap_or_default();
        self.text(&at.key("description"), &description);
        let unit = raw.unit.take().unwrap_or_default();
        if unit.len() > 63 || unit.chars().any(|c| !c.is_ascii_graphic()) {
            self.problems.add(
                &at.key("unit"),
                "must be at most 63 visible ASCII characters without spaces",
            );
        }
        let seed = raw.seed.unwrap_or(global.seed);
        let kind = self.kind(at, raw, global)?;
        let hash = profile.is_some_and(|(_, profile)| profile.hash);
        Some(Metric {
            name: name.unwrap_or_default(),
            description,
            unit,
            seed,
            labels,
            series_cap: profile.and_then(|(_, profile)| profile.series_cap),
            sampling: if hash {
                Sampling::Hash
            } else {
                Sampling::FirstN
            },
            zipf_alpha: profile.map_or(0.0, |(_, profile)| profile.zipf_alpha),
            kind,
        })
    }

    /// The profile a metric names, if any; `Err` where there is no such one.
    fn profile_of<'p>(
        &mut self,
        at: &Path,
        name: Option<String>,
        profiles: &'p Profiles,
    ) -> Result<Option<(&'p str, &'p Profile)>, ()> {
        let Some(name) = name else { return Ok(None) };
        if let Some((name, profile)) = profiles.get_key_value(&name) {
            return Ok(Some((name, profile)));
        }
        if self.problems.is_full() {
            self.problems.count_more(1);
            return Err(());
        }
        let names: Vec<&str> = profiles.keys().map(String::as_str).collect();
        let near = suggest::nearest(&name, names.iter().copied()).map_or(String::new(), |near| {
            format!("did you mean {}? ", quoted(near))
        });
        let defined = suggest::list(names);
        self.problems.add(
            &at.key("profile"),
            format!("no profile {}; {near}defined: {defined}", quoted(&name)),
        );
        Err(())
    }

    /// Reports labels that a type writes itself.
    fn reserved_labels(
        &mut self,
        at: &Path,
        labels: &[Label],
        kind: Option<&str>,
        profile: Option<&str>,
    ) {
        let (reserved, kind) = match kind {
            Some("histogram") => ("le", "histogram"),
            Some("summary") => ("quantile", "summary"),
            _ => return,
        };
        let Some(label) = labels.iter().find(|label| label.name == reserved) else {
            return;
        };
        match profile {
            Some(profile) if !label.from_metric => self.problems.add(
                &at.key("profile"),
                format!(
                    "profile {} has the label {reserved}, which every {kind} sets itself",
                    quoted(profile)
                ),
            ),
            _ => self.problems.add_key(
                &at.key("labels").key(reserved),
                0,
                format!("every {kind} sets this label itself; use another name"),
            ),
        }
    }

    fn text(&mut self, at: &Path, text: &str) {
        if text.contains('\0') {
            self.problems.add(at, "must not contain NUL");
        }
    }

    fn kind(&mut self, at: &Path, mut raw: RawMetric, global: &Global) -> Option<Kind> {
        let list = TYPES.join(", ");
        let kind = self.required_text(at, "type", raw.kind.take(), &format!("one of {list}"));
        let known = TYPES.map(|name| (name, name));
        let kind = kind.and_then(|kind| self.choice(&at.key("type"), &kind, &known));
        let Some(kind) = kind else {
            return None;
        };
        let algorithm = raw.algorithm.take();
        let list = format!("{kind} knows {}", algorithms(kind).join(", "));
        let algorithm = self.required_text(at, "algorithm", algorithm, &list)?;
        if !algorithms(kind).contains(&algorithm.as_str()) {
            let near = suggest::nearest(&algorithm, algorithms(kind).iter().copied())
                .map_or(String::new(), |near| {
                    format!("did you mean {}? ", quoted(near))
                });
            self.problems.add(
                &at.key("algorithm"),
                format!("no algorithm {}; {near}{list}", quoted(&algorithm)),
            );
            return None;
        }
        self.unused_parameters(at, &raw, kind, &algorithm);
        let diurnal = self.diurnal(at, &raw);
        Some(match kind {
            "counter" => Kind::Counter {
                algorithm: self.counter(at, &raw, &algorithm, global),
                diurnal,
            },
            "gauge" => {
                let clamp = self.clamp(&at.key("clamp"), raw.clamp.take());
                Kind::Gauge {
                    algorithm: self.gauge(at, &raw, &algorithm, clamp),
                    diurnal,
                    clamp,
                }
            }
            "histogram" => Kind::Histogram {
                bounds: self.buckets(&at.key("buckets"), raw.buckets.take()),
                observations: self.observations(at, raw, &algorithm, diurnal),
            },
            _ => Kind::Summary {
                objectives: self.objectives(&at.key("objectives"), raw.objectives.take()),
                max_age_ns: self.max_age(&at.key("max_age_s"), raw.max_age_s, global),
                observations: self.observations(at, raw, &algorithm, diurnal),
            },
        })
    }

    fn diurnal(&mut self, at: &Path, raw: &RawMetric) -> Diurnal {
        let amplitude = raw.diurnal_amp.unwrap_or(0.0);
        self.within(&at.key("diurnal_amp"), amplitude, -1.0..=1.0);
        let phase = raw.diurnal_phase.unwrap_or(0.0);
        self.within(&at.key("diurnal_phase"), phase, -1e6..=1e6);
        Diurnal { amplitude, phase }
    }

    fn counter(
        &mut self,
        at: &Path,
        raw: &RawMetric,
        algorithm: &str,
        global: &Global,
    ) -> CounterAlgorithm {
        for (name, value) in [("base_rate", raw.base_rate), ("increment", raw.increment)] {
            if let Some(value) = value {
                self.within(&at.key(name), value, 0.0..=1e12);
            }
        }
        if algorithm == "poisson" {
            return CounterAlgorithm::Poisson {
                rate_per_s: self.required(at, "base_rate", raw.base_rate, "counter poisson"),
            };
        }
        let interval_s = global.tick_interval_ns as f64 / 1e9;
        let increment_per_tick = match (raw.base_rate, raw.increment) {
            (Some(_), Some(_)) => {
                self.problems.add_key(
                    &at.key("increment"),
                    0,
                    "base_rate (per second) and increment (per tick) are both set; keep one",
                );
                0.0
            }
            (None, None) => {
                if !self.problems.is_pruned(&at.key("increment")) {
                    self.problems.missing(
                        &at.key("base_rate"),
                        "missing; counter constant needs base_rate (per second) or increment \
                         (per tick)",
                    );
                }
                0.0
            }
            (Some(rate), None) => rate * interval_s,
            (None, Some(increment)) => increment,
        };
        CounterAlgorithm::Constant { increment_per_tick }
    }

    fn clamp(&mut self, at: &Path, raw: Option<Vec<Item<f64>>>) -> (f64, f64) {
        let unbounded = (f64::NEG_INFINITY, f64::INFINITY);
        let Some(raw) = raw else { return unbounded };
        let count = raw.len();
        let ends: Vec<_> = self
            .items(at, raw)
            .into_iter()
            .map(|(path, end)| {
                if let Some(end) = end {
                    self.within(&path, end, -MAGNITUDE_MAX..=MAGNITUDE_MAX);
                }
                end
            })
            .collect();
        match ends[..] {
            [Some(lo), Some(hi)] if lo < hi => (lo, hi),
            [Some(lo), Some(hi)] => {
                self.problems.add(
                    at,
                    format!(
                        "the lower bound {} must be below the upper bound {}",
                        float_text(lo),
                        float_text(hi)
                    ),
                );
                unbounded
            }
            [_, _] => unbounded,
            _ => {
                self.problems
                    .add(at, format!("expected [lo, hi], found {count} entries"));
                unbounded
            }
        }
    }

    fn gauge(
        &mut self,
        at: &Path,
        raw: &RawMetric,
        algorithm: &str,
        clamp: (f64, f64),
    ) -> GaugeAlgorithm {
        let start = raw.start.map(|AnyFloat(start)| start);
        let whom = format!("gauge {algorithm}");
        match algorithm {
            "random_walk" => {
                let middle = if clamp.0.is_finite() {
                    clamp.0 / 2.0 + clamp.1 / 2.0
                } else {
                    0.0
                };
                let start = start.unwrap_or(middle);
                self.start_within(&at.key("start"), start, clamp, false);
                let step = self.required(at, "step", raw.step, &whom);
                self.within(&at.key("step"), step, 0.0..=MAGNITUDE_MAX);
                GaugeAlgorithm::RandomWalk { start, step }
            }
            "sine" => {
                let (middle, amplitude) = self.wave(at, raw);
                GaugeAlgorithm::Sine {
                    middle,
                    amplitude,
                    period_ns: self.period(at, raw, &whom),
                    phase_spread: self.phase_spread(at, raw),
                }
            }
            "bernoulli" => {
                let p = self.required(at, "p", raw.p, &whom);
                self.within(&at.key("p"), p, 0.0..=1.0);
                GaugeAlgorithm::Bernoulli { p }
            }
            "sawtooth" => {
                let min = self.required(at, "min", raw.min, &whom);
                let max = self.required(at, "max", raw.max, &whom);
                self.rising(at, min, max);
                GaugeAlgorithm::Sawtooth {
                    min,
                    max,
                    period_ns: self.period(at, raw, &whom),
                    phase_spread: self.phase_spread(at, raw),
                }
            }
            _ => {
                let value = self.required(at, "start", start, &whom);
                let allow_nan = raw.allow_nan.unwrap_or(false);
                if start.is_some() {
                    self.start_within(&at.key("start"), value, clamp, allow_nan);
                }
                GaugeAlgorithm::Constant { value }
            }
        }
    }

    fn start_within(&mut self, at: &Path, start: f64, clamp: (f64, f64), allow_nan: bool) {
        if !start.is_finite() && !allow_nan {
            self.problems.add(
                at,
                format!(
                    "expected a finite number, found {} (a gauge constant may have it with \
                     allow_nan: true)",
                    float_text(start)
                ),
            );
        } else if start < clamp.0 || start > clamp.1 {
            self.problems.add(
                at,
                format!(
                    "{} is outside of clamp, {} to {}",
                    float_text(start),
                    float_text(clamp.0),
                    float_text(clamp.1)
                ),
            );
        } else if start.is_finite() {
            self.within(at, start, -MAGNITUDE_MAX..=MAGNITUDE_MAX);
        }
    }

    /// Middle and amplitude of a sine, from either way of writing them.
    fn wave(&mut self, at: &Path, raw: &RawMetric) -> (f64, f64) {
        const WAYS: &str = "gauge sine takes min and max, or amplitude and offset";
        let by_ends = raw.min.is_some() || raw.max.is_some();
        let by_size = raw.amplitude.is_some() || raw.offset.is_some();
        let pruned = ["min", "max", "amplitude", "offset"]
            .iter()
            .any(|name| self.problems.is_pruned(&at.key(name)));
        if pruned {
            return (f64::NAN, f64::NAN);
        }
        if by_ends && by_size {
            let name = if raw.amplitude.is_some() {
                "amplitude"
            } else {
                "offset"
            };
            self.problems
                .add_key(&at.key(name), 0, format!("{WAYS}, not both; keep one pair"));
            return (f64::NAN, f64::NAN);
        }
        if by_ends {
            let min = self.required(at, "min", raw.min, "gauge sine with max");
            let max = self.required(at, "max", raw.max, "gauge sine with min");
            self.rising(at, min, max);
            return (min / 2.0 + max / 2.0, max / 2.0 - min / 2.0);
        }
        let Some(amplitude) = raw.amplitude else {
            let (name, why) = if by_size {
                ("amplitude", "gauge sine with offset needs it")
            } else {
                ("min", WAYS)
            };
            self.problems
                .missing(&at.key(name), format!("missing; {why}"));
            return (f64::NAN, f64::NAN);
        };
        let offset = raw.offset.unwrap_or(0.0);
        self.within(&at.key("amplitude"), amplitude, 0.0..=MAGNITUDE_MAX);
        self.within(&at.key("offset"), offset, -MAGNITUDE_MAX..=MAGNITUDE_MAX);
        (offset, amplitude)
    }

    fn rising(&mut self, at: &Path, min: f64, max: f64) {
        self.within(&at.key("min"), min, -MAGNITUDE_MAX..=MAGNITUDE_MAX);
        self.within(&at.key("max"), max, -MAGNITUDE_MAX..=MAGNITUDE_MAX);
        if min >= max {
            self.problems.add(
                &at.key("max"),
                format!(
                    "must be more than min, {}, found {}",
                    float_text(min),
                    float_text(max)
                ),
            );
        }
    }

    fn period(&mut self, at: &Path, raw: &RawMetric, whom: &str) -> u64 {
        let period = self.required(at, "period_s", raw.period_s, whom);
        self.seconds(&at.key("period_s"), period)
    }

    fn phase_spread(&mut self, at: &Path, raw: &RawMetric) -> f64 {
        let spread = raw.phase_spread.unwrap_or(0.0);
        self.within(&at.key("phase_spread"), spread, 0.0..=1.0);
        spread
    }

    fn buckets(&mut self, at: &Path, raw: Option<Vec<Item<AnyFloat>>>) -> Vec<f64> {
        let Some(raw) = raw else {
            return BUCKETS_DEFAULT.to_vec();
        };
        let last = raw.len().saturating_sub(1);
        let mut bounds: Vec<f64> = Vec::with_capacity(raw.len());
        let mut bad = false;
        if raw.len() > BUCKETS_MAX {
            self.problems.add(
                at,
                format!("at most {BUCKETS_MAX} buckets, found {}", raw.len()),
            );
            return Vec::new();
        }
        for (index, (path, bound)) in self.items(at, raw).into_iter().enumerate() {
            let Some(AnyFloat(bound)) = bound else {
                bad = true;
                continue;
            };
            if bound == f64::INFINITY && index == last && index > 0 {
                continue;
            }
            let problem = if !bound.is_finite() {
                Some(format!(
                    "expected a finite number, found {}",
                    float_text(bound)
                ))
            } else {
                match bounds.last() {
                    Some(before) if *before == bound => Some(format!(
                        "{} is there already; remove one",
                        float_text(bound)
                    )),
                    Some(before) if *before > bound => Some(format!(
                        "{} comes after {}; sort the buckets upwards",
                        float_text(bound),
                        float_text(*before)
                    )),
                    _ => None,
                }
            };
            match problem {
                Some(problem) => {
                    bad = true;
                    self.problems.add(&path, problem);
                }
                // Both zeros are one bound; the positive one prints as "0".
                None => bounds.push(if bound == 0.0 { 0.0 } else { bound }),
            }
        }
        if bounds.is_empty() && !bad {
            self.problems.add(
                at,
                "needs at least one finite bound; +Inf is added by itself",
            );
        }
        bounds
    }

    fn objectives(&mut self, at: &Path, raw: Option<Entries<f64>>) -> Vec<Objective> {
        let Some(raw) = raw else {
            return OBJECTIVES_DEFAULT
                .map(|(quantile, rank_error)| Objective {
                    quantile,
                    rank_error,
                })
                .to_vec();
        };
        if raw.0.is_empty() {
            self.problems.add(
                at,
                "is empty; name at least one quantile, for example {0.5: 0.05}",
            );
        }
        if raw.0.len() > BUCKETS_MAX {
            self.problems.add(
                at,
                format!("at most {BUCKETS_MAX} quantiles, found {}", raw.0.len()),
            );
            return Vec::new();
        }
        let mut objectives: Vec<Objective> = Vec::new();
        for (path, key, rank_error) in self.entries(at, raw) {
            if let Some(rank_error) = rank_error {
                self.within(&path, rank_error, 0.0..=1.0);
            }
            let quantile = match key.parse::<f64>() {
                Ok(quantile) if (0.0..=1.0).contains(&quantile) => quantile.abs(),
                _ => {
                    self.problems.add_key(
                        &path,
                        0,
                        format!("a quantile is a number from 0 to 1, found {}", quoted(&key)),
                    );
                    continue;
                }
            };
            if objectives.iter().any(|other| other.quantile == quantile) {
                self.problems.add_key(
                    &path,
                    0,
                    format!("quantile {quantile} is there already; remove one"),
                );
            }
            objectives.push(Objective {
                quantile,
                rank_error: rank_error.unwrap_or(0.0),
            });
        }
        objectives.sort_by(|a, b| a.quantile.total_cmp(&b.quantile));
        objectives
    }

    fn max_age(&mut self, at: &Path, raw: Option<f64>, global: &Global) -> u64 {
        let interval_s = global.tick_interval_ns as f64 / 1e9;
        // A tick longer than the default window still has a window of one tick.
        let age = raw.unwrap_or_else(|| 600_f64.max(interval_s));
        let too_long = age > interval_s * WINDOW_TICKS_MAX;
        if age < interval_s || (raw.is_some() && too_long) || age > super::SECONDS_MAX {
            self.problems.add(
                at,
                format!(
                    "must be at least one tick ({} s) and at most 1000000 ticks, found {}",
                    float_text(interval_s),
                    float_text(age)
                ),
            );
        }
        super::nanoseconds(age)
    }

    fn observations(
        &mut self,
        at: &Path,
        raw: RawMetric,
        algorithm: &str,
        diurnal: Diurnal,
    ) -> Observations {
        let per_tick = raw.observations_per_tick.unwrap_or(1.0);
        self.within(&at.key("observations_per_tick"), per_tick, 0.0..=1e9);
        let distribution = match algorithm {
            "mixture" => self.mixture(at, raw.components),
            _ => self.distribution(
                at,
                algorithm,
                RawComponent {
                    mu: raw.mu,
                    sigma: raw.sigma,
                    lam: raw.lam,
                    lambda: raw.lambda,
                    ..RawComponent::default()
                },
            ),
        };
        Observations {
            per_tick,
            distribution,
            diurnal,
        }
    }

    fn distribution(&mut self, at: &Path, algorithm: &str, raw: RawComponent) -> Distribution {
        if algorithm == "lognormal" {
            let mu = self.required(at, "mu", raw.mu, algorithm);
            self.within(&at.key("mu"), mu, -300.0..=300.0);
            let sigma = self.required(at, "sigma", raw.sigma, algorithm);
            self.within(&at.key("sigma"), sigma, 0.0..=50.0);
            return Distribution::LogNormal { mu, sigma };
        }
        let lambda = match (raw.lam, raw.lambda) {
            (Some(_), Some(_)) => {
                self.problems
                    .add_key(&at.key("lambda"), 0, "is the same as lam; keep one of them");
                f64::NAN
            }
            (None, None) if self.problems.is_pruned(&at.key("lambda")) => f64::NAN,
            (Some(lam), None) => self.rate(&at.key("lam"), lam),
            (None, Some(lambda)) => self.rate(&at.key("lambda"), lambda),
            (None, None) => self.required(at, "lam", None, algorithm),
        };
        Distribution::Exponential { lambda }
    }

    fn rate(&mut self, at: &Path, lambda: f64) -> f64 {
        if lambda <= 0.0 {
            self.problems.add(
                at,
                format!("must be more than 0, found {}", float_text(lambda)),
            );
        } else {
            self.within(at, lambda, 1e-200..=1e200);
        }
        lambda
    }

    fn mixture(&mut self, at: &Path, raw: Option<Vec<Item<RawComponent>>>) -> Distribution {
        let at = at.key("components");
        let Some(raw) = raw.filter(|raw| !raw.is_empty()) else {
            self.problems.missing(
                &at,
                "missing; a mixture needs at least one component such as \
                 {type: lognormal, weight: 1, mu: 0, sigma: 1}",
            );
            return Distribution::Mixture(Vec::new());
        };
        let known = [("lognormal", "lognormal"), ("exponential", "exponential")];
        let mut components = Vec::new();
        let mut judged = true;
        for (path, raw) in self.items(&at, raw) {
            let Some(mut raw) = raw else {
                judged = false;
                continue;
            };
            let weight = self.required(&path, "weight", raw.weight, "a component");
            self.within(&path.key("weight"), weight, 0.0..=MAGNITUDE_MAX);
            let kind = raw.kind.take();
            let kind = self.required_text(&path, "type", kind, "one of lognormal, exponential");
            let kind = kind.and_then(|kind| self.choice(&path.key("type"), &kind, &known));
            let Some(kind) = kind else {
                judged = false;
                continue;
            };
            self.unused_component_parameters(&path, &raw, kind);
            components.push(Component {
                weight,
                distribution: self.distribution(&path, kind, raw),
            });
        }
        let sum: f64 = components.iter().map(|component| component.weight).sum();
        if judged && sum == 0.0 {
            self.problems.add(
                &at,
                "the weights sum to zero; give at least one a positive weight",
            );
        }
        for component in &mut components {
            component.weight /= sum;
        }
        Distribution::Mixture(components)
    }

    /// The profile's labels, replaced in place by the metric's own; others last.
    fn merge_labels(
        &mut self,
        at: &Path,
        profile: Option<&[Label]>,
        own: Vec<Label>,
    ) -> Vec<Label> {
        let profile = profile.unwrap_or_default();
        let copied = profile.iter().map(|label| match &label.values {
            LabelValues::List(list) => list.len() + 1,
            LabelValues::Range { .. } => 1,
        });
        self.values_copied += copied.sum::<usize>();
        if self.values_copied > VALUES_COPIED_MAX {
            self.problems.add(
                &at.key("profile"),
                "the metrics so far have more than 5000000 listed label values; use range",
            );
            return own;
        }
        let mut labels = profile.to_vec();
        for label in own {
            match labels.iter_mut().find(|other| other.name == label.name) {
                Some(place) => *place = label,
                None => labels.push(label),
            }
        }
        labels
    }
}
