//! The exposition layer: a frame as Prometheus text, `OpenMetrics` or Prometheus protobuf.
//!
//! A body is the concatenation of chunks of bounded size, and any chunk can be
//! written without the others. So a body of a gigabyte needs a few megabytes,
//! and chunks are written and compressed on several threads ([`pool`]). How a
//! body is cut into chunks depends on the catalog alone, never on the number
//! of threads.
//!
//! Nothing here does I/O or reads a clock; who sends the bytes passes a sink.
//!
//! | file | what it does |
//! |---|---|
//! | [`negotiate`] | chooses format and encoding by what a scraper accepts |
//! | `plan` | cuts a body into chunks |
//! | `text` | writes a family's lines: `head`, `number` and `ends` are their parts |
//! | `protobuf` | writes a family's message |
//! | `page` | writes the lines of one target: labels from a `stencil`, distant values `gathered` |
//! | `exemplars` | writes them behind lines |
//! | `places` | finds the rows of a target in their blocks |
//! | `escape` | escapes label values, once at the start, and puts names in quotes |
//! | `room` | appends to a vector without a call for each piece |
//! | `lines` | tells the compressor where lines begin |
//! | `deflate`, [`gzip`] | compress chunks |
//! | [`pool`] | does all this on several threads |
//! | `pages` | lends what pages are written with |
//! | `size` | says beforehand what that takes of memory |
//! | `history` | writes many ticks, series after series, for backfill |

mod deflate;
mod ends;
mod escape;
mod exemplars;
mod gathered;
pub mod gzip;
mod head;
mod history;
mod lines;
pub mod negotiate;
mod number;
mod page;
mod pages;
mod places;
mod plan;
mod points;
pub mod pool;
mod protobuf;
mod room;
mod size;
mod stencil;
#[cfg(test)]
mod tests;
mod text;
#[cfg(test)]
mod twin;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::config::{HistogramForm, Prometheus};
use crate::engine::Frame;
use crate::escaping::Escaping;
use crate::model::space::Space;
use crate::model::{Catalog, Family};
use ends::LineEnds;
use escape::SpaceText;
pub use history::{History, Stretch, Times};
pub use lines::{Lines, Repeats};
use lines::{Mark, Unmarked};
pub use negotiate::{Encoding, Format};
pub(crate) use number::label_number;
pub(crate) use page::ID_LABEL;
#[cfg(test)]
pub(crate) use page::OWN as OWN_ON_PAGES;
pub use page::{Page, PageScratch};
use plan::Plan;
pub use pool::{PageBytes, RenderPool, StreamStats};
use protobuf::{FamilyProto, Pairs};
pub use size::BodySize;
use text::FamilyText;

/// Writes frames of one catalog; immutable, shared by all threads.
#[derive(Debug)]
pub struct Renderer {
    catalog: Arc<Catalog>,
    timestamps: bool,
    /// Those that are written, by index in the catalog, in its order.
    selected: Vec<usize>,
    texts: FamilyTexts,
    plan: Plan,
    prefix: String,
    /// The form of histograms, where the format has several, that do not say it themselves.
    histograms: HistogramForm,
    /// By escaping scheme, what writes the same with names escaped: made when somebody asks for
    /// it first. `None` where the scheme changes no name.
    escaped: [OnceLock<Option<Arc<Self>>>; Escaping::ALL.len()],
}

/// The texts of neighbouring families; shared with renderers of some of them.
#[derive(Debug, Clone)]
struct FamilyTexts {
    /// Index in the catalog of the first one.
    first: usize,
    all: Arc<Vec<FamilyText>>,
    protobuf: Arc<Vec<FamilyProto>>,
}

impl FamilyTexts {
    /// Those of neighbouring families, the first of which has this index, with a prefix and
    /// their names escaped by a scheme; `space_text` makes that of the space of a family, by its
    /// place among them and the number of the space.
    fn new(
        (families, first): (&[Family], usize),
        (prefix, escaping, histograms): (&str, Escaping, HistogramForm),
        space_text: impl Fn(usize, usize) -> SpaceText,
    ) -> Self {
        // Families with one space share its text.
        let mut spaces: HashMap<*const Space, (Arc<SpaceText>, Arc<Pairs>)> = HashMap::new();
        let texts = families.iter().enumerate().map(|(place, family)| {
            let number = spaces.len();
            let (labels, pairs) = spaces.entry(Arc::as_ptr(&family.space)).or_insert_with(|| {
                let pairs = Pairs::new(&family.space, number, escaping);
                (Arc::new(space_text(place, number)), Arc::new(pairs))
            });
            let text = FamilyText::new(family, prefix, Arc::clone(labels), escaping);
            let pairs = (Arc::clone(pairs), escaping);
            let message = FamilyProto::new(family, (prefix, histograms), pairs, text.alike_lines());
            (text, message)
        });
        let (all, protobuf): (Vec<FamilyText>, Vec<FamilyProto>) = texts.unzip();
        Self {
            first,
            all: Arc::new(all),
            protobuf: Arc::new(protobuf),
        }
    }

