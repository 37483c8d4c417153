//! `exporters.prometheus.targets`.

use super::{Checker, suggest};
use crate::config::problem::{Path, quoted};
use crate::config::raw::RawTargets;
use crate::config::{Metric, TargetLaw, Targets};

/// Labels that can make targets together.
const LABELS_MAX: usize = 8;
/// Targets among which series can be dealt.
const COUNT_MAX: u64 = 1_000_000;

impl Checker<'_> {
    /// `None` where it is not given or has a mistake. Labels are those of the metrics, `None`
    /// for one with a mistake of its own.
    pub(super) fn targets(
        &mut self,
        at: &Path,
        raw: Option<RawTargets>,
        metrics: &[Option<Metric>],
    ) -> Option<Targets> {
        let raw = raw?;
        let law = match (raw.by, raw.count) {
            (Some(by), None) => {
                let at = at.key("by");
                let mut labels: Vec<String> = Vec::new();
                if by.is_empty() {
                    self.problems.add(&at, "must name a label");
                    return None;
                }
                if !self.at_most(&at, by.len(), LABELS_MAX, "labels") {
                    return None;
                }
                for (at, label) in self.items(&at, by) {
                    let label = label?;
                    self.label_of_some(&at, &label, metrics);
                    if labels.contains(&label) {
                        self.problems
                            .add(&at, format!("{} is there twice", quoted(&label)));
                    }
                    labels.push(label);
                }
                TargetLaw::By(labels)
            }
            (None, Some(count)) => {
                let count = u64::from(count);
                self.whole_within(&at.key("count"), count, 1..=COUNT_MAX);
                TargetLaw::Count(u32::try_from(count).unwrap_or(1))
            }
            (Some(_), Some(_)) => {
                self.problems.add(
                    &at.key("count"),
                    "series are divided by labels or by count, not both",
                );
                return None;
            }
            (None, None) => {
                self.problems.missing(
                    at,
                    "missing; by (labels whose values make the targets) or count (how many \
                     there are)",
                );
                return None;
            }
        };
        Some(Targets {
            law,
            in_body: raw.in_body.unwrap_or(true),
            whole: raw.whole.unwrap_or(true),
        })
    }

    /// Reports a label that no metric shows.
    fn label_of_some(&mut self, at: &Path, label: &str, metrics: &[Option<Metric>]) {
        let shown = metrics.iter().flatten().flat_map(|metric| &metric.labels);
        let shown = shown.filter(|label| !label.hidden);
        let mut names: Vec<&str> = shown.map(|label| &*label.name).collect();
        names.sort_unstable();
        names.dedup();
        // It may be one of a metric with a mistake.
        if !names.contains(&label) && metrics.iter().all(Option::is_some) {
            let hint = suggest::nearest_and_rest(
                label,
                ("there are:", "there are also:"),
                names.iter().copied(),
            );
            self.problems.add(
                at,
                format!("no metric has a label {}; {hint}", quoted(label)),
            );
        }
    }
}
