//! What a reload replaced that its author may have meant to keep: entities, when laws or the
//! seed that decide who they are were edited.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::{Label, Life, Metric, Problem, Severity};
use crate::engine::Reloaded;
use crate::readable::grouped;

/// What became of the series of one profile's metrics.
#[derive(Debug, Default)]
struct Tally {
    metrics: u64,
    series: u64,
    replaced: u64,
}

/// A warning for each profile of which a metric lost more than half of its series because its
/// laws, or the global seed, are other ones than before. Metrics whose labels differ as well
/// are left out: those are others by what was written of them.
pub(super) fn warnings(
    file: &Path,
    (old, new): (&[Metric], &[Metric]),
    reloaded: &Reloaded,
) -> Vec<Problem> {
    let mut tallies: BTreeMap<(&str, bool), Tally> = BTreeMap::new();
    for metric in new {
        let before = old.iter().find(|before| before.name == metric.name);
        let counts = reloaded.series.get(&metric.name);
        let (Some(before), Some(counts)) = (before, counts) else {
            continue;
        };
        let series = counts.kept + counts.ended;
        let replaced = counts.ended.min(counts.began);
        let (was, is) = (&before.life, &metric.life);
        let is_other = was != is && is_same(&before.labels, &metric.labels);
        if !is_other || replaced <= series / 2 {
            continue;
        }
        let profile = profile_of(is, was);
        let by_laws = (&was.laws, &was.sizes) != (&is.laws, &is.sizes);
        let tally = tallies.entry((profile, by_laws)).or_default();
        tally.metrics += 1;
        tally.series += series;
        tally.replaced += replaced;
    }
    let warning = |((profile, by_laws), tally): ((&str, bool), Tally)| {
        let (path, what) = if by_laws {
            (
                format!("profiles.{profile}"),
                "its churn or size was edited",
            )
        } else {
            ("global.seed".to_owned(), "the seed is another one")
        };
        let message = format!(
            "{} of {} series of {} of the profile {profile} ended, and others are in their \
             places, since {what}: who there is follows from seed, labels and all laws from the \
             first tick on, as if they had always held; to change a run as it goes on, order it \
             by hand (POST /control/churn, POST /control/size)",
            grouped(tally.replaced.into()),
            grouped(tally.series.into()),
            match tally.metrics {
                1 => "a metric".to_owned(),
                metrics => format!("{} metrics", grouped(metrics.into())),
            },
        );
        Problem {
            severity: Severity::Warning,
            file: file.display().to_string(),
            line: None,
            column: None,
            path,
            message,
        }
    };
    tallies.into_iter().map(warning).collect()
}

/// Laws may be new, or gone: one of both has the profile's name.
fn profile_of<'l>(is: &'l Life, was: &'l Life) -> &'l str {
    let names = [&is.profile, &was.profile];
    let mut named = names.into_iter().filter(|name| !name.is_empty());
    named.next().map_or("", |name| name)
}

/// Whether two metrics show the same labels.
fn is_same(before: &[Label], now: &[Label]) -> bool {
    let shown = |labels: &[Label]| -> Vec<Label> {
        let shown = labels.iter().filter(|label| !label.hidden);
        shown.cloned().collect()
    };
    shown(before) == shown(now)
}

#[cfg(test)]
mod tests {
    use crate::model::FurtherBuckets;
    use std::sync::Arc;

    use super::*;
    use crate::config::{Config, load_str};
    use crate::engine::{Engine, Prepared};
    use crate::model::Catalog;

    const FLEET: &str = "
global: {seed: 1}
profiles:
  fleet:
    labels: {pod: {range: [1, 40], fmt: 'p{}-{id:5}'}, zone: [a, b]}
    churn: [{mode: replace, label: pod, lifetime: 20s}]
  plain: {labels: {zone: [a, b]}}
metrics:
- {name: hits, type: counter, algorithm: poisson, base_rate: 1, profile: fleet}
- {name: up, type: gauge, algorithm: constant, start: 1, profile: fleet}
- {name: rest, type: gauge, algorithm: constant, start: 1, profile: plain}
";

    fn load(text: &str) -> Config {
        let config = load_str(Path::new("f.yaml"), text.as_bytes(), &|_| None);
        config.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The warnings of a reload at tick 100.
    fn warned(edit: impl Fn(&str) -> String) -> Vec<String> {
        let (first, second) = (load(FLEET), load(&edit(FLEET)));
        let catalog = Arc::new(Catalog::build(&first, Vec::new()).unwrap());
        let mut engine = Engine::new(&first, catalog, 0, 1).unwrap();
        (0..100).for_each(|_| drop(engine.advance(|_, _| {})));
        let before = (engine.metrics(), engine.catalog());
        let after =
            Catalog::build_after(before, &second, Vec::new(), &|_| FurtherBuckets::default())
                .unwrap();
        let prepared = Prepared::new(before, &second, Arc::new(after));
        let reloaded = engine.reload(prepared).unwrap();
        let both = (&first.metrics[..], &second.metrics[..]);
        let all = warnings(&first.path, both, &reloaded);
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn entities_that_others_replaced_are_warned_of_with_the_reason() {
        let laws = warned(|text| text.replace("lifetime: 20s", "lifetime: 10s"));
        let [laws] = &laws[..] else {
            panic!("one for a profile: {laws:?}");
        };
        let expected = "f.yaml: profiles.fleet: warning: ";
        assert!(laws.starts_with(expected), "{laws}");
        assert!(
            laws.contains(" of 160 series of 2 metrics of the profile fleet"),
            "{laws}"
        );
        assert!(laws.contains("its churn or size was edited"), "{laws}");

        let seed = warned(|text| text.replace("seed: 1", "seed: 2"));
        let [seed] = &seed[..] else {
            panic!("one for a profile: {seed:?}");
        };
        assert!(
            seed.starts_with("f.yaml: global.seed: warning: 160 of 160"),
            "{seed}"
        );
        assert!(seed.contains("the seed is another one"), "{seed}");
    }

    #[test]
    fn what_goes_on_or_was_written_anew_is_not() {
        for edit in [
            |text: &str| text.replace("start: 1", "start: 2"),
            // A tenth fewer.
            |text: &str| {
                let size =
                    "size: {label: pod, shape: ramp, from: 90%, to: 90%, over: 1}\n    churn";
                text.replace("churn", size)
            },
            |text: &str| text.replace("[1, 40]", "[1, 41]").replace("20s", "10s"),
        ] {
            assert_eq!(warned(edit), <[String; 0]>::default());
        }
    }
}
