//! An old generation that is there again, a new one that is withheld, an end that comes late and
//! a reset that is hidden: proxies between a living fleet and real servers do each of these to
//! scrapes, to OTLP and to remote writes, and `verify` names it and nothing else.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::living::World;
use crate::servers;
use crate::servers::mockingbird::{Mockingbird, set};
use crate::servers::prometheus::{Job, Prometheus};
use crate::servers::proxy::Proxy;
use crate::servers::receivers::VictoriaMetrics;
use crate::servers::samples::Identity;
use crate::servers::tamper::{Deed, Made, Tampering};
use crate::verify::{Backend, WAYS, address, verify, wait_for};

/// A metric for each deed, and one of each kind that is let alone.
const FLEET: &str = r#"
global: {tick_interval_s: 1, seed: 3}
profiles:
  pods:
    labels: {pod: {range: [1, 20], fmt: "pod-{id:6}"}}
    churn: [{mode: replace, label: pod, lifetime: 25s}]
  workers:
    labels: {worker: {range: [1, 30]}}
    churn: [{mode: restart, label: worker, every: 40s, percent: 70, down: 2s}]
metrics:
  - {name: returned, type: gauge, profile: pods, algorithm: random_walk, start: 20, step: 1}
  - {name: withheld, type: gauge, profile: pods, algorithm: random_walk, start: 20, step: 1}
  - {name: lingering, type: gauge, profile: pods, algorithm: random_walk, start: 20, step: 1}
  - {name: smoothed, type: counter, profile: workers, algorithm: poisson, base_rate: 5}
  - {name: untouched_load, type: gauge, profile: pods, algorithm: random_walk, start: 9, step: 1}
  - {name: untouched, type: counter, profile: workers, algorithm: poisson, base_rate: 5}
"#;

/// How many ticks there are.
const TICKS: u64 = 58;
/// Something is done from this tick on, when everything runs.
const FROM: u64 = 12;

/// How samples come to a backend.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Scrapes,
    Otlp,
    RemoteWrite,
}

impl Way {
    const ALL: [Self; 3] = [Self::Scrapes, Self::Otlp, Self::RemoteWrite];

    fn prefix(self) -> &'static str {
        match self {
            Self::Scrapes => "scraped_",
            Self::Otlp => "otlp_",
            Self::RemoteWrite => "rw_",
        }
    }

    /// A scraped series as it passes the proxy: OTLP knows no `_total`, remote write has the
    /// target's labels already.
    fn sent(self, scraped: &Identity) -> Identity {
        let base = scraped.name.strip_prefix("scraped_").expect("a prefix");
        let base = match self {
            Self::Otlp => base.strip_suffix("_total").unwrap_or(base),
            Self::Scrapes | Self::RemoteWrite => base,
        };
        let mut sent = Identity {
            name: format!("{}{base}", self.prefix()),
            labels: scraped.labels.clone(),
        };
        if self == Self::RemoteWrite {
            let job = ("job".to_owned(), "mockingbird".to_owned());
            sent.labels.extend([job]);
        }
        sent
    }

    /// Whether it has to be told when a series is over, which a proxy that shows more of it does
    /// not do.
    fn is_pushed(self) -> bool {
        self != Self::Scrapes
    }
}

/// What was done to a metric, and how `verify` has to call it.
struct Expected {
    metric: &'static str,
    /// Field of a report that counts it, and what its examples are.
    field: &'static str,
    what: &'static str,
    /// As it is scraped.
    series: Identity,
    note: String,
}

/// A proxy, the way on which samples pass it, and what there is of them.
struct Subject<'a> {
    way: Way,
    proxy: &'a Proxy,
    world: &'a World,
}

