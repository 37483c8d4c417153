//! What was done to the running program, replayed from its journal by `dump`: byte for byte
//! what was scraped meanwhile.

mod servers;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use servers::mockingbird::{self, Mockingbird};

/// Every type and algorithm, some of it with labels to aim at.
const CONFIG: &str = "
global: {tick_interval_s: 0.05, seed: 7}
exporters: {prometheus: {prefix: p_}}
profiles:
  all: {labels: {zone: {values: [a, b, c]}, host: {range: [1, 40]}}}
  few: {zipf_alpha: 1.1, labels: {zone: {values: [a, b]}, user: {range: [1, 30]}}}
metrics:
  - {name: requests, type: counter, profile: all, algorithm: poisson, base_rate: 60}
  - {name: bytes, type: counter, profile: few, algorithm: constant, base_rate: 20}
  - {name: walk, type: gauge, profile: all, algorithm: random_walk, start: 5, step: 1, clamp: [0, 10]}
  - {name: up, type: gauge, profile: few, algorithm: bernoulli, p: 0.9}
  - {name: latency, type: histogram, profile: all, algorithm: exponential, lam: 2, observations_per_tick: 3.5}
  - {name: size, type: summary, profile: few, algorithm: lognormal, mu: 0, sigma: 1, max_age_s: 2,
     observations_per_tick: 2, objectives: {0.5: 0.05, 0.9: 0.01}}
scenarios:
  trouble:
    repeat_every_s: 2
    steps:
      - {at_s: 0, action: spike, metric: requests, multiplier: 3, duration_s: 1}
      - {at_s: 0.5, action: error_rate, metric: latency, rate: 0.2, duration_s: 1, labels: {zone: b}}
      - {at_s: 1.2, action: fault, kind: reset, metric: requests, labels: {zone: c}}
";

/// Numbers that differ, from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len() as u64) as usize]
    }
}

/// A request that a person could make: method, path, body.
fn any_request(dice: &mut Dice) -> (&'static str, String, String) {
    let metric = dice.pick(&["requests", "bytes", "walk", "up", "latency", "size"]);
    let mut body = BTreeMap::from([
        ("metric", json!(metric)),
        ("duration_s", json!(0.05 * (1 + dice.roll(40)) as f64)),
    ]);
    if dice.roll(2) == 0 {
        body.insert("labels", json!({"zone": dice.pick(&["a", "b"])}));
    }
    let (method, path, body) = match dice.roll(12) {
        0..=3 => {
            body.insert("multiplier", json!(dice.roll(60) as f64 / 10.0));
            if matches!(metric, "latency" | "size") && dice.roll(2) == 0 {
                body.insert("target", json!("rate"));
            }
            ("POST", "/control/spike".to_owned(), Some(body))
        }
        4 | 5 => {
            body.insert("rate", json!(dice.roll(10) as f64 / 10.0));
            ("POST", "/control/error_rate".to_owned(), Some(body))
        }
        6..=8 => {
            let kind = match metric {
                "walk" | "up" => dice.pick(&["nan", "stale"]),
                _ => dice.pick(&["reset", "stale"]),
            };
            body.insert("kind", json!(kind));
            body.insert("rate", json!(dice.roll(11) as f64 / 10.0));
            ("POST", "/control/fault".to_owned(), Some(body))
        }
        9 => ("DELETE", format!("/control/spike/{metric}"), None),
        10 => {
            let body = BTreeMap::from([("scenario", json!("trouble"))]);
            ("POST", "/control/scenario".to_owned(), Some(body))
        }
        _ => ("DELETE", "/control/scenario/trouble".to_owned(), None),
    };
    (
        method,
        path,
        body.map_or(String::new(), |body| json!(body).to_string()),
    )
}

/// Every scrape is what the journal's replay gives, on one thread and on eight.
fn assert_replays(journal: &Path, scrapes: &BTreeMap<u64, Vec<u8>>) {
    for (tick, scraped) in scrapes {
        for threads in [1, 8] {
            let replayed = mockingbird::replay(journal, *tick, threads);
            assert!(
                replayed == *scraped,
                "tick {tick} on {threads} threads: {}",
                first_difference(&replayed, scraped)
            );
        }
    }
}

fn first_difference(replayed: &[u8], scraped: &[u8]) -> String {
    let (replayed, scraped) = (
        String::from_utf8_lossy(replayed),
        String::from_utf8_lossy(scraped),
    );
    let mut lines = replayed.lines().zip(scraped.lines());
    let differs = lines.find(|(replayed, scraped)| replayed != scraped);
    differs.map_or_else(
        || format!("{} and {} bytes", replayed.len(), scraped.len()),
        |(replayed, scraped)| format!("replayed {replayed}, scraped {scraped}"),
    )
}

