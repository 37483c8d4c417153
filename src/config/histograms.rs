//! In which form histograms leave the process, and how native ones divide observations.

/// `histograms` of a metric or of an exporter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HistogramForm {
    /// With the configured bounds.
    #[default]
    Classic,
    /// With base-2 exponential buckets, as many as OTLP's SDKs use; in OTLP alone.
    Exponential,
    /// As native histograms, whose buckets are sparse and base-2 exponential.
    Native,
    /// As native histograms with custom buckets, which are the configured bounds; in remote
    /// write alone.
    Nhcb,
    /// Classic, and native of the same observations.
    Both,
}

impl HistogramForm {
    /// All that a metric may say, by name.
    pub(super) const OF_METRICS: [(&str, Self); 4] = [
        ("classic", Self::Classic),
        ("native", Self::Native),
        ("nhcb", Self::Nhcb),
        ("both", Self::Both),
    ];
    /// Those of the metrics page.
    pub(super) const OF_PROMETHEUS: [(&str, Self); 3] = [
        ("classic", Self::Classic),
        ("native", Self::Native),
        ("both", Self::Both),
    ];
    /// Those of OTLP, which calls classic ones explicit.
    pub(super) const OF_OTEL: [(&str, Self); 3] = [
        ("explicit", Self::Classic),
        ("exponential", Self::Exponential),
        ("native", Self::Native),
    ];
    /// Those of remote write.
    pub(super) const OF_REMOTE_WRITE: [(&str, Self); 4] = Self::OF_METRICS;

    /// Its name among some.
    pub(super) fn name_in(self, known: &[(&'static str, Self)]) -> &'static str {
        let found = known.iter().find(|(_, form)| *form == self);
        found.map_or("classic", |(name, _)| name)
    }

    /// Whether native buckets are in it.
    pub fn has_native(self) -> bool {
        matches!(self, Self::Native | Self::Both)
    }

    /// What the metrics page makes of it: its formats have no custom buckets, which readers
    /// make of classic ones.
    #[must_use]
    pub fn on_page(self) -> Self {
        match self {
            Self::Nhcb | Self::Exponential => Self::Classic,
            form => form,
        }
    }

    /// What OTLP makes of it, where a metric is of one form: the native one of both, and
    /// explicit bounds, which are what custom buckets are.
    #[must_use]
    pub fn in_otlp(self) -> Self {
        match self {
            Self::Both => Self::Native,
            Self::Nhcb => Self::Classic,
            form => form,
        }
    }
}

/// What a histogram says of its form, and of its buckets where it is native.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NativeBuckets {
    /// `metrics[].histograms`: the form at every exporter, whatever that says.
    pub form: Option<HistogramForm>,
    /// The finest schema, -4 to 8.
    pub schema: i8,
    /// Most occupied buckets of a series, at least 1.
    pub buckets_max: usize,
    /// The largest value in the zero bucket; positive or 0.
    pub zero_threshold: f64,
}

impl Default for NativeBuckets {
    fn default() -> Self {
        Self {
            form: None,
            schema: 3,
            buckets_max: 160,
            // 2^-128, as clients of Prometheus have it.
            zero_threshold: 2.938_735_877_055_719e-39,
        }
    }
}

impl NativeBuckets {
    /// The schema that clients of Prometheus choose for a growth factor above 1: buckets that
    /// grow by no more, as nearly as schemas can.
    pub(super) fn schema_of(growth_factor: f64) -> i8 {
        let schema = -libm::floor(libm::log2(libm::log2(growth_factor)));
        schema.clamp(-4.0, 8.0) as i8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_those_of_clients() {
        for (factor, schema) in [
            (1.0001, 8),
            (1.00271, 8),
            (1.01, 7),
            (1.1, 3),
            (1.2, 2),
            (2.0, 0),
            (4.0, -1),
            (65_536.0, -4),
            (1e30, -4),
        ] {
            assert_eq!(NativeBuckets::schema_of(factor), schema, "{factor}");
        }
    }
}