impl Subject<'_> {
    /// The ticks at which each series of a metric exists.
    fn lives(&self, metric: &str) -> BTreeMap<Identity, Vec<(u64, f64)>> {
        let mut lives = BTreeMap::<Identity, Vec<(u64, f64)>>::new();
        for tick in 0..TICKS {
            for (identity, value) in self.world.at(tick, &format!("scraped_{metric}")) {
                let life = lives.entry(identity.clone()).or_default();
                life.push((tick, value));
            }
        }
        lives
    }

    fn plan(&self, series: &Identity, deed: Deed, from_tick: u64, ticks: usize) {
        self.proxy.tamperer().plan(Tampering {
            series: self.way.sent(series),
            deed,
            from_tick,
            ticks,
        });
    }

    fn plan_all(&self) -> [Expected; 4] {
        [
            self.plan_old("returned", 9, 3),
            self.plan_old("lingering", 0, 2),
            self.plan_withheld(),
            self.plan_smoothed(),
        ]
    }

    /// Plans that a series which ended at a tick is there at others, beside one that lives then.
    fn plan_old(&self, metric: &'static str, later: u64, ticks: u64) -> Expected {
        let lives = self.lives(metric);
        let (old, ended) = lives
            .iter()
            .find_map(|(identity, life)| {
                let ended = life[life.len() - 1].0 + 1;
                let is_meant = ended >= FROM && ended + later + ticks < TICKS - 12;
                is_meant.then(|| (identity.clone(), ended))
            })
            .expect("one that ends");
        let from_tick = ended + later;
        let (model, _) = lives
            .iter()
            .find(|(_, life)| {
                life[0].0 + 1 < from_tick && life[life.len() - 1].0 > from_tick + ticks
            })
            .expect("one that lives");
        let value = old.labels["pod"].clone().leak();
        let deed = Deed::Stranger {
            label: "pod",
            value,
        };
        self.plan(model, deed, from_tick, ticks as usize);
        if later == 0 {
            // What is there longer is not said to be over.
            let mut tamperer = self.proxy.tamperer();
            tamperer.withhold_end(self.way.sent(&old));
        }
        Expected {
            metric,
            field: "unexpected",
            what: "unexpected",
            series: old,
            note: format!("it ended at tick {ended}"),
        }
    }

    /// Plans that a series is never there.
    fn plan_withheld(&self) -> Expected {
        let (series, life) = self
            .lives("withheld")
            .into_iter()
            .find(|(_, life)| life[0].0 >= FROM && life[life.len() - 1].0 < TICKS - 10)
            .expect("one that is born and ends");
        self.plan(&series, Deed::Drop, life[0].0, life.len());
        Expected {
            metric: "withheld",
            field: "missing",
            what: "missing",
            series,
            note: format!("it began at tick {}", life[0].0),
        }
    }

    /// Plans that a counter which restarts goes on from where it was.
    fn plan_smoothed(&self) -> Expected {
        let (series, anew, before) = self
            .lives("smoothed_total")
            .into_iter()
            .find_map(|(identity, life)| {
                let mut restarts = life.windows(2).filter(|pair| pair[1].0 > pair[0].0 + 1);
                let pair = restarts.next()?;
                let is_meant = pair[1].0 >= FROM && pair[1].0 < TICKS - 20 && pair[0].1 > 5.0;
                (restarts.next().is_none() && is_meant).then(|| (identity, pair[1].0, pair[0].1))
            })
            .expect("one that restarts");
        self.plan(&series, Deed::Add(before), anew, usize::MAX);
        Expected {
            metric: "smoothed_total",
            field: "wrong",
            what: "wrong",
            series,
            note: format!("it began at tick {anew}"),
        }
    }

    /// A report names what was done, as often as it was, and nothing else.
    fn assert_found(&self, expected: &[Expected], report: &Value, table: &str) {
        let last = report["ticks"][1].as_u64().unwrap();
        let made = self.proxy.made();
        for metric in report["metrics"].as_array().unwrap() {
            let name = metric["metric"].as_str().unwrap();
            let name = name.strip_prefix(self.way.prefix()).unwrap();
            let own = expected.iter().find(|expected| expected.metric == name);
            for field in ["missing", "wrong", "unexpected", "misplaced", "duplicated"] {
                let count = metric[field].as_u64().unwrap() as usize;
                let Some(own) = own.filter(|own| own.field == field) else {
                    assert_eq!(count, 0, "{name}: {field}: {table}");
                    continue;
                };
                let sent = self.way.sent(&own.series);
                let touched = made.iter().filter(|made| made.series == sent);
                let touched: Vec<&Made> = touched.filter(|made| made.tick <= last).collect();
                // The last tick may have been scraped once more after the range.
                let surely = touched.iter().filter(|made| made.tick < last).count();
                assert!(surely >= 1, "{name} was not touched: {table}");
                let is_right = (surely..=touched.len()).contains(&count);
                assert!(is_right, "{name}: {count}, made {touched:?}: {table}");
            }
            let late = metric["stale_late"].as_u64().unwrap();
            match name {
                // A late end is also one that nothing marks in time; or at all, where something
                // else than a scrape without it has to.
                "lingering" if self.way.is_pushed() => assert!(late >= 1, "{table}"),
                "lingering" => assert_eq!(late, 1, "{table}"),
                "returned" if self.way.is_pushed() => {}
                _ => assert_eq!(late, 0, "{name}: {table}"),
            }
            let Some(own) = own else {
                assert_eq!(metric["totals_wrong"], 0, "{name}: {table}");
                assert_eq!(metric["examples"], Value::Array(Vec::new()), "{name}");
                continue;
            };
            assert_named(metric, own, table);
        }
    }
}

