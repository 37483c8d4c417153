//! How long checking takes, the backend's time aside: every sample of 10,000
//! series over 3,600 ticks, and counts and sums of a million series.
//!
//! The backend is a server in this process that answers the queries that `verify`
//! asks from what the engine gave; reading its answers counts as its time. The
//! reference is the engine alone over the same ticks.
#![allow(missing_docs)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use mockingbird::config::{Config, load_str};
use mockingbird::engine::{Columns, Frame};
use mockingbird::exporters::Needs;
use mockingbird::http::{Limits, Reply, Request, Server, percent_decode};
use mockingbird::journal::Replay;
use mockingbird::verify::backend::Backend;
use mockingbird::verify::{self, Options as What, Share, Via};
use support::{Options, Table, count, ratio};

fn main() {
    let options = Options::from_args();
    let mut table = Table::new(
        "Verifying, the backend's time aside",
        &[
            "what",
            "series",
            "ticks",
            "samples",
            "s",
            "ns/sample",
            "engine alone, s",
            "ratio",
        ],
    );
    let (series, ticks) = if options.smoke {
        (100, 60)
    } else {
        (10_000, 3_600)
    };
    measure(&mut table, "each sample", series, ticks, Share::All);
    let series = if options.smoke { 1_000 } else { 1_000_000 };
    measure(&mut table, "counts and sums", series, 2, Share::Series(1));
    table.print();
}

fn measure(table: &mut Table, what: &str, series: usize, ticks: usize, share: Share) {
    let config = config(series);
    let began = Instant::now();
    let mut engine = replay(&config).engine(1).unwrap();
    for _ in 0..ticks {
        engine.advance(|_, _| {});
    }
    let alone_s = began.elapsed().as_secs_f64();
    drop(engine);

    let stored = Arc::new(Stored::new(&config, ticks));
    let (server, backend) = serve(&stored);
    let options = What {
        via: Via::Prometheus,
        from_ms: 0,
        to_ms: ticks as i64 * 1000 - 1,
        visible_until_ms: None,
        whole_range: true,
        goes_on_until_ms: None,
        known_until_ms: None,
        share,
        matches: Vec::new(),
        instants: 1,
        targets_max: 1,
        job: None,
        instance: None,
        tolerance: None,
        deltas_stored_as: None,
        threads: 1,
    };
    let found = verify::run(replay(&config), &backend, &options, &mut |_, _| {}).unwrap();
    let report = found.into_only();
    assert!(report.ok, "{}", report.table(false));
    let samples = match share {
        Share::All => report.metrics[0].samples as usize,
        Share::Series(_) => series * report.metrics[0].totals as usize,
    };
    let took_s = report.cost.map_or(f64::NAN, |cost| cost.compute_s);
    table.row(&[
        what.to_owned(),
        count(series),
        count(ticks),
        count(samples),
        format!("{took_s:.3}"),
        format!("{:.1}", took_s * 1e9 / samples as f64),
        format!("{alone_s:.3}"),
        ratio(took_s / alone_s),
    ]);
    server.shutdown(std::time::Duration::from_secs(1));
}

