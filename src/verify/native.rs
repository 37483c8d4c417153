//! Native histograms as values: what one should be by the run, what a backend shows of one,
//! and how the two differ. Asks nobody.
//!
//! A bucket is known by its index in Prometheus' convention: at schema `s` that of index `i`
//! holds values above `2^((i - 1) / 2^s)` up to `2^(i / 2^s)`. The query API shows neither
//! schema nor indices, so both are told from the bounds.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::backend::{StoredBucket, StoredHistogram};
use super::naming::Form;
use crate::engine::{Columns, ExponentialRow, NativeRow};
use crate::layout::{Role, Wire};
use crate::model::{Shape, native};

/// The finest schema that there is, and that bounds of four digits tell; Prometheus merges
/// finer buckets when they come by OTLP.
pub(super) const SCHEMA_MAX: i32 = native::SCHEMA_MAX as i32;
/// The coarsest; what is coarser is refused.
pub(super) const SCHEMA_MIN: i32 = native::SCHEMA_MIN as i32;
/// The zero threshold of what came by OTLP, whatever was sent.
const ZERO_THRESHOLD_OTLP: f64 = 1e-128;
/// Two ways to compute a bound differ by less than this, relatively; the bounds of the finest
/// schema are 0.003 apart.
const BOUND_ERROR_MAX: f64 = 1e-9;
/// The error of a bound that is written with four digits.
const RANGE_ERROR_MAX: f64 = 1e-3;
/// So many buckets that differ are named.
const NAMED_MAX: usize = 4;

/// A native histogram.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Native {
    pub(super) bounds: Bounds,
    /// Observations; counts are as the query API has them.
    pub(super) count: f64,
    /// Their sum.
    pub(super) sum: f64,
    /// By index, those without observations left out.
    pub(super) buckets: BTreeMap<i32, f64>,
}

/// Which values its buckets hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bounds {
    /// They grow by a factor.
    Exponential {
        /// That is `2^(2^-schema)`.
        schema: i32,
        /// What is no farther from 0 is in the zero bucket.
        zero_threshold: f64,
        /// Observations there.
        zero_count: f64,
    },
    /// Those that were configured; the last bucket has none.
    Custom(Arc<[f64]>),
}

/// How a histogram differs from the expected one: what of it should be and is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    pub(super) expected: String,
    pub(super) found: String,
    pub(super) note: Option<String>,
}

impl Native {
    /// What a backend should have of a row of columns, in one of the forms that are native.
    ///
    /// # Panics
    /// When the columns are those of another shape or have not been counted in that form.
    pub(super) fn of(form: Form, shape: &Shape, columns: &Columns, row: usize) -> Self {
        let Shape::Histogram { bounds, further } = shape else {
            unreachable!("only histograms are native");
        };
        let (cumulative, sums, exponential) = columns.histogram();
        let width = bounds.len() + 1;
        let cumulative = &cumulative[row * width..][..width];
        // OTLP leaves the sum out where it may fall, and 0 is stored.
        let is_sent = form == Form::Native || shape.layout().has(Wire::Otlp, Role::Sum);
        let of_all = (cumulative[width - 1], if is_sent { sums[row] } else { 0.0 });
        let is_sparse = matches!(form, Form::Native | Form::NativeOtlp | Form::Ranged);
        if let Some(layout) = further.native.as_ref().filter(|_| is_sparse) {
            let threshold = match form {
                Form::Native => layout.zero_threshold,
                _ => ZERO_THRESHOLD_OTLP,
            };
            return Self::sparse(&columns.native().row(row, layout), threshold, of_all);
        }
        match form {
            Form::Exponential | Form::Ranged | Form::Native | Form::NativeOtlp => {
                let layout = further.exponential.as_ref();
                let layout = layout.expect("the run counts in such buckets");
                let buckets = exponential.row(row, sums.len(), layout);
                let native = Self::exponential(&buckets, of_all);
                if form == Form::Exponential {
                    native.coarser(SCHEMA_MAX)
                } else {
                    native
                }
            }
            Form::Custom => Self::custom(bounds, cumulative, sums[row]),
            Form::Classic | Form::Summed => unreachable!("these are numbers"),
        }
    }

