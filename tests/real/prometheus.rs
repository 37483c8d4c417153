//! A real Prometheus scrapes the running program, and what it stored is compared with what
//! the program said beforehand (`plan`) and says afterwards (`dump`).

use crate::servers;
use crate::servers::judge::{self, Planned, Stored};
use crate::servers::mockingbird::{self, Mockingbird};
use crate::servers::process::wait_until;
use crate::servers::prometheus::{Job, Prometheus, promtool_accepts};
use crate::servers::receivers::VictoriaMetrics;
use crate::servers::samples::Samples;
use std::time::Duration;

#[test]
#[ignore = "needs servers"]
fn what_prometheus_stored_is_what_dump_prints() {
    let servers = servers::find(&["prometheus", "promtool"]);
    let folder = tempfile::tempdir().unwrap();
    let mut mockingbird = Mockingbird::start("baseline.yaml", folder.path());
    let plan = mockingbird.plan();
    let address = mockingbird.address.clone();
    let jobs = all_formats(&address);
    let mut prometheus = Prometheus::start(&servers, folder.path(), &jobs);
    wait_until("30 s were scraped", Duration::from_secs(90), || {
        mockingbird.assert_running();
        prometheus.assert_running();
        jobs.iter()
            .all(|job| scraped_ms(&prometheus, job.name) >= 30_000)
    });

    let formats: Vec<_> = jobs
        .iter()
        .map(|job| check_job(&prometheus, &mockingbird, &plan, job))
        .collect();
    // If negotiation gave both jobs one format, the test above would have judged it twice.
    assert!(formats[0] < formats[1], "samples per scrape: {formats:?}");
    assert_eq!(formats[0], formats[2], "samples per scrape");
    let accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                  encoding=delimited;q=0.6,*/*;q=0.5";
    let live = format!("http://{address}/metrics");
    let live = ureq::get(&live).header("Accept", accept).call().unwrap();
    let content_type = live.headers()["Content-Type"].to_str().unwrap();
    assert!(
        content_type.starts_with("application/vnd.google.protobuf;"),
        "{content_type}"
    );

    let live = format!("http://{}/metrics", mockingbird.address);
    let live = ureq::get(&live).call().unwrap().body_mut().read_to_string();
    let body = folder.path().join("live");
    std::fs::write(&body, live.unwrap()).unwrap();
    promtool_accepts(&servers, "the live body, self-metrics included", &body);
}

/// A job for each format, every second.
fn all_formats(address: &str) -> [Job<'_>; 3] {
    let job = |name, protocol| Job {
        name,
        address,
        protocol: Some(protocol),
        interval_s: 1,
    };
    [
        job("text", "PrometheusText0.0.4"),
        job("openmetrics", "OpenMetricsText1.0.0"),
        job("protobuf", "PrometheusProto"),
    ]
}

/// How long a job has been scraped, in milliseconds.
fn scraped_ms(prometheus: &Prometheus, job: &str) -> i64 {
    let up = prometheus.stored(&format!("up{{job=\"{job}\"}}"), 10);
    match up.first().map(|series| series.points.as_slice()) {
        Some([first, .., last]) => last.0 - first.0,
        _ => 0,
    }
}

/// Judges all that one job stored; returns the samples per scrape.
fn check_job(
    prometheus: &Prometheus,
    mockingbird: &Mockingbird,
    plan: &[Planned],
    job: &Job,
) -> usize {
    let openmetrics = job.name == "openmetrics";
    let all = prometheus.stored(&format!("{{job=\"{}\"}}", job.name), 10);
    let up = one(&all, "up");
    assert!(up.points.len() >= 25, "only {} scrapes", up.points.len());
    assert!(up.points.iter().all(|(_, v)| *v == 1.0), "{:?}", up.points);

    judge::assert_none("counters", &judge::decreases(&all, plan));

    let (own, added): (Vec<_>, Vec<_>) = all
        .iter()
        .cloned()
        .partition(|series| series.identity.name.starts_with(&mockingbird.prefix));
    let said: Vec<_> = one(&added, "scrape_samples_scraped").points.clone();
    let scrapes = judge::scrapes(&own);
    assert_eq!(scrapes.len(), up.points.len());
    let mut ticks = Vec::new();
    for ((time, scrape), (said_time, said)) in scrapes.iter().zip(said) {
        // All that was sent was stored: nothing was dropped as a duplicate or out of order.
        assert_eq!((*time, scrape.len()), (said_time, said as usize));
        let (tick, samples) = split(scrape, &mockingbird.prefix);
        check_age(mockingbird, tick, *time);
        let what = format!("{} scrape of tick {tick}", job.name);
        judge::assert_none(&what, &judge::counts(&samples, plan, openmetrics));
        let dump = mockingbird.dump(tick, openmetrics, None);
        judge::assert_none(&what, &judge::differences(&samples, &dump));
        ticks.push(tick);
    }
    assert!(ticks.is_sorted(), "{ticks:?}");
    ticks.dedup();
    assert!(ticks.len() >= 15, "only {} ticks were seen", ticks.len());

    check_gzip(&own, &mockingbird.prefix);
    check_metadata(prometheus, plan, job);
    let (_, samples) = split(scrapes.values().next().unwrap(), &mockingbird.prefix);
    samples.len()
}

/// The tick of a scrape, and its samples without self-metrics.
fn split(scrape: &Samples, prefix: &str) -> (u64, Samples) {
    let tick_name = format!("{prefix}gen_ticks_total");
    let mut ticks = scrape.iter().filter(|(id, _)| id.name == tick_name);
    let tick = *ticks.next().expect("a tick number").1;
    assert!(tick.fract() == 0.0 && ticks.next().is_none());
    let samples = scrape
        .iter()
        .filter(|(id, _)| !is_self(id.name.strip_prefix(prefix).unwrap_or(&id.name)));
    (
        tick as u64,
        samples.map(|(id, value)| (id.clone(), *value)).collect(),
    )
}

/// Whether a name without its prefix is one of the program's own metrics.
fn is_self(base: &str) -> bool {
    base.starts_with("gen_") || base.starts_with("process_")
}

/// Prometheus moves the time of a scrape by so much onto its grid.
const ALIGNED_BY_MS: i64 = 2;

/// A scrape gives the latest tick: it is never early, and late by little more than an interval.
fn check_age(mockingbird: &Mockingbird, tick: u64, scraped_ms: i64) {
    let due_ms = mockingbird.epoch_ms + tick as i64 * mockingbird.interval_ms;
    let age_ms = scraped_ms - due_ms;
    assert!(
        (-ALIGNED_BY_MS..mockingbird.interval_ms + 2000).contains(&age_ms),
        "tick {tick} was scraped {age_ms} ms after it was due"
    );
}

/// Prometheus asks for gzip; the program's own count of bytes sent shows that it got it.
fn check_gzip(own: &[Stored], prefix: &str) {
    let name = format!("{prefix}gen_scrape_bytes_total");
    let bytes = |encoding: &str| {
        let series = own.iter().find(|s| {
            s.identity.name == name
                && s.identity.labels.get("encoding").map(String::as_str) == Some(encoding)
        });
        series.map_or(0.0, |s| s.points.last().unwrap().1)
    };
    assert!(bytes("gzip") > 0.0);
    assert_eq!(bytes("identity"), 0.0);
}

/// Every planned metric was announced with its type and a help text.
fn check_metadata(prometheus: &Prometheus, plan: &[Planned], job: &Job) {
    let metadata = prometheus.metadata(job.name);
    for metric in plan {
        // OpenMetrics announces a counter by its family's name, others by its sample's.
        let family = match (metric.kind.as_str(), job.name) {
            ("counter", "text" | "protobuf") => format!("{}_total", metric.stem),
            _ => metric.stem.clone(),
        };
        let (kind, help) = metadata
            .get(&family)
            .unwrap_or_else(|| panic!("{}: no metadata of {family}", job.name));
        assert_eq!(*kind, metric.kind, "{family}");
        assert!(!help.is_empty(), "{family} has no help");
    }
}

fn one<'a>(series: &'a [Stored], name: &str) -> &'a Stored {
    let mut named = series.iter().filter(|s| s.identity.name == name);
    let found = named.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(named.next().is_none(), "{name} more than once");
    found
}

#[test]
#[ignore = "needs servers"]
fn a_sample_with_a_time_is_stored_at_its_ticks_time() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let mockingbird = Mockingbird::start_with_times("baseline.yaml", folder.path());
    let address = mockingbird.address.clone();
    // OpenMetrics has seconds, the others milliseconds.
    let jobs = all_formats(&address);
    let prometheus = Prometheus::start(&servers, folder.path(), &jobs);
    wait_until("10 s were scraped", Duration::from_secs(60), || {
        jobs.iter()
            .all(|job| scraped_ms(&prometheus, job.name) >= 10_000)
    });
    for job in &jobs {
        let all = prometheus.stored(&format!("{{job=\"{}\"}}", job.name), 10);
        let own = all.into_iter().filter(|series| {
            let name = series.identity.name.strip_prefix(&mockingbird.prefix);
            name.is_some_and(|base| !is_self(base))
        });
        let scrapes = judge::scrapes(&own.collect::<Vec<_>>());
        assert!(scrapes.len() >= 5, "{} ticks were seen", scrapes.len());
        for (time, scrape) in scrapes {
            let since_epoch_ms = time - mockingbird.epoch_ms;
            assert_eq!(since_epoch_ms % mockingbird.interval_ms, 0);
            let tick = (since_epoch_ms / mockingbird.interval_ms) as u64;
            let dump = mockingbird.dump(tick, job.name == "openmetrics", None);
            let what = format!("{} scrape of tick {tick}", job.name);
            judge::assert_none(&what, &judge::differences(&scrape, &dump));
        }
    }
}

/// Another reader of the same gzipped bodies.
#[test]
#[ignore = "needs servers"]
fn what_victoria_metrics_scraped_is_what_dump_prints() {
    let servers = servers::find(&["victoria-metrics"]);
    let folder = tempfile::tempdir().unwrap();
    let mockingbird = Mockingbird::start("baseline.yaml", folder.path());
    let prefix = &mockingbird.prefix;
    let address = &mockingbird.address;
    let mut victoria = VictoriaMetrics::start_scraping(&servers, folder.path(), address, 1);
    let ticks = format!("{prefix}gen_ticks_total");
    let mut stored = Vec::new();
    wait_until("ten scrapes are stored", Duration::from_secs(60), || {
        stored = victoria.stored();
        let mut ticks = stored.iter().filter(|s| s.identity.name == ticks);
        ticks.next().is_some_and(|series| series.points.len() >= 10)
    });
    stored.retain(|series| series.identity.name.starts_with(prefix.as_str()));
    for series in &mut stored {
        let labels = &mut series.identity.labels;
        labels.retain(|name, _| name != "job" && name != "instance");
        // Ours gives way to the label that says who was scraped.
        if let Some(instance) = labels.remove("exported_instance") {
            labels.insert("instance".to_owned(), instance);
        }
    }
    check_gzip(&stored, prefix);
    // The last scrape may still be on its way to the disk.
    for (time, scrape) in judge::scrapes(&stored).into_iter().take(9) {
        let (tick, samples) = split(&scrape, prefix);
        let mut dump = mockingbird.dump(tick, false, None);
        // It stores no NaN.
        dump.retain(|_, value| !value.is_nan());
        assert_eq!(samples.len(), dump.len(), "tick {tick}, scraped at {time}");
        for (identity, expected) in &dump {
            let found = samples.get(identity);
            let found = *found.unwrap_or_else(|| panic!("{identity} is missing at {time}"));
            // It stores decimal numbers of about twelve digits.
            let close = (found - expected).abs() <= 1e-11 * expected.abs();
            assert!(close, "{identity}: {found}, not {expected}");
        }
    }
}

#[test]
#[ignore = "needs servers"]
fn prometheus_scrapes_150_000_series_of_each_metric() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let mut mockingbird = Mockingbird::start("high_cardinality.yaml", folder.path());
    let plan = mockingbird.plan();
    let address = mockingbird.address.clone();
    // As Prometheus comes: it prefers OpenMetrics and asks for gzip.
    let jobs = [Job {
        name: "large",
        address: &address,
        protocol: None,
        interval_s: 40,
    }];
    let mut prometheus = Prometheus::start(&servers, folder.path(), &jobs);
    wait_until("it was scraped once", Duration::from_secs(120), || {
        mockingbird.assert_running();
        prometheus.assert_running();
        !prometheus.stored("up", 10).is_empty()
    });

    let up = prometheus.stored("up", 10);
    let (time, up) = one(&up, "up").points[0];
    assert_eq!(up, 1.0, "the first scrape failed");

    // Two million series are too many to fetch: their numbers by name, and 1 % of them whole.
    let by_name = prometheus.vector("count by (__name__) ({job=\"large\"})", time);
    for metric in &plan {
        let stored: f64 = by_name
            .iter()
            .filter(|(id, _)| metric.owns(&id.name))
            .map(|(_, count)| count)
            .sum();
        assert_eq!(stored as usize, metric.samples_openmetrics, "{metric:?}");
    }
    let total: usize = plan.iter().map(|m| m.samples_text).sum();
    assert_eq!(total, 1_950_000);

    let tick_name = format!("{}gen_ticks_total", mockingbird.prefix);
    let tick = prometheus.vector(&tick_name, time)[0].1 as u64;
    let sample = prometheus.vector("{user_id=~\"user_07...\"}", time);
    let sample: Samples = sample.into_iter().collect();
    let mut dump = mockingbird.dump(tick, true, None);
    dump.retain(|id, _| {
        let user = id.labels.get("user_id");
        user.is_some_and(|u| u.starts_with("user_07"))
    });
    assert!(dump.len() > 10_000, "only {} samples", dump.len());
    judge::assert_none("1 % of the series", &judge::differences(&sample, &dump));
}

#[test]
#[ignore = "needs servers"]
fn promtool_accepts_every_shipped_config() {
    let servers = servers::find(&["promtool"]);
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body");
    for config in servers::shipped_configs() {
        mockingbird::dump_to_file(&config, 10, &body);
        assert!(std::fs::metadata(&body).unwrap().len() > 0);
        promtool_accepts(&servers, &config.display().to_string(), &body);
    }
}
