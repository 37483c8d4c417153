//! Estimates agree with what is built, and plans with what refusals say.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

use super::*;
use crate::config::load_str;
use crate::engine::HandedOver;
use crate::model::population::Fleets;
use crate::model::{SpaceSizes, shape_of};
use crate::otlp;
use crate::push;
use crate::readable::{grouped, human_bytes};
use crate::remote_write;
use crate::timeline::Timeline;

/// The figures of a day have what the file orders from its start on.
#[test]
fn the_day_has_what_the_file_orders() {
    let text = "
global: {tick_interval_s: 600}
profiles: {p: {labels: {pod: {range: [1, 30], fmt: '{id:5}'}, node: {of: pod, values: [a, b]}}}}
metrics: [{name: a, profile: p, type: gauge, algorithm: constant, start: 1}]
scenarios:
  s:
    repeat_every_s: 6h
    steps:
      - {at_s: 1h, action: size, profile: p, label: pod, to: 10, over: 30m}
      - {at_s: 3h, action: size, profile: p, label: pod, to: 100%}
      - {at_s: 5h, action: churn, profile: p, label: pod, mode: rollout, over: 20m, labels: {node: a}}
runtime: {on_start: [STARTED{action: size, profile: p, label: pod, to: 20}]}
";
    for (started, orders) in [("{action: scenario, scenario: s}, ", 13), ("", 1)] {
        let text = text.replace("STARTED", started);
        let config = load_str(Path::new("test"), text.as_bytes(), &|_| None);
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(Timeline::orders_up_to(&config, 144).len(), orders);
        let catalog = Catalog::build(&config, Vec::new()).unwrap();
        let orders = Timeline::orders_up_to(&config, 144);
        let mut fleets = Fleets::at(&catalog, &orders, 0);
        let (mut seen, mut peak) = (BTreeSet::new(), 0);
        for tick in 0..=144 {
            if tick > 0 {
                fleets.step(&orders, tick);
            }
            let entities = fleets.entities(0).expect("they live");
            peak = peak.max(entities.existing());
            let existing = (0..entities.fleet().len()).filter(|&one| entities.exists(one));
            seen.extend(existing.map(|entity| entities.hash(entity)));
        }
        let (_, outlook) = Estimate::with_outlook(&config);
        let churn = outlook.total();
        assert!(outlook.has_orders() && churn.is_exact);
        let (distinct, peak) = (seen.len() as u64, peak as u64);
        assert_eq!((churn.distinct_day, churn.series_at_peak), (distinct, peak));
    }
}

/// Arithmetic counts what the catalog and the engine count.
#[test]
fn estimates_agree_with_what_is_built() {
    let text = "
profiles:
  product: {labels: {user: {range: [1, 300]}, zone: [a, b, c]}}
  sample: {labels: {user: {range: [1, 900]}, zone: [a, b]}, series_cap: 500, sampling_strategy: hash}
  zipf: {labels: {user: {range: [1, 50]}}, zipf_alpha: 1.2}
metrics:
  - {name: a, profile: product, type: counter, algorithm: poisson, base_rate: 12}
  - {name: b, profile: product, type: gauge, algorithm: random_walk, step: 1, diurnal_amp: 0.1}
  - {name: c, profile: sample, type: histogram, algorithm: lognormal, mu: 0, sigma: 1}
  - {name: d, profile: zipf, type: summary, algorithm: lognormal, mu: 1, sigma: 1}
";
    let pushed = "exporters: {otel: {temporality: delta, histograms: exponential, \
                      export_interval_s: 1}}";
    let extremes = pushed.replace("delta", "cumulative, min_max: true");
    for exporters in ["", pushed, &extremes] {
        let text = format!("{exporters}{text}");
        let config = load_str(Path::new("test"), text.as_bytes(), &|_| None);
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let estimate = Estimate::of(&config);
        let layout = further::needed(&config);
        let catalog = Catalog::build_with(&config, Vec::new(), &layout);
        let catalog = Arc::new(catalog.unwrap());
        let mut engine = Engine::new(&config, Arc::clone(&catalog), 0, 1).unwrap();
        engine.tell(&exporters::needs(&config));
        assert_eq!(estimate.series, catalog.generated_series() as u128);
        assert_eq!(estimate.samples, catalog.generated_samples() as u128);
        let built = engine.memory_bytes() as f64;
        let said = (estimate.memory.labels_bytes + estimate.memory.series_bytes) as f64;
        assert!((said / built - 1.0).abs() < 0.05, "{said}, {built}");
    }
}

