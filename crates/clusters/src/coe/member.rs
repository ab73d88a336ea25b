//! A member of a cluster as its masters report it.

#[derive(Debug, Clone, Default)]
pub(crate) struct Member {
    pub(crate) hostname: String,
    pub(crate) state: String,
}
