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

/// Why a configuration cannot be divided among shards, if it cannot: a field, and what is
/// wrong with it.
pub fn refusal(config: &Config) -> Option<(&'static str, &'static str)> {
    let division = division_of(config)?;
    division.labels()?.is_empty().then_some((
        "exporters.prometheus.targets.by",
        "these targets cannot be divided among shards: their labels move from entity to entity, \
         or tell series of one entity apart; let by have a label that stays with its entities, \
         or use count",
    ))
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
    let fleet = Fleet::of(&metric.labels, &metric.life, interval_ns);
    let mut dealt: Vec<(String, Told)> = if let Ok(Some(fleet)) = fleet {
        let dealt = fleet.dealt_labels(division).into_iter();
        dealt.map(|(name, told)| (name.to_owned(), told)).collect()
    } else {
        // A catalog of labels that cannot be had is refused.
        let dealt = shown(metric).into_iter();
        let dealt = dealt.filter(|name| division.is_by(name));
        dealt.map(|name| (name.to_owned(), Told::Text)).collect()
    };
    dealt.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    dealt
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load_str;
    use crate::model::{Catalog, SpaceSizes};

    const PODS: &str = "pods: {labels: {
        namespace: [shop, media],
        app: {range: [1, 9], fmt: '{namespace}-app{}'},
        pod: {range: [1, 6], fmt: '{app}-{id:5}'},
        node: {of: pod, range: [1, 4], fmt: 'node-%02d'},
        rack: {of: node, fmt: '{node}-r'},
        path: [/a, /b]}}";
    const UP: &str = "{name: up, type: gauge, algorithm: constant, start: 1, profile: pods}";

    /// With targets by some labels, if any.
    fn config(by: &str, profiles: &str, metrics: &str) -> Config {
        let targets = match by {
            "" => String::new(),
            by => format!("exporters: {{prometheus: {{targets: {{by: [{by}]}}}}}}\n"),
        };
        let text = format!("{targets}profiles:\n  {profiles}\nmetrics: [{metrics}]\n");
        let config = load_str(Path::new("f.yaml"), text.as_bytes(), &|_| None);
        let mut config = config.unwrap_or_else(|error| panic!("{error}\n{text}"));
        config.shard = Shard::new(1, 3);
        config
    }

    /// What labels of targets deal, as far as they stay with entities.
    #[test]
    fn targets_deal_by_what_stays_with_entities() {
        let check = |by: &str, expected: &[&str]| {
            let config = config(by, PODS, UP);
            let division = division_of(&config).unwrap();
            assert_eq!(division.labels().unwrap(), expected, "{by}");
            assert_eq!(refusal(&config).is_some(), expected.is_empty(), "{by}");
            let whole = Config {
                shard: None,
                ..config
            };
            assert_eq!(refusal(&whole), None);
        };
        check("pod", &["pod"]);
        check("namespace, pod", &["namespace", "pod"]);
        check("pod, node, path", &["pod"]);
        check("node", &[]);
        check("rack", &[]);
        check("path", &[]);
        assert_eq!(division_of(&config("", PODS, UP)).unwrap().labels(), None);
    }

    /// A reload is refused where series of a shard would have to go on in another one.
    #[test]
    fn reloads_that_move_series_are_refused() {
        let check = |by: &str, (profiles, metrics): (&str, &str), expected: Option<&str>| {
            let (old, new) = (config(by, PODS, UP), config(by, profiles, metrics));
            let refused = reload_refusal(&old, &new);
            let refused = refused.as_ref().map(|(metric, _)| metric.as_str());
            assert_eq!(refused, expected, "{by}: {profiles} {metrics}");
            let whole = |config: Config| Config {
                shard: None,
                ..config
            };
            assert_eq!(reload_refusal(&whole(old), &whole(new)), None);
        };
        let profile = |from: &str, to: &str| {
            let changed = PODS.replace(from, to);
            assert_ne!(changed, PODS);
            changed
        };
        check("", (PODS, &UP.replace("start: 1", "start: 2")), None);
        // Others of the same kind.
        check(
            "",
            (&profile("[shop, media]", "[a, media, shop]"), UP),
            None,
        );
        check("", (&profile("range: [1, 9]", "range: [1, 900]"), UP), None);
        check("", (&profile("range: [1, 6]", "range: [1, 8]"), UP), None);
        let laws = "[/a, /b]}, churn: [{mode: replace, label: pod, lifetime: 1h}]";
        check("", (&profile("[/a, /b]}", laws), UP), None);
        // Beyond a power of two identifiers are those of other pods.
        let longer = profile("range: [1, 6]", "range: [1, 9]");
        check("", (&longer, UP), Some("up"));
        check("app", (&longer, UP), None);
        // What was free makes entities, or what made them does not.
        let laws =
            "[/a, /b]}, churn: [{mode: outage, label: path, every: 1h, percent: 1, down: 1m}]";
        check("", (&profile("[/a, /b]}", laws), UP), Some("up"));
        check("pod", (&profile("[/a, /b]}", laws), UP), None);
        let plain = profile("fmt: '{app}-{id:5}'", "fmt: 'pod-{}'");
        let plain = plain.replace("fmt: '{namespace}-app{}'", "fmt: 'app{}'");
        check("", (&plain, UP), Some("up"));
        // Other labels are other series.
        let without = UP.replace("profile: pods", "profile: pods, without: [path]");
        check("", (PODS, &without), None);
        // A metric in which the label of targets is free.
        let other = "{name: other, type: gauge, algorithm: constant, start: 1, profile: others}";
        let others = format!(
            "{PODS}\n  others: {{labels: {{pod: [x, y], a: [1, 2], b: {{of: a, values: [p, q]}}}}}}"
        );
        let both = format!("{UP}, {other}");
        check("pod, app", (&others, &both), Some("up"));
        check("", (&others, &both), None);
    }

    #[test]
    fn windows_that_all_series_weight_stay_as_they_are() {
        let of = |labels: &str, description: &str| {
            config(
                "",
                &format!("p: {{zipf_alpha: 1, labels: {{a: [{labels}]}}}}"),
                &format!(
                    "{{name: s, type: summary, algorithm: exponential, lam: 1, profile: p, \
                     description: {description}}},\n\
                     {{name: c, type: counter, algorithm: poisson, base_rate: 1, profile: p}}"
                ),
            )
        };
        let old = of("x, y", "one");
        assert_eq!(reload_refusal(&old, &of("x, y", "other")), None);
        let refused = reload_refusal(&old, &of("x, y, z", "one"));
        assert_eq!(refused.map(|(metric, _)| metric).as_deref(), Some("s"));
    }

    /// The size of a shard's spaces is told before they are built.
    #[test]
    fn sizes_of_shards_are_those_of_what_is_built() {
        let check = |profiles: &str, tolerance: f64| {
            let metrics = format!(
                "{UP}, {{name: c, type: counter, algorithm: poisson, base_rate: 1, profile: pods, without: [path]}}"
            );
            let mut config = config("", profiles, &metrics);
            for of in [2, 5, 11] {
                for index in 0..of {
                    config.shard = Shard::new(index, of);
                    let catalog = Catalog::build(&config, Vec::new()).unwrap();
                    let mut sizes = SpaceSizes::new(&config, Vec::new());
                    for (metric, family) in config.metrics.iter().zip(catalog.families()) {
                        let (_, size) = sizes.of(metric);
                        let (said, built) = (size.rows as f64, family.series_count() as f64);
                        assert!((said - built).abs() <= tolerance * built, "{said} {built}");
                        let (said, built) =
                            (size.memory_bytes as f64, family.space.memory_bytes() as f64);
                        // Which values of a label a shard has is told by all labels together.
                        assert!(
                            said + 2000.0 > 0.95 * built && said < 1.5 * built + 2000.0,
                            "{said} {built}"
                        );
                    }
                }
            }
        };
        check(PODS, 0.0);
        check(
            "pods: {labels: {path: [/a, /b, /c], user: {range: [1, 5000], fmt: 'user_%05d'}}}",
            0.0,
        );
        let capped = "pods: {series_cap: 6000, sampling_strategy: hash, \
                      labels: {path: [/a, /b, /c], user: {range: [1, 5000], fmt: 'user_%05d'}}}";
        check(capped, 0.15);
    }
}
