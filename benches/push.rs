//! Points per second from a frame into a receiver that throws them away, over
//! loopback: encoding, compression, posting, answering, all on this machine.
//!
//! The receiver reads and drops each body on the same cores, so this is a lower
//! bound of what a real receiver elsewhere is offered.
#![allow(missing_docs)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mockingbird::clock::Clock;
use mockingbird::config::load_str;
use mockingbird::engine::Engine;
use mockingbird::exporters::Push;
use mockingbird::http::{Limits, Reply, Request, Server};
use mockingbird::model::Catalog;
use mockingbird::push::Pusher;
use support::{Options, Table, count};

fn main() {
    let options = Options::from_args();
    let mut table = Table::new(
        "Pushing into a receiver that discards",
        &[
            "points",
            "compression",
            "ms",
            "points/s",
            "CPU s per million",
        ],
    );
    let sizes = options.sizes();
    for &size in sizes
        .iter()
        .filter(|&&size| options.smoke || size >= 100_000)
    {
        for compression in ["none", "gzip"] {
            measure(&mut table, size, compression);
        }
    }
    table.print();
}

fn measure(table: &mut Table, size: usize, compression: &str) {
    let limits = Limits {
        body_bytes_max: 64 << 20,
        ..Limits::default()
    };
    let discard = |_: &Request<'_>, reply: Reply<'_>| {
        reply.send(200, &[("Content-Type", "application/x-protobuf")], b"")
    };
    let server = Server::bind(("127.0.0.1", 0), limits, discard).unwrap();
    let text = format!(
        "global: {{tick_interval_s: 1}}\n\
         exporters: {{otel: {{endpoint: 'http://{}', compression: {compression}, \
         export_interval_s: 1, queue_bytes: 1073741824}}}}\n\
         profiles: {{p: {{labels: {{user: {{range: [1, {}]}}, zone: [a, b], app: [web]}}}}}}\n\
         metrics: [{{name: m, profile: p, type: counter, algorithm: poisson, base_rate: 100}}]",
        server.local_addr(),
        size / 2,
    );
    let config = load_str(Path::new("bench"), text.as_bytes(), &|_| None)
        .unwrap_or_else(|error| panic!("{error}"));
    let catalog = Arc::new(Catalog::build(&config, Vec::new()).unwrap());
    let mut engine = Engine::new(&config, Arc::clone(&catalog), 0, 1).unwrap();
    let mut pusher = Pusher::start(
        Push::Otlp(&config.otel),
        1_000_000_000,
        catalog,
        &Arc::default(),
        Clock::start(),
    )
    .unwrap_or_else(|_| panic!("the pusher starts"));
    let mut times = Vec::new();
    let cpu_before = cpu_seconds();
    let rounds = 5u64;
    for round in 1..=rounds {
        let frame = engine.advance(|_, _| {});
        let began = Instant::now();
        pusher.offer(&frame);
        while pusher.delivery().ledger.accepted < round * size as u64 {
            assert!(began.elapsed() < Duration::from_secs(60), "not accepted");
            std::thread::sleep(Duration::from_micros(200));
        }
        times.push(began.elapsed().as_secs_f64());
    }
    let cpu = (cpu_seconds() - cpu_before) / (rounds as f64 * size as f64 / 1e6);
    let delivery = pusher.finish(None);
    assert_eq!(delivery.ledger.accepted, rounds * size as u64);
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    table.row(&[
        count(size),
        compression.to_owned(),
        format!("{:.1}", median * 1e3),
        count((size as f64 / median) as usize),
        format!("{cpu:.2}"),
    ]);
    server.shutdown(Duration::from_secs(1));
}

/// CPU time of this process, in hundredths as Linux tells it; 0 elsewhere.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut next = || {
        fields
            .next()
            .and_then(|f| f.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (next() + next()) / 100.0
}
