//! Faults of every kind, and that the ledger accounts for each point.

mod access;
mod feed;
mod receiver;
mod remote_write;
mod tls;

use std::ops::ControlFlow;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::{LabelValues, Otel, load_str};
use crate::engine::Columns;
use crate::model::labels::Dimension;
use crate::model::space::Space;
use crate::model::{Family, Shape};
use crate::remote_write::Contents;
use encode::{Encode, Sink};
use receiver::{Act, Receiver as Fake, raw};
use target::Target;

const TICK_NS: u64 = 1_000_000_000;
/// Points of each request; a frame has three times as many.
const POINTS: u64 = 10;
const REQUESTS: usize = 3;
/// Long enough for any machine; nothing waits so long unless a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three requests per frame; each body begins with tick and request.
struct Stub {
    body_bytes: usize,
}

impl Encode for Stub {
    fn encode(&mut self, now: &Frame, _: Option<&Frame>, sink: &mut Sink<'_>) -> ControlFlow<()> {
        for index in 0..REQUESTS {
            let mut body = format!("{} {index}", now.tick()).into_bytes();
            body.resize(self.body_bytes, b'.');
            sink(&body, Contents::of_samples(POINTS))?;
        }
        ControlFlow::Continue(())
    }
}

/// Shorter waits than outside tests.
fn policy() -> RetryPolicy {
    RetryPolicy {
        first: Duration::from_millis(1),
        longest: Duration::from_millis(5),
        asked_longest: Duration::from_millis(20),
        give_up_after: Duration::from_secs(600),
    }
}

/// `exporters.otel` with some fields; an export every tick.
pub(super) fn otel(url: &str, fields: &str) -> Otel {
    let text = format!(
        "metrics: [{{name: g, type: gauge, algorithm: constant, start: 1}}]\n\
         exporters: {{otel: {{endpoint: '{url}', export_interval_s: 1, {fields}}}}}\n"
    );
    let config = load_str(Path::new("f.yaml"), text.as_bytes(), &|_| None);
    config.unwrap().otel
}

fn start(otel: &Otel, encoder: impl Encode) -> Pusher {
    start_failing(otel, encoder, &Arc::default())
}

fn start_failing(otel: &Otel, encoder: impl Encode, faults: &Arc<WireFaults>) -> Pusher {
    Pusher::start_with(exporter(otel, encoder), TICK_NS, policy(), faults).unwrap()
}

fn exporter(otel: &Otel, encoder: impl Encode) -> Exporter {
    let target = Target::of_otel(otel);
    let client = Client::new(&target, Clock::start()).unwrap();
    Exporter {
        target,
        client,
        encoder: Box::new(encoder),
    }
}

fn stub(otel: &Otel) -> Pusher {
    start(otel, Stub { body_bytes: 100 })
}

pub(super) fn frame(tick: u64) -> Arc<Frame> {
    let count = POINTS as usize * REQUESTS;
    let values = (0..count).map(|index| index.to_string()).collect();
    let dimension = Dimension::new("a", &LabelValues::List(values), count);
    let space = Arc::new(Space::from_dimensions(vec![dimension]));
    let family = Family::new("g", "", "", Shape::Gauge, space);
    let catalog = Arc::new(Catalog::from_families(vec![family], 1));
    let blocks = catalog.blocks().iter();
    let columns = blocks
        .map(|block| Columns::Values(vec![0.0; block.len]))
        .collect();
    let time_ns = (tick * TICK_NS) as i64;
    Arc::new(Frame::from_columns(&catalog, tick, time_ns, 0, columns))
}

