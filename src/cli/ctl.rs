//! `ctl`: talks to the control API of a running instance. Arguments in, the
//! instance's reply as text out (`ctl_text`).

use std::collections::HashSet;
use std::io::Read as _;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};
use ureq::Agent;
use ureq::http::Request;

use super::values::{count, finite, label, percent, seconds};
use super::{ctl_text, print, variable};
use crate::app::RunError;
use crate::causes::unanswered;

/// Longer than the instance takes for anything, a reload included.
const TIMEOUT: Duration = Duration::from_secs(90);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of a reply that are read: a whole journal.
const REPLY_BYTES_MAX: u64 = 128 << 20;
/// Takes the place of --url.
const URL_VARIABLE: &str = "MOCKINGBIRD_URL";
const URL_DEFAULT: &str = "http://localhost:8081";
/// Holds the token, where the instance asks for one.
const TOKEN_VARIABLE: &str = "MOCKINGBIRD_CONTROL_TOKEN";

const EXAMPLES: &str = "\
Examples:
  mockingbird ctl status
  mockingbird ctl spike http_requests_total --multiplier 5 --duration 1m --label region=us-east-1
  mockingbird ctl spike --end http_requests_total
  mockingbird ctl error-rate http_requests_total --rate 0.2 --duration 30
  mockingbird ctl fault reset --metric http_requests_total
  mockingbird ctl fault scrape_error --status 500 --rate 0.1 --duration 60
  mockingbird ctl fault --end 3
  mockingbird ctl rollout pods deployment --over 10m --label namespace=shop
  mockingbird ctl restart pods pod --percent 5 --down 30s
  mockingbird ctl outage pods node --label node=worker-07 --down 5m --move
  mockingbird ctl size pods pod 50% --over 1h
  mockingbird ctl scenario deploy_gone_wrong
  mockingbird ctl scenario deploy_gone_wrong --stop
  mockingbird ctl reload
  mockingbird ctl journal > run.journal
  mockingbird ctl series --metric http_requests_total --match region=us-east-1 --limit 5

Environment:
  MOCKINGBIRD_URL            instead of --url
  MOCKINGBIRD_CONTROL_TOKEN  the token, where the instance asks for one

Exit codes: 0 done, 1 not reached or not able to, 2 refused.";

/// Arguments of `ctl`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CtlArgs {
    /// Where the instance's control API is. Default: `MOCKINGBIRD_URL`, else
    /// <http://localhost:8081>.
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// The instance's reply as it is.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Ctl,
}

#[derive(Debug, Subcommand)]
enum Ctl {
    /// Tell what runs and what is in effect.
    Status,
    /// Multiply a metric's rate or value for a while.
    Spike(SpikeArgs),
    /// Leave out points of a metric for a while.
    ErrorRate(ErrorRateArgs),
    /// Let something go wrong.
    Fault(FaultArgs),
    /// Replace what is below each value of a label, in order: a deployment's pods.
    Rollout(RolloutArgs),
    /// Let entities of a label begin again from zero, as they are.
    Restart(RestartArgs),
    /// Let everything with some values of a label vanish, and return or move.
    Outage(OutageArgs),
    /// Replace entities of a label, each at a time of its own.
    Replace(ReplaceArgs),
    /// Give entities of a label new identities at once.
    Relabel(RelabelArgs),
    /// Change how many entities of a label exist.
    Size(SizeArgs),
    /// Start or stop a scenario of the configuration.
    Scenario {
        /// Its name.
        name: String,
        /// Stop it and what it began.
        #[arg(long)]
        stop: bool,
    },
    /// Read the configuration's file again.
    Reload,
    /// Set the log threshold: off, error, warning, info, debug or trace.
    Loglevel {
        /// The threshold.
        level: String,
    },
    /// Print the journal of the run.
    Journal,
    /// List series with their labels and values.
    Series(SeriesArgs),
}

