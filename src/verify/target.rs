//! A target of a run in a backend: what came of the run's ticks there, and when. Data for
//! all that looks at it.

use super::backend::Labels;
use super::delta::Deltas;
use super::edges::Edges;
use super::naming::Naming;
use super::report::{Example, rfc3339_ms};
use crate::config::Shard;
use crate::journal::Replay;

/// Scrapes that are looked at together.
pub(super) const SCRAPES_MAX: usize = 1_000_000;

/// A scrape or push that the backend has stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scrape {
    /// Time of its samples, Unix milliseconds.
    pub(super) time_ms: i64,
    /// The tick that it shows.
    pub(super) tick: u64,
}

/// Series of the run that have labels of their own in the backend, and the scrapes or
/// pushes of a range that brought them.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Labels that the backend added to all of them.
    pub(super) labels: Labels,
    /// Those of its tick numbers, with their name.
    pub(super) numbers: Labels,
    /// The ID of the target whose page it is, where it is one.
    pub(super) page: Option<String>,
    /// What names become.
    pub(super) naming: Naming,
    /// What the tick numbers are called.
    pub(super) ticks_name: String,
    /// The ends of the range.
    pub(super) edges: Edges,
    /// In order of their times.
    pub(super) scrapes: Vec<Scrape>,
    /// So many of them, the first ones, are not to be compared; they only tell what
    /// is missing after them.
    pub(super) known: usize,
    /// Pushes of which the tick number is missing, in order of their times.
    pub(super) missing: Vec<Scrape>,
    /// What the target says of its run at the last scrape or push.
    pub(super) run_info: Option<RunInfo>,
    /// Where what is counted was pushed as deltas, what each push counts.
    pub(super) deltas: Option<Deltas>,
    /// Tick numbers that were pushed and are not what was sent.
    pub(super) odd: Vec<Example>,
    /// Times between scrapes.
    pub(super) intervals_ms: Vec<i64>,
    /// The one that is usual; 0 where there is none.
    pub(super) interval_ms: i64,
}

/// What the process that was scraped says of its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunInfo {
    /// Unix milliseconds of tick 0, as the backend keeps it.
    pub(super) epoch_ms: i64,
    /// Of its configuration.
    pub(super) fingerprint: String,
    /// Which shard of the run it has, if not all of it.
    pub(super) shard: Option<Shard>,
}

/// The times between scrapes.
pub(super) fn intervals(scrapes: &[Scrape]) -> impl Iterator<Item = i64> + '_ {
    let pairs = scrapes.windows(2);
    pairs.map(|pair| pair[1].time_ms - pair[0].time_ms)
}

/// The median of some times between scrapes; of two, the shorter one, of none, 0.
pub(super) fn usual_interval(intervals_ms: &[i64]) -> i64 {
    let mut intervals_ms = intervals_ms.to_vec();
    intervals_ms.sort_unstable();
    let middle = intervals_ms.len().saturating_sub(1) / 2;
    intervals_ms.get(middle).copied().unwrap_or(0)
}

/// How long after its tick's time a scrape came; `None` where the tick has none.
pub(super) fn late_ms(replay: &Replay, scrape: Scrape) -> Option<i64> {
    Some(scrape.time_ms - replay.time_ms(scrape.tick)?)
}

/// Time between ticks.
pub(super) fn tick_interval_ms(replay: &Replay) -> i64 {
    i64::try_from(replay.config().global.tick_interval_ns / 1_000_000).unwrap_or(i64::MAX)
}

/// Tells of scrapes that read a tick which was over long before, though others
/// were in time: each sample of them is right for its tick, so only its age
/// tells that somebody kept an answer. Where all are as late, clocks may differ.
pub(super) fn old_ticks(replay: &Replay, scrapes: &[Scrape]) -> Option<String> {
    let late_ms = |scrape: &Scrape| late_ms(replay, *scrape);
    let mut all: Vec<i64> = scrapes.iter().filter_map(late_ms).collect();
    all.sort_unstable();
    let usual_ms = *all.get(all.len() / 2)?;
    // A tick is read at any time until the next one is there.
    let interval_ms = tick_interval_ms(replay);
    let allowed_ms = interval_ms.saturating_add(interval_ms / 2).max(1000);
    let most_ms = usual_ms.saturating_add(allowed_ms);
    let old = scrapes
        .iter()
        .filter(|scrape| late_ms(scrape).is_some_and(|late| late > most_ms));
    let oldest = old.clone().max_by_key(|scrape| late_ms(scrape))?;
    let seconds = |ms: i64| ms as f64 / 1000.0;
    Some(format!(
        "{} scrapes read an old tick: tick {} at {}, {} s after its time, where {} s are usual; the \
         run was late, or something before the backend kept an answer",
        old.count(),
        oldest.tick,
        rfc3339_ms(oldest.time_ms),
        seconds(late_ms(oldest)?),
        seconds(usual_ms),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporters::Needs;

    #[test]
    fn answers_that_were_kept_are_told_by_the_age_of_their_tick() {
        const EPOCH_MS: i64 = 1_000_000;
        let text = "global: {tick_interval_s: 1}\nprofiles: {p: {labels: {a: [b]}}}\n\
                    metrics: [{name: m, type: gauge, profile: p, algorithm: constant, start: 1}]\n";
        let path = std::path::Path::new("c.yaml");
        let config = crate::config::load_str(path, text.as_bytes(), &|_| None).unwrap();
        let replay = Replay::of_config(config, EPOCH_MS * 1_000_000, Needs::default());
        let told = |ticks: &[u64]| {
            let places = ticks.iter().enumerate();
            let scrape = |(place, &tick): (usize, &u64)| Scrape {
                time_ms: EPOCH_MS + place as i64 * 1000 + 300,
                tick,
            };
            old_ticks(&replay, &places.map(scrape).collect::<Vec<_>>())
        };
        assert_eq!(told(&[0, 1, 2, 3, 4, 5]), None);
        // One tick later than it should be: that may be a matter of milliseconds.
        assert_eq!(told(&[0, 1, 1, 3, 4, 5]), None);
        let old = told(&[0, 1, 1, 1, 1, 5, 6, 7, 8]).unwrap();
        assert!(
            old.starts_with("2 scrapes read an old tick: tick 1 at 1970-01-01T00:16:44.3Z, 3.3 s"),
            "{old}"
        );
        assert_eq!(told(&[]), None);
    }
}
