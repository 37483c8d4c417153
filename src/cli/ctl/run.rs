//! Whether instances are of one run, from what each says of itself; and the tick that they
//! agree on.

use std::time::Duration;

use serde_json::Value;

use super::text::word;
use crate::app::RunError;
use crate::config::Shard;

/// What all processes of a run have in common: a name, and where `/status` tells it.
const COMMON: [(&str, &str); 4] = [
    ("its configuration", "/config/fingerprint"),
    ("its epoch", "/epoch"),
    ("its tick interval in seconds", "/config/tick_interval_s"),
    ("its version", "/version"),
];

/// Nothing is waited for any longer, whatever an instance says of its ticks.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// A tick that lies ahead for every process of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Agreed {
    pub(super) at_tick: u64,
    /// How long it takes at least until the change is made.
    pub(super) within: Duration,
}

/// Refuses instances that are not all of one run, each once and with all of its shards.
/// `statuses` are what they answer, in the order of `urls`.
pub(super) fn check_one(urls: &[String], statuses: &[Value]) -> Result<(), RunError> {
    let place = |status: &Value| COMMON.map(|(_, path)| word(at(status, path)));
    let places: Vec<_> = statuses.iter().map(place).collect();
    let alike = |one: &[String; 4]| places.iter().filter(|other| *other == one).count();
    // Where there are as many of another, the first one is the run that is meant.
    let Some(run) = places.iter().rev().max_by_key(|one| alike(one)) else {
        return Ok(());
    };
    let others = urls.iter().zip(&places).filter(|(_, place)| *place != run);
    let others: Vec<String> = others
        .map(|(url, place)| {
            let mut fields = COMMON.iter().zip(place.iter().zip(run));
            let ((name, _), (is, expected)) = fields
                .find(|(_, (is, expected))| is != expected)
                .expect("they differ");
            format!("{url} is of another run: {name} is {is}, not {expected}")
        })
        .collect();
    if !others.is_empty() {
        return Err(RunError::Config(others.join("\n")));
    }
    for (index, one) in statuses.iter().enumerate() {
        let process = |status: &Value| [word(&status["instance"]), word(&status["started"])];
        let mut before = statuses[..index].iter();
        if let Some(same) = before.position(|other| process(other) == process(one)) {
            return Err(RunError::Config(format!(
                "{} and {} are the same instance; name it once",
                urls[same], urls[index]
            )));
        }
    }
    Ok(())
}

/// Refuses a part of the shards of a run.
pub(super) fn check_shards(urls: &[String], statuses: &[Value]) -> Result<(), RunError> {
    let shard = |status: &Value| Shard::parse(status["shard"].as_str()?).ok();
    let shards: Vec<Option<Shard>> = statuses.iter().map(shard).collect();
    let of = |shard: &Option<Shard>| shard.map_or(1, Shard::of);
    let Some(first) = shards.first() else {
        return Ok(());
    };
    let divided = |shard: &Option<Shard>| match shard {
        Some(shard) => format!("is shard {shard}"),
        None => "has all of it".to_owned(),
    };
    if let Some(other) = shards.iter().position(|shard| of(shard) != of(first)) {
        return Err(RunError::Config(format!(
            "a run is divided in one way: {} {}, {} {}",
            urls[0],
            divided(first),
            urls[other],
            divided(&shards[other])
        )));
    }
    let known: Vec<Shard> = shards.into_iter().flatten().collect();
    match Shard::missing_text(&known) {
        None => Ok(()),
        Some((count, names)) => Err(RunError::Config(format!(
            "{count} of this run are not among these instances: {names}; what is done to a run is \
             done to all of it: give --url for each"
        ))),
    }
}

/// A tick that lies `ahead` of all that the instances are at.
pub(super) fn agree(statuses: &[Value], ahead: Duration) -> Agreed {
    let next = statuses
        .iter()
        .filter_map(|status| status["tick_count"].as_u64());
    let next = next.max().unwrap_or(0);
    let interval_s = statuses
        .first()
        .and_then(|status| at(status, "/config/tick_interval_s").as_f64());
    let interval_s = interval_s.filter(|interval_s| *interval_s > 0.0);
    let interval_s = interval_s.unwrap_or(1.0);
    let ticks = (ahead.as_secs_f64() / interval_s).ceil();
    Agreed {
        // One more: the change is made when the tick before has run.
        at_tick: next.saturating_add(ticks as u64).saturating_add(1),
        // What is no time at all is waited for as long as can be.
        within: Duration::try_from_secs_f64(ticks * interval_s).unwrap_or(LONGEST),
    }
}

