//! The stack of `compose/` without containers: its files are checked by the programs that read
//! them, and the servers are started from binaries, with these very files and command lines,
//! until every query of every dashboard returns data.
//!
//! Only addresses and mounted paths are changed, by [`Stack::localize`]. Building the image and
//! Grafana itself need Docker, and are not tested here.

use crate::servers;
use crate::servers::mockingbird::{Mockingbird, binary, set};
use crate::servers::process::{Process, free_port, wait_until};
use serde_json::Value as Json;
use serde_yaml::Value as Yaml;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The ports that the README documents, with the service that has each.
const PORTS: [(&str, u16); 7] = [
    ("mockingbird", 8000),
    ("mockingbird", 8081),
    ("prometheus", 9090),
    ("otelcol", 4318),
    ("victoria-metrics", 8428),
    ("grafana", 3000),
    ("alloy", 12345),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compose")
}

fn text(file: &str) -> String {
    let path = folder().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(file: &str) -> Yaml {
    let mut tree: Yaml = serde_yaml::from_str(&text(file)).unwrap();
    tree.apply_merge().unwrap();
    tree
}

/// A list of texts in a service of the compose file; empty if there is none.
fn list(service: &Yaml, field: &str) -> Vec<String> {
    let items = service[field].as_sequence().cloned().unwrap_or_default();
    let items = items.iter().map(|item| item.as_str().unwrap().to_owned());
    items.collect()
}

// ---- the files by themselves ---------------------------------------------------------------

#[test]
fn services_are_pinned_confined_and_on_documented_ports() {
    let compose = yaml("docker-compose.yaml");
    let services = compose["services"].as_mapping().unwrap();
    let mut ports = BTreeSet::new();
    for (name, service) in services {
        let name = name.as_str().unwrap();
        let image = service["image"].as_str().unwrap();
        let version = image.split_once(':').unwrap().1.trim_start_matches('v');
        assert!(
            version.split('.').count() == 3 && version.split('.').all(|n| n.parse::<u32>().is_ok()),
            "{name}: {image} isn't a full version"
        );
        assert_eq!(list(service, "cap_drop"), ["ALL"], "{name}");
        assert_eq!(
            list(service, "security_opt"),
            ["no-new-privileges:true"],
            "{name}"
        );
        for port in list(service, "ports") {
            let open = port.strip_prefix("127.0.0.1:").unwrap();
            let (outside, inside) = open.split_once(':').unwrap();
            assert_eq!(outside, inside, "{name}");
            ports.insert((name.to_owned(), outside.parse::<u16>().unwrap()));
        }
    }
    let documented = PORTS.map(|(name, port)| (name.to_owned(), port));
    assert_eq!(ports, BTreeSet::from(documented));
    let readme = std::fs::read_to_string(folder().join("../README.md")).unwrap();
    for (name, port) in PORTS {
        let shown = format!("localhost:{port}");
        assert!(readme.contains(&shown), "the README lacks {name}'s {shown}");
    }
}

#[test]
fn mockingbird_runs_as_nobody_on_a_root_that_it_cannot_write() {
    let compose = yaml("docker-compose.yaml");
    let service = &compose["services"]["mockingbird"];
    assert_eq!(service["read_only"].as_bool(), Some(true));
    let user = service["user"].as_str().unwrap();
    let dockerfile = text("Dockerfile");
    let (_, last_stage) = dockerfile.split_once("FROM scratch\n").unwrap();
    assert!(last_stage.contains(&format!("USER {user}\n")));
    assert_ne!(user.split(':').next(), Some("0"));
    // In the form that needs no shell: there is none.
    for instruction in [
        "CMD [\"/mockingbird\", \"ctl\", ",
        "ENTRYPOINT [",
        "CMD [\"--config\"",
    ] {
        assert!(last_stage.contains(instruction), "{instruction}");
    }
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(service["image"], format!("mockingbird:{version}"));
}

/// The image is built from what `Dockerfile.dockerignore` lets through, so that must have every
/// target that Cargo.toml names.
#[test]
fn the_build_sees_what_it_needs() {
    let ignore = text("Dockerfile.dockerignore");
    let through: Vec<_> = ignore.lines().filter_map(|l| l.strip_prefix('!')).collect();
    for needed in ["Cargo.toml", "Cargo.lock", "src", "proto", "benches"] {
        assert!(through.contains(&needed), "{needed}");
    }
    for path in through {
        assert!(folder().join("..").join(path).exists(), "{path}");
    }
}

#[test]
fn images_are_of_the_versions_that_are_tested() {
    let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/install.sh");
    let install = std::fs::read_to_string(install).unwrap();
    let compose = yaml("docker-compose.yaml");
    let tag = |service: &str| {
        let image = compose["services"][service]["image"].as_str().unwrap();
        image
            .split_once(':')
            .unwrap()
            .1
            .trim_start_matches('v')
            .to_owned()
    };
    assert!(install.contains(&format!("prometheus_version={}\n", tag("prometheus"))));
    assert!(install.contains(&format!("collector_module=v{} ", tag("otelcol"))));
}

#[test]
fn the_generated_configuration_is_right() {
    let config = folder().join("mockingbird.yaml");
    let check = Command::new(binary())
        .arg("check")
        .arg(config)
        .output()
        .unwrap();
    assert!(
        check.status.success(),
        "{}",
        String::from_utf8_lossy(&check.stderr)
    );
}

/// Grafana loads what is whole: panels with places of their own, data sources that exist.
#[test]
fn dashboards_are_well_formed() {
    let sources = yaml("grafana/datasources.yaml");
    let sources = sources["datasources"].as_sequence().unwrap();
    let uids: Vec<_> = sources.iter().map(|s| s["uid"].as_str().unwrap()).collect();
    assert_eq!(uids, ["prometheus", "victoria-metrics"]);
    let mut dashboards = BTreeSet::new();
    for dashboard in dashboards_of_grafana() {
        let uid = dashboard["uid"].as_str().unwrap();
        assert!(dashboards.insert(uid.to_owned()), "{uid} twice");
        let variables = array(&dashboard["templating"]["list"]);
        let names: Vec<_> = variables.iter().map(|v| string(&v["name"])).collect();
        assert_eq!(names[0], "datasource");
        let default = string(&variables[0]["current"]["value"]);
        assert!(uids.contains(&default.as_str()), "{default}");
        let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
        for panel in array(&dashboard["panels"]) {
            let title = string(&panel["title"]);
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{uid}: {title}");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|f| panel["gridPos"][f].as_u64().unwrap());
            assert!(w > 0 && x + w <= 24, "{uid}: {title} is off the grid");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(cells.insert(cell), "{uid}: {title} lies over another panel");
            }
            assert!(!array(&panel["targets"]).is_empty(), "{uid}: {title}");
            if let Some(repeat) = panel["repeat"].as_str() {
                assert!(names.iter().any(|name| name == repeat), "{uid}: {repeat}");
            }
        }
    }
    assert_eq!(dashboards.len(), 3);
}

