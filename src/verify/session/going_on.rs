//! What a range leaves to the next one: up to where each target is compared, and what is usual
//! there.

use super::Session;
use super::pages::INTERVALS_MIN;
use super::part::Part;
use crate::verify::Options;
use crate::verify::generations::Generations;
use crate::verify::pages::Page;
use crate::verify::target::{self, Target};

/// Times between scrapes that are remembered from one range to the next.
const INTERVALS_KEPT: usize = 50;
/// What comes this much later than what others had at the same time is not looked for any more.
const COMES_WITHIN_MS: i64 = 10 * 60 * 1000;

impl Session<'_> {
    /// From when on the next range has to be asked for, Unix milliseconds: there may be more of
    /// each target after its last scrape, but not long after others have come. `None` where
    /// nothing came yet.
    pub fn goes_on_from_ms(&self) -> Option<i64> {
        self.goes_on_from_ms
    }

    /// Computes the run from its beginning once more when the next tick is needed: ticks do not
    /// come back.
    pub fn restart(&mut self) {
        self.replay = self.replay.anew();
        self.engine = None;
        self.latest = None;
        self.generations = Generations::default();
        self.left.clear();
        self.followed = None;
    }

    /// Remembers up to where targets are compared. Pages that are over are forgotten when the
    /// next range has nothing of them.
    pub(super) fn remember(&mut self, parts: &[Part<'_>]) {
        let is_over = |part: &&Part<'_>| {
            let page = part.context.page();
            page.is_some_and(|page: &Page| page.followed.is_over(&page.id))
        };
        let last_ms = |part: &Part<'_>| part.last().time_ms;
        let latest_ms = parts.iter().map(last_ms).max();
        let living = parts.iter().filter(|part| !is_over(part));
        let first_ms = living.map(last_ms).min().or(latest_ms);
        let from_ms = first_ms.zip(latest_ms);
        let from_ms =
            from_ms.map(|(first_ms, latest_ms)| first_ms.max(latest_ms - COMES_WITHIN_MS));
        self.goes_on_from_ms = from_ms.or(self.goes_on_from_ms);
        let from_ms = self.goes_on_from_ms.unwrap_or(i64::MIN);
        let goes_on = |part: &&Part<'_>| !is_over(part) || last_ms(part) >= from_ms;
        let going_on = parts.iter().filter(goes_on);
        let known = going_on.map(|part| (part.target.numbers.clone(), part.last()));
        self.known = known.collect();
        let known = &self.known;
        self.intervals_ms
            .retain(|numbers, _| known.contains_key(numbers));
        if let Some(followed) = &self.followed {
            followed.forget_before(self.replay.tick_by_ms(from_ms));
        }
    }

    /// Remembers the times between scrapes; where the range goes on from an
    /// earlier one, both together tell what is usual.
    pub(super) fn settle_interval(&mut self, target: &mut Target, options: &Options) {
        let known = self.intervals_ms.entry(target.numbers.clone()).or_default();
        known.extend(&target.intervals_ms);
        // A page that is new has the interval of others.
        let is_told = target.page.is_none() || known.len() >= INTERVALS_MIN;
        if options.known_until_ms.is_some() && options.via.is_scraped() && is_told {
            target.interval_ms = target::usual_interval(known.make_contiguous());
        }
        let too_many = known.len().saturating_sub(INTERVALS_KEPT);
        known.drain(..too_many);
    }
}
