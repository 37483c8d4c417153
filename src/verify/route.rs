//! How a run's samples came to a backend: a configuration in, what series are
//! called there and when samples are due out.

use std::collections::{BTreeMap, BTreeSet};

use super::backend::{AskError, Backend};
use super::naming::{Added, Form, Names, Naming, is_there, selector};
use super::otlp_name::{LABEL_STYLES, LabelStyle, STYLES, Style};
use super::{VerifyError, Via};
use crate::config::{Config, HistogramForm, Kind, Metric};
use crate::escaping::Escaping;
use crate::exporters::{self, Exporter, Push, Section};
use crate::journal::Replay;
use crate::model::{Family, FurtherBuckets, Shape, shape_of};
use crate::push::Schedule;
use crate::selfmetrics::TICKS;

/// Bytes of names in one query; some backends take no query over 16 KiB.
const NAMES_BYTES_MAX: usize = 6_000;

/// The way from one exporter to the backend.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) via: Via,
    pub(super) prefix: String,
    /// What stands between that and the name of one of the process's own metrics.
    pub(super) self_prefix: String,
    pub(super) naming: Naming,
    /// What all series have that the run's process pushed, where they tell.
    pub(super) instance: Option<String>,
    /// When something is pushed; `None` where the backend scrapes.
    pub(super) due: Option<Schedule>,
    /// Whether a series that has no sample any more is marked as ended.
    pub(super) ends: Ends,
    /// How histograms are sent that do not say so themselves, ...
    histograms: HistogramForm,
    /// ... and those that do, by their base names.
    own_forms: BTreeMap<String, HistogramForm>,
    /// What is counted is sent as how much it grew since the push before.
    pub(super) is_delta: bool,
    /// `OpenMetrics` has `_created` series.
    created: bool,
}

/// Which series are marked as ended when they have no further sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// Each that a scrape does not show any more.
    Missing,
    /// Those that do not exist any more.
    Removed,
    /// None.
    Never,
}

impl Route {
    /// The way of a run's configuration.
    ///
    /// # Errors
    /// When it has no such exporter, or sends what cannot be compared.
    pub(super) fn of(config: &Config, via: Via) -> Result<Self, VerifyError> {
        let file = config.path.display();
        let refuse = |message: String| Err(VerifyError::Config(format!("{file}: {message}")));
        let Some(exporter) = exporters::find(config, via) else {
            let section = via.section();
            let is_of = |one: &Exporter<'_>| one.id.section() == section;
            let count = exporters::enabled(config).filter(is_of).count();
            let number = match via {
                Via::Prometheus | Via::Otlp => 1,
                Via::RemoteWrite(index) => index + 1,
            };
            return refuse(format!(
                "{section}: {count} of its entries are enabled, there is no number {number}"
            ));
        };
        let self_prefix = config.global.self_metrics_prefix.clone();
        match exporter.section {
            Section::Prometheus(prometheus) => Ok(Self {
                via,
                prefix: prometheus.prefix.clone(),
                self_prefix,
                naming: Naming::PLAIN,
                instance: None,
                due: None,
                // What has a time of its own is never marked.
                ends: if prometheus.timestamps {
                    Ends::Never
                } else {
                    Ends::Missing
                },
                histograms: prometheus.histograms,
                own_forms: own_forms(&config.metrics),
                is_delta: false,
                created: prometheus.created,
            }),
            Section::Push(_) if !exporter.enabled => {
                refuse(format!("{}: is off, so nothing was pushed", exporter.path))
            }
            Section::Push(push) => {
                let needs = push.needs();
                let (naming, ends) = match push {
                    Push::Otlp(_) => (Naming::Otlp(Style::Suffixes), Ends::Removed),
                    Push::RemoteWrite(_) => (Naming::PLAIN, Ends::Removed),
                };
                Ok(Self {
                    via,
                    prefix: exporter.section.prefix().to_owned(),
                    self_prefix,
                    naming,
                    instance: push.instance().map(str::to_owned),
                    due: Some(Schedule::new(
                        config.global.tick_interval_ns,
                        push.interval_ns(),
                    )),
                    ends,
                    histograms: match push {
                        Push::Otlp(otel) => otel.histograms,
                        Push::RemoteWrite(entry) => entry.histograms,
                    },
                    own_forms: own_forms(&config.metrics),
                    is_delta: needs.growth,
                    created: false,
                })
            }
        }
    }