/// Pushes are told in the form in which histograms are sent.
#[test]
fn pushes_have_the_points_and_bytes_of_their_form() {
    for (name, histograms) in [
        ("classic", HistogramForm::Classic),
        ("native", HistogramForm::Native),
        ("both", HistogramForm::Both),
    ] {
        let text = format!(
            "
exporters: {{remote_write: [{{url: 'http://h/w', histograms: {name}, instance: none}}]}}
profiles: {{users: {{labels: {{user: {{range: [1, 50]}}}}}}}}
metrics:
  - {{name: h, profile: users, type: histogram, algorithm: lognormal, mu: 0, sigma: 0.8,
     observations_per_tick: 2000}}
  - {{name: g, profile: users, type: gauge, algorithm: constant, start: 1}}
"
        );
        let config = load_str(Path::new("test"), text.as_bytes(), &|_| None);
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let plan = Plan::measure(&config, 1, 1, || {}).unwrap();
        let catalog = Catalog::build_with(&config, Vec::new(), &further::needed(&config));
        let catalog = Arc::new(catalog.unwrap());
        let mut engine = Engine::new(&config, Arc::clone(&catalog), 1 << 60, 1).unwrap();
        let mut frame = engine.advance(|_, _| {});
        while frame.tick() < 10 {
            frame = engine.advance(|_, _| {});
        }
        let options = remote_write::EncoderOptions {
            prefix: "rw_".to_owned(),
            labels: vec![("job".to_owned(), "mockingbird".to_owned())],
            histograms,
            ..remote_write::EncoderOptions::default()
        };
        let mut encoder = remote_write::Encoder::new(catalog, options);
        let (mut points, mut bytes) = (0, 0);
        let _: ControlFlow<()> = encoder.encode(&frame, false, &mut |body, contents| {
            points += contents.points();
            bytes += body.len();
            ControlFlow::Continue(())
        });
        // OTLP is on unless it is said otherwise.
        let push = plan.pushes.last().unwrap();
        assert_eq!(push.points, points, "{name}");
        let off = push.bytes as f64 / bytes as f64 - 1.0;
        assert!(off.abs() < 0.15, "{name}: {} of {bytes}", push.bytes);
        let told = format!(
            "{points} points, about {} before",
            human_bytes(push.bytes.into())
        );
        assert!(plan.table().contains(&told), "{}", plan.table());
    }
}

/// `check`, a start that is refused and `plan` tell the same figures.
#[test]
fn plans_say_what_refusals_say() {
    let text = "
global: {max_series: 1}
exporters:
  otel: {enabled: true, temporality: delta, histograms: exponential, endpoint: 'http://localhost:1'}
  remote_write: [{url: 'http://localhost:1/write'}]
profiles: {users: {labels: {user: {range: [1, 20000]}}}}
metrics:
  - {name: h, profile: users, type: histogram, algorithm: lognormal, mu: 0, sigma: 1}
";
    let config = load_str(Path::new("test"), text.as_bytes(), &|_| None);
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    let plan = Plan::measure(&config, 1, 1, || {}).unwrap();
    let memory = human_bytes(plan.total.memory_bytes.into());
    assert!(plan.table().contains(&format!("about {memory} (process ")));
    assert!(plan.table().contains(" more while receivers are slow"));
    let estimate = Estimate::of(&config);
    assert_eq!(estimate.memory, plan.total.memory);
    let finding = estimate.finding(&config).unwrap();
    for figure in [
        format!(
            "{} samples per scrape",
            grouped(plan.total.samples_text as u128)
        ),
        format!(
            "({} series, about {memory} of memory)",
            grouped(plan.total.series as u128)
        ),
    ] {
        assert!(finding.message.contains(&figure), "{}", finding.message);
    }
    assert!(estimate.refusal(&config).unwrap().contains(&memory));
}

/// Who has few series at once is told so, and why there is room for more.
#[test]
fn refusals_tell_rooms_from_series() {
    let finding = |pods: &str, size: &str, max: u64| {
        let text = format!(
            "global: {{max_series: {max}}}
profiles:
  p:
    labels:
      app: {{range: [1, 10], fmt: 'app{{}}'}}
      pod: {{range: [1, {pods}], fmt: '{{app}}-{{}}'}}
      path: [a, b]
    size: {{label: pod, shape: {size}}}
metrics: [{{name: x, profile: p, type: gauge, algorithm: random_walk, step: 1}}]
"
        );
        let config = load_str(Path::new("test"), text.as_bytes(), &|_| None);
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        Estimate::of(&config).finding(&config)
    };
    // Too many to look at: rooms are what counts.
    let spike = "spike, from: 10, to: 1000, over: 1s, period: 2s";
    let message = finding("50M", spike, 20_000_000).unwrap().message;
    for part in [
        "has room for 1,000,000,000 samples per scrape (2,000 series at once at most, of \
             1,000,000,000 laid out, about ",
        "make the ranges of labels that come and go no longer than",
    ] {
        assert!(message.contains(part), "{message}");
    }
    // Few of them are looked at, and none is taken for ten thousands.
    assert_eq!(finding("100k", spike, 2000), None);
    let message = finding("10", "ramp, from: 1, to: 50, over: 2h", 99)
        .unwrap()
        .message;
    let part = "has 100 samples per scrape (100 series at once at most, of 200 laid out,";
    assert!(message.contains(part), "{message}");
}

