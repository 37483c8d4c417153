//! The control API of the real program: every endpoint, what it refuses, and what scrapes show.

#[path = "control/faults.rs"]
mod faults;
#[path = "control/instance.rs"]
mod instance;
#[path = "control/living.rs"]
mod living;
#[path = "control/many.rs"]
mod many;
#[path = "control/openapi.rs"]
mod openapi;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use instance::{Instance, Reply, run, wait_until};
use openapi::Description;
use proptest::prelude::*;
use serde_json::{Value, json};

const METRICS: &str = "
profiles: {p: {labels: {region: {values: [a, b]}, host: {range: [1, 3], fmt: 'h%d'}}}}
metrics:
  - {name: hits, type: counter, algorithm: constant, base_rate: 10, profile: p}
  - {name: temp, type: gauge, algorithm: random_walk, start: 1, step: 0.1, profile: p}
  - {name: lat, type: histogram, algorithm: exponential, lam: 2}
  - {name: sizes, type: summary, algorithm: lognormal, mu: 0, sigma: 1}
scenarios:
  bad: {repeat_every_s: 60, steps: [{at_s: 0, action: spike, metric: hits, multiplier: 3, duration_s: 50}]}
";

fn start() -> Instance {
    Instance::start("tick_interval_s: 0.05", METRICS)
}

/// A running instance whose every answer is held against its own description.
struct Described {
    instance: Instance,
    description: Description,
}

/// What labels make entities for, two pods with a namespace each.
const FLEET: &str = "
  - {name: up, type: gauge, algorithm: constant, start: 1, profile: fleet}
scenarios:";

impl Described {
    fn start() -> Self {
        let metrics = METRICS
            .replace("profiles: {", "profiles: {fleet: {labels: {ns: [a, b], pod: {range: [1, 1], fmt: '{ns}-{id:5}'}}}, ")
            .replace("\nscenarios:", FLEET);
        let instance = Instance::start("tick_interval_s: 0.05", &metrics);
        let description = Description::of(&instance.get("/openapi.json").json());
        Self {
            instance,
            description,
        }
    }

    /// Asks; the answer has this status. Returns its body.
    #[track_caller]
    fn check(&mut self, method: &str, path: &str, body: &str, status: u16) -> Value {
        let reply = self.instance.ask(method, path, body);
        assert_eq!(
            reply.status, status,
            "{method} {path} {body}: {}",
            reply.body
        );
        self.description.check(method, path, &reply);
        if path == "/control/journal" && status == 200 {
            return Value::Null;
        }
        reply.json()
    }

    #[track_caller]
    fn get(&mut self, path: &str, status: u16) -> Value {
        self.check("GET", path, "", status)
    }

    /// Posts to a path below `/control/`.
    #[track_caller]
    fn post(&mut self, path: &str, body: &Value, status: u16) -> Value {
        let path = format!("/control/{path}");
        self.check("POST", &path, &body.to_string(), status)
    }

    /// Deletes below `/control/`.
    #[track_caller]
    fn delete(&mut self, path: &str, status: u16) -> Value {
        self.check("DELETE", &format!("/control/{path}"), "", status)
    }
}

#[test]
fn every_answer_is_as_described() {
    let mut api = Described::start();
    for path in [
        "/healthz",
        "/status",
        "/config",
        "/openapi.json",
        "/control/journal",
    ] {
        api.get(path, 200);
        api.check("PUT", path, "", 405);
    }
    let fault_id = check_beginning(&mut api);
    check_series(&mut api);
    api.post("reload", &json!({}), 200);
    api.post("loglevel", &json!({"level": "warn"}), 200);
    check_refusals(&mut api);
    check_scheduled(&mut api);
    check_ending(&mut api, fault_id);
    api.description.assert_all_seen();
}

/// Begins something of every kind; returns a fault's id.
fn check_beginning(api: &mut Described) -> u64 {
    let spike = json!(
        {"metric": "hits", "multiplier": 5, "duration_s": 100, "labels": {"region": "a"}}
    );
    let begun = api.post("spike", &spike, 200);
    let ticks = begun["until_tick"].as_u64().unwrap() - begun["applies_at_tick"].as_u64().unwrap();
    assert_eq!(ticks, 2000);
    assert_eq!(api.post("spike", &spike, 200)["replaced"], 1);
    let rate = json!({"metric": "lat", "rate": 0, "duration_s": 100});
    api.post("error_rate", &rate, 200);
    let rate = json!({"metric": "lat", "rate": 0, "duration_s": "1m40s"});
    assert_eq!(api.post("error_rate", &rate, 200)["replaced"], 1);
    let delay = json!({"kind": "scrape_delay", "delay_s": "1ms"});
    let fault_id = api.post("fault", &delay, 200)["id"].as_u64().unwrap();
    let nan = json!({"kind": "nan", "rate": 0, "metric": "temp"});
    api.post("fault", &nan, 200);
    let rollout = json!({"profile": "fleet", "mode": "rollout", "label": "pod", "over": 100,
        "percent": "100%", "labels": {"ns": "b"}});
    let ordered = api.post("churn", &rollout, 200);
    assert_eq!(ordered["series"], json!({"began": 1, "ended": 1}));
    let size = json!({"profile": "fleet", "label": "pod", "to": "0%", "over": "100s",
        "labels": {"ns": "a"}});
    let ordered = api.post("size", &size, 200);
    assert_eq!(ordered["series"], json!({"began": 0, "ended": 1}));
    let scenario = json!({"scenario": "bad"});
    assert_eq!(api.post("scenario", &scenario, 200)["changed"], true);
    assert_eq!(api.post("scenario", &scenario, 200)["changed"], false);
    wait_until("the scenario's step acts", || {
        let status = api.instance.get("/status").json();
        let spikes = status["active_spikes"]["hits"]["all"].as_array();
        spikes.unwrap().len() == 2
    });

    let status = api.get("/status", 200);
    let spikes = &status["active_spikes"]["hits"];
    assert_eq!(
        (&spikes["multiplier"], &spikes["scenario"]),
        (&json!(3.0), &json!("bad"))
    );
    assert_eq!(spikes["all"][0]["labels"], json!({"region": "a"}));
    assert_eq!(status["active_faults"].as_array().unwrap().len(), 2);
    assert_eq!(status["active_error_rates"]["lat"]["duration_s"], 100.0);
    assert_eq!(status["total_series"], 16);
    // An order above lets some end.
    let active = status["active_series"].as_u64().unwrap();
    assert!((14..=16).contains(&active), "{status}");
    let orders = status["active_churn"].as_array().unwrap();
    assert_eq!(orders.len(), 2, "{status}");
    assert_eq!(
        (&orders[0]["mode"], &orders[1]["to"]),
        (&json!("rollout"), &json!("0%"))
    );
    assert_eq!(orders[1]["labels"], json!({"ns": "a"}));
    fault_id
}

