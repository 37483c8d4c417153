//! Why a request isn't served, as the client gets to know it.

/// The status and one line for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status, 400 or above.
    pub status: u16,
    /// What is wrong, in words for whoever wrote the client.
    pub reason: &'static str,
}

/// A body beyond the limit, whether its length was announced or arrives in chunks.
pub(super) const BODY_TOO_LARGE: Refusal = Refusal {
    status: 413,
    reason: "body is too large",
};

/// A malformed or ambiguous request.
pub(super) const fn bad(reason: &'static str) -> Refusal {
    Refusal {
        status: 400,
        reason,
    }
}
