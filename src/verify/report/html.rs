//! The report as one page of HTML: no script, nothing from elsewhere, on a
//! screen, a phone and paper.
//!
//! Whatever comes from a backend or a configuration goes through [`Escaped`];
//! the page's own policy forbids scripts and loads besides. There is no link to
//! a backend's graphs: not every backend draws some, and those that do round the
//! time to seconds, at which a query of one millisecond shows nothing. The link
//! asks the query API instead, at the exact time.

mod escape;
mod timeline;

use std::fmt::{self, Write as _};

use super::columns::{COLUMNS, Cell, number};
use super::{Example, Gap, Report, Tally, rfc3339_ms};
use crate::http::percent_encode;
use crate::verify::backend::seconds;
use crate::verify::naming::labels_text;
use escape::Escaped;

const STYLE: &str = include_str!("html.css");

/// What is around the facts: the head of the page and its end.
pub(super) struct Page<'a> {
    pub(super) verdict: &'a str,
    pub(super) ok: bool,
    pub(super) backend: &'a str,
}

impl Page<'_> {
    /// Writes the page, whose verdict this sentence says more of.
    pub(super) fn write(
        &self,
        out: &mut String,
        sentence: &str,
        body: impl FnOnce(&mut String) -> fmt::Result,
    ) -> fmt::Result {
        let verdict = Escaped(self.verdict);
        write!(
            out,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" \
             content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>{verdict}: {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
             <header class=\"verdict {}\">\n<h1>{verdict}.</h1>\n<p>{sentence}</p>\n</header>\n\
             <main>\n",
            Escaped(self.backend),
            verdict_class(self.ok),
        )?;
        body(out)?;
        write!(
            out,
            "</main>\n<footer>mockingbird verify {}</footer>\n</body>\n</html>\n",
            env!("CARGO_PKG_VERSION")
        )
    }
}

impl Report {
    /// The page.
    pub fn html(&self) -> String {
        let mut out = String::new();
        // Writing to a String does not fail.
        let _ = self.write_page(&mut out);
        out
    }

    fn write_page(&self, out: &mut String) -> fmt::Result {
        let page = Page {
            verdict: self.verdict(),
            ok: self.ok,
            backend: &self.backend,
        };
        page.write(out, &self.sentence(), |out| self.write_body(out, ""))
    }

    /// Everything of a target that is one of several on a page; `ids` begin so.
    pub(super) fn write_section(&self, out: &mut String, ids: &str) -> fmt::Result {
        let class = verdict_class(self.ok);
        writeln!(
            out,
            "<section>\n<header class=\"verdict {class}\">\n<h2>{}: {}.</h2>\n<p>{}</p>\n</header>",
            Escaped(&labels_text(&self.target)),
            self.verdict(),
            self.sentence(),
        )?;
        self.write_body(out, ids)?;
        out.push_str("</section>\n");
        Ok(())
    }

    fn write_body(&self, out: &mut String, ids: &str) -> fmt::Result {
        self.write_facts(out)?;
        self.write_gaps(out)?;
        self.write_timeline(out)?;
        self.write_table(out, ids)?;
        self.write_examples(out, ids)?;
        self.write_allowances(out)
    }