    /// What stands before the process's own metrics.
    pub(super) fn own_prefix(&self) -> String {
        format!("{}{}", self.prefix, self.self_prefix)
    }

    /// What a family's series are called.
    pub(super) fn names(&self, family: &Family) -> Names {
        let numbers = self.names_of_numbers(family);
        self.in_form(numbers, &family.name, &family.shape)
    }

    /// The same where all of its samples are numbers.
    pub(super) fn names_of_numbers(&self, family: &Family) -> Names {
        let of = (family.name.as_str(), family.unit.as_str());
        Names::of(of, &family.shape, &self.prefix, self.naming)
    }

    /// The same in the form in which they are sent.
    fn in_form(&self, names: Names, name: &str, shape: &Shape) -> Names {
        let is_histogram = matches!(shape, Shape::Histogram { .. });
        match self.sent_forms(name)[0] {
            form if is_histogram && form != Form::Classic => names.native(form),
            _ => names,
        }
    }

    /// How a histogram leaves the process.
    fn form_of(&self, name: &str) -> HistogramForm {
        let form = self.own_forms.get(name).copied();
        let form = form.unwrap_or(self.histograms);
        match self.via {
            Via::Prometheus => form.on_page(),
            Via::Otlp => form.in_otlp(),
            Via::RemoteWrite(_) => form,
        }
    }

    /// What samples of a histogram come; what a scraper takes of a page only the backend tells.
    pub(super) fn sent_forms(&self, name: &str) -> Vec<Form> {
        match (self.via, self.form_of(name)) {
            (Via::Prometheus, _) | (_, HistogramForm::Classic) => vec![Form::Classic],
            (_, HistogramForm::Exponential) => vec![Form::Exponential],
            (_, HistogramForm::Nhcb) => vec![Form::Custom],
            (_, HistogramForm::Native) => vec![self.native_form(name)],
            (_, HistogramForm::Both) => vec![Form::Classic, self.native_form(name)],
        }
    }

    /// What a native histogram is that a backend has of a name: what was sent so, or what it
    /// made itself of configured buckets.
    pub(super) fn native_form(&self, name: &str) -> Form {
        match self.form_of(name) {
            HistogramForm::Exponential => Form::Exponential,
            form if !form.has_native() => Form::Custom,
            _ if self.via == Via::Otlp => Form::NativeOtlp,
            _ => Form::Native,
        }
    }

    /// Takes over what metrics say of their form.
    pub(super) fn learn_forms(&mut self, metrics: &[&Metric]) {
        self.own_forms.extend(own_forms(metrics.iter().copied()));
    }

    /// What a metric's series are called.
    pub(super) fn names_of(&self, metric: &Metric) -> Names {
        self.names_by(metric, self.naming)
    }

    /// What they would be called otherwise.
    pub(super) fn names_by(&self, metric: &Metric, naming: Naming) -> Names {
        let of = (metric.name.as_str(), metric.unit.as_str());
        let shape = shape_of(metric, &|_| FurtherBuckets::default());
        let names = Names::of(of, &shape, &self.prefix, naming);
        self.in_form(names, &metric.name, &shape)
    }

    /// Where a receiver puts a zero that puts one where a series began, Unix milliseconds.
    /// By `OpenMetrics` the start is told in seconds, of which a part of a millisecond may get
    /// lost on the way.
    pub(super) fn starts_ms(&self, created_ms: i64) -> [i64; 2] {
        let read_ms = match self.via {
            Via::Prometheus => (created_ms as f64 / 1000.0 * 1000.0) as i64,
            Via::Otlp | Via::RemoteWrite(_) => created_ms,
        };
        [created_ms, read_ms]
    }

    /// Whether such a zero may be here.
    pub(super) fn is_start(&self, created_ms: i64, time_ms: i64) -> bool {
        self.starts_ms(created_ms).contains(&time_ms)
    }

