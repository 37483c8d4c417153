//! `verify` against a backend that answers from what was rendered, whole and then tampered with
//! by one sample: each difference must be found, and the series named.

#[path = "verify/deltas.rs"]
mod deltas;
#[path = "verify/edges.rs"]
mod edges;
#[path = "verify/exemplars.rs"]
mod exemplars;
#[path = "verify/fake.rs"]
mod fake;
#[path = "verify/kin.rs"]
mod kin;
#[path = "verify/living.rs"]
mod living;
#[path = "verify/loads.rs"]
mod loads;
#[path = "verify/many_rounds.rs"]
mod many_rounds;
#[path = "verify/pages.rs"]
mod pages;
#[path = "verify/reloads.rs"]
mod reloads;
#[path = "verify/rounds.rs"]
mod rounds;
#[path = "verify/rules.rs"]
mod rules;
#[path = "verify/runs.rs"]
mod runs;
mod servers;
#[path = "verify/shards.rs"]
mod shards;
#[path = "verify/starts.rs"]
mod starts;
#[path = "verify/targets.rs"]
mod targets;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use fake::{Fake, Labels, Store, TIMEOUT, serve, serve_fake, serve_victoria};
use mockingbird::clock::rfc3339;
use mockingbird::config;
use mockingbird::engine::Engine;
use mockingbird::exporters::Needs;
use mockingbird::exposition::Renderer;
use mockingbird::exposition::negotiate::Format;
use mockingbird::exposition::pool::RenderPool;
use mockingbird::http::{Limits, Reply, Request, Server};
use mockingbird::journal::{Replay, United};
use mockingbird::model::Catalog;
use mockingbird::verify::backend::Backend;
use mockingbird::verify::compare::{self, Failures};
use mockingbird::verify::report::{Example, Report, Tally, What};
use mockingbird::verify::{self, Options, Share, VerifyError, Via};
use proptest::prelude::*;

const CONFIG: &str = r#"
global: {tick_interval_s: 1, seed: 7, epoch: "2026-01-01T00:00:00Z"}
exporters:
  prometheus: {prefix: p_, created: true}
  otel: {prefix: o_, export_interval_s: 4, endpoint: "localhost:1"}
  remote_write:
    - {url: "http://localhost:1/", enabled: false}
    - {url: "http://localhost:1/", prefix: r_, interval_s: 4}
runtime:
  on_start:
    - {action: error_rate, metric: temperature, rate: 0.2, duration_s: 21}
profiles:
  all: {labels: {zone: {values: [a, "b.*\"\\", c d]}, host: {range: [1, 400]}}}
  few:
    labels: {zone: {values: [a, c d]}, host: {range: [1, 400]}}
    series_cap: 40
    sampling_strategy: hash
metrics:
  - {name: requests, type: counter, profile: all, algorithm: poisson, base_rate: 3}
  - {name: temperature, type: gauge, profile: all, algorithm: random_walk, start: 20, step: 1}
  - {name: wait, type: histogram, profile: few, algorithm: exponential, lam: 2, buckets: [0.5, 1]}
  - {name: size, type: summary, profile: few, algorithm: lognormal, mu: 1, sigma: 1,
     max_age_s: 5, observations_per_tick: 1, objectives: {0.5: 0.05}}
"#;
/// 2026-01-01T00:00:00Z
const EPOCH_MS: i64 = 1_767_225_600_000;
const TICKS: u64 = 40;
const TARGET: [(&str, &str); 2] = [("instance", "h:1"), ("job", "j")];

fn replay() -> Replay {
    replay_of(CONFIG)
}

fn replay_of(text: &str) -> Replay {
    let path = Path::new("c.yaml");
    let config = config::load_str(path, text.as_bytes(), &|_| None).unwrap();
    Replay::of_config(config, EPOCH_MS * 1_000_000, Needs::default())
}

/// When a tick is scraped.
fn time_ms(tick: u64) -> i64 {
    EPOCH_MS + tick as i64 * 1000 + 321
}

/// What a backend holds that has scraped every tick.
fn store() -> Store {
    static STORE: LazyLock<Store> = LazyLock::new(|| scraped(CONFIG));
    STORE.clone()
}

/// The same of any configuration.
fn scraped(config: &str) -> Store {
    stored_scrapes(exposed(config, "p_", TICKS))
}

/// What a backend holds that has scraped what was exposed, tick by tick.
fn stored_scrapes(exposed: Vec<Vec<(Labels, f64)>>) -> Store {
    let mut store = Store::new();
    for (tick, samples) in exposed.into_iter().enumerate() {
        for (mut labels, value) in samples {
            for (name, value) in TARGET {
                // As with `honor_labels`.
                labels.entry(name.into()).or_insert(value.into());
            }
            let samples = store.entry(labels).or_default();
            samples.push((time_ms(tick as u64), value));
        }
    }
    store
}

/// What a run exposes, tick by tick: labels, the name among them, and values.
fn exposed(text: &str, prefix: &str, ticks: u64) -> Vec<Vec<(Labels, f64)>> {
    exposed_by(replay_of(text), prefix, ticks)
}

