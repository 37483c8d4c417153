//! Neighbouring entities of a snapshot, kept and shared together.

/// Entities of a chunk.
pub(super) const CHUNK_ENTITIES: usize = 64;
/// Bytes after the last text, so that a window of so many begins with every text.
pub(super) const PAD: usize = 16;

/// Up to [`CHUNK_ENTITIES`] entities at a tick. Of those that do not exist births, hashes and
/// codes are 0 and texts empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    exists: u64,
    latest_birth: u64,
    births: Box<[u64]>,
    hashes: Box<[u64]>,
    /// Entity by entity.
    codes: Box<[u32]>,
    /// The ends of the texts in `bytes`, entity by entity.
    ends: Box<[u32]>,
    bytes: Box<[u8]>,
}

impl Chunk {
    pub(super) fn exists(&self, at: usize) -> bool {
        self.exists >> at & 1 == 1
    }

    /// Whether all of its entities exist.
    pub(super) fn is_full(&self) -> bool {
        self.exists.count_ones() as usize == self.births.len()
    }

    /// The latest birth of those that exist.
    pub(super) fn latest_birth(&self) -> u64 {
        self.latest_birth
    }

    /// How many entities it has.
    pub(super) fn len(&self) -> usize {
        self.births.len()
    }

    pub(super) fn birth(&self, at: usize) -> u64 {
        self.births[at]
    }

    pub(super) fn hash(&self, at: usize) -> u64 {
        self.hashes[at]
    }

    pub(super) fn code(&self, index: usize) -> u32 {
        self.codes[index]
    }

    /// A text, and the bytes that begin with it.
    #[inline]
    pub(super) fn text(&self, index: usize) -> (&[u8], Option<&[u8; PAD]>) {
        let start = if index == 0 {
            0
        } else {
            self.ends[index - 1] as usize
        };
        let text = &self.bytes[start..self.ends[index] as usize];
        (text, self.bytes[start..].first_chunk())
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + (self.births.len() + self.hashes.len()) * size_of::<u64>()
            + (self.codes.len() + self.ends.len()) * size_of::<u32>()
            + self.bytes.len()
    }
}

/// Collects the entities of a chunk, one after the other; reused for the next one.
#[derive(Debug, Default)]
pub(super) struct ChunkBuilder {
    len: usize,
    exists: u64,
    births: Vec<u64>,
    hashes: Vec<u64>,
    codes: Vec<u32>,
    ends: Vec<u32>,
    bytes: Vec<u8>,
}

impl ChunkBuilder {
    /// How many entities it has.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds an entity that exists; its codes and texts follow.
    pub(super) fn begin(&mut self, birth: u64, hash: u64) {
        self.exists |= 1 << self.len;
        self.len += 1;
        self.births.push(birth);
        self.hashes.push(hash);
    }

    pub(super) fn push_code(&mut self, code: u32) {
        self.codes.push(code);
    }

    /// # Panics
    /// When the texts of a chunk exceed 4 GiB.
    pub(super) fn push_text(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        let end = u32::try_from(self.bytes.len()).expect("texts of 64 entities are short");
        self.ends.push(end);
    }

    /// Adds one that does not exist, of so many codes and texts.
    pub(super) fn push_absent(&mut self, codes: usize, texts: usize) {
        self.len += 1;
        self.births.push(0);
        self.hashes.push(0);
        self.codes.resize(self.codes.len() + codes, 0);
        let end = self.bytes.len() as u32;
        self.ends.resize(self.ends.len() + texts, end);
    }

    /// Adds one as it is in another chunk.
    pub(super) fn push_same(&mut self, chunk: &Chunk, at: usize, codes: usize, texts: usize) {
        if !chunk.exists(at) {
            return self.push_absent(codes, texts);
        }
        self.begin(chunk.births[at], chunk.hashes[at]);
        self.codes
            .extend_from_slice(&chunk.codes[at * codes..][..codes]);
        for index in at * texts..(at + 1) * texts {
            self.push_text(chunk.text(index).0);
        }
    }

    /// The chunk of all that was added; begins again.
    pub(super) fn finish(&mut self) -> Chunk {
        self.bytes.resize(self.bytes.len() + PAD, 0);
        let chunk = Chunk {
            exists: self.exists,
            latest_birth: self.births.iter().copied().max().unwrap_or(0),
            births: self.births.as_slice().into(),
            hashes: self.hashes.as_slice().into(),
            codes: self.codes.as_slice().into(),
            ends: self.ends.as_slice().into(),
            bytes: self.bytes.as_slice().into(),
        };
        (self.len, self.exists) = (0, 0);
        self.births.clear();
        self.hashes.clear();
        self.codes.clear();
        self.ends.clear();
        self.bytes.clear();
        chunk
    }
}
