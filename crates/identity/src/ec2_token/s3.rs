//! Signatures of requests to S3, of which the service sends the text that was signed.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::request::Signed;
use super::signature::{is_same, sha1_of, version_4_of};

const ENCODING: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The services whose signatures are accepted.
const SERVICES: [&str; 3] = ["s3", "iam", "sts"];

/// Whether the signed text of a request is signed with this secret.
pub(crate) fn is_valid(secret: &str, request: &Signed) -> bool {
    let Ok(text) = ENCODING.decode(&request.token) else {
        return false;
    };
    let made = match text.starts_with(b"AWS4") {
        true => version_4(secret, &text),
        false => Some(sha1_of(secret, &text)),
    };
    made.is_some_and(|made| is_same(&made, &request.signature))
}

fn version_4(secret: &str, text: &[u8]) -> Option<String> {
    let lines = std::str::from_utf8(text).ok()?;
    let lines: Vec<&str> = lines.split('\n').collect();
    let &["AWS4-HMAC-SHA256", _, scope, _] = lines.as_slice() else {
        return None;
    };
    let scope: Vec<&str> = scope.split('/').collect();
    match *scope.as_slice() {
        [date, region, service, "aws4_request"] if SERVICES.contains(&service) => {
            Some(version_4_of(secret, [date, region, service], text))
        }
        _ => None,
    }
}