/// On which metric something acts for a while, or ends.
#[derive(Debug, Args)]
struct OnMetric {
    /// Base name of the metric.
    #[arg(required_unless_present = "end", conflicts_with = "end")]
    metric: Option<String>,
    /// How long: seconds, or 90s, 5m, 1h30m.
    #[arg(
        long,
        value_name = "DURATION",
        required_unless_present = "end",
        conflicts_with = "end",
        allow_negative_numbers = true,
        value_parser = seconds
    )]
    duration: Option<f64>,
    /// Only series with this label value; may be repeated.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label, conflicts_with = "end")]
    labels: Vec<(String, String)>,
    /// End all of this kind on a metric.
    #[arg(long, value_name = "METRIC")]
    end: Option<String>,
}

#[derive(Debug, Args)]
struct SpikeArgs {
    /// Factor, 0 to 1e9.
    #[arg(
        long,
        value_name = "F",
        required_unless_present = "end",
        conflicts_with = "end",
        allow_negative_numbers = true,
        value_parser = finite
    )]
    multiplier: Option<f64>,
    /// What is multiplied. Default: a counter's rate, else values.
    #[arg(long, conflicts_with = "end")]
    target: Option<TargetArg>,
    #[command(flatten)]
    on: OnMetric,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TargetArg {
    /// A counter's rate; how many observations.
    Rate,
    /// A gauge's value; the observed values.
    Value,
}

#[derive(Debug, Args)]
struct ErrorRateArgs {
    /// Probability of each point, 0 to 1.
    #[arg(
        long,
        value_name = "P",
        required_unless_present = "end",
        conflicts_with = "end",
        allow_negative_numbers = true,
        value_parser = finite
    )]
    rate: Option<f64>,
    #[command(flatten)]
    on: OnMetric,
}

#[derive(Debug, Args)]
struct FaultArgs {
    /// nan, reset, stale, `scrape_error`, `scrape_delay`, `scrape_truncate` or `push_error`.
    #[arg(required_unless_present = "end", conflicts_with = "end")]
    kind: Option<String>,
    /// Base name of the metric (nan, reset, stale). Default: all.
    #[arg(long, conflicts_with = "end")]
    metric: Option<String>,
    /// Only series with this label value; may be repeated.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label, conflicts_with = "end")]
    labels: Vec<(String, String)>,
    /// Probability, 0 to 1. Default: 1.
    #[arg(
        long,
        value_name = "P",
        conflicts_with = "end",
        allow_negative_numbers = true,
        value_parser = finite
    )]
    rate: Option<f64>,
    /// HTTP status (`scrape_error`).
    #[arg(long, value_name = "CODE", conflicts_with = "end")]
    status: Option<u64>,
    /// By how long scrapes are late (`scrape_delay`): seconds, or 500ms.
    #[arg(
        long,
        value_name = "DURATION",
        conflicts_with = "end",
        allow_negative_numbers = true,
        value_parser = seconds
    )]
    delay: Option<f64>,
    /// How long: seconds, or 90s, 5m. Default: until it is ended; a reset happens once.
    #[arg(
        long,
        value_name = "DURATION",
        conflicts_with = "end",
        allow_negative_numbers = true,
        value_parser = seconds
    )]
    duration: Option<f64>,
    /// End the fault with this id, as `ctl status` tells it.
    #[arg(long, value_name = "ID")]
    end: Option<u64>,
}

/// What comes or goes.
#[derive(Debug, Args)]
struct OnEntities {
    /// Name of the profile.
    profile: String,
    /// The label to whose entities it happens.
    #[arg(value_name = "LABEL")]
    of: String,
    /// Only entities that have this label value just before; may be repeated.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mockingbird ctl rollout pods deployment --over 10m --overlap 30s\n  mockingbird ctl rollout pods deployment --label namespace=shop --percent 50"
)]
struct RolloutArgs {
    #[command(flatten)]
    on: OnEntities,
    /// How many of the label's values take part, 0 to 100 (also 20%). Default: 100.
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = percent)]
    percent: Option<f64>,
    /// How long it takes: seconds, or 10m. Default: all at once.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true, value_parser = seconds)]
    over: Option<f64>,
    /// For how long old and new exist together: seconds, or 30s. Default: not at all.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true, value_parser = seconds)]
    overlap: Option<f64>,
    /// Share of the label's values that are rolled back after half of --over, 0 to 1; all
    /// without a number.
    #[arg(
        long,
        value_name = "SHARE",
        num_args = 0..=1,
        default_missing_value = "1",
        allow_negative_numbers = true,
        value_parser = finite
    )]
    back: Option<f64>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  mockingbird ctl restart pods pod --percent 5 --down 30s")]