    /// The names that the series of tick numbers may have, each with what it
    /// tells of the naming.
    pub(super) fn tick_names(&self) -> Vec<(String, Naming)> {
        let namings = match (self.naming, self.via) {
            (Naming::Exposed { created, .. }, Via::Prometheus) => Escaping::ALL
                .map(|escaping| Naming::Exposed { created, escaping })
                .to_vec(),
            (Naming::Exposed { .. }, _) => vec![self.naming],
            (Naming::Otlp(_), _) => STYLES.map(Naming::Otlp).to_vec(),
        };
        let mut all: Vec<(String, Naming)> = Vec::new();
        for naming in namings {
            let text = self.tick_name(naming);
            if all.iter().all(|(known, _)| *known != text) {
                all.push((text, naming));
            }
        }
        all
    }

    fn tick_name(&self, naming: Naming) -> String {
        let prefix = self.own_prefix();
        Names::of((TICKS, ""), &Shape::Counter, &prefix, naming).family
    }

    /// By which schemes names may be escaped, the name of the tick numbers being what it is.
    pub(super) fn escapings(&self) -> Vec<Escaping> {
        let Naming::Exposed { created, escaping } = self.naming else {
            return Vec::new();
        };
        if self.via != Via::Prometheus {
            return vec![escaping];
        }
        let name = self.tick_name(self.naming);
        let by = |escaping| self.tick_name(Naming::Exposed { created, escaping });
        let mut all = Escaping::ALL.to_vec();
        all.retain(|&escaping| by(escaping) == name);
        all
    }

    /// Selects the series of tick numbers, whatever they are called, of a target.
    pub(super) fn tick_selector(&self, matchers: &[String]) -> String {
        let names = self.tick_names();
        let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        selector(&names, matchers)
    }

    /// The ways in which a metric may be named that the name of the tick numbers leaves
    /// open, this one first.
    fn alternatives(&self) -> Vec<Self> {
        let others = match self.naming {
            Naming::Otlp(Style::Suffixes) => [Style::SuffixesOnly, Style::Separated]
                .map(Naming::Otlp)
                .to_vec(),
            Naming::Otlp(Style::Sent) => vec![Naming::Otlp(Style::Joined)],
            // Whether a scraper asked for OpenMetrics, and keeps what it read of
            // them, only the backend can tell.
            Naming::Exposed { escaping, .. } if self.created => vec![Naming::Exposed {
                created: true,
                escaping,
            }],
            _ => Vec::new(),
        };
        let others = others.into_iter().filter(|naming| *naming != self.naming);
        let others = others.map(|naming| Self {
            naming,
            ..self.clone()
        });
        [self.clone()].into_iter().chain(others).collect()
    }

    /// What a metric's series may be called.
    pub(super) fn possible_names_of(&self, metric: &Metric) -> Vec<String> {
        let alternatives = self.alternatives();
        let names = alternatives
            .iter()
            .map(|route| route.names_of(metric).texts);
        let mut names: Vec<String> = names.flatten().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Finds out what the name of the tick numbers leaves open.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub(super) fn settle(
        &mut self,
        replay: &Replay,
        backend: &Backend,
        added: &Added,
        at_ms: i64,
    ) -> Result<(), AskError> {
        let metrics = replay.metrics();
        // Names that only one of them gives.
        let only = |of: &Self, not: &Self| {
            let names = |metric: &&Metric| {
                let others = not.names_of(metric).texts;
                let mut names = of.names_of(metric).texts;
                names.retain(|name| !others.contains(name));
                names
            };
            let named = metrics
                .iter()
                .map(|metric| (own_labels(metric), names(metric)));
            any_of(backend, added, named, ("[5m]", at_ms))
        };
        let is_exposed = matches!(self.naming, Naming::Exposed { .. });
        for other in self.alternatives().into_iter().skip(1) {
            if (is_exposed || !only(self, &other)?) && only(&other, self)? {
                *self = other;
                break;
            }
        }
        Ok(())
    }

    /// Finds out what becomes of labels' names.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub(super) fn label_style(
        &self,
        replay: &Replay,
        backend: &Backend,
        added: &Added,
        at_ms: i64,
    ) -> Result<LabelStyle, AskError> {
        if !matches!(self.naming, Naming::Otlp(_)) {
            return Ok(added.style);
        }
        let mut styles = LABEL_STYLES.to_vec();
        let mut asked: BTreeSet<&str> = BTreeSet::new();
        for metric in replay.metrics() {
            let own = own_labels(metric);
            for &label in &own {
                let spellings: BTreeSet<String> =
                    styles.iter().map(|style| style.stored(label)).collect();
                let is_open = spellings.len() > 1 && !added.labels.contains_key(label);
                if !is_open || asked.contains(label) {
                    continue;
                }
                let mut there: Vec<String> = Vec::new();
                for spelling in spellings {
                    let mut matchers = added.matchers(&own);
                    matchers.push(is_there(&spelling));
                    let names = self.names_of(metric).texts;
                    if any_matching(backend, &matchers, &names, ("[5m]", at_ms))? {
                        there.push(spelling);
                    }
                }
                if !there.is_empty() {
                    asked.insert(label);
                    styles.retain(|style| there.contains(&style.stored(label)));
                }
            }
        }
        // Those that are left differ in nothing that there is.
        Ok(styles.first().copied().unwrap_or_default())
    }

