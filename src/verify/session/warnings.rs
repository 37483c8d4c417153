//! What is odd about a range, in words.

use super::Session;
use crate::verify::backend::Backend;
use crate::verify::edges::Edges;
use crate::verify::report::{Tally, rfc3339_ms};
use crate::verify::target::{self, Scrape, Target};
use crate::verify::{Options, VerifyError, Via, other_run};

/// A backend that begins so much later than the run is worth a warning.
const BEGINS_LATE_MS: i64 = 60_000;

impl Session<'_> {
    /// What the backend warned of, and what is odd about the range.
    pub(super) fn warnings(&self, target: &Target, options: &Options) -> Vec<String> {
        let edges = &target.edges;
        let is_scraped = options.via.is_scraped();
        let what = if is_scraped { "scrape" } else { "push" };
        let mut warnings = self.backend.warnings();
        let begins_late_ms = target.begins_late_ms();
        let is_long = |late_ms: &i64| *late_ms > BEGINS_LATE_MS;
        warnings.extend(begins_late_ms.filter(is_long).map(|late_ms| {
            let late_s = late_ms / 1000;
            let whose = if edges.begin_ms == edges.run_begins_ms {
                "run"
            } else {
                "range"
            };
            format!(
                "the first {what} is {late_s} s after the beginning of the {whose}, and there is \
                 none before: if that is not when the backend began to get any, some are missing"
            )
        }));
        warnings.extend(target.ends_early_ms().map(|early_ms| {
            let early_s = early_ms / 1000;
            let teller = match self.replay.published().first {
                Some(_) => "its journal",
                None => "a configuration",
            };
            format!(
                "the last {what} is {early_s} s before the end of the range: if the run went on, \
                 which {teller} does not tell, some are missing"
            )
        }));
        if self.shards_left_out > 0 && target.page.is_none() {
            let count = self.shards_left_out;
            warnings.push(format!(
                "targets that say which shard of the run they have were left out ({count}), since \
                 this one seems to have all of it: judge them one by one (--job and --instance)"
            ));
        }
        let visible_until_ms = options.visible_until_ms;
        let ends_too_late = |until_ms| ends_too_late(edges.end_ms, until_ms);
        warnings.extend(visible_until_ms.and_then(ends_too_late));
        warnings.extend(edges.assumed_after_ms.map(|after_ms| {
            format!(
                "nobody knows whether the run was there after {}; that it was is what --from and \
                 --to say",
                rfc3339_ms(after_ms)
            )
        }));
        let last = target.scrapes.last();
        let less_far = |last: &Scrape| other_run::reaches_less_far(&self.replay, *last);
        warnings.extend(last.and_then(less_far));
        if is_scraped {
            warnings.extend(target::old_ticks(&self.replay, &target.scrapes));
        }
        warnings
    }
}

/// A warning where a range ends so near to now that a backend need not show its
/// newest samples yet.
fn ends_too_late(to_ms: i64, visible_until_ms: i64) -> Option<String> {
    let after_ms = to_ms - visible_until_ms;
    if after_ms <= 0 {
        return None;
    }
    let seconds = after_ms as f64 / 1000.0;
    Some(format!(
        "a backend need not show the last {seconds} s of the range yet, so what is missing there \
         may only be late: end the range earlier, or ask again"
    ))
}

/// Names what was not compared, and tells why of the first one.
pub(super) fn left_out(
    what: &str,
    tallies: &[Tally],
    why: impl Fn(&Tally) -> Option<&'static str>,
) -> Option<String> {
    const SHOWN: usize = 5;
    let mut not = tallies
        .iter()
        .filter_map(|tally| Some((tally.metric.as_str(), why(tally)?)));
    let (_, why) = not.clone().next()?;
    let shown: Vec<&str> = not.by_ref().map(|(metric, _)| metric).take(SHOWN).collect();
    let shown = shown.join(", ");
    let others = match not.count() {
        0 => String::new(),
        others => format!(" and {others} others"),
    };
    Some(format!("{what}: {shown}{others}, since {why}"))
}

/// Nothing is there, and as far as is known nothing has to be.
pub(super) fn nothing_due(backend: &Backend, edges: &Edges, via: Via) -> VerifyError {
    let (from, to) = (rfc3339_ms(edges.begin_ms), rfc3339_ms(edges.end_ms));
    if via.is_scraped() {
        let why = if edges.end_is_unknown {
            "nobody knows whether the run was there"
        } else {
            "the range is too short to know whether a scrape is missing"
        };
        return VerifyError::Ask(format!(
            "{}: has nothing of the run from {from} to {to}, and {why}; choose a longer range",
            backend.url()
        ));
    }
    VerifyError::NotDue(format!(
        "no push is known to have been due from {from} to {to}; choose a longer range"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_ends_too_near_to_now_is_warned_of() {
        assert_eq!(ends_too_late(10_000, 10_000), None);
        assert_eq!(ends_too_late(10_000, 1_000_000), None);
        let warning = ends_too_late(10_000, 8_500).unwrap();
        assert!(warning.contains("the last 1.5 s"), "{warning}");
    }
}
