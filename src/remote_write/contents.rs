//! What a request holds, by kind.

/// How many things of each kind a request holds, or a receiver has written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contents {
    /// Samples that are numbers; staleness markers as well.
    pub samples: u64,
    /// Native histograms.
    pub histograms: u64,
    /// Exemplars, which are no points: they stand beside them.
    pub exemplars: u64,
}

impl Contents {
    /// So many samples and nothing else.
    pub fn of_samples(samples: u64) -> Self {
        Self {
            samples,
            ..Self::default()
        }
    }

    /// Data points: samples and histograms.
    pub fn points(self) -> u64 {
        self.samples + self.histograms
    }

    /// What there is of each kind beyond `other`.
    #[must_use]
    pub fn beyond(self, other: Self) -> Self {
        Self {
            samples: self.samples.saturating_sub(other.samples),
            histograms: self.histograms.saturating_sub(other.histograms),
            exemplars: self.exemplars.saturating_sub(other.exemplars),
        }
    }

    /// The kinds by name, in the order in which they are shown.
    pub fn by_kind(self) -> [(&'static str, u64); 3] {
        [
            ("samples", self.samples),
            ("histograms", self.histograms),
            ("exemplars", self.exemplars),
        ]
    }
}

impl std::ops::AddAssign for Contents {
    fn add_assign(&mut self, other: Self) {
        self.samples += other.samples;
        self.histograms += other.histograms;
        self.exemplars += other.exemplars;
    }
}
