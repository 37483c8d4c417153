//! Lines and back, mistakes, files.

mod orders;
mod united;

use std::fs::File;
use std::path::Path;

use serde_json::json;

use super::*;
use crate::clock::rfc3339;
use crate::config::{self, Config};
use crate::engine::{Columns, Reloaded, SeriesCounts};
use crate::exporters::Needs;
use crate::timeline::{Applied, Command};

const EPOCH_NS: i64 = 1_700_000_000_000_000_000;

/// With these metrics.
fn config_of(metrics: &[&str]) -> Config {
    let text = format!(
        "global: {{tick_interval_s: 0.5, control_api_token: secret-token}}\n\
         metrics: [{}]\n\
         scenarios: {{bad: {{steps: [{{at_s: 0, action: fault, kind: push_error}}]}}}}\n",
        metrics.join(", ")
    );
    let loaded = config::load_str(Path::new("j"), text.as_bytes(), &|_| None);
    loaded.unwrap_or_else(|error| panic!("{error}"))
}

const HITS: &str = "{name: hits, type: counter, algorithm: constant, base_rate: 1}";
const TEMP: &str = "{name: temp, type: gauge, algorithm: constant, start: 1}";

fn config() -> Config {
    config_of(&[HITS, TEMP])
}

fn start(config: &Config) -> Entry {
    let start = Start {
        version: "1".into(),
        epoch_ns: EPOCH_NS,
        catches_up: false,
        fingerprint: config::fingerprint(config),
        config: config.clone(),
    };
    at(0, Event::Start(Box::new(start)))
}

fn at(tick: u64, event: Event) -> Entry {
    let time_ns = EPOCH_NS + tick as i64 * 500_000_000;
    Entry {
        tick,
        time_ns,
        event,
    }
}

/// The run of a configuration, to which this was done; `change` makes another of it.
fn run_with(entries: Vec<Entry>, change: impl FnOnce(&mut Start)) -> Replay {
    let config = config();
    let mut start = Start {
        version: "1".into(),
        epoch_ns: EPOCH_NS,
        catches_up: false,
        fingerprint: config::fingerprint(&config),
        config,
    };
    change(&mut start);
    let history = History {
        start,
        entries,
        torn_line: None,
        copied: None,
        is_written: true,
    };
    Replay::new(history, Needs::default())
}

/// A run goes on where it began in the same way and what was done to it stays done.
#[test]
fn a_run_is_the_same_by_how_it_began_and_what_was_done() {
    let done = entries();
    let run = |count: usize| run_with(done[..count].to_vec(), |_| {});
    for count in 0..done.len() {
        assert!(run(count).goes_on_in(&run(count)));
        assert!(run(count).goes_on_in(&run(count + 1)), "{count}");
        assert!(!run(count + 1).goes_on_in(&run(count)), "{count}");
    }
    let of = |change: fn(&mut Start)| run_with(Vec::new(), change);
    let same = |other: Replay| run(0).goes_on_in(&other);
    assert!(same(of(|_| {})));
    assert!(!same(of(|start| start.epoch_ns += 1)));
    assert!(!same(of(|start| start.catches_up = true)));
    assert!(!same(of(|start| start.fingerprint.push('0'))));
    assert!(!same(of(|start| start.version.push('0'))));
    // The epoch is the same, what came after it is not.
    let caught_up = |tick| run_with(vec![at(tick, Event::CaughtUp)], |_| {});
    assert!(!caught_up(5).goes_on_in(&caught_up(50)));
    // It is given back as it was.
    let mut known = run(0);
    let other = of(|start| start.fingerprint.push('0'));
    let given_back = known.follow(other).unwrap_err();
    assert!(!known.goes_on_in(&given_back));
    assert!(known.follow(run(1)).is_ok());
}

fn begun(action: &serde_json::Value, id: u64, until_tick: Option<u64>) -> Event {
    let action = config::action_from_json(&config(), action, None).unwrap();
    let applied = Applied {
        tick: 0,
        id: Some(id),
        until_tick,
        ended: 0,
        changed: true,
    };
    Event::of(Command::Do(action), &applied)
}

