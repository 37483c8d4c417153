//! Remote write against a receiver that misbehaves to order.

use std::collections::HashSet;

use prost::Message;

use super::*;
use crate::config::RemoteWrite;
use crate::proto::{remote_write_v1 as v1, remote_write_v2 as v2};

const SAMPLES_WRITTEN: &str = "X-Prometheus-Remote-Write-Samples-Written";
/// Of the NaN that says that a series has ended.
const STALE_BITS: u64 = 0x7FF0_0000_0000_0002;
/// Of a frame.
const SAMPLES: u64 = POINTS * REQUESTS as u64;

fn section(receiver: &Fake, fields: &str) -> RemoteWrite {
    let text = format!(
        "metrics: [{{name: g, type: gauge, algorithm: constant, start: 1}}]\n\
         exporters: {{remote_write: [{{url: '{}', interval_s: 1, max_samples_per_send: {POINTS}, \
         {fields}}}]}}\n",
        receiver.url()
    );
    let config = load_str(Path::new("f.yaml"), text.as_bytes(), &|_| None);
    config.unwrap().remote_writes.remove(0)
}

fn start(section: &RemoteWrite) -> Pusher {
    let catalog = Arc::clone(frame(0).catalog());
    let exporter = Exporter::of(Push::RemoteWrite(section), catalog, Clock::start()).unwrap();
    Pusher::start_with(exporter, TICK_NS, policy(), &Arc::default()).unwrap()
}

/// A series, its value's bits, its time.
type Sample = (String, u64, i64);

fn read_v1(body: &[u8]) -> Vec<Sample> {
    let plain = snap::raw::Decoder::new().decompress_vec(body).unwrap();
    let request = v1::WriteRequest::decode(plain.as_slice()).unwrap();
    let series = request.timeseries.into_iter();
    series
        .map(|series| {
            let labels = series
                .labels
                .iter()
                .map(|l| format!("{}={}", l.name, l.value));
            let labels: Vec<String> = labels.collect();
            let sample = &series.samples[0];
            (labels.join(","), sample.value.to_bits(), sample.timestamp)
        })
        .collect()
}

fn read_v2(body: &[u8]) -> Vec<Sample> {
    let plain = snap::raw::Decoder::new().decompress_vec(body).unwrap();
    let request = v2::Request::decode(plain.as_slice()).unwrap();
    let text = |number: u32| request.symbols[number as usize].as_str();
    let series = request.timeseries.iter();
    series
        .map(|series| {
            let labels = series.labels_refs.chunks(2);
            let labels = labels.map(|pair| format!("{}={}", text(pair[0]), text(pair[1])));
            let labels: Vec<String> = labels.collect();
            let sample = &series.samples[0];
            (labels.join(","), sample.value.to_bits(), sample.timestamp)
        })
        .collect()
}

fn header<'a>(seen: &'a receiver::Seen, name: &str) -> Option<&'a str> {
    let found = seen.headers.iter().find(|(known, _)| *known == name);
    found.and_then(|(_, value)| value.as_deref())
}

/// An answer of success that says how many samples were written.
fn written(samples: u64) -> Act {
    Act::header(204, SAMPLES_WRITTEN, &samples.to_string())
}

