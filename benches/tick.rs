//! Nanoseconds per series and core of one tick.
use mockingbird::config::*;
use mockingbird::engine::Engine;
use mockingbird::model::Catalog;
use std::sync::Arc;
use std::time::Instant;

fn range(name: &str, n: i64) -> Label {
    Label {
        name: name.into(),
        values: LabelValues::Range {
            first: 1,
            last: n,
            format: RangeFormat {
                before: "v".into(),
                after: String::new(),
                width: 0,
                zero_fill: false,
                hexadecimal: false,
            },
        },
        from_metric: false,
    }
}
fn config(kind: Kind, labels: Vec<Label>, cap: Option<u64>) -> Config {
    Config {
        path: "x".into(),
        global: Global {
            tick_interval_ns: 1_000_000_000,
            seed: 42,
            log_level: log::LevelFilter::Info,
            log_format: LogFormat::Text,
            epoch_ns: Some(0),
            control_api_port: 0,
            control_api_bind: [127, 0, 0, 1].into(),
            threads: Some(1),
            max_series: 20_000_000,
        },
        prometheus: Prometheus {
            enabled: true,
            port: 0,
            bind_address: [0, 0, 0, 0].into(),
            prefix: String::new(),
            timestamps: false,
        },
        otel: Otel {
            enabled: false,
            endpoint: String::new(),
            insecure: true,
            prefix: String::new(),
            export_interval_ns: 1,
            protocol: OtelProtocol::HttpProtobuf,
            headers: Default::default(),
            resource: Default::default(),
        },
        metrics: vec![Metric {
            name: "m".into(),
            description: String::new(),
            unit: String::new(),
            seed: 42,
            labels,
            series_cap: cap,
            sampling: Sampling::Hash,
            zipf_alpha: 0.0,
            kind,
        }],
        runtime: Runtime::default(),
    }
}
fn main() {
    let off = Diurnal {
        amplitude: 0.0,
        phase: 0.0,
    };
    let obs = |per_tick| Observations {
        per_tick,
        distribution: Distribution::LogNormal {
            mu: -2.0,
            sigma: 0.7,
        },
        diurnal: off,
    };
    let b8 = vec![0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64];
    let kinds: Vec<(&str, Kind, i64)> = vec![
        (
            "counter poisson",
            Kind::Counter {
                algorithm: CounterAlgorithm::Poisson { rate_per_s: 12.0 },
                diurnal: off,
            },
            1,
        ),
        (
            "counter poisson diurnal",
            Kind::Counter {
                algorithm: CounterAlgorithm::Poisson { rate_per_s: 12.0 },
                diurnal: Diurnal {
                    amplitude: 0.5,
                    phase: 0.0,
                },
            },
            1,
        ),
        (
            "counter constant",
            Kind::Counter {
                algorithm: CounterAlgorithm::Constant {
                    increment_per_tick: 12.0,
                },
                diurnal: off,
            },
            1,
        ),
        (
            "gauge walk",
            Kind::Gauge {
                algorithm: GaugeAlgorithm::RandomWalk {
                    start: 0.5,
                    step: 0.05,
                },
                diurnal: off,
                clamp: (0.0, 1.0),
            },
            1,
        ),
        (
            "gauge bernoulli",
            Kind::Gauge {
                algorithm: GaugeAlgorithm::Bernoulli { p: 0.9 },
                diurnal: off,
                clamp: (f64::NEG_INFINITY, f64::INFINITY),
            },
            1,
        ),
        (
            "gauge sine spread",
            Kind::Gauge {
                algorithm: GaugeAlgorithm::Sine {
                    middle: 0.5,
                    amplitude: 1.0,
                    period_ns: 60_000_000_000,
                    phase_spread: 1.0,
                },
                diurnal: off,
                clamp: (f64::NEG_INFINITY, f64::INFINITY),
            },
            1,
        ),
        (
            "histogram 8x1",
            Kind::Histogram {
                bounds: b8.clone(),
                observations: obs(1.0),
            },
            1,
        ),
        (
            "histogram 8x1000",
            Kind::Histogram {
                bounds: b8.clone(),
                observations: obs(1000.0),
            },
            10,
        ),
        (
            "summary 3x1",
            Kind::Summary {
                objectives: vec![
                    Objective {
                        quantile: 0.5,
                        rank_error: 0.05,
                    },
                    Objective {
                        quantile: 0.9,
                        rank_error: 0.01,
                    },
                    Objective {
                        quantile: 0.99,
                        rank_error: 0.001,
                    },
                ],
                max_age_ns: 600_000_000_000,
                observations: obs(1.0),
            },
            10,
        ),
    ];
    for n in [10i64, 1000] {
        for (name, kind, div) in &kinds {
            for (shape, labels, cap) in [
                (
                    "long",
                    vec![range("a", 10), range("b", 100 * n / div)],
                    None,
                ),
                (
                    "short",
                    vec![range("a", 10), range("b", 50 * n / div), range("c", 2)],
                    None,
                ),
                (
                    "hash",
                    vec![range("a", 10), range("b", 200 * n / div), range("c", 3)],
                    Some((1000 * n / div) as u64),
                ),
            ] {
                let config = config(kind.clone(), labels, cap);
                let catalog = Arc::new(Catalog::build(&config, vec![]).unwrap());
                let series = catalog.generated_series();
                let mut engine = Engine::new(&config, catalog, 0, 1).unwrap();
                let warm = if name.starts_with("summary") { 650 } else { 10 };
                for _ in 0..warm {
                    engine.advance(|_, _| {});
                }
                let rounds = 50;
                let t = Instant::now();
                for _ in 0..rounds {
                    engine.advance(|_, _| {});
                }
                let ns = t.elapsed().as_nanos() as f64 / (rounds as f64 * series as f64);
                println!("{name:28} {shape:6} {series:9} {ns:8.2} ns/series");
            }
        }
    }
}
