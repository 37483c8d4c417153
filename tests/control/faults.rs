//! Faults of scrapes that strike the pages of some targets, while others are well.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::instance::{Instance, Reply};
use crate::openapi::Description;
use crate::{check, ctl};

const METRICS: &str = "
profiles: {p: {labels: {zone: [x, y], pod: [dead, slow, flapping, cut, bad, well/1]}}}
metrics:
  - {name: hits, type: counter, algorithm: constant, base_rate: 10, profile: p}
  - {name: alone, type: gauge, algorithm: constant, start: 1}
";
/// Something that strikes a whole zone.
const STORM: &str = "scenarios: {storm: {steps: [{at_s: 0, action: fault, kind: scrape_error, \
    labels: {zone: x}, duration_s: 3600}]}}";

/// Targets as `targets` says, and further text.
fn start(targets: &str, more: &str) -> Instance {
    let text = Instance::text("tick_interval_s: 0.05", METRICS);
    let text = text.replace("prefix: ''", &format!("prefix: '', targets: {targets}"));
    Instance::start_text(&format!("{text}{more}"))
}

fn page(instance: &Instance, id: &str) -> Reply {
    instance.metrics(&format!("/targets/{id}/metrics"))
}

#[track_caller]
fn assert_well(instance: &Instance, id: &str) -> u64 {
    let reply = page(instance, id);
    assert!(
        reply.status == 200 && reply.is_complete,
        "{id}: {}",
        reply.head
    );
    tick(&reply, id)
}

/// The tick that a page shows.
fn tick(reply: &Reply, id: &str) -> u64 {
    let ticks = format!("\ngen_ticks_total{{target=\"{id}\"}} ");
    let (_, rest) = reply.body.split_once(&ticks).expect("a tick number");
    rest.lines().next().unwrap().parse::<f64>().unwrap() as u64
}

/// Begins a fault, and waits until it is in effect.
fn fault(instance: &Instance, body: &Value) -> Value {
    let begun = instance.told("POST", "/control/fault", &body.to_string());
    instance.wait_for_tick(begun["applies_at_tick"].as_u64().unwrap());
    begun
}

fn wait_for_ticks(instance: &Instance) {
    let tick = instance.get("/series?limit=1").json()["tick"]
        .as_u64()
        .unwrap();
    instance.wait_for_tick(tick + 2);
}

#[test]
fn some_targets_fail_while_others_are_well() {
    let instance = start("{by: [zone, pod]}", "");
    for body in [
        json!({"kind": "scrape_close", "labels": {"pod": "dead"}}),
        json!({"kind": "scrape_delay", "delay_s": 3, "target": "x,slow"}),
        json!({"kind": "scrape_truncate", "labels": {"pod": "cut", "zone": "x"}}),
        json!({"kind": "scrape_error", "status": 500, "labels": {"pod": "bad"}}),
    ] {
        fault(&instance, &body);
    }
    // Those at first, before anybody has asked.
    let whole = instance.scrape().body;
    assert!(
        whole.contains("\ngen_targets 13\n") && whole.contains("\ngen_target_scrapes_total 0\n")
    );
    // Closed without a byte, also where the connection was used before.
    for zone in ["x", "y"] {
        let path = format!("/targets/{zone},dead/metrics");
        let mut stream = instance.connect_metrics();
        let ask = |path: &str, stream: &mut std::net::TcpStream| {
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
        };
        ask("/healthz", &mut stream);
        let mut first = [0; 15];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        while stream.read(&mut [0; 4096]).unwrap() == 4096 {}
        ask(&path, &mut stream);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
        let reply = page(&instance, &format!("{zone},dead"));
        assert_eq!((reply.status, &*reply.head), (0, "\r\n"));
        assert_eq!(page(&instance, &format!("{zone},bad")).status, 500);
    }
    for _ in 0..10 {
        let cut = page(&instance, "x,cut");
        assert!(cut.status == 200 && !cut.is_complete, "{}", cut.body);
    }
    // Others are answered while a slow one waits.
    let began = Instant::now();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| {
            assert_well(&instance, "x,slow");
            began.elapsed()
        });
        for id in ["y,slow", "y,cut", "x,flapping", "x,well~2F1", "~,~"] {
            assert_well(&instance, id);
        }
        let well = began.elapsed();
        let slow = slow.join().unwrap();
        assert!(
            slow >= Duration::from_secs(3) && well < slow,
            "{slow:?} {well:?}"
        );
    });
    // Counts are those of a tick.
    wait_for_ticks(&instance);
    let whole = instance.scrape();
    assert!(whole.status == 200 && whole.is_complete);
    let value = |name: &str| {
        let line = whole.body.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().to_owned()
    };
    assert_eq!(value("gen_targets "), "13");
    // Six are well, four are closed, two are bad and ten are cut.
    assert_eq!(value("gen_target_scrapes_total "), "6");
    assert_eq!(
        value("gen_export_errors_total{exporter=\"prometheus\"}"),
        "16"
    );
}

