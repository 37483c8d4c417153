//! Exemplars of samples: a further field of a series that is written already.

use crate::engine::Exemplar;
use crate::proto::wire::{fixed64_key, len_key, varint_key, write_len_key, write_varint};
use crate::remote_write::family::write_label;
use crate::remote_write::symbols::Symbols;

/// Keys of exemplars within a series of version 1, and of version 2.
const KEYS: [u8; 2] = [len_key(3), len_key(4)];

/// Gives the series that begins at `start` and ends `out` an exemplar; of version 2 where
/// there are symbols.
#[cold]
pub(super) fn add(
    out: &mut Vec<u8>,
    start: usize,
    exemplar: &Exemplar<'_>,
    symbols: Option<&mut Symbols>,
) {
    let key = KEYS[usize::from(symbols.is_some())];
    let message = message(exemplar, symbols);
    let series = out.split_off(start);
    // Behind the key the length, a varint, tells where it ends itself.
    let len_end = 2 + series[1..].iter().take_while(|&&byte| byte >= 0x80).count();
    let (open, content) = series.split_at(len_end);
    let mut field = Vec::with_capacity(message.len() + 6);
    write_len_key(&mut field, key, message.len());
    field.extend_from_slice(&message);
    write_len_key(out, open[0], content.len() + field.len());
    out.extend_from_slice(content);
    out.extend_from_slice(&field);
}

fn message(exemplar: &Exemplar<'_>, symbols: Option<&mut Symbols>) -> Vec<u8> {
    let (mut out, mut text) = (Vec::new(), Vec::new());
    match symbols {
        None => {
            for (name, value) in exemplar.labels() {
                text.clear();
                value.write_hex(&mut text);
                let text = std::str::from_utf8(&text).expect("digits are ASCII");
                write_label(&mut out, name, text);
            }
        }
        Some(symbols) => {
            let mut references = Vec::new();
            for (name, value) in exemplar.labels() {
                text.clear();
                value.write_hex(&mut text);
                symbols.write(&mut references, name.as_bytes());
                symbols.write(&mut references, &text);
            }
            write_len_key(&mut out, len_key(1), references.len());
            out.extend_from_slice(&references);
        }
    }
    out.push(fixed64_key(2));
    out.extend_from_slice(&exemplar.value.to_le_bytes());
    if exemplar.time_ms != 0 {
        out.push(varint_key(3));
        write_varint(&mut out, exemplar.time_ms as u64);
    }
    out
}
