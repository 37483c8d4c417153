//! Several processes of one run: what `ctl` does to them is done at all, at one tick, or at none.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::instance::{Instance, run, wait_until};
use crate::{METRICS, check};

/// Processes of a run that began some seconds ago.
fn processes(count: usize) -> Vec<Instance> {
    let fields = format!("tick_interval_s: 0.1, {}", epoch());
    let all = 0..count;
    all.map(|_| Instance::start(&fields, METRICS)).collect()
}

fn epoch() -> String {
    let now = jiff::Timestamp::now().as_second();
    let epoch = jiff::Timestamp::from_second(now - 5).unwrap();
    format!("epoch: \"{epoch}\"")
}

/// Exit code, and all that `ctl` writes about some control APIs.
fn ctl(controls: &[&str], arguments: &[&str]) -> (i32, String) {
    let urls: Vec<&str> = controls
        .iter()
        .flat_map(|control| ["--url", control])
        .collect();
    output(&[&["ctl"], urls.as_slice(), arguments].concat())
}

fn output(arguments: &[&str]) -> (i32, String) {
    let output = run(arguments, &[]);
    let text =
        String::from_utf8(output.stdout).unwrap() + std::str::from_utf8(&output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

fn controls(instances: &[Instance]) -> Vec<&str> {
    instances.iter().map(|one| one.control.as_str()).collect()
}

/// What was done to a process, by its journal.
fn done(instance: &Instance) -> Vec<Value> {
    let journal = instance.get("/control/journal").body;
    let entries = journal
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let own = ["start", "caught_up", "copied"];
    let is_done = |entry: &Value| !own.contains(&entry["event"].as_str().unwrap());
    entries.filter(is_done).collect()
}

#[test]
fn what_is_done_is_done_to_all_at_one_tick() {
    let all = processes(3);
    let controls = controls(&all);
    let ctl = |arguments: &[&str]| ctl(&controls, arguments);
    let spike = ["spike", "hits", "--multiplier", "2", "--duration", "60"];
    let (code, text) = ctl(&spike);
    assert!(
        code == 0 && text.starts_with("3 instances: acts from tick "),
        "{text}"
    );
    check(ctl(&["fault", "stale", "--rate", "0.5"]), 0, "(id 2)");
    check(ctl(&["fault", "--end", "2"]), 0, "3 instances: ended 1");
    check(ctl(&["scenario", "bad"]), 0, "3 instances: started");
    check(
        ctl(&["loglevel", "debug"]),
        0,
        "3 instances: log level debug",
    );
    for one in &all {
        one.write(&one.config().replace("base_rate: 10", "base_rate: 20"));
    }
    check(
        ctl(&["reload", "--ahead", "3s"]),
        0,
        "3 instances:\nreloaded from tick ",
    );
    let (code, text) = ctl(&["spike", "--end", "hits", "--json"]);
    assert_eq!(code, 0, "{text}");
    let told: Value = serde_json::from_str(&text).unwrap();
    for (one, url) in told.as_array().unwrap().iter().zip(&controls) {
        assert_eq!(one["url"], format!("http://{url}"));
        let scheduled = &one["scheduled"];
        assert_eq!(scheduled["state"], "done", "{text}");
        assert_eq!(scheduled["answer"]["applies_at_tick"], scheduled["at_tick"]);
    }
    let first = done(&all[0]);
    let events: Vec<&str> = first
        .iter()
        .map(|entry| entry["event"].as_str().unwrap())
        .collect();
    let expected = [
        "spike",
        "fault",
        "end_fault",
        "scenario",
        "loglevel",
        "reload",
        "end_spike",
    ];
    assert_eq!(events, expected);
    // The configurations that a reload's entry has name ports and files of their own.
    let shared = |entries: Vec<Value>| -> Vec<Value> {
        let entries = entries.into_iter();
        let shared = entries.map(|mut entry| {
            entry.as_object_mut().unwrap().remove("config");
            entry
        });
        shared.collect()
    };
    let first = shared(first);
    for one in &all[1..] {
        assert_eq!(shared(done(one)), first);
    }
}

#[test]
fn what_one_refuses_is_done_nowhere() {
    let all = processes(3);
    let controls = controls(&all);
    let ctl = |arguments: &[&str]| ctl(&controls, arguments);
    check(ctl(&["fault", "stale", "--rate", "0.5"]), 0, "(id 1)");
    // Somebody asked one of them alone.
    all[1].told("DELETE", "/control/fault/1", "");
    let before: Vec<_> = all.iter().map(done).collect();
    let (code, text) = ctl(&["fault", "--end", "1"]);
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains(&format!("http://{}: no fault 1", controls[1])),
        "{text}"
    );
    assert!(
        !text.contains(controls[0]) && !text.contains(controls[2]),
        "{text}"
    );
    assert!(
        text.contains("nothing is done at any of the 3 instances"),
        "{text}"
    );
    // A mistake is one everywhere.
    let (code, text) = ctl(&["spike", "nope", "--multiplier", "2", "--duration", "60"]);
    assert!(
        code == 2 && text.matches("no metric \"nope\"").count() == 3,
        "{text}"
    );
    for one in &all {
        let status = one.get("/status").json();
        assert_eq!(status["scheduled"], json!([]), "cancelled at once");
        one.wait_for_tick(status["tick_count"].as_u64().unwrap() + 30);
    }
    assert_eq!(all.iter().map(done).collect::<Vec<_>>(), before);
}

#[test]
fn a_dead_one_and_one_of_another_run_are_named() {
    let mut all = processes(2);
    let seeded = "tick_interval_s: 0.1, seed: 7";
    let other = Instance::start(&format!("{seeded}, {}", epoch()), METRICS);
    let others = [all[0].control.as_str(), &all[1].control, &other.control];
    let spike = ["spike", "hits", "--multiplier", "2", "--duration", "60"];
    let (code, text) = ctl(&others, &spike);
    let odd = format!(
        "http://{} is of another run: its configuration is ",
        other.control
    );
    assert!(code == 2 && text.contains(&odd), "{text}");
    let (code, text) = ctl(&others, &["status"]);
    assert!(code == 0 && text.contains(&odd), "{text}");
    // By two names it is still one.
    let port = all[0].control.rsplit_once(':').unwrap().1;
    let (code, text) = ctl(&[&all[0].control, &format!("localhost:{port}")], &spike);
    assert!(
        code == 2 && text.contains("are the same instance"),
        "{text}"
    );
    check(
        ctl(&others, &["journal"]),
        2,
        "each instance has one of its own",
    );

    all[1].stop();
    let both = [all[0].control.as_str(), &all[1].control];
    let dead = format!("http://{}: ", all[1].control);
    let (code, text) = ctl(&both, &spike);
    assert!(code == 1 && text.contains(&dead), "{text}");
    assert!(
        text.contains("nothing is done at any of the 2 instances"),
        "{text}"
    );
    let (code, text) = ctl(&both, &["status"]);
    assert!(
        code == 1 && text.contains(&dead) && text.contains("not reached"),
        "{text}"
    );
    let (code, text) = ctl(&both, &["status", "--json"]);
    let list = text.lines().next().unwrap();
    let list: Value = serde_json::from_str(list).unwrap();
    assert_eq!(code, 1);
    assert!(
        list[0]["status"]["tick_count"].is_u64() && list[1]["error"].is_string(),
        "{list}"
    );
    assert_eq!(done(&all[0]), [Value::Null; 0]);
}

/// An instance that holds what it is told, and then cannot be told to do it. Returns where it
/// is, and the requests that it got.
fn unreliable(model: &Instance) -> (String, Arc<Mutex<Vec<String>>>) {
    let mut status = model.get("/status").json();
    status["instance"] = "unreliable:1".into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let asked = Arc::clone(&seen);
    let answer = move |mut stream: TcpStream| {
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let (mut head, mut line) = (String::new(), String::new());
        while lines.read_line(&mut line).unwrap() > 2 {
            head += &std::mem::take(&mut line);
        }
        let head = head.to_lowercase();
        let length = head.split_once("content-length: ");
        let length = length.map_or(0, |(_, rest)| rest.lines().next().unwrap().parse().unwrap());
        lines.take(length).read_to_end(&mut Vec::new()).unwrap();
        let place = head.split(" http/1.1").next().unwrap().to_owned();
        let (status, body) = match place.as_str() {
            "get /status" => (200, status.to_string()),
            place if place.contains("at_tick=") => (202, json!({"id": 5}).to_string()),
            place if place.starts_with("post ") => (503, json!({"error": "stopping"}).to_string()),
            _ => (200, "{}".to_owned()),
        };
        asked.lock().unwrap().push(place);
        let length = body.len();
        let head = format!("HTTP/1.1 {status} S\r\nContent-Length: {length}\r\n");
        let _ = write!(stream, "{head}Connection: close\r\n\r\n{body}");
    };
    std::thread::spawn(move || listener.incoming().flatten().for_each(answer));
    (address, seen)
}

/// Whoever has confirmed takes it back when another one does not.
#[test]
fn what_one_does_not_confirm_is_done_nowhere() {
    let all = processes(2);
    let (address, seen) = unreliable(&all[0]);
    let three = [all[0].control.as_str(), &all[1].control, &address];
    let spike = ["spike", "hits", "--multiplier", "2", "--duration", "60"];
    let (code, text) = ctl(&three, &spike);
    assert!(
        code == 1 && text.contains(&format!("http://{address}: stopping")),
        "{text}"
    );
    assert!(
        text.contains("nothing is done at any of the 3 instances"),
        "{text}"
    );
    let asked = seen.lock().unwrap().clone();
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert_eq!(
        asked[2..],
        ["post /control/scheduled/5", "delete /control/scheduled/5"]
    );
    for one in &all {
        let became = one.told("GET", "/control/scheduled/1", "");
        assert_eq!(became["state"], "cancelled", "{became}");
        one.wait_for_tick(became["at_tick"].as_u64().unwrap());
        assert_eq!(done(one), [Value::Null; 0]);
    }
}

#[test]
fn discovery_tells_where_they_are() {
    let fields = format!("tick_interval_s: 0.1, {}", epoch());
    let start = |targets: &str| {
        let page = "port: 0, bind_address: 127.0.0.1, prefix: ''";
        let text = Instance::text(&fields, METRICS).replace(page, &format!("{page}{targets}"));
        Instance::start_text(&text)
    };
    let all: Vec<Instance> = (0..2).map(|_| start(", targets: {by: [host]}")).collect();
    let sd: Vec<String> = all
        .iter()
        .map(|one| format!("http://{}/sd", one.metrics))
        .collect();
    let group = all[0].metrics("/sd").json()[0].clone();
    let port = all[0].control.rsplit_once(':').unwrap().1;
    assert_eq!(
        group["labels"]["__meta_mockingbird_control"],
        format!("localhost:{port}")
    );
    let from = ["--urls-from", &sd[0], "--urls-from", &sd[1]];
    let (code, text) = output(&[&["ctl"], &from[..], &["status"]].concat());
    assert_eq!(code, 0, "{text}");
    assert_eq!(text.lines().count(), 3, "{text}");
    for (line, one) in text.lines().skip(1).zip(&all) {
        assert!(
            line.starts_with(&format!("http://{} ", one.control)),
            "{text}"
        );
        assert!(line.contains(" 14 "), "{text}");
    }
    let (code, text) = output(
        &[
            &["ctl"],
            &from[..],
            &["error-rate", "lat", "--rate", "1", "--duration", "60"],
        ]
        .concat(),
    );
    assert!(
        code == 0 && text.starts_with("2 instances: acts from tick"),
        "{text}"
    );
    assert_eq!(done(&all[0]), done(&all[1]));
    assert_eq!(done(&all[0]).len(), 1);
    let (_, series) = output(&[&["ctl"], &from[..], &["series", "--limit", "1"]].concat());
    assert_eq!(series.matches("1 series at tick").count(), 2, "{series}");

    let none = start("");
    let nowhere = format!("http://{}/sd", none.metrics);
    let refused = output(&["ctl", "--urls-from", &nowhere, "status"]);
    check(refused, 1, "exporters.prometheus.targets makes them");
    wait_until("it is there", || none.get("/healthz").status == 200);
}