#[test]
fn a_target_flaps_with_the_ticks() {
    let instance = start(
        "{by: [zone, pod]}",
        "runtime: {failure_modes: [{kind: scrape_error, status: 500, period_s: 0.4, \
         labels: {pod: flapping}}]}",
    );
    let (mut up, mut down) = (0, 0);
    let deadline = Instant::now() + Duration::from_secs(60);
    while up < 40 || down < 40 {
        assert!(Instant::now() < deadline, "{up} {down}");
        let before = assert_well(&instance, "x,well~2F1");
        let status = page(&instance, "x,flapping").status;
        let after = assert_well(&instance, "x,well~2F1");
        // A period has eight ticks; the next one may be about to be shown.
        let half = before / 4;
        if half != after / 4 || half != (after + 1) / 4 {
            continue;
        }
        let is_down = half.is_multiple_of(2);
        assert_eq!(
            status,
            if is_down { 500 } else { 200 },
            "{before} to {after}"
        );
        if is_down { down += 1 } else { up += 1 }
    }
}

#[test]
fn targets_that_there_are_not_are_refused() {
    let instance = start("{by: [zone, pod]}", "");
    let mut description = Description::of(&instance.get("/openapi.json").json());
    for (body, field, message) in [
        (
            json!({"kind": "scrape_close", "labels": {"pods": "dead"}}),
            "labels.pods",
            "did you mean \"pod\"?",
        ),
        (
            json!({"kind": "scrape_close", "labels": {"pod": "none"}}),
            "labels.pod",
            "there are: dead, slow",
        ),
        (
            json!({"kind": "scrape_close", "target": "x"}),
            "target",
            "made of the values of zone, pod",
        ),
        (
            json!({"kind": "scrape_close", "period_s": 0.06}),
            "period_s",
            "two ticks, 100ms",
        ),
    ] {
        let reply = instance.ask("POST", "/control/fault", &body.to_string());
        description.check("POST", "/control/fault", &reply);
        let refusal = reply.json();
        assert_eq!(
            (reply.status, &refusal["detail"]["field"]),
            (422, &json!(field))
        );
        assert!(
            refusal["error"].as_str().unwrap().contains(message),
            "{refusal}"
        );
    }
}

