//! What scrapes will take of memory, by arithmetic.

use super::plan::CHUNK_SAMPLES_MAX;
use super::pool::WINDOW_CHUNKS_PER_THREAD;
use crate::model::Shape;
use crate::model::space::SpaceSize;

/// What a label takes beside its name and value: a comma, an equals sign, two quotes.
const AROUND_LABEL_BYTES: usize = 4;
/// What a line takes beside its name and labels: braces, a suffix, the label of a bucket, the
/// value, a line feed.
const AROUND_LINE_BYTES: f64 = 22.0;
/// What one thread keeps to compress: a block's tokens, tables.
const COMPRESSOR_BYTES: f64 = 300e3;
/// A buffer grows by halves of what it gets, and what it leaves behind stays with the thread's
/// allocator.
const GROWTH: f64 = 2.0;

/// Size of a body in the text format.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BodySize {
    samples: f64,
    bytes: f64,
}

impl BodySize {
    /// Adds a family; its name with the prefix has so many bytes.
    pub fn add(&mut self, name_bytes: usize, shape: &Shape, space: &SpaceSize) {
        let samples = space.series as f64 * shape.samples_per_series() as f64;
        let line_bytes = AROUND_LINE_BYTES + name_bytes as f64;
        self.samples += samples;
        self.bytes += samples * (line_bytes + space.label_set_bytes(AROUND_LABEL_BYTES));
    }

    /// What a pool of so many threads takes while it writes and compresses it.
    pub fn pool_bytes(&self, threads: usize) -> f64 {
        let chunk_bytes = CHUNK_SAMPLES_MAX as f64 * self.bytes / self.samples.max(1.0);
        // One that is written, and those that are under way to the reader.
        let chunks = (1 + WINDOW_CHUNKS_PER_THREAD) as f64;
        let chunks_bytes = (threads as f64 * chunks * chunk_bytes).min(3.0 * self.bytes);
        threads as f64 * COMPRESSOR_BYTES + GROWTH * chunks_bytes
    }
}