struct RestartArgs {
    #[command(flatten)]
    on: OnEntities,
    /// How many take part, 0 to 100 (also 20%). Default: 100.
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = percent)]
    percent: Option<f64>,
    /// Over how long it is spread: seconds, or 10m. Default: all at once.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true, value_parser = seconds)]
    over: Option<f64>,
    /// How long each is gone: seconds, or 30s. Default: not at all.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true, value_parser = seconds)]
    down: Option<f64>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mockingbird ctl outage pods node --label node=worker-07 --down 5m --move"
)]
struct OutageArgs {
    #[command(flatten)]
    on: OnEntities,
    /// How many of the label's values fail, 0 to 100 (also 20%). Default: 100.
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = percent)]
    percent: Option<f64>,
    /// For how long: seconds, or 5m.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true, value_parser = seconds)]
    down: f64,
    /// Entities go to other values of the label at once, as new ones.
    #[arg(long = "move")]
    moves: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  mockingbird ctl replace pods pod --over 1h")]
struct ReplaceArgs {
    #[command(flatten)]
    on: OnEntities,
    /// Over how long it is spread: seconds, or 10m. Default: all at once.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true, value_parser = seconds)]
    over: Option<f64>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  mockingbird ctl relabel pods pod --percent 10")]
struct RelabelArgs {
    #[command(flatten)]
    on: OnEntities,
    /// How many take part, 0 to 100 (also 20%). Default: 100.
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = percent)]
    percent: Option<f64>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mockingbird ctl size pods pod 50% --over 1h\n  mockingbird ctl size pods pod 200\n  mockingbird ctl size pods pod 20 --label namespace=shop"
)]
struct SizeArgs {
    /// Name of the profile.
    profile: String,
    /// The label.
    #[arg(value_name = "LABEL")]
    of: String,
    /// How many there are in the end: a number (also 10k), or 50% of all there can be.
    to: String,
    /// Only of entities that have this label value, which no law changes; may be repeated.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// How long the change takes: seconds, or 10m. Default: none at all.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true, value_parser = seconds)]
    over: Option<f64>,
}

#[derive(Debug, Args)]
struct SeriesArgs {
    /// Base name of the metric. Default: all.
    #[arg(long)]
    metric: Option<String>,
    /// Only series with these label values: NAME=VALUE, separated by commas.
    #[arg(long = "match", value_name = "LABELS")]
    matching: Option<String>,
    /// Series at most, 1 to 10000.
    #[arg(long, value_name = "N", value_parser = count)]
    limit: Option<u64>,
}

impl Ctl {
    /// Refuses two values of one label, which no series has.
    fn check_labels(&self) -> Result<(), RunError> {
        let labels = match self {
            Self::Spike(args) => &args.on.labels,
            Self::ErrorRate(args) => &args.on.labels,
            Self::Fault(args) => &args.labels,
            Self::Rollout(args) => &args.on.labels,
            Self::Restart(args) => &args.on.labels,
            Self::Outage(args) => &args.on.labels,
            Self::Replace(args) => &args.on.labels,
            Self::Relabel(args) => &args.on.labels,
            _ => return Ok(()),
        };
        let mut names = HashSet::new();
        match labels.iter().find(|(name, _)| !names.insert(name)) {
            Some((name, _)) => Err(RunError::Config(format!(
                "--label {name} is given twice, and a series has one value of a label; give one \
                 command for each"
            ))),
            None => Ok(()),
        }
    }
}

/// Asks the instance and prints its reply.
pub(super) fn ctl(args: CtlArgs) -> Result<(), RunError> {
    let is_journal = matches!(args.command, Ctl::Journal);
    args.command.check_labels()?;
    let call = Call::of(args.command);
    let url = args.url.or_else(|| variable(URL_VARIABLE));
    let url = url.as_deref().unwrap_or(URL_DEFAULT).trim_end_matches('/');
    // As everywhere else, a host and a port are enough.
    let url = if url.contains("://") || !url.contains(':') {
        url.to_owned()
    } else {
        format!("http://{url}")
    };
    let reply = send(&url, &call)?;
    if args.json || is_journal {
        return print(reply.as_bytes());
    }
    let value = serde_json::from_str(&reply)
        .map_err(|_| RunError::Run(format!("{url}: the reply is no JSON; is this Mockingbird?")))?;
    print((call.text)(&value).as_bytes())
}

