//! The exporters of a configuration: where each stands in the file, what users know it
//! by, whether it is on, and what it needs of the engine. Whoever starts, lists, shows
//! or reads back exporters asks here and has no list of its own.
//!
//! # To add an exporter
//!
//! 1. Its section: the checked type in `config/exporters.rs` and a field of [`Config`],
//!    with what every section has (`config/raw`, `config/check`, `config/effective`,
//!    [`Config::set_instance`], the reference).
//! 2. Its entry here: a variant of [`ExporterId`], one of [`Push`] (or of [`Section`],
//!    where nothing is pushed), and a line of [`all`].
//! 3. Its encoder, which turns frames into bodies (`push/encode.rs`).
//!
//! From there the compiler leads: [`all`] does not compile without the new field, and
//! every `match` on these types wants its arm. How it is started is in `push/exporter.rs`
//! and `push/target.rs`, how it is read back in `verify/route.rs`, what is told of it in
//! the summary at the start (`cli/run.rs`) and in `/status` (`control/status.rs`).

use crate::config::{Config, HistogramForm, Otel, Prometheus, RemoteWrite, Temporality, TlsFiles};

/// Which exporter of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExporterId {
    /// The metrics page, which somebody scrapes.
    Prometheus,
    /// `exporters.otel`, which pushes.
    Otlp,
    /// The entry of `exporters.remote_write` with this number, which pushes; counted
    /// from 0 through those that are enabled.
    RemoteWrite(usize),
}

/// An exporter of a configuration, whether it is on or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Exporter<'c> {
    /// Which one; of an entry of a list that is off, the one that it would be.
    pub id: ExporterId,
    /// Where it stands in the file, such as `exporters.remote_write[1]`.
    pub path: String,
    /// Whether the file wants it.
    pub enabled: bool,
    /// What the file says of it.
    pub section: Section<'c>,
}

/// The section of an exporter, by how its samples leave the process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Section<'c> {
    /// They are scraped.
    Prometheus(&'c Prometheus),
    /// They are pushed.
    Push(Push<'c>),
}

/// The section of an exporter that pushes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Push<'c> {
    /// OTLP over HTTP.
    Otlp(&'c Otel),
    /// Prometheus remote write.
    RemoteWrite(&'c RemoteWrite),
}

/// What the engine has to count for an exporter beside what is in every frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// Histograms count in exponential buckets as well, in so many at most.
    pub exponential_size_max: Option<usize>,
    /// Histograms that do not say their form themselves are native as well.
    pub native: bool,
    /// Frames tell how much totals grew since the frame that was pushed before. They
    /// can tell that to one exporter.
    pub growth: bool,
    /// Frames tell the smallest and the largest observation of histograms.
    pub extremes: bool,
}

/// Every exporter: the metrics page, OTLP, then remote write in the file's order.
pub fn all(config: &Config) -> Vec<Exporter<'_>> {
    // Without `..`: a section that is new has to be listed.
    let Config {
        prometheus,
        otel,
        remote_writes,
        path: _,
        source: _,
        shard: _,
        global: _,
        metrics: _,
        scenarios: _,
        runtime: _,
        warnings: _,
    } = config;
    let one = |id: ExporterId, enabled, section| Exporter {
        id,
        path: id.section().to_owned(),
        enabled,
        section,
    };
    let mut all = vec![
        one(
            ExporterId::Prometheus,
            prometheus.enabled,
            Section::Prometheus(prometheus),
        ),
        one(
            ExporterId::Otlp,
            otel.enabled,
            Section::Push(Push::Otlp(otel)),
        ),
    ];
    let mut number = 0;
    for (index, entry) in remote_writes.iter().enumerate() {
        let section = Section::Push(Push::RemoteWrite(entry));
        let mut exporter = one(ExporterId::RemoteWrite(number), entry.enabled, section);
        exporter.path = format!("{}[{index}]", exporter.path);
        all.push(exporter);
        number += usize::from(entry.enabled);
    }
    all
}

/// Those that are on, in the same order.
pub fn enabled(config: &Config) -> impl Iterator<Item = Exporter<'_>> {
    all(config).into_iter().filter(|exporter| exporter.enabled)
}

