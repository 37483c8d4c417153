//! Targets have the series of their labels.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::config::TargetLaw;
use crate::engine::{Frame, random_frames};
use crate::model::targets::{Target, TargetMap, labels_of_id};

fn laws() -> impl Strategy<Value = TargetLaw> {
    let labels = ["a", "c", "pod", "namespace", "missing", "zone"];
    let by = prop::sample::subsequence(labels.to_vec(), 1..4).prop_shuffle();
    prop_oneof![
        by.prop_map(|labels| TargetLaw::By(labels.into_iter().map(str::to_owned).collect())),
        (1..9u32).prop_map(TargetLaw::Count),
    ]
}

/// Of each label combination the rows by family, found one by one.
fn by_hand(frame: &Frame, labels: &[String]) -> BTreeMap<Vec<String>, BTreeSet<(usize, usize)>> {
    let mut all: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for family in 0..frame.catalog().generated_count() {
        let population = frame.population(family);
        for row in (0..population.row_count()).filter(|&row| population.exists(row)) {
            let cursor = population.cursor(row);
            let value = |label: &String| {
                let found = cursor.labels().find(|(name, _)| name == label);
                found.map_or(String::new(), |(_, value)| value.to_owned())
            };
            let values = labels.iter().map(value).collect();
            all.entry(values).or_default().insert((family, row));
        }
    }
    all
}

fn rows(target: Target<'_>, families: usize) -> BTreeSet<(usize, usize)> {
    let mut all = BTreeSet::new();
    for family in 0..families {
        let mut last = None;
        for range in target.rows(family) {
            // Neighbours are together.
            assert!(!range.is_empty() && last.is_none_or(|end| end < range.start));
            last = Some(range.end);
            all.extend(range.map(|row| (family, row)));
        }
    }
    assert_eq!(all.len(), target.series_count());
    all
}

fn check(frame: &Frame, law: &TargetLaw, map: &TargetMap) -> Result<(), TestCaseError> {
    let families = frame.catalog().generated_count();
    let all = map
        .iter()
        .map(|target| (target.id(), rows(target, families)));
    let all: BTreeMap<String, BTreeSet<(usize, usize)>> = all.collect();
    prop_assert_eq!(all.len(), map.len());
    for (id, rows_of_it) in &all {
        let target = map.find(id).expect("it is there");
        prop_assert_eq!(&rows(target, families), rows_of_it);
        let told = labels_of_id(law, id).expect("some target has it");
        let told: Vec<(&str, &str)> = told.iter().map(|(name, value)| (*name, &**value)).collect();
        prop_assert_eq!(told, target.labels());
    }
    match law {
        TargetLaw::By(labels) => {
            let expected = by_hand(frame, labels);
            prop_assert_eq!(expected.len(), all.len());
            for (values, rows_of_it) in expected {
                let found = map.iter().find(|target| {
                    let own = target.labels();
                    labels.iter().zip(&values).all(|(label, value)| {
                        let own = own.iter().find(|(name, _)| name == label);
                        own.map_or("", |(_, value)| value) == value
                    })
                });
                prop_assert_eq!(rows(found.expect("it is there"), families), rows_of_it);
            }
        }
        TargetLaw::Count(count) => {
            let expected = by_hand(frame, &[]).into_values().next().unwrap_or_default();
            let found: Vec<_> = all.values().flatten().copied().collect();
            prop_assert_eq!(found.len(), expected.len());
            prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
            prop_assert!(all.keys().all(|id| id.parse::<u32>().unwrap() < *count));
        }
    }
    prop_assert!(map.find("no such one").is_none());
    Ok(())
}

proptest! {
    /// Each series belongs to one target, that of its labels.
    #[test]
    fn series_are_divided_by_their_labels(frame in random_frames::frames(), law in laws()) {
        let map = TargetMap::of(frame.catalog(), frame.populations(), &law, None);
        check(&frame, &law, &map)?;
    }

    /// However entities come and go, what is taken over from an earlier map is still true.
    #[test]
    fn targets_follow_entities(frames in random_frames::living_frames(), law in laws()) {
        let mut before: Option<TargetMap> = None;
        for frame in &frames {
            let map = TargetMap::of(frame.catalog(), frame.populations(), &law, before.as_ref());
            check(frame, &law, &map)?;
            before = Some(map);
        }
    }
}