/// The same of a run to which something is done.
fn exposed_by(mut replay: Replay, prefix: &str, ticks: u64) -> Vec<Vec<(Labels, f64)>> {
    let mut engine: Engine = replay.engine(2).unwrap();
    let mut renderer: Option<(Arc<Catalog>, Arc<Renderer>)> = None;
    let pool = RenderPool::new(2).unwrap();
    let bodies = (0..ticks).map(|tick| {
        replay.before_tick(&mut engine).unwrap();
        let frame = engine.advance(|_, _| {});
        let catalog = frame.catalog();
        let known = renderer.take().filter(|(of, _)| Arc::ptr_eq(of, catalog));
        let (_, renderer) = renderer.insert(known.unwrap_or_else(|| {
            let renderer = Renderer::new(Arc::clone(catalog), prefix, false);
            (Arc::clone(catalog), Arc::new(renderer))
        }));
        let mut body = Vec::new();
        pool.stream(
            Arc::clone(&frame),
            renderer,
            Format::Text,
            false,
            &mut |bytes| {
                body.extend_from_slice(bytes);
                Ok(())
            },
        )
        .unwrap();
        let body = String::from_utf8(body).unwrap() + &format!("{prefix}gen_ticks_total {tick}\n");
        let samples = servers::samples::parse(&body, false).unwrap();
        let samples = samples.into_iter().map(|(identity, value)| {
            let mut labels = identity.labels;
            labels.retain(|_, value| !value.is_empty());
            labels.insert("__name__".into(), identity.name);
            (labels, value)
        });
        samples.collect()
    });
    bodies.collect()
}

/// A run of one process.
fn alone(whole: Replay) -> United {
    United {
        whole,
        parts: Vec::new(),
    }
}

fn options() -> Options {
    Options {
        via: Via::Prometheus,
        from_ms: EPOCH_MS,
        to_ms: time_ms(TICKS),
        visible_until_ms: None,
        whole_range: true,
        goes_on_until_ms: None,
        known_until_ms: None,
        share: Share::All,
        matches: Vec::new(),
        instants: 3,
        targets_max: 1,
        job: None,
        instance: None,
        tolerance: None,
        deltas_stored_as: None,
        threads: 2,
    }
}

fn verify(store: Store, options: &Options) -> Result<Report, VerifyError> {
    verify_served(serve(store), options)
}

fn verify_served(served: (Server, Backend), options: &Options) -> Result<Report, VerifyError> {
    verify_run(CONFIG, served, options)
}

/// The same of another run.
fn verify_run(
    text: &str,
    (_server, backend): (Server, Backend),
    options: &Options,
) -> Result<Report, VerifyError> {
    let found = verify::run(replay_of(text), &backend, options, &mut |_, _| {})?;
    Ok(found.into_only())
}

/// The report after something was done to what is stored.
fn tampered(tamper: impl FnOnce(&mut Store)) -> Report {
    let mut store = store();
    tamper(&mut store);
    let report = verify(store, &options()).unwrap();
    assert!(!report.ok);
    report
}