    /// The verdict in words and numbers.
    fn sentence(&self) -> String {
        let sum = |of: fn(&Tally) -> u64| self.metrics.iter().map(of).sum::<u64>();
        let (totals, totals_wrong) = (sum(|t| t.totals), sum(|t| t.totals_wrong));
        let judged = self.metrics.len() as u64;
        if self.ok {
            let mut text = format!(
                "{} of {}, and {}: all are what the run gave.",
                counted(sum(|t| t.samples), "sample", "samples"),
                counted(judged, "metric", "metrics"),
                counted(totals, "count or sum", "counts and sums"),
            );
            if !self.gaps.is_empty() {
                text.push_str(" Gaps are only where the run made them.");
            }
            return text;
        }
        let mut text = String::new();
        let differing = self.metrics.iter().filter(|tally| !tally.is_ok()).count();
        if differing > 0 {
            let of = counted(judged, "metric", "metrics");
            let verb = if differing == 1 { "differs" } else { "differ" };
            let _ = write!(text, "{} of {of} {verb}. ", number(differing as u64));
        }
        // How many of each kind, where there are any.
        let kinds = COLUMNS.iter().filter_map(|column| {
            let differences = self.metrics.iter();
            let differences = differences.filter_map(|tally| column.cell.differences(tally));
            let count: u64 = differences.sum();
            (count > 0).then(|| (&column.cell, format!("{} {}", number(count), column.title)))
        });
        let is_fault = |cell: &Cell| matches!(cell, Cell::Fault(_));
        let faults = kinds.clone().filter(|(cell, _)| is_fault(cell));
        let faults: Vec<String> = faults.map(|(_, text)| text).collect();
        if !faults.is_empty() {
            let _ = write!(text, "Samples: {}. ", faults.join(", "));
        }
        if totals_wrong > 0 {
            let (wrong, all) = (number(totals_wrong), number(totals));
            let _ = write!(text, "Counts and sums: {wrong} of {all} differ. ");
        }
        for (_, other) in kinds.filter(|(cell, _)| matches!(cell, Cell::Other(_))) {
            let _ = write!(text, "{other}. ");
        }
        let gaps = self.gaps.iter().filter(|gap| gap.lost() > 0);
        let (gaps, scrapes) = gaps.fold((0, 0), |(n, sum), gap| (n + 1, sum + gap.lost()));
        if gaps > 0 {
            let what = self.scrapes_or_pushes();
            let about = if what == "scrapes" { "About " } else { "" };
            let gaps = counted(gaps, "gap", "gaps");
            let scrapes = number(scrapes);
            let _ = write!(text, "{about}{scrapes} {what} missing in {gaps}.");
        }
        text.trim_end().to_owned()
    }

    fn write_facts(&self, out: &mut String) -> fmt::Result {
        let labels = labels_text(&self.target);
        let range_s = (self.range_ms.1 - self.range_ms.0) as f64 / 1000.0;
        let cost = self.cost.map(|cost| {
            let text = format!(
                "{} of {} computed in {:.2} s; {} answered in {:.2} s",
                counted(cost.ticks_replayed, "tick", "ticks"),
                counted(cost.series_replayed as u64, "series", "series"),
                cost.compute_s,
                counted(cost.requests, "request", "requests"),
                cost.query_s,
            );
            ("cost", text)
        });
        let facts = [
            ("backend", Escaped(&self.backend).to_string()),
            ("target", Escaped(&labels).to_string()),
            ("via", Escaped(self.via).to_string()),
            (
                "range",
                format!(
                    "<time>{}</time> to <time>{}</time> ({range_s} s)",
                    rfc3339_ms(self.range_ms.0),
                    rfc3339_ms(self.range_ms.1)
                ),
            ),
            (
                "ticks",
                format!("{} to {}", number(self.ticks.0), number(self.ticks.1)),
            ),
            (
                self.scrapes_or_pushes(),
                format!(
                    "{}, every {} s; counts and sums at {} of them",
                    number(self.scrapes as u64),
                    self.scrape_interval_s,
                    number(self.instants as u64),
                ),
            ),
        ];
        out.push_str("<dl class=\"facts\">\n");
        for (title, html) in facts.iter().chain(&cost) {
            writeln!(out, "<dt>{title}</dt><dd>{html}</dd>")?;
        }
        for warning in &self.warnings {
            writeln!(
                out,
                "<dt class=\"warning\">warning</dt><dd>{}</dd>",
                Escaped(warning)
            )?;
        }
        out.push_str("</dl>\n");
        Ok(())
    }

    fn write_gaps(&self, out: &mut String) -> fmt::Result {
        if self.gaps.is_empty() {
            return Ok(());
        }
        out.push_str("<h2>Gaps</h2>\n<ul class=\"gaps\">\n");
        for gap in &self.gaps {
            let class = gap_class(gap);
            writeln!(
                out,
                "<li class=\"{class}\">{}</li>",
                Escaped(&gap.text(self.scrapes_or_pushes()))
            )?;
        }
        out.push_str("</ul>\n");
        Ok(())
    }