    /// What names are changed to, where they are: for people.
    pub(super) fn translation(&self) -> Option<&'static str> {
        match self.naming {
            Naming::Exposed { created: false, .. } => None,
            Naming::Exposed { created: true, .. } => Some(
                "start times are stored as series of their own, _created, since OpenMetrics was \
                 scraped",
            ),
            Naming::Otlp(Style::Sent) => Some("names are kept as they were sent, without _total"),
            Naming::Otlp(Style::Joined) => {
                Some("names are kept, without _total, but for characters that are not plain")
            }
            Naming::Otlp(_) => {
                Some("names are translated from OTLP: words of units and _total are appended")
            }
        }
    }
}

/// The forms that histograms say they have, by base name.
fn own_forms<'m>(metrics: impl IntoIterator<Item = &'m Metric>) -> BTreeMap<String, HistogramForm> {
    let forms = metrics.into_iter().filter_map(|metric| {
        let Kind::Histogram { native, .. } = &metric.kind else {
            return None;
        };
        Some((metric.name.clone(), native.form?))
    });
    forms.collect()
}

/// Names of the labels that a metric's series have.
pub(super) fn own_labels(metric: &Metric) -> Vec<&str> {
    let shown = metric.labels.iter().filter(|label| !label.hidden);
    shown.map(|label| label.name.as_str()).collect()
}

/// Whether any series of these names has a sample in the range before a time: names
/// with the labels that their series have of their own.
///
/// # Errors
/// When the backend does not answer.
pub(super) fn any_of<'m>(
    backend: &Backend,
    added: &Added,
    named: impl Iterator<Item = (Vec<&'m str>, Vec<String>)>,
    at: (&str, i64),
) -> Result<bool, AskError> {
    // Own labels may take the place of the target's, of each metric others.
    let mut by_target: BTreeMap<Vec<String>, BTreeSet<String>> = BTreeMap::new();
    for (own, names) in named {
        by_target
            .entry(added.matchers(&own))
            .or_default()
            .extend(names);
    }
    for (matchers, names) in by_target {
        let names: Vec<String> = names.into_iter().collect();
        if any_matching(backend, &matchers, &names, at)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether any series of these names that matches has a sample in the range before a
/// time.
///
/// # Errors
/// When the backend does not answer.
pub(super) fn any_matching(
    backend: &Backend,
    matchers: &[String],
    names: &[String],
    (range, at_ms): (&str, i64),
) -> Result<bool, AskError> {
    for names in in_queries(names) {
        let selector = selector(&names, matchers);
        let query = format!("count(last_over_time({selector}{range}))");
        if !backend.vector(&query, at_ms)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Names in parts that fit into a query each.
pub(super) fn in_queries(names: &[String]) -> Vec<Vec<&str>> {
    let mut parts: Vec<Vec<&str>> = Vec::new();
    let mut bytes = usize::MAX;
    for name in names {
        bytes = bytes.saturating_add(name.len() + 1);
        if bytes > NAMES_BYTES_MAX {
            parts.push(Vec::new());
            bytes = name.len() + 1;
        }
        if let Some(part) = parts.last_mut() {
            part.push(name);
        }
    }
    parts
}
