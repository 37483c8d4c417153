//! Queues that fill, fail, pause and end.

use super::*;
use crate::push::target::Protocol;
use crate::remote_write::Contents;

const POINTS: u64 = 10;

fn outbox(queue_bytes_max: usize) -> Outbox {
    let policy = RetryPolicy {
        first: Duration::ZERO,
        ..RetryPolicy::default()
    };
    Outbox::new("http://receiver".into(), queue_bytes_max, policy)
}

/// Puts a request of 100 bytes and 10 points.
fn put(outbox: &Outbox, export: u64) {
    assert!(outbox.offer(export, POINTS));
    outbox.put(Request::new(
        export,
        Protocol::Otlp,
        vec![0; 100].into(),
        Contents::of_samples(POINTS),
    ));
}

fn export(outbox: &Outbox, requests: usize) -> u64 {
    let number = outbox.begin();
    (0..requests).for_each(|_| put(outbox, number));
    outbox.close(number);
    number
}

fn take(outbox: &Outbox) -> Taken {
    outbox.take().expect("a request waits")
}

fn accepted() -> Verdict {
    Verdict::Accepted {
        rejected: 0,
        message: String::new(),
        written: None,
    }
}

fn retry(after: Option<Duration>) -> Verdict {
    Verdict::Retry {
        trouble: Trouble::Busy,
        what: "busy".into(),
        after,
    }
}

/// Offered, accepted, rejected, dropped, in flight.
#[track_caller]
fn check(outbox: &Outbox, expected: [u64; 5]) -> Delivery {
    let delivery = outbox.delivery();
    let ledger = delivery.ledger;
    assert!(ledger.balances());
    assert_eq!(
        [
            ledger.offered,
            ledger.accepted,
            ledger.rejected,
            ledger.dropped,
            ledger.in_flight
        ],
        expected
    );
    delivery
}

#[test]
fn exports_leave_in_order() {
    let outbox = outbox(1000);
    let first = export(&outbox, 2);
    let second = export(&outbox, 1);
    let one = take(&outbox);
    let other = take(&outbox);
    assert_eq!((one.request.export, other.request.export), (first, first));
    outbox.settle(one, accepted(), 0.0);
    // The second export waits until the first is settled, however it ends.
    outbox.settle(other, retry(None), 0.0);
    let again = take(&outbox);
    assert_eq!((again.request.export, again.request.failures), (first, 1));
    check(&outbox, [30, 10, 0, 0, 20]);
    outbox.settle(again, Verdict::Refused { what: "no".into() }, 0.0);
    let last = take(&outbox);
    assert_eq!(last.request.export, second);
    let rejected = Verdict::Accepted {
        rejected: 4,
        message: "four".into(),
        written: None,
    };
    outbox.settle(last, rejected, 0.0);
    let delivery = check(&outbox, [30, 16, 4, 10, 0]);
    assert_eq!(delivery.ledger.retried, 10);
    assert_eq!((delivery.exports_open, delivery.exports_failed), (0, 2));
}

#[test]
fn a_full_queue_drops_the_oldest_export_whole() {
    let outbox = outbox(500);
    let first = export(&outbox, 3);
    let second = export(&outbox, 2);
    let held = take(&outbox);
    assert_eq!(held.request.export, first);
    let third = export(&outbox, 3);
    // Two requests of the first were waiting; the one being posted counts on.
    check(&outbox, [80, 0, 0, 20, 60]);
    outbox.settle(held, accepted(), 0.0);
    assert_eq!(take(&outbox).request.export, second);
    let delivery = check(&outbox, [80, 10, 0, 20, 50]);
    assert_eq!((delivery.exports_open, delivery.exports_failed), (2, 1));
    assert!(third > second);
}

#[test]
fn a_request_of_a_dropped_export_is_not_sent_again() {
    let outbox = outbox(200);
    export(&outbox, 2);
    let held = take(&outbox);
    let second = export(&outbox, 2);
    check(&outbox, [40, 0, 0, 10, 30]);
    outbox.settle(held, retry(None), 0.0);
    check(&outbox, [40, 0, 0, 20, 20]);
    assert_eq!(take(&outbox).request.export, second);
}