    /// That of a family, by its index in the catalog.
    fn of(&self, family: usize) -> &FamilyText {
        &self.all[family - self.first]
    }

    /// How many samples a series of a family has in a format.
    fn samples_per_series(&self, family: usize, format: Format) -> usize {
        let classic = self.of(family).samples_per_series(format);
        match format {
            Format::Protobuf => self.protobuf_of(family).samples_per_series(classic),
            _ => classic,
        }
    }

    /// Its message.
    fn protobuf_of(&self, family: usize) -> &FamilyProto {
        &self.protobuf[family - self.first]
    }
}

impl Renderer {
    /// A renderer of all families of `catalog` as `exporters.prometheus` asks.
    pub fn of_page(catalog: Arc<Catalog>, page: &Prometheus) -> Self {
        let all = 0..catalog.families().len();
        let (prefix, histograms) = (&page.prefix, page.histograms);
        let all = Self::build(catalog, (prefix, histograms), page.timestamps, all);
        all.with_created(page.created)
    }

    /// A renderer of all families of `catalog`, their names preceded by
    /// `prefix`; with `timestamps` every sample carries its tick's time.
    pub fn new(catalog: Arc<Catalog>, prefix: &str, timestamps: bool) -> Self {
        let all = 0..catalog.families().len();
        Self::of_families(catalog, prefix, timestamps, all)
    }

    /// A renderer of some neighbouring families, by index; its body is complete
    /// in itself.
    pub fn of_families(
        catalog: Arc<Catalog>,
        prefix: &str,
        timestamps: bool,
        selected: Range<usize>,
    ) -> Self {
        let named = (prefix, HistogramForm::Classic);
        Self::build(catalog, named, timestamps, selected)
    }

    fn build(
        catalog: Arc<Catalog>,
        (prefix, histograms): (&str, HistogramForm),
        timestamps: bool,
        selected: Range<usize>,
    ) -> Self {
        let families = &catalog.families()[selected.clone()];
        let texts = FamilyTexts::new(
            (families, selected.start),
            (prefix, Escaping::AllowUtf8, histograms),
            |place, number| SpaceText::new(&families[place].space, number),
        );
        let selected = selected.collect();
        Self::of_texts(catalog, timestamps, selected, texts, (prefix, histograms))
    }

    fn of_texts(
        catalog: Arc<Catalog>,
        timestamps: bool,
        selected: Vec<usize>,
        texts: FamilyTexts,
        (prefix, histograms): (&str, HistogramForm),
    ) -> Self {
        Self {
            plan: Plan::new(&catalog, &selected, &texts),
            catalog,
            timestamps,
            selected,
            texts,
            prefix: prefix.to_owned(),
            histograms,
            escaped: Default::default(),
        }
    }

    /// What writes the same with all names escaped by a scheme, or as they are
    /// ([`Escaping::AllowUtf8`]), as the renderer itself does.
    ///
    /// The first to ask for a scheme waits until its texts are made; they take what those of
    /// names take, and are kept as long as the renderer. Where a scheme changes no name there
    /// are none.
    #[must_use]
    pub fn with_escaping(self: &Arc<Self>, escaping: Escaping) -> Arc<Self> {
        if escaping == Escaping::AllowUtf8 {
            return Arc::clone(self);
        }
        let made = self.escaped[escaping as usize].get_or_init(|| {
            let families = self.selected.iter();
            let mut families = families.map(|&family| &self.catalog.families()[family]);
            let changes = families.any(|family| {
                let name = format!("{}{}", self.prefix, family.name);
                let metric_type = family.shape.metric_type();
                let labels = &mut family.space.dimensions().iter();
                escaping.stem(&name, metric_type) != name
                    || labels.any(|label| escaping.label(&label.name) != label.name)
            });
            changes.then(|| Arc::new(self.escaped(escaping)))
        });
        Arc::clone(made.as_ref().unwrap_or(self))
    }

    fn escaped(&self, escaping: Escaping) -> Self {
        let FamilyTexts { first, all, .. } = &self.texts;
        let families = &self.catalog.families()[*first..][..all.len()];
        // Values are escaped already.
        let space_text = |place: usize, _| all[place].labels().with_escaping(escaping);
        let mut texts = FamilyTexts::new(
            (families, *first),
            (&self.prefix, escaping, self.histograms),
            space_text,
        );
        for (escaped, text) in Arc::make_mut(&mut texts.all).iter_mut().zip(&**all) {
            escaped.set_created(text.created());
        }
        self.of(self.selected.clone(), texts)
    }

    /// Some families, with texts that may be others.
    fn of(&self, selected: Vec<usize>, texts: FamilyTexts) -> Self {
        let catalog = Arc::clone(&self.catalog);
        Self::of_texts(
            catalog,
            self.timestamps,
            selected,
            texts,
            (&self.prefix, self.histograms),
        )
    }

