//! Signatures of requests to S3, of which the service sends the text that was signed.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::request::Signed;
use super::signature::{self, is_same, sha1_of, version_4_of};

const ENCODING: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The services whose signatures are accepted.
const SERVICES: [&str; 3] = ["s3", "iam", "sts"];

/// Whether the signed text of a request is signed with this secret.
pub(crate) fn is_valid(secret: &str, request: &Signed) -> bool {
    let Some(text) = signed_text(request) else {
        return false;
    };
    let made = match is_version_4(&text) {
        true => version_4(secret, &text),
        false => Some(sha1_of(secret, &text)),
    };
    made.is_some_and(|made| is_same(&made, &request.signature))
}

/// The date of a valid request. In version 4 it is the one in the signed text: the
/// parameters and headers beside the text are not signed.
pub(super) fn date(request: &Signed) -> Option<String> {
    let text = signed_text(request)?;
    match is_version_4(&text) {
        true => lines(&text).map(|[_, date, _, _]| date.to_owned()),
        false => signature::date(request),
    }
}

fn signed_text(request: &Signed) -> Option<Vec<u8>> {
    ENCODING.decode(&request.token).ok()
}

fn is_version_4(text: &[u8]) -> bool {
    text.starts_with(b"AWS4")
}

/// The lines of a text of version 4: the algorithm, the date, the scope and the hash of
/// the request.
fn lines(text: &[u8]) -> Option<[&str; 4]> {
    let text = std::str::from_utf8(text).ok()?;
    let lines: Vec<&str> = text.split('\n').collect();
    lines.try_into().ok()
}

fn version_4(secret: &str, text: &[u8]) -> Option<String> {
    let ["AWS4-HMAC-SHA256", _, scope, _] = lines(text)? else {
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
