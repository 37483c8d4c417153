//! `/sd`: the targets of the latest frame, as Prometheus' HTTP service discovery reads them;
//! its file-based one reads the same.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use super::pages::Pages;
use super::scrape::Scrapes;
use crate::config::{Shard, TargetLaw, Targets};
use crate::escaping::Escaping;
use crate::http::{Reply, Request, Sent};
use crate::model::division::Division;
use crate::model::targets::{Target, TargetMap};

/// A document is sent in pieces of about this size.
const PIECE_BYTES: usize = 64 << 10;

/// One target: where it is scraped, and what is known of it.
#[derive(Debug, Serialize)]
pub struct Group<'a> {
    /// The address, alone.
    pub targets: [&'a str; 1],
    /// Labels that scraped series get, and those that begin with `__`, which relabelling sees.
    pub labels: BTreeMap<Cow<'static, str>, Cow<'a, str>>,
}

/// Which targets are asked for: values that their labels must have, and a shard whose they are.
#[derive(Debug, Default)]
pub struct Matches {
    labels: Vec<(String, String)>,
    division: Option<Division>,
}

impl Matches {
    /// # Errors
    /// When a label makes no targets; with the text for whoever asked.
    pub fn new(labels: Vec<(String, String)>, law: &TargetLaw) -> Result<Self, String> {
        let known: &[String] = match law {
            TargetLaw::By(labels) => labels,
            TargetLaw::Count(_) => &[],
        };
        let unknown = labels.iter().find(|(name, _)| !known.contains(name));
        match (unknown, law) {
            (None, _) => Ok(Self {
                labels,
                division: None,
            }),
            (Some((name, _)), TargetLaw::By(_)) => Err(format!(
                "no targets are made by the label {name:?}; they are by: {}",
                known.join(", ")
            )),
            (Some((name, _)), TargetLaw::Count(_)) => Err(format!(
                "no targets are made by the label {name:?}; they are so many by count, and have \
                 no labels"
            )),
        }
    }

    /// Those of a shard alone.
    #[must_use]
    pub fn of(self, division: Option<Division>) -> Self {
        Self { division, ..self }
    }

    fn are_of(&self, target: &Target<'_>) -> bool {
        let has_labels = self.labels.is_empty() || {
            let labels = target.labels();
            self.labels.iter().all(|(name, value)| {
                let label = labels.iter().find(|(label, _)| label == name);
                label.map_or("", |(_, value)| value) == value
            })
        };
        let division = self.division.as_ref();
        has_labels && division.is_none_or(|division| target.is_of(division))
    }
}

/// The targets that match, each with its ID, in order of these.
pub fn targets<'a>(map: &'a TargetMap, matches: &Matches) -> Vec<(String, Target<'a>)> {
    let targets = map.iter();
    let matching = targets.filter(|target| matches.are_of(target));
    let mut all: Vec<(String, Target<'_>)> = matching.map(|target| (target.id(), target)).collect();
    all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    all
}

/// What holds of all targets of a document.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Where they are scraped.
    pub served: &'a Served,
    /// The shard that has them, if it is one of several.
    pub shard: Option<Shard>,
    /// Whether lines have the labels that make them.
    pub in_body: bool,
}

impl<'a> Group<'a> {
    /// What discovery is told of a target.
    pub fn new(place: Place<'a>, id: &'a str, target: Target<'a>) -> Self {
        let Place {
            served,
            shard,
            in_body,
        } = place;
        let mut labels: BTreeMap<Cow<'static, str>, Cow<'a, str>> = BTreeMap::new();
        let own = target.labels();
        labels.insert("__metrics_path__".into(), path(id).into());
        labels.insert("__meta_mockingbird_target".into(), id.into());
        let series = target.series_count().to_string();
        labels.insert("__meta_mockingbird_series".into(), series.into());
        if let Some(control) = &served.control {
            labels.insert(CONTROL_LABEL.into(), control.into());
        }
        if let Some(shard) = shard {
            labels.insert("__meta_mockingbird_shard".into(), shard.to_string().into());
        }
        // All targets have one address: without it they would be one instance.
        labels.insert("instance".into(), id.into());
        for (name, value) in own {
            // As the labels of all service discovery, for relabelling, they have plain names;
            // of two that are then the same the second has one that nothing else has.
            let meta = |escaping: Escaping| -> Cow<'static, str> {
                format!("__meta_mockingbird_label_{}", escaping.label(name)).into()
            };
            let mut plain = meta(Escaping::Underscores);
            if labels.contains_key(&plain) {
                plain = meta(Escaping::Values);
            }
            labels.insert(plain, value.into());
            if !in_body {
                labels.insert(name.to_owned().into(), value.into());
            }
        }
        Self {
            targets: [&served.address],
            labels,
        }
    }
}

/// The label that tells where the control API of the process is that serves a target.
pub const CONTROL_LABEL: &str = "__meta_mockingbird_control";

/// Where a process that serves targets is reached.
#[derive(Debug)]
pub struct Served {
    /// Host and port of the pages.
    pub address: String,
    /// Host and port of the control API, if whoever reaches the pages reaches it.
    pub control: Option<String>,
}