fn entries() -> Vec<Entry> {
    let spike = json!({"action": "spike", "metric": "hits", "multiplier": 0.1, "duration_s": 3});
    let rate = json!({"action": "error_rate", "metric": "temp", "rate": 0.25, "duration_s": 1.5});
    let fault = json!({"action": "fault", "kind": "scrape_delay", "delay_s": 0.3, "rate": 0.5});
    let scenario = json!({"action": "scenario", "scenario": "bad"});
    let ended = |command| Event::Command {
        command,
        id: None,
        until_tick: None,
    };
    let mut started = begun(&scenario, 0, None);
    if let Event::Command { id, .. } = &mut started {
        *id = None;
    }
    let mut reloaded = config_of(&[HITS]);
    reloaded.global.control_api_token = Some("***".into());
    let reload = Event::Reload {
        config: Box::new(reloaded),
        fingerprint: "1234".into(),
        reloaded: Box::new(Reloaded {
            tick: 9,
            removed: vec!["temp".into()],
            kept: vec!["hits".into()],
            series: [("hits", [1, 0, 0]), ("temp", [0, 0, 1])]
                .map(|(name, [kept, began, ended])| {
                    let counts = SeriesCounts { kept, began, ended };
                    (name.to_owned(), counts)
                })
                .into(),
            ..Reloaded::default()
        }),
    };
    vec![
        at(1, begun(&spike, 1, Some(7))),
        at(1, begun(&rate, 2, Some(4))),
        at(3, begun(&fault, 3, None)),
        at(3, started),
        at(4, ended(Command::EndSpike("hits".into()))),
        at(4, ended(Command::EndErrorRate("temp".into()))),
        at(4, ended(Command::EndFault(3))),
        at(5, ended(Command::EndScenario("bad".into()))),
        at(6, Event::LogLevel(log::LevelFilter::Debug)),
        at(9, reload),
    ]
}

fn text() -> String {
    let lines = std::iter::once(start(&config())).chain(entries());
    lines.map(|entry| entry.line()).collect()
}

#[test]
fn what_is_written_is_read_back() {
    let text = text();
    assert!(!text.contains("secret-token"));
    let history = read("j", text.as_bytes()).unwrap();
    assert_eq!(history.entries, entries());
    let (read_start, config) = (&history.start, config());
    assert_eq!(read_start.epoch_ns, EPOCH_NS);
    assert_eq!(read_start.fingerprint, config::fingerprint(&config));
    assert_eq!(read_start.config.metrics, config.metrics);
    assert_eq!(read_start.config.scenarios, config.scenarios);
    assert_eq!(history.torn_line, None);
    assert_eq!(history.copied, None);
}

