//! Which scrapes or pushes are missing, each counted once: what is missing at the end of a
//! round is told again by the next ones, until something comes.

use std::collections::BTreeMap;

use crate::verify::backend::Labels;
use crate::verify::report::{Findings, Gap, Report};

/// What ended so long before the end of what is told now is told no more.
const TOLD_WITHIN_MS: i64 = 60 * 60 * 1000;

/// Whose scrapes are missing: a part of the run, of it the page of this ID if it is one, and
/// the labels of the target; none where no target is known.
type Whose = (usize, Option<String>, Labels);

/// What was missing in all rounds.
#[derive(Debug, Default)]
pub(super) struct Missing {
    count: u64,
    /// What was missing at the end when it was told last.
    open: BTreeMap<Whose, Gap>,
}

impl Missing {
    /// How many scrapes or pushes.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Adds what was missing of a part of the run in a round.
    pub(super) fn add(&mut self, part: usize, found: &Findings) {
        let all = std::mem::take(&mut self.open).into_iter();
        let (mut open, others) = all.partition(|((of, ..), _)| *of == part);
        self.open = others;
        let mut end_ms = i64::MIN;
        for report in found.reports() {
            let whose = whose(part, report);
            let known = take_known(&mut open, &whose);
            let last = self.add_target(report, known.as_ref());
            self.open.extend(last.map(|gap| (whose, gap)));
            end_ms = end_ms.max(report.range_ms.1);
        }
        // Those that are not told of now may be so later, with what is counted already.
        open.retain(|_, gap| gap.before_ms >= end_ms.saturating_sub(TOLD_WITHIN_MS));
        self.open.append(&mut open);
    }

    /// Adds what was missing of a target, some of which may be known. Returns what is missing at
    /// the end.
    fn add_target(&mut self, report: &Report, open: Option<&Gap>) -> Option<Gap> {
        let interval_ms = (report.scrape_interval_s * 1000.0) as i64;
        let counted = |gap| counted_before(gap, open, interval_ms);
        let gaps = report.gaps.iter();
        let new = gaps.map(|gap| gap.lost().saturating_sub(counted(gap)));
        self.count += new.sum::<u64>();
        let last = report.gaps.last();
        let came_ms = if report.scrapes == 0 {
            i64::MIN
        } else {
            report.range_ms.1
        };
        last.filter(|gap| gap.before_ms > came_ms).cloned()
    }

    /// Adds that nothing of a part of the run was there.
    pub(super) fn lose(&mut self, part: usize, gap: Gap) {
        let whose = (part, None, Labels::new());
        let counted = counted_before(&gap, self.open.get(&whose), 0);
        self.count += gap.lost().saturating_sub(counted);
        self.open.insert(whose, gap);
    }
}

/// Whose the gaps of a report are.
fn whose(part: usize, report: &Report) -> Whose {
    match &report.added.page {
        // One that did not come has no labels but its ID.
        Some(id) => (part, Some(id.clone()), report.added.labels.clone()),
        None => (part, None, report.target.clone()),
    }
}

/// Takes out what was missing of a target already, under the labels that it has now, or under
/// none since it had not come or does not come any more.
fn take_known(open: &mut BTreeMap<Whose, Gap>, whose: &Whose) -> Option<Gap> {
    let (part, page, labels) = whose;
    if page.is_some() && labels.is_empty() {
        // The first of the page, whatever its labels are.
        let first = open.range(whose..).next();
        let first = first.filter(|((_, of, _), _)| of == page);
        let first = first.map(|(known, _)| known.clone());
        return first.and_then(|known| open.remove(&known));
    }
    let unlabelled = || (*part, page.clone(), Labels::new());
    let gap = open.remove(whose).or_else(|| open.remove(&unlabelled()));
    // Nothing had come of the whole part.
    gap.or_else(|| open.remove(&(*part, None, Labels::new())))
}