    fn write_table(&self, out: &mut String, ids: &str) -> fmt::Result {
        out.push_str(
            "<h2>Metrics</h2>\n<div class=\"table\"><table>\n\
             <thead><tr><th scope=\"col\">metric</th>",
        );
        for column in &COLUMNS {
            let class = match column.cell {
                Cell::Text(_) => "",
                _ => " class=\"number\"",
            };
            write!(out, "<th scope=\"col\"{class}>{}</th>", column.title)?;
        }
        out.push_str("<th scope=\"col\">verdict</th></tr></thead>\n<tbody>\n");
        for (place, tally) in self.metrics.iter().enumerate() {
            let name = Escaped(&tally.metric);
            out.push_str("<tr><th scope=\"row\">");
            if tally.examples.is_empty() {
                write!(out, "{name}")?;
            } else {
                write!(out, "<a href=\"#{ids}metric-{place}\">{name}</a>")?;
            }
            out.push_str("</th>");
            for column in &COLUMNS {
                let cell = &column.cell;
                let class = match (cell, cell.differences(tally)) {
                    (Cell::Text(_), _) => "text",
                    (Cell::Number(_), _) | (Cell::Compared(_), Some(0)) => "number",
                    (_, Some(0) | None) => "number none",
                    _ => "number bad",
                };
                let text = cell.text(tally).unwrap_or_else(|| "–".to_owned());
                write!(
                    out,
                    "<td class=\"{class}\" data-title=\"{}\">{}</td>",
                    column.title,
                    Escaped(&text)
                )?;
            }
            let (class, verdict) = match (tally.is_ok(), tally.not_judged) {
                (false, _) => ("bad", "differs"),
                (true, None) => ("good", "ok"),
                (true, Some(_)) => ("none", "in part"),
            };
            writeln!(out, "<td class=\"verdict {class}\">{verdict}</td></tr>")?;
        }
        out.push_str("</tbody>\n</table></div>\n");
        Ok(())
    }

    fn write_examples(&self, out: &mut String, ids: &str) -> fmt::Result {
        let metrics = self.metrics.iter().enumerate();
        let mut metrics = metrics.filter(|(_, tally)| !tally.examples.is_empty());
        let Some(first) = metrics.next() else {
            return Ok(());
        };
        out.push_str("<h2>What differs</h2>\n");
        for (place, tally) in std::iter::once(first).chain(metrics) {
            let examples = counted(tally.examples.len() as u64, "example", "examples");
            write!(
                out,
                "<details open id=\"{ids}metric-{place}\">\n\
                 <summary>{} <small>{examples}</small></summary>\n<ol>\n",
                Escaped(&tally.metric),
            )?;
            for example in &tally.examples {
                self.write_example(out, example)?;
            }
            out.push_str("</ol>\n</details>\n");
        }
        Ok(())
    }

    fn write_example(&self, out: &mut String, example: &Example) -> fmt::Result {
        write!(
            out,
            "<li>\n<p><b class=\"kind\">{}</b> <code>{}</code></p>\n<dl>\n",
            example.what.text(),
            Escaped(&example.series)
        )?;
        let tick = example.tick.map(number);
        let time = Some(rfc3339_ms(example.time_ms));
        for (title, text) in [
            ("expected", &example.expected),
            ("found", &example.found),
            ("note", &example.note),
            ("tick", &tick),
            ("time", &time),
        ] {
            if let Some(text) = text {
                writeln!(out, "<div><dt>{title}</dt><dd>{}</dd></div>", Escaped(text))?;
            }
        }
        write!(
            out,
            "</dl>\n<p class=\"query\"><code>{}</code>",
            Escaped(&example.query)
        )?;
        let path = if example.query.starts_with('/') {
            example.query.clone()
        } else {
            let time = seconds(example.query_ms);
            write!(out, " <code>time={time}</code>")?;
            let query = percent_encode(&example.query);
            format!("/api/v1/query?query={query}&time={time}")
        };
        if self.backend.starts_with("http://") || self.backend.starts_with("https://") {
            let (backend, path) = (Escaped(&self.backend), Escaped(&path));
            write!(out, " <a href=\"{backend}{path}\">ask</a>")?;
        }
        out.push_str("</p>\n</li>\n");
        Ok(())
    }

