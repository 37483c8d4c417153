//! What is due of the pages of a range's targets: a page is there as long as its target, and
//! is to be found within a while.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::part::{Part, instants};
use super::{Found, Session};
use crate::journal::Replay;
use crate::verify::backend::AskError;
use crate::verify::edges::Edges;
use crate::verify::gaps::{edge_gap, gap};
use crate::verify::naming::labels_text;
use crate::verify::page_totals::{self, Judged};
use crate::verify::pages::{self, FOUND_WITHIN_MS, Followed, Page, Span};
use crate::verify::range_check::RangeCheck;
use crate::verify::report::{Example, Gap, Report, What, tally_of};
use crate::verify::series::exactly;
use crate::verify::target::{self, Scrape};
use crate::verify::{Options, Share, VerifyError};

/// A page with fewer intervals between its scrapes does not tell what is usual.
pub(super) const INTERVALS_MIN: usize = 3;

/// More pages than this are many: their counts and sums are compared together, and so many of
/// those that differ are judged alone as well.
pub(super) const PAGES_ALONE_MAX: usize = 20;

/// The pages of a run in a backend.
#[derive(Clone, Copy)]
struct Due<'a> {
    replay: &'a Replay,
    edges: &'a Edges,
    /// Whoever scrapes scraped from then on.
    begin_ms: i64,
    interval_ms: i64,
}

impl Session<'_> {
    /// Tells where scrapes of pages are missing, and pages that were there after the end of their
    /// target. Returns what is to be said of pages that never came.
    pub(super) fn settle_pages(
        &mut self,
        parts: &mut [Part<'_>],
        options: &Options,
    ) -> Result<Vec<Report>, VerifyError> {
        let mut pages = parts
            .iter()
            .filter_map(|part| Some((part, part.context.page()?)));
        let Some((first, page)) = pages.next() else {
            return Ok(Vec::new());
        };
        let (edges, followed) = (first.target.edges, Rc::clone(&page.followed));
        let scraped = std::iter::once(first).chain(pages.map(|(part, _)| part));
        let begins = scraped.clone().map(|part| part.target.scrapes[0].time_ms);
        let begin_ms = begins.min().unwrap_or(edges.begin_ms);
        let begin_ms = if edges.begin_is_due {
            edges.begin_ms
        } else {
            begin_ms.max(edges.begin_ms)
        };
        // What never came is missing from the first range on.
        let begin_ms = *self.pages_begin_ms.get_or_insert(begin_ms);
        let intervals: Vec<i64> = scraped.map(|part| part.target.interval_ms).collect();
        let until = self.replay.tick_by_ms(edges.due_until_ms);
        // One page alone goes on from its last scrape.
        let is_all = options.targets_max > 1;
        if is_all && self.computed().is_none_or(|computed| computed < until) {
            self.frame((until, until), Some(&followed), &mut |_, _| {})?;
        }
        let replay = self.replay.clone();
        let due = Due {
            replay: &replay,
            edges: &edges,
            begin_ms,
            interval_ms: target::usual_interval(&intervals),
        };
        let mut came = BTreeSet::new();
        for part in parts.iter_mut() {
            let Some(id) = part.target.page.clone() else {
                continue;
            };
            let spans = followed.spans(&id);
            let known = part.target.known.saturating_sub(1);
            part.gaps = if options.known_until_ms.is_some() && part.target.known > 0 {
                // What is missing before the last one that was compared was told.
                let since = Due {
                    begin_ms: part.target.scrapes[known].time_ms,
                    ..due
                };
                since.gaps(
                    &spans,
                    &part.target.scrapes[known..],
                    part.target.interval_ms,
                )
            } else {
                due.gaps(&spans, &part.target.scrapes, part.target.interval_ms)
            };
            let of = (Some(&*id), &*part.target.scrapes);
            self.excuse(&mut part.gaps, part.target.interval_ms, of)?;
            note_odd(part, &spans);
            self.pages_came_ms.insert(id.clone(), part.last().time_ms);
            came.insert(id);
        }
        if options.instance.is_some() {
            return Ok(Vec::new());
        }
        let mut lost = Vec::new();
        let ids = followed.ids();
        self.pages_came_ms
            .retain(|id, _| ids.binary_search(id).is_ok());
        for id in ids.into_iter().filter(|id| !came.contains(id)) {
            // One that came in an earlier range is missing since then.
            let since_ms = self.pages_came_ms.get(&id).copied();
            let since = Due {
                begin_ms: since_ms.map_or(due.begin_ms, |ms| ms.max(due.begin_ms)),
                ..due
            };
            let mut gaps = since.gaps(&followed.spans(&id), &[], due.interval_ms);
            self.excuse(&mut gaps, due.interval_ms, (Some(&id), &[]))?;
            if !gaps.is_empty() {
                lost.push(self.lost_page(&id, gaps, &due, options));
            }
        }
        Ok(lost)
    }

    /// The report of a page of which the backend has nothing, though it should unless the run
    /// made all of its scrapes fail.
    fn lost_page(&self, id: &str, gaps: Vec<Gap>, due: &Due<'_>, options: &Options) -> Report {
        let (from_ms, to_ms) = (gaps[0].after_ms, gaps[gaps.len() - 1].before_ms);
        let ticks = [from_ms, to_ms].map(|ms| due.replay.tick_by_ms(ms));
        let mut lost = Report::lost(
            (self.backend.url(), options.via.name()),
            [("target".to_owned(), id.to_owned())].into(),
            (ticks[0], ticks[1]),
            due.interval_ms,
            gaps,
        );
        lost.added.page = Some(id.to_owned());
        lost
    }
}

