//! What is constant about a family: the samples of each series and their
//! labels.

use prost::Message;

use crate::config::HistogramForm;
use crate::exposition::label_number;
use crate::layout::{self, Wire};
use crate::model::labels::Arena;
use crate::model::population::Population;
use crate::model::space::Space;
use crate::model::{Family, Shape, identity};
use crate::proto::remote_write_v1::{MetricMetadata, MetricType, WriteRequest};
use crate::proto::wire::{
    len_field_len, len_key, varint_len, write_len_key, write_pair_name, write_varint,
};
use crate::random;
use crate::remote_write::native::NativeForm;

pub(super) const NAME: &str = "__name__";

/// A family's samples.
#[derive(Debug)]
pub(super) struct FamilyForm {
    /// Of one series, in the order of the text format, and the native histogram as the last.
    pub(super) samples: Vec<SampleForm>,
    /// How many of them are numbers, which are the first: all but the native one.
    pub(super) numbers: usize,
    /// What the native one is, if there is one.
    pub(super) native: Option<NativeForm>,
    /// How many samples would be buckets or quantiles, which are the first.
    pub(super) cells: usize,
    /// Whether they count from a start.
    pub(super) is_cumulative: bool,
    pub(super) kind: MetricType,
    pub(super) help: String,
    pub(super) unit: String,
    /// Its metadata as a field of a request of version 1.
    pub(super) metadata: Vec<u8>,
    /// For each dimension its name as a field of version 1's `Label`, and the
    /// key of the value's.
    names: Arena,
    /// Labels that all samples have beside those of the space.
    external: Vec<(String, String)>,
}

/// One of the samples of a series.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SampleForm {
    /// Name, and the text of the bucket or quantile: no two samples of one label
    /// set have the same.
    pub(super) key: (String, Option<String>),
    /// All of them, in the order of their names.
    pub(super) labels: Vec<Label>,
}

/// One label of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Label {
    Constant {
        name: String,
        value: String,
    },
    /// The value depends on the series.
    Dimension(usize),
}

impl FamilyForm {
    /// That of a family whose histograms are sent in the form `histograms`.
    pub(super) fn new(
        family: &Family,
        histograms: HistogramForm,
        prefix: &str,
        labels: &[(String, String)],
    ) -> Self {
        let metric_type = family.shape.metric_type();
        // A series' own labels take precedence.
        let is_free = |name: &str| {
            let dimensions = family.space.dimensions();
            let is_own = name == NAME || metric_type.label() == Some(name);
            !is_own && dimensions.iter().all(|d| d.name != name)
        };
        let external: Vec<(String, String)> = labels
            .iter()
            .filter(|(name, value)| is_free(name) && !value.is_empty())
            .cloned()
            .collect();
        let layout = family.shape.layout();
        let (is_classic, native) = forms(&family.shape, histograms);
        let slots = layout
            .slots(Wire::RemoteWrite)
            .filter(|_| is_classic)
            .map(|slot| {
                let number = slot.number.map(|(label, n)| (label, label_number(n)));
                (slot.suffix, number)
            });
        let slots = slots.chain(native.then_some(("", None)));
        let samples: Vec<SampleForm> = slots
            .map(|(suffix, number)| {
                let name = format!("{prefix}{}{suffix}", family.name);
                SampleForm {
                    labels: sample_labels(&family.space, &external, &name, number.as_ref()),
                    key: (name, number.map(|(_, text)| text)),
                }
            })
            .collect();
        let mut names = Arena::default();
        for dimension in family.space.dimensions() {
            names.push_with(|out| write_pair_name(out, &dimension.name));
        }
        let kind = match metric_type {
            layout::MetricType::Counter => MetricType::Counter,
            layout::MetricType::Gauge => MetricType::Gauge,
            layout::MetricType::Histogram => MetricType::Histogram,
            layout::MetricType::Summary => MetricType::Summary,
        };
        let suffix = metric_type.family_suffix(Wire::RemoteWrite);
        let metadata = MetricMetadata {
            r#type: kind.into(),
            metric_family_name: format!("{prefix}{}{suffix}", family.name),
            help: family.help.clone(),
            unit: family.unit.clone(),
        };
        let metadata = WriteRequest {
            timeseries: Vec::new(),
            metadata: vec![metadata],
        };
        Self {
            numbers: samples.len() - usize::from(native),
            samples,
            native: native.then(|| NativeForm::of(&family.shape, histograms)),
            cells: layout.cells(),
            is_cumulative: metric_type.is_cumulative(),
            kind,
            help: family.help.clone(),
            unit: family.unit.clone(),
            metadata: metadata.encode_to_vec(),
            names,
            external,
        }
    }

