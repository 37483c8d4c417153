//! How the run of a configuration is divided among shards.

use super::division::Division;
use super::fleet::stays;
use crate::config::Config;

/// The part of the run that a configuration's shard has; `None` where it has everything.
pub fn division_of(config: &Config) -> Option<Division> {
    let shard = config.shard.filter(|shard| shard.is_part())?;
    let targets = config.prometheus.targets.as_ref();
    let law = targets.map(|targets| &targets.law);
    Some(Division::new(shard, law, |name| {
        let mut metrics = config.metrics.iter();
        metrics.all(|metric| stays(&metric.labels, &metric.life, name))
    }))
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