#[test]
#[ignore = "needs systemd-analyze"]
fn systemd_takes_the_unit() {
    let unit = text("mockingbird.service");
    let installed = "ExecStart=/usr/local/bin/mockingbird ";
    assert_eq!(unit.matches(installed).count(), 1);
    // It wants the program to be there.
    let here = format!("ExecStart={} ", binary().display());
    let folder = tempfile::tempdir().unwrap();
    let verify = |unit: &str| {
        let path = folder.path().join("mockingbird.service");
        std::fs::write(&path, unit).unwrap();
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no"]).arg(&path);
        let output = verify.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    };
    let unit = unit.replace(installed, &here);
    let (success, said) = verify(&unit);
    assert!(success && !said.contains("mockingbird.service"), "{said}");
    // What it doesn't know, it only warns of.
    let (_, said) = verify(&unit.replace("ProtectSystem", "ProtectSystems"));
    assert!(said.contains("ProtectSystems"), "{said}");
}

// ---- the files as their programs see them --------------------------------------------------

#[test]
#[ignore = "needs servers"]
fn compose_promtool_and_the_collector_accept_their_files() {
    let servers = servers::find(&["compose-check", "promtool", "otelcol"]);
    let run = |program: &str, arguments: &[&str], file: &Path| {
        let mut command = Command::new(servers.join(program));
        let output = command.args(arguments).arg(file).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let broken = tempfile::tempdir().unwrap();
    // Each file is accepted, and refused with a mistake in it: the check looks.
    let mistakes = [
        (
            "compose-check",
            &[][..],
            "docker-compose.yaml",
            "read_only: true",
            "read_only: maybe",
        ),
        (
            "compose-check",
            &[],
            "docker-compose.yaml",
            "cap_drop",
            "cap_drops",
        ),
        (
            "promtool",
            &["check", "config"],
            "prometheus.yaml",
            "job_name",
            "jobname",
        ),
        (
            "otelcol",
            &["validate", "--config"],
            "otelcol.yaml",
            "via: otlp",
            "via: [otlp]",
        ),
        (
            "otelcol",
            &["validate", "--config"],
            "otelcol.yaml",
            "[otlp]",
            "[oltp]",
        ),
    ];
    for (program, arguments, file, right, wrong) in mistakes {
        let (accepted, said) = run(program, arguments, &folder().join(file));
        assert!(accepted, "{program} {file}: {said}");
        let text = text(file);
        assert!(text.contains(right), "{file}: {right}");
        let path = broken.path().join(file);
        std::fs::write(&path, text.replacen(right, wrong, 1)).unwrap();
        let (accepted, said) = run(program, arguments, &path);
        assert!(!accepted, "{program} {file} with {wrong}: {said}");
    }
}

// ---- the whole stack -----------------------------------------------------------------------

/// The started servers; and what became of the addresses in their files.
struct Stack {
    folder: tempfile::TempDir,
    compose: Yaml,
    /// What stands in the files, what is meant here.
    addresses: Vec<(String, String)>,
    processes: BTreeMap<&'static str, Process>,
}

impl Stack {
    /// Picks free ports for all addresses. `SERVICE:PORT` is where a service is found by others,
    /// `0.0.0.0:PORT` where it listens; both become the same address of this machine.
    fn new() -> Self {
        let mut addresses = Vec::new();
        let mut add = |names: &[&str]| {
            let port = free_port();
            for name in names {
                addresses.push(((*name).to_owned(), format!("127.0.0.1:{port}")));
            }
            port
        };
        add(&["mockingbird:8000"]);
        add(&["prometheus:9090", "0.0.0.0:9090"]);
        add(&["victoria-metrics:8428", "0.0.0.0:8428"]);
        add(&["otelcol:4318", "0.0.0.0:4318"]);
        // The Collector's own metrics: its file has host and port apart.
        let own = add(&["otelcol:8888"]);
        addresses.push(("port: 8888".into(), format!("port: {own}")));
        addresses.push(("host: 0.0.0.0".into(), "host: 127.0.0.1".into()));
        Self {
            folder: tempfile::tempdir().unwrap(),
            compose: yaml("docker-compose.yaml"),
            addresses,
            processes: BTreeMap::new(),
        }
    }

    fn localize(&self, text: &str) -> String {
        let replace = |text: String, (from, to): &(String, String)| text.replace(from, to);
        self.addresses.iter().fold(text.to_owned(), replace)
    }

    fn address(&self, name: &str) -> &str {
        let found = self.addresses.iter().find(|(from, _)| from == name);
        &found.unwrap_or_else(|| panic!("no {name}")).1
    }

    /// Starts a service as the compose file says: its command line, with the files and folders
    /// that are mounted.
    fn start(&mut self, servers: &Path, name: &'static str) {
        let service = self.compose["services"][name].clone();
        let mut mounts = Vec::new();
        for mount in list(&service, "volumes") {
            let mut parts = mount.split(':');
            let [source, target] = [(); 2].map(|()| parts.next().unwrap());
            let here = self
                .folder
                .path()
                .join(name)
                .join(source.trim_start_matches("./"));
            std::fs::create_dir_all(here.parent().unwrap()).unwrap();
            if source.starts_with("./") {
                assert_eq!(parts.next(), Some("ro"), "{name}: {mount}");
                std::fs::write(&here, self.localize(&text(source))).unwrap();
            }
            mounts.push((target.to_owned(), here.display().to_string()));
        }
        let mut command = Command::new(servers.join(name));
        for argument in list(&service, "command") {
            let mut argument = self.localize(&argument);
            for (target, here) in &mounts {
                if let Some(flag) = argument.strip_suffix(&format!("={target}")) {
                    argument = format!("{flag}={here}");
                }
            }
            command.arg(argument);
        }
        let process = Process::start(&mut command, name, self.folder.path());
        self.processes.insert(name, process);
    }

    fn assert_running(&mut self) {
        for process in self.processes.values_mut() {
            process.assert_running();
        }
    }
}

#[test]
#[ignore = "needs servers"]
fn every_dashboard_query_returns_data() {
    let names = ["prometheus", "otelcol", "victoria-metrics"];
    let servers = servers::find(&names);
    let mut stack = Stack::new();
    for name in names {
        stack.start(&servers, name);
    }
    let mockingbird = stack.address("mockingbird:8000").to_owned();
    let (_, port) = mockingbird.rsplit_once(':').unwrap();
    let file = folder().join("mockingbird.yaml");
    let _mockingbird = Mockingbird::start_file(&file, stack.folder.path(), |config| {
        let endpoint = &config["exporters"]["otel"]["endpoint"];
        let endpoint = stack.localize(endpoint.as_str().unwrap());
        set(config, &["exporters", "otel", "endpoint"], endpoint);
        set(
            config,
            &["exporters", "prometheus", "port"],
            port.parse::<u16>().unwrap(),
        );
        set(config, &["global", "control_api_bind"], "127.0.0.1");
    });
    let prometheus = Queries(format!("http://{}", stack.address("prometheus:9090")));
    let victoria = Queries(format!("http://{}", stack.address("victoria-metrics:8428")));

    // Three bodies and three pushes: rates need two, of different times.
    let limit = Duration::from_secs(90);
    wait_until("both ways have brought ticks", limit, || {
        stack.assert_running();
        ["scrape", "otlp"].iter().all(|via| {
            let ticks = format!("{{__name__=~\".+gen_ticks_total\",via=\"{via}\"}}");
            let count = prometheus.values(&format!("count_over_time({ticks}[5m])"));
            count.is_ok_and(|count| count.first().is_some_and(|&count| count >= 3.0))
        })
    });
    for server in ["prometheus:9090", "victoria-metrics:8428", "otelcol:8888"] {
        let up = format!(
            "up{{job=\"backends\",instance=\"{}\"}}",
            stack.address(server)
        );
        assert_eq!(prometheus.values(&up), Ok(vec![1.0]), "{server}");
    }

    let mut queries = 0;
    for dashboard in dashboards_of_grafana() {
        let title = string(&dashboard["title"]);
        let variables = prometheus.variables(&dashboard);
        for panel in array(&dashboard["panels"]) {
            for target in array(&panel["targets"]) {
                for query in filled_in(&string(&target["expr"]), &variables) {
                    let values = prometheus.values(&query);
                    let values = values.unwrap_or_else(|said| panic!("{title}: {query}: {said}"));
                    let some = values.iter().any(|value| !value.is_nan());
                    assert!(
                        some,
                        "{title}, {}: nothing but {values:?}: {query}",
                        panel["title"]
                    );
                    queries += 1;
                }
            }
        }
    }
    assert!(queries > 50, "only {queries} queries");

    // What was scraped and what was pushed is the same, as the dashboard shows side by side.
    let same = |metric: &str, labels: &str| {
        let count = |prefix, via| {
            let name = format!("synthetic_{prefix}_{metric}");
            prometheus.values(&format!("count({name}{{via=\"{via}\",{labels}}})"))
        };
        let scraped = count("prom", "scrape").unwrap();
        assert_eq!(scraped, count("otel", "otlp").unwrap(), "{metric}");
        scraped[0]
    };
    assert_eq!(same("requests_total", ""), 80.0);
    assert_eq!(same("cpu_usage", ""), 20.0);
    assert_eq!(same("req_latency_seconds_bucket", ""), 80.0 * 8.0);
    assert_eq!(same("payload_size_bytes", "quantile!=\"\""), 80.0 * 3.0);

    // Queries show what is at least half a minute old: VictoriaMetrics waits for stragglers.
    wait_until("VictoriaMetrics shows its scrapes", limit, || {
        stack.assert_running();
        let series = victoria.values("count(synthetic_prom_requests_total{via=\"scrape\"})");
        series.is_ok_and(|series| series == [80.0])
    });
}

// ---- dashboards ----------------------------------------------------------------------------

fn array(value: &Json) -> &[Json] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("not a list: {value}"))
}