fn check_series(api: &mut Described) {
    let series = api.get("/series?metric=hits&match=region=a,host=%22h2%22", 200);
    assert_eq!(series["count"], 1, "{series}");
    let labels = json!({"region": "a", "host": "h2"});
    assert_eq!(series["series"][0]["labels"], labels);
    let count = api.get("/series", 200)["count"].as_u64().unwrap();
    assert!((15..=16).contains(&count), "{count}");
    assert_eq!(api.get("/series?limit=3", 200)["truncated"], true);
    api.get("/series?metric=nope", 404);
    for query in ["limit=0", "limit=10001", "limit=x", "match=a", "nope=1"] {
        api.get(&format!("/series?{query}"), 422);
    }
    api.get("/series?metric=%FF", 400);
}

fn check_refusals(api: &mut Described) {
    api.post("loglevel", &json!({"level": "loud"}), 400);
    let nobody = json!({"profile": "p", "mode": "restart", "label": "host"});
    let refused = api.post("churn", &nobody, 422);
    assert!(
        refused["error"]
            .as_str()
            .unwrap()
            .contains("no metric of a profile")
    );
    let nowhere = json!({"profile": "fleet", "label": "pid", "to": 1});
    api.post("size", &nowhere, 422);
    // A path, a body, and a word of the error.
    for (path, body, word) in [
        (
            "spike",
            json!({"metric": "hits", "multiplier": -1, "duration_s": 1}),
            "multiplier",
        ),
        (
            "spike",
            json!({"metric": "hits", "multiplier": "x", "duration_s": 1}),
            "multiplier",
        ),
        (
            "spike",
            json!({"metric": "hits", "multiplier": 1, "duration_s": 0}),
            "duration_s",
        ),
        (
            "spike",
            json!({"metric": "hits", "multiplier": 1, "duration_s": "5 m"}),
            "90s, 5m",
        ),
        (
            "spike",
            json!({"metric": "hits", "multiplier": 1}),
            "duration_s",
        ),
        (
            "spike",
            json!({"metric": "hits", "multiplier": 1, "duration_s": 1, "dog": 1}),
            "dog",
        ),
        (
            "spike",
            json!({"metric": "hits", "multiplier": 1, "duration_s": 1, "labels": {"region": "z"}}),
            "region",
        ),
        (
            "spike",
            json!({"metric": 7, "multiplier": 1, "duration_s": 1}),
            "metric",
        ),
        (
            "error_rate",
            json!({"metric": "hits", "rate": 1.5, "duration_s": 1}),
            "rate",
        ),
        ("fault", json!({"kind": "fire"}), "kind"),
        (
            "fault",
            json!({"kind": "scrape_error", "status": 200}),
            "status",
        ),
        ("fault", json!({}), "kind"),
        ("scenario", json!({}), "scenario"),
        (
            "scenario",
            json!({"scenario": "bad", "action": "spike"}),
            "action",
        ),
        ("reload", json!({"path": "/etc/passwd"}), "path"),
        ("loglevel", json!({"level": 3}), "level"),
        ("loglevel", json!({}), "level"),
        ("loglevel", json!({"level": "info", "for": 3}), "for"),
    ] {
        let refused = api.post(path, &body, 422);
        let error = refused["error"].as_str().unwrap();
        assert!(error.contains(word), "{body}: {refused}");
    }
    for path in [
        "/control/spike",
        "/control/error_rate",
        "/control/fault",
        "/control/scenario",
        "/control/churn",
        "/control/size",
        "/control/reload",
        "/control/loglevel",
    ] {
        api.check("POST", path, "{", 400);
        api.check("POST", path, "[1]", 422);
        api.get(path, 405);
    }
    let unknown = json!({"metric": "nope", "multiplier": 1, "duration_s": 1});
    let refused = api.post("spike", &unknown, 404);
    let metrics = json!(["hits", "temp", "lat", "sizes", "up"]);
    assert_eq!(refused["detail"]["available"], metrics);
    let refused = api.post("scenario", &json!({"scenario": "nope"}), 404);
    assert_eq!(refused["detail"]["available"], json!(["bad"]));
}

