//! The scrapes that a fault can strike: of which pages, and when.

use std::collections::BTreeMap;

use super::exporters::TargetLaw;
use super::target_id::labels_of_id;

/// The scrapes that a fault can strike.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct ScrapeSelector {
    /// Of what.
    pub of: Scraped,
    /// Only in the first half of each period of so many nanoseconds, counted from tick 0;
    /// `None` means always.
    pub period_ns: Option<u64>,
}

/// What is scraped.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub enum Scraped {
    /// `/metrics`, and the page of any target.
    #[default]
    All,
    /// Pages of targets that have all of these labels; an empty value is that of targets
    /// without the label. At least one, and all of them make targets.
    Labels(BTreeMap<String, String>),
    /// The page of the target with this ID.
    Target(String),
}

impl ScrapeSelector {
    /// Whether a scrape is struck that shows a tick which is so many nanoseconds after tick 0.
    pub fn acts_at(&self, since_epoch_ns: u128) -> bool {
        self.period_ns.is_none_or(|period_ns| {
            let period_ns = u128::from(period_ns.max(1));
            2 * (since_epoch_ns % period_ns) < period_ns
        })
    }
}

impl Scraped {
    /// Whether the page of the target with an ID is meant, `None` being `/metrics`, where
    /// targets are made by this law.
    pub fn has(&self, law: Option<&TargetLaw>, page: Option<&str>) -> bool {
        match (self, page) {
            (Self::All, _) => true,
            (_, None) => false,
            (Self::Target(id), Some(page)) => id == page,
            (Self::Labels(labels), Some(page)) => {
                let Some(own) = law.and_then(|law| labels_of_id(law, page)) else {
                    return false;
                };
                labels.iter().all(|(name, value)| {
                    let own = own.iter().find(|(own, _)| own == name);
                    own.map_or("", |(_, own)| own) == value
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_flaps_acts_in_the_first_half_of_each_period() {
        let on = |period_ns| ScrapeSelector {
            period_ns,
            ..ScrapeSelector::default()
        };
        let acting = |period_ns: Option<u64>| -> Vec<u128> {
            (0..12).filter(|&ns| on(period_ns).acts_at(ns)).collect()
        };
        assert_eq!(acting(None).len(), 12);
        assert_eq!(acting(Some(4)), [0, 1, 4, 5, 8, 9]);
        assert_eq!(acting(Some(5)), [0, 1, 2, 5, 6, 7, 10, 11]);
        assert!(!on(Some(u64::MAX)).acts_at(u128::from(u64::MAX) - 1));
        assert!(on(Some(u64::MAX)).acts_at(u128::from(u64::MAX)));
    }

    #[test]
    fn pages_are_told_by_their_ids() {
        let law = TargetLaw::By(vec!["zone".into(), "pod".into()]);
        let labels = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|&(name, value)| (name.into(), value.into()));
            Scraped::Labels(pairs.collect())
        };
        for (of, ids) in [
            (Scraped::All, &["-", "x,a", "x,b~2Fc", "~,a", "?"][..]),
            (labels(&[("zone", "x")]), &["x,a", "x,b~2Fc"]),
            (labels(&[("zone", "")]), &["~,a"]),
            (labels(&[("pod", "b/c")]), &["x,b~2Fc"]),
            (labels(&[("pod", "a"), ("zone", "x")]), &["x,a"]),
            (labels(&[("pod", "a"), ("zone", "y")]), &[]),
            (Scraped::Target("x,b~2Fc".into()), &["x,b~2Fc"]),
            (Scraped::Target("x".into()), &[]),
        ] {
            let all = [None, Some("x,a"), Some("x,b~2Fc"), Some("~,a"), Some("?")];
            let found = all.into_iter().filter(|page| of.has(Some(&law), *page));
            let found: Vec<&str> = found.map(|page| page.unwrap_or("-")).collect();
            assert_eq!(found, ids, "{of:?}");
        }
        // Where there are none, nobody has an ID.
        assert!(!labels(&[("pod", "a")]).has(None, Some("x,a")));
    }
}
