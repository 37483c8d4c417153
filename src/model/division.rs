//! Which part of a run's series a shard has.
//!
//! Series are dealt in units: an entity with all that belongs to it, a target, else a label
//! set. What deals a unit are its labels' values alone: numbers in them count one
//! by one, so that shares are even along ranges, and whatever is not a number counts as some
//! number of its own. So a unit stays in its shard whatever else is configured, whatever
//! becomes of it, and whoever asks; and no shard has to know of another.
//!
//! Entities are dealt by the values of the axes that make their slot, not by texts: who
//! replaces a pod is where that one was. Where series have targets, the labels that make
//! them deal alone, as far as they are of entities and stay with them.

use super::labels::write_value;
use crate::config::{Label, LabelValues, Shard, TargetLaw};
use crate::random::mix;

/// A shard, and how units are dealt to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Division {
    shard: Shard,
    by: By,
}

/// What deals units.
#[derive(Debug, Clone, PartialEq, Eq)]
enum By {
    /// All that makes them.
    All,
    /// These labels, as far as a metric has them.
    Labels(Vec<String>),
    /// All that makes them tells their target, one of so many, and this the shard.
    Count(u32),
}

impl Division {
    /// Of a shard of a run whose targets follow a law, if it has some. Of the labels that
    /// make targets those deal for which `stays`.
    pub(super) fn new(
        shard: Shard,
        law: Option<&TargetLaw>,
        stays: impl Fn(&String) -> bool,
    ) -> Self {
        let by = match law {
            None => By::All,
            Some(TargetLaw::Count(count)) => By::Count(*count),
            Some(TargetLaw::By(names)) => {
                By::Labels(names.iter().filter(|name| stays(name)).cloned().collect())
            }
        };
        Self { shard, by }
    }

    /// The same of another shard.
    #[must_use]
    pub fn for_shard(&self, shard: Shard) -> Self {
        Self {
            shard,
            ..self.clone()
        }
    }

    /// The labels that deal, where these are not all.
    pub(super) fn labels(&self) -> Option<&[String]> {
        match &self.by {
            By::Labels(labels) => Some(labels),
            By::All | By::Count(_) => None,
        }
    }

    /// Whether a label is one of those that deal.
    pub(super) fn is_by(&self, name: &str) -> bool {
        self.labels()
            .is_none_or(|labels| labels.iter().any(|label| label == name))
    }

    /// How many kinds of units there are that differ in what decides on their shard.
    fn modulus(&self) -> u64 {
        let of = u64::from(self.shard.of());
        match self.by {
            By::Count(count) if !u64::from(count).is_multiple_of(of) => count.into(),
            _ => of,
        }
    }

    /// How many shards there are.
    pub(super) fn of_shards(&self) -> u32 {
        self.shard.of()
    }

    /// Whether units for which such a number was dealt are in the shard.
    pub(super) fn has(&self, dealt: u64) -> bool {
        let number = match self.by {
            By::Count(count) => dealt % u64::from(count),
            By::All | By::Labels(_) => dealt,
        };
        number % u64::from(self.shard.of()) == u64::from(self.shard.index())
    }
}

/// What is dealt for each value of a label.
fn value_deals(values: &LabelValues) -> impl Iterator<Item = u64> + '_ {
    let mut text = Vec::new();
    (0..values.count()).map(move |index| {
        text.clear();
        write_value(values, index, &mut text);
        deal(&text)
    })
}

/// What is dealt for the first value of a label whose next ones have one more each.
fn run_of(values: &LabelValues) -> Option<u64> {
    let LabelValues::Range {
        first,
        last,
        format,
    } = values
    else {
        return None;
    };
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let (before, after) = (format.before.as_bytes(), format.after.as_bytes());
    let stands_alone = !is_digit(before.last()) && !is_digit(after.first());
    // Spaces before it are fewer where it is longer.
    let is_alike = !format.hexadecimal && (format.width == 0 || format.zero_fill);
    (stands_alone && is_alike && *first >= 0 && *last >> NUMBER_BITS == 0).then(|| {
        let mut text = Vec::new();
        write_value(values, 0, &mut text);
        deal(&text)
    })
}

