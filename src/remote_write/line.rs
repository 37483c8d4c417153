//! One sample of a series as it is sent, all but its value.
//!
//! A series' labels are mostly those of the series before it, so a line is kept
//! for each sample of a series, and only what changed is written anew; a sample
//! is a copy of its line with the value put in.

use crate::model::space::Cursor;
use crate::proto::remote_write_v1::MetricType;
use crate::proto::wire::{
    fixed64_key, len_field_len, len_key, varint_key, write_len_key, write_varint,
};
use crate::remote_write::family::{self, FamilyForm, Label};
use crate::remote_write::symbols::{Reference, Symbols};

/// Room for key and length of a series, and of its labels: both are shorter than
/// 4 GiB.
const ROOM: usize = 12;
/// Key of a series within a request of version 1, and of version 2.
const SERIES_KEYS: [u8; 2] = [len_key(1), len_key(5)];
/// Keys of a native histogram within a series, in the same order.
const HISTOGRAM_KEYS: [u8; 2] = [len_key(4), len_key(3)];
/// Where the value stands in what follows the labels.
const VALUE_AT: usize = 3;

/// A series without its value.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Room for what precedes the labels, the labels, the tail.
    bytes: Vec<u8>,
    /// Where the key stands.
    begin: usize,
    /// Where what is in the series begins: key and length of labels, if they have any.
    inside: usize,
    labels_end: usize,
    /// Where each label begins.
    label_starts: Vec<usize>,
    /// Where the value of each dimension stands, how long it is, and which
    /// label it is.
    values: Vec<(usize, usize, usize)>,
    /// Of the tail that it has.
    tail: u64,
    /// The writer's when it was built.
    pub(super) stamp: u64,
}

/// What follows the labels: a sample whose value is 0, and metadata. A native histogram has
/// the place of the sample.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    /// Where the metadata begins.
    metadata_at: usize,
    generation: u64,
    /// Version 2's, with metadata.
    described: bool,
    /// The writer's when it was written.
    pub(super) stamp: u64,
    /// When the series began, as the samples say; 0 says nothing.
    pub(super) start_ms: i64,
}

/// The series whose samples are written, and how far the lines have followed.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) form: &'a FamilyForm,
    cursor: Cursor<'a>,
    /// In version 2, the numbers of the values.
    references: Vec<Reference>,
    /// The first dimension whose value is not that of the lines.
    pub(super) changed: usize,
}

impl<'a> Row<'a> {
    pub(super) fn new(form: &'a FamilyForm, cursor: Cursor<'a>) -> Self {
        Self {
            form,
            references: vec![Reference::default(); cursor.digits().len()],
            cursor,
            changed: 0,
        }
    }

    /// On to the next series.
    #[inline]
    pub(super) fn advance(&mut self) {
        self.changed = self.changed.min(self.cursor.advance());
    }

    /// To any series; the lines are to follow from their first dimension on.
    pub(super) fn seek(&mut self, series: usize) {
        if series != self.cursor.series() {
            self.cursor.seek(series);
        }
        self.changed = 0;
    }

    /// Gives numbers to the values that changed.
    #[inline]
    pub(super) fn refer(&mut self, symbols: &mut Symbols) {
        for dimension in self.changed..self.references.len() {
            let value = self.value(dimension);
            self.references[dimension] = match value {
                [] => Reference::default(),
                value => Reference::new(symbols.number(value)),
            };
        }
    }

    #[inline]
    fn value(&self, dimension: usize) -> &'a [u8] {
        self.cursor.value(dimension)
    }

    /// What stands for a value: itself, or its number; nothing where it is
    /// empty, because an empty label is none.
    #[inline]
    fn token(&self, dimension: usize, by_number: bool) -> &[u8] {
        if by_number {
            self.references[dimension].bytes()
        } else {
            self.value(dimension)
        }
    }
}

impl Tail {
    /// Of samples at a time, version 1.
    pub(super) fn write_plain(&mut self, time_ms: i64) {
        self.bytes.clear();
        self.generation += 1;
        self.described = false;
        write_sample(&mut self.bytes, time_ms, 0);
        self.metadata_at = self.bytes.len();
    }

    /// Of samples of a family at a time, version 2.
    pub(super) fn write_described(
        &mut self,
        time_ms: i64,
        form: &FamilyForm,
        symbols: &mut Symbols,
    ) {
        self.bytes.clear();
        self.generation += 1;
        self.described = true;
        write_sample(&mut self.bytes, time_ms, self.start_ms);
        self.metadata_at = self.bytes.len();
        let mut metadata = Vec::with_capacity(16);
        let mut field = |number: u8, value: u32| {
            if value != 0 {
                metadata.push(varint_key(number));
                write_varint(&mut metadata, value.into());
            }
        };
        field(1, kind_number(form.kind));
        field(3, symbols.number(form.help.as_bytes()));
        field(4, symbols.number(form.unit.as_bytes()));
        write_len_key(&mut self.bytes, len_key(5), metadata.len());
        self.bytes.extend_from_slice(&metadata);
    }
}

/// Both versions number types alike.
fn kind_number(kind: MetricType) -> u32 {
    kind as i32 as u32
}

