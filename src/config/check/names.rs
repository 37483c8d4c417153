//! Names of metrics and labels: their form, and what each type of metric adds to
//! its name on the wire.
//!
//! All metrics of an exporter share its prefix, so collisions are judged
//! without it, but for those of escaped names, which depend on it.

use std::collections::{HashMap, HashSet};

use super::Checker;
use crate::config::problem::{Path, excerpt, quoted};
use crate::config::{Kind, Label, Metric, Names};
use crate::escaping::{Escaping, is_plain_label, is_plain_metric};
use crate::layout::{Layout, MetricType, Role, SampleName, Wire};

/// Mockingbird's own process metrics.
const PROCESS_METRICS: [(&str, MetricType); 2] = [
    ("process_resident_memory_bytes", MetricType::Gauge),
    ("process_cpu_seconds", MetricType::Counter),
];

/// Ends of names that `OpenMetrics` reserves for a type that no metric here has.
const GAUGE_HISTOGRAM_SUFFIXES: [&str; 2] = ["_gcount", "_gsum"];

/// What to do where a metric cannot have such a name.
pub(super) fn metric_name_problem(name: &str, names: Names) -> Option<&'static str> {
    match (names, is_plain_metric(name)) {
        _ if name.is_empty() => Some("use letters, digits, _ and :, and do not begin with a digit"),
        (_, true) => None,
        _ if name.contains('\0') => Some("it must not contain NUL"),
        (Names::Utf8, false) => None,
        (Names::Legacy, false) => Some(
            "use letters, digits, _ and :, and do not begin with a digit; or set global.names: \
             utf8",
        ),
    }
}

/// Why a label cannot have such a name, or one that is reserved.
pub(super) fn label_name_problem(name: &str, names: Names) -> Option<&'static str> {
    let is_right = match names {
        Names::Legacy => is_plain_label(name),
        Names::Utf8 => !name.is_empty() && !name.contains('\0'),
    };
    if name.is_empty() {
        Some("not a label name; use letters, digits and _, and do not begin with a digit")
    } else if name.contains('\0') {
        Some("not a label name; it must not contain NUL")
    } else if !is_right {
        Some(
            "not a label name; use letters, digits and _, and do not begin with a digit; or set \
             global.names: utf8",
        )
    } else if name.starts_with("__") {
        Some("names that begin with __ are reserved by Prometheus")
    } else {
        None
    }
}

/// The name of a metric of some type, if it is one, without a counter's `_total`.
pub(in crate::config) fn base_name<'a>(name: &'a str, kind: Option<&str>) -> &'a str {
    let known = kind.and_then(MetricType::by_name);
    known.map_or(name, |known| known.base_name(name))
}

