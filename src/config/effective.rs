//! The configuration in force as JSON, and its fingerprint.
//!
//! `global` and `exporters` have every default and what the environment said; what
//! is generated stands as it was read (`source`). So the document is itself a
//! configuration: read without an environment it gives the same one, except for
//! its path, its notes and what is secret.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3;

use super::json::seconds;
use super::{
    Compression, Config, Global, HistogramForm, Instance, LogFormat, Names, Otel, Password,
    Prometheus, RemoteWrite, RemoteWriteVersion, TargetLaw, Targets, Temporality, shown_url,
    variables,
};

/// What stands in the place of a secret.
pub const MASKED: &str = "***";

/// The configuration in force as a document that [`super::load_value`] reads.
///
/// Tokens, passwords and the values of headers are masked.
pub fn effective(config: &Config) -> Value {
    let mut document = config.source.sections();
    document.insert("global".into(), global(&config.global));
    let remote_writes = config.remote_writes.iter();
    let exporters = json!({
        "prometheus": prometheus(&config.prometheus),
        "otel": otel(&config.otel, &config.path),
        "remote_write": remote_writes
            .map(|one| remote_write(one, &config.path))
            .collect::<Value>(),
    });
    document.insert("exporters".into(), exporters);
    let mut document = document.into();
    // Variables were expanded; what looks like one is text.
    variables::escape(&mut document);
    document
}

/// 16 hexadecimal digits of what determines the values: equal for equal values,
/// whatever the exporters, ports, logs and threads, by one version of the program.
pub fn fingerprint(config: &Config) -> String {
    let Global {
        tick_interval_ns,
        seed,
        epoch_ns,
        ..
    } = config.global;
    let (metrics, scenarios, runtime) = (&config.metrics, &config.scenarios, &config.runtime);
    let mut hash = HashText(Xxh3::new());
    // Numbers have all their digits, and texts are in quotes.
    let global = (tick_interval_ns, seed, epoch_ns);
    write!(hash, "{global:?} {metrics:?} {scenarios:?} {runtime:?}").expect("a hash takes it all");
    format!("{:016x}", hash.0.digest())
}

/// Hashes the text that is written to it.
struct HashText(Xxh3);

impl Write for HashText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

fn epoch(epoch_ns: Option<i64>) -> Value {
    let time = epoch_ns.map(|ns| jiff::Timestamp::from_nanosecond(ns.into()));
    match time {
        Some(Ok(time)) => time.to_string().into(),
        _ => Value::Null,
    }
}

fn global(global: &Global) -> Value {
    json!({
        "tick_interval_s": seconds(global.tick_interval_ns),
        "seed": global.seed,
        "log_level": match global.log_level {
            log::LevelFilter::Off | log::LevelFilter::Error => "ERROR",
            log::LevelFilter::Warn => "WARNING",
            log::LevelFilter::Info => "INFO",
            log::LevelFilter::Debug | log::LevelFilter::Trace => "DEBUG",
        },
        "log_format": match global.log_format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        },
        "epoch": epoch(global.epoch_ns),
        "control_api_port": global.control_api_port,
        "control_api_bind": global.control_api_bind,
        "control_api_token": global.control_api_token.as_ref().map(|_| MASKED),
        "control_api_hosts": global.control_api_hosts,
        "journal_file": global.journal_file.as_ref().map(|path| path.to_string_lossy()),
        "threads": global.threads,
        "max_series": global.max_series,
        "names": match global.names {
            Names::Legacy => "legacy",
            Names::Utf8 => "utf8",
        },
        "self_metrics_prefix": global.self_metrics_prefix,
    })
}

fn prometheus(prometheus: &Prometheus) -> Value {
    json!({
        "enabled": prometheus.enabled,
        "port": prometheus.port,
        "bind_address": prometheus.bind_address,
        "prefix": prometheus.prefix,
        "timestamps": prometheus.timestamps,
        "created": prometheus.created,
        "histograms": prometheus.histograms.name_in(&HistogramForm::OF_PROMETHEUS),
        "max_connections": prometheus.max_connections,
        "targets": prometheus.targets.as_ref().map(targets),
    })
}