fn config(series: usize) -> Config {
    let text = format!(
        "global: {{tick_interval_s: 1, epoch: '1970-01-01T00:00:00Z'}}\n\
         exporters: {{otel: {{enabled: false}}, prometheus: {{prefix: p_}}}}\n\
         profiles: {{p: {{labels: {{host: {{range: [1, {series}]}}}}}}}}\n\
         metrics: [{{name: m, profile: p, type: counter, algorithm: poisson, base_rate: 100}}]"
    );
    load_str(Path::new("bench"), text.as_bytes(), &|_| None)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn replay(config: &Config) -> Replay {
    Replay::of_config(config.clone(), 0, Needs::default())
}

/// What a backend holds: a value of each series at each second.
struct Stored {
    ticks: usize,
    /// Tick by tick, by host.
    values: Vec<Vec<f64>>,
}

impl Stored {
    fn new(config: &Config, ticks: usize) -> Self {
        let mut engine = replay(config).engine(1).unwrap();
        let values = (0..ticks).map(|_| by_host(&engine.advance(|_, _| {})));
        Self {
            ticks,
            values: values.collect(),
        }
    }

    fn answer(&self, body: &[u8]) -> String {
        let body = std::str::from_utf8(body).unwrap();
        let field = |name: &str| {
            let mut fields = body.split('&').filter_map(|field| field.split_once('='));
            let (_, value) = fields.find(|(known, _)| *known == name).unwrap();
            percent_decode(&value.replace('+', " "))
                .unwrap()
                .into_owned()
        };
        let (query, time) = (field("query"), field("time"));
        let last = (time.parse::<f64>().unwrap()) as usize;
        let (kind, result) = if query.starts_with("count(") || query.starts_with("sum(") {
            let values = &self.values[last];
            let value = if query.starts_with("sum") {
                values.iter().sum::<f64>()
            } else {
                values.len() as f64
            };
            let row = format!("{{\"metric\":{{}},\"value\":[{last},\"{value}\"]}}");
            let is_there = !query.contains("_created");
            ("vector", if is_there { row } else { String::new() })
        } else if !query.contains("gen_ticks") && query.contains("_gen_") {
            // It does not tell whose run it holds.
            ("vector", String::new())
        } else if query.contains("gen_ticks") {
            let values = (0..self.ticks).map(|tick| (tick, tick as f64));
            ("matrix", matrix("p_gen_ticks_total", None, values))
        } else {
            // Where it says which, by name.
            let hosts: Vec<usize> = match query.split_once("host=") {
                None => (1..=self.values[0].len()).collect(),
                Some((_, hosts)) => {
                    let (_, hosts) = hosts.split_once('"').unwrap();
                    let (hosts, _) = hosts.split_once('"').unwrap();
                    hosts.split('|').map(|host| host.parse().unwrap()).collect()
                }
            };
            let (_, range) = query.rsplit_once('[').unwrap();
            let range_ms: usize = range.strip_suffix("ms]").unwrap().parse().unwrap();
            let first = (last + 1).saturating_sub(range_ms.div_ceil(1000));
            let series = hosts.iter().map(|&host| {
                let values = (first..=last).map(|tick| (tick, self.values[tick][host - 1]));
                matrix("p_m_total", Some(host), values)
            });
            ("matrix", series.collect::<Vec<_>>().join(","))
        };
        format!(
            "{{\"status\":\"success\",\"data\":{{\"resultType\":\"{kind}\",\"result\":[{result}]}}}}"
        )
    }
}

/// Values in the order of their hosts.
fn by_host(frame: &Frame) -> Vec<f64> {
    let catalog = frame.catalog();
    let space = &catalog.families()[0].space;
    let mut values = vec![0.0; space.series_count()];
    for place in catalog.family_blocks(0) {
        let (_, block, columns) = frame.block(place);
        let Columns::Values(column) = columns else {
            unreachable!("a counter has values");
        };
        let mut cursor = space.cursor(block.start);
        for &value in column {
            let digit = cursor.digits()[0];
            let host = std::str::from_utf8(space.dimensions()[0].values.get(digit as usize));
            values[host.unwrap().parse::<usize>().unwrap() - 1] = value;
            cursor.advance();
        }
    }
    values
}

fn matrix(name: &str, host: Option<usize>, values: impl Iterator<Item = (usize, f64)>) -> String {
    use std::fmt::Write as _;
    let host = host.map_or(String::new(), |host| format!(",\"host\":\"{host}\""));
    let mut out = format!("{{\"metric\":{{\"__name__\":\"{name}\"{host}}},\"values\":[");
    for (index, (time, value)) in values.enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let _ = write!(out, "{comma}[{time},\"{value}\"]");
    }
    out + "]}"
}

fn serve(stored: &Arc<Stored>) -> (Server, Backend) {
    let stored = Arc::clone(stored);
    let handler = move |request: &Request<'_>, reply: Reply<'_>| match request.path() {
        "/api/v1/query" => reply.send(200, &[], stored.answer(request.body()).as_bytes()),
        _ => reply.send(404, &[], b"none"),
    };
    let server = Server::bind(("127.0.0.1", 0), Limits::default(), handler).unwrap();
    let url = format!("http://{}", server.local_addr());
    (
        server,
        Backend::new(&url, Vec::new(), std::time::Duration::from_secs(60)).unwrap(),
    )
}