fn labels(name: &str, pairs: &[(&str, &str)]) -> Labels {
    let name = [("__name__", name)];
    let all = pairs.iter().chain(&TARGET).chain(&name);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// The examples of a kind, of all metrics.
fn examples(report: &Report, what: What) -> Vec<&Example> {
    let all = report.metrics.iter().flat_map(|tally| &tally.examples);
    all.filter(|example| example.what == what).collect()
}

/// Missing, wrong, unexpected, misplaced, duplicated samples of all metrics.
fn counts(report: &Report) -> [u64; 5] {
    report.metrics.iter().fold([0; 5], |sum, tally| {
        let [a, b, c, d, e] = sum;
        [
            a + tally.missing,
            b + tally.wrong,
            c + tally.unexpected,
            d + tally.misplaced,
            e + tally.duplicated,
        ]
    })
}

#[test]
fn what_is_right_passes() {
    let report = verify(store(), &options()).unwrap();
    assert!(report.ok, "{}", report.table(false));
    assert_eq!(report.scrapes, TICKS as usize);
    assert_eq!(counts(&report), [0; 5]);
    let samples: Vec<u64> = report.metrics.iter().map(|tally| tally.samples).collect();
    let sum: usize = store().values().map(Vec::len).sum();
    // All but the tick numbers themselves.
    assert_eq!(samples.iter().sum::<u64>(), sum as u64 - TICKS);
    assert_eq!(samples[0], 1200 * TICKS);
    // Points were left out, and NaN is among the quantiles.
    assert!(samples[1] < 1200 * TICKS);
    let nan = store()
        .values()
        .flatten()
        .filter(|(_, v)| v.is_nan())
        .count();
    assert!(nan > 0);
    let table = report.table(false);
    assert!(table.contains("Everything that was compared is as expected."));
    assert!(!table.contains('\u{1b}'));
}

#[test]
fn a_share_of_series_is_always_the_same_and_labels_narrow_it() {
    let options = Options {
        share: Share::Series(50),
        ..options()
    };
    let report = verify(store(), &options).unwrap();
    assert!(report.ok, "{}", report.table(false));
    let sampled = |report: &Report| -> Vec<usize> {
        let metrics = report.metrics.iter();
        metrics.map(|tally| tally.series_sampled).collect()
    };
    assert_eq!(sampled(&report).iter().sum::<usize>(), 50);
    let again = verify(store(), &options).unwrap();
    assert_eq!(sampled(&again), sampled(&report));

    let narrow = Options {
        matches: vec![
            ("zone".into(), "b.*\"\\".into()),
            ("host".into(), "7".into()),
        ],
        ..options
    };
    let report = verify(store(), &narrow).unwrap();
    assert!(report.ok, "{}", report.table(false));
    assert_eq!(sampled(&report)[..2], [1, 1]);
    let none = Options {
        matches: vec![("zone".into(), "elsewhere".into())],
        ..narrow
    };
    let error = verify(store(), &none).unwrap_err();
    assert!(matches!(error, VerifyError::Config(_)), "{error}");
}

#[test]
fn a_lost_series_is_named_by_counts_and_by_samples() {
    let lost = labels("p_requests_total", &[("zone", "b.*\"\\"), ("host", "123")]);
    let report = tampered(|store| {
        store.remove(&lost).unwrap();
    });
    assert_eq!(counts(&report), [TICKS, 0, 0, 0, 0]);
    assert_eq!(report.metrics[0].totals_wrong, 3);
    let missing = examples(&report, What::Missing);
    let named = r#"p_requests_total{host="123",zone="b.*\"\\"}"#;
    assert!(missing.iter().all(|example| example.series == named));
    assert!(
        report.metrics[1..]
            .iter()
            .all(|tally| tally.examples.is_empty())
    );

    // Counts and sums alone find it, too.
    let mut store = store();
    store.remove(&lost).unwrap();
    let few = Options {
        share: Share::Series(1),
        ..options()
    };
    let report = verify(store, &few).unwrap();
    assert_eq!(examples(&report, What::Missing)[0].series, named);
    assert_eq!(
        examples(&report, What::Totals)[0].expected.as_deref(),
        Some("1200 series")
    );
}

#[test]
fn a_value_that_is_off_by_the_last_bit_is_found() {
    let of = labels("p_temperature", &[("zone", "a"), ("host", "9")]);
    let mut bits = (0.0, 0.0);
    let report = tampered(|store| {
        let sample = &mut store.get_mut(&of).unwrap()[21];
        let changed = f64::from_bits(sample.1.to_bits() + 1);
        bits = (sample.1, changed);
        sample.1 = changed;
    });
    assert_eq!(counts(&report), [0, 1, 0, 0, 0]);
    let [example] = examples(&report, What::Wrong)[..] else {
        panic!("{}", report.table(false));
    };
    assert_eq!(example.series, r#"p_temperature{host="9",zone="a"}"#);
    assert_eq!(example.expected, Some(format!("{:?}", bits.0)));
    assert_eq!(example.found, Some(format!("{:?}", bits.1)));
    assert!(
        example.query.contains(r#"host="9",zone="a""#),
        "{}",
        example.query
    );
}

#[test]
fn swapped_values_name_each_other() {
    let of = |host| labels("p_temperature", &[("zone", "a"), ("host", host)]);
    let report = tampered(|store| {
        // Both have a point at each of the last ticks.
        let last = |store: &Store, host| store[&of(host)].len() - 1;
        let (at, other_at) = (last(store, "1"), last(store, "2"));
        let (one, other) = (store[&of("1")][at].1, store[&of("2")][other_at].1);
        store.get_mut(&of("1")).unwrap()[at].1 = other;
        store.get_mut(&of("2")).unwrap()[other_at].1 = one;
    });
    assert_eq!(counts(&report), [0, 2, 0, 0, 0]);
    let wrong = examples(&report, What::Wrong);
    let named = |host: u32| format!(r#"p_temperature{{host="{host}",zone="a"}}"#);
    assert_eq!(wrong[0].series, named(1));
    assert_eq!(
        wrong[0].note,
        Some(format!("that is the value of {}", named(2)))
    );
    assert_eq!(
        wrong[1].note,
        Some(format!("that is the value of {}", named(1)))
    );
}

#[test]
fn delayed_and_repeated_samples_are_told_from_others() {
    let of = labels("p_temperature", &[("zone", "c d"), ("host", "5")]);
    let report = tampered(|store| store.get_mut(&of).unwrap()[25].0 += 400);
    assert_eq!(counts(&report), [0, 0, 0, 1, 0]);
    let example = examples(&report, What::Misplaced)[0];
    assert_eq!(example.series, r#"p_temperature{host="5",zone="c d"}"#);
    assert_eq!(
        example.tick,
        Some(26),
        "points before tick 20 are left out at times"
    );

    let of = labels("p_wait_bucket", &[("le", "+Inf"), ("zone", "a")]);
    let report = tampered(|store| {
        let is_meant = |labels: &&Labels| of.iter().all(|(n, v)| labels.get(n) == Some(v));
        let key = store.keys().find(is_meant).unwrap().clone();
        let samples = store.get_mut(&key).unwrap();
        samples.insert(9, samples[8]);
    });
    assert_eq!(counts(&report), [0, 0, 0, 0, 1]);
    assert_eq!(examples(&report, What::Duplicate)[0].tick, Some(8));
}

#[test]
fn a_series_that_lags_behind_is_told_from_a_wrong_one() {
    let of = labels("p_wait_sum", &[("zone", "a")]);
    let report = tampered(|store| {
        let is_meant = |labels: &&Labels| of.iter().all(|(n, v)| labels.get(n) == Some(v));
        let key = store.keys().find(is_meant).unwrap().clone();
        let samples = store.get_mut(&key).unwrap();
        for at in (22..25).rev() {
            samples[at].1 = samples[at - 1].1;
        }
        samples[30].1 = -1.0;
    });
    assert_eq!(counts(&report), [0, 4, 0, 0, 0]);
    let wrong = examples(&report, What::Wrong);
    let told: Vec<_> = wrong
        .iter()
        .map(|example| (example.tick.unwrap(), example.note.as_deref()))
        .collect();
    let lags = |tick: u64| format!("that is its value of tick {}", tick - 1);
    let notes = [22, 23, 24].map(lags);
    assert_eq!(
        told,
        [
            (22, Some(notes[0].as_str())),
            (23, Some(notes[1].as_str())),
            (24, Some(notes[2].as_str())),
            (30, None),
        ]
    );
}

#[test]
fn a_sample_that_comes_again_later_is_told_with_its_tick() {
    let of = labels("p_requests_total", &[("zone", "a"), ("host", "9")]);
    let mut value = 0.0;
    let report = tampered(|store| {
        let samples = store.get_mut(&of).unwrap();
        value = samples[12].1;
        samples.insert(13, (samples[12].0 + 250, value));
        samples.insert(21, (time_ms(19) + 250, 1e6));
    });
    assert_eq!(counts(&report), [0, 0, 1, 0, 1]);
    let again = examples(&report, What::Duplicate)[0];
    assert_eq!((again.tick, again.time_ms), (Some(12), time_ms(12) + 250));
    assert_eq!(again.note.as_deref(), Some("the sample of tick 12 again"));
    assert_eq!(again.found, Some(format!("{value:?}")));
    let stray = examples(&report, What::Unexpected)[0];
    assert_eq!((stray.tick, stray.time_ms), (None, time_ms(19) + 250));
}

#[test]
fn what_should_not_be_there_is_found() {
    let strange = labels("p_requests_total", &[("zone", "d"), ("host", "1")]);
    let report = tampered(|store| {
        let samples = (0..TICKS).map(|tick| (time_ms(tick), 1.0));
        store.insert(strange, samples.collect());
    });
    let unexpected = examples(&report, What::Unexpected);
    let named = r#"p_requests_total{host="1",zone="d"}"#;
    assert!(!unexpected.is_empty());
    assert!(unexpected.iter().all(|example| example.series == named));
    for example in unexpected {
        assert_eq!(example.time_ms, time_ms(example.tick.unwrap()));
    }

    // A point that is left out is there all the same.
    let of = labels("p_temperature", &[("zone", "a"), ("host", "9")]);
    let mut tick = 0;
    let report = tampered(|store| {
        let samples = store.get_mut(&of).unwrap();
        let left_out = |tick: &u64| samples.iter().all(|(at, _)| *at != time_ms(*tick));
        tick = (0..TICKS).find(left_out).expect("a point that is left out");
        samples.push((time_ms(tick), 20.0));
        samples.sort_by_key(|(at, _)| *at);
    });
    assert_eq!(counts(&report), [0, 0, 1, 0, 0]);
    assert_eq!(examples(&report, What::Unexpected)[0].tick, Some(tick));
}

#[test]
fn scrapes_that_never_happened_are_a_gap() {
    let lost = 11..15;
    let is_lost = |at: i64| lost.clone().any(|tick| time_ms(tick) == at);
    let report = tampered(|store| {
        for samples in store.values_mut() {
            samples.retain(|(at, _)| !is_lost(*at));
        }
    });
    assert_eq!(counts(&report), [0; 5]);
    let [gap] = &report.gaps[..] else {
        panic!("{:?}", report.gaps);
    };
    let ends = (time_ms(10), time_ms(15), 4);
    assert_eq!((gap.after_ms, gap.before_ms, gap.scrapes), ends);

    // At the end of the range, too.
    let report = tampered(|store| {
        for samples in store.values_mut() {
            samples.retain(|(at, _)| *at < time_ms(30));
        }
    });
    assert_eq!(report.gaps.len(), 1);
    assert_eq!(report.gaps[0].after_ms, time_ms(29));
}

/// `verify` as a command, of the configuration in a folder.
fn command(folder: &Path, backend: &Backend) -> Command {
    let config = folder.join("c.yaml");
    std::fs::write(&config, CONFIG).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mockingbird"));
    command.args(["verify", "--backend", backend.url(), "--config"]);
    command.arg(config);
    command
}

/// What cannot work is told before anything is asked.
#[test]
fn mistakes_are_told_before_there_is_anything_to_lose() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = Backend::new("http://127.0.0.1:1", Vec::new(), TIMEOUT).unwrap();
    for (arguments, code, expected) in [
        (
            &["--json", "none/a.json"][..],
            1,
            "none/a.json: cannot be written",
        ),
        (&["--html", "/"], 1, "/: cannot be written"),
        (&["--json", "-", "--html", "-"], 2, "name two files"),
        (
            &["--remote-write", "2"],
            2,
            "only goes with --via remote_write",
        ),
        (
            &["--from", "tomorrow", "--to", "2026-01-01T00:00:00Z"],
            2,
            "expected a time",
        ),
        (&["--timeout", "soon"], 2, "expected seconds or a duration"),
        (&[], 1, "http://127.0.0.1:1: "),
    ] {
        let mut command = command(folder.path(), &nobody);
        let output = command.args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    }
}

/// What answers is no query API, or nobody does: what to do is said.
#[test]
fn a_backend_that_is_none_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, backend) = serve(store());
    let nobody = "http://127.0.0.1:1".to_owned();
    for (url, expected) in [
        (
            format!("{}/api/v1", backend.url()),
            format!(
                "give the base URL, which /api/v1/query follows: {}",
                backend.url()
            ),
        ),
        (
            format!("{}/metrics", backend.url()),
            format!("follows, like {})", backend.url()),
        ),
        (nobody, "is it running, and is this its port?".to_owned()),
    ] {
        let other = Backend::new(&url, Vec::new(), TIMEOUT).unwrap();
        let output = command(folder.path(), &other).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&expected), "{said}");
    }
}