fn write_sample(out: &mut Vec<u8>, time_ms: i64, start_ms: i64) {
    let mut sample = Vec::with_capacity(32);
    // A value of 0 stands there, too, because it is put in afterwards.
    sample.push(fixed64_key(1));
    sample.extend_from_slice(&[0; 8]);
    for (field, ms) in [(2, time_ms), (3, start_ms)] {
        if ms != 0 {
            sample.push(varint_key(field));
            write_varint(&mut sample, ms as u64);
        }
    }
    write_len_key(out, len_key(2), sample.len());
    out.extend_from_slice(&sample);
}

impl Line {
    /// Writes it anew for a sample of the series that `row` stands on.
    pub(super) fn build(
        &mut self,
        row: &Row<'_>,
        sample: usize,
        tail: &Tail,
        symbols: Option<&mut Symbols>,
    ) {
        self.bytes.clear();
        self.bytes.resize(ROOM, 0);
        self.label_starts.clear();
        self.values.clear();
        self.values.resize(row.references.len(), (0, 0, 0));
        self.write_labels(row, sample, 0, symbols);
        self.finish(row, sample, tail);
    }

    /// Goes over to the series that `row` stands on.
    #[inline]
    pub(super) fn follow(
        &mut self,
        row: &Row<'_>,
        sample: usize,
        tail: &Tail,
        symbols: Option<&mut Symbols>,
    ) {
        let by_number = symbols.is_some();
        for dimension in row.changed..self.values.len() {
            let token = row.token(dimension, by_number);
            let (start, len, label) = self.values[dimension];
            if token.len() != len {
                self.bytes.truncate(self.label_starts[label]);
                self.label_starts.truncate(label);
                self.write_labels(row, sample, label, symbols);
                return self.finish(row, sample, tail);
            }
            self.bytes[start..start + len].copy_from_slice(token);
        }
        if self.tail != tail.generation {
            self.finish(row, sample, tail);
        }
    }

    /// Appends it with a value.
    #[inline]
    pub(super) fn write(&self, out: &mut Vec<u8>, value: f64) {
        let at = out.len() + self.labels_end + VALUE_AT - self.begin;
        out.extend_from_slice(&self.bytes[self.begin..]);
        out[at..at + 8].copy_from_slice(&value.to_bits().to_le_bytes());
    }

    /// Appends it with a native histogram in the place of the sample.
    pub(super) fn write_histogram(&self, out: &mut Vec<u8>, histogram: &[u8], tail: &Tail) {
        let version = usize::from(tail.described);
        let labels = &self.bytes[self.inside..self.labels_end];
        let metadata = &tail.bytes[tail.metadata_at..];
        let len = labels.len() + len_field_len(histogram.len()) + metadata.len();
        write_len_key(out, SERIES_KEYS[version], len);
        out.extend_from_slice(labels);
        write_len_key(out, HISTOGRAM_KEYS[version], histogram.len());
        out.extend_from_slice(histogram);
        out.extend_from_slice(metadata);
    }

    /// Writes the labels from one on.
    fn write_labels(
        &mut self,
        row: &Row<'_>,
        sample: usize,
        from: usize,
        mut symbols: Option<&mut Symbols>,
    ) {
        let out = &mut self.bytes;
        let labels = row.form.samples[sample].labels.iter().enumerate();
        for (index, label) in labels.skip(from) {
            self.label_starts.push(out.len());
            match (label, symbols.as_deref_mut()) {
                (Label::Constant { name, value }, None) => family::write_label(out, name, value),
                (Label::Constant { name, value }, Some(symbols)) => {
                    symbols.write(out, name.as_bytes());
                    symbols.write(out, value.as_bytes());
                }
                (&Label::Dimension(dimension), symbols) => {
                    let token = row.token(dimension, symbols.is_some());
                    match symbols {
                        _ if token.is_empty() => {}
                        None => row.form.write_label(out, dimension, token),
                        Some(symbols) => {
                            let name = &row.cursor.space().dimensions()[dimension].name;
                            symbols.write(out, name.as_bytes());
                            out.extend_from_slice(token);
                        }
                    }
                    self.values[dimension] = (out.len() - token.len(), token.len(), index);
                }
            }
        }
        self.labels_end = out.len();
    }

    /// Puts the tail behind the labels, and keys and lengths before them.
    fn finish(&mut self, row: &Row<'_>, sample: usize, tail: &Tail) {
        debug_assert_eq!(
            self.label_starts.len(),
            row.form.samples[sample].labels.len()
        );
        self.bytes.truncate(self.labels_end);
        self.bytes.extend_from_slice(&tail.bytes);
        self.tail = tail.generation;
        self.begin = ROOM;
        if tail.described {
            self.put_len_key(len_key(1), self.labels_end - ROOM);
        }
        self.inside = self.begin;
        let key = SERIES_KEYS[usize::from(tail.described)];
        self.put_len_key(key, self.bytes.len() - self.begin);
    }

    /// Puts a key and a length before what begins.
    fn put_len_key(&mut self, key: u8, len: usize) {
        let len = u32::try_from(len).expect("a series is shorter than 4 GiB");
        let len = Reference::new(len);
        let begin = self.begin - len.bytes().len() - 1;
        self.bytes[begin] = key;
        self.bytes[begin + 1..self.begin].copy_from_slice(len.bytes());
        self.begin = begin;
    }
}
