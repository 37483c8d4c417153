//! Spaces whose labels depend on one another: entities first, then the free labels.

use std::ops::Range;
use std::sync::Arc;

use super::Space;
use super::find::text_digit;
use crate::model::fleet::{Entities, Fleet};

/// What such a space has beside its dimensions.
#[derive(Debug)]
pub(super) struct Living {
    fleet: Arc<Fleet>,
    /// The free labels.
    free: Box<Space>,
    /// Sums of the pair hashes of the free labels, where they are few.
    free_sums: Option<Vec<u64>>,
    /// By dimension of the whole.
    sources: Vec<Source>,
    /// For each free label its dimension of the whole, and how many values it has.
    free_dimensions: Vec<(usize, u32)>,
}

/// Where the values of a dimension come from.
#[derive(Debug, Clone, Copy)]
enum Source {
    Free,
    /// The label of the fleet with this index.
    Fleet(usize),
}

/// Sums of more combinations of free labels are worked out when they are asked for.
pub(super) const FREE_SUMS_MAX: usize = 4096;

impl Living {
    /// `names` are those of all dimensions, in order.
    pub(super) fn new(fleet: Arc<Fleet>, free: Space, names: &[&str]) -> Self {
        let sources = names.iter().map(|name| {
            let labels = fleet.labels().iter();
            let label = labels.enumerate().find(|(_, label)| label.name() == *name);
            label.map_or(Source::Free, |(index, _)| Source::Fleet(index))
        });
        let sources: Vec<Source> = sources.collect();
        let is_free = |&index: &usize| matches!(sources[index], Source::Free);
        // Both are in the order of names.
        let free_dimensions = (0..sources.len()).filter(is_free);
        let counts = free.dimensions.iter().map(|of| of.len() as u32);
        let free_dimensions = free_dimensions.zip(counts).collect();
        let free_sums = (free.series_count() <= FREE_SUMS_MAX).then(|| {
            let mut sums = Vec::with_capacity(free.series_count());
            free.add_pair_hash_sums(0..free.series_count(), 0, &mut sums);
            sums
        });
        Self {
            fleet,
            free: Box::new(free),
            free_sums,
            free_dimensions,
            sources,
        }
    }

    pub(super) fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// Series of each entity.
    pub(super) fn free_count(&self) -> usize {
        self.free.series_count()
    }

    /// Appends the sums of pair hashes of a range of series.
    pub(super) fn add_pair_hash_sums(
        &self,
        series: Range<usize>,
        entities: &Entities,
        sums: &mut Vec<u64>,
    ) {
        let count = self.free_count();
        let mut at = series.start;
        while at < series.end {
            let (entity, from) = (at / count, at % count);
            let to = count.min(from + series.end - at);
            let hash = entities.hash(entity);
            match &self.free_sums {
                Some(free) => sums.extend(free[from..to].iter().map(|sum| sum.wrapping_add(hash))),
                None => self.free.add_pair_hash_sums(from..to, hash, sums),
            }
            at += to - from;
        }
    }

    /// No text of an entity is longer as the value of a dimension without list.
    pub(super) fn text_bytes_max(&self, dimension: usize) -> usize {
        match self.sources[dimension] {
            Source::Fleet(label) => self.fleet.text_bytes_max(label),
            Source::Free => 0,
        }
    }

    /// Whether a byte for which `is` holds may be in such a text.
    pub(super) fn text_may_have(&self, dimension: usize, is: impl Fn(u8) -> bool) -> bool {
        match self.sources[dimension] {
            Source::Fleet(label) => self.fleet.text_may_have(label, &is),
            Source::Free => false,
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.free.memory_bytes() + self.free_sums.as_ref().map_or(0, |sums| sums.len() * 8)
    }
}

/// Where a cursor stands in such a space.
#[derive(Debug, Clone)]
pub(super) struct LivingCursor<'a> {
    living: &'a Living,
    entities: &'a Entities,
    entity: usize,
}

impl<'a> LivingCursor<'a> {
    /// On the first series; the digits are not.
    pub(super) fn new((living, entities): (&'a Living, &'a Entities)) -> Self {
        Self {
            living,
            entities,
            entity: 0,
        }
    }

    pub(super) fn seek(&mut self, series: usize, digits: &mut [u32]) {
        let count = self.living.free_count();
        self.entity = series / count;
        if self.entity < self.entities.fleet().len() {
            let mut rest = series % count;
            for &(dimension, values) in self.living.free_dimensions.iter().rev() {
                digits[dimension] = (rest % values as usize) as u32;
                rest /= values as usize;
            }
            self.set_digits(digits);
        }
    }

    /// As [`Cursor::advance`].
    #[inline]
    pub(super) fn advance(&mut self, digits: &mut [u32]) -> usize {
        for &(dimension, values) in self.living.free_dimensions.iter().rev() {
            digits[dimension] += 1;
            if digits[dimension] < values {
                return dimension;
            }
            digits[dimension] = 0;
        }
        self.entity += 1;
        if self.entity >= self.entities.fleet().len() {
            return digits.len();
        }
        self.set_digits(digits);
        0
    }