/// A backend that takes long is not waited for longer than it may.
#[test]
fn a_query_has_a_time_limit() {
    let handler = |request: &Request<'_>, reply: Reply<'_>| {
        if request.path() == "/api/v1/query" {
            std::thread::sleep(Duration::from_secs(3));
        }
        reply.send(200, &[], b"{}")
    };
    let server = Server::bind("127.0.0.1:0", Limits::default(), handler).unwrap();
    let url = format!("http://{}", server.local_addr());
    let backend = Backend::new(&url, Vec::new(), Duration::from_millis(300)).unwrap();
    let error = verify::run(replay(), &backend, &options(), &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, VerifyError::Ask(_)), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("has not answered within 0.3 s"),
        "{message}"
    );
}

/// What ends so near to now that it need not be visible is warned of.
#[test]
fn a_range_that_ends_just_now_is_warned_of() {
    let warnings = |until_ms: i64| {
        let options = options();
        let options = Options {
            visible_until_ms: Some(options.to_ms + until_ms),
            ..options
        };
        let report = verify(store(), &options).unwrap();
        assert!(report.ok, "{}", report.table(false));
        (report.warnings.clone(), report.table(false))
    };
    assert_eq!(warnings(0).0, [""; 0]);
    let (warnings, table) = warnings(-2500);
    assert_eq!(warnings.len(), 1);
    let warning = "a backend need not show the last 2.5 s of the range yet";
    assert!(warnings[0].starts_with(warning), "{warnings:?}");
    assert!(table.contains(&format!("\nWarning: {warning}")), "{table}");

    let folder = tempfile::tempdir().unwrap();
    let (_server, backend) = serve(store());
    for (to, count) in [
        (jiff::Timestamp::now().to_string().as_str(), 1),
        ("2026-01-01T00:00:40Z", 0),
    ] {
        let output = command(folder.path(), &backend)
            .args(["--from", "2026-01-01T00:00:00Z", "--to", to])
            .args(["--series", "1", "--instants", "1", "--json", "-"])
            .args(["--visible-after", "1h"])
            .output()
            .unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let warnings = report["warnings"].as_array().unwrap();
        assert_eq!(warnings.len(), count, "{to}: {report}");
        for warning in warnings {
            let warning = warning.as_str().unwrap();
            assert!(warning.contains("need not show the last 35"), "{warning}");
        }
    }
}