    /// Of exponential buckets that came by OTLP.
    fn exponential(row: &ExponentialRow<'_>, (count, sum): (u64, f64)) -> Self {
        let counts = row.counts.iter().zip(row.place.offset + 1..);
        let counts = counts.filter(|(count, _)| **count > 0);
        Self {
            bounds: Bounds::Exponential {
                schema: row.place.scale,
                zero_threshold: ZERO_THRESHOLD_OTLP,
                zero_count: row.place.zeros as f64,
            },
            count: count as f64,
            sum,
            buckets: counts
                .map(|(count, index)| (index, *count as f64))
                .collect(),
        }
    }

    /// Of the sparse buckets of a native histogram.
    fn sparse(row: &NativeRow<'_>, zero_threshold: f64, (count, sum): (u64, f64)) -> Self {
        let counts = row.indices.iter().zip(row.counts);
        Self {
            bounds: Bounds::Exponential {
                schema: i32::from(row.schema),
                zero_threshold,
                zero_count: row.zeros as f64,
            },
            count: count as f64,
            sum,
            buckets: counts
                .map(|(index, count)| (*index, *count as f64))
                .collect(),
        }
    }

    /// Of cumulative counts, the last of which is that of all observations.
    fn custom(bounds: &Arc<[f64]>, cumulative: &[u64], sum: f64) -> Self {
        let mut below = 0;
        let counts = cumulative.iter().map(|&up_to| {
            let count = up_to - below;
            below = up_to;
            count as f64
        });
        let counts = (0..).zip(counts).filter(|(_, count)| *count > 0.0);
        Self {
            bounds: Bounds::Custom(Arc::clone(bounds)),
            buckets: counts.collect(),
            count: below as f64,
            sum,
        }
    }

    /// What a backend shows, which should be `like` another one: that tells what nothing shows,
    /// such as the schema where there are no observations.
    ///
    /// # Errors
    /// Which bucket is none of such a histogram.
    fn read(found: &StoredHistogram, like: &Self) -> Result<Self, String> {
        let mut native = Self {
            bounds: like.bounds.clone(),
            count: found.count,
            sum: found.sum,
            buckets: BTreeMap::new(),
        };
        match &mut native.bounds {
            Bounds::Custom(bounds) => {
                for bucket in &found.buckets {
                    let index = index_between(bounds, bucket).ok_or_else(|| {
                        format!("bucket {} is none of its bounds", bucket_text(bucket))
                    })?;
                    native.buckets.insert(index, bucket.count);
                }
            }
            Bounds::Exponential {
                schema,
                zero_threshold,
                zero_count,
            } => {
                let mut told: Option<i32> = None;
                *zero_count = 0.0;
                for bucket in &found.buckets {
                    if bucket.low == -bucket.high {
                        (*zero_threshold, *zero_count) = (bucket.high, bucket.count);
                        continue;
                    }
                    let (of, index) = index_of(bucket).ok_or_else(|| {
                        format!("bucket {} is none of any schema", bucket_text(bucket))
                    })?;
                    if *told.get_or_insert(of) != of {
                        let text = bucket_text(bucket);
                        return Err(format!("bucket {text} is of another schema than others"));
                    }
                    native.buckets.insert(index, bucket.count);
                }
                *schema = told.unwrap_or(*schema);
            }
        }
        Ok(native)
    }

    /// A bucket that a label tells, which has rounded bounds.
    pub(super) fn ranged_bucket(&self, (low, high): (f64, f64), count: f64) -> StoredBucket {
        let bucket = |low: f64, high: f64| StoredBucket {
            holds_low: low == -high,
            holds_high: true,
            low,
            high,
            count,
        };
        let Bounds::Exponential {
            schema,
            zero_threshold,
            ..
        } = self.bounds
        else {
            return bucket(low, high);
        };
        if low == 0.0 {
            return bucket(-zero_threshold, zero_threshold);
        }
        let index = libm::round(libm::ldexp(libm::log2(high), schema)) as i32;
        let (below, above) = (bound(schema, index - 1), bound(schema, index));
        let is_near = |bound: f64, is: f64| (bound / is - 1.0).abs() < RANGE_ERROR_MAX;
        if is_near(below, low) && is_near(above, high) {
            bucket(below, above)
        } else {
            bucket(low, high)
        }
    }

    /// The same in the buckets of a coarser schema, if that is one.
    pub(super) fn coarser(self, to: i32) -> Self {
        let Bounds::Exponential { schema, .. } = self.bounds else {
            return self;
        };
        let Ok(by @ 1..) = u32::try_from(schema - to) else {
            return self;
        };
        let mut coarser = self;
        if let Bounds::Exponential { schema, .. } = &mut coarser.bounds {
            *schema = to;
        }
        for (index, count) in std::mem::take(&mut coarser.buckets) {
            // An index has 32 bits: whatever is shifted by more is on one side of 1 or the other.
            let merged = (index - 1) >> by.min(31);
            *coarser.buckets.entry(merged + 1).or_default() += count;
        }
        coarser
    }