/// What is done at a later tick.
fn check_scheduled(api: &mut Described) {
    let next = |api: &mut Described| api.get("/status", 200)["tick_count"].as_u64().unwrap();
    // A tick is a twentieth of a second.
    let at_tick = next(api) + 100;
    let when = format!("at_tick={at_tick}&hold=true");
    let level = json!({"level": "info"});
    let held = api.post(&format!("loglevel?{when}"), &level, 202);
    assert_eq!(held["state"], "held");
    assert_eq!(held["body"], level);
    let item = |id: &Value| format!("/control/scheduled/{id}");
    let one = item(&held["id"]);
    assert_eq!(api.get(&one, 200)["state"], "held");
    assert_eq!(api.check("POST", &one, "{}", 200)["state"], "confirmed");
    assert_eq!(api.check("POST", &one, "{}", 200)["state"], "confirmed");
    let all = api.get("/status", 200)["scheduled"].clone();
    assert_eq!(all.as_array().unwrap().len(), 1, "{all}");
    assert_eq!(all[0]["request"], "POST /control/loglevel");
    assert_eq!(api.check("DELETE", &one, "", 200)["state"], "cancelled");
    assert_eq!(api.check("DELETE", &one, "", 200)["state"], "cancelled");
    api.check("POST", &one, "{}", 409);
    assert_eq!(api.get("/status", 200)["scheduled"], json!([]));

    // One file is read ahead at a time.
    let reload = api.post(&format!("reload?{when}"), &json!({}), 202);
    let again = api.post(&format!("reload?{when}"), &json!({}), 409);
    assert!(again["error"].as_str().unwrap().contains("is scheduled"));
    api.check("DELETE", &item(&reload["id"]), "", 200);

    let (next, far) = (next(api), next(api) + 20 * 60 * 10);
    let late = api.post(&format!("loglevel?at_tick={next}"), &level, 409);
    assert!(late["error"].as_str().unwrap().starts_with("too late"));
    assert!(late["detail"]["next_tick"].as_u64().unwrap() >= next);
    for query in [
        format!("at_tick={}", far + 1000),
        "at_tick=x".into(),
        "hold=true".into(),
        "at_tik=1".into(),
    ] {
        api.post(&format!("loglevel?{query}"), &level, 422);
        api.check("DELETE", &format!("/control/spike/hits?{query}"), "", 422);
    }
    // What is wrong now is told now.
    let unknown = json!({"metric": "nope", "multiplier": 1, "duration_s": 1});
    api.post(&format!("spike?at_tick={far}"), &unknown, 404);
    api.delete(&format!("fault/999?at_tick={far}"), 404);
    assert_eq!(api.get("/status", 200)["scheduled"], json!([]));
    api.check("POST", &one, "[]", 422);
    for path in ["/control/scheduled/999", "/control/scheduled/x"] {
        api.get(path, 404);
        api.check("POST", path, "{}", 404);
        api.check("DELETE", path, "", 404);
        api.check("PUT", path, "", 405);
    }
}

/// Ends what [`check_beginning`] began, and what is not there.
fn check_ending(api: &mut Described, fault_id: u64) {
    assert_eq!(api.delete(&format!("fault/{fault_id}"), 200)["ended"], 1);
    api.delete(&format!("fault/{fault_id}"), 404);
    api.delete("fault/x", 404);
    // The scenario's spike and the one of a command.
    assert_eq!(api.delete("spike/hits_total", 200)["ended"], 2);
    assert_eq!(api.delete("spike/hits", 200)["changed"], false);
    assert_eq!(api.delete("error_rate/lat", 200)["ended"], 1);
    assert_eq!(api.delete("scenario/bad", 200)["ended"], 1);
    assert_eq!(api.delete("scenario/bad", 200)["changed"], false);
    for path in ["spike/nope", "error_rate/nope", "scenario/nope"] {
        api.delete(path, 404);
    }
    api.delete("spike/%zz", 400);

    // As many as there may be, then no more.
    let fault = r#"{"kind": "nan", "rate": 0, "metric": "temp", "duration_s": 1000}"#;
    let refused = (0..=1000)
        .map(|_| api.instance.ask("POST", "/control/fault", fault))
        .find(|reply| reply.status != 200);
    let refused = refused.expect("a limit");
    assert_eq!(refused.status, 429, "{}", refused.body);
    api.description.check("POST", "/control/fault", &refused);
}

