//! `histograms` of metrics and exporters, and `native_histogram`.

use super::Checker;
use crate::config::histograms::{HistogramForm, NativeBuckets};
use crate::config::problem::Path;
use crate::config::raw::RawNativeHistogram;

impl Checker<'_> {
    /// The form that a word stands for among those that an exporter has.
    pub(super) fn form(
        &mut self,
        at: &Path,
        word: Option<&str>,
        known: &[(&str, HistogramForm)],
    ) -> HistogramForm {
        let form = self.choice(&at.key("histograms"), word, known);
        form.unwrap_or_default()
    }

    /// What a histogram says of its form and of its native buckets.
    pub(super) fn native(
        &mut self,
        at: &Path,
        form: Option<&str>,
        raw: Option<RawNativeHistogram>,
    ) -> NativeBuckets {
        let form = self.choice(&at.key("histograms"), form, &HistogramForm::OF_METRICS);
        let default = NativeBuckets::default();
        let Some(raw) = raw else {
            return NativeBuckets { form, ..default };
        };
        let at = at.key("native_histogram");
        let schema = match (raw.schema, raw.growth_factor) {
            (Some(_), Some(_)) => {
                let message = "schema says how fine buckets are; keep one of them";
                self.problems.add(&at.key("growth_factor"), message);
                default.schema
            }
            (Some(schema), None) => {
                self.within(&at.key("schema"), schema as f64, -4.0..=8.0);
                schema.clamp(-4, 8) as i8
            }
            (None, Some(factor)) => {
                self.within(&at.key("growth_factor"), factor, 1.0001..=65_536.0);
                NativeBuckets::schema_of(factor.clamp(1.0001, 65_536.0))
            }
            (None, None) => default.schema,
        };
        let buckets = raw.max_buckets;
        let buckets_max = self.whole_or(&at, "max_buckets", buckets, 160, 1..=65_536);
        let zero = raw.zero_threshold;
        let zero_threshold = self.number_or(
            &at,
            "zero_threshold",
            zero,
            default.zero_threshold,
            0.0..=1e300,
        );
        NativeBuckets {
            form,
            schema,
            buckets_max: buckets_max as usize,
            zero_threshold,
        }
    }
}
