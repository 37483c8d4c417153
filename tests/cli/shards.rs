//! Shards of a run: together they print, list, write and serve what the whole does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::targets::{good, groups, lines};
use crate::{BINARY, Running, mockingbird, stderr, stdout, write_config};

const FLEET: &str = "profiles:
  fleet:
    labels:
      namespace: [shop, media]
      app: {values: [web, db], fmt: '{namespace}-{}'}
      pod: {range: [1, 5], fmt: '{app}-{id:5}'}
      node: {of: pod, range: [1, 3], fmt: 'node-%02d'}
      path: {/x: 3, /y: 1}
    zipf_alpha: 0.7
    churn: [{mode: replace, label: pod, lifetime: 30s}]
metrics:
  - {name: requests, type: counter, algorithm: poisson, base_rate: 30, profile: fleet}
  - {name: latency, type: histogram, algorithm: exponential, lam: 2, buckets: [0.1, 1],
     observations_of: requests, profile: fleet}
  - {name: up, type: gauge, algorithm: constant, start: 1, profile: fleet, without: [path]}
  - {name: users, type: counter, algorithm: poisson, base_rate: 3,
     labels: {user: {range: [1, 40]}}}
  - {name: alone, type: gauge, algorithm: random_walk, step: 1}
";

fn write(folder: &Path, page: &str) -> String {
    let path = write_config(folder, 8123, (page, "epoch: '2026-01-01T00:00:00Z'", FLEET));
    path.to_str().unwrap().to_owned()
}

/// With the environment of a process that is one of several.
fn as_pod(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_remove("LOG_LEVEL");
    command.envs(variables.iter().copied()).output().unwrap()
}

fn print(arguments: &[&str]) -> String {
    let output = mockingbird(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        stderr(&output)
    );
    stdout(&output).to_owned()
}

/// The lines of samples, sorted, and what stands between them, once.
fn sorted(bodies: &[String]) -> (Vec<&str>, BTreeSet<&str>) {
    let all = bodies.iter().flat_map(|body| body.lines());
    let (heads, mut samples): (Vec<&str>, Vec<&str>) = all.partition(|line| line.starts_with('#'));
    samples.sort_unstable();
    (samples, heads.into_iter().collect())
}

#[test]
fn dumps_of_all_shards_are_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    for page in ["", "targets: {by: [app]}", "targets: {count: 11}"] {
        let path = write(folder.path(), page);
        for (format, of) in [("text", 3), ("openmetrics", 2), ("text", 7)] {
            let dump = |more: &[&str]| {
                let arguments = ["dump", "-c", &path, "--tick", "50", "--format", format];
                print(&[&arguments[..], more].concat())
            };
            let whole = [dump(&[])];
            let shards = (0..of).map(|index| dump(&["--shard", &format!("{index}/{of}")]));
            let shards: Vec<String> = shards.collect();
            assert!(whole[0].lines().count() > 150);
            assert_eq!(sorted(&shards), sorted(&whole), "{page} {format} {of}");
            // All of one metric as well, which is computed without the others.
            let one = |more: &[&str]| dump(&[&["--metric", "latency"], more].concat());
            let shards = (0..of).map(|index| one(&["--shard", &format!("{index}/{of}")]));
            let shards: Vec<String> = shards.collect();
            assert_eq!(sorted(&shards), sorted(&[one(&[])]), "{page}");
            assert_eq!(dump(&["--shard", "0/1"]), whole[0]);
        }
    }
}