impl Checker<'_> {
    /// A metric's base name; empty where it was reported.
    pub(super) fn metric_name(&mut self, at: &Path, name: &str, kind: Option<&str>) -> String {
        let base = base_name(name, kind);
        if let Some(rule) = metric_name_problem(base, self.names) {
            let rule = if base.is_empty() && !name.is_empty() {
                "there is nothing before _total"
            } else {
                rule
            };
            self.problems
                .add(at, format!("{} is not a metric name; {rule}", quoted(name)));
            return String::new();
        }
        if base_name(base, kind) != base {
            let message = format!("a counter carries _total once; write {}", quoted(base));
            self.problems.add(at, message);
        }
        base.to_owned()
    }

    /// Reports equal names, names that a type generates twice, and those whose
    /// end means something else to who reads them; `own_prefix` is that of the process's
    /// own metrics, and `page` that of the metrics page, if there is one, whose readers go by
    /// names.
    pub(super) fn collisions(
        &mut self,
        at: &Path,
        metrics: &[Option<Metric>],
        own_prefix: &str,
        page: Option<&str>,
    ) {
        let mut bases: HashMap<&str, usize> = HashMap::new();
        let mut taken: HashMap<String, usize> = HashMap::new();
        let escaped_prefix = Escaping::Underscores.metric(own_prefix);
        let own_names = PROCESS_METRICS
            .map(|(name, of)| generated_names(name, of))
            .concat();
        for (index, metric) in metrics.iter().enumerate() {
            let Some(metric) = metric else { continue };
            if metric.name.is_empty() {
                continue;
            }
            let path = at.index(index).key("name");
            let generated = generated_names(&metric.name, metric.kind.metric_type());
            let first = *bases.entry(&metric.name).or_insert(index);
            if first != index {
                let name = quoted(&metric.name);
                self.problems.add(
                    &path,
                    format!("metrics[{first}] has the name {name} already"),
                );
                continue;
            }
            if let Some(name) = generated.iter().find(|name| {
                let escaped = Escaping::Underscores.metric(name);
                is_own(name, own_prefix, &own_names)
                    || is_own(&escaped, &escaped_prefix, &own_names)
            }) {
                let message = format!(
                    "{} is reserved for Mockingbird's own metrics; to have it, give these \
                     {} prefix: global.self_metrics_prefix, such as mockingbird_",
                    quoted(name),
                    if own_prefix.is_empty() {
                        "a"
                    } else {
                        "another"
                    },
                );
                self.problems.add(&path, message);
                continue;
            }
            if page.is_some() {
                self.warn_of_negative_buckets(&at.index(index).key("buckets"), metric);
            }
            if !self.suffix_is_right(&path, metric, page.is_some()) {
                continue;
            }
            let clash = generated
                .iter()
                .find_map(|name| taken.get(name).map(|first| (name, *first)));
            if let Some((name, first)) = clash {
                let other = metrics[first].as_ref();
                let (type_name, other) = other.map_or(("metric", ""), |other| {
                    (other.kind.metric_type().name(), &other.name)
                });
                self.problems.add(
                    &path,
                    format!(
                        "collides with metrics[{first}], the {type_name} {}: both expose {}",
                        quoted(other),
                        quoted(name)
                    ),
                );
                continue;
            }
            taken.extend(generated.into_iter().map(|name| (name, index)));
        }
        if let (Names::Utf8, Some(prefix)) = (self.names, page) {
            self.escaped_collisions(at, metrics, prefix);
        }
    }

    /// Warns of metrics with names that are the same when they are escaped.
    fn escaped_collisions(&mut self, at: &Path, metrics: &[Option<Metric>], prefix: &str) {
        let mut reported: HashSet<usize> = HashSet::new();
        for scheme in ESCAPED {
            let mut taken: HashMap<String, usize> = HashMap::new();
            for (index, metric) in metrics.iter().enumerate() {
                let Some(metric) = metric.as_ref().filter(|metric| !metric.name.is_empty()) else {
                    continue;
                };
                let metric_type = metric.kind.metric_type();
                let stem = scheme.stem(&format!("{prefix}{}", metric.name), metric_type);
                let mut names = metric_type.suffixes();
                let clash = names.find_map(|suffix| {
                    let name = format!("{stem}{suffix}");
                    let first = *taken.entry(name.clone()).or_insert(index);
                    (first != index).then_some((name, first))
                });
                let Some((name, first)) = clash.filter(|_| reported.insert(index)) else {
                    continue;
                };
                let other = metrics[first].as_ref().map_or("", |metric| &metric.name);
                let message = format!(
                    "scrapers that have names escaped find {} twice, here and as of \
                     metrics[{first}], {} (escaping={}{}); use another name",
                    quoted(&name),
                    quoted(other),
                    scheme.name(),
                    scheme_users(scheme),
                );
                self.problems.warn(&at.index(index).key("name"), message);
            }
        }
    }

    /// Warns of labels of a metric with names that are the same when they are escaped; once
    /// for each profile.
    pub(super) fn escaped_labels(&mut self, at: &Path, labels: &[Label], profile: Option<&str>) {
        if self.names != Names::Utf8 {
            return;
        }
        for scheme in ESCAPED {
            let mut taken: HashMap<String, &Label> = HashMap::new();
            for label in labels.iter().filter(|label| !label.hidden) {
                let name = scheme.label(&label.name).into_owned();
                let other = match taken.get(&name) {
                    Some(other) => Some(excerpt(&other.name)),
                    None => (name == "__name__").then(|| "the metric's name".into()),
                };
                let by = format!("escaping={}{}", scheme.name(), scheme_users(scheme));
                let message = match other {
                    Some(other) => format!(
                        "scrapers that have names escaped find the label {} twice, as {} and \
                         {other} ({by}), and Prometheus then refuses the whole scrape; use \
                         another name",
                        quoted(&name),
                        excerpt(&label.name),
                    ),
                    None if scheme == Escaping::Underscores && name.starts_with("__") => format!(
                        "scrapers that have names escaped find it as {} ({by}), and some drop \
                         labels that begin with __; use a name whose first two characters are \
                         not both replaced",
                        quoted(&name),
                    ),
                    None => {
                        taken.insert(name, label);
                        continue;
                    }
                };
                let profile = profile.filter(|_| !label.from_metric);
                let is_new =
                    profile.is_none_or(|name| self.profiles_warned.insert(name.to_owned()));
                let profile = profile.map(|name| Path::root().key("profiles").key(name));
                let at = profile.as_ref().unwrap_or(at).key("labels");
                if is_new {
                    self.problems.warn(&at.key(&label.name), message);
                }
                return;
            }
        }
    }
}

/// The schemes that change names, the usual one first.
const ESCAPED: [Escaping; 3] = [Escaping::Underscores, Escaping::Dots, Escaping::Values];

