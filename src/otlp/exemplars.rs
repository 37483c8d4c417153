//! The exemplar of a point.

use crate::engine::Exemplar;
use crate::proto::wire::{fixed64_key, len_field_len, len_key, write_len_key};

/// Labels that have fields of their own, where they have as many bytes: name, bytes, field.
const OWN_FIELDS: [(&str, usize, u8); 2] = [("span_id", 8, 4), ("trace_id", 16, 5)];

/// Appends it as a field of a point.
#[cold]
pub(super) fn write(out: &mut Vec<u8>, field: u8, exemplar: &Exemplar<'_>) {
    let mut message = Vec::with_capacity(64);
    message.push(fixed64_key(2));
    let time_ns = exemplar.time_ms * 1_000_000;
    message.extend_from_slice(&time_ns.to_le_bytes());
    message.push(fixed64_key(3));
    message.extend_from_slice(&exemplar.value.to_le_bytes());
    let own_field = |(name, bytes): (&str, usize)| {
        let mut fields = OWN_FIELDS.iter();
        let found = fields.find(|(own, len, _)| (*own, *len) == (name, bytes));
        found.map(|(_, _, field)| *field)
    };
    let mut digits = Vec::new();
    for (name, value) in exemplar.labels() {
        if let Some(field) = own_field((name, value.bytes().len())) {
            write_len_key(&mut message, len_key(field), value.bytes().len());
            message.extend_from_slice(value.bytes());
            continue;
        }
        digits.clear();
        value.write_hex(&mut digits);
        let any_len = len_field_len(digits.len());
        let len = len_field_len(name.len()) + len_field_len(any_len);
        write_len_key(&mut message, len_key(7), len);
        write_len_key(&mut message, len_key(1), name.len());
        message.extend_from_slice(name.as_bytes());
        write_len_key(&mut message, len_key(2), any_len);
        write_len_key(&mut message, len_key(1), digits.len());
        message.extend_from_slice(&digits);
    }
    write_len_key(out, len_key(field), message.len());
    out.extend_from_slice(&message);
}