/// Waits until the ledger is as wanted; it must balance all the while.
#[track_caller]
fn wait(pusher: &Pusher, what: &str, wanted: impl Fn(&Delivery) -> bool) -> Delivery {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let delivery = pusher.delivery();
        assert!(delivery.ledger.balances(), "{delivery:?}");
        if wanted(&delivery) {
            return delivery;
        }
        assert!(
            Instant::now() < deadline,
            "in vain until {what}: {delivery:?}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Exports a frame and waits until it is settled.
#[track_caller]
fn export(pusher: &mut Pusher, tick: u64) -> Delivery {
    let offered = pusher.delivery().ledger.offered;
    pusher.offer(&frame(tick));
    wait(pusher, "it is settled", |d| {
        d.ledger.offered > offered && d.exports_open == 0
    })
}

/// Accepted, rejected, dropped, retried.
fn totals(delivery: &Delivery) -> [u64; 4] {
    let ledger = delivery.ledger;
    assert!(ledger.balances());
    [
        ledger.accepted,
        ledger.rejected,
        ledger.dropped,
        ledger.retried,
    ]
}

#[test]
fn every_status_has_its_consequence() {
    let receiver = Fake::start([]);
    let mut pusher = stub(&otel(&receiver.url(), "concurrency: 1"));
    let mut before = [0; 4];
    // Without a body: 204 and 304 have none by definition.
    let statuses = (200..600).filter(|status| ![204, 205, 304].contains(status));
    for (tick, status) in statuses.enumerate() {
        receiver.expect([Act::status(status)]);
        let now = totals(&export(&mut pusher, tick as u64));
        let change: Vec<u64> = now
            .iter()
            .zip(before)
            .map(|(now, then)| now - then)
            .collect();
        let expected = match status {
            200..300 => [30, 0, 0, 0],
            429 | 502 | 503 | 504 => [30, 0, 0, 10],
            _ => [20, 0, 10, 0],
        };
        assert_eq!(change, expected, "status {status}");
        before = now;
    }
    let delivery = pusher.finish(None);
    assert_eq!(totals(&delivery), before);
    assert_eq!(delivery.ledger.in_flight, 0);
}

#[test]
fn every_fault_has_its_consequence() {
    let date = |offset_s: i64| {
        let time = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(offset_s);
        let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
        printer.timestamp_to_rfc9110_string(&time).unwrap()
    };
    for (script, expected, failed) in [
        (vec![Act::Reject(4)], [26, 4, 0, 0], 1),
        // Not more than were sent, and not less than none.
        (vec![Act::Reject(1000)], [20, 10, 0, 0], 1),
        (vec![Act::Reject(-5)], [30, 0, 0, 0], 0),
        (vec![Act::Reject(0)], [30, 0, 0, 0], 0),
        // The status has arrived: to send it again would be to send it twice.
        (vec![Act::Garbage], [30, 0, 0, 0], 0),
        (vec![Act::Cut], [30, 0, 0, 0], 0),
        (
            vec![Act::Answer(400, None, vec![0xFF; 100_000])],
            [20, 0, 10, 0],
            1,
        ),
        // Within the host they are followed, but not without end.
        (vec![Act::header(307, "Location", "/")], [30, 0, 0, 0], 0),
        (vec![Act::header(308, "Location", "/"); 5], [30, 0, 0, 0], 0),
        (
            vec![Act::header(308, "Location", "/"); 6],
            [20, 0, 10, 0],
            1,
        ),
        (vec![Act::header(301, "Location", "/")], [20, 0, 10, 0], 1),
        (
            vec![Act::header(307, "Location", "http://localhost:1/")],
            [20, 0, 10, 0],
            1,
        ),
        (
            vec![Act::header(503, "Retry-After", "0")],
            [30, 0, 0, 10],
            0,
        ),
        (
            vec![Act::header(429, "Retry-After", "9999")],
            [30, 0, 0, 10],
            0,
        ),
        (
            vec![Act::header(503, "Retry-After", &date(-5))],
            [30, 0, 0, 10],
            0,
        ),
        (
            vec![Act::header(503, "Retry-After", &date(500))],
            [30, 0, 0, 10],
            0,
        ),
        (
            vec![Act::header(502, "Retry-After", "never")],
            [30, 0, 0, 10],
            0,
        ),
        (vec![Act::status(503); 9], [30, 0, 0, 90], 0),
    ] {
        let what = format!("{script:?}").chars().take(80).collect::<String>();
        let receiver = Fake::start(script);
        let mut pusher = stub(&otel(&receiver.url(), "concurrency: 1"));
        let delivery = export(&mut pusher, 1);
        assert_eq!(
            (totals(&delivery), delivery.exports_failed),
            (expected, failed),
            "{what}"
        );
        assert_eq!(pusher.finish(None), delivery);
    }
}

#[test]
fn requests_look_as_receivers_want_them() {
    for compression in ["gzip", "none"] {
        let receiver = Fake::start([]);
        let fields = format!("compression: {compression}, headers: {{x-extra: a b}}");
        let mut pusher = stub(&otel(&receiver.url(), &fields));
        export(&mut pusher, 7);
        pusher.finish(None);
        let mut bodies: Vec<String> = Vec::new();
        for seen in receiver.seen() {
            let gzip = compression == "gzip";
            let length = seen.body.len().to_string();
            let expected = [
                ("content-type", Some("application/x-protobuf")),
                ("content-encoding", gzip.then_some("gzip")),
                ("content-length", Some(length.as_str())),
                (
                    "user-agent",
                    Some(concat!("mockingbird/", env!("CARGO_PKG_VERSION"))),
                ),
                ("x-extra", Some("a b")),
                ("transfer-encoding", None),
                ("authorization", None),
                ("retry-attempt", None),
                ("x-prometheus-remote-write-version", None),
                ("x-scope-orgid", None),
            ];
            let headers = seen.headers.iter();
            let headers: Vec<_> = headers
                .map(|(name, value)| (*name, value.as_deref()))
                .collect();
            assert_eq!(
                (seen.path.as_str(), headers.as_slice()),
                ("/v1/metrics", &expected[..])
            );
            bodies.push(text_of(&seen.body));
        }
        bodies.sort();
        assert_eq!(bodies, ["7 0", "7 1", "7 2"]);
    }
}

/// Which request a body is, gzip or not.
fn text_of(body: &[u8]) -> String {
    let mut plain = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(body);
    let read = std::io::Read::read_to_end(&mut decoder, &mut plain);
    let plain = if read.is_ok() { &plain } else { body };
    String::from_utf8_lossy(plain)
        .trim_end_matches('.')
        .to_owned()
}

#[test]
fn no_answer_in_time_is_retried() {
    let receiver = Fake::start([Act::Hold]);
    let mut pusher = stub(&otel(&receiver.url(), "concurrency: 1, timeout_s: 0.2"));
    let delivery = export(&mut pusher, 1);
    let [accepted, rejected, dropped, retried] = totals(&delivery);
    // On a slow machine another one may have come too late.
    assert_eq!((accepted, rejected, dropped), (30, 0, 0));
    assert!(retried >= 10 && retried % 10 == 0);
    receiver.open();
    pusher.finish(None);
}

#[test]
fn late_answers_within_the_time_are_answers() {
    let receiver = Fake::start([Act::Late(Duration::from_millis(50))]);
    let mut pusher = stub(&otel(&receiver.url(), "concurrency: 1, timeout_s: 60"));
    assert_eq!(totals(&export(&mut pusher, 1)), [30, 0, 0, 0]);
    pusher.finish(None);
}

/// A receiver whose first connections fail, each in its own way, and whose later
/// ones work.
#[test]
fn broken_connections_are_retried() {
    use std::io::{Read, Write};
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    let receiver = Fake::start([]);
    let behind = receiver.addr();
    let connections = AtomicUsize::new(0);
    let addr = raw(move |mut stream| {
        match connections.fetch_add(1, Relaxed) {
            // Closed at once; after a part of the request; within the response.
            0 => {}
            1 => drop(stream.read_exact(&mut [0; 20])),
            2 => {
                drop(stream.read(&mut [0; 10_000]));
                drop(stream.write_all(b"HTTP/1.1 200 O"));
            }
            _ => {
                let mut inside = std::net::TcpStream::connect(behind).unwrap();
                let mut back = (inside.try_clone().unwrap(), stream.try_clone().unwrap());
                std::thread::spawn(move || drop(std::io::copy(&mut back.0, &mut back.1)));
                std::thread::spawn(move || drop(std::io::copy(&mut stream, &mut inside)));
            }
        }
    });
    let mut pusher = stub(&otel(&addr.to_string(), "concurrency: 1"));
    assert_eq!(totals(&export(&mut pusher, 1)), [30, 0, 0, 30]);
    pusher.finish(None);
}

#[test]
fn what_is_not_http_is_not_retried() {
    use std::io::{Read, Write};
    let addr = raw(|mut stream| {
        drop(stream.read(&mut [0; 10_000]));
        drop(stream.write_all(b"SSH-2.0-not_a_receiver\r\n\r\n"));
    });
    let mut pusher = stub(&otel(&addr.to_string(), ""));
    assert_eq!(totals(&export(&mut pusher, 1)), [0, 0, 30, 0]);
    pusher.finish(None);
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn nobody_there_costs_only_points() {
    let mut pusher = stub(&otel(&nobody(), ""));
    for tick in 1..=5 {
        pusher.offer(&frame(tick));
        wait(&pusher, "it is encoded", |d| d.ledger.offered >= 30 * tick);
    }
    let delivery = wait(&pusher, "some were sent again", |d| d.ledger.retried >= 30);
    assert_eq!(delivery.ledger.in_flight, 150);
    let delivery = pusher.finish_within(None, Duration::from_millis(50));
    assert_eq!(totals(&delivery)[..3], [0, 0, 150]);
    assert_eq!((delivery.exports_open, delivery.exports_failed), (0, 5));
}

/// Offering returns though the encoder and the receiver stand still. If it did
/// not, this test would not end.
#[test]
fn nothing_delays_a_tick() {
    struct Gate(Receiver<()>);
    impl Encode for Gate {
        fn encode(&mut self, _: &Frame, _: Option<&Frame>, _: &mut Sink<'_>) -> ControlFlow<()> {
            let _ = self.0.recv();
            ControlFlow::Continue(())
        }
    }
    let (open, gate) = bounded(0);
    let mut pusher = start(&otel(&nobody(), ""), Gate(gate));
    pusher.offer(&frame(1));
    for tick in 2..=100 {
        pusher.offer(&frame(tick));
    }
    // One or none is with the encoder, one waits; the others were replaced.
    let delivery = pusher.delivery();
    assert!(delivery.ledger.balances());
    assert!([98 * 30, 99 * 30].contains(&delivery.ledger.dropped));
    drop(open);
    pusher.finish(None);
}

#[test]
fn only_ticks_that_are_due_are_pushed() {
    let receiver = Fake::start([]);
    let mut settings = otel(&receiver.url(), "");
    settings.export_interval_ns = 10 * TICK_NS;
    let mut pusher = stub(&settings);
    for tick in 15..25 {
        pusher.offer(&frame(tick));
    }
    // The last tick is pushed at the end, as it was not due.
    wait(&pusher, "it is settled", |d| {
        d.ledger.offered > 0 && d.exports_open == 0
    });
    assert_eq!(totals(&pusher.finish(Some(frame(24)))), [60, 0, 0, 0]);
    let mut bodies: Vec<String> = receiver.seen().iter().map(|s| text_of(&s.body)).collect();
    bodies[..3].sort();
    bodies[3..].sort();
    assert_eq!(bodies, ["20 0", "20 1", "20 2", "24 0", "24 1", "24 2"]);
}

#[test]
fn a_last_frame_that_was_pushed_is_not_pushed_twice() {
    let receiver = Fake::start([]);
    let mut pusher = stub(&otel(&receiver.url(), ""));
    export(&mut pusher, 3);
    assert_eq!(totals(&pusher.finish(Some(frame(3)))), [30, 0, 0, 0]);
}

#[test]
fn the_end_does_not_wait_for_a_receiver_that_hangs() {
    let receiver = Fake::start(vec![Act::Hold; 3]);
    let mut pusher = stub(&otel(&receiver.url(), "timeout_s: 3000, concurrency: 3"));
    pusher.offer(&frame(1));
    wait(&pusher, "all are held", |_| {
        receiver.seen().len() == REQUESTS
    });
    let delivery = pusher.finish_within(None, Duration::from_millis(50));
    assert_eq!(totals(&delivery), [0, 0, 30, 0]);
    receiver.open();
}

#[test]
fn a_full_queue_drops_the_oldest_export() {
    let receiver = Fake::start(vec![Act::Hold]);
    let mut settings = otel(&receiver.url(), "compression: none, concurrency: 1");
    // Room for two exports; the first has one request at the receiver.
    settings.queue_bytes_max = 600;
    let mut pusher = stub(&settings);
    for tick in 1..=4 {
        pusher.offer(&frame(tick));
        wait(&pusher, "it is encoded", |d| {
            d.ledger.offered >= 30 * tick && receiver.seen().len() == 1
        });
    }
    let delivery = wait(&pusher, "there is room", |d| d.ledger.dropped == 50);
    assert_eq!(delivery.ledger.in_flight, 70);
    receiver.open();
    let delivery = pusher.finish_within(None, PATIENCE);
    assert_eq!(totals(&delivery), [70, 0, 50, 0]);
    assert_eq!(delivery.exports_failed, 2);
    let ticks = receiver.seen().into_iter().map(|seen| text_of(&seen.body));
    let ticks: Vec<String> = ticks.map(|text| text[..1].to_owned()).collect();
    assert_eq!(ticks, ["1", "3", "3", "3", "4", "4", "4"]);
}

/// While the receiver works on the first request, one more waits; the frame that is due
/// next does not wait for the rest.
#[test]
fn a_receiver_that_keeps_up_gets_what_it_takes() {
    let receiver = Fake::start(vec![Act::Hold]);
    let settings = otel(&receiver.url(), "compression: none, concurrency: 1");
    let body_bytes = outbox::AHEAD_BYTES;
    let mut pusher = start(&settings, Stub { body_bytes });
    for tick in 1..=3 {
        pusher.offer(&frame(tick));
        // All of the exports before, and of this one what is ahead.
        let offered = 30 * (tick - 1) + if tick == 1 { 20 } else { 10 };
        wait(&pusher, "it is encoded", |d| {
            assert!(d.ledger.offered <= offered, "{d:?}");
            d.ledger.offered == offered && receiver.seen().len() == 1
        });
    }
    receiver.open();
    let delivery = pusher.finish_within(None, PATIENCE);
    assert_eq!(totals(&delivery), [90, 0, 0, 0]);
    let ticks = receiver.seen().into_iter().map(|seen| text_of(&seen.body));
    let ticks: Vec<String> = ticks.map(|text| text[..1].to_owned()).collect();
    assert_eq!(ticks.concat(), "111222333");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// For any sequence of faults and any number of posters, each request ends
    /// once, as the receiver's last word on it says.
    #[test]
    fn the_ledger_holds_under_any_faults(
        script in prop::collection::vec(
            prop_oneof![
                3 => Just(Act::Take),
                1 => (0_i64..12).prop_map(Act::Reject),
                1 => Just(Act::Garbage),
                1 => Just(Act::Cut),
                3 => prop::sample::select(vec![429, 502, 503, 504]).prop_map(Act::status),
                2 => prop::sample::select(vec![400, 401, 404, 413, 500]).prop_map(Act::status),
            ],
            0..40,
        ),
        concurrency in 1_usize..5,
    ) {
        let receiver = Fake::start(script);
        let mut pusher = stub(&otel(&receiver.url(), &format!("concurrency: {concurrency}")));
        for tick in 1..=5 {
            export(&mut pusher, tick);
        }
        let delivery = pusher.finish(None);
        let mut expected = Ledger::default();
        let mut finished = Vec::new();
        for seen in receiver.seen() {
            match seen.act {
                Act::Answer(429 | 502 | 503 | 504, ..) => {
                    expected.retried += POINTS;
                    continue;
                }
                Act::Answer(..) => expected.dropped += POINTS,
                Act::Reject(count) => {
                    let rejected = (count as u64).min(POINTS);
                    expected.rejected += rejected;
                    expected.accepted += POINTS - rejected;
                }
                _ => expected.accepted += POINTS,
            }
            finished.push(text_of(&seen.body));
        }
        expected.offered = 5 * REQUESTS as u64 * POINTS;
        prop_assert_eq!(delivery.ledger, expected);
        finished.sort();
        let all: Vec<String> = (1..=5)
            .flat_map(|tick| (0..REQUESTS).map(move |index| format!("{tick} {index}")))
            .collect();
        prop_assert_eq!(finished, all);
    }
}

#[test]
fn posts_fail_while_they_are_told_to() {
    use crate::config::FaultKind;
    use crate::timeline::{Effect, Modifier, Source};
    let receiver = Fake::start([]);
    let faults = Arc::new(WireFaults::default());
    let modifier = Modifier {
        id: 1,
        source: Source::Command,
        from_tick: 0,
        until_tick: 5,
        effect: Effect::Fault {
            kind: FaultKind::PushError,
            rate: 1.0,
        },
    };
    faults.set(std::slice::from_ref(&modifier), 4);
    let settings = otel(&receiver.url(), "");
    let stub = Stub { body_bytes: 100 };
    let mut pusher = start_failing(&settings, stub, &faults);
    pusher.offer(&frame(4));
    let delivery = wait(&pusher, "it is retried", |d| d.ledger.retried > 2 * POINTS);
    assert_eq!(totals(&delivery)[..3], [0, 0, 0]);
    assert!(receiver.seen().is_empty(), "nothing is sent");
    // They end with their tick, and nothing is lost.
    faults.set(&[modifier], 5);
    let ledger = pusher.finish_within(None, PATIENCE).ledger;
    assert_eq!(ledger.accepted, POINTS * REQUESTS as u64);
    assert!(ledger.balances() && ledger.dropped == 0, "{ledger:?}");
}
