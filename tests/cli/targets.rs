//! Targets: their pages, `/sd`, and what `targets` and `plan` tell of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Running, mockingbird, stderr, stdout};

/// A fleet that does not change, a metric without its labels, and one with more than it.
const STILL: &str = "profiles: {p: {labels: {pod: [a, b/c, d], zone: [x, y], code: ['200', '500']}}}\n\
    metrics:\n\
    - {name: hits, profile: p, type: counter, algorithm: constant, base_rate: 1}\n\
    - {name: load, profile: p, without: [code], type: gauge, algorithm: constant, start: 1}\n\
    - {name: alone, type: gauge, algorithm: constant, start: 1}";
/// A tick for the whole test: scrapes that follow one another show the same.
const ONE_TICK: &str = "tick_interval_s: 600";

/// Status and body of an answer.
fn answer(running: &Running, path: &str) -> (u16, String) {
    let answer = running.get(path, "");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[track_caller]
pub(crate) fn good(running: &Running, path: &str) -> String {
    let (status, body) = answer(running, path);
    assert_eq!(status, 200, "{path}: {body}");
    body
}

/// The groups that `/sd` lists: label by name of each, in order.
pub(crate) fn groups(document: &str) -> Vec<BTreeMap<String, String>> {
    let document: Value = serde_json::from_str(document).unwrap();
    let group = |group: &Value| {
        // Prometheus refuses a document with any other key.
        assert_eq!(group.as_object().unwrap().len(), 2, "{group}");
        assert_eq!(group["targets"].as_array().unwrap().len(), 1, "{group}");
        let labels: BTreeMap<String, String> =
            serde_json::from_value(group["labels"].clone()).unwrap();
        labels
    };
    document.as_array().unwrap().iter().map(group).collect()
}

fn ids(document: &str) -> Vec<String> {
    let groups = groups(document).into_iter();
    groups
        .map(|mut group| group.remove("instance").unwrap())
        .collect()
}

/// The lines of generated metrics; on pages the process's own ones tell their target.
pub(crate) fn lines(body: &str) -> BTreeSet<String> {
    let lines = body.lines().filter(|line| {
        let own = ["# ", "gen_", "process_"];
        !own.iter().any(|own| line.starts_with(own))
    });
    lines.map(str::to_owned).collect()
}

#[test]
fn pages_together_are_the_whole() {
    let running = Running::start_with("targets: {by: [zone, pod]}", ONE_TICK, STILL);
    let document = good(&running, "/sd");
    let expected = ["x,a", "x,b~2Fc", "x,d", "y,a", "y,b~2Fc", "y,d", "~,~"];
    assert_eq!(ids(&document), expected);
    let mut union = BTreeSet::new();
    for group in groups(&document) {
        let id = &group["instance"];
        assert_eq!(group["__metrics_path__"], format!("/targets/{id}/metrics"));
        assert_eq!(&group["__meta_mockingbird_target"], id);
        assert!(!group.contains_key("pod"), "lines have it: {group:?}");
        let page = good(&running, &group["__metrics_path__"]);
        let page_lines = lines(&page);
        let series: usize = group["__meta_mockingbird_series"].parse().unwrap();
        assert_eq!(page_lines.len(), series, "{id}");
        for (label, name) in [("pod", "pod"), ("zone", "zone")] {
            match group.get(&format!("__meta_mockingbird_label_{label}")) {
                Some(value) => {
                    let label = format!("{name}=\"{value}\"");
                    assert!(
                        page_lines.iter().all(|line| line.contains(&label)),
                        "{page}"
                    );
                }
                None => assert_eq!(page_lines, BTreeSet::from(["alone 1".to_owned()])),
            }
        }
        assert!(
            page.contains(&format!("gen_ticks_total{{target=\"{id}\"}} ")),
            "{page}"
        );
        let before = union.len();
        union.extend(page_lines);
        assert_eq!(union.len(), before + series, "a line is on two pages");
    }
    assert_eq!(union, lines(&good(&running, "/metrics")));

    // Scrapes of pages are counted as others are, and negotiate as they do.
    let page = running.get(
        "/targets/x,a/metrics?name[]=load",
        "Accept: application/openmetrics-text;version=1.0.0\r\n",
    );
    assert!(page.contains("openmetrics-text; version=1.0.0"), "{page}");
    assert!(page.contains("\r\nContent-Length: "), "{page}");
    assert!(
        page.ends_with("load{pod=\"a\",zone=\"x\"} 1\n# EOF\n"),
        "{page}"
    );
    let gzip = running.get("/targets/x,a/metrics", "Accept-Encoding: gzip\r\n");
    assert!(gzip.contains("\r\nContent-Encoding: gzip\r\n"));
    // A client may encode what need not be.
    assert_eq!(lines(&good(&running, "/targets/x%2Ca/metrics")).len(), 3);
}

#[test]
fn discovery_is_narrowed_and_says_what_it_does_not_know() {
    let running = Running::start_with("targets: {by: [pod]}", ONE_TICK, STILL);
    assert_eq!(ids(&good(&running, "/sd?match=pod%3Dd")), ["d"]);
    assert_eq!(ids(&good(&running, "/sd?match=pod=b/c")), ["b~2Fc"]);
    assert_eq!(ids(&good(&running, "/sd?match=pod=")), ["~"]);
    assert!(ids(&good(&running, "/sd?match=pod=d&match=pod=a")).is_empty());
    for (query, part) in [
        ("match=code=200", "the label \"code\"; they are by: pod"),
        ("match=pod", "expected NAME=VALUE, found \"pod\""),
        ("mach=pod=a", "unknown parameter \"mach\""),
        ("match=%zz", "percent-encoding"),
    ] {
        let (status, text) = answer(&running, &format!("/sd?{query}"));
        assert!(
            status == 400 && text.contains(part),
            "{query}: {status} {text}"
        );
    }
    for path in [
        "/targets/x/metrics",
        "/targets//metrics",
        "/targets/B~2FC/metrics",
    ] {
        let (status, text) = answer(&running, path);
        assert!(
            status == 404 && text.contains("no such target"),
            "{path}: {text}"
        );
    }
    for path in ["/targets/a", "/targets/a/", "/targets", "/sd/"] {
        assert_eq!(answer(&running, path).0, 404, "{path}");
    }
    // The address is the one that the client asked.
    let document: Value = serde_json::from_str(&good(&running, "/sd")).unwrap();
    assert_eq!(document[0]["targets"], serde_json::json!(["localhost"]));
    assert!(good(&running, "/").contains("4 targets"));

    let without = Running::start("", STILL);
    for path in ["/sd", "/targets/a/metrics"] {
        let (status, text) = answer(&without, path);
        assert!(
            status == 404 && text.contains("exporters.prometheus.targets"),
            "{text}"
        );
    }
}

#[test]
fn labels_of_targets_may_come_from_discovery_alone() {
    let page = "targets: {by: [pod], in_body: false, whole: false}";
    let running = Running::start_with(page, ONE_TICK, STILL);
    let document = good(&running, "/sd");
    let all = groups(&document);
    assert_eq!(all[1]["pod"], "b/c");
    assert_eq!(all[1]["__meta_mockingbird_label_pod"], "b/c");
    let body = good(&running, "/targets/b~2Fc/metrics");
    assert!(
        body.contains("\nhits_total{code=\"200\",zone=\"x\"} "),
        "{body}"
    );
    assert!(!body.contains("pod="), "{body}");
    // What remains of the page of everything are the process's own metrics.
    let whole = good(&running, "/metrics");
    assert!(lines(&whole).is_empty(), "{whole}");
    assert!(whole.contains("\ngen_ticks_total ") && whole.contains("\nprocess_cpu_"));
}

#[test]
fn series_are_spread_among_targets_by_identity() {
    let metrics = "metrics: [{name: hits, type: gauge, algorithm: constant, start: 1, \
                   labels: {user: {range: [1, 1000]}}}]";
    let running = Running::start_with("targets: {count: 7}", ONE_TICK, metrics);
    let document = good(&running, "/sd");
    assert_eq!(ids(&document), ["0", "1", "2", "3", "4", "5", "6"]);
    let mut union = BTreeSet::new();
    for id in 0..7 {
        let page = lines(&good(&running, &format!("/targets/{id}/metrics")));
        assert!((80..200).contains(&page.len()), "{}", page.len());
        union.extend(page);
    }
    assert_eq!(union.len(), 1000);
    assert_eq!(union, lines(&good(&running, "/metrics")));
    let (status, text) = answer(&running, "/sd?match=user=1");
    assert!(status == 400 && text.contains("by count"), "{text}");
}

#[test]
fn a_replaced_pods_page_ends_and_its_successors_begins() {
    let metrics = "profiles:\n\
        \x20 p:\n\
        \x20   labels: {pod: {range: [1, 4], fmt: 'pod{}-{id:5}'}}\n\
        \x20   churn: [{mode: replace, label: pod, lifetime: 2s}]\n\
        metrics: [{name: hits, profile: p, type: counter, algorithm: constant, base_rate: 1}]";
    let running = Running::start_with("targets: {by: [pod]}", "tick_interval_s: 0.2", metrics);
    let first = ids(&good(&running, "/sd"));
    assert_eq!(first.len(), 4);
    let deadline = Instant::now() + Duration::from_secs(60);
    let gone = loop {
        let status = |id: &&String| answer(&running, &format!("/targets/{id}/metrics")).0;
        if let Some(gone) = first.iter().find(|id| status(id) == 404) {
            break gone;
        }
        assert!(Instant::now() < deadline, "nobody was replaced");
        std::thread::sleep(Duration::from_millis(50));
    };
    let slot = format!("{}-", gone.split_once('-').unwrap().0);
    let successor = || {
        let now = ids(&good(&running, "/sd"));
        assert!(now.len() == 4 && !now.contains(gone), "{now:?}");
        let successor = now.into_iter().find(|id| id.starts_with(&slot)).unwrap();
        // It may be replaced as well before it is asked for.
        let (status, body) = answer(&running, &format!("/targets/{successor}/metrics"));
        (status == 200).then_some((successor, body))
    };
    let (successor, body) = successor().or_else(successor).or_else(successor).unwrap();
    assert_ne!(&successor, gone);
    let line = format!("\nhits_total{{pod=\"{successor}\"}} ");
    assert!(body.contains(&line), "{body}");
}

/// A configuration with targets in a file.
fn write(folder: &tempfile::TempDir, page: &str, metrics: &str) -> String {
    let path = folder.path().join("fleet.yaml");
    let text = format!(
        "exporters: {{prometheus: {{port: 8123, {page}}}, otel: {{enabled: false}}}}\n{metrics}\n"
    );
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_command_lists_what_an_instance_would() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "targets: {by: [pod]}", STILL);
    let listed = mockingbird(&["targets", &path]);
    assert_eq!(
        ids(stdout(&listed)),
        ["a", "b~2Fc", "d", "~"],
        "{}",
        stderr(&listed)
    );
    let running = Running::start_with("targets: {by: [pod]}", ONE_TICK, STILL);
    let file = [
        "targets",
        &path,
        "--format",
        "file_sd",
        "--address",
        "localhost",
    ];
    // A port is needed: Prometheus would take 80.
    assert_eq!(mockingbird(&file).status.code(), Some(2));
    let file = [&file[..5], &["h:1"]].concat();
    let expected = good(&running, "/sd").replace("\"localhost\"", "\"h:1\"");
    // The file names no port of the control API, and nobody elsewhere reaches it.
    let control = groups(&expected)[0]["__meta_mockingbird_control"].clone();
    let control = format!("\"__meta_mockingbird_control\":\"{control}\",");
    assert_eq!(expected.matches(&control).count(), 4);
    let expected = expected.replace(&control, "");
    assert_eq!(stdout(&mockingbird(&file)), expected);
    // Its defaults are those of a machine that is asked from itself.
    let usual = std::fs::read_to_string(&path).unwrap();
    let usual = usual.replace("control_api_port: 0, ", "");
    std::fs::write(folder.path().join("usual.yaml"), usual).unwrap();
    let usual = folder.path().join("usual.yaml").display().to_string();
    for (address, expected) in [("localhost:1", Some("localhost:8081")), ("h:1", None)] {
        let listed = mockingbird(&["targets", &usual, "--address", address]);
        let first = groups(stdout(&listed)).remove(0);
        let control = first.get("__meta_mockingbird_control");
        assert_eq!(control.map(String::as_str), expected, "{address}");
    }

    let table = mockingbird(&["targets", &path, "--format", "table", "--match", "pod=d"]);
    assert_eq!(
        stdout(&table),
        "target     series\nd               6\n1 targets       6\n"
    );
    let config = mockingbird(&[
        "targets",
        &path,
        "--format",
        "prometheus",
        "--match",
        "pod=b/c",
    ]);
    let config: serde_yaml::Value = serde_yaml::from_str(stdout(&config)).unwrap();
    let job = &config["scrape_configs"][0];
    assert_eq!(job["scrape_interval"], "1s");
    let url = "http://localhost:8123/sd?match=pod%3Db%2Fc";
    assert_eq!(job["http_sd_configs"][0]["url"], url);

    let unknown = mockingbird(&["targets", &path, "--match", "zone=x"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("--match: no targets are made by the label \"zone\""));
    let plan = mockingbird(&["plan", "--json", &path]);
    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
    let expected = serde_json::json!(
        {"count": 4, "series_least": 1, "series_mean": 4.75, "series_most": 6}
    );
    assert_eq!(plan["targets"], expected);
    let plan = mockingbird(&["plan", &path]);
    let text = "targets                4 at first, with 1 to 6 series each, 4.8 on average\n";
    assert!(stdout(&plan).contains(text), "{}", stdout(&plan));

    let none = write(&folder, "prefix: ''", STILL);
    let none = mockingbird(&["targets", &none]);
    assert_eq!(none.status.code(), Some(2));
    assert!(stderr(&none).contains("no targets are configured"));
}

#[test]
fn the_command_knows_who_is_there_at_a_tick() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = "profiles:\n\
        \x20 p:\n\
        \x20   labels: {pod: {range: [1, 4], fmt: 'pod{}-{id:5}'}}\n\
        \x20   churn: [{mode: replace, label: pod, lifetime: 2s}]\n\
        metrics: [{name: hits, profile: p, type: counter, algorithm: constant, base_rate: 1}]";
    let path = write(&folder, "prefix: '', targets: {by: [pod]}", metrics);
    let listed = |tick| ids(stdout(&mockingbird(&["targets", &path, "--tick", tick])));
    let dumped = |tick| {
        let dump = mockingbird(&["dump", "--config", &path, "--tick", tick]);
        let lines = stdout(&dump).lines().filter(|line| !line.starts_with('#'));
        let pod = |line: &str| line.split('"').nth(1).unwrap().to_owned();
        let mut pods: Vec<String> = lines.map(pod).collect();
        pods.sort();
        pods
    };
    for tick in ["0", "1", "50"] {
        assert_eq!(listed(tick), dumped(tick), "tick {tick}");
    }
    assert_ne!(listed("0"), listed("50"));
}