#[test]
fn faults_of_targets_are_begun_told_and_ended() {
    let instance = start("{by: [zone, pod]}", STORM);
    let mut description = Description::of(&instance.get("/openapi.json").json());
    let ctl = |arguments: &[&str]| ctl(&instance, arguments);
    for (words, code, word) in [
        ("scrape_close --label pod=dead --period 5m", 0, "(id 1)"),
        ("scrape_truncate --target x,cut --rate 0.5", 0, "(id 2)"),
        ("scrape_close --target 7", 2, "no target has the ID"),
        (
            "scrape_close --target x,cut --label pod=cut",
            2,
            "cannot be used with",
        ),
    ] {
        let words: Vec<&str> = ["fault"].into_iter().chain(words.split(' ')).collect();
        check(ctl(&words), code, word);
    }
    check(ctl(&["scenario", "storm"]), 0, "started");
    wait_for_ticks(&instance);
    let reply = instance.get("/status");
    description.check("GET", "/status", &reply);
    let told = reply.json();
    let told = told["active_faults"].as_array().unwrap();
    assert_eq!(
        (&told[0]["labels"], &told[0]["period_s"]),
        (&json!({"pod": "dead"}), &json!(300))
    );
    assert_eq!(
        (&told[1]["target"], &told[1]["rate"]),
        (&json!("x,cut"), &json!(0.5))
    );
    assert_eq!(
        (&told[2]["labels"], &told[2]["scenario"]),
        (&json!({"zone": "x"}), &json!("storm"))
    );
    let (_, text) = ctl(&["status"]);
    for part in [
        "{pod=\"dead\"}",
        "period_s 300",
        "target x,cut",
        "{zone=\"x\"}",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(page(&instance, "x,well~2F1").status, 503);
    assert_well(&instance, "y,well~2F1");
    check(ctl(&["fault", "--end", "1"]), 0, "ended 1");
    check(ctl(&["scenario", "storm", "--stop"]), 0, "ended");
    wait_for_ticks(&instance);
    assert_well(&instance, "x,well~2F1");
    assert_well(&instance, "x,dead");
    // What was done is in the journal as it was asked for.
    let journal = instance.get("/control/journal").body;
    assert!(journal.contains("\"period_s\":300") && journal.contains("\"target\":\"x,cut\""));
}

#[test]
fn targets_by_count_are_named_by_their_number() {
    let instance = start("{count: 4}", "");
    // Some of the four may have no series.
    let listed = instance.metrics("/sd").json();
    let listed = listed.as_array().unwrap().iter();
    let ids = listed.map(|group| {
        group["labels"]["__meta_mockingbird_target"]
            .as_str()
            .unwrap()
    });
    let ids: Vec<String> = ids.map(str::to_owned).collect();
    let [struck, _, ..] = &ids[..] else {
        panic!("{ids:?}")
    };
    let number: u32 = struck.parse().unwrap();
    fault(
        &instance,
        &json!({"kind": "scrape_error", "target": number}),
    );
    for id in &ids {
        let status = page(&instance, id).status;
        assert_eq!(status, if id == struck { 503 } else { 200 }, "{id}");
    }
    for (body, message) in [
        (
            json!({"kind": "scrape_error", "target": 4}),
            "\"0\" to \"3\"",
        ),
        (
            json!({"kind": "scrape_error", "labels": {"pod": "bad"}}),
            "made by count and have no labels",
        ),
    ] {
        let reply = instance.ask("POST", "/control/fault", &body.to_string());
        assert!(
            reply.status == 422 && reply.json()["error"].as_str().unwrap().contains(message),
            "{}",
            reply.body
        );
    }
}

/// Other targets need a restart; until then faults name those that there are, also in a
/// journal.
#[test]
fn a_reload_names_the_targets_in_force() {
    let instance = start("{by: [zone, pod]}", STORM);
    let before = instance.config();
    let other = before.replace("by: [zone, pod]", "by: [zone]");
    assert_ne!(before, other);
    instance.write(&other);
    let reloaded = instance.told("POST", "/control/reload", "{}");
    assert_eq!(reloaded["needs_restart"], json!(["exporters.prometheus"]));
    fault(
        &instance,
        &json!({"kind": "scrape_error", "target": "x,bad"}),
    );
    assert_eq!(page(&instance, "x,bad").status, 503);
    assert_well(&instance, "y,bad");

    // A file that is right by itself, but not with the targets that the run has.
    let none = before.replace("targets: {by: [zone, pod]}", "targets: {by: [host]}");
    let none = none.replace("zone: [x, y]", "host: [x, y]");
    let none = none.replace("labels: {zone: x}", "labels: {host: x}");
    instance.write(&none);
    let reply = instance.ask("POST", "/control/reload", "{}");
    let error = reply.json()["error"].as_str().unwrap().to_owned();
    assert!(
        reply.status == 422
            && error.starts_with(
                "exporters.prometheus.targets differs, which needs a restart, and with the \
                 targets in force: "
            )
            && error.contains("zone"),
        "{error}"
    );
    // What was done can be read again.
    let journal = instance.get("/control/journal").body;
    let path = format!("{}.journal", instance.path());
    std::fs::write(&path, journal).unwrap();
    let dump = crate::instance::run(&["dump", "--journal", &path, "--tick", "1"], &[]);
    assert!(dump.status.success(), "{dump:?}");
}