    /// A renderer of those families that have one of these names, as scrapes show
    /// them in their `TYPE` lines, escaped as the renderer escapes them or not at all; a
    /// counter's may end in `_total` or not, as the formats differ in it. Nothing but the plan
    /// is made anew, so that it costs what is selected.
    #[must_use]
    pub fn of_names(&self, names: &[&str]) -> Self {
        self.of_selected(|family| {
            let text = self.texts.of(family);
            names.iter().any(|&name| text.is_named(name))
        })
    }

    /// A renderer of those families whose base names are meant.
    #[must_use]
    pub fn narrowed(&self, is_meant: impl Fn(&str) -> bool) -> Self {
        self.of_selected(|family| is_meant(&self.catalog.families()[family].name))
    }

    /// A renderer of those families whose index in the catalog is not below `first`; costs
    /// what is selected, as [`Self::of_names`] does.
    #[must_use]
    pub fn of_last(&self, first: usize) -> Self {
        self.of_selected(|family| family >= first)
    }

    fn of_selected(&self, is_selected: impl Fn(usize) -> bool) -> Self {
        let all = self.selected.iter().copied();
        let selected = all.filter(|&family| is_selected(family)).collect();
        self.of(selected, self.texts.clone())
    }

    /// The same renderer, which writes `_created` lines where it is told to and
    /// the format has them.
    #[must_use]
    pub fn with_created(mut self, created: bool) -> Self {
        self.escaped = Default::default();
        for family in Arc::make_mut(&mut self.texts.all) {
            family.set_created(created);
        }
        self
    }

    /// The families it knows.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// How many chunks a body has, at least 1.
    pub fn chunk_count(&self) -> usize {
        self.plan.chunk_count()
    }

    /// Appends a chunk of the body. All chunks in order are the body.
    ///
    /// # Panics
    /// When `frame` is of another catalog or there is no such chunk.
    pub fn render_chunk(&self, frame: &Frame, format: Format, chunk: usize, out: &mut Vec<u8>) {
        self.render_marked(frame, format, chunk, out, &mut Unmarked);
    }

    /// As [`Self::render_chunk`], and appends to `lines` where the lines are in
    /// `out`, for [`gzip::Compressor`].
    ///
    /// # Panics
    /// As [`Self::render_chunk`] does.
    pub fn render_chunk_with_lines(
        &self,
        frame: &Frame,
        format: Format,
        chunk: usize,
        out: &mut Vec<u8>,
        lines: &mut Lines,
    ) {
        self.render_marked(frame, format, chunk, out, lines);
    }

    fn render_marked(
        &self,
        frame: &Frame,
        format: Format,
        chunk: usize,
        out: &mut Vec<u8>,
        marks: &mut impl Mark,
    ) {
        self.assert_catalog(frame);
        if format == Format::Protobuf {
            return self.render_protobuf(frame, chunk, out, marks);
        }
        let ends = LineEnds::new(format, frame.time_ns(), self.timestamps);
        for piece in self.plan.pieces(chunk) {
            let (family, points) = piece.points(frame);
            let family = self.texts.of(family);
            if points.first_series == 0 {
                family.write_header(out, format);
            }
            family.write_rows(out, &ends, &points, marks);
        }
        if format == Format::OpenMetrics && chunk + 1 == self.chunk_count() {
            out.extend_from_slice(b"# EOF\n");
        }
    }

    fn assert_catalog(&self, frame: &Frame) {
        assert!(
            Arc::ptr_eq(frame.catalog(), &self.catalog),
            "a renderer writes frames of its own catalog"
        );
    }

    /// Appends the whole body.
    pub fn render(&self, frame: &Frame, format: Format, out: &mut Vec<u8>) {
        for chunk in 0..self.chunk_count() {
            self.render_chunk(frame, format, chunk, out);
        }
    }

    /// Samples, that is lines with a value, in a body without gaps.
    pub fn samples(&self, format: Format) -> usize {
        let selected = self.selected.iter().map(|&family| {
            let rows = self.catalog.families()[family].series_count();
            rows * self.samples_per_series(family, format)
        });
        selected.sum()
    }

    /// Samples in the body of a frame, its gaps left out.
    pub fn frame_samples(&self, frame: &Frame, format: Format) -> usize {
        let selected = self.selected.iter();
        let blocks = selected.flat_map(|&family| self.catalog.family_blocks(family));
        let missing = blocks.map(|index| {
            let family = self.catalog.blocks()[index].family;
            frame.gaps(index).count() * self.texts.samples_per_series(family, format)
        });
        self.samples(format) - missing.sum::<usize>()
    }

    /// Samples of each series of a family, by its index in the catalog.
    pub fn samples_per_series(&self, family: usize, format: Format) -> usize {
        self.texts.samples_per_series(family, format)
    }
}