    fn write_allowances(&self, out: &mut String) -> fmt::Result {
        for (title, used) in [("Allowed, and seen", true), ("Allowed, not seen", false)] {
            let mut allowances = self.allowances.iter().filter(|a| a.used == used).peekable();
            if allowances.peek().is_none() {
                continue;
            }
            write!(
                out,
                "<h2>{title}</h2>\n<ul{}>\n",
                if used { "" } else { " class=\"unused\"" }
            )?;
            for allowance in allowances {
                writeln!(out, "<li>{}</li>", Escaped(&allowance.what))?;
            }
            out.push_str("</ul>\n");
        }
        Ok(())
    }
}

/// A number with its noun.
fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

/// The class of what says whether all is as expected.
fn verdict_class(ok: bool) -> &'static str {
    if ok { "ok" } else { "differs" }
}

/// The class of a gap, by whether it is as expected.
fn gap_class(gap: &Gap) -> &'static str {
    match gap.lost() {
        0 => "expected",
        _ => "unexplained",
    }
}

#[cfg(test)]
mod tests {
    use super::escape::turns_direction;
    use super::*;
    use crate::verify::naming::{Added, Naming};
    use crate::verify::report::{Allowance, Cost, What};

    /// What must not reach the page as it is.
    const HOSTILE: &str = "</script></title></code><script>alert('x')</script><img src=\"x\" \
                           onerror=alert(1)>&lt;\u{0}\u{1b}[31m\r\n\u{202e}\u{2066}\u{85}\" '";

    fn report(text: &str) -> Report {
        let text = text.to_owned();
        let example = Example {
            what: What::Wrong,
            series: text.clone(),
            time_ms: 1500,
            tick: Some(1234),
            expected: Some(text.clone()),
            found: Some(text.clone()),
            note: Some(text.clone()),
            query: text.clone(),
            query_ms: 1500,
        };
        Report {
            backend: format!("http://{text}"),
            via: "prometheus",
            ok: false,
            target: [(text.clone(), text.clone())].into(),
            range_ms: (0, 10_000),
            ticks: (0, 12_345),
            scrapes: 11,
            instants: 2,
            scrape_interval_s: 1.0,
            gaps: vec![Gap {
                after_ms: 2000,
                before_ms: 5000,
                scrapes: 2,
                excused: 2,
                moved: false,
            }],
            metrics: vec![Tally {
                metric: text.clone(),
                kind: text.clone(),
                series: 1_000_000,
                totals: 10,
                totals_wrong: 3,
                samples: 7_654_321,
                wrong: 1,
                examples: vec![example],
                ..Tally::default()
            }],
            allowances: vec![Allowance {
                what: text.clone(),
                used: true,
            }],
            warnings: vec![text],
            cost: Some(Cost::default()),
            naming: Naming::PLAIN,
            added: Added::default(),
        }
    }

    #[test]
    fn hostile_texts_stay_texts() {
        let page = report(HOSTILE).html();
        let escaped = Escaped(HOSTILE).to_string();
        assert_eq!(
            escaped,
            "&lt;/script&gt;&lt;/title&gt;&lt;/code&gt;&lt;script&gt;alert(&#39;x&#39;)\
             &lt;/script&gt;&lt;img src=&quot;x&quot; onerror=alert(1)&gt;&amp;lt;\\u{0}\\u{1b}[31m\
             \\r\\n\\u{202e}\\u{2066}\\u{85}&quot; &#39;"
        );
        assert!(page.matches(&escaped).count() >= 12, "{page}");
        let unseen = |c: char| c != '\n' && c.is_control() || turns_direction(c);
        assert!(!page.contains(unseen));
        // Every tag of the page is one that it writes for harmless texts as well.
        let tags = |page: &str| {
            let tags = page.match_indices('<').map(|(at, _)| {
                let rest = &page[at + 1..];
                let end = rest.find(|c: char| c.is_whitespace() || c == '>');
                rest[..end.unwrap_or(rest.len())].to_owned()
            });
            tags.collect::<Vec<_>>()
        };
        assert_eq!(tags(&page), tags(&report("harmless").html()));
        // And so is every quote.
        let quotes = |page: &str| page.matches('"').count();
        assert_eq!(quotes(&page), quotes(&report("harmless").html()));
    }