/// Whatever of a configuration is secret, and wherever it came from, is in no journal
/// and not shown; all else is.
#[test]
fn what_is_secret_is_not_recorded() {
    let text = "\
# An older token: s3cret-0
global: {control_api_token: s3cret-1}
exporters:
  otel:
    endpoint: 'https://o/v1/metrics?key=s3cret-2&${MORE}'
    headers: &headers {A: s3cret-3, X-Auth: 'Bearer ${TOKEN}'}
  remote_write:
  - &first
    url: '${URL}'
    headers: *headers
    basic_auth: {username: u, password: &password '${PASSWORD}'}
    labels: {job: '${JOB}'}
  - {<<: *first, url: 'http://h/?s3cret-4', basic_auth: {username: v, password: *password}}
  - url: http://h/
    basic_auth:
      username: w
      password: |-
        s3cret-5
metrics: [{name: g, type: gauge, algorithm: constant, start: 1, labels: {job: '${JOB}'}}]
";
    let in_file = |name: &str| {
        Some(match name {
            "MORE" => "also=s3cret-6".to_owned(),
            "TOKEN" => "s3cret-7".to_owned(),
            "URL" => "http://h/write?token=s3cret-8".to_owned(),
            "PASSWORD" => "s3cret-9".to_owned(),
            "JOB" => "a-job".to_owned(),
            _ => return None,
        })
    };
    let over_it = |name: &str| {
        Some(match name {
            "MOCKINGBIRD_CONTROL_TOKEN" => "s3cret-10".to_owned(),
            "OTEL_EXPORTER_OTLP_HEADERS" => "B=s3cret-11,A=s3cret%2D12".to_owned(),
            "OTEL_EXPORTER_OTLP_ENDPOINT" => "https://p/?key=s3cret-13".to_owned(),
            _ => return in_file(name),
        })
    };
    let check = |environment: &dyn Fn(&str) -> Option<String>, headers| {
        let config = config::load_str(Path::new("j"), text.as_bytes(), environment).unwrap();
        let all = format!("{config:?}");
        assert!(all.matches("s3cret").count() >= 10, "{all}");
        let source = format!("{:?}", config.source);
        let shown = config::effective(&config).to_string();
        let line = start(&config).line();
        for text in [&source, &shown, &line] {
            assert!(!text.contains("s3cret"), "{text}");
            assert!(text.contains("a-job"), "{text}");
        }
        let read = read("j", line.as_bytes()).unwrap().start.config;
        assert_eq!(read.metrics, config.metrics);
        assert_eq!(read.otel.headers.len(), headers);
        assert_eq!(read.otel.url, config::shown_url(&config.otel.url));
        for (read, written) in read.remote_writes.iter().zip(&config.remote_writes) {
            assert_eq!(read.url, config::shown_url(&written.url));
            assert_eq!(read.labels, written.labels);
            assert!(read.headers.keys().eq(written.headers.keys()));
            let name = |auth: &config::BasicAuth| auth.username.clone();
            let names = [read, written].map(|one| one.basic_auth.as_ref().map(name));
            assert_eq!(names[0], names[1]);
        }
        assert_eq!(start(&read).line(), line);
    };
    check(&in_file, 2);
    check(&over_it, 3);
}

