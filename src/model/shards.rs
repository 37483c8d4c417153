//! How the run of a configuration is divided among shards.

use super::division::Division;
use super::fleet::{Fleet, Told, stays};
use super::space_key;
use crate::config::{Config, Kind, Metric, Shard};

/// The part of the run that a configuration's shard has; `None` where it has everything.
pub fn division_of(config: &Config) -> Option<Division> {
    let shard = config.shard.filter(|shard| shard.is_part())?;
    Some(division_for(config, shard))
}

/// The part that some shard has.
pub fn division_for(config: &Config, shard: Shard) -> Division {
    let targets = config.prometheus.targets.as_ref();
    let law = targets.map(|targets| &targets.law);
    Division::new(shard, law, |name| {
        let mut metrics = config.metrics.iter();
        metrics.all(|metric| stays(&metric.labels, &metric.life, name))
    })
}

/// Why a configuration cannot be divided among shards, if it cannot.
pub fn refusal(config: &Config) -> Option<String> {
    let division = division_of(config)?;
    division.labels()?.is_empty().then(|| {
        "exporters.prometheus.targets.by: these targets cannot be divided among shards: their \
         labels move from entity to entity, or tell series of one entity apart; let by have a \
         label that stays with its entities, or use count"
            .to_owned()
    })
}

/// Why a shard cannot go over from one configuration to another while it runs, if it cannot:
/// the metric, and what would become of it. Series would have to go on in other shards, or
/// what they are among all series of the run is known to none.
pub fn reload_refusal(old: &Config, new: &Config) -> Option<(String, &'static str)> {
    let (before, now) = (division_of(old)?, division_of(new)?);
    let interval_ns = old.global.tick_interval_ns;
    new.metrics.iter().find_map(|metric| {
        let earlier = old.metrics.iter().find(|old| old.name == metric.name)?;
        let has_moved = shown(earlier) == shown(metric)
            && dealt(earlier, interval_ns, &before) != dealt(metric, interval_ns, &now);
        let is_weighted_window = matches!(metric.kind, Kind::Summary { .. })
            && metric.has_weights()
            && space_key(earlier) != space_key(metric);
        let why = if has_moved {
            "its series would move to other shards, which do not know their values"
        } else if is_weighted_window {
            "the window of a summary whose series have weights depends on the series of all \
             shards"
        } else {
            return None;
        };
        Some((metric.name.clone(), why))
    })
}

/// The names of the labels that series have.
fn shown(metric: &Metric) -> Vec<&str> {
    let labels = metric.labels.iter().filter(|label| !label.hidden);
    let mut names: Vec<&str> = labels.map(|label| &*label.name).collect();
    names.sort_unstable();
    names
}

/// By which labels a metric's series are dealt, and how.
fn dealt(metric: &Metric, interval_ns: u64, division: &Division) -> Vec<(String, Told)> {
    let fleet = Fleet::of(&metric.labels, &metric.life, interval_ns, Some(division));
    let mut dealt: Vec<(String, Told)> = match fleet {
        Ok(Some(fleet)) => {
            let dealt = fleet.dealt_labels(division).into_iter();
            dealt.map(|(name, told)| (name.to_owned(), told)).collect()
        }
        // A catalog of such labels is refused.
        Ok(None) | Err(_) => {
            let dealt = shown(metric).into_iter();
            let dealt = dealt.filter(|name| division.is_by(name));
            dealt.map(|name| (name.to_owned(), Told::Text)).collect()
        }
    };
    dealt.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    dealt
}