    #[test]
    fn queries_can_be_asked_by_a_click_where_that_is_http() {
        let mut report = report("a\"<>&+ %/é");
        report.backend = "https://host/x".to_owned();
        let link = "<a href=\"https://host/x/api/v1/query?\
                    query=a%22%3C%3E%26%2B%20%25%2F%C3%A9&amp;time=1.500\">ask</a>";
        assert!(report.html().contains(link), "{}", report.html());
        report.backend = "javascript:alert(1)//".to_owned();
        assert!(!report.html().contains(">ask</a>"));
    }

    #[test]
    fn the_verdict_is_told_in_words() {
        let mut report = report("m");
        let sentence = "1 of 1 metric differs. Samples: 1 wrong. Counts and sums: 3 of 10 differ.";
        assert_eq!(report.sentence(), sentence);
        report.gaps[0].excused = 0;
        let gap = " About 2 scrapes missing in 1 gap.";
        assert_eq!(report.sentence(), format!("{sentence}{gap}"));
        let page = report.html();
        assert!(page.contains("<header class=\"verdict differs\">"));
        assert!(page.contains("<td class=\"number\" data-title=\"samples\">7,654,321</td>"));
        assert!(page.contains("<td class=\"number bad\" data-title=\"counts+sums\">7/10</td>"));
        assert!(page.contains("<td class=\"verdict bad\">differs</td>"));

        report.metrics[0].described = true;
        report.metrics[0].described_wrong = 1;
        let described = "differ. 1 described. About 2 scrapes";
        assert!(
            report.sentence().contains(described),
            "{}",
            report.sentence()
        );
        report.metrics[0].described = false;
        let page = report.html();
        assert!(page.contains("data-title=\"described\">–</td>"));
        report.via = "otlp";
        assert!(report.html().contains("<dt>pushes</dt>"));

        report.ok = true;
        report.gaps.clear();
        report.metrics[0].described_wrong = 0;
        report.metrics[0].examples.clear();
        (report.metrics[0].wrong, report.metrics[0].totals_wrong) = (0, 0);
        let sentence = "7,654,321 samples of 1 metric, and 10 counts and sums: all are what the \
                        run gave.";
        assert_eq!(report.sentence(), sentence);
        let page = report.html();
        assert!(page.contains("<header class=\"verdict ok\">"));
        assert!(
            !page.contains("<svg") && !page.contains("<details"),
            "{page}"
        );
    }

    #[test]
    fn the_timeline_is_cut_where_scrapes_are_missing() {
        let mut report = report("m");
        report.gaps.push(Gap::new(10_000, 20_000, 10));
        let page = report.html();
        for bar in [
            "<rect class=\"scraped\" x=\"0%\" width=\"10.00%\"",
            "<rect class=\"scraped\" x=\"25%\" width=\"25.00%\"",
            "<rect class=\"gap expected\" x=\"10%\" width=\"15.00%\"",
            "<rect class=\"gap unexplained\" x=\"50%\" width=\"50.00%\"",
            "<line class=\"mark\" x1=\"7.5%\" x2=\"7.5%\"",
        ] {
            assert!(page.contains(bar), "{bar}: {page}");
        }
        assert_eq!(page.matches("<rect").count(), 4);

        // A single scrape has no length, and draws nothing.
        report.range_ms = (5000, 5000);
        report.gaps.clear();
        assert!(!report.html().contains("<svg"));
    }
}