    fn schema(&self) -> Option<i32> {
        match self.bounds {
            Bounds::Exponential { schema, .. } => Some(schema),
            Bounds::Custom(_) => None,
        }
    }

    /// Whether a receiver of OTLP refuses it.
    pub(super) fn is_too_coarse(&self) -> bool {
        self.schema().is_some_and(|schema| schema < SCHEMA_MIN)
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let (count, sum) = (self.count, self.sum);
        let mut text = format!("a native histogram of {count} observations, sum {sum:?}");
        if let Some(schema) = self.schema() {
            let _ = write!(text, ", schema {schema}");
        }
        text
    }

    /// What it has more than an earlier one, in its own buckets; nothing where anything has
    /// fallen, since it began anew in between.
    pub(super) fn minus(&self, before: &Self) -> Option<Self> {
        let mut grown = self.clone();
        let before = match (self.schema(), before.schema()) {
            (Some(own), Some(other)) if own > other => return None,
            (Some(own), _) => before.clone().coarser(own),
            (None, _) => before.clone(),
        };
        if let (
            Bounds::Exponential { zero_count, .. },
            Bounds::Exponential {
                zero_count: zeros, ..
            },
        ) = (&mut grown.bounds, &before.bounds)
        {
            *zero_count -= zeros;
            if *zero_count < 0.0 {
                return None;
            }
        }
        for (index, count) in &before.buckets {
            let rest = grown.buckets.get_mut(index)?;
            *rest -= count;
            if *rest < 0.0 {
                return None;
            }
        }
        grown.buckets.retain(|_, count| *count != 0.0);
        grown.count -= before.count;
        grown.sum -= before.sum;
        Some(grown)
    }

    /// Adds another one of the same kind, in the coarser buckets of both.
    pub(super) fn add(self, other: Self) -> Self {
        let schema = self.schema().min(other.schema()).unwrap_or_default();
        let (mut sum, other) = (self.coarser(schema), other.coarser(schema));
        if let (
            Bounds::Exponential { zero_count, .. },
            Bounds::Exponential {
                zero_count: zeros, ..
            },
        ) = (&mut sum.bounds, &other.bounds)
        {
            *zero_count += zeros;
        }
        for (index, count) in other.buckets {
            *sum.buckets.entry(index).or_default() += count;
        }
        sum.count += other.count;
        sum.sum += other.sum;
        sum
    }

    /// How another one differs, if it does; `is_same` compares numbers, the expected one first.
    fn difference(&self, found: &Self, is_same: &dyn Fn(f64, f64) -> bool) -> Option<Difference> {
        let mut parts = Parts::default();
        let mut note = None;
        if let (Some(own), Some(other)) = (self.schema(), found.schema())
            && own != other
        {
            parts.add(schema_text(own), schema_text(other));
            let (expected, found) = (self.clone().coarser(other), found.clone().coarser(own));
            parts.compare(&expected, &found, is_same);
            if other < own && parts.len() == 1 {
                note = Some(
                    "these are the same observations in fewer buckets: whoever took them may \
                     have a limit (native_histogram_bucket_limit, native_histogram_min_bucket_factor)"
                        .to_owned(),
                );
            }
        } else {
            parts.compare(self, found, is_same);
        }
        parts.into_difference(note)
    }

    /// How what a backend shows differs, if it does.
    pub(super) fn judge(
        &self,
        found: &StoredHistogram,
        is_same: &dyn Fn(f64, f64) -> bool,
    ) -> Option<Difference> {
        match Self::read(found, self) {
            Ok(found) => self.difference(&found, is_same),
            Err(found) => Some(Difference {
                expected: self.text(),
                found,
                note: None,
            }),
        }
    }

    /// How what a backend has added up since an earlier sample differs, if it does. Whoever adds
    /// up merges buckets where observations need more than it keeps.
    pub(super) fn judge_growth(
        &self,
        found: &StoredHistogram,
        before: Option<&StoredHistogram>,
        is_same: &dyn Fn(f64, f64) -> bool,
    ) -> Option<Difference> {
        let wrong = |found| {
            Some(Difference {
                expected: self.text(),
                found,
                note: None,
            })
        };
        let found = match Self::read(found, self) {
            Ok(found) => found,
            Err(text) => return wrong(text),
        };
        let merged = found.schema().unwrap_or_default();
        let expected = self.clone().coarser(merged);
        let Some(before) = before else {
            return expected.difference(&found, is_same);
        };
        let before = match Self::read(before, self) {
            Ok(before) => before,
            Err(text) => return wrong(format!("after what cannot be read: {text}")),
        };
        match found.minus(&before) {
            Some(grown) => expected.difference(&grown, is_same),
            None => wrong(format!("less than before, that was {}", before.text())),
        }
    }

