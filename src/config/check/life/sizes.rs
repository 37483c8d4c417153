//! `size`: functions of time, and numbers of entities.

use crate::config::check::Checker;
use crate::config::check::dependencies::Graph;
use crate::config::problem::{Path, quoted};
use crate::config::raw::{RawSize, Scalar};
use crate::config::{Amount, Label, Size, SizeShape};
use crate::quantity;
use crate::readable::grouped;

impl Checker<'_> {
    pub(super) fn size(&mut self, at: &Path, labels: &[Label], raw: RawSize) -> Option<Size> {
        let RawSize {
            label,
            shape,
            from,
            to,
            over,
            period,
            steps,
        } = raw;
        let shapes = ["ramp", "steps", "wave", "spike", "double_halve"];
        let shape = self.required_word(at, "shape", shape, &shapes);
        let label = self.axis_of(at, labels, label, "size");
        let entities = label.map(|label| Graph::new(labels).entities(&label.name));
        let from = self.amount(at, "from", from, entities);
        let to = self.amount(at, "to", to, entities);
        let word = shape?;
        let (shape, taken): (_, &[&str]) = match word {
            "ramp" => (SizeShape::Ramp, &["label", "from", "to", "over"]),
            "steps" => (SizeShape::Steps, &["label", "from", "to", "over", "steps"]),
            "wave" => (SizeShape::Wave, &["label", "from", "to", "period"]),
            "spike" => (SizeShape::Spike, &["label", "from", "to", "over", "period"]),
            _ => (SizeShape::DoubleHalve, &["label", "from", "to", "period"]),
        };
        let fields = [
            ("over", over.is_some()),
            ("period", period.is_some()),
            ("steps", steps.is_some()),
        ];
        self.unused(at, &fields, taken, word);
        let takes = |name| taken.contains(&name);
        let over_ns = if takes("over") {
            self.span(at, "over", over, word)
        } else {
            0
        };
        let period_ns = if takes("period") {
            self.span(at, "period", period, word)
        } else {
            0
        };
        let is_longer = period_ns > 0 && over_ns > period_ns;
        self.too_long(at, ("over", "period"), is_longer, (over_ns, period_ns));
        let steps = match (shape, steps) {
            (SizeShape::Steps, Some(steps)) => {
                self.whole_within(&at.key("steps"), steps, 1..=1_000_000);
                u32::try_from(steps).unwrap_or(1)
            }
            (SizeShape::Steps, None) => {
                self.problems
                    .missing(&at.key("steps"), "missing; steps needs it");
                return None;
            }
            _ => 1,
        };
        Some(Size {
            label: label?.name.clone(),
            shape,
            from: from?,
            to: to?,
            over_ns,
            period_ns,
            steps,
        })
    }

    /// A number of entities, or a share of all there can be.
    pub(in crate::config::check) fn amount(
        &mut self,
        at: &Path,
        name: &str,
        raw: Option<Scalar>,
        entities: Option<u64>,
    ) -> Option<Amount> {
        let why = "a number of entities, or a share such as 50%".to_owned();
        let text = self.required_text(at, name, raw.map(|Scalar(text)| text), &why)?;
        let at = at.key(name);
        let wrong = || format!("expected {why}, found {}", quoted(&text));
        let amount = match text.strip_suffix('%') {
            Some(percent) => match percent.trim_end().parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => {
                    Ok(Amount::Share(percent / 100.0))
                }
                Ok(_) => Err(format!("a share is 0% to 100%, found {}", quoted(&text))),
                Err(_) => Err(wrong()),
            },
            None => quantity::count(&text)
                .map(Amount::Count)
                .map_err(|_| wrong()),
        };
        let amount = amount.and_then(|amount| match (amount, entities) {
            (Amount::Count(count), Some(entities)) if count > entities => Err(format!(
                "there can be {} entities, found {}; extend the range of the label",
                grouped(entities.into()),
                grouped(count.into())
            )),
            _ => Ok(amount),
        });
        amount
            .map_err(|message| self.problems.add(&at, message))
            .ok()
    }
}