impl Session<'_> {
    /// Judges some of the pages of which counts and sums differ once more, each alone and
    /// every sample of it, to name what differs.
    pub(super) fn look_closer(
        &self,
        parts: &[Part<'_>],
        options: &Options,
        found: &mut [Found],
    ) -> Result<(), VerifyError> {
        let differs = |(place, part): (usize, &Part<'_>)| {
            let of = &found[place].1;
            let differs = part.is_one_of_many && of.iter().any(|tally| tally.totals_wrong > 0);
            differs.then_some(place)
        };
        let differing = parts.iter().enumerate().filter_map(differs);
        let differing: Vec<usize> = differing.take(PAGES_ALONE_MAX).collect();
        let Some(&first) = differing.first() else {
            return Ok(());
        };
        let Some(law) = pages::targets(&self.replay).map(|targets| targets.law.clone()) else {
            return Ok(());
        };
        let options = Options {
            share: Share::All,
            ..options.clone()
        };
        let mut session = Session::new(self.replay.anew(), self.backend, &options)?;
        let from = parts[first]
            .context
            .page()
            .map(|page| page.followed.first_tick());
        let followed = Rc::new(Followed::new(law, from.unwrap_or(0)));
        let alone = differing.iter().map(|&place| {
            let part = &parts[place];
            let target = part.target.clone();
            let page = Page {
                id: target.page.clone().unwrap_or_default(),
                followed: Rc::clone(&followed),
            };
            Part {
                context: part.context.of_page(&self.replay, &target, page),
                instants: instants(target.scrapes.len() - target.known, options.instants),
                target,
                gaps: Vec::new(),
                is_one_of_many: false,
            }
        });
        let alone: Vec<Part<'_>> = alone.collect();
        let closer = session.judge(&alone, &options, &mut |_, _| {})?;
        for (place, (names, tallies)) in differing.into_iter().zip(closer) {
            let (known_names, known) = &mut found[place];
            *known_names = names;
            for tally in tallies {
                let before = tally_of(known, &tally.metric);
                // What only counts over the whole range tell stays.
                if !tally.is_ok() || before.is_ok() {
                    *before = tally;
                }
            }
        }
        Ok(())
    }
}