/// An interrupted watch ends with what it found, though a round is under way.
#[test]
fn a_watch_that_is_interrupted_tells_what_it_found() {
    let mut store = store();
    store
        .remove(&labels("p_requests_total", &[("zone", "a"), ("host", "9")]))
        .unwrap();
    let fake = Fake {
        // Longer than other commands take to end once they are told.
        metadata_takes: Duration::from_millis(1500),
        ..Fake::new(store)
    };
    let (_server, backend) = serve_fake(fake, &[]);
    let folder = tempfile::tempdir().unwrap();
    let mut child = command(folder.path(), &backend)
        .args(["--watch", "1s", "--visible-after", "1s", "--last", "3660d"])
        .args(["--series", "1", "--instants", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains("DIFFERS"), "{line}");
    // The next round has begun by then: the one before took longer than the interval.
    std::thread::sleep(Duration::from_millis(300));
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("2 with differences"), "{said}");
}

/// A query that a backend does not answer is told with the reason, and has no time.
#[test]
fn compared_backends_tell_why_they_refuse_a_query() {
    let (_one, answers) = serve(store());
    let refuses = Fake {
        refuses: true,
        ..Fake::new(store())
    };
    let (_other, refuses) = serve_fake(refuses, &[]);
    let backends = [answers, refuses];
    let run = alone(replay());
    let compared = compare::compare(&run, &backends, &options(), 2, &mut |_, _| {}).unwrap();
    let table = compared.table(false);
    assert!(compared.ok, "{table}");
    let timed = |kind: &str| {
        compared
            .queries
            .iter()
            .find(|timed| timed.kind == kind)
            .unwrap()
    };
    let counts = timed("count of all series");
    assert!(
        counts
            .latencies
            .iter()
            .all(|latency| latency.unwrap().count == 8)
    );
    assert_eq!(counts.failures, [None, None]);
    let rates = timed("rate over 5 minutes");
    let [Some(latency), None] = rates.latencies[..] else {
        panic!("{table}");
    };
    assert_eq!(latency.count, 2);
    let failures = Failures {
        count: 2,
        query: r#"sum(rate(p_requests_total{instance="h:1",job="j"}[5m]))"#.to_owned(),
        reason: "refuses: too many series".to_owned(),
    };
    let told = format!(
        "\nB did not answer 2 of 2 queries (rate over 5 minutes): {}\n  {}\n",
        failures.reason, failures.query
    );
    assert!(table.contains(&told), "{table}");
    let json = serde_json::to_value(rates).unwrap();
    assert_eq!(json["failures"][1]["reason"], failures.reason);
    assert_eq!(rates.failures, [None, Some(failures)]);
}