/// What is asked of the instance.
struct Call {
    method: &'static str,
    path: String,
    body: Option<Value>,
    /// The reply for people.
    text: fn(&Value) -> String,
}

impl Call {
    fn get(path: String, text: fn(&Value) -> String) -> Self {
        Self {
            method: "GET",
            path,
            body: None,
            text,
        }
    }

    fn post(name: &str, body: Value, text: fn(&Value) -> String) -> Self {
        Self {
            method: "POST",
            path: format!("/control/{name}"),
            body: Some(body),
            text,
        }
    }

    fn delete(name: &str, item: &str) -> Self {
        Self {
            method: "DELETE",
            path: format!("/control/{name}/{}", encoded(item)),
            body: None,
            text: ctl_text::ended,
        }
    }

    /// Begins what acts on a metric, with fields of its own, or ends it.
    fn on_metric<const N: usize>(
        name: &str,
        on: OnMetric,
        own: [(&str, Option<Value>); N],
    ) -> Self {
        if let Some(metric) = on.end {
            return Self::delete(name, &metric);
        }
        let common = [
            ("metric", on.metric.map(Value::from)),
            ("duration_s", on.duration.map(Value::from)),
            ("labels", labels(on.labels)),
        ];
        let fields = own.into_iter().chain(common);
        Self::post(name, body(fields), ctl_text::begun)
    }

    /// Orders what happens to entities, with fields of its own.
    fn on_entities<const N: usize>(
        mode: &str,
        on: OnEntities,
        own: [(&str, Option<Value>); N],
    ) -> Self {
        let common = [
            ("mode", Some(mode.into())),
            ("profile", Some(on.profile.into())),
            ("label", Some(on.of.into())),
            ("labels", labels(on.labels)),
        ];
        Self::post(
            "churn",
            body(common.into_iter().chain(own)),
            ctl_text::ordered,
        )
    }

    fn of(command: Ctl) -> Self {
        match command {
            Ctl::Rollout(args) => {
                let own = [
                    ("percent", args.percent.map(Value::from)),
                    ("over", args.over.map(Value::from)),
                    ("overlap", args.overlap.map(Value::from)),
                    ("back", args.back.map(Value::from)),
                ];
                Self::on_entities("rollout", args.on, own)
            }
            Ctl::Restart(args) => {
                let own = [
                    ("percent", args.percent.map(Value::from)),
                    ("over", args.over.map(Value::from)),
                    ("down", args.down.map(Value::from)),
                ];
                Self::on_entities("restart", args.on, own)
            }
            Ctl::Outage(args) => {
                let own = [
                    ("percent", args.percent.map(Value::from)),
                    ("down", Some(args.down.into())),
                    ("move", args.moves.then(|| true.into())),
                ];
                Self::on_entities("outage", args.on, own)
            }
            Ctl::Replace(args) => {
                let own = [("over", args.over.map(Value::from))];
                Self::on_entities("replace", args.on, own)
            }
            Ctl::Relabel(args) => {
                let own = [("percent", args.percent.map(Value::from))];
                Self::on_entities("relabel", args.on, own)
            }
            Ctl::Size(args) => {
                let body = body([
                    ("profile", Some(args.profile.into())),
                    ("label", Some(args.of.into())),
                    ("labels", labels(args.labels)),
                    ("to", Some(args.to.into())),
                    ("over", args.over.map(Value::from)),
                ]);
                Self::post("size", body, ctl_text::ordered)
            }
            Ctl::Status => Self::get("/status".into(), ctl_text::status),
            Ctl::Journal => Self::get("/control/journal".into(), Value::to_string),
            Ctl::Series(args) => Self::get(args.path(), ctl_text::series),
            Ctl::Reload => Self::post("reload", json!({}), ctl_text::reloaded),
            Ctl::Loglevel { level } => {
                Self::post("loglevel", json!({"level": level}), ctl_text::log_level)
            }
            Ctl::Scenario { name, stop: true } => Self::delete("scenario", &name),
            Ctl::Scenario { name, stop: false } => {
                Self::post("scenario", json!({"scenario": name}), ctl_text::started)
            }
            Ctl::Fault(FaultArgs { end: Some(id), .. }) => Self::delete("fault", &id.to_string()),
            Ctl::Spike(args) => {
                let target = args.target.map(|target| match target {
                    TargetArg::Rate => "rate",
                    TargetArg::Value => "value",
                });
                let own = [
                    ("multiplier", args.multiplier.map(Value::from)),
                    ("target", target.map(Value::from)),
                ];
                Self::on_metric("spike", args.on, own)
            }
            Ctl::ErrorRate(args) => {
                let own = [("rate", args.rate.map(Value::from))];
                Self::on_metric("error_rate", args.on, own)
            }
            Ctl::Fault(args) => {
                let body = body([
                    ("kind", args.kind.map(Value::from)),
                    ("metric", args.metric.map(Value::from)),
                    ("labels", labels(args.labels)),
                    ("rate", args.rate.map(Value::from)),
                    ("status", args.status.map(Value::from)),
                    ("delay_s", args.delay.map(Value::from)),
                    ("duration_s", args.duration.map(Value::from)),
                ]);
                Self::post("fault", body, ctl_text::begun)
            }
        }
    }
}

