//! `metrics[]`: what all metrics have, and the way to the rules of each type.

use std::collections::HashSet;

use super::dependencies::Arranged;
use super::labels::{Profile, Profiles};
use super::parameters::{algorithms, named};
use super::{Checker, suggest};
use crate::algorithm::counter::CounterAlgorithm;
use crate::algorithm::gauge::GaugeAlgorithm;
use crate::algorithm::{Given, Value};
use crate::config::problem::{Path, quoted};
use crate::config::raw::{Item, RawMetric, WithParameters};
use crate::config::{Diurnal, Global, Kind, Label, Life, Metric, Sampling, elsewhere};
use crate::layout::MetricType;

impl Checker<'_> {
    /// One entry per entry of the file; `None` where there was a mistake. `page` is the
    /// prefix of names on the metrics page, if there is one.
    pub(super) fn metrics(
        &mut self,
        at: &Path,
        raw: Option<Vec<Item<WithParameters<RawMetric>>>>,
        profiles: &Profiles,
        (global, page): (&Global, Option<&str>),
    ) -> Vec<Option<Metric>> {
        let raw = raw.unwrap_or_default();
        if raw.is_empty() {
            self.problems
                .missing(at, "missing; a configuration needs at least one metric");
        }
        let mut reported = HashSet::new();
        let mut metrics: Vec<_> = self
            .items(at, raw)
            .into_iter()
            .map(|(path, raw)| self.metric(&path, raw?, profiles, global, &mut reported))
            .collect();
        self.kin(at, &mut metrics);
        self.collisions(at, &metrics, &global.self_metrics_prefix, page);
        metrics
    }

    fn metric(
        &mut self,
        at: &Path,
        WithParameters {
            fixed: mut raw,
            parameters,
        }: WithParameters<RawMetric>,
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
        let (labels, complete) = match &profile {
            Ok(profile) => (
                self.merge_labels(at, profile.map(|(_, profile)| &profile.labels[..]), own),
                own_complete && !profile.is_some_and(|(_, profile)| profile.incomplete),
            ),
            Err(()) => (own, false),
        };
        let profile = profile.ok().flatten();
        let arranged = if complete {
            let arranged = self.arranged(at, labels, raw.without.take(), profile);
            if let Some(arranged) = &arranged {
                self.combinations(at, &arranged.labels, profile, reported);
            }
            arranged.unwrap_or_default()
        } else {
            Arranged::all(labels)
        };
        self.reserved_labels(
            at,
            &arranged.labels,
            raw.kind.as_deref(),
            profile.map(|(name, _)| name),
        );
        let profile_name = profile.map(|(name, _)| name);
        self.escaped_labels(at, &arranged.labels, profile_name);
        let description = raw.description.take().unwrap_or_default();
        if description.contains('\0') {
            self.problems
                .add(&at.key("description"), "must not contain NUL");
        }
        let unit = raw.unit.take().unwrap_or_default();
        if unit.len() > 63 || unit.chars().any(|c| !c.is_ascii_graphic()) {
            self.problems.add(
                &at.key("unit"),
                "must be at most 63 visible ASCII characters without spaces",
            );
        }
        let seed = raw.seed.unwrap_or(global.seed);
        let (of, observations_of) = (raw.of.clone(), raw.observations_of.clone());
        let exemplars = raw.exemplars.take();
        let takes_exemplars = matches!(raw.kind.as_deref(), Some("counter" | "histogram"));
        // Where the type has none, the field is reported as one that it does not take.
        let exemplars = match exemplars {
            Some(exemplars) if takes_exemplars => self.exemplars(&at.key("exemplars"), exemplars),
            other => {
                raw.exemplars = other;
                None
            }
        };
        let kind = self.kind(at, raw, &parameters, global)?;
        // Where another one sets the field, that was reported.
        let of = match &kind {
            Kind::Counter {
                algorithm: CounterAlgorithm::Share(_),
                ..
            }
            | Kind::Gauge {
                algorithm: GaugeAlgorithm::Follow(_),
                ..
            } => of,
            Kind::Counter { .. } | Kind::Gauge { .. } => None,
            Kind::Histogram { .. } | Kind::Summary { .. } => observations_of,
        };
        let life = match profile {
            Some((name, profile)) => profile.life.followed(name, &arranged, global.seed),
            None => Life::default().followed("", &arranged, global.seed),
        };
        let profile = profile.map(|(_, profile)| profile);
        Some(Metric {
            name: name.unwrap_or_default(),
            description,
            unit,
            seed,
            labels: arranged.labels,
            series_cap: profile.and_then(|profile| profile.series_cap),
            sampling: profile.map_or(Sampling::FirstN, |profile| profile.sampling),
            zipf_alpha: profile.map_or(0.0, |profile| profile.zipf_alpha),
            life,
            of,
            kind,
            exemplars,
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
            suggest::nearest_and_rest(&name, suggest::DEFINED, profiles.keys().map(String::as_str));
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
        let Some(kind) = kind.and_then(MetricType::by_name) else {
            return;
        };
        let Some(reserved) = kind.label() else {
            return;
        };
        let kind = kind.name();
        let Some(label) = labels
            .iter()
            .find(|label| label.name == reserved && !label.hidden)
        else {
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
                format!("every {kind} sets this label itself; use another name"),
            ),
        }
    }

    fn kind(
        &mut self,
        at: &Path,
        mut raw: RawMetric,
        values: &[(&'static str, Value)],
        global: &Global,
    ) -> Option<Kind> {
        if let Some(word) = &raw.kind
            && let Some(sentence) = elsewhere::elsewhere(word)
        {
            let message = format!("no type {}; {sentence}", quoted(word));
            self.problems.add(&at.key("type"), message);
            return None;
        }
        let types = MetricType::ALL.map(MetricType::name);
        let kind = self.required_word(at, "type", raw.kind.take(), &types)?;
        let of = MetricType::by_name(kind)?;
        let algorithms = algorithms(of).iter().copied();
        let known: Vec<&str> = algorithms.clone().map(|algorithm| algorithm.name).collect();
        let list = format!("{kind} knows {}", known.join(", "));
        let algorithm = self.required_text(at, "algorithm", raw.algorithm.take(), &list)?;
        let Some(algorithm) = named(algorithms, &algorithm) else {
            let labels = (format!("{kind} knows"), format!("{kind} also knows"));
            let hint = elsewhere::elsewhere(&algorithm).map_or_else(
                || {
                    let labels = (&*labels.0, &*labels.1);
                    suggest::nearest_and_rest(&algorithm, labels, known.iter().copied())
                },
                |sentence| format!("{sentence}; {list}"),
            );
            self.problems.add(
                &at.key("algorithm"),
                format!("no algorithm {}; {hint}", quoted(&algorithm)),
            );
            return None;
        };
        self.unused_parameters(at, &raw, values, (of, algorithm));
        if algorithm.is_of_another() && raw.of.is_none() {
            let message = format!("missing; {kind} {} needs it", algorithm.name);
            self.problems.missing(&at.key("of"), message);
        }
        let diurnal = self.diurnal(at, &raw);
        let owner = format!("{kind} {}", algorithm.name);
        let owner = (algorithm, &*owner);
        Some(match of {
            MetricType::Counter => {
                let interval_s = global.tick_interval_ns as f64 / 1e9;
                let check = |given: &mut Given<'_>| CounterAlgorithm::check(given, interval_s);
                Kind::Counter {
                    algorithm: self.given(at, owner, values, check)?,
                    diurnal,
                }
            }
            MetricType::Gauge => {
                let clamp = self.clamp(&at.key("clamp"), raw.clamp.take());
                let check = |given: &mut Given<'_>| GaugeAlgorithm::check(given, clamp);
                Kind::Gauge {
                    algorithm: self.given(at, owner, values, check)?,
                    diurnal,
                    clamp,
                }
            }
            MetricType::Histogram => Kind::Histogram {
                bounds: self.buckets(&at.key("buckets"), raw.buckets.take()),
                native: self.native(at, raw.histograms.as_deref(), raw.native_histogram.take()),
                observations: self.observations(at, raw, (algorithm, values), diurnal)?,
            },
            MetricType::Summary => Kind::Summary {
                objectives: self.objectives(&at.key("objectives"), raw.objectives.take()),
                max_age_ns: self.max_age(&at.key("max_age_s"), raw.max_age_s, global),
                observations: self.observations(at, raw, (algorithm, values), diurnal)?,
            },
        })
    }

    fn diurnal(&mut self, at: &Path, raw: &RawMetric) -> Diurnal {
        let amplitude = self.number_or(at, "diurnal_amp", raw.diurnal_amp, 0.0, -1.0..=1.0);
        let phase = self.number_or(at, "diurnal_phase", raw.diurnal_phase, 0.0, -1e6..=1e6);
        Diurnal { amplitude, phase }
    }
}