#[test]
fn an_export_larger_than_the_queue_passes_as_room_allows() {
    let outbox = outbox(250);
    std::thread::scope(|scope| {
        scope.spawn(|| export(&outbox, 10));
        for _ in 0..10 {
            outbox.settle(take(&outbox), accepted(), 0.0);
        }
    });
    check(&outbox, [100, 100, 0, 0, 0]);
}

#[test]
fn an_export_larger_than_the_queue_gives_way_when_nothing_moves() {
    let outbox = outbox(250);
    outbox.set_newer_waits(true);
    std::thread::scope(|scope| {
        let encode = scope.spawn(|| {
            let number = outbox.begin();
            while outbox.offer(number, POINTS) {
                outbox.put(Request::new(
                    number,
                    Protocol::Otlp,
                    vec![0; 100].into(),
                    Contents::of_samples(POINTS),
                ));
            }
            outbox.close(number);
        });
        let hour = Some(Duration::from_secs(3600));
        outbox.settle(take(&outbox), retry(hour), 0.0);
        encode.join().unwrap();
    });
    let delivery = outbox.delivery();
    assert_eq!(delivery.ledger.offered, delivery.ledger.dropped);
    assert_eq!(
        (outbox.lock().backlog.len(), delivery.exports_failed),
        (0, 1)
    );
}

#[test]
fn everybody_pauses_after_a_failure_and_at_most_as_long_as_allowed() {
    let policy = RetryPolicy {
        asked_longest: Duration::from_millis(50),
        ..RetryPolicy::default()
    };
    let outbox = Outbox::new("u".into(), 1000, policy);
    export(&outbox, 3);
    let (one, other) = (take(&outbox), take(&outbox));
    let began = Instant::now();
    let year = Some(Duration::from_secs(365 * 86400));
    outbox.settle(one, retry(year), 0.0);
    outbox.settle(other, retry(year), 0.0);
    assert_eq!(outbox.lock().backoff.pauses(), 1);
    take(&outbox);
    assert!(began.elapsed() >= Duration::from_millis(50));
}

#[test]
fn a_request_is_not_tried_for_ever() {
    let policy = RetryPolicy {
        give_up_after: Duration::ZERO,
        ..RetryPolicy::default()
    };
    let outbox = Outbox::new("u".into(), 1000, policy);
    export(&outbox, 1);
    outbox.settle(take(&outbox), retry(None), 0.0);
    check(&outbox, [10, 0, 0, 10, 0]);
}

#[test]
fn what_is_left_at_the_end_is_dropped_once() {
    let outbox = outbox(1000);
    export(&outbox, 2);
    let late = take(&outbox);
    let delivery = outbox.drain(Instant::now());
    assert_eq!(delivery.exports_failed, 1);
    check(&outbox, [20, 0, 0, 20, 0]);
    outbox.settle(late, accepted(), 0.0);
    check(&outbox, [20, 0, 0, 20, 0]);
    assert!(outbox.take().is_none());
    assert!(!outbox.offer(1, 5));
    check(&outbox, [25, 0, 0, 25, 0]);
    // What is encoded after the end is an export that failed.
    let after = outbox.begin();
    assert!(!outbox.offer(after, 5));
    assert_eq!(outbox.close(after), None);
    let delivery = check(&outbox, [30, 0, 0, 30, 0]);
    assert_eq!((delivery.exports_open, delivery.exports_failed), (0, 2));
}

/// Requests of the tests below; four of them are as much as is encoded ahead.
const QUARTER_BYTES: usize = AHEAD_BYTES / 4;

/// Encodes an export of large requests, as long as they are wanted; returns how many
/// bytes waited at most.
fn encode(outbox: &Outbox, requests: usize) -> usize {
    let (export, mut most) = (outbox.begin(), 0);
    for _ in 0..requests {
        if !outbox.offer(export, POINTS) {
            break;
        }
        let body = vec![0; QUARTER_BYTES].into();
        outbox.put(Request::new(
            export,
            Protocol::Otlp,
            body,
            Contents::of_samples(POINTS),
        ));
        most = most.max(outbox.lock().backlog.waiting_bytes());
    }
    outbox.close(export);
    most
}

