//! The file of a run to which something was done meanwhile.

use serde_json::json;

use super::*;
use crate::exporters::Needs;
use crate::journal::{History, Start};
use crate::timeline::Command;

/// What is done by hand, each before a tick.
fn commands(config: &Config) -> Vec<(u64, Command)> {
    let begun = |action| Command::Do(config::action_from_json(config, &action, None).unwrap());
    vec![
        (
            4,
            begun(json!({"action": "spike", "metric": "users", "multiplier": 5, "duration_s": 12})),
        ),
        (
            7,
            begun(
                json!({"action": "churn", "profile": "pods", "label": "app", "mode": "rollout",
                "over": 6}),
            ),
        ),
        (
            9,
            begun(
                json!({"action": "error_rate", "metric": "load_ratio", "rate": 0.5,
                "duration_s": 600}),
            ),
        ),
        (
            11,
            begun(json!({"action": "size", "profile": "pods", "label": "pod", "to": 6, "over": 3})),
        ),
        (16, Command::EndErrorRate("load_ratio".into())),
        (
            18,
            begun(json!({"action": "fault", "kind": "reset", "metric": "requests"})),
        ),
    ]
}

/// The bodies of a job's ticks, and the run as a journal would tell it.
fn done(job: &Job) -> (Vec<String>, Replay) {
    let own = vec![SelfMetrics::tick_family(&job.config)];
    let catalog = Arc::new(Catalog::build(&job.config, own).unwrap());
    let renderer = Renderer::new(Arc::clone(&catalog), "p_", true);
    let mut engine = Engine::new(&job.config, catalog, job.span.epoch_ns, 2).unwrap();
    let mut commands = commands(&job.config).into_iter().peekable();
    let (mut bodies, mut entries) = (Vec::new(), Vec::new());
    while engine.next_tick() <= job.span.last {
        let tick = engine.next_tick();
        while let Some((_, command)) = commands.next_if(|(due, _)| *due == tick) {
            let applied = engine.command(&command).unwrap();
            entries.push(Entry {
                tick,
                time_ns: job.span.time_ns(tick),
                event: Event::of(command, &applied),
            });
        }
        let frame = engine.advance(fill_tick);
        if tick >= job.span.first {
            let mut body = Vec::new();
            renderer.render(&frame, Format::OpenMetrics, &mut body);
            bodies.push(String::from_utf8(body).unwrap());
        }
    }
    let history = History {
        start: Start {
            version: "1".into(),
            epoch_ns: job.span.epoch_ns,
            catches_up: false,
            fingerprint: config::fingerprint(&job.config),
            config: job.config.clone(),
        },
        entries,
        torn_line: None,
        copied: None,
        is_written: false,
    };
    (bodies, Replay::new(history, Needs::default()))
}

/// Whatever range it has, and whatever it is computed with.
#[test]
fn the_file_has_what_was_done_to_the_run() {
    for (first, last, threads) in [(0, 29, 1), (6, 21, 3), (12, 30, 2), (20, 24, 4)] {
        let folder = tempfile::tempdir().unwrap();
        let mut job = job(folder.path(), first, last);
        job.threads = threads;
        let (bodies, run) = done(&job);
        assert!(bodies != self::bodies(&job));
        let limits = Limits {
            held_bytes: 900,
            piece_lines: 7,
            noted_apart: Duration::ZERO,
        };
        job.done = Some(run);
        let text = write(&job, limits).unwrap();
        check_samples(&String::from_utf8(text).unwrap(), &bodies);
    }
}

/// One that was interrupted is gone on with only where the same was done.
#[test]
fn what_was_done_is_part_of_what_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let plain = job(folder.path(), 0, 20);
    let with = |last| {
        let mut job = job(folder.path(), 0, last);
        job.done = Some(done(&job).1);
        job_id(&job)
    };
    assert!(with(20) != job_id(&plain));
    assert_eq!(with(20), with(20));
    assert!(with(20)["journal"] != with(8)["journal"]);
    // What was done later does not matter.
    assert_eq!(with(3).get("journal"), None);
}
