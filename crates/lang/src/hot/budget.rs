//! The budget of an evaluation, because a small template of a tenant can produce a
//! large output.

use std::cell::Cell;

use serde_json::Value;

/// Maximum output of one evaluation, bytes; each value counts as at least 16.
pub const MAX_OUTPUT: usize = 8 * 1024 * 1024;

/// The number of bytes that one evaluation has produced.
#[derive(Default)]
pub(super) struct Budget(Cell<usize>);

impl Budget {
    /// # Errors
    /// Fails if the evaluation has produced too much output.
    pub(super) fn spend(&self, bytes: usize) -> Result<(), String> {
        let spent = self.0.get().saturating_add(bytes);
        self.0.set(spent);
        if spent > MAX_OUTPUT {
            return Err(format!(
                "The value would take more than {MAX_OUTPUT} bytes."
            ));
        }
        Ok(())
    }

    /// The number of bytes that the evaluation may still produce.
    pub(super) fn left(&self) -> usize {
        MAX_OUTPUT.saturating_sub(self.0.get())
    }
}

/// The cost of a value in the budget.
pub(super) fn size(value: &Value) -> usize {
    16 + match value {
        Value::String(s) => s.len(),
        Value::Array(a) => a.iter().map(size).sum(),
        Value::Object(o) => o.iter().map(|(k, v)| k.len() + size(v)).sum(),
        _ => 0,
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn cost(value: &Value) -> usize {
    size(value)
}
