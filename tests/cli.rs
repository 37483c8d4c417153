//! The program as a user meets it: arguments, output, exit codes, signals.

#[path = "cli/living.rs"]
mod living;
#[path = "cli/shards.rs"]
mod shards;
#[path = "cli/targets.rs"]
mod targets;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use mockingbird::journal::{Entry, Event, Start};
use mockingbird::proto::otlp::ExportMetricsServiceRequest;
use mockingbird::proto::prometheus_client::MetricFamily;
use prost::Message;

const BINARY: &str = env!("CARGO_BIN_EXE_mockingbird");

fn mockingbird(arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_remove("LOG_LEVEL");
    command.output().expect("the binary runs")
}

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

/// A running instance, killed when dropped.
struct Running {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Running {
    /// Starts `metrics` (YAML) with further `global` fields on a free port, and
    /// waits until it has ticked.
    fn start(global: &str, metrics: &str) -> Self {
        Self::start_with("", global, metrics)
    }

    /// The same with further fields of `exporters.prometheus`.
    fn start_with(page: &str, global: &str, metrics: &str) -> Self {
        Self::start_as(&[], (page, global, metrics))
    }

    /// The same with further arguments.
    fn start_as(arguments: &[&str], config: (&str, &str, &str)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let path = write_config(folder.path(), port, config);
        let child = Command::new(BINARY)
            .arg("--config")
            .arg(path)
            .args(arguments)
            .env_remove("LOG_LEVEL")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let running = Self {
            child,
            port,
            folder,
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !running.get("/healthz", "").starts_with("HTTP/1.1 200") {
            assert!(Instant::now() < deadline, "not up within a minute");
            std::thread::sleep(Duration::from_millis(20));
        }
        running
    }

    fn connect(&self) -> Option<TcpStream> {
        TcpStream::connect(("127.0.0.1", self.port)).ok()
    }

    /// Head and body of a response, or nothing while nobody listens.
    fn get(&self, path: &str, headers: &str) -> String {
        let Some(mut stream) = self.connect() else {
            return String::new();
        };
        let request =
            format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n");
        let mut answer = Vec::new();
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap();
        assert!(sent.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A file with further fields of `exporters.prometheus` and `global`.
fn write_config(folder: &Path, port: u16, (page, global, metrics): (&str, &str, &str)) -> PathBuf {
    let path = folder.join("config.yaml");
    let text = format!(
        "global: {{control_api_port: 0, {global}}}\n\
         exporters: {{prometheus: {{port: {port}, bind_address: 127.0.0.1, prefix: '', {page}}}, \
         otel: {{enabled: false}}}}\n{metrics}\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// `--for` ends a run by itself, all ticks of that time done; the journal tells.
#[test]
fn a_finite_run_ends() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("run.journal");
    let global = format!("tick_interval_s: 0.5, journal_file: {}", journal.display());
    let path = write_config(folder.path(), 0, ("", &global, SMALL));
    let path = path.to_str().unwrap();
    let began = std::time::Instant::now();
    let output = mockingbird(&["run", "--config", path, "--for", "1200ms"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("has lasted as long as it should"), "{log}");
    // Three ticks, each as long as it is shown, and the time before the second one at least.
    assert!(began.elapsed().as_millis() >= 1000, "{log}");
    let journal = std::fs::read_to_string(journal).unwrap();
    let stop = journal.lines().last().unwrap();
    let stop: serde_json::Value = serde_json::from_str(stop).unwrap();
    assert_eq!(stop["event"], "stop");
    let first = if log.contains("ticks ago") { 4 } else { 3 };
    assert!(stop["tick"].as_u64().unwrap() >= first, "{stop}");
    let refused = mockingbird(&["--config", path, "--for", "no"]);
    assert_eq!(refused.status.code(), Some(2));
    let log = String::from_utf8_lossy(&refused.stderr);
    assert!(log.contains("--for <DURATION>"), "{log}");
}

const SMALL: &str = "metrics: [{name: hits, type: counter, algorithm: poisson, base_rate: 100}]";
const LARGE: &str = "profiles: {p: {labels: {user: {range: [1, 300000]}}}}\n\
    metrics: [{name: hits, profile: p, type: gauge, algorithm: random_walk, step: 1}]";

/// The value of an unlabelled sample in a body.
fn value(body: &str, name: &str) -> f64 {
    let line = body
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {body}"))
        .parse()
        .unwrap()
}

#[test]
fn help_names_every_command_and_gives_examples() {
    let help = mockingbird(&["--help"]);
    assert!(help.status.success());
    for word in [
        "  run ",
        "  init ",
        "  check ",
        "  plan ",
        "  dump ",
        "  targets ",
        "  ctl ",
        "  verify ",
        "  compare ",
        "  backfill ",
        "  schema ",
        "  completions ",
        "  man ",
        "Examples:",
    ] {
        assert!(stdout(&help).contains(word), "{word:?}");
    }
    assert!(stdout(&mockingbird(&["--version"])).starts_with("mockingbird "));
    assert!(stdout(&mockingbird(&["completions", "bash"])).contains("_mockingbird"));
    assert!(stdout(&mockingbird(&["man"])).contains(".TH"));
    let none = mockingbird(&[]);
    assert_eq!(none.status.code(), Some(2));
    assert!(stderr(&none).contains("--config"));
}

/// Whatever the file is called that is run.
#[test]
fn usage_names_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let renamed = folder.path().join("mb-2");
    std::os::unix::fs::symlink(BINARY, &renamed).unwrap();
    let help = |arguments: &[&str]| {
        let output = Command::new(&renamed)
            .args(arguments)
            .arg("--help")
            .output();
        stdout(&output.unwrap()).to_owned()
    };
    let commands = |help: &str| -> Vec<String> {
        let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let lines = lines.take_while(|line| !line.is_empty());
        let names = lines.filter_map(|line| line.split_whitespace().next());
        names
            .map(str::to_owned)
            .filter(|name| name != "help")
            .collect()
    };
    let check = |path: &[&str]| {
        let help = help(path);
        let usage = format!("Usage: {}", [&["mockingbird"], path].concat().join(" "));
        assert!(help.contains(&usage), "{path:?}: {help}");
        assert!(!help.contains("mb-2"), "{path:?}: {help}");
        help
    };
    for command in commands(&check(&[])) {
        for subcommand in commands(&check(&[&command])) {
            check(&[&command, &subcommand]);
        }
    }
    let output = Command::new(&renamed).args(["ctl", "rollout"]).output();
    let output = output.unwrap();
    let refused = stderr(&output);
    assert!(
        refused.contains("Usage: mockingbird ctl rollout"),
        "{refused}"
    );
}

#[test]
fn check_reports_all_mistakes_and_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.yaml");
    std::fs::write(
        &path,
        "metrics:\n  - name: a\n    type: counter\n    algorithm: poison\n  - name: b\n    \
         type: gauge\n    algorithm: bernoulli\n    p: 2\n",
    )
    .unwrap();
    let path = path.to_str().unwrap();
    for arguments in [
        &["check", path][..],
        &["--validate", "--config", path],
        &["-c", path],
    ] {
        let output = mockingbird(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let text = stderr(&output);
        assert!(text.contains(":4:16: metrics[0].algorithm"), "{text}");
        assert!(text.contains("poisson"), "{text}");
        assert!(text.contains(":8:8: metrics[1].p"), "{text}");
    }
    let json = mockingbird(&["check", "--json", path]);
    let first = stdout(&json).lines().next().unwrap();
    let problem: serde_json::Value = serde_json::from_str(first).unwrap();
    assert_eq!(
        (&problem["line"], &problem["column"]),
        (&4.into(), &16.into())
    );
    let good = mockingbird(&["check", "configs/baseline.yaml", "configs/million.yaml"]);
    assert!(good.status.success());
    assert_eq!(stdout(&good).lines().count(), 2);
}

/// Runs `check` on a configuration, in a folder of its own with some files, and returns
/// the exit code, standard output and standard error.
fn check_in(folder: &Path, config: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    std::fs::write(folder.join("f.yaml"), config).unwrap();
    let mut command = Command::new(BINARY);
    command.arg("check").args(arguments).arg("f.yaml");
    command.current_dir(folder).env_remove("LOG_LEVEL");
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    (output.status.code(), stdout, stderr)
}

/// What `run` would refuse at its start, `check` tells with its place.
#[test]
fn check_reads_the_files_that_a_configuration_names() {
    let folder = tempfile::tempdir().unwrap();
    let config = "\
global:
  journal_file: none/run.journal
  max_series: 10
exporters:
  otel: {endpoint: 'https://localhost:1', ca_file: none.pem}
  remote_write:
    - {url: 'http://localhost:1/w', enabled: false, bearer_token_file: none}
    - url: http://localhost:1/w
      bearer_token_file: empty
    - url: http://localhost:1/w
      basic_auth:
        username: u
        password_file: two_lines
    - url: https://localhost:1/w
      cert_file: client.pem
      key_file: other.key
profiles: {p: {labels: {n: {range: [1, 11]}}}}
metrics: [{name: hits, type: counter, algorithm: poisson, base_rate: 1, profile: p}]
";
    let certified = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (client, other) = (certified("client"), certified("other"));
    for (name, text) in [
        ("empty", String::new()),
        ("two_lines", "a\nb\n".to_owned()),
        ("client.pem", client.cert.pem()),
        ("other.key", other.signing_key.serialize_pem()),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let (code, _, stderr) = check_in(folder.path(), config, &[]);
    assert_eq!(code, Some(2));
    let expected = [
        "f.yaml:2:17: global.journal_file: none/run.journal: the directory none is not there; make it first",
        "f.yaml:3:15: global.max_series: this configuration has 11 samples per scrape",
        "f.yaml:5:52: exporters.otel.ca_file: none.pem: there is no such file",
        "f.yaml:9:26: exporters.remote_write[1].bearer_token_file: empty is empty",
        "f.yaml:13:24: exporters.remote_write[2].basic_auth.password_file: two_lines holds something else",
        "f.yaml:15:18: exporters.remote_write[3].cert_file: client.pem: cannot be used with the key",
    ];
    assert_eq!(stderr.lines().count(), expected.len(), "{stderr}");
    for (line, expected) in stderr.lines().zip(expected) {
        assert!(line.starts_with(expected), "{line}");
    }
    let (code, stdout, _) = check_in(folder.path(), config, &["--json"]);
    assert_eq!((code, stdout.lines().count()), (Some(2), expected.len()));
    let first: serde_json::Value = serde_json::from_str(stdout.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["severity"], &first["line"]),
        (&"error".into(), &2.into())
    );
    // Elsewhere there may be such files; a size is the file's own.
    let (code, _, stderr) = check_in(folder.path(), config, &["--syntax-only"]);
    assert_eq!(code, Some(2));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with(expected[1]), "{stderr}");
    // `run` agrees.
    let mut run = Command::new(BINARY);
    run.args(["--config", "f.yaml"]).current_dir(folder.path());
    assert_eq!(run.output().unwrap().status.code(), Some(2));
}

#[test]
fn check_warns_of_what_works_and_is_hardly_meant() {
    let folder = tempfile::tempdir().unwrap();
    let config = "\
metrics:
  - {name: queue_total, type: gauge, algorithm: constant, start: 1, profile: p}
profiles:
  p: {labels: {pod: {range: [1, 50]}, node: {range: [1, 20]}}, series_cap: 200}
";
    let (code, stdout, stderr) = check_in(folder.path(), config, &[]);
    assert_eq!(code, Some(0));
    assert!(
        stdout.starts_with("f.yaml: ok, 1 metrics, 200 series"),
        "{stdout}"
    );
    let expected = [
        "f.yaml:2:12: metrics[0].name: warning: a gauge that ends in _total",
        "f.yaml:4:76: profiles.p.series_cap: warning: keeps the first 200 of 1,000 combinations: \
         pod has 10 of its 50 values, each with all values of node (20)",
    ];
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
    for (line, expected) in stderr.lines().zip(expected) {
        assert!(line.starts_with(expected), "{line}");
    }
    let (code, stdout, stderr) = check_in(folder.path(), config, &["--json"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for line in stdout.lines() {
        let warning: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(warning["severity"], "warning");
    }
    assert_eq!(stdout.lines().count(), 2);
}

#[test]
fn variables_of_the_environment_are_put_into_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.yaml");
    let config = "\
global: {tick_interval_s: \"${EVERY:-1s}\"}
exporters: {prometheus: {prefix: ''}}
metrics:
  - {name: up, type: gauge, algorithm: constant, start: 1, labels: {host: \"${A_HOST}\", raw: \"$${A_HOST}\"}}
";
    std::fs::write(&path, config).unwrap();
    let dump = || {
        let mut command = Command::new(BINARY);
        command
            .args(["dump", "--tick", "1_000", "--config"])
            .arg(&path);
        command.env_remove("LOG_LEVEL").env_remove("A_HOST");
        command
    };
    let output = dump().env("A_HOST", "a \"b\"").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let line = r#"up{host="a \"b\"",raw="${A_HOST}"} 1"#;
    assert!(stdout(&output).contains(line), "{}", stdout(&output));
    let output = dump().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let expected =
        "f.yaml:4:75: metrics[0].labels.host: the environment variable A_HOST is not set";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    let output = dump()
        .env("A_HOST", "a")
        .env("EVERY", "soon")
        .output()
        .unwrap();
    let expected = "global.tick_interval_s: expected seconds or a duration such as 90s";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

/// Every option that takes a duration or a count understands the same texts.
#[test]
fn durations_and_counts_are_written_alike_everywhere() {
    let path = "configs/baseline.yaml";
    let verify = [
        "verify",
        "--config",
        path,
        "--backend",
        "http://127.0.0.1:1",
    ];
    let spike = [
        "ctl",
        "--url",
        "http://127.0.0.1:1",
        "spike",
        "m",
        "--multiplier",
        "2",
    ];
    let delay = [
        "ctl",
        "--url",
        "http://127.0.0.1:1",
        "fault",
        "scrape_delay",
    ];
    let rollout = ["ctl", "--url", "http://127.0.0.1:1", "rollout", "p", "l"];
    let twice = [&rollout[..], &["--label", "a=x", "--label", "a=y"]].concat();
    let output = mockingbird(&twice);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--label a is given twice"));
    let backfill = [
        "backfill",
        "--config",
        path,
        "--from",
        "2026-01-01T00:00:00Z",
        "--to",
        "2026-01-01T00:00:00Z",
        "--openmetrics",
        "-",
    ];
    for (command, option) in [
        (&verify[..], "--last"),
        (&verify, "--visible-after"),
        (&verify, "--timeout"),
        (&verify, "--watch"),
        (&spike, "--duration"),
        (&delay, "--delay"),
        (&delay, "--duration"),
        (&rollout, "--over"),
        (&rollout, "--overlap"),
        (&backfill, "--step"),
    ] {
        for value in ["60", "90s", "1m", "6h", "1d", "1h30m", "1.5s"] {
            let output = mockingbird(&[command, &[option, value]].concat());
            let text = stderr(&output);
            assert!(!text.contains("invalid value"), "{option} {value}: {text}");
        }
        for value in ["5x", "-1m", "", "NaN"] {
            let output = mockingbird(&[command, &[&format!("{option}={value}")]].concat());
            assert_eq!(output.status.code(), Some(2), "{option} {value}");
            let text = stderr(&output);
            let why = if value == "-1m" {
                "must not be negative"
            } else {
                "90s, 5m, 6h"
            };
            assert!(text.contains(why), "{option} {value}: {text}");
        }
    }
    let series = ["ctl", "--url", "http://127.0.0.1:1", "series"];
    for (command, option) in [
        (&verify[..], "--series"),
        (&verify, "--instants"),
        (&series, "--limit"),
    ] {
        let output = mockingbird(&[command, &[option, "1_000"]].concat());
        assert!(
            !stderr(&output).contains("invalid value"),
            "{}",
            stderr(&output)
        );
        let output = mockingbird(&[command, &[option, "10 k"]].concat());
        assert!(
            stderr(&output).contains("1_000_000, 10k or 1M"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn init_writes_what_check_accepts_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(arguments).current_dir(folder.path());
        command.env_remove("LOG_LEVEL").output().unwrap()
    };
    let written = run(&["init"]);
    assert!(written.status.success(), "{}", stderr(&written));
    let text = std::fs::read_to_string(folder.path().join("mockingbird.yaml")).unwrap();
    assert_eq!(stdout(&run(&["init", "-"])), text);
    // Editors find the schema where the first line names it.
    let modeline = text.lines().next().unwrap();
    let schema = modeline
        .strip_prefix("# yaml-language-server: $schema=")
        .unwrap();
    let schema = std::fs::read_to_string(folder.path().join(schema)).unwrap();
    assert_eq!(schema, stdout(&run(&["schema"])));
    let checked = run(&["check", "mockingbird.yaml"]);
    assert!(
        stdout(&checked).contains(": ok, 3 metrics"),
        "{}",
        stderr(&checked)
    );
    // A file may be named without --config.
    let checked = run(&["--validate", "mockingbird.yaml"]);
    assert!(checked.status.success(), "{}", stderr(&checked));

    let again = run(&["init"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("was left alone"));
    let typo = run(&["chekc"]);
    assert_eq!(typo.status.code(), Some(2));
    assert!(
        stderr(&typo).contains("no command \"chekc\""),
        "{}",
        stderr(&typo)
    );
}

#[test]
fn verify_tells_arguments_from_backends() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = "metrics: [{name: a, type: gauge, algorithm: constant, start: 1}]";
    let path = write_config(folder.path(), 8000, ("", "", metrics));
    let path = path.to_str().unwrap();
    let with_epoch = folder.path().join("epoch");
    std::fs::create_dir(&with_epoch).unwrap();
    let with_epoch = write_config(
        &with_epoch,
        8000,
        ("", "epoch: \"2026-01-01T00:00:00Z\"", metrics),
    );
    let with_epoch = with_epoch.to_str().unwrap();
    // A port that nobody listens on.
    let url = format!("http://127.0.0.1:{}", free_port());
    let rows: [(&[&str], i32, &str); 14] = [
        (&["--config", path], 2, "global.epoch"),
        (&["--config", with_epoch], 1, "refused"),
        (&[], 2, "--config"),
        (&["--journal", path], 2, "not JSON"),
        (&["--config", with_epoch, "--metric", "b"], 2, "defined: a"),
        (&["--config", with_epoch, "--via", "x"], 2, "remote_write"),
        (
            &["--config", with_epoch, "--via", "otlp"],
            2,
            "exporters.otel",
        ),
        (
            &["--config", with_epoch, "--via", "remote_write"],
            2,
            "0 of its entries are enabled",
        ),
        (&["--config", with_epoch, "--rounds", "3"], 2, "--watch"),
        (&["--config", with_epoch, "--last", "1x"], 2, "5m"),
        (
            &["--config", with_epoch, "--from", "2026-01-01T00:00:00Z"],
            2,
            "--to",
        ),
        (&["--config", with_epoch, "--match", "a"], 2, "NAME=VALUE"),
        (
            &["--config", with_epoch, "--bearer-token-file", "/none"],
            2,
            "/none",
        ),
        (
            &["--config", with_epoch, "--basic-auth", "me"],
            2,
            "MOCKINGBIRD_VERIFY_PASSWORD",
        ),
    ];
    for (arguments, code, said) in rows {
        let all = [&["verify", "--backend", &url], arguments].concat();
        let output = mockingbird(&all);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
    let output = mockingbird(&["compare", "--config", with_epoch, "--backend", &url]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("two backends"),
        "{}",
        stderr(&output)
    );
    let output = mockingbird(&["verify", "--config", with_epoch, "--backend", "localhost:1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("base URL"), "{}", stderr(&output));
}

#[test]
fn too_many_series_are_refused_with_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = "profiles: {p: {labels: {user: {range: [1, 90000000]}}}}\n\
        metrics: [{name: a, profile: p, type: gauge, algorithm: constant, start: 1}]";
    let path = write_config(folder.path(), 8000, ("", "", metrics));
    let path = path.to_str().unwrap();
    for arguments in [&["--config", path][..], &["check", path], &["plan", path]] {
        let output = mockingbird(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            stderr(&output).contains("90,000,000"),
            "{}",
            stderr(&output)
        );
        assert!(stderr(&output).contains("GB"), "{}", stderr(&output));
    }
}

#[test]
fn plan_tells_what_dump_shows() {
    let plan = mockingbird(&["plan", "--json", "configs/baseline.yaml"]);
    let plan: serde_json::Value = serde_json::from_str(stdout(&plan)).unwrap();
    for (format, samples, bytes) in [
        ("text", "samples_text", "bytes_text"),
        ("openmetrics", "samples_openmetrics", "bytes_openmetrics"),
    ] {
        let arguments = [
            "dump",
            "-c",
            "configs/baseline.yaml",
            "--tick",
            "10",
            "--epoch",
            plan["epoch"].as_str().unwrap(),
            "--format",
        ];
        let body = mockingbird(&[&arguments[..], &[format]].concat());
        let lines = stdout(&body).lines().filter(|line| !line.starts_with('#'));
        assert_eq!(plan["total"][samples], lines.count());
        assert_eq!(plan["total"][bytes], body.stdout.len());
    }
    let table = mockingbird(&["plan", "configs/high_cardinality.yaml"]);
    assert!(stdout(&table).contains("1,950,000"), "{}", stdout(&table));
}

#[test]
fn dump_writes_otlp_as_one_request_and_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("otlp.yaml");
    let config = "
exporters:
  otel: {enabled: true, endpoint: 'localhost:4318', prefix: o_, histograms: exponential, min_max: true, max_request_bytes: 70000}
metrics:
  - {name: a, type: counter, algorithm: constant, base_rate: 2, labels: {n: {range: [1, 2000]}}}
  - {name: b_seconds, unit: seconds, type: histogram, algorithm: lognormal, mu: 0, sigma: 1}
";
    std::fs::write(&path, config).unwrap();
    let dump = |format: &str| {
        let path = path.to_str().unwrap();
        let output = mockingbird(&["dump", "-c", path, "--tick", "3", "--format", format]);
        assert!(output.status.success(), "{}", stderr(&output));
        output.stdout
    };
    let binary = dump("otlp");
    let request = ExportMetricsServiceRequest::decode(binary.as_slice()).unwrap();
    assert!(request.resource_metrics.len() > 1);
    let json: serde_json::Value = serde_json::from_slice(&dump("otlp-json")).unwrap();
    assert_eq!(json, mockingbird::otlp::json::request(&request));
    let point = "/resourceMetrics/0/scopeMetrics/0/metrics/0/sum/dataPoints/0";
    assert_eq!(json.pointer(point).unwrap()["asDouble"], 6.0);
    let last = request.resource_metrics.len() - 1;
    let metrics = format!("/resourceMetrics/{last}/scopeMetrics/0/metrics");
    let metrics = json.pointer(&metrics).unwrap().as_array().unwrap();
    let histogram = &metrics[metrics.len() - 1];
    assert_eq!(histogram["name"], "o_b_seconds");
    assert_eq!(histogram["unit"], "s");
    let point = &histogram["exponentialHistogram"]["dataPoints"][0];
    assert_eq!(point["count"], "3");
    let [min, max, sum] = ["min", "max", "sum"].map(|field| point[field].as_f64().unwrap());
    let middle = sum - min - max;
    assert!(min <= middle && middle <= max, "{point}");
}

#[test]
fn dump_writes_native_histograms_for_otlp() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("native.yaml");
    let config = "
exporters: {otel: {histograms: native}}
metrics:
  - {name: a, type: histogram, algorithm: lognormal, mu: 0, sigma: 1, observations_per_tick: 50,
     native_histogram: {schema: 2, zero_threshold: 0.5}}
  - {name: b, type: histogram, algorithm: lognormal, mu: 0, sigma: 1, histograms: classic}
  - {name: c, type: histogram, algorithm: lognormal, mu: 0, sigma: 1, histograms: both}
";
    let dump = |config: &str| {
        std::fs::write(&path, config).unwrap();
        let path = path.to_str().unwrap();
        let output = mockingbird(&["dump", "-c", path, "--tick", "3", "--format", "otlp-json"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let mut json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        json["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].take()
    };
    // What a metric asks for goes before.
    let explicit = dump(&config.replace("histograms: native", "histograms: explicit"));
    let kinds = ["histogram", "histogram", "exponentialHistogram"];
    for (metric, kind) in explicit.as_array().unwrap().iter().zip(kinds) {
        assert!(metric[kind].is_object(), "{metric}");
    }
    let metrics = dump(config);
    assert_eq!(metrics[2], explicit[2]);
    let point = &metrics[0]["exponentialHistogram"]["dataPoints"][0];
    let number = |value: &serde_json::Value| value.as_str().unwrap().parse::<u64>().unwrap();
    assert_eq!(
        (&point["scale"], &point["zeroThreshold"]),
        (&2.into(), &0.5.into())
    );
    let counts = point["positive"]["bucketCounts"].as_array().unwrap();
    let zeros = number(&point["zeroCount"]);
    assert_eq!(counts.iter().map(number).sum::<u64>() + zeros, 150);
    // What is not above 0.5 is no bucket's, and the first one ends at 2^(-3/4) at least.
    assert!(
        zeros > 0 && point["positive"]["offset"].as_i64().unwrap() >= -4,
        "{point}"
    );
    let classic = &metrics[1]["histogram"]["dataPoints"][0];
    assert_eq!(classic["count"], "3");
}

#[test]
fn dump_prints_the_messages_that_scrapes_in_protobuf_get() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("protobuf.yaml");
    let config = "
exporters: {prometheus: {prefix: p_}}
global: {epoch: '2026-01-01T00:00:00Z', tick_interval_s: 2}
metrics:
  - {name: a, type: counter, algorithm: constant, base_rate: 2, labels: {n: {range: [1, 9000]}}}
  - {name: b_seconds, unit: seconds, type: gauge, algorithm: constant, start: 0.5}
";
    std::fs::write(&path, config).unwrap();
    let path = path.to_str().unwrap();
    let output = mockingbird(&["dump", "-c", path, "--tick", "3", "--format", "protobuf"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let (mut rest, mut families) = (output.stdout.as_slice(), Vec::new());
    while !rest.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut rest).unwrap());
    }
    let [a, b] = families.as_slice() else {
        panic!("{families:?}")
    };
    assert_eq!((a.name(), a.metric.len()), ("p_a_total", 9000));
    let counter = a.metric[8999].counter.as_ref().unwrap();
    assert_eq!(counter.value(), 12.0);
    // It counts from tick 0 on.
    let began = counter.created_timestamp.unwrap();
    assert_eq!((began.seconds, began.nanos), (1_767_225_600, 0));
    assert_eq!((b.name(), b.unit()), ("p_b_seconds", "seconds"));
    assert_eq!(b.metric[0].gauge.unwrap().value(), 0.5);
}

/// A journal tells of the ticks that there were: of one that is not known to be one of them,
/// that is said, and at once.
#[test]
fn dump_knows_how_far_a_journal_reaches() {
    let folder = tempfile::tempdir().unwrap();
    let path = write_config(folder.path(), 8000, ("", "", SMALL));
    let config = mockingbird::config::load(&path).unwrap();
    let epoch_ns = jiff::Timestamp::now().as_second() * 1_000_000_000 - 100_000_000_000;
    let line = |tick: u64, event| {
        let time_ns = epoch_ns + tick as i64 * 1_000_000_000;
        Entry {
            tick,
            time_ns,
            event,
        }
        .line()
    };
    let start = Start {
        version: "0".into(),
        epoch_ns,
        catches_up: false,
        fingerprint: mockingbird::config::fingerprint(&config),
        config,
    };
    let start = line(0, Event::Start(Box::new(start)));
    let at_ns = epoch_ns + 11_500_000_000;
    let end = line(12, Event::Stop(at_ns));
    let copy = line(12, Event::Copied(at_ns));
    let none = line(0, Event::Stop(epoch_ns));
    let journal = folder.path().join("run.journal");
    for (rest, tick, code, said) in [
        (&*end, "11", 0, ""),
        (&end, "12", 2, "there is no tick 12: the run ended at "),
        (&end, "100000000", 2, " with tick 11"),
        (&none, "0", 2, "before its first one"),
        (&copy, "11", 0, ""),
        (&copy, "12", 2, "it is a copy that was made at "),
        (&copy, "100000000", 2, "is not there yet"),
        // It was killed, nobody knows when.
        ("", "20", 0, "whether the run came to tick 20 ("),
        (
            "",
            "100000000",
            2,
            "tick 100000000 is not there yet: its time is ",
        ),
    ] {
        std::fs::write(&journal, format!("{start}{rest}")).unwrap();
        let journal = journal.to_str().unwrap();
        let output = mockingbird(&["dump", "--journal", journal, "--tick", tick]);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{rest}{tick}: {text}");
        assert!(text.contains(said), "{rest}{tick}: {text}");
        assert_eq!(text.is_empty(), said.is_empty(), "{rest}{tick}: {text}");
        assert_eq!(stdout(&output).contains("hits_total"), code == 0, "{tick}");
    }
}

#[test]
fn dump_depends_on_tick_metric_and_epoch_but_not_on_threads() {
    let dump = |more: &[&str]| {
        let arguments = [
            "dump",
            "--config",
            "configs/production_sim.yaml",
            "--tick",
            "7",
        ];
        let output = mockingbird(&[&arguments[..], more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let whole = dump(&["--threads", "1"]);
    assert_eq!(whole, dump(&["--threads", "7"]));
    let one = dump(&["--metric", "queue_depth"]);
    assert!(whole.contains(&one) && one.lines().count() > 3);
    assert_ne!(whole, dump(&["--epoch", "2026-03-04T05:06:07Z"]));
    assert_eq!(whole, dump(&["--epoch", "1970-01-01T00:00:00Z"]));
    let unknown = mockingbird(&[
        "dump",
        "-c",
        "configs/baseline.yaml",
        "--tick",
        "1",
        "--metric",
        "x",
    ]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("cpu_usage"));
    // The name that the file and the scrape show is as good as the base name.
    let full = dump(&["--metric", "http_requests_total"]);
    assert!(whole.contains(&full) && full == dump(&["--metric", "http_requests"]));
    let late = mockingbird(&[
        "dump",
        "-c",
        "configs/baseline.yaml",
        "--tick",
        "18446744073709551615",
    ]);
    assert_eq!(late.status.code(), Some(2));
    assert!(stderr(&late).contains("2262"));
}

#[test]
fn a_closed_pipe_ends_a_dump_quietly() {
    let mut child = Command::new(BINARY)
        .args(["dump", "-c", "configs/million.yaml", "--tick", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.starts_with("# HELP"));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_taken_port_is_told_with_who_asked_for_it() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let path = write_config(folder.path(), port, ("", "", SMALL));
    let output = mockingbird(&["--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!(":{port} for exporters.prometheus")));
}

#[test]
fn both_signals_stop_it_cleanly() {
    for name in ["INT", "TERM"] {
        let mut running = Running::start("tick_interval_s: 3600", SMALL);
        let asked = Instant::now();
        running.signal(name);
        let status = running.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "SIG{name}");
        // A second is the promise; the rest is for a loaded machine.
        assert!(asked.elapsed() < Duration::from_secs(5));
        let mut text = String::new();
        running
            .child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert!(
            text.contains("1 series, 1 samples per scrape and self-metrics"),
            "{text}"
        );
        assert!(
            text.contains(&format!("localhost:{}/metrics", running.port)),
            "{text}"
        );
    }
}

/// Nobody reads it any more, or the disk is full.
#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let mut running = Running::start("tick_interval_s: 1", SMALL);
    drop(running.child.stderr.take());
    running.signal("INT");
    assert_eq!(running.child.wait().unwrap().code(), Some(0));

    let mut check = Command::new(BINARY);
    check.args(["check", "nope.yaml"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    if let Ok(full) = full {
        let status = check.stderr(full).status().unwrap();
        assert_eq!(status.code(), Some(2));
    }
}

#[test]
fn the_metrics_port_serves_scrapes_health_and_a_page() {
    let running = Running::start("tick_interval_s: 0.05", SMALL);
    let text = running.get("/metrics", "");
    assert!(
        text.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"),
        "{text}"
    );
    assert!(text.contains("\nhits_total "));
    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.6,*/*;q=0.2\r\n";
    let open = running.get("/metrics", accept);
    assert!(open.contains("Content-Type: application/openmetrics-text; version=1.0.0"));
    assert!(open.ends_with("# EOF\n") && open.contains("\nhits_total "));
    assert!(!open.contains("_created"), "{open}");
    let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                    encoding=delimited";
    let messages = running.get(
        "/metrics",
        &format!("Accept: {protobuf};q=0.6,*/*;q=0.5\r\n"),
    );
    let content_type = protobuf.replace(';', "; ");
    assert!(
        messages.contains(&format!("Content-Type: {content_type}\r\n")),
        "{messages}"
    );
    assert!(messages.contains("hits_total"));
    assert!(running.get("/healthz", "").contains("\"status\":\"ok\""));
    assert!(running.get("/", "").contains("href=\"/metrics\""));
    assert!(running.get("/nothing", "").starts_with("HTTP/1.1 404"));
    let mut last = 0.0;
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(200));
        let body = running.get("/metrics", "");
        assert!(value(&body, "gen_ticks_total") > last);
        last = value(&body, "gen_ticks_total");
    }
    let body = running.get("/metrics", "");
    assert!(value(&body, "gen_scrapes_total") >= 4.0);
    assert!(value(&body, "process_resident_memory_bytes") > 1e6);
    assert!(body.contains("gen_points_total{metric_name=\"hits\"}"));
    assert!(body.contains("gen_build_info{version=\"0.1.0\"} 1"));
    // Which run this is.
    let epoch = body
        .split("\ngen_epoch_seconds{fingerprint=\"")
        .nth(1)
        .unwrap();
    let (fingerprint, epoch) = epoch.split_once("\"} ").unwrap();
    assert_eq!(fingerprint.len(), 16, "{fingerprint}");
    let epoch: f64 = epoch.lines().next().unwrap().parse().unwrap();
    let now = jiff::Timestamp::now().as_millisecond() as f64 / 1e3;
    assert!((now - 600.0..=now).contains(&epoch), "{epoch}");
}

#[test]
fn openmetrics_tells_when_series_began_where_that_is_asked_for() {
    let accept = "Accept: application/openmetrics-text;version=1.0.0\r\n";
    let running = Running::start_with("created: true", "tick_interval_s: 0.05", SMALL);
    let open = running.get("/metrics", accept);
    for name in ["hits_created", "gen_ticks_created"] {
        let created = value(&open, name);
        assert!((1.7e9..1e10).contains(&created), "{name} {created}");
    }
    assert!(!running.get("/metrics", "").contains("_created"));
    let path = running.folder.path().join("config.yaml");
    let path = path.to_str().unwrap();
    let plan = mockingbird(&["plan", "--json", path]);
    let plan: serde_json::Value = serde_json::from_str(stdout(&plan)).unwrap();
    assert_eq!(plan["total"]["samples_text"], 1);
    assert_eq!(plan["total"]["samples_openmetrics"], 2);
    let dump = |format| mockingbird(&["dump", "-c", path, "--tick", "1", "--format", format]);
    assert!(stdout(&dump("openmetrics")).contains("\nhits_created 0\n"));
    assert!(!stdout(&dump("text")).contains("_created"));
}

#[test]
fn scrapes_select_families_by_name_and_every_answer_has_a_date() {
    let running = Running::start("tick_interval_s: 0.05", SMALL);
    let samples = |query: &str, headers: &str| -> (Vec<String>, String) {
        let answer = running.get(&format!("/metrics{query}"), headers);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let lines = body.lines().filter(|line| !line.starts_with("# "));
        let names = lines.map(|line| line.split([' ', '{']).next().unwrap().to_owned());
        (names.collect(), body.to_owned())
    };
    assert_eq!(samples("?name[]=hits_total", "").0, ["hits_total"]);
    assert_eq!(samples("?name%5B%5D=hits%5Ftotal", "").0, ["hits_total"]);
    let two = samples("?name[]=gen_ticks_total&x=y&name[]=hits_total", "").0;
    assert_eq!(two, ["hits_total", "gen_ticks_total"]);
    assert_eq!(samples("?name[]=nothing", ""), (vec![], String::new()));
    let accept = "Accept: application/openmetrics-text;version=1.0.0\r\n";
    let (names, body) = samples("?name[]=hits", accept);
    assert_eq!(names, ["hits_total"]);
    assert!(body.ends_with("# EOF\n"), "{body}");
    assert_eq!(samples("?name[]=nothing", accept).1, "# EOF\n");
    assert!(samples("?other=x", "").0.len() > 10);
    let malformed = running.get("/metrics?name[]=%zz", "");
    assert!(malformed.starts_with("HTTP/1.1 400"), "{malformed}");
    for path in [
        "/metrics",
        "/healthz",
        "/",
        "/nothing",
        "/metrics?name[]=%zz",
    ] {
        let answer = running.get(path, "");
        let date = answer.split_once("\r\nDate: ").expect("a date").1;
        let date = date.split_once("\r\n").unwrap().0;
        assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
    }
}

#[test]
fn a_configuration_may_come_on_standard_input() {
    let with_input = |arguments: &[&str], input: &str| {
        let mut child = Command::new(BINARY)
            .args(arguments)
            .env_remove("LOG_LEVEL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    };
    let checked = with_input(&["check", "-"], SMALL);
    assert!(stdout(&checked).starts_with("<stdin>: ok, 1 metrics"));
    let wrong = with_input(&["check", "-"], "metrics: [{name: a, type: guage}]");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        stderr(&wrong).contains("<stdin>:1:27: "),
        "{}",
        stderr(&wrong)
    );
    let plan = with_input(&["plan", "-"], SMALL);
    assert!(plan.status.success(), "{}", stderr(&plan));
    let dump = with_input(&["dump", "--config", "-", "--tick", "1"], SMALL);
    assert!(stdout(&dump).contains("hits_total "), "{}", stderr(&dump));
    // A run reads its file again.
    let run = with_input(&["--config", "-"], SMALL);
    assert_eq!(run.status.code(), Some(2));
    assert!(
        stderr(&run).contains("a run needs a file"),
        "{}",
        stderr(&run)
    );
}

#[test]
fn a_scrape_shows_what_dump_shows_of_its_tick() {
    // Ticks since the epoch are run before the first scrape.
    let epoch = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(3);
    let epoch = epoch.round(jiff::Unit::Second).unwrap();
    let global = format!("tick_interval_s: 0.1, epoch: '{epoch}'");
    let running = Running::start(&global, SMALL);
    let body = running.get("/metrics", "");
    let tick = value(&body, "gen_ticks_total");
    assert!(tick >= 20.0, "ticks since the epoch were run: {tick}");
    let path = running.folder.path().join("config.yaml");
    let dump = mockingbird(&[
        "dump",
        "-c",
        path.to_str().unwrap(),
        "--tick",
        &tick.to_string(),
    ]);
    assert_eq!(
        value(&body, "hits_total"),
        value(stdout(&dump), "hits_total")
    );
}

#[test]
fn slow_readers_delay_neither_ticks_nor_other_scrapes() {
    let running = Running::start("tick_interval_s: 0.2", LARGE);
    // These never read: their bodies stop at what the kernel buffers.
    let _stuck: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = running.connect().unwrap();
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                .unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let first = running.get("/metrics", "");
    std::thread::sleep(Duration::from_secs(2));
    let later = running.get("/metrics", "");
    assert_eq!(later.matches("\nhits{").count(), 300_000);
    assert!(value(&later, "gen_ticks_total") >= value(&first, "gen_ticks_total") + 3.0);
    assert_eq!(
        value(&later, "gen_export_queue_depth{exporter=\"prometheus\"}"),
        8.0
    );
}

/// Every body shows one tick: with a constant increment and no two ticks alike,
/// all series of a body have the value that its tick number says.
#[test]
fn scrapes_at_the_same_time_are_complete_and_of_one_tick() {
    let metrics = "profiles: {p: {labels: {user: {range: [1, 100000]}}}}\n\
        metrics: [{name: hits, profile: p, type: counter, algorithm: constant, increment: 1}]";
    let running = Running::start("tick_interval_s: 0.05", metrics);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..3 {
                    let body = running.get("/metrics", "");
                    let tick = value(&body, "gen_ticks_total");
                    let hits: Vec<&str> = body
                        .lines()
                        .filter(|line| line.starts_with("hits_total{"))
                        .collect();
                    assert_eq!(hits.len(), 100_000);
                    let expected = format!(" {tick}");
                    assert!(hits.iter().all(|line| line.ends_with(&expected)));
                }
            });
        }
    });
}

#[test]
fn logs_can_be_json_lines() {
    let mut running = Running::start("log_format: json", SMALL);
    running.signal("TERM");
    running.child.wait().unwrap();
    let mut text = String::new();
    running
        .child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(text.lines().count() >= 2, "{text}");
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(record["level"].is_string() && record["message"].is_string());
    }
}