/// A journal tells which shard the run was; that of a whole run tells of none.
#[test]
fn journals_tell_their_shard() {
    let whole = start(&config()).line();
    assert!(!whole.contains("shard"));
    assert_eq!(
        read("j", whole.as_bytes()).unwrap().start.config.shard,
        None
    );
    let config = Config {
        shard: config::Shard::new(1, 4),
        ..config()
    };
    let line = start(&config).line();
    assert!(line.contains(r#""shard":"1/4""#), "{line}");
    let reloads = entries().into_iter();
    let mut reloads = reloads.filter(|entry| matches!(entry.event, Event::Reload { .. }));
    let reload = reloads.next().expect("one of them is a reload");
    let text = line.clone() + &reload.line();
    let history = read("j", text.as_bytes()).unwrap();
    assert_eq!(history.start.config.shard, config.shard);
    let Event::Reload { config: later, .. } = &history.entries[0].event else {
        panic!("it is a reload");
    };
    assert_eq!(later.shard, config.shard);
    assert_eq!(start(&history.start.config).line(), line);
    // Everything else is as it is without.
    assert_eq!(line.replace(r#","shard":"1/4""#, ""), whole);
    let error = read("j", line.replace("1/4", "4/4").as_bytes()).unwrap_err();
    assert!(
        error.message.starts_with("shard: there is no shard 4 of 4"),
        "{error}"
    );
}

/// Version 0.1.0 wrote what it had made of the metrics, and other fingerprints; those
/// are what its pushes and pages have.
#[test]
fn fingerprints_are_those_of_their_time() {
    let history = load(Path::new("tests/journals/effective.journal")).unwrap();
    let now = config::fingerprint(&history.start.config);
    let replay = Replay::new(history, Needs::default());
    assert_eq!(replay.fingerprint(53), "43b3052e14adc9c0");
    assert_eq!(replay.fingerprint(54), "87c46abd62ea1e4f");
    assert_ne!(now, replay.fingerprint(53));
}

#[test]
fn which_ticks_were_published_is_told() {
    let of = |added: &[Entry]| {
        let lines: String = added.iter().map(Entry::line).collect();
        read("j", (text() + &lines).as_bytes())
    };
    let published = |added: &[Entry]| Replay::new(of(added).unwrap(), Needs::default()).published();
    let known = |before, until_ns, later| Published {
        first: Some(0),
        before,
        until_ns,
        is_catching_up: false,
        later,
        is_copy: false,
    };
    let time_ns = |tick| at(tick, Event::CaughtUp).time_ns;
    // What was done last was done before tick 9, and tick 8 was there.
    assert_eq!(published(&[]), known(9, time_ns(8), Later::Unknown));
    let copied_ns = time_ns(19) + 7_123_456;
    let copied = at(20, Event::Copied(copied_ns));
    let copy = of(std::slice::from_ref(&copied)).unwrap();
    assert_eq!(copy.entries, entries());
    assert_eq!(copy.copied, Some((copied_ns, 20)));
    assert_eq!(
        published(std::slice::from_ref(&copied)),
        Published {
            is_copy: true,
            ..known(20, copied_ns, Later::Unknown)
        }
    );
    let stop = at(30, Event::Stop(time_ns(29) + 1));
    let ended = Replay::new(of(std::slice::from_ref(&stop)).unwrap(), Needs::default());
    assert_eq!(ended.published(), known(30, time_ns(29) + 1, Later::None));
    assert_eq!(ended.ended_ns(), Some(time_ns(29) + 1));
    // A copy ends with that.
    let error = of(&[copied, stop]).unwrap_err();
    assert!(error.message.contains("nothing comes after"), "{error}");

    let of_lines = |lines: &[Entry]| {
        let lines: String = lines.iter().map(Entry::line).collect();
        Replay::new(read("j", lines.as_bytes()).unwrap(), Needs::default()).published()
    };
    let caught_up = Published {
        first: Some(12),
        ..known(12, time_ns(11), Later::Unknown)
    };
    let mut late = start(&config());
    if let Event::Start(start) = &mut late.event {
        start.catches_up = true;
    }
    let lines = [late, at(12, Event::CaughtUp)];
    assert_eq!(of_lines(&lines), caught_up);
    let nothing = known(0, EPOCH_NS - 1, Later::Unknown);
    let not_yet = Published {
        is_catching_up: true,
        ..nothing
    };
    assert_eq!(of_lines(&lines[..1]), not_yet);
    assert_eq!(of_lines(&[start(&config())]), nothing);
}

/// What is in effect is the same whether the ticks are computed or not.
#[test]
fn effects_are_those_of_the_engine() {
    let mut replay = Replay::new(read("j", text().as_bytes()).unwrap(), Needs::default());
    let mut effects = replay.effects();
    let mut engine = replay.engine(1).unwrap();
    let mut most = 0;
    for tick in 0..15 {
        replay.before_tick(&mut engine).unwrap();
        engine.advance(|_, _| {});
        let (number, modifiers) = effects.next(&replay).unwrap();
        assert_eq!(number, tick);
        assert_eq!(modifiers, engine.timeline().modifiers());
        most = most.max(modifiers.len());
    }
    assert_eq!(most, 4);
}

/// A reload is replayed by the rule of its time: version 0.1.0 told nothing of series
/// and let all begin anew where one was added.
#[test]
fn reloads_are_replayed_by_the_rule_of_their_time() {
    let pods = |values: &str| {
        let text = format!(
            "profiles: {{p: {{labels: {{pod: [{values}]}}}}}}\n\
             global: {{tick_interval_s: 0.5}}\n\
             metrics: [{{name: hits, type: counter, algorithm: constant, base_rate: 2, profile: p}}]"
        );
        config::load_str(Path::new("j"), text.as_bytes(), &|_| None).unwrap()
    };
    let counts = |kept, began, ended| SeriesCounts { kept, began, ended };
    let values = |series: &[(&str, SeriesCounts)]| {
        let told = series.iter();
        let reloaded = Reloaded {
            tick: 5,
            changed: vec!["hits".into()],
            series: told.map(|&(name, counts)| (name.into(), counts)).collect(),
            ..Reloaded::default()
        };
        let reload = Event::Reload {
            config: Box::new(pods("a, b, d")),
            fingerprint: String::new(),
            reloaded: Box::new(reloaded),
        };
        let mut text = start(&pods("a, b, c")).line() + &at(5, reload).line();
        if series.is_empty() {
            text = text.replace(",\"series\":{}", "");
            assert!(!text.contains("\"series\""), "{text}");
        }
        let mut replay = Replay::new(read("j", text.as_bytes()).unwrap(), Needs::default());
        let mut engine = replay.engine(1).unwrap();
        loop {
            replay.before_tick(&mut engine)?;
            let frame = engine.advance(|_, _| {});
            if frame.tick() == 6 {
                let Columns::Values(values) = frame.block(0).2.clone() else {
                    unreachable!()
                };
                return Ok::<_, ReplayError>(values);
            }
        }
    };
    assert_eq!(
        values(&[("hits", counts(2, 1, 1))]).unwrap(),
        [6.0, 6.0, 1.0]
    );
    assert_eq!(values(&[]).unwrap(), [1.0, 1.0, 1.0]);
    let others = values(&[("hits", counts(3, 0, 0))]);
    assert!(matches!(others, Err(ReplayError::Differs(5))));
}

/// Whether a run goes on is told by its hold on the file.
#[test]
fn a_journal_that_is_being_written_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::begin(Some(&path), &start(&config())).unwrap();
    assert!(load(&path).unwrap().is_written);
    drop(journal);
    assert!(!load(&path).unwrap().is_written);
}

#[test]
fn a_line_that_was_being_written_is_left_out() {
    let text = text();
    let lines = text.lines().count();
    for missing in [1, 2, 40] {
        let history = read("j", &text.as_bytes()[..text.len() - missing]).unwrap();
        assert_eq!(history.entries.len(), lines - 2);
        assert_eq!(history.torn_line, Some(lines));
    }
    let only = read("j", b"{\"tick\":0").unwrap_err();
    assert_eq!(
        (only.line, only.message.contains("no complete entry")),
        (None, true)
    );
}

#[test]
fn mistakes_are_told_with_their_line() {
    let whole = text();
    let time = |tick: i64| rfc3339(EPOCH_NS + tick * 500_000_000);
    let line =
        |tick: i64, rest: &str| format!("{{\"tick\":{tick},\"time\":\"{}\",{rest}}}\n", time(tick));
    for (line, expected) in [
        ("[]\n".to_owned(), "expected a JSON object"),
        ("{\n".to_owned(), "not JSON"),
        ("{}\n".to_owned(), "tick is missing"),
        (
            line(8, "\"event\":\"end_fault\",\"id\":1"),
            "tick 8 comes after tick 9",
        ),
        (line(9, "\"event\":\"party\""), "no event \"party\""),
        (line(9, "\"event\":\"start\""), "comes first"),
        (
            line(9, "\"event\":\"end_fault\",\"id\":-1"),
            "id: expected a whole number",
        ),
        (
            line(9, "\"event\":\"end_fault\",\"id\":1,\"x\":2"),
            "unknown field \"x\"",
        ),
        (line(9, "\"event\":\"end_spike\""), "metric is missing"),
        (
            line(9, "\"event\":\"loglevel\",\"level\":\"loud\""),
            "no log level",
        ),
        (
            line(9, "\"event\":\"scenario\",\"scenario\":\"good\""),
            "scenario",
        ),
        // The reload took it away.
        (
            line(
                9,
                "\"event\":\"spike\",\"metric\":\"temp\",\"multiplier\":1,\"duration_s\":1",
            ),
            "no metric \"temp\"",
        ),
        (
            line(9, "\"event\":\"reload\",\"fingerprint\":\"\",\"config\":{}"),
            "config: ",
        ),
        (
            format!(
                "{{\"tick\":9,\"time\":\"{}\",\"event\":\"end_fault\",\"id\":1}}\n",
                time(8)
            ),
            "but tick 9 is at",
        ),
        (
            "{\"tick\":18446744073709551615,\"time\":\"\",\"event\":\"end_fault\"}\n".to_owned(),
            "2262",
        ),
    ] {
        let text = format!("{whole}{line}");
        let error = read("j", text.as_bytes()).unwrap_err();
        assert_eq!(error.line, Some(entries().len() + 2), "{error}");
        assert!(error.message.contains(expected), "{line}: {error}");
    }
    for (from, to, expected) in [
        ("\"start\"", "\"stop\"", "expected start"),
        ("\"epoch_ns\":17", "\"epoch_ns\":18", "but epoch_ns means"),
        ("\"seed\":42", "\"seed\":43", "seed is 43"),
        ("{\"tick\":0", "{\"tick\":1", "belongs to tick 0"),
        ("\"version\"", "\"vision\"", "version is missing"),
    ] {
        let error = read("j", whole.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert_eq!(error.line, Some(1));
        assert!(error.message.contains(expected), "{from}: {error}");
    }
}

#[test]
fn a_journal_of_another_run_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let aside = folder.path().join("journal.1");
    let begin = || Journal::begin(Some(&path), &start(&config())).unwrap();
    let mut journal = begin();
    assert!(!aside.exists());
    for entry in entries() {
        journal.append(&entry).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text());
    assert_eq!(journal.lines().get(0, 100).concat(), text());
    assert_eq!(journal.lines().status().bytes, text().len());
    // It is not taken from a run that goes on.
    let error = Journal::begin(Some(&path), &start(&config())).unwrap_err();
    assert!(error.to_string().contains("another run"), "{error}");
    assert!(!aside.exists());
    drop(journal);
    begin();
    assert_eq!(std::fs::read_to_string(&aside).unwrap(), text());
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
    // Nothing that is there is replaced.
    begin();
    assert_eq!(std::fs::read_to_string(&aside).unwrap(), text());
    let second = folder.path().join("journal.2");
    assert_eq!(std::fs::read_to_string(second).unwrap().lines().count(), 1);
}

#[test]
fn a_file_that_fails_is_told_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let mut journal = Journal::begin(Some(&path), &start(&config())).unwrap();
    journal.check_room(1000).unwrap();
    // It cannot be written through this any more.
    journal.file = Some((path.clone(), File::open(&path).unwrap()));
    let entry = &entries()[0];
    let JournalError(message) = journal.append(entry).unwrap_err();
    assert!(message.contains("cannot write"), "{message}");
    assert_eq!(journal.check_room(0), Err(JournalError(message.clone())));
    let status = journal.lines().status();
    assert_eq!((status.entries, status.error), (2, Some(message)));
}

#[test]
fn a_journal_is_bounded() {
    let journal = Journal::begin(None, &start(&config())).unwrap();
    let bytes = journal.lines().status().bytes;
    assert_eq!(journal.check_room(JOURNAL_BYTES_MAX - bytes), Ok(()));
    assert!(journal.check_room(JOURNAL_BYTES_MAX - bytes + 1).is_err());
    assert!(journal.check_room(usize::MAX).is_err());
}

#[test]
fn a_path_is_judged_without_writing() {
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| folder.path().join(name);
    std::fs::write(inside("file"), "").unwrap();
    assert_eq!(check_path(&inside("new")), Ok(()));
    assert_eq!(check_path(&inside("file")), Ok(()));
    assert_eq!(check_path(Path::new("new")), Ok(()));
    for (path, why) in [
        (folder.path().to_owned(), "is a directory"),
        (inside("none/new"), "is not there; make it first"),
        (inside("file/new"), "is no directory"),
    ] {
        assert!(
            check_path(&path).unwrap_err().contains(why),
            "{}",
            path.display()
        );
    }
    assert!(!inside("new").exists());
}
