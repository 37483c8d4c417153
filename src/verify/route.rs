//! How a run's samples came to a backend: a configuration in, what series are
//! called there and when samples are due out.

use super::backend::{AskError, Backend, Labels};
use super::naming::{Names, Naming, quoted, selector};
use super::otlp_name::{STYLES, Style};
use super::{VerifyError, Via};
use crate::config::{Config, HistogramForm, Metric, Temporality};
use crate::journal::Replay;
use crate::model::{Family, Shape, shape_of};
use crate::push::Schedule;
use crate::selfmetrics::TICKS;

/// Bytes of names in one query; some backends take no query over 16 KiB.
const NAMES_BYTES_MAX: usize = 6_000;

/// The way from one exporter to the backend.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) via: Via,
    pub(super) prefix: String,
    pub(super) naming: Naming,
    /// What all series have that the run's process pushed, where they tell.
    pub(super) instance: Option<String>,
    /// When something is pushed; `None` where the backend scrapes.
    pub(super) due: Option<Schedule>,
    /// Whether a series that has no sample any more is marked as ended.
    pub(super) ends: Ends,
    /// Histograms are sent in a form that has no buckets with bounds.
    exponential: bool,
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
        let tick_ns = config.global.tick_interval_ns;
        match via {
            Via::Prometheus => Ok(Self {
                via,
                prefix: config.prometheus.prefix.clone(),
                naming: Naming::Exposed { created: false },
                instance: None,
                due: None,
                // What has a time of its own is never marked.
                ends: if config.prometheus.timestamps {
                    Ends::Never
                } else {
                    Ends::Missing
                },
                exponential: false,
                created: config.prometheus.created,
            }),
            Via::Otlp => {
                let otel = &config.otel;
                if !otel.enabled {
                    return refuse("exporters.otel: is off, so nothing was pushed".into());
                }
                if otel.temporality == Temporality::Delta {
                    return refuse(
                        "exporters.otel.temporality: is delta; what a backend makes of deltas \
                         depends on when it began to add them up, so only cumulative can be verified"
                            .into(),
                    );
                }
                Ok(Self {
                    via,
                    prefix: otel.prefix.clone(),
                    naming: Naming::Otlp(Style::Suffixes),
                    instance: otel.instance().map(str::to_owned),
                    due: Some(Schedule::new(tick_ns, otel.export_interval_ns)),
                    ends: Ends::Never,
                    exponential: otel.histograms == HistogramForm::Exponential,
                    created: false,
                })
            }
            Via::RemoteWrite(number) => {
                let mut sections = config.remote_writes_enabled();
                let Some(section) = sections.nth(number) else {
                    let count = config.remote_writes_enabled().count();
                    return refuse(format!(
                        "exporters.remote_write: {count} of its entries are enabled, there is no \
                         number {}",
                        number + 1
                    ));
                };
                Ok(Self {
                    via,
                    prefix: section.prefix.clone(),
                    naming: Naming::Exposed { created: false },
                    instance: section.instance().map(str::to_owned),
                    due: Some(Schedule::new(tick_ns, section.interval_ns)),
                    ends: Ends::Removed,
                    exponential: false,
                    created: false,
                })
            }
        }
    }

    /// What a family's series are called.
    pub(super) fn names(&self, family: &Family) -> Names {
        let of = (family.name.as_str(), family.unit.as_str());
        Names::of(of, &family.shape, &self.prefix, self.naming)
    }

    /// What a metric's series are called.
    pub(super) fn names_of(&self, metric: &Metric) -> Names {
        let of = (metric.name.as_str(), metric.unit.as_str());
        let shape = shape_of(metric, &|_| None);
        Names::of(of, &shape, &self.prefix, self.naming)
    }

    /// Whether a family cannot be compared.
    pub(super) fn leaves_out(&self, shape: &Shape) -> bool {
        self.exponential && matches!(shape, Shape::Histogram { .. })
    }

    /// The names that the series of tick numbers may have, each with what it
    /// tells of the naming.
    pub(super) fn tick_names(&self) -> Vec<(String, Naming)> {
        let name = |naming| {
            let names = Names::of((TICKS, ""), &Shape::Counter, &self.prefix, naming);
            names.family
        };
        match self.naming {
            Naming::Exposed { .. } => vec![(name(self.naming), self.naming)],
            Naming::Otlp(_) => {
                let mut all: Vec<(String, Naming)> = Vec::new();
                for naming in STYLES.map(Naming::Otlp) {
                    let text = name(naming);
                    if all.iter().all(|(known, _)| *known != text) {
                        all.push((text, naming));
                    }
                }
                all
            }
        }
    }

    /// Selects the series of tick numbers, whatever they are called, of a target.
    pub(super) fn tick_selector(&self, matchers: &[String]) -> String {
        let names = self.tick_names();
        let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        selector(&names, matchers)
    }

    /// Finds out what the name of the tick numbers leaves open.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub(super) fn settle(
        &mut self,
        replay: &Replay,
        backend: &Backend,
        labels: &Labels,
        at_ms: i64,
    ) -> Result<(), AskError> {
        let matchers = shared_matchers(replay, labels);
        let any = |names: &[String]| any_of(backend, &matchers, names, ("[5m]", at_ms));
        match self.naming {
            Naming::Otlp(Style::Suffixes) => {
                let other = Self {
                    naming: Naming::Otlp(Style::SuffixesOnly),
                    ..self.clone()
                };
                let differing =
                    |metric: &&&Metric| self.names_of(metric).texts != other.names_of(metric).texts;
                let Some(metric) = replay.metrics().iter().find(differing).copied() else {
                    return Ok(());
                };
                let texts = |route: &Self| route.names_of(metric).texts;
                if !any(&texts(self))? && any(&texts(&other))? {
                    *self = other;
                }
            }
            // Whether a scraper asked for OpenMetrics, and keeps what it read of
            // them, only the backend can tell.
            Naming::Exposed { .. } if self.created => {
                let with = Self {
                    naming: Naming::Exposed { created: true },
                    ..self.clone()
                };
                let metrics = replay.metrics();
                let names = metrics.iter().filter_map(|metric| {
                    let (mut all, plain) = (with.names_of(metric), self.names_of(metric));
                    (all.texts.len() > plain.texts.len()).then(|| all.texts.pop())?
                });
                let names: Vec<String> = names.collect();
                if any(&names)? {
                    *self = with;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What names are changed to, where they are: for people.
    pub(super) fn translation(&self) -> Option<&'static str> {
        match self.naming {
            Naming::Exposed { .. } => None,
            Naming::Otlp(Style::Sent) => Some("names are kept as they were sent, without _total"),
            Naming::Otlp(_) => {
                Some("names are translated from OTLP: words of units and _total are appended")
            }
        }
    }

    /// Whether own labels that begin with an underscore are called `key_…`.
    pub(super) fn keyed(&self) -> bool {
        self.naming == Naming::Otlp(Style::Suffixes)
    }
}

/// Matchers of the target for all of its series, whatever labels they have of
/// their own.
pub(super) fn shared_matchers(replay: &Replay, labels: &Labels) -> Vec<String> {
    let metrics = replay.metrics();
    let is_own = |name: &str| {
        let mut own = metrics.iter().flat_map(|metric| &metric.labels);
        own.any(|label| label.name == name)
    };
    let shared = labels.iter().filter(|(name, _)| !is_own(name));
    let matcher = |(name, value): (&String, &String)| format!("{name}={}", quoted(value));
    shared.map(matcher).collect()
}

/// Whether any series of these names has a sample in the range before a time.
///
/// # Errors
/// When the backend does not answer.
pub(super) fn any_of(
    backend: &Backend,
    matchers: &[String],
    names: &[String],
    (range, at_ms): (&str, i64),
) -> Result<bool, AskError> {
    let mut rest = names;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |name: &&String| {
            bytes += name.len() + 1;
            bytes <= NAMES_BYTES_MAX
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (now, later) = rest.split_at(count);
        let now: Vec<&str> = now.iter().map(String::as_str).collect();
        let selector = selector(&now, matchers);
        let query = format!("count(last_over_time({selector}{range}))");
        if !backend.vector(&query, at_ms)?.is_empty() {
            return Ok(true);
        }
        rest = later;
    }
    Ok(false)
}
