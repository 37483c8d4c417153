//! How a run is divided among shards.

use std::fmt::Write as _;

use serde::Serialize;

use super::Estimate;
use crate::config::{Config, Shard};
use crate::model::Catalog;
use crate::model::population::{Fleets, Populations};
use crate::model::targets::TargetMap;
use crate::readable::{grouped, human_bytes, write_aligned};
use crate::timeline::Timeline;

/// The shares of all shards of a run at a tick.
#[derive(Debug, Serialize)]
pub struct ShardsPlan {
    /// The configuration's path.
    pub file: String,
    /// The tick at which series were counted.
    pub counted_at_tick: u64,
    /// By number.
    pub shards: Vec<ShardPlan>,
    /// All of them together: the whole run.
    pub total: ShardPlan,
    /// How many series more than the smallest share the largest one has, in hundredths of
    /// the mean.
    pub difference_percent: f64,
}

/// What a shard has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ShardPlan {
    /// As `--shard` takes it; empty for all together.
    pub shard: String,
    /// Series at the tick that was counted.
    pub series: u128,
    /// Samples per scrape in the Prometheus text format.
    pub samples_text: u128,
    /// Targets, where there are some.
    pub targets: Option<u128>,
    /// Estimated memory of its process.
    pub memory_bytes: u128,
}

impl ShardsPlan {
    /// Of so many shards. One after the other is laid out and counted, none is run.
    ///
    /// # Errors
    /// When a catalog cannot be built.
    pub fn of(config: &Config, shards: u32, tick: u64) -> Result<Self, String> {
        let orders = Timeline::orders_up_to(config, tick);
        let law = config
            .prometheus
            .targets
            .as_ref()
            .map(|targets| &targets.law);
        let mut total = ShardPlan {
            targets: law.map(|_| 0),
            ..ShardPlan::default()
        };
        let mut all = Vec::with_capacity(shards as usize);
        for shard in (0..shards).filter_map(|index| Shard::new(index, shards)) {
            let config = Config {
                shard: Some(shard),
                ..config.clone()
            };
            let catalog = Catalog::build(&config, Vec::new())
                .map_err(|(metric, error)| format!("metric {metric}: {error}"))?;
            let fleets = Fleets::at(&catalog, &orders, tick);
            let populations = Populations::founded_with(&catalog, 0, &fleets);
            let counts = populations.iter().zip(catalog.families());
            let counts = counts.map(|(population, family)| {
                let series = population.series_count() as u128;
                (series, series * family.shape.samples_per_series() as u128)
            });
            let (series, samples_text) = counts.fold((0, 0), |(series, samples), (more, of)| {
                (series + more, samples + of)
            });
            let plan = ShardPlan {
                shard: shard.to_string(),
                series,
                samples_text,
                targets: law
                    .map(|law| TargetMap::of(&catalog, &populations, law, None).len() as u128),
                memory_bytes: Estimate::of(&config).memory.bytes(),
            };
            total.series += plan.series;
            total.samples_text += plan.samples_text;
            total.memory_bytes += plan.memory_bytes;
            if let (Some(total), Some(targets)) = (&mut total.targets, plan.targets) {
                *total += targets;
            }
            all.push(plan);
        }
        let series = || all.iter().map(|plan| plan.series);
        let (least, most) = (series().min().unwrap_or(0), series().max().unwrap_or(0));
        let mean = (total.series as f64 / all.len() as f64).max(1.0);
        Ok(Self {
            file: config.path.display().to_string(),
            counted_at_tick: tick,
            difference_percent: (most - least) as f64 / mean * 100.0,
            shards: all,
            total,
        })
    }

    /// For people.
    pub fn table(&self) -> String {
        let has_targets = self.total.targets.is_some();
        let row = |plan: &ShardPlan, name: &str| {
            let mut row = vec![
                name.to_owned(),
                grouped(plan.series),
                grouped(plan.samples_text),
            ];
            row.extend(plan.targets.map(grouped));
            row.push(human_bytes(plan.memory_bytes));
            row
        };
        let mut heads = vec!["shard", "series", "samples"];
        heads.extend(has_targets.then_some("targets"));
        heads.push("memory");
        let mut rows = vec![heads.into_iter().map(str::to_owned).collect()];
        rows.extend(self.shards.iter().map(|plan| row(plan, &plan.shard)));
        rows.push(row(&self.total, "all"));
        let mut table = String::new();
        write_aligned(&mut table, "", &rows, |column| column < 1, &str::to_owned);
        let _ = writeln!(
            table,
            "{}: at tick {} shares differ by up to {:.1} % of their mean.",
            self.file, self.counted_at_tick, self.difference_percent,
        );
        table
    }
}
