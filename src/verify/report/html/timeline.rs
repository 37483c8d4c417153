//! When scrapes or pushes came, and when samples differ: one line each, drawn as
//! SVG.

use std::fmt::{self, Write as _};

use super::escape::Escaped;
use super::{counted, gap_class};
use crate::verify::report::{Report, rfc3339_ms};

/// Metrics with a line of their own.
const METRICS_MAX: usize = 20;

impl Report {
    /// When the backend scraped, and when what was found differs; nothing where
    /// that is one plain line.
    pub(super) fn write_timeline(&self, out: &mut String) -> fmt::Result {
        let differing = || self.metrics.iter().filter(|t| !t.examples.is_empty());
        let gaps = self.gaps.iter();
        let begin = gaps.clone().map(|gap| gap.after_ms).min();
        let end = gaps.map(|gap| gap.before_ms).max();
        let span = Span {
            begin_ms: begin.map_or(self.range_ms.0, |ms| ms.min(self.range_ms.0)),
            end_ms: end.map_or(self.range_ms.1, |ms| ms.max(self.range_ms.1)),
        };
        let is_plain = self.gaps.is_empty() && differing().next().is_none();
        if is_plain || span.end_ms <= span.begin_ms {
            return Ok(());
        }
        out.push_str("<h2>When</h2>\n<div class=\"timeline\">\n");
        let what = self.scrapes_or_pushes();
        write!(
            out,
            "<span>{what}</span><svg role=\"img\" aria-label=\"when {what} were\">"
        )?;
        let mut from_ms = self.range_ms.0;
        for gap in &self.gaps {
            span.write_bar(out, "scraped", from_ms, gap.after_ms, what)?;
            from_ms = gap.before_ms;
        }
        span.write_bar(out, "scraped", from_ms, self.range_ms.1, what)?;
        for gap in &self.gaps {
            let class = format!("gap {}", gap_class(gap));
            span.write_bar(out, &class, gap.after_ms, gap.before_ms, &gap.text(what))?;
        }
        out.push_str("</svg>\n");
        for tally in differing().take(METRICS_MAX) {
            let name = Escaped(&tally.metric);
            write!(
                out,
                "<span>{name}</span><svg role=\"img\" aria-label=\"differences of {name}\">\
                 <line class=\"base\" x1=\"0%\" x2=\"100%\" y1=\"50%\" y2=\"50%\"/>"
            )?;
            for example in &tally.examples {
                let at = span.percent(example.time_ms);
                write!(
                    out,
                    "<line class=\"mark\" x1=\"{at}%\" x2=\"{at}%\" y1=\"0%\" y2=\"100%\">\
                     <title>{}</title></line>",
                    Escaped(&example.text())
                )?;
            }
            out.push_str("</svg>\n");
        }
        let more = differing().count().saturating_sub(METRICS_MAX);
        let more = match more {
            0 => String::new(),
            more => format!("; {} not drawn", counted(more as u64, "metric", "metrics")),
        };
        write!(
            out,
            "<span></span><p class=\"axis\"><time>{}</time><time>{}</time></p>\n</div>\n\
             <p class=\"note\">Marks are the examples below, the first ones of each metric{more}.\
             </p>\n",
            rfc3339_ms(span.begin_ms),
            rfc3339_ms(span.end_ms)
        )
    }
}

/// What the timeline shows, as shares of its width.
struct Span {
    begin_ms: i64,
    end_ms: i64,
}

impl Span {
    /// Where a time is, 0 to 100.
    fn percent(&self, at_ms: i64) -> f64 {
        let share = (at_ms - self.begin_ms) as f64 / (self.end_ms - self.begin_ms) as f64;
        (share.clamp(0.0, 1.0) * 10_000.0).round() / 100.0
    }

    /// A bar that can be seen, however short; none that ends before it begins.
    fn write_bar(
        &self,
        out: &mut String,
        class: &str,
        from_ms: i64,
        to_ms: i64,
        title: &str,
    ) -> fmt::Result {
        const PERCENT_MIN: f64 = 0.3;
        if to_ms < from_ms {
            return Ok(());
        }
        let (from, to) = (self.percent(from_ms), self.percent(to_ms));
        let from = from.min(100.0 - PERCENT_MIN);
        write!(
            out,
            "<rect class=\"{class}\" x=\"{from}%\" width=\"{:.2}%\" y=\"0%\" height=\"100%\">\
             <title>{}</title></rect>",
            (to - from).max(PERCENT_MIN),
            Escaped(title)
        )
    }
}
