//! A chunk of a body: the messages of families, or parts of them.

use crate::engine::Frame;
use crate::exposition::Renderer;
use crate::exposition::lines::Mark;
use crate::exposition::protobuf::tail::SampleTime;

impl Renderer {
    /// Appends a chunk of the body. Families of which no series has a point are left out,
    /// as readers skip them.
    pub(in crate::exposition) fn render_protobuf(
        &self,
        frame: &Frame,
        chunk: usize,
        out: &mut Vec<u8>,
        marks: &mut impl Mark,
    ) {
        let time = SampleTime::new(frame.time_ns(), self.timestamps);
        for piece in self.plan.pieces(chunk) {
            let (family, points) = piece.points(frame);
            let message = self.texts.protobuf_of(family);
            if points.first_series == 0 {
                match message.measure(frame, family, &time) {
                    0 => {}
                    bytes => message.write_open(out, bytes),
                }
            }
            message.write_rows(out, &time, &points, marks);
        }
    }
}