#[test]
fn requests_say_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "0123\n").unwrap();
    for (version, number, content_type) in [
        (1, "0.1.0", "application/x-protobuf"),
        (
            2,
            "2.0.0",
            "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        ),
    ] {
        for (fields, authorization) in [
            ("tenant: a".to_owned(), None),
            (
                format!("bearer_token_file: {}", token.display()),
                Some("Bearer 0123"),
            ),
            (
                "basic_auth: {username: u, password: p w}".to_owned(),
                Some("Basic dTpwIHc="),
            ),
            (
                format!(
                    "basic_auth: {{username: u, password_file: {}}}",
                    token.display()
                ),
                Some("Basic dTowMTIz"),
            ),
        ] {
            let receiver = Fake::start((0..6).map(|_| written(POINTS)));
            let fields = format!("version: {version}, headers: {{x-extra: a b}}, {fields}");
            let mut pusher = start(&section(&receiver, &fields));
            pusher.offer(&frame(7));
            let delivery = pusher.finish_within(None, PATIENCE);
            // The frame, and the end of every series.
            assert_eq!(totals(&delivery), [2 * SAMPLES, 0, 0, 0]);
            for seen in receiver.seen() {
                assert_eq!(seen.path, "/v1/metrics");
                for (name, expected) in [
                    ("content-type", Some(content_type)),
                    ("content-encoding", Some("snappy")),
                    ("x-prometheus-remote-write-version", Some(number)),
                    (
                        "user-agent",
                        Some(concat!("mockingbird/", env!("CARGO_PKG_VERSION"))),
                    ),
                    ("x-extra", Some("a b")),
                    ("authorization", authorization),
                    ("x-scope-orgid", authorization.is_none().then_some("a")),
                    ("retry-attempt", None),
                ] {
                    assert_eq!(header(&seen, name), expected, "{name}");
                }
            }
        }
    }
}

#[test]
fn every_status_has_its_consequence() {
    for version in [1, 2] {
        let receiver = Fake::start([]);
        let fields = format!("version: {version}, concurrency: 1");
        let mut pusher = start(&section(&receiver, &fields));
        let mut before = [0; 4];
        let statuses = (200..600).filter(|status| ![204, 205, 304, 415].contains(status));
        for (tick, status) in statuses.enumerate() {
            let none_written = Act::header(status, SAMPLES_WRITTEN, "0");
            let is_success = status < 300;
            receiver.expect([if is_success {
                written(POINTS)
            } else {
                none_written
            }]);
            receiver.expect((0..REQUESTS).map(|_| written(POINTS)));
            let now = totals(&export(&mut pusher, tick as u64));
            let change = [0, 1, 2, 3].map(|index| now[index] - before[index]);
            let expected = match status {
                200..=299 => [SAMPLES, 0, 0, 0],
                429 | 500.. => [SAMPLES, 0, 0, POINTS],
                _ => [SAMPLES - POINTS, 0, POINTS, 0],
            };
            assert_eq!(change, expected, "{status}");
            before = now;
            // A request that was not retried leaves an answer over.
            receiver.forget();
        }
        let retries = receiver.seen();
        let retries = retries
            .iter()
            .filter_map(|seen| header(seen, "retry-attempt"));
        assert_eq!(retries.collect::<HashSet<_>>(), HashSet::from(["1"]));
        drop(pusher);
    }
}

#[test]
fn what_was_not_written_is_rejected() {
    let partial = |status, samples: &str| Act::header(status, SAMPLES_WRITTEN, samples);
    for (act, expected) in [
        (partial(204, "7"), [27, 3, 0, 0]),
        // Only part of it was right.
        (partial(400, "4"), [24, 6, 0, 0]),
        (partial(400, "0"), [20, 0, 10, 0]),
        (partial(400, "many"), [20, 0, 10, 0]),
        // More than there was is all of it.
        (partial(204, "11"), [30, 0, 0, 0]),
        // What may be sent again is sent again whole.
        (partial(500, "4"), [30, 0, 0, 10]),
    ] {
        let what = format!("{act:?}");
        let receiver = Fake::start([act]);
        receiver.expect((0..REQUESTS).map(|_| written(POINTS)));
        let mut pusher = start(&section(&receiver, "version: 2, concurrency: 1"));
        assert_eq!(totals(&export(&mut pusher, 1)), expected, "{what}");
    }
}

