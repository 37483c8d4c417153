//! gzip (RFC 1952) made of chunks that are compressed independently.
//!
//! A body is one gzip member. Each chunk becomes a run of DEFLATE blocks
//! (RFC 1951) that refers to nothing before it and ends on a byte boundary, so
//! chunks can be compressed on any thread and put one after the other. Their
//! checksums are combined without reading the bytes again.

use crate::exposition::Lines;
use crate::exposition::deflate::Deflater;

/// What a member begins with: magic, DEFLATE, no flags, no time, fastest
/// compression, no operating system.
pub const HEADER: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 4, 0xFF];

/// An empty final block, with the fixed code (RFC 1951, 3.2.6).
const FINAL_BLOCK: [u8; 2] = [0x03, 0x00];

/// Compresses chunks, one at a time; its state is made at the first one and
/// reused.
#[derive(Debug, Default)]
pub struct Compressor {
    deflater: Option<Deflater>,
}

/// Checksum and length of a chunk's plain bytes.
#[derive(Debug, Clone)]
pub struct ChunkSum {
    crc: crc32fast::Hasher,
    plain_bytes: u64,
}

/// The end of a gzip member, from the sums of its chunks in order.
#[derive(Debug, Clone, Default)]
pub struct Trailer {
    crc: crc32fast::Hasher,
    plain_bytes: u64,
}

impl Compressor {
    /// Appends the blocks of one chunk, its lines as the renderer marked them.
    /// Wrong or missing marks cost room and nothing else.
    pub fn compress_lines(&mut self, plain: &[u8], lines: &Lines, out: &mut Vec<u8>) -> ChunkSum {
        let deflater = self.deflater.get_or_insert_default();
        deflater.deflate(plain, lines, out);
        ChunkSum::of(plain)
    }
}

impl ChunkSum {
    /// The sum of a chunk's plain bytes.
    pub fn of(plain: &[u8]) -> Self {
        let mut crc = crc32fast::Hasher::new();
        crc.update(plain);
        Self {
            crc,
            plain_bytes: plain.len() as u64,
        }
    }
}

impl Trailer {
    /// Takes in the next chunk.
    pub fn add(&mut self, chunk: &ChunkSum) {
        self.crc.combine(&chunk.crc);
        self.plain_bytes += chunk.plain_bytes;
    }