#[test]
fn a_process_is_told_its_shard_by_its_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "");
    let dump = ["dump", "-c", &path, "--tick", "3"];
    let with = |more: &[&'static str]| [&dump[..], more].concat();
    let expected = print(&with(&["--shard", "1/3"]));
    let told = |variables: &[(&str, &str)], more: &[&'static str]| {
        let output = as_pod(variables, &with(more));
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).to_owned()
    };
    let job = [("JOB_COMPLETION_INDEX", "1"), ("MOCKINGBIRD_SHARDS", "3")];
    assert_eq!(told(&[("MOCKINGBIRD_SHARD", "1/3")], &[]), expected);
    assert_eq!(told(&job, &["--shard", "auto"]), expected);
    let auto = [&[("MOCKINGBIRD_SHARD", "auto")], &job[..]].concat();
    assert_eq!(told(&auto, &[]), expected);
    // What is asked for wins, also all of it.
    assert_eq!(
        told(&[("MOCKINGBIRD_SHARD", "0/2")], &["--shard", "1/3"]),
        expected
    );
    assert_eq!(
        told(&[("MOCKINGBIRD_SHARD", "0/2")], &["--shard", "0/1"]),
        print(&dump)
    );
    assert_eq!(told(&job, &[]), print(&dump));
    let refused = |variables: &[(&str, &str)], more: &[&'static str], why: &str| {
        let output = as_pod(variables, &with(more));
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    };
    refused(&[], &["--shard", "3/3"], "there is no shard 3 of 3");
    refused(
        &[("MOCKINGBIRD_SHARD", "x")],
        &[],
        "MOCKINGBIRD_SHARD: expected I/N",
    );
    refused(
        &[],
        &["--shard", "auto"],
        "shard auto: MOCKINGBIRD_SHARDS is not set",
    );
}

#[test]
fn plans_of_shards_add_up_to_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "targets: {by: [pod]}");
    let json = |more: &[&str]| -> Value {
        let arguments = [&["plan", &path, "--json"], more].concat();
        serde_json::from_str(&print(&arguments)).unwrap()
    };
    let whole = json(&[]);
    let shards = json(&["--shards", "3"]);
    assert_eq!(shards["total"]["series"], whole["total"]["series"]);
    assert_eq!(
        shards["total"]["samples_text"],
        whole["total"]["samples_text"]
    );
    // Those of the first tick and, of shards, of the tenth: a pod has a successor.
    assert_eq!(shards["total"]["targets"], whole["targets"]["count"]);
    let series = |share: &Value| share["series"].as_f64().unwrap();
    let shares = shards["shards"].as_array().unwrap().iter().map(series);
    let (least, most) = (
        shares.clone().fold(f64::INFINITY, f64::min),
        shares.clone().fold(0.0, f64::max),
    );
    let mean = shares.sum::<f64>() / 3.0;
    let difference = shards["difference_percent"].as_f64().unwrap();
    assert!(
        (difference - 100.0 * (most - least) / mean).abs() < 1e-9,
        "{shards}"
    );
    for index in 0..3 {
        let name = format!("{index}/3");
        let share = &shards["shards"][index];
        assert_eq!(share["shard"], name);
        let own = json(&["--shard", &name]);
        assert_eq!(share["series"], own["total"]["series"]);
        assert_eq!(share["memory_bytes"], own["total"]["memory_bytes"]);
    }
    let table = print(&["plan", &path, "--shards", "3"]);
    assert!(
        table.starts_with("shard") && table.contains("\n2/3 "),
        "{table}"
    );
    assert!(table.contains("shares differ by up to"), "{table}");
}

#[test]
fn targets_of_all_shards_are_those_of_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    for page in ["targets: {by: [namespace, pod]}", "targets: {count: 9}"] {
        let path = write(folder.path(), page);
        let list = |more: &[&str]| {
            let arguments = [&["targets", &path, "--format", "http_sd"], more].concat();
            groups(&print(&arguments))
        };
        let mut all = Vec::new();
        for index in 0..3 {
            let shard = format!("{index}/3");
            let own = list(&["--shard", &shard]);
            for mut group in own {
                assert_eq!(
                    group.remove("__meta_mockingbird_shard"),
                    Some(shard.clone())
                );
                all.push(group);
            }
        }
        all.sort_by(|one, other| one["instance"].cmp(&other["instance"]));
        assert_eq!(all, list(&[]), "{page}");
    }
    let job = [
        "targets",
        &write(folder.path(), "targets: {count: 9}"),
        "--format",
        "prometheus",
    ];
    let job = print(&[&job[..], &["--shard", "2/3"]].concat());
    assert!(job.contains("/sd?shard=2%2F3"), "{job}");
    // Pods move from node to node.
    let path = write(folder.path(), "targets: {by: [node]}");
    let refused = mockingbird(&["targets", &path, "--shard", "0/3"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("cannot be divided among shards"));
    assert!(mockingbird(&["targets", &path]).status.success());
}

