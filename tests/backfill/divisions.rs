//! Runs that another number of processes went on with: a receiver gets what each had of them.

use std::path::Path;

use mockingbird::backfill::Target;
use mockingbird::config::{self, Shard};
use mockingbird::journal::{Event, Start};

use crate::journals::{CONFIG, END, INTERVAL_NS, backfill, entry, load, own};
use crate::receiver::{Arrived, Receiver};
use crate::{EPOCH_NS, JOB, expected, job, told};

/// How a journal ends.
#[derive(Clone, Copy)]
enum End {
    /// It tells that the process has ended before a tick.
    Stopped(u64),
    /// It tells nothing after this tick.
    Killed(u64),
    /// It was copied before a tick.
    Copied(u64),
}

/// Writes the journals of some processes that began with a tick. Returns arguments.
fn division(folder: &Path, of: u32, begins: u64, end: End) -> Vec<String> {
    let mut arguments = Vec::new();
    for index in 0..of {
        let mut config = load(CONFIG);
        config.shard = Shard::new(index, of);
        config.set_instance(&format!("h:{of}-{index}"));
        let start = Start {
            version: env!("CARGO_PKG_VERSION").into(),
            epoch_ns: EPOCH_NS,
            catches_up: begins > 0,
            fingerprint: config::fingerprint(&config),
            config,
        };
        let start = entry(0, Event::Start(Box::new(start)));
        let begun = (begins > 0).then(|| entry(begins, Event::CaughtUp));
        let time_ns = |tick: u64| EPOCH_NS + tick as i64 * INTERVAL_NS;
        let end = match end {
            End::Stopped(tick) => entry(tick, Event::Stop(time_ns(tick) - 1)),
            End::Killed(tick) => entry(tick, Event::LogLevel(log::LevelFilter::Info)),
            End::Copied(tick) => entry(tick, Event::Copied(time_ns(tick) - 1)),
        };
        let all = [Some(start), begun, Some(end)].into_iter().flatten();
        let lines: String = all.map(|entry| entry.line()).collect();
        let name = format!("{index}-of-{of}.journal");
        std::fs::write(folder.join(&name), lines).unwrap();
        arguments.extend(["--journal".to_owned(), name]);
    }
    arguments
}

/// What a backfill of the journals ended with and said, and what the receiver got.
fn sent(
    folder: &Path,
    journals: &[Vec<String>],
    more: &[&str],
) -> (Option<i32>, String, Vec<Arrived>) {
    let receiver = Receiver::start(true, []);
    let url = receiver.url();
    let journals = journals.iter().flatten().map(String::as_str);
    let to = ["--remote-write", &url].into_iter();
    let arguments: Vec<&str> = journals.chain(to).chain(more.iter().copied()).collect();
    let (code, said) = told(&backfill(folder, &arguments));
    assert_eq!(receiver.refused(), [""; 0]);
    (code, said, own(receiver.stored()))
}

/// The samples of some ticks of the whole run.
fn whole(folder: &Path, ticks: std::ops::Range<u64>) -> Vec<(String, i64, u64)> {
    let job = job(
        load(CONFIG),
        Target::RemoteWrite,
        folder,
        ticks.start,
        ticks.end - 1,
    );
    let all = expected(&job, &[JOB[0], ("instance", "h:1-0")]);
    plain(own(all), "h:1")
}

/// The samples of processes whose instances begin so, as if one had sent them.
fn plain(all: Vec<Arrived>, instance: &str) -> Vec<(String, i64, u64)> {
    let own = all.into_iter().filter_map(|sample| {
        let (before, rest) = sample.series.split_once(instance)?;
        let after = rest.trim_start_matches(|of: char| of == '-' || of.is_ascii_digit());
        Some((format!("{before}h{after}"), sample.time_ms, sample.bits))
    });
    let mut own: Vec<_> = own.collect();
    own.sort();
    own
}

#[test]
fn what_was_killed_is_written_until_others_went_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let went_over = 10;
    let second = division(folder, 3, went_over, End::Stopped(END));
    let first = division(folder, 2, 0, End::Killed(0));
    let both = [first, second.clone()];
    let (code, said, all) = sent(folder, &both, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("left out"), "{said}");
    assert!(plain(all.clone(), "h:2") == whole(folder, 0..went_over));
    assert!(plain(all, "h:3") == whole(folder, went_over..END));
    // One of them alone.
    let (code, said, all) = sent(folder, &both, &["--shard", "1/2"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(" of 10 ticks"), "{said}");
    assert!(!all.is_empty());

    // Of a copy nobody knows what was done after it.
    let first = division(folder, 2, 0, End::Copied(4));
    let (code, said, all) = sent(folder, &[first, second], &[]);
    assert_eq!(code, Some(0), "{said}");
    for shard in ["0/2", "1/2"] {
        let left_out = format!(
            "shard {shard}: what it had from tick 4 (2026-01-01T00:01:00Z) on is left out: its \
             journal is a copy"
        );
        assert!(said.contains(&left_out), "{said}");
    }
    assert!(plain(all, "h:2") == whole(folder, 0..4));
}

#[test]
fn an_end_that_nobody_knows_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // All of it, as far as is known.
    let killed = [division(folder, 2, 0, End::Killed(5))];
    let (code, said, all) = sent(folder, &killed, &[]);
    assert_eq!(code, Some(0), "{said}");
    let left_out = "shard 1/2: what it had from tick 5 (2026-01-01T00:01:15Z) on is left out";
    assert!(said.contains(left_out), "{said}");
    assert!(plain(all, "h:2") == whole(folder, 0..5));
    let to = ["--to", "2026-01-01T00:02:00Z"];
    let (code, said, all) = sent(folder, &killed, &to);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("whether the run came to tick 8"), "{said}");
    assert!(plain(all, "h:2") == whole(folder, 0..9));
    // Nothing is known to have been there.
    let killed = [division(folder, 2, 0, End::Killed(0))];
    let (code, said, _) = sent(folder, &killed, &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("nobody writes its journal any more"),
        "{said}"
    );
    assert!(said.contains("there is nothing of the run"), "{said}");

    // What cannot be there is refused, as it is of one journal.
    let future = ["--to", "2226-01-01T00:00:00Z"];
    for (end, to, expected) in [
        (End::Stopped(END), to, None),
        (End::Stopped(END), future, Some("the run ended at")),
        (End::Killed(5), future, Some("is not there yet")),
        (
            End::Copied(5),
            to,
            Some("does not reach to tick 8: it is a copy"),
        ),
    ] {
        let journals = [division(folder, 2, 0, end)];
        let (code, said, all) = sent(folder, &journals, &to);
        let Some(expected) = expected else {
            assert_eq!(code, Some(0), "{said}");
            continue;
        };
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(all.is_empty());
    }
}