/// A histogram of 500 series and 11 bounds, and its exponential buckets.
#[test]
fn series_are_counted_as_a_backend_counts_them() {
    let text = "
profiles: {users: {labels: {user: {range: [1, 500]}}}}
metrics:
  - {name: h, profile: users, type: histogram, algorithm: lognormal, mu: 0, sigma: 1}
  - {name: n, type: histogram, algorithm: lognormal, mu: 0, sigma: 1, buckets: [-1, 1]}
  - {name: c, type: counter, algorithm: constant, base_rate: 1}
";
    let counts = |exporters: &str| {
        let text = format!("{exporters}{text}");
        let config = load_str(Path::new("test"), text.as_bytes(), &|_| None);
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let plan = Plan::measure(&config, 1, 1, || {}).unwrap();
        assert_eq!(plan.total.series, 502);
        assert_eq!(plan.total.samples_text, plan.total.backend_series.text);
        assert!(
            plan.table()
                .contains("metrics[1].buckets: warning: OpenMetrics forbids")
        );
        plan.total.backend_series
    };
    let off = counts("exporters: {otel: {enabled: false}}");
    assert_eq!((off.text, off.otlp), (500 * 14 + 5 + 1, None));
    let explicit = counts("exporters: {otel: {enabled: true}}");
    assert_eq!(explicit.otlp, Some(500 * 14 + 4 + 1));
    let exponential = counts("exporters: {otel: {histograms: exponential}}");
    assert_eq!(exponential.otlp, Some(500 + 1 + 1));
    assert!(exponential.text().contains("; 502 from OTLP"));
}

/// The points and bytes of the push of OTLP that a tick is due for.
fn pushed(config: &Config, tick: u64) -> (usize, f64) {
    let catalog = Catalog::build_with(config, Vec::new(), &further::needed(config)).unwrap();
    let catalog = Arc::new(catalog);
    let mut engine = Engine::new(config, Arc::clone(&catalog), EPOCH_NS, 1).unwrap();
    let needs = exporters::needs(config);
    engine.tell(&needs);
    let interval = config.otel.export_interval_ns / config.global.tick_interval_ns;
    let mut before = None;
    let frame = loop {
        let frame = engine.advance(|_, _| ());
        if frame.tick() == tick {
            break frame;
        }
        if frame.tick() == tick - interval && needs.growth {
            engine.hand_over(HandedOver::InTurn);
            before = Some(frame);
        }
    };
    let mut encoder = otlp::Encoder::new(catalog, push::encoder_options(&config.otel));
    let (mut points, mut bytes) = (0, 0);
    let _: ControlFlow<()> = encoder.encode(&frame, before.as_deref(), &mut |body, more| {
        points += more;
        bytes += body.len();
        ControlFlow::Continue(())
    });
    (points, bytes as f64)
}

/// A push of OTLP is as long as arithmetic says, whatever the form of its histograms.
#[test]
fn pushes_are_as_long_as_estimated() {
    let text = "
global: {tick_interval_s: 600, epoch: '2026-01-01T00:00:00Z'}
exporters: {otel: {endpoint: 'http://localhost:1', export_interval_s: 1800, OTEL}}
profiles: {p: {labels: {pod: {range: [100, 299]}}}}
metrics:
  - {name: a, profile: p, type: histogram, algorithm: lognormal, mu: 0, sigma: 1,
     observations_per_tick: 20}
  - {name: b, profile: p, type: histogram, algorithm: exponential, lam: 3,
     observations_per_tick: 40, native_histogram: {schema: 8, max_buckets: 50}}
  - {name: c, profile: p, type: counter, algorithm: constant, base_rate: 1}
";
    let mut measured = Vec::new();
    for (otel, share) in [
        ("histograms: explicit", 0.01),
        ("histograms: explicit, min_max: true", 0.01),
        ("histograms: explicit, temporality: delta", 0.01),
        ("histograms: exponential", 0.1),
        ("histograms: exponential, temporality: delta", 0.1),
        ("histograms: native", 0.1),
        ("histograms: native, temporality: delta, min_max: true", 0.1),
    ] {
        let text = text.replace("OTEL", otel);
        let config = load_str(Path::new("test"), text.as_bytes(), &|_| None);
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let (points, bytes) = pushed(&config, 144);
        assert_eq!(points, 600);
        let ticks = SpaceSizes::last_tick(&config);
        let mut spaces = SpaceSizes::new(&config, Vec::new());
        let layout = further::needed(&config);
        let sizes = config.metrics.iter().map(|metric| {
            let shape = shape_of(metric, &layout);
            let span = (ticks, config.global.tick_interval_ns);
            200.0 * otlp::point_bytes(&shape, metric, &config.otel, span, spaces.of(metric).1)
        });
        let estimated: f64 = sizes.sum();
        assert!(
            (estimated / bytes - 1.0).abs() < share,
            "{otel}: {estimated}, {bytes}"
        );
        measured.push(bytes);
    }
    // Two histograms of 200 series: key and value of both ends.
    assert!(
        (measured[1] - measured[0] - 400.0 * 18.0).abs() < 10.0,
        "{measured:?}"
    );
}
