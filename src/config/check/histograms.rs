//! `histograms` of metrics and exporters, and `native_histogram`.

use super::Checker;
use crate::config::histograms::{HistogramForm, NativeBuckets};
use crate::config::problem::Path;
use crate::config::raw::RawNativeHistogram;
use crate::config::{Kind, Metric, RemoteWrite, RemoteWriteVersion};

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

    /// No metric has custom buckets where they are sent by version 1 of remote write, which
    /// does not know them.
    pub(super) fn custom_buckets(
        &mut self,
        at: &Path,
        metrics: &[Option<Metric>],
        remote_writes: &[RemoteWrite],
    ) {
        let mut entries = remote_writes.iter();
        let first = entries.position(|e| e.enabled && e.version == RemoteWriteVersion::V1);
        let Some(entry) = first else {
            return;
        };
        for (index, metric) in metrics.iter().enumerate() {
            let kind = metric.as_ref().map(|metric| &metric.kind);
            if let Some(Kind::Histogram { native, .. }) = kind
                && native.form == Some(HistogramForm::Nhcb)
            {
                let message = format!(
                    "exporters.remote_write[{entry}] is of version 1, which has no custom \
                     buckets; write `version: 2` there, or native or classic here"
                );
                self.problems
                    .add(&at.index(index).key("histograms"), message);
            }
        }
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
