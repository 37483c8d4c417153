//! `verify` must be able to fail. A proxy between the program and a real backend loses a series,
//! changes a value by its last bit, delays, repeats, invents, moves and swaps; `verify` has to
//! find each of these, name the very series and tick, and find nothing else.
//!
//! One run does them all, each to a metric of its own, so that none hides another. Needs the
//! servers that `tests/servers/install.sh` builds, as `tests/real_prometheus.rs` does.

mod servers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use servers::mockingbird::{Mockingbird, binary};
use servers::process::wait_until;
use servers::prometheus::{Job, Prometheus};
use servers::proxy::Proxy;
use servers::receivers::VictoriaMetrics;
use servers::samples::{Identity, identity};
use servers::tamper::{Deed, Made, Tampering, Whole};

const CONFIG: &str = r#"
global: {tick_interval_s: 1, seed: 11}
exporters: {prometheus: {prefix: p_}}
profiles:
  all: {labels: {zone: [a, 'b.*"\'], host: {range: [1, 5]}}}
metrics:
  - {name: control, type: gauge, profile: all, algorithm: random_walk, start: 20, step: 1}
  - {name: control_count, type: counter, profile: all, algorithm: poisson, base_rate: 30}
  - {name: dropped, type: counter, profile: all, algorithm: poisson, base_rate: 30}
  - {name: last_bit, type: gauge, profile: all, algorithm: random_walk, start: 20, step: 1}
  - {name: one_more, type: counter, profile: all, algorithm: poisson, base_rate: 30}
  - {name: late, type: gauge, profile: all, algorithm: random_walk, start: 20, step: 1}
  - {name: again, type: gauge, profile: all, algorithm: random_walk, start: 20, step: 1}
  - {name: doubled, type: gauge, profile: all, algorithm: random_walk, start: 20, step: 1}
  - {name: moved, type: gauge, profile: all, algorithm: random_walk, start: 20, step: 1}
  - {name: stranger, type: counter, profile: all, algorithm: poisson, base_rate: 30}
  - {name: swapped, type: gauge, profile: all, algorithm: random_walk, start: 20, step: 1}
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

/// Something that a proxy does to a metric.
struct Case {
    /// Name of the metric that differs.
    metric: &'static str,
    /// What `verify` has to call it; `None`: the backend stores the right thing all the same.
    kind: Option<&'static str>,
    series: &'static str,
    deed: Deed,
    ticks: usize,
}

fn cases(keeps_every_bit: bool) -> Vec<Case> {
    let case = |metric, kind, series, deed, ticks| Case {
        metric,
        kind,
        series,
        deed,
        ticks,
    };
    let mut cases = vec![
        case(
            "p_dropped_total",
            Some("missing"),
            r#"p_dropped_total{zone="b.*\"\\",host="3"}"#,
            Deed::Drop,
            4,
        ),
        case(
            "p_one_more_total",
            Some("wrong"),
            r#"p_one_more_total{zone="a",host="2"}"#,
            Deed::Add(1.0),
            1,
        ),
        case(
            "p_late",
            Some("wrong"),
            r#"p_late{zone="a",host="5"}"#,
            Deed::Late,
            3,
        ),
        case(
            "p_again",
            Some("duplicate"),
            r#"p_again{zone="a",host="1"}"#,
            Deed::Again { later_ms: 300 },
            2,
        ),
        // One of them drops it, the other one stores both.
        case(
            "p_doubled",
            (!keeps_every_bit).then_some("duplicate"),
            r#"p_doubled{zone="a",host="1"}"#,
            Deed::Twice,
            2,
        ),
        case(
            "p_moved",
            Some("misplaced"),
            r#"p_moved{zone="a",host="4"}"#,
            Deed::Move { later_ms: 300 },
            1,
        ),
        case(
            "p_stranger_total",
            Some("unexpected"),
            r#"p_stranger_total{zone="a",host="1"}"#,
            Deed::Stranger {
                label: "host",
                value: "6",
            },
            2,
        ),
        case(
            "p_swapped",
            Some("wrong"),
            r#"p_swapped{zone="a",host="1"}"#,
            Deed::Swap(identity(r#"p_swapped{zone="b.*\"\\",host="2"}"#)),
            1,
        ),
        case(
            "p_wait",
            Some("wrong"),
            r#"p_wait_bucket{zone="a",host="2",le="0.5"}"#,
            Deed::Add(1.0),
            1,
        ),
        case(
            "p_size",
            Some("missing"),
            r#"p_size{zone="a",host="2",quantile="0.9"}"#,
            Deed::Drop,
            1,
        ),
    ];
    // VictoriaMetrics keeps about twelve of seventeen digits: there the last bit is an allowance
    // that has to be made, and an integer stands for it.
    cases.push(case(
        "p_last_bit",
        keeps_every_bit.then_some("wrong"),
        r#"p_last_bit{zone="b.*\"\\",host="5"}"#,
        Deed::NextUp,
        1,
    ));
    cases
}

/// A report of `verify`, its exit code and table.
struct Verified {
    code: i32,
    table: String,
    report: Value,
}

fn verify(folder: &Path, url: &str, arguments: &[&str]) -> Verified {
    let [json, html] = ["report.json", "report.html"].map(|name| folder.join(name));
    let mut command = Command::new(binary());
    command.args(["verify", "--all", "--backend", url, "--journal"]);
    command.arg(folder.join("journal"));
    command.arg("--json").arg(&json).arg("--html").arg(&html);
    let output = command.args(arguments).output().unwrap();
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code().unwrap_or(-1);
    assert!(
        code == 0 || code == 3,
        "{command:?}: {code}\n{table}{errors}"
    );
    let report = std::fs::read(&json).unwrap();
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.ends_with("</html>\n"));
    Verified {
        code,
        table,
        report: serde_json::from_slice(&report).unwrap(),
    }
}

impl Verified {
    fn metric(&self, name: &str) -> &Value {
        let mut metrics = self.report["metrics"].as_array().unwrap().iter();
        let found = metrics.find(|metric| metric["metric"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {}", self.table))
    }

    fn count(&self, metric: &str, field: &str) -> u64 {
        let of = self.metric(metric);
        of[field]
            .as_u64()
            .unwrap_or_else(|| panic!("no {field} in {of}"))
    }

    /// Differences of a kind that are shown of a metric.
    fn examples(&self, metric: &str, kind: &str) -> Vec<&Value> {
        let examples = self.metric(metric)["examples"].as_array().unwrap().iter();
        examples.filter(|example| example["what"] == kind).collect()
    }

    /// A metric differs in so many samples of one kind, and in none of another.
    fn assert_counts(&self, metric: &str, kind: Option<&str>, samples: usize) {
        for (what, field) in KINDS {
            let expected = if Some(what) == kind { samples } else { 0 };
            let found = self.count(metric, field);
            assert_eq!(found, expected as u64, "{metric}: {field}\n{}", self.table);
        }
        if kind.is_none() {
            assert_eq!(self.count(metric, "totals_wrong"), 0, "{}", self.table);
            assert_eq!(self.metric(metric)["examples"], Value::Array(Vec::new()));
        }
    }
}

/// A series as `verify` writes it.
fn shown(series: &Identity) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let number = |name: &str| matches!(name, "le" | "quantile");
    let (last, first): (Vec<_>, Vec<_>) = series.labels.iter().partition(|(name, _)| number(name));
    let labels = first.into_iter().chain(last);
    let labels: Vec<_> = labels
        .map(|(name, value)| format!("{name}=\"{}\"", quoted(value)))
        .collect();
    format!("{}{{{}}}", series.name, labels.join(","))
}

fn number(value: &Value) -> Option<f64> {
    value.as_str().map(|text| text.parse().unwrap())
}

/// Every sample that was touched is named, with its tick and values; nothing else is.
fn assert_named(verified: &Verified, case: &Case, made: &[Made], keeps_every_bit: bool) {
    let Some(kind) = case.kind else {
        return;
    };
    let examples = verified.examples(case.metric, kind);
    let table = &verified.table;
    let expected: BTreeSet<(String, u64)> = made
        .iter()
        .map(|made| (shown(&made.series), made.tick))
        .collect();
    let named: Vec<(String, u64)> = examples
        .iter()
        .map(|example| {
            let tick = example["tick"].as_u64();
            let tick = tick.unwrap_or_else(|| panic!("no tick: {example}\n{table}"));
            (example["series"].as_str().unwrap().to_owned(), tick)
        })
        .collect();
    assert_eq!(
        BTreeSet::from_iter(named.clone()),
        expected,
        "{}: {kind}\n{table}",
        case.metric
    );
    // Each of them once.
    assert_eq!(named.len(), expected.len(), "{examples:#?}");
    let is_value = |found: Option<f64>, expected: f64| {
        let off = found.map(|found| (found - expected).abs());
        let share = if keeps_every_bit { 0.0 } else { 1e-11 };
        off.is_some_and(|off| off <= share * expected.abs())
    };
    for example in examples {
        let series = example["series"].as_str().unwrap();
        let tick = example["tick"].as_u64().unwrap();
        let made = made
            .iter()
            .find(|made| made.tick == tick && shown(&made.series) == series)
            .unwrap();
        match kind {
            "missing" => assert!(is_value(number(&example["expected"]), made.was.unwrap())),
            "wrong" => {
                let both = (number(&example["expected"]), number(&example["found"]));
                assert_eq!(both.0, made.was, "{example}");
                assert!(is_value(both.1, made.became.unwrap()), "{example}");
            }
            "unexpected" => assert!(is_value(number(&example["found"]), made.became.unwrap())),
            _ => {}
        }
    }
}

/// What is said of an example besides.
fn notes<'v>(verified: &'v Verified, metric: &str, kind: &str) -> Vec<&'v str> {
    let examples = verified.examples(metric, kind).into_iter();
    examples
        .map(|example| example["note"].as_str().unwrap_or(""))
        .collect()
}

/// A backend that scraped through a proxy that tampered with single series.
fn check_tampered(folder: &Path, url: &str, proxy: &Proxy, cases: &[Case], keeps_every_bit: bool) {
    let verified = verify(
        folder,
        url,
        &["--job", "tampered", "--last", "2m", "--instants", "10000"],
    );
    let table = &verified.table;
    assert_eq!(verified.code, 3, "{table}");
    assert_eq!(verified.report["gaps"], Value::Array(Vec::new()), "{table}");
    let made = proxy.made();
    let mut differing = BTreeMap::new();
    for case in cases {
        let of = |made: &&Made| made.series.name.starts_with(case.metric);
        let made: Vec<Made> = made.iter().filter(of).cloned().collect();
        assert!(made.len() >= case.ticks, "{}", case.metric);
        verified.assert_counts(case.metric, case.kind, made.len());
        assert_named(&verified, case, &made, keeps_every_bit);
        differing.insert(case.metric, case.kind.is_some());
    }
    for metric in verified.report["metrics"].as_array().unwrap() {
        let name = metric["metric"].as_str().unwrap();
        if !differing.contains_key(name) {
            verified.assert_counts(name, None, 0);
        }
    }

    // Counts and sums alone tell of what is lost, invented or changed by one.
    for (metric, samples) in [
        ("p_dropped_total", 4),
        ("p_one_more_total", 1),
        ("p_stranger_total", 2),
        ("p_wait", 1),
        ("p_size", 1),
    ] {
        let wrong = verified.count(metric, "totals_wrong");
        assert_eq!(wrong, samples, "{metric}\n{table}");
    }
    let pair = [
        r#"p_swapped{host="1",zone="a"}"#,
        r#"p_swapped{host="2",zone="b.*\"\\"}"#,
    ];
    for example in verified.examples("p_swapped", "wrong") {
        let other = pair.iter().find(|series| example["series"] != **series);
        let note = format!("that is the value of {}", other.unwrap());
        assert_eq!(example["note"], note, "{table}");
    }
    let late = verified.examples("p_late", "wrong");
    for example in late {
        let tick = example["tick"].as_u64().unwrap();
        let note = example["note"].as_str().unwrap_or("none");
        let before = (1..=2).any(|n| note == format!("that is its value of tick {}", tick - n));
        assert!(before, "{example}\n{table}");
    }
}

/// A backend that scraped through a proxy that was late with everything at two ticks, and lost
/// one scrape.
fn check_late(folder: &Path, url: &str, proxy: &Proxy) {
    let verified = verify(folder, url, &["--job", "late", "--last", "2m"]);
    let table = &verified.table;
    assert_eq!(verified.code, 3, "{table}");
    let gaps = verified.report["gaps"].as_array().unwrap();
    assert_eq!(gaps.len(), 1, "{table}");
    let lost = proxy.tamperer().lost();
    assert_eq!(gaps[0]["scrapes"], lost.len(), "{table}");
    assert_eq!(gaps[0]["reason"], Value::Null);

    let made = proxy.made();
    for metric in verified.report["metrics"].as_array().unwrap() {
        let name = metric["metric"].as_str().unwrap();
        let is_own = |made: &&Made| {
            let rest = made.series.name.strip_prefix(name);
            rest.is_some_and(|rest| matches!(rest, "" | "_bucket" | "_sum" | "_count"))
        };
        let made: Vec<Made> = made.iter().filter(is_own).cloned().collect();
        assert!(!made.is_empty(), "{name}");
        verified.assert_counts(name, Some("wrong"), made.len());
        let ticks: BTreeSet<u64> = made.iter().map(|made| made.tick).collect();
        for example in verified.examples(name, "wrong") {
            let tick = example["tick"].as_u64().unwrap();
            assert!(ticks.contains(&tick), "{example}");
        }
    }
    // Values with many digits are nobody else's.
    for note in notes(&verified, "p_control", "wrong") {
        assert!(
            note.starts_with("that is its value of tick "),
            "{note}\n{table}"
        );
    }
}

#[test]
fn whatever_happens_to_scrapes_is_found_and_named() {
    let Some(servers) = servers::find(&["prometheus", "victoria-metrics"]) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mockingbird = Mockingbird::start_own(CONFIG, folder);
    let proxies: [[Proxy; 2]; 2] =
        [0, 1].map(|_| [0, 1].map(|_| Proxy::scraping(&mockingbird.address)));
    let addresses = proxies
        .each_ref()
        .map(|of| of.each_ref().map(Proxy::address));
    let job = |name, address, protocol| Job {
        name,
        address,
        protocol,
        interval_s: 1,
    };
    let mut prometheus = Prometheus::start(
        &servers,
        folder,
        &[
            job("tampered", &addresses[0][0], Some("OpenMetricsText1.0.0")),
            job("late", &addresses[0][1], Some("PrometheusText0.0.4")),
        ],
    );
    let victoria = VictoriaMetrics::start_scraping_all(
        &servers,
        folder,
        &[("tampered", &addresses[1][0]), ("late", &addresses[1][1])],
        1,
    );
    let all = || proxies.iter().flatten();
    wait_until("everybody scrapes", Duration::from_secs(60), || {
        let latest = |proxy: &Proxy| proxy.tamperer().latest_tick();
        all().all(|proxy| latest(proxy) >= Some(2))
    });

    let from_tick = mockingbird.scrape().0 + 3;
    let cases = [true, false].map(cases);
    for (of, cases) in proxies.iter().zip(&cases) {
        for case in cases {
            of[0].tamperer().plan(Tampering {
                series: identity(case.series),
                deed: case.deed.clone(),
                from_tick,
                ticks: case.ticks,
            });
        }
        let mut late = of[1].tamperer();
        late.plan_whole(Whole::Late, from_tick, 2);
        late.plan_whole(Whole::Lose, from_tick + 4, 1);
    }
    wait_until("all is done", Duration::from_secs(60), || {
        prometheus.assert_running();
        all().all(|proxy| proxy.tamperer().is_done())
    });
    // What verify asks about ends five seconds ago.
    let done_tick = mockingbird.scrape().0;
    wait_until("it can be asked about", Duration::from_secs(60), || {
        mockingbird.scrape().0 >= done_tick + 9
    });

    let urls = [prometheus.url(), victoria.url()];
    for ((url, [tampered, late]), (cases, keeps_every_bit)) in urls
        .iter()
        .zip(&proxies)
        .zip(cases.iter().zip([true, false]))
    {
        check_tampered(folder, url, tampered, cases, keeps_every_bit);
        check_late(folder, url, late);
    }
}