/// Waits until so many requests wait.
fn wait_until_waiting(outbox: &Outbox, requests: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while outbox.lock().backlog.waiting_bytes() != requests * QUARTER_BYTES {
        assert!(Instant::now() < deadline, "{outbox:?}");
        std::thread::yield_now();
    }
}

/// Posters that take nothing for a while have four requests before them, never more;
/// and those who take one find the next without it being encoded first.
#[test]
fn what_is_taken_is_encoded_anew_and_no_more() {
    const REQUESTS: usize = 20;
    let outbox = outbox(usize::MAX);
    std::thread::scope(|scope| {
        let encoded = scope.spawn(|| encode(&outbox, REQUESTS));
        for taken in 0..REQUESTS {
            wait_until_waiting(&outbox, (REQUESTS - taken).min(4));
            let offered = outbox.delivery().ledger.offered;
            assert_eq!(offered, REQUESTS.min(taken + 4) as u64 * POINTS);
            outbox.settle(take(&outbox), accepted(), 0.0);
        }
        assert_eq!(encoded.join().unwrap(), AHEAD_BYTES);
    });
    check(&outbox, [200, 200, 0, 0, 0]);
}

/// Threads that compress bring what they have when it is needed.
#[test]
fn several_who_put_wait_as_well() {
    let outbox = outbox(usize::MAX);
    let export = outbox.begin();
    (0..9).for_each(|_| assert!(outbox.offer(export, POINTS)));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..3 {
                    let body = vec![0; QUARTER_BYTES].into();
                    outbox.put(Request::new(
                        export,
                        Protocol::Otlp,
                        body,
                        Contents::of_samples(POINTS),
                    ));
                    assert!(outbox.lock().backlog.waiting_bytes() <= AHEAD_BYTES);
                }
            });
        }
        for taken in 0..9 {
            wait_until_waiting(&outbox, (9 - taken).min(4));
            outbox.settle(take(&outbox), accepted(), 0.0);
        }
    });
    outbox.close(export);
    check(&outbox, [90, 90, 0, 0, 0]);
}

/// What has the rest of an export encoded, and how many of ten requests wait then.
type Lift<'a> = (&'a dyn Fn(&Outbox), usize);

/// Nothing is taken while these encode to the end.
#[test]
fn a_newer_frame_a_failure_and_the_end_need_the_rest_at_once() {
    let hour = Some(Duration::from_secs(3600));
    let newer = |outbox: &Outbox| outbox.set_newer_waits(true);
    let failure = |outbox: &Outbox| {
        let taken = take(outbox);
        wait_until_waiting(outbox, 4);
        outbox.settle(taken, retry(hour), 0.0);
    };
    let draining = |outbox: &Outbox| {
        let soon = Instant::now() + Duration::from_millis(1);
        outbox.drain(soon);
    };
    let lifts: [Lift<'_>; 3] = [(&newer, 10), (&failure, 10), (&draining, 0)];
    for (lift, waiting) in lifts {
        let outbox = outbox(10 * QUARTER_BYTES);
        std::thread::scope(|scope| {
            let encoded = scope.spawn(|| encode(&outbox, 10));
            wait_until_waiting(&outbox, 4);
            lift(&outbox);
            encoded.join().unwrap();
        });
        wait_until_waiting(&outbox, waiting);
        assert!(outbox.delivery().ledger.balances());
    }
    // A lossless one encodes the next export while the one before is posted.
    let outbox = Outbox::lossless("u".into(), usize::MAX, RetryPolicy::default());
    assert_eq!(encode(&outbox, 10), 10 * QUARTER_BYTES);
}

/// While a receiver fails, up to `queue_bytes` wait, of one export or of several.
#[test]
fn a_receiver_that_fails_has_its_queue_filled() {
    let outbox = outbox(9 * QUARTER_BYTES);
    assert_eq!(encode(&outbox, 1), QUARTER_BYTES);
    let hour = Some(Duration::from_secs(3600));
    outbox.settle(take(&outbox), retry(hour), 0.0);
    assert_eq!(encode(&outbox, 8), 9 * QUARTER_BYTES);
    // The two before leave for the next, one after the other.
    assert_eq!(encode(&outbox, 6), 9 * QUARTER_BYTES);
    wait_until_waiting(&outbox, 6);
    assert_eq!(outbox.delivery().exports_failed, 2);
}
