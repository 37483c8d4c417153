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

/// Compresses chunks, one at a time; its state is reused.
#[derive(Debug, Default)]
pub struct Compressor {
    deflater: Deflater,
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
    /// Appends the blocks of one chunk, whose lines are best known; they need
    /// not be.
    pub fn compress_chunk(&mut self, plain: &[u8], lines: &Lines, out: &mut Vec<u8>) -> ChunkSum {
        self.deflater.deflate(plain, lines, out);
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

    use proptest::prelude::*;

    use super::*;

    fn member(chunks: &[&[u8]]) -> Vec<u8> {
        let mut compressor = Compressor::default();
        let mut trailer = Trailer::default();
        let mut out = HEADER.to_vec();
        for chunk in chunks {
            trailer.add(&compressor.compress_chunk(chunk, &Lines::default(), &mut out));
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

    fn check(chunks: &[&[u8]]) {
        assert_eq!(inflate(&member(chunks)), chunks.concat());
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
            .map(|i| (crate::model::identity::mix(i) >> 56) as u8)
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

    /// Feeds `input` to a program; `None` when there is no such program.
    fn pipe(program: &str, args: &[&str], input: &[u8]) -> Option<Vec<u8>> {
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            eprintln!("skipped: no {program} here");
            return None;
        };
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let feeder = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap().unwrap();
        assert!(output.status.success(), "{program} refused the member");
        Some(output.stdout)
    }

    #[test]
    fn other_programs_read_members() {
        let text = "some_metric{label=\"value\"} 12345\n".repeat(10_000);
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(70_000).collect();
        let member = member(&chunks);
        if let Some(output) = pipe("gunzip", &["-t"], &member) {
            assert!(output.is_empty());
        }
        let script = "import gzip, sys; \
             sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))";
        if let Some(output) = pipe("python3", &["-c", script], &member) {
            assert!(output == text.as_bytes());
        }
    }
}