fn targets(targets: &Targets) -> Value {
    let (by, count) = match &targets.law {
        TargetLaw::By(labels) => (Some(labels), None),
        TargetLaw::Count(count) => (None, Some(count)),
    };
    json!({
        "by": by,
        "count": count,
        "in_body": targets.in_body,
        "whole": targets.whole,
    })
}

fn otel(otel: &Otel, file: &Path) -> Value {
    let path = |path: Option<&PathBuf>| path.map(|path| path_from(path, file));
    let client = otel.tls.client.as_ref();
    json!({
        "enabled": otel.enabled,
        "endpoint": shown_url(&otel.url),
        "insecure": otel.url.starts_with("http:"),
        "prefix": otel.prefix,
        "export_interval_s": seconds(otel.export_interval_ns),
        "protocol": "http/protobuf",
        "compression": match otel.compression {
            Compression::None => "none",
            Compression::Gzip => "gzip",
        },
        "timeout_s": seconds(otel.timeout_ns),
        "temporality": match otel.temporality {
            Temporality::Cumulative => "cumulative",
            Temporality::Delta => "delta",
        },
        "histograms": otel.histograms.name_in(&HistogramForm::OF_OTEL),
        "exponential_max_size": otel.exponential_size_max,
        "min_max": otel.min_max,
        "max_request_bytes": otel.request_bytes_max,
        "concurrency": otel.concurrency,
        "queue_bytes": otel.queue_bytes_max,
        "ca_file": path(otel.tls.ca.as_ref()),
        "cert_file": path(client.map(|(cert, _)| cert)),
        "key_file": path(client.map(|(_, key)| key)),
        "headers": masked(&otel.headers),
        "resource": otel.resource,
        "instance": instance(otel.instance),
    })
}

fn instance(instance: Instance) -> &'static str {
    match instance {
        Instance::Auto => "auto",
        Instance::None => "none",
    }
}

fn remote_write(one: &RemoteWrite, file: &Path) -> Value {
    let path = |path: Option<&PathBuf>| path.map(|path| path_from(path, file));
    let client = one.tls.client.as_ref();
    let basic_auth = one.basic_auth.as_ref().map(|basic| {
        let (password, password_file) = match &basic.password {
            Password::Text(_) => (Some(MASKED), None),
            Password::File(path) => (None, Some(path)),
        };
        json!({
            "username": basic.username,
            "password": password,
            "password_file": path(password_file),
        })
    });
    json!({
        "enabled": one.enabled,
        "url": shown_url(&one.url),
        "version": match one.version {
            RemoteWriteVersion::V1 => 1,
            RemoteWriteVersion::V2 => 2,
        },
        "histograms": one.histograms.name_in(&HistogramForm::OF_REMOTE_WRITE),
        "prefix": one.prefix,
        "labels": one.labels,
        "instance": instance(one.instance),
        "interval_s": seconds(one.interval_ns),
        "headers": masked(&one.headers),
        "bearer_token_file": path(one.bearer_token_file.as_ref()),
        "basic_auth": basic_auth,
        "tenant": one.tenant,
        "concurrency": one.concurrency,
        "max_samples_per_send": one.request_samples_max,
        "queue_bytes": one.queue_bytes_max,
        "timeout_s": seconds(one.timeout_ns),
        "ca_file": path(one.tls.ca.as_ref()),
        "cert_file": path(client.map(|(cert, _)| cert)),
        "key_file": path(client.map(|(_, key)| key)),
    })
}

/// Headers, their values hidden.
fn masked(headers: &BTreeMap<String, String>) -> Value {
    let names = headers.keys();
    names.map(|name| (name.clone(), MASKED)).collect()
}

/// A path as it is written in the configuration `file`: relative to it where it
/// lies in the same folder, else absolute.
fn path_from(path: &Path, file: &Path) -> String {
    let folder = file.parent().unwrap_or(Path::new(""));
    match path.strip_prefix(folder) {
        Ok(inside) if inside.as_os_str().is_empty() => ".".into(),
        Ok(inside) => inside.to_string_lossy().into_owned(),
        // A variable's path is relative to the working directory.
        Err(_) => std::path::absolute(path)
            .as_deref()
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned(),
    }
}
