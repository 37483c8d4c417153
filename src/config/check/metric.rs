//! `metrics[]`: names, labels, types and algorithms, and the counters.

use std::collections::HashSet;

use super::super::problem::{Path, quoted};
use super::super::raw::{Item, RawMetric};
use super::super::{CounterAlgorithm, Diurnal, Global, Kind, Label, LabelValues, Metric, Sampling};
use super::labels::{Profile, Profiles};
use super::parameters::{TYPES, algorithms};
use super::{Checker, suggest};

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
        let defined =
            suggest::nearest_and_all(&name, "defined", profiles.keys().map(String::as_str));
        self.problems.add(
            &at.key("profile"),
            format!("no profile {}; {defined}", quoted(&name)),
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
        let kind = kind?;
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