/// How many values of a label are looked at one by one, where it deals.
pub(super) fn values_looked_at(label: &Label) -> u64 {
    match run_of(&label.values) {
        Some(_) => 0,
        None => label.values.count(),
    }
}

/// So many bits of a number count: sums of all texts of a series stay below 2^64.
const NUMBER_BITS: u32 = 40;

/// What a text adds to the number that is dealt for a unit: the numbers in it, and a hash of
/// the rest; nothing where it is empty, as a label that is missing.
pub(super) fn deal(text: &[u8]) -> u64 {
    let counted = |number: u64| number & ((1 << NUMBER_BITS) - 1);
    let (mut sum, mut number, mut hash) = (0u64, None::<u64>, 0u64);
    for &byte in text {
        if byte.is_ascii_digit() {
            // Where the number is, not which one it is.
            hash = number.map_or_else(|| mix(hash ^ 0x100), |_| hash);
            let before = number.unwrap_or(0);
            let digit = u64::from(byte - b'0');
            number = Some(before.wrapping_mul(10).wrapping_add(digit));
        } else {
            sum += counted(number.take().unwrap_or(0));
            hash = mix(hash ^ u64::from(byte));
        }
    }
    sum + counted(number.unwrap_or(0)) + counted(hash)
}

/// What is dealt for each place in a product of values, the last axis fastest.
#[derive(Debug)]
pub(super) struct Dealing {
    modulus: u64,
    /// By number below the modulus, whether the shard has it.
    own: Box<[bool]>,
    /// The only one that it has, if so.
    only: Option<u64>,
    axes: Vec<DealtAxis>,
}

#[derive(Debug)]
struct DealtAxis {
    radix: u64,
    dealt: Dealt,
}

/// What is dealt for the values of an axis, below the modulus.
#[derive(Debug)]
enum Dealt {
    /// None matters.
    Nothing,
    /// This for the first one, and one more for each that follows.
    Run(u64),
    Each(Vec<u32>),
}

impl Dealing {
    /// Without axes.
    pub(super) fn new(division: &Division) -> Self {
        let modulus = division.modulus();
        let mut own = (0..modulus).filter(|&dealt| division.has(dealt));
        let only = own.next().filter(|_| own.next().is_none());
        Self {
            modulus,
            own: (0..modulus).map(|dealt| division.has(dealt)).collect(),
            only,
            axes: Vec::new(),
        }
    }

