//! What tells several processes of one configuration apart at a receiver that all of
//! them push to.
//!
//! Host name and port: the same ones after a restart, so that series go on, and
//! what a Prometheus that scrapes the process calls its `instance`.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use crate::config::Config;

/// Names that many hosts have.
const NO_NAMES: [&str; 5] = [
    "",
    "(none)",
    "localhost",
    "localhost.localdomain",
    "localhost6",
];

/// The name of this process, in which `port` is the one of [`served_port`] that is
/// really open. Where the host has no name of its own, it is a UUID, new every time.
pub fn of_run(port: u16) -> String {
    named(&host(), Some(port)).unwrap_or_else(|| {
        // Seeded by the system, each anew.
        uuid([(); 2].map(|()| RandomState::new().hash_one(())))
    })
}

/// The name that a run of a configuration has on this host whenever it is started;
/// `None` where it is another one every time.
pub fn of_every_run(config: &Config) -> Option<String> {
    named(&host(), served_port(config))
}

/// The host's name, as the system has it.
pub fn host() -> String {
    let system = rustix::system::uname();
    system.nodename().to_string_lossy().into_owned()
}

/// The port of `/metrics`, or of the control API where that is not served; `None` where
/// the system is to choose it.
pub fn served_port(config: &Config) -> Option<u16> {
    let port = if config.prometheus.enabled {
        config.prometheus.port
    } else {
        config.global.control_api_port
    };
    (port != 0).then_some(port)
}

fn named(host: &str, port: Option<u16>) -> Option<String> {
    if NO_NAMES.contains(&host) {
        return None;
    }
    Some(match port {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// Version 4 of RFC 9562, of random bits.
fn uuid([high, low]: [u64; 2]) -> String {
    let high = high & !0xF000 | 0x4000;
    let low = low & (u64::MAX >> 2) | 1 << 63;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xFFFF,
        high & 0xFFFF,
        low >> 48,
        low & 0xFFFF_FFFF_FFFF
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Shard, effective, load_str, load_value};

    fn config(exporters: &str, labels: &str) -> Config {
        let text = format!(
            "metrics: [{{name: g, type: gauge, algorithm: constant, start: 1, labels: {{{labels}}}}}]\n\
             exporters: {{{exporters}}}\n"
        );
        load_str(Path::new("f.yaml"), text.as_bytes(), &|_| None).unwrap()
    }

    #[test]
    fn a_name_is_the_same_after_a_restart_where_the_host_has_one() {
        assert_eq!(named("node-7", Some(8000)).unwrap(), "node-7:8000");
        assert_eq!(named("node-7", None).unwrap(), "node-7");
        assert_eq!(named("localhost", Some(1)), None);
        let text = uuid([u64::MAX, u64::MAX]);
        assert_eq!(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid([0, 0]), "00000000-0000-4000-8000-000000000000");
        for (exporters, expected) in [
            ("", Some(8000)),
            ("prometheus: {port: 0}", None),
            ("prometheus: {port: 9}", Some(9)),
            ("prometheus: {enabled: false}", Some(8081)),
        ] {
            assert_eq!(served_port(&config(exporters, "")), expected);
        }
        let every = of_every_run(&config("", ""));
        assert!(every.is_none_or(|name| name == of_run(8000)));
    }

    /// Whatever the instance is, no two shards tell a receiver the same of themselves.
    #[test]
    fn exporters_tell_the_shard_where_the_instance_does_not() {
        for (otel, remote_write, labels, expected) in [
            ("", "", "", [None, None]),
            (
                "instance: none",
                "instance: none",
                "",
                [Some("1/4"), Some("1/4")],
            ),
            (
                "resource: {service.instance.id: mine}",
                "labels: {instance: mine}",
                "",
                [Some("1/4"), Some("1/4")],
            ),
            (
                "instance: none, resource: {mockingbird.shard: b}",
                "instance: none, labels: {shard: b}",
                "",
                [Some("b"), Some("b")],
            ),
            ("", "", "instance: [a, b]", [Some("1/4"), None]),
        ] {
            let exporters =
                format!("otel: {{{otel}}}, remote_write: [{{url: 'http://h/', {remote_write}}}]");
            let mut config = config(&exporters, labels);
            config.shard = Shard::new(1, 4);
            config.set_instance("h:1");
            let attribute = config.otel.resource.get("mockingbird.shard");
            let label = config.remote_writes[0].labels.get("shard");
            let found = [attribute, label].map(|told| told.map(String::as_str));
            assert_eq!(found, expected, "{exporters}, {labels}");
        }
    }

    #[test]
    fn exporters_tell_it_unless_the_file_says_something_else() {
        for (otel, remote_write, labels, expected) in [
            ("", "", "", [Some("h:1"), Some("h:1")]),
            (
                "instance: auto",
                "instance: auto",
                "",
                [Some("h:1"), Some("h:1")],
            ),
            ("instance: none", "instance: none", "", [None, None]),
            // What the file names is the user's, even beside none.
            (
                "resource: {service.instance.id: mine}, instance: none",
                "labels: {instance: mine}",
                "",
                [Some("mine"), Some("mine")],
            ),
            (
                "resource: {a: b}",
                "labels: {a: b}",
                "",
                [Some("h:1"), Some("h:1")],
            ),
            // Series keep their own label by remote write; receivers of OTLP replace it.
            ("", "", "instance: [a, b]", [None, Some("h:1")]),
        ] {
            let exporters =
                format!("otel: {{{otel}}}, remote_write: [{{url: 'http://h/', {remote_write}}}]");
            let mut config = config(&exporters, labels);
            config.set_instance("h:1");
            let found = [config.otel.instance(), config.remote_writes[0].instance()];
            assert_eq!(found, expected, "{exporters}, {labels}");
            // As the journal has it, and wherever that is read.
            let mut read = load_value(Path::new("f.yaml"), &effective(&config)).unwrap();
            assert_eq!(read, config);
            read.set_instance("h:1");
            assert_eq!(read, config);
        }
    }
}
