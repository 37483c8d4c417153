//! What several instances say of themselves, a line for each.

use std::fmt::Write as _;

use serde_json::Value;

use super::run;
use super::send::Failure;
use super::status::{in_effect, number};
use super::text::{items, table, word};
use crate::readable::grouped;

/// A line for each of several instances, and that they are not of one run where they are not.
pub(super) fn overview(urls: &[String], replies: &[Result<Value, Failure>]) -> String {
    let heading = [
        "INSTANCE",
        "SHARD",
        "TICKS",
        "LATE",
        "SERIES",
        "IN EFFECT",
        "SCHEDULED",
        "SCRAPES",
        "ENTRIES",
        "CONFIG",
    ];
    let mut rows = vec![heading.map(String::from).to_vec()];
    let count = |value: &Value| grouped(value.as_u64().unwrap_or(0).into());
    for (url, reply) in urls.iter().zip(replies) {
        rows.push(match reply {
            // Why is told below, on standard error.
            Err(_) => vec![url.clone(), "-".into(), "not reached".into()],
            Ok(reply) => vec![
                url.clone(),
                word(&reply["shard"]),
                count(&reply["tick_count"]),
                format!("{:.3} s", number(&reply["tick_lag_seconds"])),
                count(&reply["active_series"]),
                (in_effect(reply).len() - 1).to_string(),
                items(&reply["scheduled"]).len().to_string(),
                count(&reply["exporters"]["prometheus"]["scrapes"]),
                count(&reply["journal"]["entries"]),
                word(&reply["config"]["fingerprint"]),
            ],
        });
    }
    let mut text = table(&rows);
    let answered = urls.iter().zip(replies);
    let (urls, statuses): (Vec<String>, Vec<Value>) = answered
        .filter_map(|(url, reply)| Some((url.clone(), reply.as_ref().ok()?.clone())))
        .unzip();
    let is_one = run::check_one(&urls, &statuses).and_then(|()| {
        // Who does not answer may be the shard that is missed, and is told of already.
        let all_answered = urls.len() == replies.len();
        if all_answered {
            run::check_shards(&urls, &statuses)
        } else {
            Ok(())
        }
    });
    if let Err(error) = is_one {
        let _ = write!(text, "\n{error}\n");
    }
    text
}