/// Every example is of the series that was meant, and says what is known of it.
fn assert_named(metric: &Value, own: &Expected, table: &str) {
    let examples = metric["examples"].as_array().unwrap();
    let of_samples: Vec<&Value> = examples
        .iter()
        .filter(|example| example["what"] != "totals" && example["what"] != "stale_late")
        .collect();
    let (label, value) = own.series.labels.first_key_value().unwrap();
    let label = format!("{label}=\"{value}\"");
    for example in &of_samples {
        assert_eq!(example["what"], own.what, "{table}");
        let series = example["series"].as_str().unwrap();
        assert!(series.contains(&label), "{series}: {table}");
    }
    let note = of_samples[0]["note"].as_str().unwrap_or_default();
    assert!(
        note.contains(&own.note),
        "{note}, not {}: {table}",
        own.note
    );
}

/// Runs the fleet through proxies into a backend, and lets `verify` judge each way.
fn check(folder: &Path, port: u16, scrapes: &Proxy, backend: &dyn Backend) {
    let otlp = Proxy::otlp(&backend.otlp_url());
    let write = Proxy::remote_write(&backend.remote_write_url());
    let mut mockingbird = Mockingbird::start_recorded(FLEET, folder, |config| {
        set(config, &["exporters", "prometheus", "port"], port);
        set(config, &["exporters", "prometheus", "prefix"], "scraped_");
        let of_push = "interval_s: 1, concurrency: 1";
        let sections = [
            format!(
                "{{endpoint: '{}', compression: none, export_{of_push}, prefix: otlp_}}",
                otlp.url()
            ),
            format!(
                "[{{url: '{}', version: 1, instance: none, {of_push}, prefix: rw_}}]",
                write.url()
            ),
        ];
        for (name, section) in ["otel", "remote_write"].iter().zip(sections) {
            let section: serde_yaml::Value = serde_yaml::from_str(&section).unwrap();
            set(config, &["exporters", name], section);
        }
    });
    for proxy in [&otlp, &write] {
        proxy.begin(mockingbird.epoch_ms, mockingbird.interval_ms);
    }
    let world = World::of(folder, &mockingbird, TICKS);
    let subjects = [scrapes, &otlp, &write].into_iter().zip(Way::ALL);
    let subjects = subjects.map(|(proxy, way)| {
        let subject = Subject {
            way,
            proxy,
            world: &world,
        };
        let expected = subject.plan_all();
        (subject, expected)
    });
    let subjects: Vec<(Subject, [Expected; 4])> = subjects.collect();
    wait_for(&mockingbird, TICKS - 2);
    mockingbird.interrupt();
    std::thread::sleep(Duration::from_secs(8));
    backend.flush();
    for ((subject, expected), way) in subjects.iter().zip(WAYS) {
        let (code, table, report) = verify(folder, backend.url(), &[way, &["--all"]]);
        assert_eq!(code, 3, "{table}");
        println!("{table}");
        assert_eq!(report["gaps"], serde_json::json!([]), "{table}");
        subject.assert_found(expected, &report, &table);
    }
}

#[test]
#[ignore = "needs servers"]
fn generations_that_prometheus_got_wrong_are_named() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (port, address) = address();
    let proxy = Proxy::scraping(&address);
    let job = Job {
        name: "scraped",
        address: &proxy.address(),
        protocol: None,
        interval_s: 1,
    };
    let prometheus = Prometheus::start(&servers, folder, &[job]);
    check(folder, port, &proxy, &prometheus);
}

#[test]
#[ignore = "needs servers"]
fn generations_that_victoria_metrics_got_wrong_are_named() {
    let servers = servers::find(&["victoria-metrics"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (port, address) = address();
    let proxy = Proxy::scraping(&address);
    let victoria = VictoriaMetrics::start_scraping(&servers, folder, &proxy.address(), 1);
    check(folder, port, &proxy, &victoria);
}