/// The page tells what the table tells, each difference with its query, and needs nothing else.
#[test]
fn the_page_shows_every_difference() {
    let [lost, off] = ["123", "9"].map(|host| ("host", host));
    let lost = labels("p_requests_total", &[("zone", "b.*\"\\"), lost]);
    let off = labels("p_temperature", &[("zone", "a"), off]);
    let mut store = store();
    let tamper = |store: &mut Store| {
        store.get_mut(&lost).unwrap().drain(3..7);
        let sample = &mut store.get_mut(&off).unwrap()[21];
        sample.1 = f64::from_bits(sample.1.to_bits() + 1);
        for samples in store.values_mut() {
            samples.retain(|(at, _)| !(time_ms(30)..time_ms(34)).contains(at));
        }
    };
    tamper(&mut store);
    let report = verify(store.clone(), &options()).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    let (_server, backend) = serve(store);
    let status = command(folder.path(), &backend)
        .args(["--all", "--from", "2026-01-01T00:00:00Z", "--to"])
        .arg(rfc3339(time_ms(TICKS) * 1_000_000))
        .arg("--html")
        .arg(&path)
        .stdout(Stdio::null())
        .status();
    assert_eq!(status.unwrap().code(), Some(3));
    let page = std::fs::read_to_string(path).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(page.contains("2 of 4 metrics differ. Samples: 4 missing, 1 wrong."));
    assert!(page.contains("About 4 scrapes missing in 1 gap."));
    let missing = r"p_requests_total{host=&quot;123&quot;,zone=&quot;b.*\&quot;\\&quot;}";
    assert!(page.contains(&format!("<code>{missing}</code>")), "{page}");
    for example in report.metrics.iter().flat_map(|tally| &tally.examples) {
        let query = example.query.replace('"', "&quot;");
        assert!(page.contains(&format!("<code>{query}</code>")), "{query}");
    }
    for outside in ["<script", "<link", "<img", "@import", "url(", " src="] {
        assert!(!page.contains(outside), "{outside}");
    }
}

/// What `VictoriaMetrics` makes of the same scrapes: about twelve digits, no NaN but those that
/// mark a scrape that failed or a point that is left out.
#[test]
fn what_victoria_metrics_may_do_is_allowed_to_it_alone() {
    let mut store = store();
    let failed = time_ms(20);
    for (labels, samples) in &mut store {
        samples.retain(|(at, value)| *at != failed && !value.is_nan());
        if labels["__name__"] != "p_gen_ticks_total" {
            for (_, value) in samples.iter_mut() {
                *value = format!("{value:.13e}").parse().unwrap();
            }
        }
        let marks = (0..TICKS).map(time_ms);
        let marks: Vec<i64> = marks
            .filter(|at| samples.iter().all(|(there, _)| there != at))
            .collect();
        samples.extend(marks.into_iter().map(|at| (at, f64::NAN)));
        samples.sort_by_key(|(at, _)| *at);
    }
    let found = verify_served(serve_victoria(store.clone()), &options()).unwrap();
    assert_eq!(counts(&found), [0; 5], "{}", found.table(false));
    assert!(
        found.metrics.iter().all(Tally::is_ok),
        "{}",
        found.table(false)
    );
    let gaps: Vec<_> = found
        .gaps
        .iter()
        .map(|gap| (gap.after_ms, gap.scrapes))
        .collect();
    assert_eq!(gaps, [(time_ms(19), 1)]);
    let table = found.table(false);
    let (seen, _) = table
        .split_once("Allowed, not seen:")
        .unwrap_or((&table, ""));
    for allowance in [
        "relative error",
        "NaN is not stored",
        "end of series as NaN",
    ] {
        assert!(seen.contains(allowance), "{table}");
    }

    // A mark beside a sample is nothing; a mark instead of one is no value.
    let of = labels("p_requests_total", &[("zone", "a"), ("host", "9")]);
    let mut marked = store.clone();
    let samples = marked.get_mut(&of).unwrap();
    samples.insert(5, (samples[5].0, f64::NAN));
    let missing_ms = samples[9].0;
    samples[9].1 = f64::NAN;
    let found = verify_served(serve_victoria(marked), &options()).unwrap();
    assert_eq!(counts(&found), [1, 0, 0, 0, 0], "{}", found.table(false));
    assert_eq!(examples(&found, What::Missing)[0].time_ms, missing_ms);

    // Nobody else may answer with such a tick number.
    let error = verify(store, &options()).unwrap_err();
    assert!(error.to_string().contains("tick number is NaN"), "{error}");
}

#[test]
fn several_targets_and_other_runs_are_refused() {
    let mut twice = store();
    let mut other = labels("p_gen_ticks_total", &[]);
    let samples = twice[&other].clone();
    other.insert("instance".into(), "h:2".into());
    twice.insert(other.clone(), samples);
    let error = verify(twice.clone(), &options()).unwrap_err();
    assert!(matches!(error, VerifyError::Config(_)));
    assert!(error.to_string().contains("--instance"), "{error}");
    let narrowed = Options {
        instance: Some("h:1".into()),
        ..options()
    };
    assert!(verify(twice, &narrowed).unwrap().ok);

    let mut shifted = store();
    let ticks = labels("p_gen_ticks_total", &[]);
    for sample in shifted.get_mut(&ticks).unwrap() {
        sample.1 += 100_000.0;
    }
    let error = verify(shifted, &options()).unwrap_err().to_string();
    assert!(error.contains("journal of that run"), "{error}");

    let error = verify(Store::new(), &options()).unwrap_err();
    assert!(matches!(error, VerifyError::Ask(_)), "{error}");
}

/// What a backend holds to which every fourth tick was pushed.
fn pushed(prefix: &str) -> Store {
    let named = store().into_iter().map(|(mut labels, samples)| {
        let name = labels["__name__"].strip_prefix("p_").unwrap();
        labels.insert("__name__".into(), format!("{prefix}{name}"));
        let samples = samples.into_iter();
        let due = samples.filter(|(at, _)| (at - EPOCH_MS) / 1000 % 4 == 0);
        let due = due.map(|(at, value)| (at - (at - EPOCH_MS) % 1000, value));
        (labels, due.collect())
    });
    named
        .filter(|(_, samples): &(_, Vec<_>)| !samples.is_empty())
        .collect()
}

