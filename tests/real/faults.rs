//! `verify` must be able to fail. A proxy between the program and a real backend loses a series,
//! changes a value by its last bit, delays, repeats, invents, moves and swaps, in what is scraped
//! and in what is pushed; `verify` has to find each of these, name the very series and tick, and
//! find nothing else.
//!
//! One run does them all, each to a metric of its own, so that none hides another.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::servers;
use crate::servers::mockingbird::{Mockingbird, binary, set};
use crate::servers::process::wait_until;
use crate::servers::prometheus::{Job, Prometheus};
use crate::servers::proxy::Proxy;
use crate::servers::receivers::VictoriaMetrics;
use crate::servers::samples::{Identity, identity};
use crate::servers::tamper::{Deed, Made, Tampering, Whole};
use serde_json::Value;

/// What is pushed takes several requests, of which the second one holds nothing but `wide`.
const CONFIG: &str = r#"
global: {tick_interval_s: 1, seed: 11}
exporters: {prometheus: {prefix: p_}}
profiles:
  all: {labels: {zone: [a, 'b.*"\'], host: {range: [1, 5]}}}
  wide: {labels: {number: {range: [1, 4000]}}}
metrics:
  - {name: control, type: gauge, profile: all, algorithm: random_walk, start: 20, step: 1}
  - {name: events, type: counter, profile: all, algorithm: poisson, base_rate: 30}
  - {name: dropped, type: counter, profile: all, algorithm: poisson, base_rate: 30}
  - {name: last_bit, type: gauge, profile: all, algorithm: random_walk, start: 20, step: 1}
  - {name: one_more, type: counter, profile: all, algorithm: poisson, base_rate: 30}
  - {name: late, type: gauge, profile: all, algorithm: random_walk, start: 20, step: 1}
  - {name: again, type: gauge, profile: all, algorithm: random_walk, start: 20, step: 1}
  - {name: old, type: gauge, profile: all, algorithm: random_walk, start: 20, step: 1}
  - {name: doubled, type: gauge, profile: all, algorithm: random_walk, start: 20, step: 1}
  - {name: moved, type: gauge, profile: all, algorithm: random_walk, start: 20, step: 1}
  - {name: stranger, type: counter, profile: all, algorithm: poisson, base_rate: 30}
  - {name: swapped, type: gauge, profile: all, algorithm: random_walk, start: 20, step: 1}
  - {name: wide, type: gauge, profile: wide, algorithm: random_walk, start: 20, step: 1}
  - {name: wait, type: histogram, profile: all, algorithm: exponential, lam: 2, buckets: [0.5, 1]}
  - {name: size, type: summary, profile: all, algorithm: lognormal, mu: 1, sigma: 1,
     objectives: {0.5: 0.05, 0.9: 0.05}}
"#;

/// Kinds of differences that are of samples, and the fields that count them.
const KINDS: [(&str, &str); 5] = [
    ("missing", "missing"),
    ("wrong", "wrong"),
    ("unexpected", "unexpected"),
    ("misplaced", "misplaced"),
    ("duplicate", "duplicated"),
];

/// How samples come to a backend, as `verify --via` calls it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Via {
    Scrapes,
    RemoteWrite,
    Otlp,
}

/// A backend that was tampered with on the way to it.
struct Subject<'a> {
    folder: &'a Path,
    url: &'a str,
    proxy: &'a Proxy,
    via: Via,
    prefix: &'a str,
    is_victoria: bool,
}

/// Something that a proxy does to a metric.
struct Case {
    metric: &'static str,
    /// What the sample's name has besides.
    suffix: &'static str,
    labels: &'static str,
    deed: Deed,
    ticks: usize,
    /// What `verify` has to call it; `None`: the backend stores the right thing all the same.
    kind: Option<&'static str>,
}

/// A sample that is swapped with another one.
const SWAPPED: [&str; 2] = [r#"zone="a",host="1""#, r#"zone="b.*\"\\",host="2""#];

impl Subject<'_> {
    fn cases(&self) -> Vec<Case> {
        let case = |metric, suffix, labels, deed, ticks, kind| Case {
            metric,
            suffix,
            labels,
            deed,
            ticks,
            kind: Some(kind),
        };
        let stranger = Deed::Stranger {
            label: "host",
            value: "6",
        };
        let other = self.sent("swapped", "", SWAPPED[1]);
        let (again, old, moved) = (
            Deed::Again { later_ms: 300 },
            Deed::Old { later_ms: 300 },
            Deed::Move { later_ms: 300 },
        );
        let add = Deed::Add(1.0);
        let last = r#"zone="b.*\"\\",host="5""#;
        let mut cases = vec![
            case("dropped", "_total", last, Deed::Drop, 4, "missing"),
            case("last_bit", "", last, Deed::NextUp, 1, "wrong"),
            case(
                "one_more",
                "_total",
                r#"zone="a",host="2""#,
                add.clone(),
                1,
                "wrong",
            ),
            case("late", "", r#"zone="a",host="5""#, Deed::Late, 3, "wrong"),
            case("again", "", r#"zone="a",host="1""#, again, 2, "duplicate"),
            case("old", "", r#"zone="a",host="3""#, old, 2, "duplicate"),
            case(
                "doubled",
                "",
                r#"zone="a",host="1""#,
                Deed::Twice,
                2,
                "duplicate",
            ),
            case("moved", "", r#"zone="a",host="4""#, moved, 1, "misplaced"),
            case(
                "stranger",
                "_total",
                r#"zone="a",host="1""#,
                stranger,
                2,
                "unexpected",
            ),
            case("swapped", "", SWAPPED[0], Deed::Swap(other), 1, "wrong"),
        ];
        if self.via != Via::Otlp {
            let bucket = r#"zone="a",host="2",le="0.5""#;
            let quantile = r#"zone="a",host="2",quantile="0.9""#;
            cases.push(case("wait", "_bucket", bucket, add, 1, "wrong"));
            cases.push(case("size", "", quantile, Deed::Drop, 1, "missing"));
        }
        for case in &mut cases {
            let is_kept = match case.metric {
                // VictoriaMetrics keeps about twelve of seventeen digits: there the last bit is
                // an allowance, and `one_more` stands for it.
                "last_bit" => !self.is_victoria,
                // The one drops it, the other one stores both.
                "doubled" => self.is_victoria,
                _ => true,
            };
            case.kind = case.kind.filter(|_| is_kept);
        }
        cases
    }

    /// A series as it passes the proxy: OTLP knows no `_total`, remote write has the target's
    /// labels already.
    fn sent(&self, metric: &str, suffix: &str, labels: &str) -> Identity {
        let suffix = if self.via == Via::Otlp { "" } else { suffix };
        let mut series = identity(&format!("{}{metric}{suffix}{{{labels}}}", self.prefix));
        if self.via == Via::RemoteWrite {
            let job = ("job".to_owned(), "mockingbird".to_owned());
            series.labels.extend([job]);
        }
        series
    }

    /// The same as `verify` shows it.
    fn shown(&self, series: &Identity, suffix: &str) -> String {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let number = |name: &str| matches!(name, "le" | "quantile");
        let labels = series.labels.iter().filter(|(name, _)| *name != "job");
        let (last, first): (Vec<_>, Vec<_>) = labels.partition(|(name, _)| number(name));
        let labels: Vec<_> = first
            .into_iter()
            .chain(last)
            .map(|(name, value)| format!("{name}=\"{}\"", quoted(value)))
            .collect();
        let suffix = if self.via == Via::Otlp { suffix } else { "" };
        format!("{}{suffix}{{{}}}", series.name, labels.join(","))
    }

    /// What `verify` calls a metric.
    fn metric(&self, case: &Case) -> String {
        let suffix = if case.suffix == "_total" {
            "_total"
        } else {
            ""
        };
        format!("{}{}{suffix}", self.prefix, case.metric)
    }

    fn plan(&self, from_tick: u64) {
        for case in self.cases() {
            self.proxy.tamperer().plan(Tampering {
                series: self.sent(case.metric, case.suffix, case.labels),
                deed: case.deed,
                from_tick,
                ticks: case.ticks,
            });
        }
    }

    /// Whether a value is the one that was meant, as far as the backend keeps it.
    fn is_value(&self, found: &Value, expected: f64) -> bool {
        let share = if self.is_victoria { 1e-11 } else { 0.0 };
        number(found).is_some_and(|found| (found - expected).abs() <= share * expected.abs())
    }

    /// Runs `verify`.
    fn verify(&self, arguments: &[&str]) -> Verified {
        let [json, html] = ["report.json", "report.html"].map(|name| self.folder.join(name));
        let mut command = Command::new(binary());
        command.args(["verify", "--all", "--backend", self.url, "--journal"]);
        command.arg(self.folder.join("journal"));
        command.arg("--json").arg(&json).arg("--html").arg(&html);
        command.args(["--via", self.via.name()]).args(arguments);
        let output = command.output().unwrap();
        let table = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(3),
            "{command:?}\n{table}{errors}"
        );
        let report = std::fs::read(&json).unwrap();
        let page = std::fs::read_to_string(&html).unwrap();
        assert!(page.ends_with("</html>\n"));
        Verified {
            table,
            report: serde_json::from_slice(&report).unwrap(),
        }
    }

    /// Each case is found as what it is, at each tick and of each series to which it was done,
    /// and nothing else is.
    fn check_cases(&self, verified: &Verified) {
        let table = &verified.table;
        assert_eq!(verified.gaps(), [] as [Value; 0], "{table}");
        let all = self.proxy.made();
        let whole_from = self.whole_from();
        let cases = self.cases();
        for case in &cases {
            let name = self.metric(case);
            let sent = self.sent(case.metric, case.suffix, case.labels).name;
            let made = all.iter().filter(|made| made.series.name == sent);
            let made: Vec<Made> = made
                .filter(|made| made.tick < whole_from)
                .cloned()
                .collect();
            assert!(made.len() >= case.ticks, "{}: {made:?}", case.metric);
            let count = case.kind.map(|kind| (kind, made.len()));
            verified.assert_counts(&name, &count.into_iter().collect::<Vec<_>>());
            if let Some(kind) = case.kind {
                self.assert_named(verified, (case, &name), kind, &made);
            }
            // Counts and sums alone tell of what is lost, invented or changed by one.
            if matches!(case.deed, Deed::Drop | Deed::Add(_) | Deed::Stranger { .. }) {
                let wrong = verified.count(&name, "totals_wrong");
                assert_eq!(wrong, made.len() as u64, "{name}\n{table}");
            }
        }
        let differing: Vec<String> = cases.iter().map(|case| self.metric(case)).collect();
        for metric in verified.metrics() {
            let name = metric["metric"].as_str().unwrap();
            if !differing.iter().any(|differing| differing == name) {
                verified.assert_counts(name, &[]);
            }
        }
    }

    /// The examples of a case are the samples that were touched, each once, with tick, values and
    /// what is known besides.
    fn assert_named(
        &self,
        verified: &Verified,
        (case, metric): (&Case, &str),
        kind: &str,
        made: &[Made],
    ) {
        let table = &verified.table;
        let shown = |made: &Made| self.shown(&made.series, case.suffix);
        // A sample of an earlier tick is told as one of that tick.
        let tick = |made: &Made| match case.deed {
            Deed::Old { .. } => made.of_tick,
            _ => made.tick,
        };
        let mut expected: Vec<(String, u64)> =
            made.iter().map(|made| (shown(made), tick(made))).collect();
        let examples = verified.examples(metric, kind);
        let mut named: Vec<(String, u64)> = examples
            .iter()
            .map(|example| {
                let tick = example["tick"].as_u64();
                let tick = tick.unwrap_or_else(|| panic!("no tick: {example}\n{table}"));
                (example["series"].as_str().unwrap().to_owned(), tick)
            })
            .collect();
        // A tick can be scraped twice. Of each series no more than five are shown.
        expected.sort_unstable();
        named.sort_unstable();
        if expected.len() > 5 && named.len() == 5 {
            expected.retain(|made| named.contains(made));
            expected.truncate(5);
        }
        assert_eq!(named, expected, "{metric}: {kind}\n{table}");
        for example in examples {
            let of = made.iter().find(|made| {
                example["series"] == shown(made) && example["tick"].as_u64() == Some(tick(made))
            });
            let made = of.unwrap();
            let right = match (made.was, kind) {
                (Some(was), "missing" | "wrong") => number(&example["expected"]) == Some(was),
                _ => true,
            };
            let found = match (made.became, kind) {
                (Some(became), _) => self.is_value(&example["found"], became),
                (None, "missing") => example["found"].is_null(),
                (None, _) => true,
            };
            assert!(right && found, "{made:?}: {example}\n{table}");
            let note = match &case.deed {
                Deed::Late => format!("that is its value of tick {}", made.of_tick),
                Deed::Again { .. } | Deed::Old { .. } => {
                    format!("the sample of tick {} again", tick(made))
                }
                Deed::Swap(other) => {
                    let first = self.sent(case.metric, case.suffix, case.labels);
                    let other = if made.series == *other { &first } else { other };
                    format!("that is the value of {}", self.shown(other, case.suffix))
                }
                _ => continue,
            };
            assert_eq!(example["note"], note, "{table}");
        }
    }

    /// The first tick at which something is done to all series.
    fn whole_from(&self) -> u64 {
        self.proxy.tamperer().whole_from().unwrap_or(u64::MAX)
    }

    /// What was done to all series together is found as so many values that are late, samples
    /// that are missing, and one gap.
    fn check_whole(&self, verified: &Verified) {
        let table = &verified.table;
        let lost = self.proxy.tamperer().lost();
        let [gap] = verified.gaps() else {
            panic!("{table}");
        };
        assert_eq!(gap["scrapes"], lost.len(), "{table}");
        assert_eq!(gap["excused"], 0);
        let from = self.whole_from();
        let made = self.proxy.made();
        let made: Vec<&Made> = made.iter().filter(|made| made.tick >= from).collect();
        let mut of_metrics = 0;
        for metric in verified.metrics() {
            let name = metric["metric"].as_str().unwrap();
            let is_own = |made: &&&Made| {
                let rest = made.series.name.strip_prefix(name);
                let is_sent = name.strip_suffix("_total") == Some(&made.series.name);
                let suffixes = ["", "_bucket", "_sum", "_count"];
                is_sent || rest.is_some_and(|rest| suffixes.contains(&rest))
            };
            let own: Vec<&&Made> = made.iter().filter(is_own).collect();
            of_metrics += own.len();
            let late = own.iter().filter(|made| made.became.is_some()).count();
            let counts = [("wrong", late), ("missing", own.len() - late)];
            verified.assert_counts(name, &counts);
            for (kind, _) in counts {
                let ticks = own
                    .iter()
                    .filter(|made| made.became.is_some() == (kind == "wrong"));
                let ticks: BTreeSet<u64> = ticks.map(|made| made.tick).collect();
                for example in verified.examples(name, kind) {
                    let tick = example["tick"].as_u64().unwrap();
                    assert!(ticks.contains(&tick), "{example}\n{table}");
                    // Values with many digits are nobody else's.
                    if kind == "wrong" && metric["type"] == "gauge" {
                        let note = example["note"].as_str().unwrap_or("none");
                        assert!(note.starts_with("that is its value of tick "), "{example}");
                    }
                }
            }
        }
        assert!(of_metrics > 2000, "{of_metrics}");
    }
}

impl Via {
    fn name(self) -> &'static str {
        match self {
            Self::Scrapes => "prometheus",
            Self::RemoteWrite => "remote_write",
            Self::Otlp => "otlp",
        }
    }
}

/// A report of `verify` that something differs, and its table.
struct Verified {
    table: String,
    report: Value,
}

impl Verified {
    fn metrics(&self) -> &[Value] {
        self.report["metrics"].as_array().unwrap()
    }

    fn gaps(&self) -> &[Value] {
        self.report["gaps"].as_array().unwrap()
    }

    fn metric(&self, name: &str) -> &Value {
        let found = self
            .metrics()
            .iter()
            .find(|metric| metric["metric"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {}", self.table))
    }

    fn count(&self, metric: &str, field: &str) -> u64 {
        let of = self.metric(metric);
        let count = of[field].as_u64();
        count.unwrap_or_else(|| panic!("no {field} in {of}"))
    }

    /// Differences of a kind that are shown of a metric.
    fn examples(&self, metric: &str, kind: &str) -> Vec<&Value> {
        let examples = self.metric(metric)["examples"].as_array().unwrap().iter();
        examples.filter(|example| example["what"] == kind).collect()
    }

    /// A metric differs in so many samples of each kind; of all others in none.
    fn assert_counts(&self, metric: &str, counts: &[(&str, usize)]) {
        for (kind, field) in KINDS {
            let of_kind = counts.iter().find(|(of, _)| *of == kind);
            let expected = of_kind.map_or(0, |(_, count)| *count as u64);
            let found = self.count(metric, field);
            assert_eq!(found, expected, "{metric}: {field}\n{}", self.table);
        }
        if counts.iter().all(|(_, count)| *count == 0) {
            assert_eq!(self.count(metric, "totals_wrong"), 0, "{}", self.table);
            assert_eq!(self.metric(metric)["examples"], Value::Array(Vec::new()));
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_str().map(|text| text.parse().unwrap())
}

/// Waits until something passes each proxy.
fn wait_for_all(proxies: &[&Proxy]) {
    wait_until(
        "something passes everywhere",
        Duration::from_secs(60),
        || {
            let latest = |proxy: &Proxy| proxy.tamperer().latest_tick();
            proxies.iter().all(|proxy| latest(proxy) >= Some(2))
        },
    );
}

/// Waits until all that was planned is done, and for so many ticks from there on.
fn wait_until_done(mockingbird: &Mockingbird, proxies: &[&Proxy], ticks: u64) {
    wait_until("all is done", Duration::from_secs(60), || {
        proxies.iter().all(|proxy| proxy.tamperer().is_done())
    });
    let done_tick = mockingbird.scrape().0;
    wait_until("it can be asked about", Duration::from_secs(60), || {
        mockingbird.scrape().0 >= done_tick + ticks
    });
}

#[test]
#[ignore = "needs servers"]
fn whatever_happens_to_scrapes_is_found_and_named() {
    let servers = servers::find(&["prometheus", "victoria-metrics"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mockingbird = Mockingbird::start_own(CONFIG, folder);
    let start = || Proxy::scraping(&mockingbird.address);
    let (to_prometheus, to_victoria) = ([start(), start()], [start(), start()]);
    let [tampered, whole] = to_prometheus.each_ref().map(Proxy::address);
    let job = |name, address, protocol| Job {
        name,
        address,
        protocol: Some(protocol),
        interval_s: 1,
    };
    let jobs = [
        job("tampered", &tampered, "OpenMetricsText1.0.0"),
        job("whole", &whole, "PrometheusText0.0.4"),
    ];
    let mut prometheus = Prometheus::start(&servers, folder, &jobs);
    let [tampered, whole] = to_victoria.each_ref().map(Proxy::address);
    let jobs = [("tampered", tampered.as_str()), ("whole", whole.as_str())];
    let victoria = VictoriaMetrics::start_scraping_all(&servers, folder, &jobs, 1);
    let proxies: Vec<&Proxy> = to_prometheus.iter().chain(&to_victoria).collect();
    wait_for_all(&proxies);

    let backends = [
        (prometheus.url().to_owned(), &to_prometheus, false),
        (victoria.url().to_owned(), &to_victoria, true),
    ];
    let subjects = backends.iter().map(|(url, proxies, is_victoria)| {
        proxies.each_ref().map(|proxy| Subject {
            folder,
            url,
            proxy,
            via: Via::Scrapes,
            prefix: "p_",
            is_victoria: *is_victoria,
        })
    });
    let subjects: Vec<[Subject; 2]> = subjects.collect();
    let from_tick = mockingbird.scrape().0 + 3;
    for [tampered, whole] in &subjects {
        tampered.plan(from_tick);
        let mut whole = whole.proxy.tamperer();
        whole.plan_whole(Whole::Late, from_tick, 2);
        whole.plan_whole(Whole::Lose, from_tick + 4, 1);
        whole.plan_whole(Whole::Keep, from_tick + 6, 3);
    }
    // What verify asks about ends five seconds ago.
    wait_until_done(&mockingbird, &proxies, 9);
    prometheus.assert_running();
    let range = [
        "--last",
        "2m",
        "--visible-after",
        "5s",
        "--instants",
        "10000",
    ];
    for [tampered, whole] in &subjects {
        let of = |job| [&["--job", job], &range[..]].concat();
        tampered.check_cases(&tampered.verify(&of("tampered")));
        let verified = whole.verify(&of("whole"));
        whole.check_whole(&verified);
        // Each sample is right for the tick that its scrape has, but that one is old.
        let warnings = verified.report["warnings"].as_array().unwrap();
        // Where a scrape comes close to a tick, that one can be passed over.
        let old = [5, 4].map(|n| format!("read an old tick: tick {} at", from_tick + n));
        let is_told = |text: &Value| old.iter().any(|old| text.as_str().unwrap().contains(old));
        assert!(warnings.iter().any(is_told), "{}", verified.table);
    }
}

/// A run that pushes to a backend both ways, each through a proxy.
fn check_pushes(folder: &Path, url: &str, [otlp_url, write_url]: [&str; 2], is_victoria: bool) {
    let (otlp, write) = (Proxy::otlp(otlp_url), Proxy::remote_write(write_url));
    let mockingbird = Mockingbird::start_recorded(CONFIG, folder, |config| {
        let sections = [
            format!(
                "{{enabled: true, endpoint: '{}', compression: none, export_interval_s: 1, \
                 max_request_bytes: 65536, concurrency: 1, prefix: otel_}}",
                otlp.url()
            ),
            format!(
                "[{{url: '{}', version: 1, interval_s: 1, instance: none, max_samples_per_send: 500, \
                 concurrency: 1, prefix: rw_}}]",
                write.url()
            ),
        ];
        for (name, section) in ["otel", "remote_write"].iter().zip(sections) {
            let section: serde_yaml::Value = serde_yaml::from_str(&section).unwrap();
            set(config, &["exporters", name], section);
        }
    });
    let proxies = [&otlp, &write];
    for proxy in proxies {
        proxy.begin(mockingbird.epoch_ms, mockingbird.interval_ms);
    }
    wait_for_all(&proxies);
    let vias = [
        (Via::Otlp, "otel_", &otlp),
        (Via::RemoteWrite, "rw_", &write),
    ];
    let subjects = vias.map(|(via, prefix, proxy)| Subject {
        folder,
        url,
        proxy,
        via,
        prefix,
        is_victoria,
    });
    let from_tick = mockingbird.scrape().0 + 3;
    for subject in &subjects {
        subject.plan(from_tick);
        let mut whole = subject.proxy.tamperer();
        whole.plan_whole(Whole::Late, from_tick + 6, 2);
        whole.plan_whole(Whole::LosePart(1), from_tick + 8, 1);
        whole.plan_whole(Whole::Lose, from_tick + 10, 1);
        // What goes with the number is not known where the proxy reads only some of it.
        if subject.via == Via::RemoteWrite {
            whole.plan_whole(Whole::LoseTick, from_tick + 12, 1);
        }
    }
    // VictoriaMetrics shows a sample up to 4 s after it took it; the range asked about below ends
    // 2 ticks after the last thing is done.
    wait_until_done(&mockingbird, &proxies, 9);

    // Before it is done to all series, and from there on.
    let time = |tick: u64| {
        let ms = mockingbird.epoch_ms + tick as i64 * mockingbird.interval_ms + 500;
        jiff::Timestamp::from_millisecond(ms).unwrap().to_string()
    };
    let [from, middle, to] = [1, from_tick + 4, from_tick + 14].map(time);
    for subject in &subjects {
        let range = |from, to| ["--from", from, "--to", to, "--instants", "10000"];
        subject.check_cases(&subject.verify(&range(&from, &middle)));
        subject.check_whole(&subject.verify(&range(&middle, &to)));
    }
}

#[test]
#[ignore = "needs servers"]
fn whatever_happens_to_pushes_into_prometheus_is_found_and_named() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut prometheus = Prometheus::start(&servers, folder, &[]);
    let urls = [prometheus.otlp_url(), prometheus.remote_write_url()];
    check_pushes(folder, prometheus.url(), [&urls[0], &urls[1]], false);
    prometheus.assert_running();
}

#[test]
#[ignore = "needs servers"]
fn whatever_happens_to_pushes_into_victoria_metrics_is_found_and_named() {
    let servers = servers::find(&["victoria-metrics"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let victoria = VictoriaMetrics::start(&servers, folder);
    let urls = [victoria.otlp_url(), victoria.remote_write_url()];
    check_pushes(folder, victoria.url(), [&urls[0], &urls[1]], true);
}
