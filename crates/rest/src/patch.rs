//! The mechanics of JSON Patch (RFC 6902); each service puts its own rules on
//! top before it calls [`apply`].

use json_patch::{Patch, PatchOperation};
use kernel::{Error, Result};
use serde_json::Value;

/// Applies a list of operations; on an error the document is unchanged.
///
/// # Errors
/// `Invalid` on field `patch` with what the engine says.
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