/// Answers that say what was written of each kind: the ledger keeps all of it.
#[test]
fn the_ledger_has_what_receivers_say_they_wrote() {
    let all = |samples: u64, histograms: u64, exemplars: u64| {
        let kinds = ["Samples", "Histograms", "Exemplars"];
        let header = |kind| format!("X-Prometheus-Remote-Write-{kind}-Written");
        let counts = [samples, histograms, exemplars].map(|count| count.to_string());
        Act::Headers(204, kinds.map(header).into_iter().zip(counts).collect())
    };
    let receiver = Fake::start([all(10, 0, 0), all(8, 0, 0), all(10, 1, 2)]);
    let mut pusher = start(&section(&receiver, "version: 2, concurrency: 1"));
    let delivery = export(&mut pusher, 1);
    assert_eq!(totals(&delivery), [28, 2, 0, 0]);
    let confirmed = delivery.ledger.confirmed;
    assert_eq!(confirmed.sent, Contents::of_samples(SAMPLES));
    let written = Contents {
        samples: 28,
        histograms: 1,
        exemplars: 2,
    };
    assert_eq!((confirmed.written, confirmed.mismatches), (written, 2));
    assert_eq!(delivery.exports_failed, 1);
    // Neither version 1 nor a request that is refused adds to it.
    receiver.expect([Act::status(400), all(10, 0, 0), all(10, 0, 0)]);
    let now = export(&mut pusher, 2).ledger.confirmed;
    assert_eq!(now.sent, Contents::of_samples(SAMPLES + 2 * POINTS));
    assert_eq!((now.written.samples, now.mismatches), (48, 2));
    let receiver = Fake::start((0..REQUESTS).map(|_| Act::status(204)));
    let mut pusher = start(&section(&receiver, "version: 1, concurrency: 1"));
    let delivery = export(&mut pusher, 1);
    assert_eq!(totals(&delivery), [SAMPLES, 0, 0, 0]);
    assert_eq!(delivery.ledger.confirmed, Confirmed::default());
}

#[test]
fn a_receiver_of_version_1_gets_version_1() {
    for unknown in [Act::status(415), Act::Take] {
        // The first request, which waits with the others, and all that follow.
        let receiver = Fake::start([unknown.clone()]);
        let mut pusher = start(&section(&receiver, "version: 2, concurrency: 1"));
        for tick in 1..=2 {
            let delivery = export(&mut pusher, tick);
            assert_eq!(totals(&delivery), [tick * SAMPLES, 0, 0, 0]);
        }
        let seen = receiver.seen();
        let mut samples = HashSet::new();
        for (index, seen) in seen.iter().enumerate() {
            let version = header(seen, "x-prometheus-remote-write-version");
            if index == 0 {
                assert_eq!(version, Some("2.0.0"));
                assert_eq!(read_v2(&seen.body).len() as u64, POINTS);
                continue;
            }
            assert_eq!(version, Some("0.1.0"));
            assert_eq!(header(seen, "content-type"), Some("application/x-protobuf"));
            samples.extend(read_v1(&seen.body));
        }
        assert_eq!(seen.len(), 1 + 2 * REQUESTS);
        assert_eq!(samples.len() as u64, 2 * SAMPLES);
    }
    // Who is sent version 1 is not asked again.
    let receiver = Fake::start([Act::status(415)]);
    let mut pusher = start(&section(&receiver, "version: 1, concurrency: 1"));
    assert_eq!(totals(&export(&mut pusher, 1)), [20, 0, 10, 0]);
}

#[test]
fn series_end_with_their_catalog_and_at_the_end() {
    let receiver = Fake::start([]);
    let mut pusher = start(&section(
        &receiver,
        "version: 1, labels: {job: x, instance: y}",
    ));
    export(&mut pusher, 1);
    // Others: the first third of the series is gone.
    let values = (10..30).map(|index| index.to_string()).collect();
    let dimension = Dimension::new("a", &LabelValues::List(values), 20);
    let space = Arc::new(Space::from_dimensions(vec![dimension]));
    let family = Family::new("g", "", "", Shape::Gauge, space);
    let catalog = Arc::new(Catalog::from_families(vec![family], 1));
    let columns = vec![Columns::Values(vec![1.0; 20])];
    let reloaded = Frame::from_columns(&catalog, 2, 2_000_000_000, 0, columns);
    pusher.offer(&Arc::new(reloaded));
    let delivery = pusher.finish_within(None, PATIENCE);
    assert_eq!(totals(&delivery), [30 + 20 + 10 + 20, 0, 0, 0]);

    let seen = receiver.seen();
    let samples: Vec<Sample> = seen.iter().flat_map(|seen| read_v1(&seen.body)).collect();
    let series = |index: i32| format!("__name__=rw_g,a={index},instance=y,job=x");
    let of = |index: i32| -> Vec<(u64, i64)> {
        let samples = samples.iter().filter(|(name, ..)| *name == series(index));
        samples.map(|&(_, bits, time_ms)| (bits, time_ms)).collect()
    };
    let one = 1f64.to_bits();
    for index in 0..30 {
        let expected = if index < 10 {
            vec![(0, 1000), (STALE_BITS, 1001)]
        } else {
            vec![(0, 1000), (one, 2000), (STALE_BITS, 2001)]
        };
        assert_eq!(of(index), expected, "series {index}");
    }
}

