//! A feed loses nothing: it waits, tries again, or stops and says why.

use std::sync::Mutex;

use super::*;

/// Steps of each checkpoint, and how many requests had arrived by then.
type Saved = Arc<Mutex<Vec<(u64, usize)>>>;

fn feed(receiver: &Fake, fields: &str, stub: Stub, policy: RetryPolicy) -> (Feed, Saved) {
    let saved = Saved::default();
    let save: Box<SaveCheckpoint> = {
        let (saved, receiver) = (Arc::clone(&saved), receiver.clone());
        Box::new(move |checkpoint: Checkpoint| {
            let arrived = receiver.seen().len();
            saved.lock().unwrap().push((checkpoint.steps, arrived));
            Ok(())
        })
    };
    let exporter = exporter(&otel(&receiver.url(), fields), stub);
    let feed = Feed::start_with(exporter, policy, save);
    (feed.unwrap(), saved)
}

const SMALL: Stub = Stub { body_bytes: 100 };

/// Sends ticks until one cannot be.
fn send(feed: &mut Feed, ticks: std::ops::Range<u64>) -> Result<(), Stopped> {
    for tick in ticks {
        let checkpoint = Checkpoint {
            steps: tick + 1,
            samples: 0,
        };
        feed.send(&frame(tick), None, Some(checkpoint))?;
    }
    Ok(())
}

/// Ticks and requests as they arrived, those that were refused included.
fn arrived(receiver: &Fake) -> Vec<String> {
    receiver
        .seen()
        .iter()
        .map(|seen| text_of(&seen.body))
        .collect()
}

#[test]
fn exports_arrive_whole_and_one_after_the_other() {
    for fields in ["concurrency: 1", "concurrency: 3", "compression: none"] {
        // Some answers come later than those of requests sent after them.
        let script = (0..30).map(|n| Act::Late(Duration::from_millis(n * 7 % 5)));
        let receiver = Fake::start(script);
        let (mut feed, saved) = feed(&receiver, fields, SMALL, policy());
        assert_eq!(send(&mut feed, 0..10), Ok(()));
        let (delivery, settled) = feed.finish();
        assert_eq!(settled, Ok(()));
        assert_eq!(totals(&delivery), [300, 0, 0, 0]);
        let ticks = arrived(&receiver);
        let ticks = ticks.iter().map(|text| text.split_once(' ').unwrap().0);
        let ticks: Vec<u64> = ticks.map(|tick| tick.parse().unwrap()).collect();
        assert!(ticks.is_sorted(), "{ticks:?}");
        // Each tick's checkpoint was saved before anything of the next was sent.
        let expected: Vec<_> = (1..=10)
            .map(|tick| (tick, REQUESTS * tick as usize))
            .collect();
        assert_eq!(*saved.lock().unwrap(), expected);
    }
}

#[test]
fn a_slow_receiver_loses_nothing() {
    // Bodies that are compressed on threads of their own, and far more of them
    // than fit into the queue.
    for fields in [
        "concurrency: 2, queue_bytes: 65536, max_request_bytes: 65536",
        "concurrency: 2, compression: none, queue_bytes: 65536, max_request_bytes: 65536",
    ] {
        for body_bytes in [100, 50_000, 200_000] {
            let receiver = Fake::start(vec![Act::Late(Duration::from_millis(10)); 12]);
            let (mut feed, _) = feed(&receiver, fields, Stub { body_bytes }, policy());
            assert_eq!(send(&mut feed, 0..8), Ok(()));
            let (delivery, settled) = feed.finish();
            assert_eq!(settled, Ok(()));
            assert_eq!(totals(&delivery), [240, 0, 0, 0]);
            assert_eq!(receiver.seen().len(), 8 * REQUESTS);
        }
    }
}

#[test]
fn a_busy_receiver_is_tried_again() {
    let receiver = Fake::start(vec![Act::status(503); 7]);
    let (mut feed, saved) = feed(&receiver, "concurrency: 2", SMALL, policy());
    assert_eq!(send(&mut feed, 0..3), Ok(()));
    let (delivery, settled) = feed.finish();
    assert_eq!(settled, Ok(()));
    assert_eq!(totals(&delivery), [90, 0, 0, 70]);
    assert_eq!(saved.lock().unwrap().last(), Some(&(3, 7 + 9)));
}

#[test]
fn what_cannot_be_delivered_stops_it() {
    let patient = policy();
    let hasty = RetryPolicy {
        give_up_after: Duration::from_millis(30),
        ..policy()
    };
    for (act, policy, expected) in [
        (
            Act::Answer(400, None, b"too old".to_vec()),
            patient,
            "answered 400 Bad Request: too old",
        ),
        (Act::status(404), patient, "answered 404 Not Found"),
        (
            Act::Reject(3),
            patient,
            "3 of 10 points were rejected: as ordered",
        ),
        (
            Act::status(503),
            hasty,
            "answered 503 Service Unavailable (tried for 0 s)",
        ),
    ] {
        let receiver = Fake::start(vec![Act::Take; 4]);
        receiver.expect(vec![act.clone(); 1000]);
        let (mut feed, saved) = feed(&receiver, "concurrency: 1", SMALL, policy);
        let sent = send(&mut feed, 0..100);
        let (delivery, settled) = feed.finish();
        let stopped = Stopped::Failed(expected.to_owned());
        assert_eq!(sent, Err(stopped.clone()));
        assert_eq!(settled, Err(stopped));
        assert!(delivery.ledger.balances());
        // The first tick, and nothing after the second.
        assert_eq!(*saved.lock().unwrap(), [(1, 3)]);
        assert!(
            arrived(&receiver).iter().all(|text| text.as_str() < "2 "),
            "{act:?}"
        );
    }
}

#[test]
fn it_can_be_interrupted_wherever_it_waits() {
    for fields in [
        "concurrency: 1",
        "concurrency: 1, compression: none, queue_bytes: 65536, max_request_bytes: 65536",
    ] {
        for act in [Act::Hold, Act::header(503, "Retry-After", "3600")] {
            let receiver = Fake::start(vec![act; 100]);
            let stub = Stub { body_bytes: 50_000 };
            let (mut feed, saved) = feed(&receiver, fields, stub, RetryPolicy::default());
            let interrupter = feed.interrupter();
            std::thread::scope(|scope| {
                let sent = scope.spawn(|| send(&mut feed, 0..100));
                while receiver.seen().is_empty() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                interrupter.interrupt();
                assert_eq!(sent.join().unwrap(), Err(Stopped::Interrupted));
            });
            let (delivery, settled) = feed.finish();
            assert_eq!(settled, Err(Stopped::Interrupted));
            assert!(delivery.ledger.balances() && delivery.ledger.accepted == 0);
            assert!(saved.lock().unwrap().is_empty());
            receiver.open();
        }
    }
}

#[test]
fn a_checkpoint_that_cannot_be_saved_stops_it() {
    let receiver = Fake::start([]);
    let save: Box<SaveCheckpoint> = Box::new(|checkpoint: Checkpoint| match checkpoint.steps {
        1 => Ok(()),
        _ => Err("the disk is full".to_owned()),
    });
    let exporter = exporter(&otel(&receiver.url(), ""), SMALL);
    let feed = Feed::start_with(exporter, policy(), save);
    let mut feed = feed.unwrap();
    let sent = send(&mut feed, 0..100);
    let stopped = Stopped::Failed("the disk is full".to_owned());
    assert_eq!(sent, Err(stopped.clone()));
    assert_eq!(feed.finish().1, Err(stopped));
    assert_eq!(receiver.seen().len(), 2 * REQUESTS);
}