const PUSHED_TICKS: [u64; 10] = [0, 4, 8, 12, 16, 20, 24, 28, 32, 36];

fn pushed_options(via: Via) -> Options {
    Options {
        via,
        // The last push of the range is that of tick 36.
        to_ms: EPOCH_MS + 38_500,
        ..options()
    }
}

#[test]
fn what_is_pushed_is_compared_at_the_times_of_its_ticks() {
    for (via, prefix) in [(Via::Otlp, "o_"), (Via::RemoteWrite(0), "r_")] {
        let report = verify(pushed(prefix), &pushed_options(via)).unwrap();
        assert!(report.ok, "{}", report.table(false));
        assert_eq!(report.scrapes, PUSHED_TICKS.len());
        assert_eq!(report.metrics[0].samples, 1200 * 10);
        assert_eq!(report.via, via.name());
        let table = report.table(false);
        assert!(table.contains("10 pushes from"), "{table}");

        // The last tick of a run is pushed in any case.
        let mut store = pushed(prefix);
        for (labels, samples) in &mut store {
            let mut scraped = labels.clone();
            let name = labels["__name__"].strip_prefix(prefix).unwrap();
            scraped.insert("__name__".into(), format!("p_{name}"));
            let last = self::store()[&scraped]
                .iter()
                .find(|(at, _)| *at == time_ms(38))
                .copied();
            samples.extend(last.map(|(_, value)| (EPOCH_MS + 38_000, value)));
        }
        let report = verify(store, &pushed_options(via)).unwrap();
        assert!(report.ok, "{}", report.table(false));
        assert_eq!(report.scrapes, 11);
    }
    let missing = pushed_options(Via::RemoteWrite(1));
    let error = verify(pushed("r_"), &missing).unwrap_err().to_string();
    assert!(error.contains("1 of its entries"), "{error}");
    let error = verify(store(), &pushed_options(Via::Otlp)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("o_gen_ticks_total or o_gen_ticks"),
        "{error}"
    );
}

/// Receivers call what comes by OTLP by other names; which ones is found out.
#[test]
fn names_of_otlp_may_be_kept() {
    let mut store = Store::new();
    for (mut labels, samples) in pushed("o_") {
        let name = labels["__name__"].clone();
        let name = name.strip_suffix("_total").unwrap_or(&name);
        labels.insert("__name__".into(), name.into());
        store.insert(labels, samples);
    }
    let report = verify(store, &pushed_options(Via::Otlp)).unwrap();
    assert!(report.ok, "{}", report.table(false));
    assert!(report.table(false).contains("kept as they were sent"));
}

#[test]
fn pushes_that_are_missing_are_gaps_and_parts_of_them_are_samples() {
    let at = |tick: i64| EPOCH_MS + tick * 1000;
    let options = pushed_options(Via::Otlp);
    let mut store = pushed("o_");
    for samples in store.values_mut() {
        samples.retain(|(time, _)| ![at(12), at(16), at(28), at(36)].contains(time));
    }
    let report = verify(store, &options).unwrap();
    assert!(!report.ok);
    assert_eq!(counts(&report), [0; 5], "{}", report.table(false));
    let gaps: Vec<(i64, i64, u64)> = report
        .gaps
        .iter()
        .map(|gap| (gap.after_ms, gap.before_ms, gap.scrapes))
        .collect();
    let expected = [
        (at(8), at(20), 2),
        (at(24), at(32), 1),
        (at(32), options.to_ms, 1),
    ];
    assert_eq!(gaps, expected);
    assert!(report.table(false).contains("pushes missing between"));

    // A request with the tick number and one series is lost, the rest of the push is there.
    let mut store = pushed("o_");
    let lost = labels("o_requests_total", &[("zone", "a"), ("host", "77")]);
    for labels in [labels("o_gen_ticks_total", &[]), lost] {
        store
            .get_mut(&labels)
            .unwrap()
            .retain(|(time, _)| *time != at(16));
    }
    let report = verify(store, &options).unwrap();
    assert_eq!(counts(&report), [1, 0, 0, 0, 0], "{}", report.table(false));
    assert!(report.gaps.is_empty());
    let missing = examples(&report, What::Missing)[0];
    assert_eq!(missing.series, r#"o_requests_total{host="77",zone="a"}"#);
    assert_eq!(missing.tick, Some(16));

    // The tick number itself comes late, or twice, or is another.
    let mut store = pushed("o_");
    let ticks = store.get_mut(&labels("o_gen_ticks_total", &[])).unwrap();
    ticks[2].0 += 7;
    ticks[4].1 = 17.0;
    ticks.push(ticks[6]);
    let report = verify(store, &options).unwrap();
    assert_eq!(counts(&report), [0, 1, 1, 0, 1], "{}", report.table(false));
    assert_eq!(report.metrics.last().unwrap().metric, "o_gen_ticks_total");
}

/// The backend goes on showing what a scrape left out.
#[test]
fn series_that_are_over_must_not_be_shown() {
    let fake = |looks_back_ms| Fake {
        looks_back_ms,
        ..Fake::new(runs::scraped_process(CONFIG))
    };
    // Points are left out at the instant that is looked at.
    let options = Options {
        to_ms: time_ms(20),
        instants: 1,
        ..options()
    };
    let report = |fake| verify_served(serve_fake(fake, &[]), &options).unwrap();
    assert!(report(fake(1)).ok);
    // A second after the sample, some are marked a few milliseconds late.
    assert!(report(fake(1050)).ok);
    assert!(!report(fake(1150)).ok);
    let report = report(fake(300_000));
    assert!(!report.ok);
    let late: Vec<u64> = report
        .metrics
        .iter()
        .map(|tally| tally.stale_late)
        .collect();
    assert_eq!(late, [0, 1, 0, 0]);
    let example = examples(&report, What::StaleLate)[0];
    assert_eq!(example.found.as_deref(), Some("1200"));
    assert!(report.table(false).contains("stale"));
}

#[test]
fn types_and_help_are_compared_where_the_backend_tells_them() {
    let report = |metadata| {
        let fake = Fake {
            metadata,
            ..Fake::new(store())
        };
        verify_served(serve_fake(fake, &[]), &options()).unwrap()
    };
    let described = |report: &Report| -> Vec<(bool, u64)> {
        let tallies = report.metrics.iter();
        tallies
            .map(|tally| (tally.described, tally.described_wrong))
            .collect()
    };
    let right = report(
        r#"{"status":"success","data":{"p_requests":[{"type":"counter","help":"","unit":""}],
            "p_wait":[{"type":"gauge","help":"of another"},{"type":"histogram","help":""}]}}"#,
    );
    assert!(right.ok, "{}", right.table(false));
    assert_eq!(
        described(&right),
        [(true, 0), (false, 0), (true, 0), (false, 0)]
    );
    let wrong =
        report(r#"{"status":"success","data":{"p_requests_total":[{"type":"gauge","help":"x"}]}}"#);
    assert!(!wrong.ok);
    assert_eq!(described(&wrong)[0], (true, 1));
    let example = examples(&wrong, What::Described)[0];
    assert_eq!(example.found.as_deref(), Some("gauge \"x\" []"));
    // An answer that is none tells nothing.
    assert!(report("<html>").ok);
}