    fn bucket_text(&self, index: i32) -> String {
        let (low, high) = match &self.bounds {
            Bounds::Exponential { schema, .. } => {
                (bound(*schema, index - 1), bound(*schema, index))
            }
            Bounds::Custom(bounds) => {
                let at = |index: i32| usize::try_from(index).ok().and_then(|at| bounds.get(at));
                let low = at(index - 1).copied().unwrap_or(f64::NEG_INFINITY);
                (low, at(index).copied().unwrap_or(f64::INFINITY))
            }
        };
        range_text(low, high)
    }
}

/// What of two histograms differs.
#[derive(Default)]
struct Parts {
    all: Vec<(String, String)>,
}

impl Parts {
    fn len(&self) -> usize {
        self.all.len()
    }

    fn add(&mut self, expected: String, found: String) {
        self.all.push((expected, found));
    }

    fn add_count(&mut self, what: &str, expected: f64, found: f64) {
        self.add(format!("{what} {expected:?}"), format!("{what} {found:?}"));
    }

    /// Compares all but the schema.
    fn compare(&mut self, expected: &Native, found: &Native, is_same: &dyn Fn(f64, f64) -> bool) {
        if !is_same(expected.count, found.count) {
            self.add_count("count", expected.count, found.count);
        }
        if !is_same(expected.sum, found.sum) {
            self.add_count("sum", expected.sum, found.sum);
        }
        if let (
            Bounds::Exponential {
                zero_threshold: threshold,
                zero_count: zeros,
                ..
            },
            Bounds::Exponential {
                zero_threshold: other_threshold,
                zero_count: other_zeros,
                ..
            },
        ) = (&expected.bounds, &found.bounds)
        {
            if threshold.to_bits() != other_threshold.to_bits() {
                self.add_count("zero threshold", *threshold, *other_threshold);
            }
            if !is_same(*zeros, *other_zeros) {
                self.add_count("zero bucket:", *zeros, *other_zeros);
            }
        }
        let indices = expected.buckets.keys().chain(found.buckets.keys());
        let mut indices: Vec<i32> = indices.copied().collect();
        indices.sort_unstable();
        indices.dedup();
        for index in indices {
            let count = |of: &Native| of.buckets.get(&index).copied().unwrap_or(0.0);
            let (own, other) = (count(expected), count(found));
            if !is_same(own, other) {
                let what = format!("bucket {}:", expected.bucket_text(index));
                self.add_count(&what, own, other);
            }
        }
    }

    fn into_difference(self, note: Option<String>) -> Option<Difference> {
        if self.all.is_empty() {
            return None;
        }
        let more = self.len().saturating_sub(NAMED_MAX);
        let (expected, found): (Vec<_>, Vec<_>) = self.all.into_iter().take(NAMED_MAX).unzip();
        let more = (more > 0).then(|| format!("{more} more numbers of it differ"));
        let note: Vec<String> = more.into_iter().chain(note).collect();
        Some(Difference {
            expected: expected.join(", "),
            found: found.join(", "),
            note: (!note.is_empty()).then(|| note.join("; ")),
        })
    }
}

/// The upper bound of a bucket.
fn bound(schema: i32, index: i32) -> f64 {
    libm::exp2(libm::ldexp(f64::from(index), -schema)).min(f64::MAX)
}

/// Schema and index of an exponential bucket for positive values, by its bounds.
fn index_of(bucket: &StoredBucket) -> Option<(i32, i32)> {
    const SCHEMAS: std::ops::RangeInclusive<i32> = -10..=20;
    let is_positive = bucket.holds_high && !bucket.holds_low && bucket.high > 0.0;
    if !is_positive || bucket.low <= 0.0 || !bucket.high.is_finite() {
        return None;
    }
    let (low, high) = (libm::log2(bucket.low), libm::log2(bucket.high));
    let schema = libm::round(-libm::log2(high - low));
    if !SCHEMAS.contains(&(schema as i32)) {
        return None;
    }
    let schema = schema as i32;
    let index = libm::round(libm::ldexp(high, schema)) as i32;
    let is_near = |bound: f64, is: f64| (bound / is - 1.0).abs() < BOUND_ERROR_MAX;
    let are_bounds =
        is_near(bound(schema, index - 1), bucket.low) && is_near(bound(schema, index), bucket.high);
    are_bounds.then_some((schema, index))
}