/// Those that are on and push, in the same order.
pub fn pushing(config: &Config) -> impl Iterator<Item = (Exporter<'_>, Push<'_>)> {
    enabled(config).filter_map(|exporter| match exporter.section {
        Section::Prometheus(_) => None,
        Section::Push(push) => Some((exporter, push)),
    })
}

/// The one that is meant, also one that is off; but of a list there are only those that
/// are on.
pub fn find(config: &Config, id: ExporterId) -> Option<Exporter<'_>> {
    let is_meant = |exporter: &Exporter<'_>| match id {
        ExporterId::Prometheus | ExporterId::Otlp => exporter.id == id,
        ExporterId::RemoteWrite(_) => exporter.id == id && exporter.enabled,
    };
    all(config).into_iter().find(is_meant)
}

/// What the exporters that are on need together: buckets that are few enough for each.
pub fn needs(config: &Config) -> Needs {
    enabled(config).fold(Needs::default(), |together, exporter| {
        let own = exporter.section.needs();
        let sizes = [together.exponential_size_max, own.exponential_size_max];
        Needs {
            exponential_size_max: sizes.into_iter().flatten().min(),
            native: together.native || own.native,
            growth: together.growth || own.growth,
            extremes: together.extremes || own.extremes,
        }
    })
}

/// The sections of the file in which the exporters of two configurations differ.
pub fn differing(one: &Config, other: &Config) -> Vec<&'static str> {
    let (one, other) = (all(one), all(other));
    let mut sections = Vec::new();
    for exporter in one.iter().chain(&other) {
        let section = exporter.id.section();
        let is_of = |other: &&Exporter<'_>| other.id.section() == section;
        let is_same = one.iter().filter(is_of).eq(other.iter().filter(is_of));
        if !is_same && !sections.contains(&section) {
            sections.push(section);
        }
    }
    sections
}

impl ExporterId {
    /// The section of the file; a list where there can be several of a kind.
    pub fn section(self) -> &'static str {
        match self {
            Self::Prometheus => "exporters.prometheus",
            Self::Otlp => "exporters.otel",
            Self::RemoteWrite(_) => "exporters.remote_write",
        }
    }

    /// As self-metrics, `plan` and the log call it: `prometheus`, `otel`,
    /// `remote_write`, `remote_write_2` and so on.
    pub fn label(self) -> String {
        match self {
            Self::Prometheus => "prometheus".to_owned(),
            Self::Otlp => "otel".to_owned(),
            Self::RemoteWrite(0) => "remote_write".to_owned(),
            Self::RemoteWrite(number) => format!("remote_write_{}", number + 1),
        }
    }
}

impl<'c> Section<'c> {
    /// What stands before every metric's name.
    pub fn prefix(self) -> &'c str {
        match self {
            Self::Prometheus(prometheus) => &prometheus.prefix,
            Self::Push(Push::Otlp(otel)) => &otel.prefix,
            Self::Push(Push::RemoteWrite(entry)) => &entry.prefix,
        }
    }

    /// What was read differently from how it was written, as lines for the log.
    pub fn notes(self) -> &'c [String] {
        match self {
            Self::Push(Push::Otlp(otel)) => &otel.notes,
            Self::Prometheus(_) | Self::Push(Push::RemoteWrite(_)) => &[],
        }
    }

    /// What it needs of the engine when it is on.
    pub fn needs(self) -> Needs {
        match self {
            Self::Prometheus(prometheus) => Needs {
                native: prometheus.histograms.has_native(),
                ..Needs::default()
            },
            Self::Push(push) => push.needs(),
        }
    }
}