/// Whatever is scheduled acts from its tick on, as if it had been asked for then; what nobody
/// confirms never does.
#[test]
fn what_is_scheduled_is_done_at_its_tick() {
    let instance = start();
    let next = instance.get("/status").json()["tick_count"]
        .as_u64()
        .unwrap();
    let at_tick = next + 30;
    let schedule = |method: &str, path: &str, hold: bool, body: &str| -> Value {
        let path = format!("/control/{path}?at_tick={at_tick}&hold={hold}");
        let reply = instance.ask(method, &path, body);
        assert_eq!(reply.status, 202, "{path}: {}", reply.body);
        reply.json()["id"].clone()
    };
    let spike = r#"{"metric": "hits", "multiplier": 4, "duration_s": 100}"#;
    let spiked = schedule("POST", "spike", false, spike);
    let forgotten = schedule("POST", "scenario", true, r#"{"scenario": "bad"}"#);
    let reloaded = schedule("POST", "reload", true, "{}");
    instance.told("POST", &format!("/control/scheduled/{reloaded}"), "{}");
    // It is there only once the reload has been done.
    instance.write(&instance.config().replace("name: temp", "name: warmth"));
    instance.wait_for_tick(at_tick);
    let became = |id: &Value| instance.told("GET", &format!("/control/scheduled/{id}"), "");
    assert_eq!(became(&forgotten)["state"], "expired");
    let spiked = became(&spiked);
    assert_eq!(spiked["state"], "done", "{spiked}");
    assert_eq!(spiked["answer"]["applies_at_tick"], at_tick);
    assert_eq!(spiked["answer"]["until_tick"], at_tick + 2000);
    // The file was read when it was scheduled.
    let reloaded = became(&reloaded);
    assert_eq!(
        reloaded["answer"]["kept"],
        json!(["hits", "temp", "lat", "sizes"])
    );
    let journal = instance.get("/control/journal").body;
    let entries: Vec<Value> = journal
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let events = entries
        .iter()
        .map(|entry| (&entry["event"], &entry["tick"]));
    // A slow machine may have been late before.
    let events: Vec<_> = events.filter(|(event, _)| **event != "caught_up").collect();
    let at_tick = json!(at_tick);
    assert_eq!(
        events[1..3],
        [(&json!("reload"), &at_tick), (&json!("spike"), &at_tick)],
    );
    assert_eq!(events.len(), 4, "{journal}");

    // What has become impossible meanwhile fails, and is told.
    let at_tick = instance.get("/status").json()["tick_count"]
        .as_u64()
        .unwrap()
        + 30;
    let fault = r#"{"kind": "nan", "metric": "temp", "duration_s": 100}"#;
    let path = format!("/control/fault?at_tick={at_tick}");
    let id = instance.ask("POST", &path, fault).json()["id"].clone();
    let after = instance.told("POST", "/control/reload", "{}");
    assert!(
        after["applies_at_tick"].as_u64().unwrap() < at_tick,
        "{after}"
    );
    instance.wait_for_tick(at_tick);
    let failed = instance.told("GET", &format!("/control/scheduled/{id}"), "");
    assert_eq!(failed["state"], "failed");
    assert!(
        failed["error"]
            .as_str()
            .unwrap()
            .contains("reloaded meanwhile")
    );
}

#[test]
fn unknown_paths_are_told_in_json() {
    let instance = start();
    for path in [
        "/",
        "/metrics",
        "/control",
        "/control/",
        "/control/dance",
        "/control/reload/x",
        "/status/",
    ] {
        let reply = instance.get(path);
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.json()["error"].is_string());
    }
    let reply = instance.ask("POST", "/status", "{}");
    assert_eq!(reply.status, 405);
    assert!(
        reply.head.contains("\r\nAllow: GET, HEAD\r\n"),
        "{}",
        reply.head
    );
}

#[test]
fn web_pages_cannot_drive_it() {
    let instance = start();
    let body = r#"{"level": "info"}"#;
    let post = |host: &str, content_type: &str| -> Reply {
        let length = body.len();
        instance.raw(
            format!("POST /control/loglevel HTTP/1.1\r\nHost: {host}\r\n{content_type}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
                .as_bytes(),
        )
    };
    let json = "Content-Type: application/json; charset=utf-8\r\n";
    for host in [
        "localhost",
        "localhost:1",
        "127.0.0.1:8081",
        "LOCALHOST",
        "told.example",
        "told.example:80",
    ] {
        assert_eq!(post(host, json).status, 200, "{host}");
    }
    for host in [
        "evil.example",
        "127.0.0.2",
        "[::1]",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
    ] {
        let reply = post(host, json);
        assert_eq!(reply.status, 421, "{host}: {}", reply.body);
        assert!(reply.json()["error"].is_string());
    }
    for content_type in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
    ] {
        assert_eq!(
            post("localhost", content_type).status,
            415,
            "{content_type}"
        );
    }
    // Health is nobody's secret, and probes come by any name.
    let probe =
        instance.raw(b"GET /healthz HTTP/1.1\r\nHost: pod.example\r\nConnection: close\r\n\r\n");
    assert_eq!(probe.status, 200);
}

#[test]
fn large_bodies_are_refused() {
    let instance = start();
    let reply = instance.ask("POST", "/control/spike", &" ".repeat((64 << 10) + 1));
    assert_eq!(reply.status, 413);
    assert!(reply.json()["error"].is_string(), "{}", reply.body);
    let mut body = r#"{"level": "info"}"#.to_owned();
    body.push_str(&" ".repeat((64 << 10) - body.len()));
    assert_eq!(instance.ask("POST", "/control/loglevel", &body).status, 200);
}

#[test]
fn the_token_is_asked_for() {
    let instance = Instance::start("control_api_token: s3cret-token", METRICS);
    let ask = |path: &str, headers: &str| {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n");
        instance.raw(request.as_bytes())
    };
    for path in [
        "/status",
        "/config",
        "/series",
        "/control/journal",
        "/openapi.json",
    ] {
        let reply = ask(path, "");
        assert_eq!(reply.status, 401, "{path}");
        assert!(reply.head.contains("\r\nWWW-Authenticate: Bearer\r\n"));
        assert_eq!(
            ask(path, "Authorization: Bearer s3cret-token\r\n").status,
            200
        );
        assert_eq!(
            ask(path, "authorization: bearer s3cret-token\r\n").status,
            200
        );
    }
    for wrong in [
        "Bearer s3cret-toke",
        "Bearer s3cret-token2",
        "Bearer",
        "Basic s3cret-token",
        "s3cret-token",
        "Bearer ",
    ] {
        assert_eq!(
            ask("/status", &format!("Authorization: {wrong}\r\n")).status,
            401,
            "{wrong}"
        );
    }
    assert_eq!(ask("/healthz", "").status, 200);
    // The document asks for the token where the instance does.
    let document = ask("/openapi.json", "Authorization: Bearer s3cret-token\r\n");
    assert_eq!(document.json()["security"], json!([{"token": []}]));
    let config = ask("/config", "Authorization: Bearer s3cret-token\r\n");
    assert!(!config.body.contains("s3cret"), "{}", config.body);

    let url = format!("http://{}", instance.control);
    let refused = run(&["ctl", "--url", &url, "status"], &[]);
    assert_eq!(refused.status.code(), Some(2));
    let done = run(
        &["ctl", "--url", &url, "status"],
        &[("MOCKINGBIRD_CONTROL_TOKEN", "s3cret-token")],
    );
    assert_eq!(done.status.code(), Some(0));
}

