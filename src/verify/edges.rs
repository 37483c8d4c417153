//! Between which times all of a run has to be there: a range, and what a journal
//! tells of how long the run was, in; [`Edges`] out.

use super::report::rfc3339_ms;
use super::{Options, VerifyError};
use crate::journal::{Later, Published, Replay};

/// The ends of a range, and what is due there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edges {
    /// Nothing of the run is there before, Unix milliseconds.
    pub(super) run_begins_ms: i64,
    /// Where the range begins, not before the run.
    pub(super) begin_ms: i64,
    /// Whether what is due from there on is missing if it is not there, even where
    /// the backend has nothing before it.
    pub(super) begin_is_due: bool,
    /// Where the range ends, not after the run.
    pub(super) end_ms: i64,
    /// What is due up to here is missing if it is not there; of what would follow,
    /// nobody knows whether there is any, or whether it has to be there yet.
    pub(super) due_until_ms: i64,
    /// Whether nobody knows that the run lasted until the end of the range.
    pub(super) end_is_unknown: bool,
    /// After this, the range alone says that the run was there.
    pub(super) assumed_after_ms: Option<i64>,
    /// The last tick, if the run has ended; it is pushed whether it is due or not.
    pub(super) last_tick: Option<u64>,
}

impl Edges {
    /// The edges of the range that is meant.
    ///
    /// # Errors
    /// When the run was at another time.
    pub(super) fn of(replay: &Replay, options: &Options) -> Result<Self, VerifyError> {
        let time_ms = |tick| replay.time_ms(tick).unwrap_or(i64::MAX);
        let Published {
            first,
            before,
            until_ns,
            is_catching_up,
            later,
            ..
        } = replay.published();
        if is_catching_up {
            return Err(VerifyError::NotDue(
                "the run has published nothing yet: it runs the ticks since its epoch first"
                    .to_owned(),
            ));
        }
        let followed_ms = replay.followed_ns().map(|ns| ns.div_euclid(1_000_000) - 1);
        let run_begins_ms = time_ms(first.unwrap_or(0));
        let until_ms = until_ns.div_euclid(1_000_000);
        let begin_ms = options.from_ms.max(run_begins_ms);
        let mut end_ms = match later {
            Later::None => options.to_ms.min(until_ms),
            Later::All | Later::Unknown => options.to_ms.min(followed_ms.unwrap_or(i64::MAX)),
        };
        if options.known_until_ms.is_some() {
            // Something may have come just after the last tick was over.
            end_ms = end_ms.max(begin_ms);
        } else if begin_ms > end_ms {
            let nothing = format!(
                "there is nothing of the run from {} to {}: it began at {}",
                rfc3339_ms(options.from_ms),
                rfc3339_ms(options.to_ms),
                rfc3339_ms(run_begins_ms),
            );
            let over_ms = followed_ms.or((later == Later::None).then_some(until_ms));
            let over_ms = over_ms.filter(|over_ms| *over_ms < options.from_ms);
            return Err(if let Some(over_ms) = over_ms {
                let ended = rfc3339_ms(over_ms);
                VerifyError::Config(format!("{nothing} and ended at {ended}"))
            } else {
                VerifyError::NotDue(format!(
                    "{nothing}; a range up to now ends where all has to be visible \
                     (--visible-after)"
                ))
            });
        }
        let is_scraped = options.via.is_scraped();
        let known_until_ms = if is_scraped {
            until_ms
        } else {
            // The next tick may have been late.
            until_ms.min(time_ms(before).saturating_sub(1))
        };
        // The range does not tell when a process was gone that others went on for.
        let is_said = options.whole_range && followed_ms.is_none();
        let due_until_ms = if is_said || later == Later::All {
            end_ms
        } else {
            let goes_on_until_ms = options.goes_on_until_ms.unwrap_or(i64::MIN);
            end_ms.min(known_until_ms.max(goes_on_until_ms))
        };
        let visible_until_ms = options.visible_until_ms.unwrap_or(i64::MAX);
        Ok(Self {
            run_begins_ms,
            begin_ms,
            // Nobody knows when a backend began to scrape, but pushes are due from
            // the first tick on.
            begin_is_due: options.whole_range || !is_scraped && first.is_some(),
            end_ms,
            due_until_ms: due_until_ms.min(visible_until_ms),
            assumed_after_ms: (is_said
                && later == Later::Unknown
                && first.is_some()
                && known_until_ms < end_ms)
                .then(|| known_until_ms.max(run_begins_ms)),
            end_is_unknown: later == Later::Unknown && due_until_ms < end_ms,
            last_tick: (later == Later::None)
                .then(|| before.checked_sub(1))
                .flatten()
                .filter(|&last| last >= first.unwrap_or(0)),
        })
    }
}
