//! The default objects of Kubernetes: roles, bindings, priorities. An API
//! server creates them one by one at its first start, and refuses most clients
//! until it has finished. The image contains them as written by the API server
//! of its release, and they are loaded into etcd before our API server starts.
//! As at every start, the API server then corrects differences, which exist if
//! feature gates change the set of objects.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use kernel::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::Api;

/// A file of the image with answers of etcd to `range`, one per line.
pub(super) const IMAGE_DEFAULTS: &str = "/usr/share/jeroboam/etcd/defaults.json";
/// Objects per transaction; etcd permits 128 operations.
const BATCH: usize = 100;

#[derive(Deserialize)]
struct Range {
    #[serde(default)]
    kvs: Vec<Pair>,
}

/// Key and value in base64, as in etcd's JSON gateway.
#[derive(Deserialize)]
struct Pair {
    key: String,
    value: String,
}

/// Writes the objects of the image into an unused etcd without changing
/// existing ones, and returns their number.
///
/// # Errors
/// Invalid: the file is damaged; Unavailable: etcd refused.
pub(super) async fn load_defaults(etcd: &Api, image_defaults: &Path) -> Result<usize> {
    let text = match fs::read_to_string(image_defaults) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(0),
        Err(e) => return Err(damaged(image_defaults, &e)),
    };
    let pairs = read(&text).map_err(|e| damaged(image_defaults, &e))?;
    for some in pairs.chunks(BATCH) {
        let answer = etcd.post("/v3/kv/txn", &transaction(some)).await?;
        if answer.status != 200 {
            return Err(Error::unavailable(format!("etcd: {}", answer.message())));
        }
    }
    Ok(pairs.len())
}

fn read(text: &str) -> serde_json::Result<Vec<Pair>> {
    let ranges = serde_json::Deserializer::from_str(text).into_iter::<Range>();
    let mut pairs = Vec::new();
    for range in ranges {
        pairs.extend(range?.kvs);
    }
    Ok(pairs)
}

/// A transaction that writes all these objects if none of them exists. Another
/// master may have written them first.
fn transaction(pairs: &[Pair]) -> Value {
    let compare: Vec<Value> = pairs
        .iter()
        .map(|p| json!({ "key": p.key, "target": "VERSION", "result": "EQUAL", "version": "0" }))
        .collect();
    let success: Vec<Value> = pairs
        .iter()
        .map(|p| json!({ "requestPut": { "key": p.key, "value": p.value } }))
        .collect();
    json!({ "compare": compare, "success": success })
}

fn damaged(path: &Path, e: &dyn std::fmt::Display) -> Error {
    Error::invalid("image", format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn existing_objects_are_not_overwritten() {
        let text = "{\"header\":{},\"kvs\":[{\"key\":\"YQ==\",\"create_revision\":\"4\",\"value\":\"MQ==\"}],\"count\":\"1\"}\n\
                    {\"header\":{}}\n{\"kvs\":[{\"key\":\"Yg==\",\"value\":\"Mg==\"}]}\n";
        let pairs = read(text).unwrap();
        let written = transaction(&pairs);
        let keys = |list: &str, at: &str| -> Vec<Value> {
            let all = written[list].as_array().unwrap();
            all.iter().map(|v| v.pointer(at).unwrap().clone()).collect()
        };
        assert_eq!(keys("success", "/requestPut/key"), ["YQ==", "Yg=="]);
        assert_eq!(keys("success", "/requestPut/value"), ["MQ==", "Mg=="]);
        // Each written key is compared first.
        assert_eq!(keys("compare", "/key"), ["YQ==", "Yg=="]);
        assert_eq!(keys("compare", "/version"), ["0", "0"]);
        assert!(read("{\"kvs\":").is_err());
    }
}