    /// Of labels' values, those of the last label fastest.
    pub(super) fn of_labels<'l>(
        division: &Division,
        labels: impl IntoIterator<Item = &'l Label>,
    ) -> Self {
        let mut dealing = Self::new(division);
        for label in labels {
            dealing.add_label(division, label, label.values.count());
        }
        dealing
    }

    /// Adds the first values of a label as the next faster axis.
    pub(super) fn add_label(&mut self, division: &Division, label: &Label, count: u64) {
        self.add_axis(count);
        if !division.is_by(&label.name) {
            return;
        }
        let axis = self.axes.len() - 1;
        match run_of(&label.values) {
            Some(first) => self.axes[axis].dealt = Dealt::Run(first % self.modulus),
            None => self.deal_by(axis, value_deals(&label.values).take(count as usize)),
        }
    }

    /// Adds the next faster axis, whose values do not matter yet.
    pub(super) fn add_axis(&mut self, radix: u64) {
        self.axes.push(DealtAxis {
            radix,
            dealt: Dealt::Nothing,
        });
    }

    /// Deals by the values of an axis as well, by a number for each.
    pub(super) fn deal_by(&mut self, axis: usize, numbers: impl Iterator<Item = u64>) {
        let modulus = self.modulus;
        let each = numbers.map(|number| (number % modulus) as u32);
        self.axes[axis].dealt = Dealt::Each(each.collect());
    }

    /// What is dealt for a value of an axis, on top of what is dealt for others; both are
    /// below the modulus.
    #[inline]
    fn add(&self, axis: &DealtAxis, value: u64, sum: u64) -> u64 {
        let sum = match &axis.dealt {
            Dealt::Nothing => return sum,
            Dealt::Run(first) => return (sum + first + value) % self.modulus,
            Dealt::Each(each) => sum + u64::from(each[value as usize]),
        };
        if sum < self.modulus {
            sum
        } else {
            sum - self.modulus
        }
    }

    /// Whether the shard has a place.
    pub(super) fn has(&self, place: u64) -> bool {
        self.has_with(place, 0)
    }

    /// The same where something else is dealt for it as well.
    pub(super) fn has_with(&self, place: u64, more: u64) -> bool {
        let (mut rest, mut sum) = (place, more % self.modulus);
        for axis in self.axes.iter().rev() {
            sum = self.add(axis, rest % axis.radix, sum);
            rest /= axis.radix;
        }
        self.own[sum as usize]
    }

    /// Calls `put` with the places that the shard has, in increasing order.
    pub(super) fn each(&self, put: &mut impl FnMut(u64)) {
        self.visit(&self.axes, 0, 0, put);
    }

    fn visit(&self, axes: &[DealtAxis], sum: u64, place: u64, put: &mut impl FnMut(u64)) {
        let Some((axis, faster)) = axes.split_first() else {
            if self.own[sum as usize] {
                put(place);
            }
            return;
        };
        let place = place * axis.radix;
        if let (Dealt::Run(first), true, Some(only)) = (&axis.dealt, faster.is_empty(), self.only) {
            // Those that the shard has are as far from one another as there are kinds.
            let next = (only + 2 * self.modulus - sum - first) % self.modulus;
            for value in (next..axis.radix).step_by(self.modulus as usize) {
                put(place + value);
            }
            return;
        }
        for value in 0..axis.radix {
            let sum = self.add(axis, value, sum);
            if !faster.is_empty() {
                self.visit(faster, sum, place + value, put);
            } else if self.own[sum as usize] {
                put(place + value);
            }
        }
    }

    /// How many places the shard has; `None` where it would take long to know.
    pub(super) fn count(&self) -> Option<u128> {
        const STEPS_MAX: u64 = 100_000_000;
        let (mut steps, mut kinds) = (0u64, 1u64);
        for axis in &self.axes {
            steps = steps.saturating_add(kinds * axis.radix.min(self.modulus));
            kinds = kinds.saturating_mul(axis.radix).min(self.modulus);
        }
        if steps > STEPS_MAX {
            return None;
        }
        let mut counts = vec![0u128; self.modulus as usize];
        counts[0] = 1;
        for axis in &self.axes {
            let mut values = vec![0u64; self.modulus as usize];
            match &axis.dealt {
                Dealt::Nothing => values[0] = axis.radix,
                Dealt::Run(first) => {
                    let (rounds, more) = (axis.radix / self.modulus, axis.radix % self.modulus);
                    values.fill(rounds);
                    for value in 0..more {
                        values[((first + value) % self.modulus) as usize] += 1;
                    }
                }
                Dealt::Each(each) => {
                    for &dealt in each {
                        values[dealt as usize] += 1;
                    }
                }
            }
            let values = values.into_iter().enumerate();
            let values: Vec<(usize, u64)> = values.filter(|(_, values)| *values > 0).collect();
            let mut sums = vec![0u128; counts.len()];
            let some = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            for (before, &count) in some {
                for &(dealt, values) in &values {
                    let sum = &mut sums[(before + dealt) % self.own.len()];
                    *sum = sum.saturating_add(count.saturating_mul(values.into()));
                }
            }
            counts = sums;
        }
        let own = self.own.iter().zip(counts);
        let own = own.filter_map(|(own, count)| own.then_some(count));
        Some(own.fold(0, u128::saturating_add))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::config::RangeFormat;

    fn division(index: u32, of: u32, by: By) -> Division {
        Division {
            shard: Shard::new(index, of).unwrap(),
            by,
        }
    }

    #[test]
    fn numbers_are_dealt_one_by_one() {
        for (before, after) in [("", ""), ("user_", ""), ("10.0.", ".7"), ("a9-", ".dc1")] {
            let of = |number: u32| deal(format!("{before}{number:05}{after}").as_bytes());
            for number in 0..2000 {
                assert_eq!(of(number + 1), of(number) + 1, "{before}");
            }
        }
        let of = |text: &str| deal(text.as_bytes());
        assert_eq!(of(""), 0);
        assert_eq!(of("web17-3") - of("web0-0"), 20);
        assert!(of(&"9".repeat(70)) < 1 << 41);
        let words = ["checkout", "checkin", "out-check", "c0heckout"].map(of);
        assert_eq!(words.iter().collect::<HashSet<_>>().len(), words.len());
    }

    /// What is no decimal number is dealt by chance, as a hash would.
    #[test]
    fn hexadecimal_numbers_are_dealt_as_by_chance() {
        for of in 2..9u64 {
            let mut shares = vec![0; of as usize];
            for number in 0..12_000 {
                shares[(deal(format!("id-{number:04x}").as_bytes()) % of) as usize] += 1;
            }
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            assert!(
                f64::from(most - least) < 0.05 * 12_000.0 / of as f64,
                "{of}: {shares:?}"
            );
        }
    }

    proptest! {
        /// Where values of a range are said to be dealt one by one, they are.
        #[test]
        fn runs_are_what_texts_say(
            (before, after) in ("[a1-]{0,2}", "[a1-]{0,2}"),
            (first, more) in (-30..1200i64, 0..1200i64),
            (width, zero_fill, hexadecimal) in (0..6usize, any::<bool>(), any::<bool>()),
        ) {
            let format = RangeFormat { before, after, width, zero_fill, hexadecimal };
            let values = LabelValues::Range { first, last: first + more, format };
            if let Some(first) = run_of(&values) {
                prop_assert!(value_deals(&values).eq((0..=more as u64).map(|value| first + value)));
            }
        }

        /// However a product is dealt, each place is in one shard, told alike by all ways.
        #[test]
        fn each_place_is_in_one_shard(
            axes in prop::collection::vec((prop::collection::vec(0..1u64 << 50, 1..14), 0..3u8), 0..4),
            of in 1..9u32,
            count in prop::option::of(1..20u32),
        ) {
            let places: u64 = axes.iter().map(|(axis, _)| axis.len() as u64).product();
            let mut owners = vec![0; places as usize];
            for index in 0..of {
                let by = count.map_or(By::All, By::Count);
                let division = division(index, of, by);
                let mut dealing = Dealing::new(&division);
                for (axis, (texts, matters)) in axes.iter().enumerate() {
                    dealing.add_axis(texts.len() as u64);
                    match matters {
                        0 => {}
                        1 => dealing.deal_by(axis, texts.iter().copied()),
                        _ => dealing.axes[axis].dealt = Dealt::Run(texts[0] % dealing.modulus),
                    }
                }
                let mut each = Vec::new();
                dealing.each(&mut |place| each.push(place));
                let has: Vec<u64> = (0..places).filter(|&place| dealing.has(place)).collect();
                prop_assert_eq!(&each, &has);
                prop_assert_eq!(dealing.count(), Some(each.len() as u128));
                for &place in &each {
                    owners[place as usize] += 1;
                }
            }
            prop_assert!(owners.iter().all(|&count| count == 1), "{:?}", owners);
        }
    }
}
