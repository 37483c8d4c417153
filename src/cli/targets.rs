//! `targets`: the targets of a configuration, for those who scrape them.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::shard::ShardArgs;
use super::values::{label, tick};
use super::{check_tick, load_part, print, quiet, refuse_too_large};
use crate::app::{self, RunError};
use crate::config::{Config, Targets};
use crate::exporters::Needs;
use crate::http::percent_encode;
use crate::journal::Replay;
use crate::model::Catalog;
use crate::model::population::{Fleets, Populations};
use crate::model::targets::{Target, TargetMap};
use crate::readable::{grouped, write_aligned};
use crate::server::sd::{self, Matches, Place, Served};

/// How often Prometheus asks for targets that come and go.
const REFRESH_S: u32 = 5;

const EXAMPLES: &str = "\
Examples:
  mockingbird targets mockingbird.yaml               the document that /sd answers
  mockingbird targets mockingbird.yaml --format prometheus > prometheus.yml
                                                     a whole configuration of Prometheus
  mockingbird targets mockingbird.yaml --format file_sd --address 10.0.0.7:8000 > targets.json
  mockingbird targets mockingbird.yaml --format table --match namespace=shop --tick 3600
                                                     IDs and series of those in a namespace, an
                                                     hour later";

/// Arguments of `targets`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TargetsArgs {
    /// Configuration file; `-` for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What to write. Default: a table on a terminal, `http_sd` elsewhere.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where the instance is scraped. Default: this machine, at the configuration's port.
    #[arg(long, value_name = "HOST:PORT", value_parser = host_port)]
    address: Option<String>,
    /// Those at this tick, 0 being the epoch: entities come and go.
    #[arg(
        long,
        default_value_t = 0,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = tick
    )]
    tick: u64,
    /// Only those with this value of a label that makes targets; may be given several times.
    #[arg(long = "match", value_name = "NAME=VALUE", value_delimiter = ',', value_parser = label)]
    matches: Vec<(String, String)>,
    #[command(flatten)]
    shard: ShardArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Format {
    /// The document that /sd answers, for Prometheus' `http_sd_configs`.
    HttpSd,
    /// The same for its `file_sd_configs`.
    FileSd,
    /// A configuration of Prometheus that asks /sd.
    Prometheus,
    /// IDs and series, for people.
    Table,
}

/// Writes what was asked for to standard output.
pub(super) fn targets(args: &TargetsArgs) -> Result<(), RunError> {
    let config = load_part(&args.file, args.shard.shard()?)?;
    let Some(targets) = &config.prometheus.targets else {
        return Err(RunError::Config(format!(
            "{}: no targets are configured; exporters.prometheus.targets makes them",
            args.file.display()
        )));
    };
    let matches = Matches::new(args.matches.clone(), &targets.law);
    let matches = matches.map_err(|message| RunError::Config(format!("--match: {message}")))?;
    let terminal = io::stdout().is_terminal();
    let usual = if terminal {
        Format::Table
    } else {
        Format::HttpSd
    };
    let format = args.format.unwrap_or(usual);
    let address = match &args.address {
        Some(address) => address.clone(),
        None if format == Format::Table => String::new(),
        None => served_at(&config)?,
    };
    if format == Format::Prometheus {
        return print(scrape_config(&config, &address, &args.matches).as_bytes());
    }
    refuse_too_large(&config)?;
    check_tick(&config, config.global.epoch_ns.unwrap_or(0), args.tick)?;
    let map = map_at(&config, targets, args.tick)?;
    let all = sd::targets(&map, &matches);
    if format == Format::Table {
        return print(table(&all).as_bytes());
    }
    let mut stdout = io::stdout().lock();
    let mut write = |piece: &[u8]| stdout.write_all(piece);
    let place = Place {
        served: &Served::new(address.clone(), local(&address), control_of(&config)),
        shard: config.shard,
        in_body: targets.in_body,
    };
    let written = sd::write_document(&all, place, &mut write);
    quiet(written.and_then(|()| stdout.flush()))
}

/// A host and a port, which need not be known here.
fn host_port(text: &str) -> Result<String, String> {
    let port = text
        .rsplit_once(':')
        .map(|(host, port)| (host.is_empty(), port.parse::<u16>()));
    match port {
        Some((false, Ok(1..))) if !text.contains(['/', ' ', '"', '\'']) => Ok(text.to_owned()),
        _ => Err("expected HOST:PORT, such as localhost:8000".to_owned()),
    }
}