/// How many of the scrapes or pushes that a gap misses were counted when it, or one
/// that began earlier, was still `open`.
fn counted_before(gap: &Gap, open: Option<&Gap>, interval_ms: i64) -> u64 {
    match open {
        None => 0,
        Some(open) if open.after_ms == gap.after_ms => open.lost(),
        // Some that were missing came late; those after them were counted, too.
        Some(open) => {
            let since_ms = open.before_ms - gap.after_ms;
            u64::try_from(since_ms / interval_ms.max(1)).unwrap_or(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::report::Cost;

    /// A report of a target that has these labels, of which nothing came but these scrapes.
    fn report(labels: &[(&str, &str)], scrapes: usize, gaps: &[Gap]) -> Report {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let target = labels.iter().map(pair).collect();
        let lost = Report::lost(("url", "prometheus"), target, (0, 0), 1000, gaps.to_vec());
        Report { scrapes, ..lost }
    }

    fn found(reports: impl Into<Vec<Report>>) -> Findings {
        Findings::new(reports.into(), Cost::default())
    }

    /// A report of the page of a target, which came with labels or never came.
    fn page(labels: &[(&str, &str)], scrapes: usize, gaps: &[Gap]) -> Report {
        let mut report = report(labels, scrapes, gaps);
        report.added.page = Some("t-1".to_owned());
        report.added.labels = report.target.clone();
        if labels.is_empty() {
            report.target = [("target".to_owned(), "t-1".to_owned())].into();
        }
        report
    }

    #[test]
    fn a_page_that_comes_late_or_no_more_is_counted_once() {
        let labels = [("instance", "a"), ("job", "b")];
        let mut all = Missing::default();
        let mut missing = |report: Report, others: &[Report]| {
            all.add(0, &found([&[report], others].concat()));
            all.count()
        };
        let gap = Gap::new;
        assert_eq!(missing(page(&[], 0, &[gap(0, 5500, 5)]), &[]), 5);
        assert_eq!(missing(page(&[], 0, &[gap(0, 9500, 9)]), &[]), 9);
        // It comes, and the same is told again; of who scrapes it, too, it is another's loss.
        let mut came = page(&labels, 2, &[gap(0, 10_500, 10)]);
        came.range_ms = (10_500, 11_500);
        assert_eq!(missing(came, &[]), 10);
        let silent = page(&labels, 0, &[gap(11_500, 15_500, 4)]);
        let other = page(&[("instance", "c")], 0, &[gap(12_500, 15_500, 3)]);
        assert_eq!(missing(silent.clone(), std::slice::from_ref(&other)), 17);
        assert_eq!(missing(silent, &[other]), 17);
        // Its target is over, and it is known by its ID again.
        assert_eq!(missing(page(&[], 0, &[gap(11_500, 16_500, 5)]), &[]), 18);
    }

    #[test]
    fn what_is_not_told_for_a_while_is_counted_once() {
        let mut all = Missing::default();
        let lost = |shard| report(&[("shard", shard)], 0, &[Gap::new(0, 9000, 9)]);
        let came = |until_ms| Report {
            range_ms: (until_ms, until_ms),
            ..report(&[("job", "a")], 1, &[])
        };
        all.add(0, &found([came(10_000), lost("0/2")]));
        all.add(0, &found([came(20_000)]));
        all.add(1, &found([came(20_000)]));
        all.add(0, &found([came(30_000), lost("0/2")]));
        assert_eq!(all.count(), 9);
        // It is not kept for ever.
        all.add(0, &found([came(9000 + TOLD_WITHIN_MS)]));
        assert_eq!(all.open.len(), 1);
        all.add(0, &found([came(9001 + TOLD_WITHIN_MS)]));
        assert!(all.open.is_empty());
    }

    #[test]
    fn what_nothing_came_of_is_counted_once() {
        let mut all = Missing::default();
        all.lose(0, Gap::new(0, 5000, 5));
        all.lose(0, Gap::new(0, 7000, 7));
        assert_eq!(all.count(), 7);
        let came = Report {
            range_ms: (8000, 9000),
            ..report(&[("job", "a")], 2, &[Gap::new(0, 8000, 7)])
        };
        all.add(0, &found([came]));
        assert_eq!(all.count(), 7);
        assert!(all.open.is_empty());
    }

    #[test]
    fn what_stays_missing_is_counted_once() {
        let gap = Gap::new;
        let open = gap(10_000, 15_500, 5);
        let counted = |gap: &Gap| counted_before(gap, Some(&open), 1000);
        // It goes on, or ends.
        assert_eq!(counted(&gap(10_000, 18_500, 8)), 5);
        assert_eq!(counted(&gap(10_000, 17_000, 6)), 5);
        // Some came after all.
        assert_eq!(counted(&gap(12_000, 18_500, 6)), 3);
        // Another one.
        assert_eq!(counted(&gap(20_000, 23_000, 2)), 0);
        assert_eq!(counted_before(&open, None, 1000), 0);
    }
}