impl Served {
    /// What is known where the pages are reached at an address, which is `local` to the
    /// process, and the control API listens on `control`.
    pub fn new(address: String, local: Option<IpAddr>, control: Option<SocketAddr>) -> Self {
        let control = control.and_then(|control| {
            let host = match address.rsplit_once(':') {
                // The colons of an address of version 6 are in brackets.
                Some((host, port)) if !port.ends_with(']') => host,
                _ => address.as_str(),
            };
            let (bind, port) = (control.ip().to_canonical(), control.port());
            let local = local.map(|local| local.to_canonical());
            if bind.is_unspecified() || Some(bind) == local {
                Some(format!("{host}:{port}"))
            } else {
                let is_here = local.is_some_and(|local| local.is_loopback());
                (is_here || !bind.is_loopback()).then(|| SocketAddr::new(bind, port).to_string())
            }
        });
        Self { address, control }
    }
}

/// The path of a target's page.
pub fn path(id: &str) -> String {
    format!("/targets/{id}/metrics")
}

/// Passes on the document of some targets, a group on each line, in pieces.
///
/// # Errors
/// Those of `write`, at which the rest is left.
pub fn write_document(
    targets: &[(String, Target<'_>)],
    place: Place<'_>,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut piece = b"[".to_vec();
    for (index, (id, target)) in targets.iter().enumerate() {
        piece.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
        serde_json::to_writer(&mut piece, &Group::new(place, id, *target))?;
        if piece.len() >= PIECE_BYTES {
            write(&piece)?;
            piece.clear();
        }
    }
    piece.extend_from_slice(if targets.is_empty() { b"]\n" } else { b"\n]\n" });
    write(&piece)
}

/// Answers `/sd`.
pub(super) fn answer(
    pages: &Pages,
    scrapes: &Scrapes,
    control: Option<SocketAddr>,
    request: &Request<'_>,
    reply: Reply<'_>,
) -> io::Result<Sent> {
    let Targets { law, in_body, .. } = pages.targets();
    let pairs = match request.query_pairs() {
        Ok(pairs) => pairs,
        Err(refusal) => return reply.refuse(&refusal),
    };
    let asked = query(pairs).and_then(|(labels, shard)| Ok((Matches::new(labels, law)?, shard)));
    let (matches, shard) = match asked {
        Ok(asked) => asked,
        Err(message) => return reply.text(400, &message),
    };
    let matches = matches.of(shard.map(|shard| pages.division(shard)));
    let Some(frame) = scrapes.board.latest() else {
        // Prometheus keeps what it knows.
        return reply.text(503, "starting: no tick yet");
    };
    let map = pages.map(&frame);
    drop(frame);
    let targets = targets(&map, &matches);
    let mut address = request.host().to_owned();
    if address.is_empty() {
        let _ = write!(address, "{}", request.local());
    }
    let mut body = reply.stream(200, &[("Content-Type", "application/json")]);
    if body.wants_body() {
        let served = Served::new(address, Some(request.local().ip()), control);
        let place = Place {
            served: &served,
            shard: pages.shard().or(shard),
            in_body: *in_body,
        };
        write_document(&targets, place, |piece| body.write_all(piece))?;
    }
    body.finish()
}

/// What is asked for: label values, and a shard.
type Asked = (Vec<(String, String)>, Option<Shard>);

/// The values of `match`, each `NAME=VALUE`, and that of `shard`, `I/N`.
fn query(pairs: Vec<(String, String)>) -> Result<Asked, String> {
    let (mut labels, mut shard) = (Vec::new(), None);
    for (parameter, text) in pairs {
        match parameter.as_str() {
            "match" => match text.split_once('=') {
                Some((name, value)) => labels.push((name.to_owned(), value.to_owned())),
                None => return Err(format!("match: expected NAME=VALUE, found {text:?}")),
            },
            "shard" if shard.is_some() => return Err("shard: is there twice".to_owned()),
            "shard" => {
                let parsed = Shard::parse(&text);
                shard = Some(parsed.map_err(|message| format!("shard: {message}"))?);
            }
            _ => {
                return Err(format!(
                    "unknown parameter {parameter:?}; there are: match, shard"
                ));
            }
        }
    }
    Ok((labels, shard))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_api_is_told_to_those_who_reach_it() {
        let check = |address: &str, local: &str, control: &str, expected: Option<&str>| {
            let local = local.parse().ok();
            let served = Served::new(address.into(), local, control.parse().ok());
            assert_eq!(served.control.as_deref(), expected, "{address} {control}");
        };
        let any = "0.0.0.0:8081";
        check("a.example:80", "10.0.0.7", any, Some("a.example:8081"));
        check("a.example", "10.0.0.7", any, Some("a.example:8081"));
        check("[::1]:80", "::1", "[::]:8081", Some("[::1]:8081"));
        check("[fd00::1]", "fd00::1", "[::]:8081", Some("[fd00::1]:8081"));
        let here = "127.0.0.1:8081";
        check("localhost:80", "127.0.0.1", here, Some("localhost:8081"));
        check("localhost:80", "::1", here, Some("127.0.0.1:8081"));
        check(
            "localhost:80",
            "::ffff:127.0.0.1",
            here,
            Some("localhost:8081"),
        );
        // Nobody reaches it from elsewhere.
        check("a.example:80", "10.0.0.7", here, None);
        check("a.example:80", "unknown", here, None);
        check(
            "a.example:80",
            "10.0.0.7",
            "10.1.0.7:8081",
            Some("10.1.0.7:8081"),
        );
        check("a.example:80", "unknown", any, Some("a.example:8081"));
        check("a.example:80", "10.0.0.7", "none", None);
    }
}