#[test]
fn shards_serve_their_own_and_any_process_lists_those_of_one() {
    let page = "targets: {by: [pod]}";
    // Of a tick that is not over before all have been asked.
    let global = "tick_interval_s: 86400, epoch: '2026-01-01T00:00:00Z'";
    let metrics = FLEET.replace("lifetime: 30s", "lifetime: 30d");
    let whole = Running::start_with(page, global, &metrics);
    let mut union = BTreeSet::new();
    let mut targets: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for index in 0..3 {
        let shard = format!("{index}/3");
        let running = Running::start_as(&["--shard", &shard], (page, global, &metrics));
        let own = lines(&good(&running, "/metrics"));
        let before = union.len();
        union.extend(own.iter().cloned());
        assert_eq!(union.len(), before + own.len(), "a line is in two shards");
        let listed = groups(&good(&running, "/sd"));
        assert!(!listed.is_empty());
        // A process that has everything lists the same for the shard.
        let elsewhere = |mut groups: Vec<BTreeMap<String, String>>| {
            // Each tells its own control API.
            for group in &mut groups {
                assert!(group.remove("__meta_mockingbird_control").is_some());
            }
            groups
        };
        assert_eq!(
            elsewhere(listed.clone()),
            elsewhere(groups(&good(&whole, &format!("/sd?shard={shard}"))))
        );
        assert_eq!(
            listed,
            groups(&good(&running, &format!("/sd?shard={shard}")))
        );
        let other = format!("/sd?shard={}/3", (index + 1) % 3);
        assert!(groups(&good(&running, &other)).is_empty());
        for group in listed {
            assert_eq!(group["__meta_mockingbird_shard"], shard);
            let page = lines(&good(&running, &group["__metrics_path__"]));
            assert_eq!(page, lines(&good(&whole, &group["__metrics_path__"])));
            assert!(page.is_subset(&own));
            assert!(targets.insert(group["instance"].clone(), group).is_none());
        }
    }
    assert_eq!(union, lines(&good(&whole, "/metrics")));
    let all = groups(&good(&whole, "/sd"));
    assert!(
        all.iter()
            .map(|group| &group["instance"])
            .eq(targets.keys())
    );
    for query in ["shard=3/3", "shard=x", "shard=0/2&shard=1/2"] {
        let answer = whole.get(&format!("/sd?{query}"), "");
        assert!(
            answer.starts_with("HTTP/1.1 400") && answer.contains("shard: "),
            "{answer}"
        );
    }
}

#[test]
fn what_shards_write_of_the_past_is_what_the_whole_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "");
    let journal = folder.path().join("past.journal");
    let backfill = |more: &[&str]| {
        let arguments = [
            "backfill",
            "-c",
            &path,
            "--from",
            "2026-01-01T00:00:20Z",
            "--to",
            "2026-01-01T00:00:40Z",
            "--openmetrics",
            "-",
        ];
        print(&[&arguments[..], more].concat())
    };
    let own = |line: &&str| !line.starts_with("gen_");
    let samples = |bodies: &[String]| -> Vec<String> {
        let samples = sorted(bodies).0.into_iter().filter(own);
        samples.map(str::to_owned).collect()
    };
    let shards: Vec<String> = (0..3)
        .map(|index| {
            let shard = format!("{index}/3");
            match index {
                2 => backfill(&["--shard", &shard, "--journal", journal.to_str().unwrap()]),
                _ => backfill(&["--shard", &shard]),
            }
        })
        .collect();
    assert_eq!(samples(&shards), samples(&[backfill(&[])]));
    // The journal tells which shard it was, and any other can be had of it.
    let dump = |more: &[&str]| {
        let arguments = [
            "dump",
            "--journal",
            journal.to_str().unwrap(),
            "--tick",
            "30",
        ];
        print(&[&arguments[..], more].concat())
    };
    let of_config = |shard: &str| {
        let arguments = ["dump", "-c", &path, "--tick", "30", "--shard", shard];
        print(&arguments)
    };
    assert_eq!(dump(&[]), of_config("2/3"));
    assert_eq!(dump(&["--shard", "1/3"]), of_config("1/3"));
    assert_eq!(dump(&["--shard", "0/1"]), of_config("0/1"));
    let environment = as_pod(
        &[("MOCKINGBIRD_SHARD", "0/3")],
        &[
            "dump",
            "--journal",
            journal.to_str().unwrap(),
            "--tick",
            "30",
        ],
    );
    assert_eq!(stdout(&environment), of_config("2/3"));
}
