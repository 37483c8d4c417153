//! Texts that no law changes: of labels that are written from values alone, their own and
//! those of the labels that they name.

use super::Fleet;
use super::part::Own;
use crate::config::{Label, LabelValues, Piece};
use crate::model::labels::write_value;

/// What such a text is made of, the texts of others written out.
#[derive(Debug)]
pub(super) enum Lasting<'l> {
    Text(&'l str),
    /// A digit of an axis, as one of these values.
    Value(usize, &'l LabelValues),
}

impl Fleet {
    /// The pieces of a label's text where it lasts: it is no property, nor are those that it
    /// names, and none shows an identifier or a generation.
    pub(super) fn lasting(&self, name: &str) -> Option<Vec<Lasting<'_>>> {
        let mut pieces = Vec::new();
        self.add_lasting(name, &mut pieces)?;
        Some(pieces)
    }

    fn add_lasting<'l>(&'l self, name: &str, out: &mut Vec<Lasting<'l>>) -> Option<()> {
        let mut labels = self.source.0.iter();
        let label: &Label = labels.find(|label| label.name == name)?;
        let part = &self.parts.each[self.parts.find(name)?];
        let Own::Axis(axis) = part.own else {
            return None;
        };
        let Some(pieces) = &label.text else {
            out.push(Lasting::Value(axis, &label.values));
            return Some(());
        };
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.push(Lasting::Text(text)),
                Piece::Value => out.push(Lasting::Value(axis, &label.values)),
                Piece::Label(other) => self.add_lasting(other, out)?,
                Piece::Id(_) | Piece::Generation => return None,
            }
        }
        Some(())
    }
}

/// Appends the text of pieces where axes have these digits.
pub(super) fn write(pieces: &[Lasting<'_>], digits: &[u64], out: &mut Vec<u8>) {
    for piece in pieces {
        match piece {
            Lasting::Text(text) => out.extend_from_slice(text.as_bytes()),
            Lasting::Value(axis, values) => write_value(values, digits[*axis], out),
        }
    }
}