/// Who asks for a scheme, where it is a default of somebody.
fn scheme_users(scheme: Escaping) -> &'static str {
    match scheme {
        Escaping::Underscores => {
            ": VictoriaMetrics, Prometheus with metric_name_validation_scheme: legacy"
        }
        Escaping::AllowUtf8 | Escaping::Dots | Escaping::Values => "",
    }
}

impl Checker<'_> {
    /// Judges the end of a metric's name. `false` where it was reported.
    ///
    /// The metrics page has one line for each sample, and parsers tell by the end
    /// of a line's name what part of a summary or histogram it is. Quantiles are
    /// the only parts without an ending of their own, so that of the metric is
    /// taken for it. Elsewhere a reserved ending (`OpenMetrics` 1.0) breaks nothing,
    /// but tools and people take the metric for a part of another one.
    fn suffix_is_right(&mut self, at: &Path, metric: &Metric, page: bool) -> bool {
        let name = &metric.name;
        let metric_type = metric.kind.metric_type();
        let ends_as = |part: &&SampleName| !part.suffix.is_empty() && name.ends_with(part.suffix);
        let lost = metric_type.names().iter().find(ends_as);
        if let Some(part) = lost.filter(|_| metric_type == MetricType::Summary && page) {
            let who = match part.role {
                Role::Created => {
                    "Prometheus with created-timestamp-zero-ingestion drops the quantiles as \
                     start times"
                }
                Role::Sum => "the OpenTelemetry Collector takes the quantiles for its sum",
                _ => "the OpenTelemetry Collector takes the quantiles for its count",
            };
            let message = format!(
                "a summary must not end in {}: {who}; use another name{}",
                part.suffix,
                without(name, part.suffix)
            );
            self.problems.add(at, message);
            return false;
        }
        let mut parts = MetricType::ALL.into_iter().flat_map(MetricType::names);
        let part = parts.find(ends_as);
        let mut gauge_histogram = GAUGE_HISTOGRAM_SUFFIXES.into_iter();
        let (suffix, part_of) = match part {
            Some(part) => (part.suffix, read_as(part.role)),
            None => match gauge_histogram.find(|suffix| name.ends_with(suffix)) {
                Some(suffix) => (suffix, "a part of a gauge histogram"),
                None => return true,
            },
        };
        // It is exposed with _total behind it.
        let is_created = part.is_some_and(|part| part.role == Role::Created);
        if metric_type == MetricType::Counter && !is_created {
            return true;
        }
        self.problems.warn(
            at,
            format!(
                "a {} that ends in {suffix} reads as {part_of} (OpenMetrics reserves the ending), \
                 which promtool, agents and people go by; use another name{}",
                metric_type.name(),
                without(name, suffix)
            ),
        );
        true
    }
}

impl Checker<'_> {
    /// `OpenMetrics` forbids what goes with negative buckets, and the Collector wants it.
    fn warn_of_negative_buckets(&mut self, at: &Path, metric: &Metric) {
        let Kind::Histogram { bounds, .. } = &metric.kind else {
            return;
        };
        let layout = Layout::new(MetricType::Histogram, bounds);
        if !layout.has(Wire::OpenMetrics { created: true }, Role::Sum) {
            self.problems.warn(
                at,
                "OpenMetrics forbids the _sum and _count of a histogram with negative buckets, and \
                 the OpenTelemetry Collector, scraping OpenMetrics, drops such a histogram whole; the \
                 text format has all of it (for Prometheus and the Collector: scrape_protocols: \
                 [PrometheusText0.0.4])",
            );
        }
    }
}

/// Whether a name is one of the process's own metrics, or may become one.
fn is_own(name: &str, own_prefix: &str, own_names: &[String]) -> bool {
    let name = name.strip_prefix(own_prefix);
    let is_one = |name: &str| own_names.iter().any(|own| own == name);
    name.is_some_and(|name| name.starts_with("gen_") || is_one(name))
}

/// ", such as …" for a name without its ending, where something is left.
fn without(name: &str, suffix: &str) -> String {
    match name.strip_suffix(suffix) {
        Some(rest) if !rest.is_empty() => format!(", such as {}", quoted(rest)),
        _ => String::new(),
    }
}

/// The names a metric has in any format, its base name first.
fn generated_names(name: &str, metric_type: MetricType) -> Vec<String> {
    let suffixes = metric_type.suffixes();
    suffixes.map(|suffix| format!("{name}{suffix}")).collect()
}

/// What a name is taken for that ends as samples of a role do.
fn read_as(role: Role) -> &'static str {
    match role {
        Role::Value => "the value of a counter",
        Role::Created => "the start time of another metric",
        Role::Bucket => "a bucket of a histogram",
        Role::Quantile | Role::Sum | Role::Count => "a part of a summary or histogram",
    }
}
