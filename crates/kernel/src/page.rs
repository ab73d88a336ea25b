//! Paging of lists: keyset paging on a sort key with the id as tie-breaker.

/// Direction of a sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortDir {
    #[default]
    Asc,
    Desc,
}

impl SortDir {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asc => "asc",
            Self::Desc => "desc",
        }
    }
}

/// The requested part of a list. `sort_key` has been checked against the
/// columns of the list.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// At most so many items; `None`: all.
    pub limit: Option<u32>,
    /// Id of the last item seen.
    pub marker: Option<String>,
    pub sort_key: Option<String>,
    pub sort_dir: SortDir,
}