impl<'c> Push<'c> {
    /// Where to, with whatever secrets there are in it.
    pub fn url(self) -> &'c str {
        match self {
            Self::Otlp(otel) => &otel.url,
            Self::RemoteWrite(entry) => &entry.url,
        }
    }

    /// Time between pushes in nanoseconds.
    pub fn interval_ns(self) -> u64 {
        match self {
            Self::Otlp(otel) => otel.export_interval_ns,
            Self::RemoteWrite(entry) => entry.interval_ns,
        }
    }

    /// Which process its series are of, if they tell.
    pub fn instance(self) -> Option<&'c str> {
        match self {
            Self::Otlp(otel) => otel.instance(),
            Self::RemoteWrite(entry) => entry.instance(),
        }
    }

    /// Files for `https`.
    pub fn tls(self) -> &'c TlsFiles {
        match self {
            Self::Otlp(otel) => &otel.tls,
            Self::RemoteWrite(entry) => &entry.tls,
        }
    }

    /// What it needs of the engine when it is on.
    pub fn needs(self) -> Needs {
        match self {
            Self::Otlp(otel) => Needs {
                exponential_size_max: (otel.histograms == HistogramForm::Exponential)
                    .then_some(otel.exponential_size_max),
                native: otel.histograms.has_native(),
                growth: otel.temporality == Temporality::Delta,
                extremes: otel.min_max,
            },
            Self::RemoteWrite(entry) => Needs {
                native: entry.histograms.has_native(),
                ..Needs::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load_str;

    fn config(exporters: &str) -> Config {
        let text = format!(
            "metrics: [{{name: g, type: gauge, algorithm: constant, start: 1}}]\n\
             exporters: {{{exporters}}}\n"
        );
        load_str(Path::new("f.yaml"), text.as_bytes(), &|_| None).unwrap()
    }

    const FOUR: &str = "otel: {histograms: exponential, exponential_max_size: 20}, \
                        remote_write: [{url: 'http://a/'}, {url: 'http://b/', enabled: false}, \
                        {url: 'http://c/', interval_s: 5}]";

    #[test]
    fn each_has_its_place_and_its_name() {
        let config = config(FOUR);
        let all = all(&config);
        let found: Vec<(&str, String, bool)> = all
            .iter()
            .map(|one| (one.path.as_str(), one.id.label(), one.enabled))
            .collect();
        let expected = [
            ("exporters.prometheus", "prometheus", true),
            ("exporters.otel", "otel", true),
            ("exporters.remote_write[0]", "remote_write", true),
            ("exporters.remote_write[1]", "remote_write_2", false),
            ("exporters.remote_write[2]", "remote_write_2", true),
        ];
        assert_eq!(
            found,
            expected.map(|(path, name, on)| (path, name.to_owned(), on))
        );
        let pushed: Vec<(String, &str, u64)> = pushing(&config)
            .map(|(one, push)| {
                (
                    one.id.label(),
                    push.url(),
                    push.interval_ns() / 1_000_000_000,
                )
            })
            .collect();
        assert_eq!(pushed.len(), 3);
        assert_eq!(
            pushed[2],
            ("remote_write_2".to_owned(), "http://c/", 5),
            "one that is off is not counted"
        );
    }

    #[test]
    fn only_those_that_are_on_need_anything() {
        for (otel, size_max, growth, extremes) in [
            ("", None, false, false),
            ("exponential_max_size: 20, min_max: true", None, false, true),
            (
                "histograms: exponential, exponential_max_size: 20",
                Some(20),
                false,
                false,
            ),
            (
                "histograms: exponential, temporality: delta, min_max: true",
                Some(160),
                true,
                true,
            ),
            (
                "histograms: exponential, temporality: delta, min_max: true, enabled: false",
                None,
                false,
                false,
            ),
        ] {
            let expected = Needs {
                native: false,
                exponential_size_max: size_max,
                growth,
                extremes,
            };
            assert_eq!(needs(&config(&format!("otel: {{{otel}}}"))), expected);
        }
    }

    /// A push by a process that does not tell which it is collides with its replicas'.
    #[test]
    fn whoever_pushes_is_told_its_instance() {
        let mut config = config(FOUR);
        config.set_instance("h:1");
        for (exporter, push) in pushing(&config) {
            assert_eq!(push.instance(), Some("h:1"), "{}", exporter.path);
        }
    }

    #[test]
    fn differences_are_told_by_section() {
        let before = config(FOUR);
        for (exporters, expected) in [
            (FOUR.to_owned(), &[][..]),
            (
                format!("prometheus: {{port: 1}}, {FOUR}"),
                &["exporters.prometheus"],
            ),
            (FOUR.replace("20", "21"), &["exporters.otel"]),
            (
                FOUR.replace("http://b/", "http://x/"),
                &["exporters.remote_write"],
            ),
            (String::new(), &["exporters.otel", "exporters.remote_write"]),
        ] {
            let after = config(&exporters);
            assert_eq!(differing(&before, &after), expected, "{exporters}");
            assert_eq!(differing(&after, &before), expected, "{exporters}");
        }
    }
}