/// The index of a bucket between configured bounds.
fn index_between(bounds: &[f64], bucket: &StoredBucket) -> Option<i32> {
    let at = bounds.iter().position(|&bound| bound == bucket.high);
    let at = match at {
        None if bucket.high == f64::INFINITY => bounds.len(),
        at => at?,
    };
    // The first one has no bound below, however that is shown.
    let is_above = |below: usize| bounds[below] == bucket.low;
    at.checked_sub(1).is_none_or(is_above).then_some(at as i32)
}

fn schema_text(schema: i32) -> String {
    format!("schema {schema}")
}

fn range_text(low: f64, high: f64) -> String {
    let text = |bound: f64| match bound {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        bound => bound.to_string(),
    };
    format!("({}, {}]", text(low), text(high))
}

fn bucket_text(bucket: &StoredBucket) -> String {
    range_text(bucket.low, bucket.high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Place;

    /// As Prometheus shows it.
    fn shown(native: &Native) -> StoredHistogram {
        let mut buckets = Vec::new();
        let bucket = |holds_low, low, high, count| StoredBucket {
            holds_low,
            holds_high: true,
            low,
            high,
            count,
        };
        if let Bounds::Exponential {
            zero_threshold,
            zero_count,
            ..
        } = native.bounds
            && zero_count > 0.0
        {
            buckets.push(bucket(true, -zero_threshold, zero_threshold, zero_count));
        }
        for (&index, &count) in &native.buckets {
            buckets.push(match &native.bounds {
                Bounds::Exponential { schema, .. } => {
                    let (low, high) = (bound(*schema, index - 1), bound(*schema, index));
                    bucket(false, low, high, count)
                }
                Bounds::Custom(bounds) => {
                    let at = |at: i32| usize::try_from(at).ok().and_then(|at| bounds.get(at));
                    let low = at(index - 1).copied().unwrap_or(f64::NEG_INFINITY);
                    let high = at(index).copied().unwrap_or(f64::INFINITY);
                    bucket(index == 0, low, high, count)
                }
            });
        }
        StoredHistogram {
            count: native.count,
            sum: native.sum,
            buckets,
        }
    }

    fn of(scale: i32, offset: i32, counts: &[u64], zeros: u64) -> Native {
        let place = Place {
            scale,
            offset,
            zeros,
        };
        let count = counts.iter().sum::<u64>() + zeros;
        Native::exponential(&ExponentialRow { place, counts }, (count, 1.5)).coarser(SCHEMA_MAX)
    }

    fn exactly(a: f64, b: f64) -> bool {
        a.to_bits() == b.to_bits()
    }

    #[test]
    fn what_a_backend_shows_is_read_back() {
        for schema in SCHEMA_MIN..=SCHEMA_MAX {
            for offset in [-5, -1, 0, 3, 40] {
                let native = of(schema, offset, &[1, 0, 7, 2], 3);
                let read = Native::read(&shown(&native), &native).unwrap();
                assert_eq!(native, read, "schema {schema}, offset {offset}");
                assert_eq!(native.difference(&read, &exactly), None);
            }
        }
        // The ends of what is representable.
        let native = of(0, 1020, &[1, 2, 3, 4], 0);
        assert_eq!(Native::read(&shown(&native), &native), Ok(native));
        let bounds: Arc<[f64]> = [0.1, 1.0, 10.0].into();
        for cumulative in [[0, 0, 0, 0], [1, 1, 4, 9], [0, 3, 3, 3]] {
            let native = Native::custom(&bounds, &cumulative, 2.0);
            assert_eq!(Native::read(&shown(&native), &native), Ok(native));
        }
    }

    #[test]
    fn buckets_are_merged_as_receivers_merge_them() {
        // Prometheus: index (offset >> by) + 1.
        let fine = of(10, -3, &[1, 2, 4, 8, 16], 0);
        assert_eq!(fine.schema(), Some(8));
        // Offsets -3, -2, -1 are below 1, 0 and 1 above.
        assert_eq!(fine.buckets, BTreeMap::from([(0, 7.0), (1, 24.0)]));
        let coarse = of(2, 0, &[1, 2, 4, 8, 16], 1).coarser(0);
        assert_eq!(coarse.buckets, BTreeMap::from([(1, 15.0), (2, 16.0)]));
        assert_eq!(coarse, coarse.clone().coarser(1), "never finer");
    }

    #[test]
    fn every_difference_is_named() {
        let right = of(3, 0, &[5, 6, 7], 2);
        let differs = |change: &dyn Fn(&mut Native)| {
            let mut wrong = right.clone();
            change(&mut wrong);
            let read = Native::read(&shown(&wrong), &right).unwrap();
            let difference = right.difference(&read, &exactly).unwrap();
            (difference.expected, difference.found, difference.note)
        };
        let told = |expected: &str, found: &str| (expected.to_owned(), found.to_owned(), None);
        assert_eq!(
            differs(&|wrong| {
                wrong.buckets.insert(1, 4.0);
                wrong.buckets.insert(2, 7.0);
            }),
            told(
                "bucket (1, 1.0905077326652577]: 5.0, \
                 bucket (1.0905077326652577, 1.189207115002721]: 6.0",
                "bucket (1, 1.0905077326652577]: 4.0, \
                 bucket (1.0905077326652577, 1.189207115002721]: 7.0"
            )
        );
        assert_eq!(
            differs(&|wrong| wrong.count = 21.0),
            told("count 20.0", "count 21.0")
        );
        assert_eq!(
            differs(&|wrong| wrong.sum = 1.0),
            told("sum 1.5", "sum 1.0")
        );
        let zeros = |wrong: &mut Native, threshold, count| {
            if let Bounds::Exponential {
                zero_threshold,
                zero_count,
                ..
            } = &mut wrong.bounds
            {
                (*zero_threshold, *zero_count) = (threshold, count);
            }
        };
        assert_eq!(
            differs(&|wrong| zeros(wrong, ZERO_THRESHOLD_OTLP, 3.0)),
            told("zero bucket: 2.0", "zero bucket: 3.0")
        );
        assert_eq!(
            differs(&|wrong| zeros(wrong, 0.5, 2.0)),
            told("zero threshold 1e-128", "zero threshold 0.5")
        );
        // The same in other buckets.
        let (expected, found, note) = differs(&|wrong| *wrong = wrong.clone().coarser(2));
        assert_eq!(
            (expected.as_str(), found.as_str()),
            ("schema 3", "schema 2")
        );
        assert!(note.unwrap().contains("native_histogram_bucket_limit"));
        // Indices as they were, at another schema: other values.
        let (expected, _, note) = differs(&|wrong| {
            if let Bounds::Exponential { schema, .. } = &mut wrong.bounds {
                *schema = 4;
            }
        });
        assert!(expected.starts_with("schema 3, bucket ("), "{expected}");
        assert_eq!(note, None);
    }

    #[test]
    fn rounded_bounds_are_those_of_their_buckets() {
        for schema in [0, 3, 8] {
            let native = of(schema, -7, &[1, 2, 3, 4, 5], 2);
            let rounded = |bound: f64| format!("{bound:.3e}").parse::<f64>().unwrap();
            let mut found = shown(&native);
            for bucket in &mut found.buckets {
                let low = if bucket.low < 0.0 { 0.0 } else { bucket.low };
                let range = (rounded(low), rounded(bucket.high));
                *bucket = native.ranged_bucket(range, bucket.count);
            }
            assert_eq!(native.judge(&found, &exactly), None, "{schema}");
        }
        let native = of(3, 0, &[1], 0);
        let other = native.ranged_bucket((1.0, 1.2), 1.0);
        assert_eq!((other.low, other.high), (1.0, 1.2));
    }

    #[test]
    fn buckets_of_another_kind_are_told() {
        let exponential = of(3, 0, &[5], 0);
        let custom = Native::custom(&[0.5, 2.0].into(), &[1, 3, 4], 1.0);
        let error = Native::read(&shown(&custom), &exponential).unwrap_err();
        assert_eq!(error, "bucket (-Inf, 0.5] is none of any schema");
        let error = Native::read(&shown(&exponential), &custom).unwrap_err();
        assert!(error.ends_with("is none of its bounds"), "{error}");
        let mut mixed = shown(&exponential);
        mixed.buckets.extend(shown(&of(2, 7, &[1], 0)).buckets);
        let error = Native::read(&mixed, &exponential).unwrap_err();
        assert!(error.ends_with("of another schema than others"), "{error}");
    }
}