/// Fields that some request has, and one that none has.
const FIELDS: [&str; 9] = [
    "metric",
    "multiplier",
    "duration_s",
    "labels",
    "kind",
    "rate",
    "scenario",
    "level",
    "x",
];

/// Whatever is sent, the reply is an error in JSON (or HTTP refuses it), and the next request works.
#[test]
fn hostile_bodies_are_refused() {
    let instance = start();
    let value = prop_oneof![
        Just(json!("hits")),
        Just(json!(null)),
        Just(json!(1e308)),
        Just(json!(-1)),
        Just(json!([[[]]])),
        Just(json!({"region": {"a": []}})),
        any::<f64>().prop_map(|x| json!(x)),
        ".{0,20}".prop_map(|x| json!(x)),
    ];
    let object = prop::collection::btree_map(prop::sample::select(&FIELDS[..]), value, 0..6)
        .prop_map(|fields| json!(fields).to_string().into_bytes());
    let nested = (1usize..40_000).prop_map(|depth| "[".repeat(depth).into_bytes());
    let bytes = prop::collection::vec(any::<u8>(), 0..300);
    let body = prop_oneof![3 => object, 2 => bytes, 1 => nested];
    let path = prop::sample::select(&["spike", "error_rate", "fault", "scenario", "loglevel"][..]);
    let config = ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(path in path, body in body)| {
        let mut request = format!(
            "POST /control/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()).into_bytes();
        request.extend(&body);
        let reply = instance.raw(&request);
        prop_assert!(matches!(reply.status, 200 | 400 | 404 | 422 | 429), "{}: {}", reply.status, reply.body);
        prop_assert!(serde_json::from_str::<Value>(&reply.body).is_ok(), "{}", reply.body);
    });
    let raw = prop::collection::vec(any::<u8>(), 0..400);
    let config = ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(bytes in raw, target in "[/a-z%?&=.]{0,40}")| {
        let _ = instance.raw(&bytes);
        let reply = instance.raw(format!("GET /{target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes());
        prop_assert!((200..500).contains(&reply.status), "{target}: {}", reply.status);
    });
    assert_eq!(instance.get("/status").status, 200);
    assert_eq!(instance.get("/healthz").status, 200);
}

#[test]
fn scrapes_fail_while_they_are_told_to() {
    let instance = start();
    let fault = |body: Value| instance.told("POST", "/control/fault", &body.to_string());
    let in_effect = |applied: &Value| {
        let tick = applied["applies_at_tick"].as_u64().unwrap();
        instance.wait_for_tick(tick);
    };
    let end = |applied: &Value| {
        let ended = instance.told("DELETE", &format!("/control/fault/{}", applied["id"]), "");
        in_effect(&ended);
    };
    assert_eq!(instance.scrape().status, 200);

    let error = fault(json!({"kind": "scrape_error", "status": 418}));
    in_effect(&error);
    assert_eq!(instance.scrape().status, 418);
    assert_eq!(instance.scrape().status, 418);
    assert_eq!(instance.metrics("/healthz").status, 200);
    end(&error);
    assert_eq!(instance.scrape().status, 200);

    let delay = fault(json!({"kind": "scrape_delay", "delay_s": 0.4}));
    in_effect(&delay);
    let began = Instant::now();
    assert_eq!(instance.scrape().status, 200);
    assert!(began.elapsed() >= Duration::from_millis(400));
    end(&delay);

    let truncate = fault(json!({"kind": "scrape_truncate"}));
    in_effect(&truncate);
    for _ in 0..20 {
        let cut = instance.scrape();
        assert_eq!(cut.status, 200);
        assert!(cut.head.contains("Transfer-Encoding: chunked"));
        assert!(!cut.is_complete, "{}", cut.body);
    }
    end(&truncate);
    let whole = instance.scrape();
    assert!(whole.is_complete);
    assert!(
        whole
            .body
            .contains("gen_export_errors_total{exporter=\"prometheus\"} 22"),
        "{}",
        whole.body
    );

    // It ends with its last tick by itself.
    let short = fault(json!({"kind": "scrape_error", "duration_s": 0.2}));
    in_effect(&short);
    instance.wait_for_tick(short["until_tick"].as_u64().unwrap());
    assert_eq!(instance.scrape().status, 200);
}

#[test]
fn a_delayed_scrape_does_not_hold_up_the_end() {
    let mut instance = start();
    let delay = instance.told(
        "POST",
        "/control/fault",
        r#"{"kind": "scrape_delay", "delay_s": 3600}"#,
    );
    instance.wait_for_tick(delay["applies_at_tick"].as_u64().unwrap());
    let mut waiting = instance.connect_metrics();
    waiting
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    instance.stop();
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}

#[test]
fn a_reload_is_all_or_nothing() {
    let instance = start();
    let hits = |instance: &Instance| {
        instance
            .scrape()
            .body
            .lines()
            .find(|l| l.starts_with("hits_total{"))
            .unwrap()
            .to_owned()
    };
    assert!(!hits(&instance).is_empty());
    let before = instance.get("/config").json();

    let text = instance.config();
    instance.write(
        &text
            .replace("type: gauge", "type: gouge")
            .replace("lam: 2", "lam: -2"),
    );
    let refused = instance.ask("POST", "/control/reload", "{}");
    assert_eq!(refused.status, 422);
    let detail = refused.json()["detail"].clone();
    assert_eq!(detail.as_array().unwrap().len(), 2, "{detail}");
    let checked = run(&["check", "--json", &instance.path()], &[]);
    let checked: Vec<Value> = String::from_utf8(checked.stdout)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(detail, json!(checked), "the same messages as check");
    assert_eq!(instance.get("/config").json(), before);

    // What needs a restart stays, all else changes.
    let other = text
        .replace(
            "tick_interval_s: 0.05",
            "tick_interval_s: 0.5, seed: 99, log_level: error",
        )
        .replace("name: temp", "name: warmth")
        .replace("lam: 2", "lam: 3")
        .replace("prefix: ''", "prefix: 'x_'");
    instance.write(&other);
    let reloaded = instance.told("POST", "/control/reload", "{}");
    assert_eq!(reloaded["added"], json!(["warmth"]));
    assert_eq!(reloaded["removed"], json!(["temp"]));
    assert_eq!(reloaded["changed"], json!(["lat"]));
    assert_eq!(
        reloaded["kept"],
        json!(["hits", "sizes"]),
        "a new seed is for new metrics"
    );
    assert_eq!(
        reloaded["needs_restart"],
        json!([
            "global.tick_interval_s",
            "global.log_level",
            "exporters.prometheus",
        ])
    );
    instance.wait_for_tick(reloaded["applies_at_tick"].as_u64().unwrap());
    let body = instance.scrape().body;
    assert!(
        body.contains("\nwarmth{") && !body.contains("\ntemp{"),
        "{body}"
    );
    let config = instance.get("/config").json();
    assert_eq!(
        (
            &config["global"]["tick_interval_s"],
            &config["global"]["seed"]
        ),
        (&json!(0.05), &json!(99))
    );

    // SIGHUP does the same.
    instance.write(&text);
    instance.signal("HUP");
    wait_until("the signal reloads", || {
        instance.get("/config").json()["metrics"][1]["name"] == "temp"
    });
}

/// Limits that clients reach are seen where everything else of the process is.
#[test]
fn what_http_servers_refuse_is_counted() {
    let instance = start();
    for _ in 0..3 {
        let mut bad = std::net::TcpStream::connect(instance.control.as_str()).unwrap();
        bad.write_all(b"NONSENSE\r\n\r\n").unwrap();
        let mut answer = String::new();
        let _ = bad.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    let value = |name: &str, server: &str, reason: &str| -> f64 {
        let series = format!("{name}{{{reason}server=\"{server}\"}} ");
        let body = instance.scrape().body;
        let line = body.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap_or_else(|| panic!("no {series}: {body}"))
            .parse()
            .unwrap()
    };
    let bad = "reason=\"bad_request\",";
    wait_until("a tick shows it", || {
        value("gen_http_errors_total", "control", bad) >= 3.0
    });
    assert_eq!(value("gen_http_errors_total", "control", bad), 3.0);
    assert_eq!(value("gen_http_errors_total", "metrics", bad), 0.0);
    wait_until("a tick shows the scrapes before", || {
        value("gen_http_requests_total", "metrics", "") >= 1.0
    });
    assert!(value("gen_http_connections_total", "control", "") >= 3.0);
}

/// Until then metrics cannot have the names that it would make way for.
#[test]
fn another_prefix_of_self_metrics_needs_a_restart() {
    let instance = start();
    let text = instance.config();
    let prefixed = text.replace("global: {", "global: {self_metrics_prefix: own_, ");
    assert_ne!(prefixed, text);
    instance.write(&prefixed);
    let reloaded = instance.told("POST", "/control/reload", "{}");
    assert_eq!(
        reloaded["needs_restart"],
        json!(["global.self_metrics_prefix"])
    );
    instance.wait_for_tick(reloaded["applies_at_tick"].as_u64().unwrap());
    assert!(instance.scrape().body.contains("\ngen_ticks_total "));

    instance.write(&prefixed.replace("name: temp", "name: process_cpu_seconds"));
    let refused = instance.ask("POST", "/control/reload", "{}");
    assert_eq!(refused.status, 422);
    let error = refused.json()["error"].to_string();
    for part in [
        "global.self_metrics_prefix differs, which needs a restart",
        "process_cpu_seconds",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

/// Whatever becomes of its neighbours, a series goes on; the answer counts them.
#[test]
fn series_go_on_by_their_identity() {
    let instance = start();
    let value = |series: &str| -> Option<f64> {
        let body = instance.scrape().body;
        let mut lines = body.lines().filter_map(|line| line.split_once("} "));
        let found = lines.find(|(name, _)| *name == series.trim_end_matches('}'));
        found.map(|(_, value)| value.parse().unwrap())
    };
    let survivor = r#"hits_total{host="h1",region="b"}"#;
    wait_until("it counts", || value(survivor) >= Some(10.0));
    let before = value(survivor);
    let text = instance.config();
    instance.write(&text.replace("values: [a, b]", "values: [c, b]"));
    let reloaded = instance.told("POST", "/control/reload", "{}");
    let half = json!({"kept": 3, "began": 3, "ended": 3});
    let one = json!({"kept": 1, "began": 0, "ended": 0});
    assert_eq!(
        reloaded["series"],
        json!({"hits": half, "temp": half, "lat": one, "sizes": one})
    );
    let all = json!({"kept": 8, "began": 6, "ended": 6});
    assert_eq!(reloaded["all_series"], all);
    instance.wait_for_tick(reloaded["applies_at_tick"].as_u64().unwrap());
    assert!(value(survivor) >= before, "it goes on");
    let fresh = value(r#"hits_total{host="h1",region="c"}"#);
    assert!(fresh.is_some_and(|fresh| Some(fresh + 8.0) < value(survivor)));
    assert_eq!(value(r#"hits_total{host="h1",region="a"}"#), None);

    // A cap that is raised keeps what there was.
    let capped = |cap: u32| {
        let profile = format!("p: {{series_cap: {cap}, sampling_strategy: hash, labels:");
        instance.write(&text.replace("p: {labels:", &profile));
        instance.told("POST", "/control/reload", "{}")["series"]["hits"].clone()
    };
    let cut = capped(2);
    assert_eq!(
        cut["kept"].as_u64().unwrap() + cut["began"].as_u64().unwrap(),
        2
    );
    assert_eq!(capped(5), json!({"kept": 2, "began": 3, "ended": 0}));
    let journal = instance.get("/control/journal").body;
    assert!(journal.contains(r#""series":{"hits":{"#), "{journal}");
}

/// A seed that is named is the metric's own, also where it is the global one's value.
#[test]
fn a_named_seed_is_taken_as_named() {
    let instance = start();
    let text = instance.config();
    let seeded = |seed: u32| {
        let own = format!("name: temp, seed: {seed}");
        instance.write(&text.replace("name: temp", &own));
        let reloaded = instance.told("POST", "/control/reload", "{}");
        let metric = instance.get("/config").json()["metrics"][1]["seed"].clone();
        (reloaded["changed"].clone(), metric)
    };
    assert_eq!(seeded(7), (json!(["temp"]), json!(7)));
    assert_eq!(seeded(42), (json!(["temp"]), json!(42)));
    assert_eq!(seeded(42), (json!([]), json!(42)));
}

/// Exit code, and a word of what was printed.
#[track_caller]
fn check((code, text): (i32, String), code_expected: i32, word: &str) {
    assert!(
        code == code_expected && text.contains(word),
        "{code}: {text}"
    );
}

#[test]
fn the_document_tells_clients_what_is_taken() {
    let document = start().get("/openapi.json").json();
    assert_eq!(document["security"], json!([]));
    let mut ids = std::collections::BTreeSet::new();
    for operations in document["paths"].as_object().unwrap().values() {
        for operation in operations.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} twice");
        }
    }
    // Each kind of fault is of one form, which has the fields of that kind alone.
    let schemas = &document["components"]["schemas"];
    let forms = schemas["FaultRequest"]["oneOf"].as_array().unwrap().iter();
    let mut fields = std::collections::BTreeMap::new();
    for form in forms {
        let name = form["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        let properties = schemas[name]["properties"].as_object().unwrap();
        for kind in properties["kind"]["enum"].as_array().unwrap() {
            let mut names: Vec<&str> = properties.keys().map(String::as_str).collect();
            names.sort_unstable();
            let before = fields.insert(kind.as_str().unwrap().to_owned(), names);
            assert_eq!(before, None, "{kind}");
        }
    }
    assert_eq!(
        fields["nan"],
        ["duration_s", "kind", "labels", "metric", "rate"]
    );
    assert_eq!(
        fields["scrape_delay"],
        [
            "delay_s",
            "duration_s",
            "kind",
            "labels",
            "period_s",
            "rate",
            "target"
        ]
    );
    assert_eq!(
        fields["scrape_error"],
        [
            "duration_s",
            "kind",
            "labels",
            "period_s",
            "rate",
            "status",
            "target"
        ]
    );
    assert_eq!(fields["push_error"], ["duration_s", "kind", "rate"]);
    assert_eq!(fields.len(), 8);
}

#[test]
fn ctl_suggests_what_was_meant_and_ignores_an_empty_variable() {
    let instance = start();
    let url = format!("http://{}", instance.control);
    let ctl = |arguments: &[&str]| {
        let output = run(
            &[&["ctl", "--url", &url], arguments].concat(),
            &[("MOCKINGBIRD_URL", "")],
        );
        let text = String::from_utf8(output.stdout).unwrap()
            + std::str::from_utf8(&output.stderr).unwrap();
        (output.status.code().unwrap(), text)
    };
    // What scrapes show leads to the metric, a slip to the nearest one.
    for (name, meant) in [
        ("hitz", "hits"),
        ("lat_bucket", "lat"),
        ("otel_temp", "temp"),
    ] {
        let (code, text) = ctl(&["spike", name, "--multiplier", "2", "--duration", "60"]);
        assert_eq!(code, 2, "{text}");
        assert!(
            text.contains(&format!("did you mean \"{meant}\"?")),
            "{text}"
        );
        assert!(!text.contains("available"), "{text}");
    }
    check(ctl(&["scenario", "bda"]), 2, "did you mean \"bad\"?");
    let unset = run(
        &["ctl", "--url", &url, "status"],
        &[("MOCKINGBIRD_URL", "")],
    );
    assert_eq!(unset.status.code(), Some(0));
    let unset = run(&["ctl", "status"], &[("MOCKINGBIRD_URL", "")]);
    let text = String::from_utf8_lossy(&unset.stdout) + String::from_utf8_lossy(&unset.stderr);
    assert!(!text.contains("uri") && !text.contains("URI"), "{text}");
}

/// What `ctl` says of an instance: exit code, and all that it writes.
fn ctl(instance: &Instance, arguments: &[&str]) -> (i32, String) {
    let url = format!("http://{}", instance.control);
    let output = run(
        &[&["ctl"], arguments].concat(),
        &[("MOCKINGBIRD_URL", &url)],
    );
    let text =
        String::from_utf8(output.stdout).unwrap() + std::str::from_utf8(&output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

#[test]
fn ctl_reads_orders_for_entities() {
    let instance = start();
    let ctl = |arguments: &[&str]| ctl(&instance, arguments);
    let nobody = "no metric of a profile";
    let size = ["size", "p", "host", "1", "--label", "region=a"];
    check(ctl(&size), 2, nobody);
    let restart = |percent| ctl(&["restart", "p", "host", "--percent", percent]);
    check(restart("20%"), 2, nobody);
    check(restart("20 of 100"), 2, "20%");
}

#[test]
fn ctl_drives_it() {
    let instance = start();
    let ctl = |arguments: &[&str]| ctl(&instance, arguments);
    check(ctl(&["status"]), 0, "nothing is in effect");
    check(
        ctl(&[
            "spike",
            "hits",
            "--multiplier",
            "2",
            "--duration",
            "60",
            "--label",
            "region=a",
        ]),
        0,
        "(id 1)",
    );
    check(
        ctl(&["error-rate", "lat", "--rate", "0.5", "--duration", "60"]),
        0,
        "(id 2)",
    );
    check(
        ctl(&["fault", "scrape_error", "--status", "500", "--rate", "0"]),
        0,
        "until it is ended (id 3)",
    );
    check(ctl(&["scenario", "bad"]), 0, "started");
    check(ctl(&["scenario", "bad"]), 0, "runs already");
    check(ctl(&["status"]), 0, "hits{region=\"a\"}");
    check(ctl(&["fault", "--end", "3"]), 0, "ended 1");
    check(ctl(&["fault", "--end", "3"]), 2, "no fault 3");
    check(ctl(&["scenario", "bad", "--stop"]), 0, "ended");
    check(ctl(&["spike", "--end", "hits"]), 0, "ended 1");
    check(ctl(&["error-rate", "--end", "lat"]), 0, "ended 1");
    let (code, text) = ctl(&["reload"]);
    let series = "series  kept  began  ended\nall       14      0      0\n";
    check((code, text.clone()), 0, "hits, temp, lat, sizes");
    check((code, text), 0, series);
    check(ctl(&["loglevel", "warning"]), 0, "warn");
    check(ctl(&["loglevel", "debug"]), 0, "debug");
    check(ctl(&["loglevel", "loud"]), 2, "trace");
    check(
        ctl(&[
            "series", "--metric", "hits", "--match", "region=a", "--limit", "2",
        ]),
        0,
        "2 series",
    );
    check(
        ctl(&["spike", "nope", "--multiplier", "2", "--duration", "60"]),
        2,
        "available: hits",
    );
    check(ctl(&["spike", "hits"]), 2, "--multiplier");
    check(
        ctl(&["--url", "http://127.0.0.1:1", "status"]),
        1,
        "is it running",
    );
    check(ctl(&["--url", "nonsense", "status"]), 2, "--url");
    let (_, journal) = ctl(&["journal"]);
    let events: Vec<String> = journal
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["event"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        events,
        [
            "start",
            "spike",
            "error_rate",
            "fault",
            "scenario",
            "end_fault",
            "end_scenario",
            "end_spike",
            "end_error_rate",
            "reload",
            "loglevel",
            "loglevel",
            "copied",
        ]
    );
    let status = ctl(&["status", "--json"]).1;
    assert!(serde_json::from_str::<Value>(&status).unwrap()["tick_count"].is_u64());
}

#[test]
fn a_journal_that_cannot_be_written_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("no/such/journal");
    let text = Instance::text(&format!("journal_file: {}", file.display()), METRICS);
    let path = folder.path().join("c.yaml");
    std::fs::write(&path, text).unwrap();
    let output = run(&["--config", path.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("global.journal_file: cannot write"),
        "{message}"
    );
}

#[test]
fn dump_takes_a_journal() {
    let mut instance = start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let path = path.to_str().unwrap();
    let spike = instance.told(
        "POST",
        "/control/spike",
        r#"{"metric": "hits", "multiplier": 5, "duration_s": 1000}"#,
    );
    let from = spike["applies_at_tick"].as_u64().unwrap();
    // A copy tells how far the run was.
    instance.wait_for_tick(from + 1);
    let mut journal = instance.get("/control/journal").body;
    instance.stop();
    std::fs::write(path, &journal).unwrap();
    let (before, after) = ((from - 1).to_string(), (from + 1).to_string());
    let dump = |arguments: &[&str]| run(&[&["dump", "--journal", path], arguments].concat(), &[]);
    let value = |tick: &str| {
        let output = dump(&["--tick", tick, "--metric", "hits"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("hits_total{"))
            .unwrap();
        line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
    };
    // 0.5 a tick, then five times that.
    assert_eq!(value(&after) - value(&before), 5.0);
    for format in ["openmetrics", "otlp", "otlp-json"] {
        let output = dump(&["--tick", &after, "--format", format]);
        assert!(
            output.status.success() && !output.stdout.is_empty(),
            "{format}"
        );
    }
    // A line that was being written when the process was killed.
    journal.push_str("{\"tick\":");
    std::fs::write(path, &journal).unwrap();
    let torn = dump(&["--tick", "0"]);
    assert!(torn.status.success());
    assert!(
        String::from_utf8(torn.stderr)
            .unwrap()
            .contains("incomplete")
    );
    // Another configuration is not mixed in.
    let other = folder.path().join("other.yaml");
    std::fs::write(&other, Instance::text("seed: 7", METRICS)).unwrap();
    let warned = dump(&["--tick", "0", "--config", other.to_str().unwrap()]);
    assert!(warned.status.success());
    assert!(
        String::from_utf8(warned.stderr)
            .unwrap()
            .contains("another configuration")
    );
    journal = journal.replace("\"event\":\"spike\"", "\"event\":\"spork\"");
    std::fs::write(path, &journal).unwrap();
    let refused = dump(&["--tick", "0"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        String::from_utf8(refused.stderr)
            .unwrap()
            .contains(":2: no event \"spork\"")
    );
}

#[test]
fn an_open_port_without_a_token_is_warned_about() {
    for (fields, expected) in [
        ("control_api_bind: 0.0.0.0", true),
        (
            "control_api_bind: 0.0.0.0, control_api_token: x2345678",
            false,
        ),
        ("seed: 1", false),
    ] {
        let mut instance = Instance::start(fields, METRICS);
        let warned = instance.stop().contains("without a token");
        assert_eq!(warned, expected, "{fields}");
    }
}
