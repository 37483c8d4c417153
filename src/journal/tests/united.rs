//! Several journals as one run.

use super::*;
use crate::config::Shard;
use crate::exporters::Needs;

/// A time at which nothing is late yet.
const NOW_NS: i64 = EPOCH_NS;

/// The journal of a shard to which this was done.
fn journal(shard: &str, entries: Vec<Entry>) -> (String, History) {
    let mut config = config();
    config.shard = (!shard.is_empty()).then(|| Shard::parse(shard).unwrap());
    let history = History {
        start: Start {
            version: "1".into(),
            epoch_ns: EPOCH_NS,
            catches_up: false,
            fingerprint: config::fingerprint(&config),
            config,
        },
        entries,
        torn_line: None,
        copied: None,
        is_written: false,
    };
    (format!("{shard}.journal"), history)
}

/// Those of all shards, each with what it did itself after that.
fn journals(own: [Vec<Entry>; 3]) -> Vec<(String, History)> {
    let all = own.into_iter().enumerate();
    let journal = |(index, own)| journal(&format!("{index}/3"), [entries(), own].concat());
    all.map(journal).collect()
}

fn stopped(tick: u64) -> Entry {
    at(tick, Event::Stop(EPOCH_NS + tick as i64 * 500_000_000 + 7))
}

fn whole(journals: Vec<(String, History)>) -> Replay {
    unite(journals, Needs::default(), NOW_NS)
        .unwrap_or_else(|error| panic!("{error}"))
        .whole
}

