//! The mechanics of JSON Patch (RFC 6902); each service applies its own rules
//! before it calls [`apply`].

use json_patch::{Patch, PatchOperation};
use kernel::{Error, Result};
use serde_json::Value;

/// Applies a list of operations; the document is unchanged after an error.
///
/// # Errors
/// `Invalid` on field `patch` with the message of the library.
pub fn apply(document: &mut Value, operations: &Value) -> Result<()> {
    let refuse = |reason: String| {
        Error::invalid(
            "patch",
            format!("Couldn't apply patch '{operations}'. Reason: {reason}"),
        )
    };
    let list: Vec<PatchOperation> =
        serde_json::from_value(operations.clone()).map_err(|e| refuse(e.to_string()))?;
    json_patch::patch(document, &Patch(list)).map_err(|e| refuse(e.to_string()))
}