/// Where the configuration is served, seen from this machine.
fn served_at(config: &Config) -> Result<String, RunError> {
    let page = &config.prometheus;
    if page.port == 0 {
        return Err(RunError::Config(
            "exporters.prometheus.port is 0, any free one; tell it by --address HOST:PORT".into(),
        ));
    }
    Ok(app::reachable(SocketAddr::new(
        page.bind_address,
        page.port,
    )))
}

/// Where the control API listens, if that is known.
fn control_of(config: &Config) -> Option<SocketAddr> {
    let global = &config.global;
    let addr = SocketAddr::new(global.control_api_bind, global.control_api_port);
    (addr.port() != 0).then_some(addr)
}

/// The IP address of a host and port, if it is one.
fn local(address: &str) -> Option<IpAddr> {
    match address.rsplit_once(':')?.0 {
        "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        host => host.trim_matches(['[', ']']).parse().ok(),
    }
}

/// The targets that there are at a tick, without computing any value.
fn map_at(config: &Config, targets: &Targets, tick: u64) -> Result<TargetMap, RunError> {
    let catalog = Catalog::build(config, Vec::new());
    let catalog =
        catalog.map_err(|(metric, error)| RunError::Config(format!("metric {metric}: {error}")))?;
    let epoch_ns = config.global.epoch_ns.unwrap_or(0);
    let orders = Replay::of_config(config.clone(), epoch_ns, Needs::default()).orders(tick);
    let orders = orders.map_err(|error| RunError::Config(error.to_string()))?;
    let fleets = Fleets::at(&catalog, &orders, tick);
    let populations = Populations::founded_with(&catalog, 0, &fleets);
    Ok(TargetMap::of(&catalog, &populations, &targets.law, None))
}

fn table(targets: &[(String, Target<'_>)]) -> String {
    let mut rows = vec![vec!["target".to_owned(), "series".to_owned()]];
    let mut total = 0;
    for (id, target) in targets {
        let series = target.series_count();
        total += series;
        rows.push(vec![id.clone(), grouped(series as u128)]);
    }
    rows.push(vec![
        format!("{} targets", grouped(targets.len() as u128)),
        grouped(total as u128),
    ]);
    let mut text = String::new();
    write_aligned(&mut text, "", &rows, |column| column < 1, &str::to_owned);
    text
}

/// A configuration of Prometheus that scrapes the targets as often as there are ticks.
fn scrape_config(config: &Config, address: &str, matches: &[(String, String)]) -> String {
    let mut query = String::new();
    let matches = matches
        .iter()
        .map(|(name, value)| ("match", format!("{name}={value}")));
    // Whichever process is asked.
    let shard = config.shard.map(|shard| ("shard", shard.to_string()));
    for (name, value) in matches.chain(shard) {
        query.push(if query.is_empty() { '?' } else { '&' });
        query = query + name + "=" + &percent_encode(&value);
    }
    let interval = duration(config.global.tick_interval_ns);
    format!(
        "# Scrapes the targets of {file}, which {address}/sd lists.\n\
         scrape_configs:\n\
         \x20 - job_name: mockingbird\n\
         \x20   # A tick of the run.\n\
         \x20   scrape_interval: {interval}\n\
         \x20   http_sd_configs:\n\
         \x20     - url: 'http://{address}/sd{query}'\n\
         \x20       # How soon targets that begin and end are noticed.\n\
         \x20       refresh_interval: {REFRESH_S}s\n",
        file = file_name(&config.path),
    )
}

/// On one line, whatever it is.
fn file_name(path: &Path) -> String {
    path.display().to_string().replace(char::is_control, "?")
}

/// As Prometheus reads durations; it knows no less than milliseconds.
fn duration(ns: u64) -> String {
    const SECOND_NS: u64 = 1_000_000_000;
    if ns.is_multiple_of(SECOND_NS) {
        format!("{}s", ns / SECOND_NS)
    } else {
        format!("{}ms", ns.div_ceil(1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_that_prometheus_reads() {
        for (ns, expected) in [
            (1_000_000_000, "1s"),
            (86_400_000_000_000, "86400s"),
            (12_700_000_000, "12700ms"),
            (1_000_000, "1ms"),
            (1_500_001, "2ms"),
        ] {
            assert_eq!(duration(ns), expected);
        }
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for good in ["localhost:8000", "[::1]:1", "10.0.0.7:65535", "a.b-c:80"] {
            assert_eq!(host_port(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "localhost",
            ":80",
            "a:0",
            "a:65536",
            "http://a:80",
            "a b:80",
            "a':80",
        ] {
            assert!(host_port(bad).is_err(), "{bad}");
        }
    }
}