fn string(value: &Json) -> String {
    let text = value.as_str();
    text.unwrap_or_else(|| panic!("not a text: {value}"))
        .to_owned()
}

fn dashboards_of_grafana() -> Vec<Json> {
    let files = std::fs::read_dir(folder().join("grafana/dashboards")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    files.into_iter().map(read).collect()
}

/// A variable's name and every value that can be chosen.
type Variables = Vec<(String, Vec<String>)>;

/// The query with the chosen values filled in, once for each choice: of several ways, the one
/// that the dashboard opens with is its only value; a metric is any.
fn filled_in(query: &str, variables: &Variables) -> Vec<String> {
    let mut queries = vec![query.replace("$__rate_interval", "1m")];
    // `$via` isn't the beginning of `$via_too`.
    let mut variables: Vec<_> = variables.iter().collect();
    variables.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    for (name, values) in variables {
        let holds = |query: &String| {
            query.contains(&format!("${{{name}}}")) || query.contains(&format!("${name}"))
        };
        if queries.iter().any(holds) {
            let one = |query: &String| {
                let each = |value: &String| {
                    let query = query.replace(&format!("${{{name}}}"), value);
                    query.replace(&format!("${name}"), value)
                };
                values.iter().map(each).collect::<Vec<_>>()
            };
            queries = queries.iter().flat_map(one).collect();
        }
    }
    for query in &queries {
        // A `$` is also the end of a regular expression, but none of ours has one.
        assert!(!query.contains('$'), "a variable is left: {query}");
    }
    queries
}

/// The query interface of Prometheus, which `VictoriaMetrics` has too.
struct Queries(String);

impl Queries {
    /// # Errors
    /// What the server answered to a query that it doesn't take.
    fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Json, String> {
        let request = ureq::get(format!("{}/api/v1/{path}", self.0));
        let request = request.query_pairs(parameters.iter().copied());
        let request = request.config().http_status_as_error(false).build();
        let mut answer = request.call().map_err(|error| error.to_string())?;
        let body = answer.body_mut().read_to_string();
        let body = body.map_err(|error| error.to_string())?;
        let mut body: Json = serde_json::from_str(&body).map_err(|_| body)?;
        if body["status"] == "success" {
            Ok(body["data"].take())
        } else {
            Err(body.to_string())
        }
    }

    /// The values of an instant query that gives a vector.
    fn values(&self, query: &str) -> Result<Vec<f64>, String> {
        let data = self.get("query", &[("query", query)])?;
        assert_eq!(data["resultType"], "vector", "{query}");
        let value = |series: &Json| string(&series["value"][1]).parse().unwrap();
        Ok(array(&data["result"]).iter().map(value).collect())
    }

    /// Asks for the values of a dashboard's variables as Grafana does.
    fn variables(&self, dashboard: &Json) -> Variables {
        let mut variables = Variables::new();
        for variable in array(&dashboard["templating"]["list"]) {
            let name = string(&variable["name"]);
            if variable["type"] == "datasource" {
                continue;
            }
            assert_eq!(variable["type"], "query", "{name}");
            let query = string(&variable["query"]["query"]);
            let query = filled_in(&query, &variables).remove(0);
            let call = query
                .strip_prefix("label_values(")
                .and_then(|q| q.strip_suffix(')'));
            let (selector, label) = call.and_then(|call| call.rsplit_once(", ")).unwrap();
            let path = format!("label/{label}/values");
            let found = self.get(&path, &[("match[]", selector)]);
            let found = found.unwrap_or_else(|said| panic!("{query}: {said}"));
            let mut values: Vec<_> = array(&found).iter().map(string).collect();
            // The only regular expression that is used: what is before a certain end.
            if let Some(regex) = variable["regex"].as_str() {
                let end = regex
                    .strip_prefix("/^(.*)")
                    .and_then(|r| r.strip_suffix("$/"));
                let end = end.unwrap_or_else(|| panic!("{name}: {regex}"));
                values = values
                    .iter()
                    .filter_map(|v| v.strip_suffix(end))
                    .map(str::to_owned)
                    .collect();
            }
            assert!(!values.is_empty(), "{name}: no values of {query}");
            if let Some(current) = variable["current"]["value"]
                .as_str()
                .filter(|&v| v != "$__all")
            {
                assert!(
                    values.iter().any(|value| value == current),
                    "{name}: {values:?}"
                );
                values = vec![current.to_owned()];
            }
            variables.push((name, values));
        }
        variables
    }
}