/// Counts and sums of the pages that are many are of what came after this time: where each goes
/// on from a scrape of its own, after all of these.
pub(super) fn together_after_ms(parts: &[Part<'_>], options: &Options) -> i64 {
    let many = parts.iter().filter(|part| part.is_one_of_many);
    let goes_on = many.clone().filter(|part| part.target.known > 0);
    let last_ms = goes_on.map(Part::after_ms).max();
    let last_ms = last_ms.filter(|_| options.known_until_ms.is_some());
    let first_ms = || many.map(Part::after_ms).min();
    last_ms.or_else(first_ms).unwrap_or(0)
}

/// Compares counts and sums of the pages that are many, after a time.
pub(super) fn check_together(
    parts: &[Part<'_>],
    checks: &mut [RangeCheck<'_>],
    after_ms: i64,
) -> Result<(), AskError> {
    let all = checks.iter_mut().zip(parts);
    let pages = all.filter_map(|(check, part)| {
        let (totals, tallies) = check.totals_of_range()?;
        Some(Judged {
            context: &part.context,
            totals,
            tallies,
            last: part.last(),
        })
    });
    let mut pages: Vec<Judged<'_, '_>> = pages.collect();
    let many = || parts.iter().filter(|part| part.is_one_of_many);
    let end_ms = many()
        .map(|part| part.target.edges.end_ms)
        .max()
        .unwrap_or(0);
    page_totals::check(&mut pages, (after_ms, end_ms))
}

/// Pages that are many are told apart by labels that all their series have.
pub(super) fn replaced(target: &target::Target) -> VerifyError {
    VerifyError::Config(format!(
        "own labels replace those of the target {} (honor_labels), so that its series cannot be \
         counted together with those of other pages; choose it with --job and --instance",
        labels_text(&target.labels)
    ))
}

impl Due<'_> {
    /// Where scrapes of a page are missing, of which there are these.
    fn gaps(&self, spans: &[Span], scrapes: &[Scrape], interval_ms: i64) -> Vec<Gap> {
        let time_ms = |tick: u64| self.replay.time_ms(tick).unwrap_or(i64::MAX);
        let mut gaps = Vec::new();
        for span in spans {
            let ended_ms = span.ended.map_or(i64::MAX, |tick| time_ms(tick) - 1);
            let until_ms = self.edges.due_until_ms.min(ended_ms);
            let found_ms = span
                .born
                .map(|tick| time_ms(tick).saturating_add(FOUND_WITHIN_MS));
            let from_ms = found_ms.unwrap_or(i64::MIN).max(self.begin_ms);
            let of_span = scrapes.iter().filter(|scrape| span.has(scrape.tick));
            let mut of_span = of_span.map(|scrape| scrape.time_ms).peekable();
            let mut last_ms = from_ms;
            if let Some(first_ms) = of_span.next() {
                gaps.extend(edge_gap(from_ms, first_ms, interval_ms));
                last_ms = first_ms.max(self.begin_ms);
            }
            for next_ms in of_span {
                gaps.extend(gap(last_ms, next_ms, interval_ms));
                last_ms = next_ms;
            }
            gaps.extend(edge_gap(last_ms, until_ms, interval_ms));
        }
        gaps
    }
}

/// Notes scrapes of a page that show ticks at which its target was not there.
fn note_odd(part: &mut Part<'_>, spans: &[Span]) {
    let mut odd = Vec::new();
    let mut labels = part.target.labels.clone();
    labels.insert("__name__".to_owned(), part.target.ticks_name.clone());
    for scrape in part.scrapes() {
        if spans.iter().any(|span| span.has(scrape.tick)) {
            continue;
        }
        let before = spans.iter().filter_map(|span| span.ended);
        let before = before.filter(|ended| *ended <= scrape.tick).max();
        let note = before.map_or_else(
            || "there is no such target".to_owned(),
            |ended| format!("its target ended at tick {ended}"),
        );
        odd.push(Example {
            what: What::Unexpected,
            series: part.target.ticks_name.clone(),
            time_ms: scrape.time_ms,
            tick: Some(scrape.tick),
            expected: None,
            found: Some(format!("{:?}", scrape.tick as f64)),
            note: Some(note),
            query: format!("{}[1ms]", exactly(&labels)),
            query_ms: scrape.time_ms,
        });
    }
    part.target.odd.extend(odd);
}

impl Span {
    /// Whether the target is there at a tick.
    fn has(self, tick: u64) -> bool {
        self.born.is_none_or(|born| born <= tick) && self.ended.is_none_or(|ended| tick < ended)
    }
}

/// Lets pages that came rarely be scraped as often as others.
pub(super) fn settle_intervals(targets: &mut [target::Target]) {
    let pages = || targets.iter().filter(|target| target.page.is_some());
    let all: Vec<i64> = pages().flat_map(|page| page.intervals_ms.clone()).collect();
    let usual_ms = target::usual_interval(&all);
    for page in targets.iter_mut().filter(|target| target.page.is_some()) {
        if page.intervals_ms.len() < INTERVALS_MIN {
            page.interval_ms = usual_ms;
        }
    }
}

/// Follows the targets of a run whose pages came, from early enough on.
pub(super) fn followed(
    replay: &Replay,
    edges: &Edges,
    targets: &[target::Target],
) -> Option<Rc<Followed>> {
    let pages = || targets.iter().filter(|target| target.page.is_some());
    let first_ms = pages().map(|page| page.scrapes[0].time_ms).min()?;
    let first_tick = pages().map(|page| page.scrapes[0].tick).min()?;
    let from_ms = first_ms.min(edges.begin_ms) - FOUND_WITHIN_MS;
    let from_tick = replay.tick_by_ms(from_ms).min(first_tick);
    let law = pages::targets(replay)?.law.clone();
    Some(Rc::new(Followed::new(law, from_tick)))
}