    /// Appends the label of a dimension as a field of version 1's series.
    pub(super) fn write_label(&self, out: &mut Vec<u8>, dimension: usize, value: &[u8]) {
        let name = self.names.get(dimension);
        let len = name.len() + varint_len(value.len() as u64) + value.len();
        write_len_key(out, len_key(1), len);
        out.extend_from_slice(name);
        write_varint(out, value.len() as u64);
        out.extend_from_slice(value);
    }

    /// For each series a hash of its labels as they are sent, names and buckets
    /// aside.
    pub(super) fn series_keys(&self, population: &Population) -> Vec<u64> {
        let mut scratch = Vec::new();
        let mut pair = |name: &str, value: &[u8]| match value {
            // An empty label is none.
            [] => 0,
            value => identity::pair_hash(name, value, &mut scratch),
        };
        let external = self.external.iter();
        let external = external.map(|(name, value)| pair(name, value.as_bytes()));
        let external = external.fold(0, u64::wrapping_add);
        let dimensions = population.space().dimensions().iter();
        let hashes: Vec<(&str, Vec<u64>)> = dimensions
            .map(|dimension| {
                let values = dimension.values.iter();
                let hashes = values.map(|value| pair(&dimension.name, value));
                (dimension.name.as_str(), hashes.collect())
            })
            .collect();
        let mut cursor = population.cursor(0);
        let key = |_| {
            let pairs = hashes.iter().zip(cursor.digits()).enumerate();
            let sum = pairs.fold(external, |sum, (index, ((name, hashes), &digit))| {
                let known = hashes.get(digit as usize);
                // Texts of entities are in no list.
                let hash = known.copied();
                sum.wrapping_add(hash.unwrap_or_else(|| pair(name, cursor.value(index))))
            });
            cursor.advance();
            random::mix(sum)
        };
        (0..population.row_count()).map(key).collect()
    }
}

/// Whether series of a shape have the samples of the text format, and whether they have a
/// native histogram, where histograms are sent in a form. Those that count in no native
/// buckets, as the process's own, stay classic.
pub(super) fn forms(shape: &Shape, histograms: HistogramForm) -> (bool, bool) {
    let Shape::Histogram { further, .. } = shape else {
        return (true, false);
    };
    let is_counted = further.native.is_some();
    match histograms {
        HistogramForm::Classic | HistogramForm::Exponential => (true, false),
        HistogramForm::Native => (!is_counted, is_counted),
        HistogramForm::Both => (true, is_counted),
        HistogramForm::Nhcb => (false, true),
    }
}

/// Appends a label as a field of version 1's series.
pub(super) fn write_label(out: &mut Vec<u8>, name: &str, value: &str) {
    let len = len_field_len(name.len()) + len_field_len(value.len());
    write_len_key(out, len_key(1), len);
    write_pair_name(out, name);
    write_varint(out, value.len() as u64);
    out.extend_from_slice(value.as_bytes());
}

/// All labels of a sample in the order of their names.
fn sample_labels(
    space: &Space,
    external: &[(String, String)],
    sample_name: &str,
    number: Option<&(&str, String)>,
) -> Vec<Label> {
    let constant = |name: &str, value: &str| Label::Constant {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let dimensions = space.dimensions();
    let mut labels: Vec<Label> = (0..dimensions.len()).map(Label::Dimension).collect();
    labels.push(constant(NAME, sample_name));
    labels.extend(external.iter().map(|(name, value)| constant(name, value)));
    labels.extend(number.map(|(name, value)| constant(name, value)));
    labels.sort_by_key(|label| match label {
        Label::Constant { name, .. } => name.clone(),
        Label::Dimension(dimension) => dimensions[*dimension].name.clone(),
    });
    labels
}
