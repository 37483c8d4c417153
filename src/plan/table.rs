//! A plan as text for people.

use std::fmt::Write as _;

use super::{BackendSeries, Churn, Memory, Plan};
use crate::readable::{grouped, human_bytes, write_aligned};

impl Plan {
    /// A table for people.
    pub fn table(&self) -> String {
        let mut rows: Vec<Vec<String>> = vec![vec![
            "metric".into(),
            "type".into(),
            "series".into(),
            "samples (text)".into(),
            "samples (OpenMetrics)".into(),
        ]];
        for metric in &self.metrics {
            rows.push(vec![
                metric.name.clone(),
                metric.r#type.into(),
                grouped(metric.series as u128),
                grouped(metric.samples_text as u128),
                grouped(metric.samples_openmetrics as u128),
            ]);
        }
        let total = &self.total;
        rows.push(vec![
            "total".into(),
            String::new(),
            grouped(total.series as u128),
            grouped(total.samples_text as u128),
            grouped(total.samples_openmetrics as u128),
        ]);
        let mut table = format!("{}\n\n", self.file);
        write_aligned(&mut table, "", &rows, |column| column < 2, &str::to_owned);
        let targets = self.targets.as_ref();
        let targets = targets.map(|one| format!("targets                {}\n", one.text()));
        let targets = targets.unwrap_or_default();
        let _ = write!(
            table,
            "\n\
             series in a backend    {}\n\
             samples per second     {}\n\
             scrape, text           {} plain, {} gzip\n\
             scrape, OpenMetrics    {} plain, {} gzip\n\
             tick                   {:.1} ms of {} s{}\n\
             generator memory       {}\n\
             {targets}\n\
             A series is a set of labels; of a histogram a backend counts every bucket, the sum and\n\
             the count, and _created where a scrape has it. Bytes are those of tick {};\n\
             self-metrics are left out.\n",
            total.backend_series.text(),
            grouped(total.samples_per_second.round() as u128),
            human_bytes(total.bytes_text.into()),
            human_bytes(total.bytes_text_gzip.into()),
            human_bytes(total.bytes_openmetrics.into()),
            human_bytes(total.bytes_openmetrics_gzip.into()),
            self.tick_seconds * 1e3,
            self.tick_interval_s,
            if self.tick_seconds > self.tick_interval_s {
                ": this machine is too slow for it"
            } else {
                ""
            },
            total.memory.text(),
            self.measured_at_tick,
        );
        self.write_churn(&mut table);
        if self.leaves_orders_out {
            table.push_str(
                "The figures of a day leave out churn and sizes that are ordered for label values: \
                 there are many.\n",
            );
        }
        for warning in &self.warnings {
            let _ = writeln!(table, "{warning}");
        }
        for push in &self.pushes {
            let instance = push.instance.as_deref();
            let _ = writeln!(
                table,
                "{} pushes to {} every {} s, {}: {} points, about {} before compression",
                push.exporter,
                push.url,
                push.interval_s,
                match instance {
                    Some(name) => format!("instance {name}"),
                    None => "without an instance (two processes would push the same series)".into(),
                },
                grouped(push.points.into()),
                human_bytes(push.bytes.into()),
            );
        }
        table
    }

    /// Appends what becomes of series, where any come or go.
    fn write_churn(&self, table: &mut String) {
        if self.profiles.is_empty() {
            return;
        }
        let heads = [
            "within a day",
            "at first",
            "at most",
            "new per hour",
            "new per day",
            "new a day / active",
            "different in 2 h",
            "in a day",
        ];
        let row = |name: String, churn: &Churn| {
            let about = if churn.is_exact { "" } else { "about " };
            vec![
                name,
                format!("{about}{}", grouped(churn.series_at_start.into())),
                grouped(churn.series_at_peak.into()),
                grouped(churn.new_per_hour.round() as u128),
                grouped(churn.new_per_day.into()),
                format!("{:.1} %", churn.churn_rate * 100.0),
                grouped(churn.distinct_2h.into()),
                grouped(churn.distinct_day.into()),
            ]
        };
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        for metric in &self.metrics {
            rows.push(row(metric.name.clone(), &metric.churn));
        }
        for profile in &self.profiles {
            rows.push(row(format!("profile {}", profile.name), &profile.series));
        }
        rows.push(row("total".to_owned(), &self.total.churn));
        table.push('\n');
        write_aligned(table, "", &rows, |column| column < 1, &str::to_owned);
        table.push('\n');
        for profile in &self.profiles {
            for law in profile.laws() {
                let _ = writeln!(table, "profile {}: {law}", profile.name);
            }
        }
        let _ = writeln!(
            table,
            "By tick {}, {} series have begun, those of the first tick included, and {} have ended.\n\
             New are those that never were there before; memory is that at the most.",
            self.measured_at_tick,
            grouped(self.total.turnover.series_born.into()),
            grouped(self.total.turnover.series_ended.into()),
        );
    }
}

impl Memory {
    /// For people: the sum, what it consists of, and what may come to it.
    fn text(&self) -> String {
        let parts = self.parts().into_iter().filter(|(_, bytes)| *bytes > 0);
        let parts = parts.map(|(name, bytes)| format!("{name} {}", human_bytes(bytes)));
        let mut text = format!(
            "about {} ({})",
            human_bytes(self.bytes()),
            parts.collect::<Vec<_>>().join(", ")
        );
        if self.slow_receivers_bytes > 0 {
            let _ = write!(
                text,
                ",\n                       up to {} more while receivers are slow",
                human_bytes(self.slow_receivers_bytes)
            );
        }
        text
    }
}

impl BackendSeries {
    /// For people: the ways that differ.
    pub fn text(&self) -> String {
        let mut text = grouped(self.text as u128);
        if self.openmetrics != self.text {
            let _ = write!(
                text,
                " from text, {} from OpenMetrics",
                grouped(self.openmetrics as u128)
            );
        }
        if let Some(otlp) = self.otlp.filter(|otlp| *otlp != self.text) {
            let _ = write!(text, "; {} from OTLP", grouped(otlp as u128));
        }
        text
    }
}
