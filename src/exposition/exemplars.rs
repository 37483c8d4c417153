//! Exemplars behind lines of `OpenMetrics`: ` # {trace_id="..."} 0.7 1700000000.123`.

use std::io::Write as _;

use crate::config;
use crate::engine::Exemplar;
use crate::exposition::ends::Short;
use crate::exposition::number;
use crate::exposition::room::Room;

/// What an exemplar adds to a line, at most.
pub(super) fn bytes_max(spec: &config::Exemplars) -> usize {
    let labels = spec.labels.iter();
    let labels =
        labels.map(|label| label.name.len() + 2 * usize::from(label.bytes) + "=\"\",".len());
    " # {} ".len() + labels.sum::<usize>() + number::VALUE_BYTES_MAX + number::TIME_BYTES_MAX + 1
}

/// Puts an exemplar behind a line, whose line feed stands last.
#[cold]
pub(super) fn put_behind(room: &mut Room, exemplar: &Exemplar<'_>) {
    room.take_back(1);
    room.put(b" # {");
    let mut digits = Vec::new();
    for (index, (name, value)) in exemplar.labels().enumerate() {
        if index > 0 {
            room.put(b",");
        }
        digits.clear();
        value.write_hex(&mut digits);
        room.put(name.as_bytes());
        room.put(b"=\"");
        room.put(&digits);
        room.put(b"\"");
    }
    room.put(b"} ");
    number::put_value(room, exemplar.value);
    let end = Short::<32>::written(|end| {
        end.write_all(b" ")?;
        number::write_seconds(end, exemplar.time_ms)?;
        end.write_all(b"\n")
    });
    end.put(room);
}
