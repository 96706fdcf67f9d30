//! One page of a longer list.

/// One page of a list, newest first, and where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Pass this back as `before` to get the next page; `None` at the end of the list.
    pub next: Option<u64>,
}