impl SeriesArgs {
    fn path(self) -> String {
        let mut fields = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            fields.extend(value.map(|value| format!("{name}={}", encoded(&value))));
        };
        add("metric", self.metric);
        add("match", self.matching);
        add("limit", self.limit.map(|limit| limit.to_string()));
        match fields.join("&") {
            query if query.is_empty() => "/series".into(),
            query => format!("/series?{query}"),
        }
    }
}

/// The fields that are given.
fn body<'a>(fields: impl IntoIterator<Item = (&'a str, Option<Value>)>) -> Value {
    let fields = fields.into_iter();
    let given = fields.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect())
}

fn labels(pairs: Vec<(String, String)>) -> Option<Value> {
    let labels: Map<String, Value> = pairs.into_iter().map(|(k, v)| (k, v.into())).collect();
    (!labels.is_empty()).then(|| labels.into())
}

/// Percent-encodes a part of a path or query.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// The reply to a call that was successful.
fn send(url: &str, call: &Call) -> Result<String, RunError> {
    let unusable =
        |error: &dyn std::fmt::Display| RunError::Config(format!("--url {url}: {error}"));
    let failed = |error: &dyn std::fmt::Display| RunError::Run(format!("{url}: {error}"));
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .build()
        .into();
    let mut request = Request::builder()
        .method(call.method)
        .uri(format!("{url}{}", call.path));
    if let Some(token) = variable(TOKEN_VARIABLE) {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let sent = match &call.body {
        Some(body) => {
            let request = request.header("Content-Type", "application/json");
            let request = request.body(body.to_string());
            agent.run(request.map_err(|error| unusable(&error))?)
        }
        None => agent.run(request.body(()).map_err(|error| unusable(&error))?),
    };
    let mut response = sent.map_err(|error| match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => unusable(&error),
        error => {
            let error = unanswered(&error);
            failed(&format_args!(
                "{error}; its port is global.control_api_port"
            ))
        }
    })?;
    let status = response.status();
    let mut reply = String::new();
    let reader = response.body_mut().as_reader();
    reader
        .take(REPLY_BYTES_MAX + 1)
        .read_to_string(&mut reply)
        .map_err(|error| failed(&error))?;
    if reply.len() as u64 > REPLY_BYTES_MAX {
        let mib = REPLY_BYTES_MAX >> 20;
        return Err(RunError::Run(format!(
            "{url}: the reply is larger than {mib} MiB"
        )));
    }
    if status.is_success() {
        return Ok(reply);
    }
    let message = ctl_text::refusal(status.as_u16(), &reply);
    match status.as_u16() {
        400..500 => Err(RunError::Config(message)),
        _ => Err(RunError::Run(message)),
    }
}