/// However slow the receiver, two requests that it has at the same time have no
/// series in common.
#[test]
fn a_series_is_never_in_two_requests_in_flight() {
    let receiver = Fake::start((0..3).map(|_| Act::Hold));
    let mut pusher = start(&section(&receiver, "concurrency: 8"));
    for tick in 1..=3 {
        pusher.offer(&frame(tick));
        std::thread::sleep(Duration::from_millis(50));
    }
    let deadline = Instant::now() + PATIENCE;
    while receiver.seen().len() < REQUESTS {
        assert!(Instant::now() < deadline, "they do not arrive");
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(100));
    let held = receiver.seen();
    assert_eq!(held.len(), REQUESTS, "the next frame waits");
    let samples: Vec<Sample> = held.iter().flat_map(|seen| read_v1(&seen.body)).collect();
    let distinct: HashSet<&String> = samples.iter().map(|(name, ..)| name).collect();
    assert_eq!(distinct.len(), samples.len());
    receiver.open();
    let delivery = pusher.finish_within(None, PATIENCE);
    assert!(delivery.ledger.balances());
    assert_eq!(delivery.ledger.in_flight, 0);
}

#[test]
fn a_missing_secret_is_an_error_at_the_start() {
    let receiver = Fake::start([]);
    let section = section(&receiver, "bearer_token_file: no/such");
    let catalog = Arc::clone(frame(0).catalog());
    let push = Push::RemoteWrite(&section);
    let started = Pusher::start(push, TICK_NS, catalog, &Arc::default(), Clock::start());
    let Err(StartError::Config(message)) = started else {
        panic!("it started");
    };
    let begin = "exporters.remote_write.bearer_token_file: no/such cannot be read: ";
    assert!(message.starts_with(begin), "{message}");
}

/// Names of the metrics that a request of version 1 describes.
fn described(body: &[u8]) -> Vec<String> {
    let plain = snap::raw::Decoder::new().decompress_vec(body).unwrap();
    let request = v1::WriteRequest::decode(plain.as_slice()).unwrap();
    let names = request.metadata.into_iter();
    names.map(|one| one.metric_family_name).collect()
}

#[test]
fn version_1_describes_metrics_once_a_minute() {
    let receiver = Fake::start([]);
    let mut pusher = start(&section(&receiver, "concurrency: 1"));
    let mut checked = 0;
    let catalog = Arc::clone(frame(0).catalog());
    for (tick, expected) in [(1, 1), (2, 0), (60, 0), (61, 1), (62, 0)] {
        let columns = vec![Columns::Values(vec![0.0; SAMPLES as usize])];
        let time_ns = (tick * TICK_NS) as i64;
        let same = Frame::from_columns(&catalog, tick, time_ns, 0, columns);
        let offered = pusher.delivery().ledger.offered;
        pusher.offer(&Arc::new(same));
        wait(&pusher, "it is settled", |d| {
            d.ledger.offered > offered && d.exports_open == 0
        });
        let seen = receiver.seen();
        let names: Vec<String> = seen[checked..]
            .iter()
            .flat_map(|s| described(&s.body))
            .collect();
        assert_eq!(names, vec!["rw_g"; expected], "tick {tick}");
        checked = seen.len();
    }
}
