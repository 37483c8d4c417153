//! Any bytes with any hints about their lines: whatever the compressor is told, its
//! output reads back as what went in.
#![no_main]

use std::io::Read;

use flate2::bufread::GzDecoder;
use libfuzzer_sys::fuzz_target;
use mockingbird::exposition::gzip::{Compressor, HEADER, Trailer};
use mockingbird::exposition::{Lines, Repeats};

/// Lines of a section: steps to a line's beginning and from there to its value.
type Section = (u8, u8, Vec<(u8, u8)>);

fuzz_target!(|input: (Vec<Section>, u16, bool, &[u8])| {
    let (sections, repeated, absolute, bytes) = input;
    // Small inputs become texts of more than a block.
    let text = bytes.repeat(1 + usize::from(repeated) % 2000);
    let lines = lines(sections, absolute);
    let mut compressor = Compressor::default();
    let mut trailer = Trailer::default();
    let mut member = HEADER.to_vec();
    for chunk in [&text[..], bytes] {
        trailer.add(&compressor.compress_lines(chunk, &lines, &mut member));
    }
    member.extend_from_slice(&trailer.bytes());

    let mut decoder = GzDecoder::new(&member[..]);
    let mut plain = Vec::new();
    decoder.read_to_end(&mut plain).expect("a valid member");
    assert!(decoder.into_inner().is_empty());
    assert!(plain == [&text[..], bytes].concat());
});

fn lines(sections: Vec<Section>, absolute: bool) -> Lines {
    let mut lines = Lines::default();
    let mut at = 0;
    for (series_lines, alike_lines, places) in sections {
        lines.begin_section(Repeats {
            series_lines: series_lines.into(),
            alike_lines: alike_lines.into(),
        });
        for (start, value) in places {
            let start = usize::from(start) + if absolute { 0 } else { at };
            at = start + usize::from(value);
            lines.push_line(start, at);
        }
    }
    lines
}