fn at<'v>(status: &'v Value, path: &str) -> &'v Value {
    status.pointer(path).unwrap_or(&Value::Null)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(number: usize) -> Value {
        json!({
            "version": "1", "epoch": "2026-01-01T00:00:00Z", "tick_count": 10 + number,
            "instance": format!("host:{number}"), "started": "2026-01-01T00:00:00Z",
            "shard": null, "config": {"fingerprint": "abc", "tick_interval_s": 0.3},
        })
    }

    /// What is said of instances a, b, c, …; nothing where they are one run.
    fn said(statuses: &[Value]) -> String {
        let urls: Vec<String> = ('a'..).take(statuses.len()).map(String::from).collect();
        match check_one(&urls, statuses).and_then(|()| check_shards(&urls, statuses)) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    fn sharded(shards: &[&str]) -> Vec<Value> {
        let shards = shards.iter().enumerate();
        let status = |(number, shard): (usize, &&str)| {
            let mut status = status(number);
            if !shard.is_empty() {
                status["shard"] = (*shard).into();
            }
            status
        };
        shards.map(status).collect()
    }

    #[test]
    fn the_one_of_another_run_is_named() {
        let all: Vec<Value> = (0..3).map(status).collect();
        assert_eq!(said(&all), "");
        for (path, expected) in [
            ("/config/fingerprint", "its configuration is other, not abc"),
            ("/epoch", "its epoch is other, not 2026-01-01T00:00:00Z"),
            (
                "/config/tick_interval_s",
                "its tick interval in seconds is other, not 0.3",
            ),
            ("/version", "its version is other, not 1"),
        ] {
            for (odd, url) in ["a", "b", "c"].iter().enumerate() {
                let mut all = all.clone();
                *all[odd].pointer_mut(path).unwrap() = "other".into();
                assert_eq!(said(&all), format!("{url} is of another run: {expected}"));
            }
        }
        let mut two = all[..2].to_vec();
        two[1]["epoch"] = "other".into();
        assert!(said(&two).starts_with("b is of another run"));
        let mut same = all.clone();
        same[2]["instance"] = "host:0".into();
        assert_eq!(said(&same), "a and c are the same instance; name it once");
        same[2]["started"] = "2026-01-01T00:00:01Z".into();
        assert_eq!(said(&same), "");
    }

    #[test]
    fn shards_that_are_not_there_are_named() {
        assert_eq!(said(&sharded(&["1/3", "0/3", "2/3", "2/3"])), "");
        assert_eq!(said(&sharded(&["0/1", ""])), "");
        let missing = said(&sharded(&["1/4", "3/4"]));
        assert!(
            missing.starts_with("2 of 4 shards of this run"),
            "{missing}"
        );
        assert!(missing.contains(": 0/4, 2/4; "), "{missing}");
        let many = said(&sharded(&["0/100"]));
        assert!(
            many.contains("1/100, ") && many.contains("10/100, …;"),
            "{many}"
        );
        let mixed = said(&sharded(&["0/2", "1/3"]));
        assert_eq!(
            mixed,
            "a run is divided in one way: a is shard 0/2, b is shard 1/3"
        );
        assert!(said(&sharded(&["", "0/2"])).contains("a has all of it, b is shard 0/2"));
    }

    #[test]
    fn a_tick_is_ahead_of_all() {
        let statuses = [status(0), status(7), status(3)];
        let agreed = agree(&statuses, Duration::from_secs(2));
        // 2 s are 6.7 ticks of 0.3 s.
        assert_eq!(agreed.at_tick, 17 + 7 + 1);
        assert!((agreed.within.as_secs_f64() - 2.1).abs() < 1e-9);
        let mut absurd = status(0);
        absurd["config"]["tick_interval_s"] = 1e300.into();
        assert_eq!(agree(&[absurd], Duration::from_secs(2)).within, LONGEST);
    }
}