#[test]
fn a_run_is_replayed_from_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let mut mockingbird = Mockingbird::start_own(CONFIG, folder.path());
    let mut dice = Dice(1);
    let mut scrapes = BTreeMap::new();
    for round in 0..60 {
        mockingbird.assert_running();
        for _ in 0..=dice.roll(3) {
            let (method, path, body) = any_request(&mut dice);
            mockingbird.told(method, &path, &body);
        }
        if round == 30 {
            mockingbird.edit(|config| {
                let metrics = config["metrics"].as_sequence_mut().unwrap();
                metrics.retain(|metric| metric["name"] != "up");
                metrics[0]["base_rate"] = 90.into();
                let mut added = metrics[2].clone();
                added["name"] = "up".into();
                added["start"] = 3.into();
                metrics.insert(0, added);
            });
            let reloaded = mockingbird.told("POST", "/control/reload", "{}");
            assert_eq!(reloaded["changed"], json!(["up", "requests"]), "{reloaded}");
            assert_eq!(
                reloaded["kept"],
                json!(["bytes", "walk", "latency", "size"])
            );
        }
        if round == 45 {
            // Zones and users come and go, and all others go on.
            mockingbird.edit(|config| {
                let profiles = &mut config["profiles"];
                profiles["all"]["labels"]["zone"]["values"] = vec!["d", "c", "b", "a"].into();
                profiles["all"]["labels"]["host"]["range"] = vec![11, 55].into();
                profiles["few"]["labels"]["user"]["range"] = vec![11, 45].into();
            });
            let reloaded = mockingbird.told("POST", "/control/reload", "{}");
            let all = json!({"kept": 90, "began": 90, "ended": 30});
            let few = json!({"kept": 40, "began": 30, "ended": 20});
            for (metric, counts) in [("requests", &all), ("latency", &all), ("size", &few)] {
                assert_eq!(&reloaded["series"][metric], counts, "{reloaded}");
            }
        }
        std::thread::sleep(Duration::from_millis(20 + dice.roll(100)));
        if round % 4 == 3 {
            let (tick, body) = mockingbird.scrape();
            scrapes.insert(tick, body);
        }
    }
    assert!(
        scrapes.len() >= 10,
        "only {} ticks were scraped",
        scrapes.len()
    );

    // The file has what the API tells; it alone is enough.
    let url = format!("http://{}/control/journal", mockingbird.control);
    let told = ureq::get(&url)
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    let file = folder.path().join("journal");
    let (told, copied) = told.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(
        told.to_owned() + "\n",
        std::fs::read_to_string(&file).unwrap()
    );
    assert!(copied.contains(r#""event":"copied""#), "{copied}");
    assert_replays(&file, &scrapes);
}

#[test]
fn a_journal_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut mockingbird = Mockingbird::start_own(CONFIG, folder.path());
    let spike = r#"{"metric": "walk", "multiplier": 2, "duration_s": 60, "labels": {"zone": "a"}}"#;
    let applied = mockingbird.told("POST", "/control/spike", spike);
    let from = applied["applies_at_tick"].as_u64().unwrap();
    let mut scraped = mockingbird.scrape();
    while scraped.0 < from {
        std::thread::sleep(Duration::from_millis(20));
        scraped = mockingbird.scrape();
    }
    mockingbird.kill();
    let file = folder.path().join("journal");
    let scrapes = BTreeMap::from([scraped]);
    assert_replays(&file, &scrapes);
}

/// Clients that ask for anything at any time delay no tick and lose no update.
#[test]
fn sixty_four_clients_at_random() {
    const CLIENTS: u64 = 64;
    let folder = tempfile::tempdir().unwrap();
    // 100,000 series.
    let config = CONFIG
        .replace("host: {range: [1, 40]}", "host: {range: [1, 10000]}")
        .replace("user: {range: [1, 30]}", "user: {range: [1, 2000]}")
        .replace("tick_interval_s: 0.05", "tick_interval_s: 1");
    let mut mockingbird = Mockingbird::start_own(&config, folder.path());
    let (stop, applied, refused) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (mockingbird, stop) = (&mockingbird, &stop);
            let (applied, refused) = (&applied, &refused);
            scope.spawn(move || {
                let mut dice = Dice(client + 100);
                while !stop.load(Relaxed) {
                    let (method, path, body) = any_request(&mut dice);
                    let (status, reply) = mockingbird.ask(method, &path, &body);
                    match status {
                        200 if reply["changed"] != false => applied.fetch_add(1, Relaxed),
                        200 => 0,
                        429 => refused.fetch_add(1, Relaxed),
                        _ => panic!("{method} {path} {body}: {status} {reply}"),
                    };
                    std::thread::sleep(Duration::from_millis(dice.roll(400)));
                }
            });
        }
        std::thread::sleep(Duration::from_secs(20));
        stop.store(true, Relaxed);
    });
    mockingbird.assert_running();
    let status = mockingbird.told("GET", "/status", "");
    let ticks = status["tick_count"].as_f64().unwrap();
    let lag = status["tick_lag_seconds"].as_f64().unwrap();
    assert!(
        ticks + 10.0 >= began.elapsed().as_secs_f64() && lag < 10.0,
        "{status}"
    );

    let (tick, body) = mockingbird.scrape();
    let file = folder.path().join("journal");
    let journal = std::fs::read_to_string(&file).unwrap();
    let entries: Vec<Value> = journal
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(entries[0]["event"], "start");
    assert_eq!(
        entries.len() as u64 - 1,
        applied.load(Relaxed),
        "entries and changes"
    );
    assert!(entries.len() > 500, "only {} entries", entries.len());
    assert_replays(&file, &BTreeMap::from([(tick, body)]));
}

/// Version 0.1.0 wrote into its journals what it had made of the metrics; its ticks are
/// those that it dumped.
#[test]
fn journals_of_earlier_versions_are_replayed() {
    let folder = Path::new("tests/journals");
    for tick in [20, 65] {
        let pinned = std::fs::read(folder.join(format!("effective.tick{tick}.txt"))).unwrap();
        let scrapes = BTreeMap::from([(tick, pinned)]);
        assert_replays(&folder.join("effective.journal"), &scrapes);
    }
}