#[test]
fn answers_that_are_none_are_errors() {
    let bodies: [&[u8]; 8] = [
        b"",
        b"<html>",
        b"{\"status\":\"success\"}",
        b"{\"status\":\"error\",\"error\":\"too\\nmany\"}",
        b"{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[1,\"2\"]}}",
        b"{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{}}]}}",
        b"{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\"values\":[[1,\"x\"]]}]}}",
        b"{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\"values\":[[1e99,\"1\"]]}]}}",
    ];
    for body in bodies {
        let handler = move |_: &Request<'_>, reply: Reply<'_>| reply.send(200, &[], body);
        let server = Server::bind("127.0.0.1:0", Limits::default(), handler).unwrap();
        let url = format!("http://{}", server.local_addr());
        let backend = Backend::new(&url, Vec::new(), TIMEOUT).unwrap();
        let error = verify::run(replay(), &backend, &options(), &mut |_, _| {}).unwrap_err();
        assert!(matches!(error, VerifyError::Ask(_)), "{error}");
        let message = error.to_string();
        assert!(
            message.contains(&url) && message.lines().count() <= 2,
            "{message}"
        );
    }
    let closed = Backend::new("http://127.0.0.1:1", Vec::new(), TIMEOUT).unwrap();
    let error = verify::run(replay(), &closed, &options(), &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, VerifyError::Ask(_)), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// For any one sample that is lost, changed, moved or repeated: that is found, it is the
    /// only difference, and the series and tick are named.
    #[test]
    fn any_one_difference_is_found(
        series: prop::sample::Index,
        sample: prop::sample::Index,
        kind in 0..4usize,
        change in 1..1_000_000_u64,
    ) {
        let mut store = store();
        let mut all: Vec<_> = store.iter_mut().collect();
        all.retain(|(labels, _)| labels["__name__"] != "p_gen_ticks_total");
        let place = series.index(all.len());
        let (labels, samples) = &mut all[place];
        let place = sample.index(samples.len());
        let (at, value) = samples[place];
        let what = match kind {
            0 => {
                samples.remove(place);
                What::Missing
            }
            1 => {
                let changed = if value.is_nan() { 1.0 } else { f64::from_bits(value.to_bits() ^ change) };
                samples[place].1 = changed;
                What::Wrong
            }
            // After the last scrape there is nothing to be compared.
            2 if at != time_ms(TICKS - 1) => {
                samples[place].0 += (change % 999) as i64 + 1;
                What::Misplaced
            }
            _ => {
                samples.insert(place, (at, value));
                What::Duplicate
            }
        };
        let labels = labels.clone();
        let report = verify(store, &options()).unwrap();
        let kinds = [What::Missing, What::Wrong, What::Unexpected, What::Misplaced, What::Duplicate];
        let expected = kinds.map(|kind| u64::from(kind == what));
        prop_assert_eq!(counts(&report), expected);
        let found = examples(&report, what);
        let [example, ..] = found[..] else {
            return Err(TestCaseError::fail("no example"));
        };
        prop_assert_eq!(example.time_ms, at);
        for (name, value) in labels.iter().filter(|(name, _)| !TARGET.iter().any(|t| t.0 == *name)) {
            let shown = match name.as_str() {
                "__name__" => value.clone(),
                _ => format!("{name}={value:?}"),
            };
            prop_assert!(example.series.contains(&shown), "{} in {}", shown, example.series);
        }
    }
}