#[test]
fn faults_of_scrapes_strike_pages() {
    let with = |fault: &str| {
        let metrics = format!("{STILL}\nruntime: {{failure_modes: [{fault}]}}");
        Running::start_with("targets: {by: [pod]}", ONE_TICK, &metrics)
    };
    let running = with("{kind: scrape_error, status: 418}");
    let (status, text) = answer(&running, "/targets/a/metrics");
    assert!(status == 418 && text.contains("scrape_error"), "{text}");
    // Discovery is not a scrape.
    assert_eq!(ids(&good(&running, "/sd")).len(), 4);

    let running = with("{kind: scrape_truncate}");
    for _ in 0..20 {
        let mut stream = running.connect().unwrap();
        let request = "GET /targets/a/metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(
            answer.contains("\r\nTransfer-Encoding: chunked\r\n"),
            "{answer}"
        );
        assert!(
            !answer.ends_with("\r\n0\r\n\r\n"),
            "it is complete: {answer}"
        );
    }
}

#[test]
fn a_head_tells_what_a_page_would_be() {
    let running = Running::start_with("targets: {by: [pod]}", ONE_TICK, STILL);
    for (path, status) in [
        ("/targets/a/metrics", "200"),
        ("/targets/nobody/metrics", "404"),
        ("/sd", "200"),
    ] {
        let mut stream = running.connect().unwrap();
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.ends_with("\r\n\r\n"), "a body: {answer}");
    }
}