    /// What follows the last chunk: final block, CRC-32, length modulo 2³².
    pub fn bytes(self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[..2].copy_from_slice(&FINAL_BLOCK);
        bytes[2..6].copy_from_slice(&self.crc.finalize().to_le_bytes());
        bytes[6..].copy_from_slice(&(self.plain_bytes as u32).to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::config::LabelValues;
    use crate::engine::{Columns, Frame, random_frames};
    use crate::exposition::{Format, Renderer};
    use crate::model::labels::Dimension;
    use crate::model::space::Space;
    use crate::model::{Catalog, Family, Shape};

    fn member(chunks: &[(&[u8], Lines)]) -> Vec<u8> {
        let mut compressor = Compressor::default();
        let mut trailer = Trailer::default();
        let mut out = HEADER.to_vec();
        for (chunk, lines) in chunks {
            trailer.add(&compressor.compress_lines(chunk, lines, &mut out));
        }
        out.extend_from_slice(&trailer.bytes());
        out
    }

    fn inflate(member: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        let mut decoder = flate2::bufread::GzDecoder::new(member);
        decoder.read_to_end(&mut plain).unwrap();
        assert!(decoder.into_inner().is_empty(), "bytes after the member");
        plain
    }

    fn inflate_again(member: &[u8], plain_bytes: usize) -> Vec<u8> {
        let mut plain = vec![0; plain_bytes];
        let mut decoder = libdeflater::Decompressor::new();
        let length = decoder.gzip_decompress(member, &mut plain).unwrap();
        plain.truncate(length);
        plain
    }

    fn check(chunks: &[&[u8]]) {
        let plain = chunks.concat();
        let chunks: Vec<_> = chunks
            .iter()
            .map(|&chunk| (chunk, Lines::default()))
            .collect();
        let member = member(&chunks);
        assert!(inflate(&member) == plain);
        assert!(inflate_again(&member, plain.len()) == plain);
    }

    /// A frame's body in chunks as the renderer gives them, and as a member.
    fn body(frame: &Frame, format: Format, timestamps: bool) -> (Vec<Vec<u8>>, Vec<u8>) {
        let renderer =
            Renderer::new(Arc::clone(frame.catalog()), "p_", timestamps).with_created(true);
        let mut lines = Vec::new();
        let mut chunks = Vec::new();
        for chunk in 0..renderer.chunk_count() {
            let (mut plain, mut of_chunk) = (Vec::new(), Lines::default());
            renderer.render_chunk_with_lines(frame, format, chunk, &mut plain, &mut of_chunk);
            let mut unmarked = Vec::new();
            renderer.render_chunk(frame, format, chunk, &mut unmarked);
            assert!(plain == unmarked);
            chunks.push(plain);
            lines.push(of_chunk);
        }
        let marked: Vec<_> = chunks.iter().map(Vec::as_slice).zip(lines).collect();
        let member = member(&marked);
        (chunks, member)
    }

    fn check_frame(frame: &Frame) {
        for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
            for timestamps in [false, true] {
                let (chunks, member) = body(frame, format, timestamps);
                let plain = chunks.concat();
                assert!(inflate(&member) == plain);
                assert!(inflate_again(&member, plain.len()) == plain);
            }
        }
    }

    /// A frame of families of all types with these labels.
    fn frame(labels: &[(&str, Vec<String>)], seed: u64) -> Frame {
        let dimensions = labels.iter().map(|(name, values)| {
            Dimension::new(name, &LabelValues::List(values.clone()), values.len())
        });
        let space = Arc::new(Space::from_dimensions(dimensions.collect()));
        let bounds: Arc<[f64]> = [0.005, 0.01, 0.1, 1.0, 10.0].as_slice().into();
        let quantiles: Arc<[f64]> = [0.5, 0.9, 0.99].as_slice().into();
        let shapes = [
            ("requests", Shape::Counter),
            ("load", Shape::Gauge),
            ("latency_seconds", Shape::histogram(bounds)),
            ("size_bytes", Shape::Summary { quantiles }),
        ];
        let families = shapes
            .map(|(name, shape)| Family::new(name, "What it is.", "", shape, Arc::clone(&space)));
        let catalog = Arc::new(Catalog::from_families(families.into(), 4));
        random_frames::frame(
            &catalog,
            1_700_000_060_000_000_000,
            1_700_000_000_000_000_000,
            seed,
        )
    }

    fn numbered(prefix: &str, count: usize) -> Vec<String> {
        (0..count).map(|n| format!("{prefix}{n:04}")).collect()
    }

    #[test]
    fn bodies_of_all_label_lengths_are_read_back() {
        let list = |values: &[&str]| values.iter().map(ToString::to_string).collect();
        check_frame(&frame(&[], 1));
        check_frame(&frame(&[("user", numbered("user_", 3000))], 2));
        check_frame(&frame(
            &[
                ("zone", list(&["a", "b", "c"])),
                ("user", numbered("ü", 500)),
            ],
            3,
        ));
        for bytes in [1, 10, 60, 258, 1000, 10_000] {
            let long = numbered(&"l".repeat(bytes), 4);
            check_frame(&frame(&[("a", long.clone()), ("b", numbered("", 3))], 4));
            // Of 10,000 bytes each, a line is longer than the window.
            let labels = ["a", "b", "c", "d"].map(|name| (name, long[..2].to_vec()));
            check_frame(&frame(&labels, 5));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// For every frame, the member reads back as the body.
        #[test]
        fn any_body_reads_back(frame in random_frames::frames()) {
            check_frame(&frame);
        }
    }

    /// The ratio that justifies a compressor of our own, type by type.
    #[test]
    fn bodies_shrink_more_than_with_zlib() {
        for (name, values) in [
            ("whole", (0..4000).map(f64::from).collect::<Vec<f64>>()),
            (
                "fractions",
                (0..4000).map(|n| f64::from(n).sqrt().fract()).collect(),
            ),
        ] {
            let list: Vec<String> = (0..4000).map(|n| format!("user_{n:05}")).collect();
            let labels = [
                Dimension::new("path", &LabelValues::List(vec!["/api/v1/cart".into()]), 1),
                Dimension::new("user_id", &LabelValues::List(list), 4000),
            ];
            let space = Arc::new(Space::from_dimensions(labels.into()));
            let family = Family::new("user_requests", "", "", Shape::Gauge, space);
            let catalog = Arc::new(Catalog::from_families(vec![family], 1));
            let columns = vec![Columns::Values(values)];
            let frame = Frame::from_columns(&catalog, 0, 0, 0, columns);
            let (chunks, ours) = body(&frame, Format::Text, false);
            let mut zlib = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(1));
            zlib.write_all(&chunks.concat()).unwrap();
            let theirs = zlib.finish().unwrap().len();
            assert!(
                14 * ours.len() <= 10 * theirs,
                "{name}: {} to {theirs}",
                ours.len()
            );
        }
    }

    #[test]
    fn members_of_any_chunks_are_read_back() {
        check(&[]);
        check(&[b""]);
        check(&[b"", b"a", b"", b"", b"b"]);
        check(&[b"same", b"same", b"same"]);
        check(&[&vec![b'x'; 1_000_000], b"y"]);
        // Incompressible: larger than it was, and in need of more room.
        let noise: Vec<u8> = (0..1_000_000u64)
            .map(|i| (crate::random::mix(i) >> 56) as u8)
            .collect();
        check(&[&noise, &noise]);
    }

    proptest! {
        /// For every cut of every text, the member reads back as the text.
        #[test]
        fn any_cut_reads_back(chunks in prop::collection::vec("[ab\n]{0,3000}", 0..6)) {
            let chunks: Vec<&[u8]> = chunks.iter().map(String::as_bytes).collect();
            check(&chunks);
        }
    }

    /// Feeds `input` to a program.
    fn pipe(program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{program}: {error}"));
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let feeder = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap().unwrap();
        assert!(output.status.success(), "{program} refused the member");
        output.stdout
    }

    #[test]
    #[ignore = "needs gunzip and python3"]
    fn other_programs_read_members() {
        let frame = frame(&[("user", numbered("user_é", 3000))], 6);
        let (chunks, member) = body(&frame, Format::OpenMetrics, true);
        assert!(chunks.len() > 1);
        assert!(pipe("gunzip", &["-t"], &member).is_empty());
        let script = "import gzip, sys; \
             sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))";
        assert!(pipe("python3", &["-c", script], &member) == chunks.concat());
    }
}