    /// The text of a dimension that has no list of values.
    #[inline]
    pub(super) fn text(&self, dimension: usize) -> &'a [u8] {
        self.entities.value(self.entity, self.label(dimension))
    }

    /// The same, and the bytes that begin with it.
    #[inline]
    pub(super) fn text_window(&self, dimension: usize) -> (&'a [u8], Option<&'a [u8; 16]>) {
        self.entities
            .value_window(self.entity, self.label(dimension))
    }

    #[inline]
    fn label(&self, dimension: usize) -> usize {
        match self.living.sources[dimension] {
            Source::Fleet(label) => label,
            Source::Free => unreachable!("values of free labels are in lists"),
        }
    }

    /// Sets those of the labels that belong to entities.
    fn set_digits(&self, digits: &mut [u32]) {
        let labels = self.living.fleet.labels();
        for (digit, source) in digits.iter_mut().zip(&self.living.sources) {
            if let Source::Fleet(label) = *source {
                *digit = match labels[label].values() {
                    Some(_) => self.entities.code(self.entity, label),
                    None => text_digit(self.entities.value(self.entity, label)),
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::config::{Label, LabelValues, Life, Piece, Property, Spread};
    use crate::model::fleet::Lives;
    use crate::model::identity;
    use crate::model::population::{Life as Alike, Population};
    use crate::model::space::passes;

    fn list(name: &str, values: usize) -> Label {
        let texts = (0..values).map(|value| format!("{name}{value}"));
        Label::new(name, LabelValues::List(texts.collect()), false)
    }

    /// Pods of deployments, on nodes, and labels of any name that are free.
    fn labels() -> impl Strategy<Value = Vec<Label>> {
        let counts = (1..4usize, 1..4usize, 1..5usize);
        let free = prop::collection::btree_map("[a-z]{1,2}", 1..4usize, 0..4);
        (counts, free, any::<bool>()).prop_map(|((deployments, pods, nodes), free, hidden)| {
            let mut deployment = list("deployment", deployments);
            deployment.hidden = hidden;
            let mut pod = list("pod", pods);
            pod.text = Some(vec![
                Piece::Label("deployment".into()),
                Piece::Text("-".into()),
                Piece::Value,
                Piece::Id(5),
            ]);
            let mut node = list("node", nodes);
            node.of = Some(Property {
                of: "pod".into(),
                spread: Spread::Hash,
            });
            let free = free.into_iter().map(|(name, count)| list(&name, count));
            free.chain([node, pod, deployment]).collect()
        })
    }

    fn population(labels: &[Label]) -> Population {
        let fleet = Fleet::of(labels, &Life::default(), 1_000_000_000);
        let fleet = Arc::new(fleet.unwrap().unwrap());
        let lives = Lives::at(&fleet, 0);
        let space = Arc::new(Space::living(labels, fleet).unwrap());
        Population::founded_with(&space, 0, Some(lives.entities()))
    }

    proptest! {
        /// Wherever a cursor comes from it reads the same texts, their keys are those of the
        /// texts, and no two series are the same.
        #[test]
        fn cursors_and_keys_agree(labels in labels(), from in any::<prop::sample::Index>()) {
            let population = population(&labels);
            let rows = population.row_count();
            let multiplying = labels.iter().filter(|label| label.of.is_none());
            let product: u64 = multiplying.map(|label| label.values.count()).product();
            prop_assert_eq!(rows as u64, product);
            let mut walking = population.cursor(0);
            let mut before: Vec<String> = Vec::new();
            let mut changed = 0;
            let mut seen = BTreeSet::new();
            let (mut scratch, mut one) = (Vec::new(), Vec::new());
            let from = from.index(rows);
            let keys = population.label_set_keys(from..rows, &mut scratch).to_vec();
            for row in 0..rows {
                let cursor = population.cursor(row);
                prop_assert_eq!(cursor.digits(), walking.digits());
                let texts: Vec<(&str, &str)> = cursor.labels().collect();
                prop_assert_eq!(&texts, &walking.labels().collect::<Vec<_>>());
                let shown = labels.iter().filter(|label| !label.hidden).count();
                prop_assert_eq!(texts.len(), shown);
                prop_assert!(texts.is_sorted());
                let values = texts.iter().map(|(_, value)| (*value).to_owned());
                let values: Vec<String> = values.collect();
                prop_assert!(before.iter().take(changed).eq(values.iter().take(changed)));
                let mut hash = Vec::new();
                let sum = texts.iter().fold(0u64, |sum, (name, value)| {
                    sum.wrapping_add(identity::pair_hash(name, value.as_bytes(), &mut hash))
                });
                let key = population.label_set_keys(row..row + 1, &mut one)[0];
                prop_assert_eq!(key, identity::label_set_key(sum));
                if row >= from {
                    prop_assert_eq!(keys[row - from], key);
                }
                // A filter of all of its texts finds it.
                let owned: Vec<(String, String)> = texts
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect();
                let filter = population.space().filter(owned.iter().map(|(n, v)| (n, v)));
                prop_assert!(passes(&filter.unwrap(), cursor.digits()));
                prop_assert!(seen.insert(owned));
                before = values;
                changed = walking.advance();
            }
            prop_assert_eq!(changed, before.len());
            prop_assert_eq!(population.alike(0..rows, 1), (Alike::Born(0), rows));
        }
    }
}