/// Why they are no run.
#[track_caller]
fn check_refused(journals: Vec<(String, History)>, now_ns: i64, expected: &str) {
    let error = unite(journals, Needs::default(), now_ns)
        .unwrap_err()
        .to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn shards_are_the_run_of_all() {
    // In any order, and whatever each did for itself.
    let level = |level| at(7, Event::LogLevel(level));
    let mut all = journals([vec![stopped(30)], vec![stopped(31)], vec![stopped(29)]]);
    all.rotate_left(1);
    all[0].1.entries.insert(9, level(log::LevelFilter::Trace));
    all[1].1.entries.remove(8);
    let united = unite(all, Needs::default(), NOW_NS).unwrap();
    let parts = united.parts.iter();
    let parts: Vec<_> = parts
        .map(|part| part.config().shard.unwrap().to_string())
        .collect();
    assert_eq!(parts, ["0/3", "1/3", "2/3"]);
    assert_eq!(united.whole.config().shard, None);

    // It is what the journal of one process would be, to which the same was done.
    let mut one = entries();
    one.remove(8);
    if let Event::Reload { reloaded, .. } = &mut one.last_mut().unwrap().event {
        for counts in reloaded.series.values_mut() {
            counts.kept *= 3;
            counts.began *= 3;
            counts.ended *= 3;
        }
    }
    let alone = run_with(one, |_| {});
    assert!(alone.goes_on_in(&united.whole) && united.whole.goes_on_in(&alone));
    // It ended when the first of them did.
    let published = united.whole.published();
    assert_eq!((published.before, published.later), (29, Later::None));
    assert_eq!(
        united.whole.ended_ns(),
        Some(EPOCH_NS + 29 * 500_000_000 + 7)
    );
    assert_eq!(united.whole.reach(28, NOW_NS), Reach::Reached);
    assert!(matches!(
        united.whole.reach(29, NOW_NS),
        Reach::Ended(_, Some(28))
    ));
    let parts = united.parts.iter();
    let ends: Vec<u64> = parts.map(|part| part.published().before).collect();
    assert_eq!(ends, [30, 31, 29]);
}

#[test]
fn a_run_lasts_from_the_latest_start_to_the_earliest_end() {
    let caught_up = |tick| at(tick, Event::CaughtUp);
    let one = |shard: &str, entries: Vec<Entry>, change: &dyn Fn(&mut History)| {
        let mut one = journal(shard, entries);
        change(&mut one.1);
        one
    };
    let written: &dyn Fn(&mut History) = &|one| one.is_written = true;
    let copied: &dyn Fn(&mut History) = &|one| one.copied = Some((EPOCH_NS + 1, 12));
    let killed: &dyn Fn(&mut History) = &|_| {};
    let ends = |journals| {
        let published = whole(journals).published();
        (
            published.first,
            published.before,
            published.later,
            published.is_copy,
        )
    };
    let two = |first: (String, History), second| ends(vec![first, second]);
    let a = |change| one("0/2", vec![caught_up(4)], change);
    let late = |change| one("1/2", vec![caught_up(9)], change);
    assert_eq!(
        two(a(written), late(written)),
        (Some(9), 4, Later::All, false)
    );
    assert_eq!(
        two(a(written), late(copied)),
        (Some(9), 12, Later::Unknown, true)
    );
    assert_eq!(
        two(a(written), late(killed)),
        (Some(9), 9, Later::Unknown, false)
    );
    let ended = one("1/2", vec![caught_up(9), stopped(20)], killed);
    assert_eq!(
        two(a(written), ended.clone()),
        (Some(9), 20, Later::None, false)
    );
    assert_eq!(
        two(a(copied), ended.clone()),
        (Some(9), 12, Later::Unknown, true)
    );
    // Of equal ends one that is told is known.
    let dead = one("0/2", vec![caught_up(20)], killed);
    assert_eq!(two(dead, ended), (Some(20), 20, Later::None, false));
    // While one still catches up, the whole does.
    let mut begins = one("1/2", Vec::new(), written);
    begins.1.start.catches_up = true;
    assert!(whole(vec![a(written), begins]).published().is_catching_up);

    // Another run of the same epoch is another one.
    let run = |tick| whole(vec![a(written), one("1/2", vec![caught_up(tick)], written)]);
    assert!(run(9).goes_on_in(&run(9)));
    assert!(!run(9).goes_on_in(&run(99)));
}

#[test]
fn shards_that_are_not_all_there_once_are_refused() {
    let all = || journals([Vec::new(), Vec::new(), Vec::new()]);
    let mut some = all();
    some.remove(1);
    check_refused(
        some,
        NOW_NS,
        "the journals of 1 of 3 shards are missing: 1/3",
    );
    let mut twice = all();
    twice.push(journal("1/3", entries()));
    check_refused(
        twice,
        NOW_NS,
        "1/3.journal and 1/3.journal are both of shard 1/3",
    );
    let mut other = all();
    other.push(journal("3/4", entries()));
    check_refused(
        other,
        NOW_NS,
        "the journals of 3 of 4 shards are missing: 0/4, 1/4, 2/4",
    );
    let mut undivided = all();
    undivided[0] = journal("", entries());
    check_refused(
        undivided,
        NOW_NS,
        "the journals of 1 of 3 shards are missing: 0/3",
    );
    // What to do about replicas is said.
    let replicas = vec![journal("", entries()), journal("", entries())];
    check_refused(
        replicas,
        NOW_NS,
        "both have all of the run: judge replicas, and a process that was started again, one after \
         the other, each by its own journal; --instance or",
    );
    let far = vec![journal("0/100", Vec::new())];
    check_refused(far, NOW_NS, "99 of 100 shards are missing: 1/100, ");
    assert_eq!(
        unite(Vec::new(), Needs::default(), NOW_NS).unwrap_err().0,
        "there are no journals"
    );
}

#[test]
fn journals_of_other_runs_are_told_by_what_differs() {
    let check = |change: &dyn Fn(&mut Start), expected| {
        let mut all = journals([Vec::new(), Vec::new(), Vec::new()]);
        change(&mut all[2].1.start);
        check_refused(all, NOW_NS, expected);
    };
    check(
        &|start| start.epoch_ns += 1_000_000_000,
        "2023-11-14T22:13:20Z and 2023-11-14T22:13:21Z",
    );
    check(&|start| start.version.push('0'), "versions 1 and 10");
    check(
        &|start| start.config.global.tick_interval_ns *= 2,
        "every 0.5 s and 1 s",
    );
    check(
        &|start| start.fingerprint.push('0'),
        "other configurations (fingerprints ",
    );
    check(
        &|start| start.config.prometheus.prefix.push('p'),
        "exporters.prometheus",
    );
    check(
        &|start| start.config.global.self_metrics_prefix.push('p'),
        "exporters.prometheus",
    );
    // What processes have for themselves may differ.
    let mut all = journals([Vec::new(), Vec::new(), Vec::new()]);
    let config = &mut all[1].1.start.config;
    config.prometheus.port += 1;
    config.global.control_api_port += 1;
    config.global.journal_file = Some("other".into());
    config
        .otel
        .resource
        .insert("service.instance.id".into(), "other".into());
    whole(all);
}

#[test]
fn what_was_done_to_one_alone_is_named() {
    let all = || journals([vec![stopped(30)], vec![stopped(30)], vec![stopped(30)]]);
    let mut lacks = all();
    lacks[1].1.entries.remove(9);
    check_refused(
        lacks,
        NOW_NS,
        "reload at tick 9 was done by 2/3.journal, and 1/3.journal does not tell of it",
    );
    let mut differs = all();
    differs[0].1.entries.remove(0);
    check_refused(differs, NOW_NS, "error_rate at tick 1 and spike at tick 1");
    let mut late = all();
    late[0].1.entries[4].tick = 5;
    check_refused(late, NOW_NS, "end_spike at tick 5 and end_spike at tick 4");
    let mut reloaded = all();
    let last = reloaded[0].1.entries.len() - 2;
    if let Event::Reload { fingerprint, .. } = &mut reloaded[0].1.entries[last].event {
        fingerprint.push('0');
    }
    check_refused(reloaded, NOW_NS, "reload at tick 9 and reload at tick 9");

    // A journal that ends before need not tell what came then.
    let cut = |count: usize, is_written| {
        let mut all = all();
        let one = &mut all[1].1;
        one.entries.truncate(count);
        one.is_written = is_written;
        all
    };
    let killed = whole(cut(7, false));
    assert_eq!(
        (killed.published().before, killed.published().later),
        (4, Later::Unknown)
    );
    // One that goes on is given some time to tell it.
    let tick_ns = |tick: i64| EPOCH_NS + tick * 500_000_000;
    let united = unite(cut(7, true), Needs::default(), tick_ns(5) + 9_000_000_000).unwrap();
    assert_eq!(united.whole.published().later, Later::None);
    check_refused(
        cut(7, true),
        tick_ns(5) + 11_000_000_000,
        "end_scenario at tick 5 was done by",
    );
    // Of a reload it is not known yet what became of all series.
    let event = |replay: &Replay| replay.metrics().len();
    assert_eq!(event(&whole(all())), 3);
    assert_eq!(event(&whole(cut(9, true))), 2);
}

/// Those of all shards of a number, which began with a tick and ended before another one; those
/// without an end were killed.
fn division(of: u32, begins: u64, ends: Option<u64>) -> Vec<(String, History)> {
    let journal = |index: u32| {
        let begun = at(begins, Event::CaughtUp);
        let all = [begun].into_iter().chain(ends.map(stopped)).collect();
        let mut one = journal(&format!("{index}/{of}"), all);
        one.1.start.catches_up = true;
        one
    };
    (0..of).map(journal).collect()
}

#[test]
fn another_number_of_shards_goes_on_with_a_run() {
    let time_ns = |tick: u64| EPOCH_NS + tick as i64 * 500_000_000;
    let both = |first, second: Vec<_>| {
        let mut all = [second, first].concat();
        all.rotate_left(2);
        unite(all, Needs::default(), NOW_NS).unwrap_or_else(|error| panic!("{error}"))
    };
    let united = both(division(3, 4, Some(30)), division(5, 40, Some(90)));
    let shards = |united: &United| -> Vec<String> {
        let parts = united.parts.iter();
        let shards = parts.map(|part| part.config().shard.map(|shard| shard.to_string()));
        shards.map(Option::unwrap_or_default).collect()
    };
    let expected = ["0/3", "1/3", "2/3", "0/5", "1/5", "2/5", "3/5", "4/5"];
    assert_eq!(shards(&united), expected);
    let published = united.whole.published();
    assert_eq!(
        (published.first, published.before, published.later),
        (Some(4), 90, Later::None)
    );
    let moved = Move {
        ends_ns: time_ns(30) + 7,
        begins_ns: time_ns(40),
        end_is_known: true,
    };
    assert_eq!(united.whole.moves(), [moved]);
    assert!(united.parts.iter().all(|part| part.followed_ns().is_none()));

    // Those that were killed were gone by then; and one process is a number as well.
    let mut alone = division(1, 0, None);
    alone[0].1.start.config.shard = None;
    let united = both(alone, division(2, 40, None));
    assert_eq!(shards(&united), ["", "0/2", "1/2"]);
    let followed: Vec<_> = united.parts.iter().map(Replay::followed_ns).collect();
    assert_eq!(followed, [Some(time_ns(40)), None, None]);
    let [moved] = united.whole.moves() else {
        panic!("{:?}", united.whole.moves());
    };
    assert!(!moved.end_is_known && moved.begins_ns == time_ns(40));
    assert_eq!(united.whole.published().later, Later::Unknown);

    // Two that were there at the same time.
    let united = both(division(3, 0, Some(50)), division(4, 40, Some(90)));
    let [moved] = united.whole.moves() else {
        panic!("{:?}", united.whole.moves());
    };
    let times = (moved.begins_ns, moved.ends_ns);
    assert_eq!(times, (time_ns(40), time_ns(50) + 7));

    // One that stopped long before the others did has no part in it.
    let mut first = division(3, 0, Some(30));
    first[1] = division(3, 0, Some(10)).swap_remove(1);
    let united = both(first, division(5, 40, Some(90)));
    assert_eq!(united.whole.moves()[0].ends_ns, time_ns(30) + 7);

    // Those that catch up are the latter, whenever the others had caught up.
    let mut catches_up = division(5, 40, None);
    for (index, (_, history)) in catches_up.iter_mut().enumerate() {
        history.entries.truncate(usize::from(index != 2));
        history.is_written = true;
    }
    let united = both(division(6, 9, Some(30)), catches_up);
    assert_eq!(shards(&united)[5..7], ["5/6", "0/5"]);
    let moved = Move {
        ends_ns: time_ns(30) + 7,
        begins_ns: i64::MAX,
        end_is_known: true,
    };
    assert_eq!(united.whole.moves(), [moved]);
    assert_eq!(united.whole.published().first, Some(9));

    // All of each number have to be there, and know of all that was done.
    let mut lacks = [division(3, 0, Some(30)), division(5, 40, None)].concat();
    lacks.remove(5);
    check_refused(
        lacks,
        NOW_NS,
        "the journals of 1 of 5 shards are missing: 2/5",
    );
    let done = |mut of: Vec<(String, History)>, tick| {
        for (_, history) in &mut of {
            let mut spike = entries().swap_remove(0);
            spike.tick = tick;
            let place = history.entries.iter().filter(|entry| entry.tick <= tick);
            history.entries.insert(place.count(), spike);
        }
        of
    };
    let changed = [
        done(division(3, 0, Some(30)), 12),
        division(5, 40, Some(50)),
    ];
    check_refused(
        changed.concat(),
        NOW_NS,
        "does not tell of it: another number of shards goes on with what the configuration says \
         alone",
    );
    // What is done later the former need not tell.
    let united = both(
        division(3, 0, Some(30)),
        done(division(5, 40, Some(90)), 60),
    );
    let mut effects = united.whole.effects();
    let spiked = (0..62).filter(|_| !effects.next(&united.whole).unwrap().1.is_empty());
    assert_eq!(spiked.collect::<Vec<_>>(), [60, 61]);
}
