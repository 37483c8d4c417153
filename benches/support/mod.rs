//! What the benchmarks share: options, labels, interleaved timing, tables.
//!
//! Absolute times vary from machine to machine and from minute to minute. So
//! contenders take turns, round after round, medians are compared, and each
//! result is printed beside a reference of the same run.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::trivially_copy_pass_by_ref
)]

use std::time::{Duration, Instant};

use mockingbird::config::{Label, LabelValues, RangeFormat};

/// What the command line asks for. Unknown arguments, such as cargo's own
/// `--bench`, are ignored.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Only show that everything runs: tiny sizes, one short round.
    pub smoke: bool,
    /// Ten million series, too.
    pub huge: bool,
}

impl Options {
    pub fn from_args() -> Self {
        let given = |name: &str| std::env::args().skip(1).any(|arg| arg == name);
        Self {
            smoke: given("--smoke"),
            huge: given("--huge"),
        }
    }

    /// Numbers of series to measure.
    pub fn sizes(self) -> Vec<usize> {
        if self.smoke {
            return vec![100, 1000];
        }
        let mut sizes = vec![100, 10_000, 100_000, 1_000_000];
        if self.huge {
            sizes.push(10_000_000);
        }
        sizes
    }

    fn rounds(self) -> usize {
        if self.smoke { 1 } else { 9 }
    }

    /// A turn repeats its work until it took this long.
    fn turn(self) -> Duration {
        Duration::from_millis(if self.smoke { 1 } else { 20 })
    }
}

/// Lets contenders take turns, and returns the median time of one call of
/// each, in nanoseconds.
pub fn race(options: Options, contenders: &mut [&mut dyn FnMut()]) -> Vec<f64> {
    let repeats: Vec<u32> = contenders
        .iter_mut()
        .map(|run| {
            run();
            let start = Instant::now();
            run();
            let once = start.elapsed().max(Duration::from_nanos(20));
            (options.turn().as_nanos() / once.as_nanos() + 1) as u32
        })
        .collect();
    let mut times = vec![Vec::new(); contenders.len()];
    for _ in 0..options.rounds() {
        for (index, run) in contenders.iter_mut().enumerate() {
            let start = Instant::now();
            for _ in 0..repeats[index] {
                run();
            }
            let elapsed = start.elapsed().as_nanos() as f64;
            times[index].push(elapsed / f64::from(repeats[index]));
        }
    }
    times.into_iter().map(median).collect()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// A table in Markdown, its columns aligned, first column to the left.
#[derive(Debug)]
pub struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: &str, columns: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            rows: vec![columns.iter().map(ToString::to_string).collect()],
        }
    }

    pub fn row(&mut self, cells: &[String]) {
        assert_eq!(cells.len(), self.rows[0].len());
        self.rows.push(cells.to_vec());
    }

    pub fn print(&self) {
        let widths: Vec<usize> = (0..self.rows[0].len())
            .map(|column| {
                let cells = self.rows.iter().map(|row| row[column].chars().count());
                cells.max().unwrap_or(0)
            })
            .collect();
        println!("\n{}\n", self.title);
        for (index, row) in self.rows.iter().enumerate() {
            print_row(row, &widths);
            if index == 0 {
                let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
                print_row(&rule, &widths);
            }
        }
    }
}

fn print_row(cells: &[String], widths: &[usize]) {
    for (index, (cell, &width)) in cells.iter().zip(widths).enumerate() {
        if index == 0 {
            print!("| {cell:<width$} |");
        } else {
            print!(" {cell:>width$} |");
        }
    }
    println!();
}

/// A count with thousands separated.
pub fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A measurement with one decimal.
pub fn ns(value: f64) -> String {
    format!("{value:.1}")
}

/// A ratio with two decimals.
pub fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

/// A label with these values.
pub fn list(name: &str, values: &[&str]) -> Label {
    Label::new(
        name,
        LabelValues::List(values.iter().map(ToString::to_string).collect()),
        false,
    )
}

/// A label with so many values of ten characters or more.
pub fn users(count: usize) -> Label {
    Label::new(
        "user_id",
        LabelValues::Range {
            first: 1,
            last: count as i64,
            format: RangeFormat {
                before: "user_".to_owned(),
                after: String::new(),
                width: 5,
                zero_fill: true,
                hexadecimal: false,
            },
        },
        false,
    )
}
