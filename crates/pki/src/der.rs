//! Writes DER: only the forms needed for certificates. Reads what is copied
//! into them.

use kernel::Timestamp;

/// One element: tag, length in the shortest form, content.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(tag);
    let length = content.len();
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let skip = bytes.iter().take_while(|b| **b == 0).count();
        out.push(0x80 | (bytes.len() - skip) as u8);
        out.extend_from_slice(&bytes[skip..]);
    }
    out.extend_from_slice(content);
    out
}

pub(crate) fn seq(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub(crate) fn set(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x31, &parts.concat())
}

/// `encoded` is the content of an object identifier in base 128.
pub(crate) fn oid(encoded: &[u8]) -> Vec<u8> {
    tlv(0x06, encoded)
}

/// An unsigned integer from big-endian bytes.
pub(crate) fn uint(bytes: &[u8]) -> Vec<u8> {
    let skip = bytes.iter().take_while(|b| **b == 0).count();
    let digits = &bytes[skip..];
    let mut content = Vec::with_capacity(digits.len() + 1);
    if digits.first().is_none_or(|b| b & 0x80 != 0) {
        content.push(0);
    }
    content.extend_from_slice(digits);
    tlv(0x02, &content)
}

pub(crate) fn boolean(value: bool) -> Vec<u8> {
    tlv(0x01, &[if value { 0xff } else { 0 }])
}

pub(crate) fn octets(content: &[u8]) -> Vec<u8> {
    tlv(0x04, content)
}

/// A bit string of whole bytes.
pub(crate) fn bits(content: &[u8]) -> Vec<u8> {
    let mut inner = Vec::with_capacity(content.len() + 1);
    inner.push(0);
    inner.extend_from_slice(content);
    tlv(0x03, &inner)
}

/// A named bit list in one byte: bit 0 is the most significant one, and
/// trailing zeros are removed as required by DER.
pub(crate) fn named_bits(byte: u8) -> Vec<u8> {
    if byte == 0 {
        return tlv(0x03, &[0]);
    }
    tlv(0x03, &[byte.trailing_zeros() as u8, byte])
}

pub(crate) fn utf8(text: &str) -> Vec<u8> {
    tlv(0x0c, text.as_bytes())
}

/// A time: UTCTime until the end of 2049, GeneralizedTime later (RFC 5280
/// §4.1.2.5).
pub(crate) fn moment(at: Timestamp) -> Vec<u8> {
    let t = time::OffsetDateTime::from_unix_timestamp(at.as_seconds())
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let rest = format!(
        "{:02}{:02}{:02}{:02}{:02}Z",
        u8::from(t.month()),
        t.day(),
        t.hour(),
        t.minute(),
        t.second()
    );
    if t.year() < 2050 {
        tlv(0x17, format!("{:02}{rest}", t.year() % 100).as_bytes())
    } else {
        tlv(0x18, format!("{:04}{rest}", t.year()).as_bytes())
    }
}

/// The first element: tag, content, and what follows.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(first) {
        short if short < 0x80 => (short, rest),
        long => {
            let (digits, rest) = rest.split_at_checked(long - 0x80)?;
            // More digits would exceed every limit of a request.
            let length = (1..=3).contains(&digits.len()).then(|| {
                digits
                    .iter()
                    .fold(0_usize, |n, digit| n << 8 | usize::from(*digit))
            })?;
            (length, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Whether the bytes are a public key with its algorithm (RFC 5280 §4.1.2.7), and
/// nothing else: parsers skip what follows the key, which would be signed with it.
pub(crate) fn is_public_key(bytes: &[u8]) -> bool {
    let Some((0x30, parts, [])) = split(bytes) else {
        return false;
    };
    let Some((0x30, _, rest)) = split(parts) else {
        return false;
    };
    matches!(split(rest), Some((0x03, [0, _, ..], [])))
}

/// Whether the bytes are a name (RFC 5280 §4.1.2.4) without empty parts. Parsers
/// skip malformed parts of a name, which would be signed with the rest.
pub(crate) fn is_name(bytes: &[u8]) -> bool {
    let Some((0x30, mut parts, [])) = split(bytes) else {
        return false;
    };
    while !parts.is_empty() {
        let Some((0x31, mut attributes @ [_, ..], rest)) = split(parts) else {
            return false;
        };
        parts = rest;
        while !attributes.is_empty() {
            let Some((0x30, attribute, rest)) = split(attributes) else {
                return false;
            };
            attributes = rest;
            let Some((0x06, [_, ..], value)) = split(attribute) else {
                return false;
            };
            if !matches!(split(value), Some((_, _, []))) {
                return false;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_shortest_form() {
        assert_eq!(tlv(4, &[7; 3])[..2], [4, 3]);
        assert_eq!(tlv(4, &[7; 127])[..2], [4, 127]);
        assert_eq!(tlv(4, &[7; 128])[..3], [4, 0x81, 128]);
        assert_eq!(tlv(4, &[7; 300])[..4], [4, 0x82, 1, 44]);
    }

    #[test]
    fn integers_are_never_negative_nor_padded() {
        assert_eq!(uint(&[0, 0, 5]), [2, 1, 5]);
        assert_eq!(uint(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(uint(&[]), [2, 1, 0]);
    }

    #[test]
    fn years_from_2050_are_written_in_full() {
        assert_eq!(moment(Timestamp::EPOCH), b"\x17\x0d700101000000Z");
        assert_eq!(
            moment(Timestamp::from_seconds(2_524_608_000)),
            b"\x18\x0f20500101000000Z"
        );
    }

    #[test]
    fn names_are_read_to_their_end() {
        let attribute = seq(&[&oid(&[0x55, 4, 3]), &utf8("n")]);
        let name = seq(&[&set(&[&attribute]), &set(&[&attribute, &attribute])]);
        assert!(is_name(&name) && is_name(&seq(&[])));
        let long = seq(&[&set(&[&seq(&[
            &oid(&[0x55, 4, 3]),
            &utf8(&"n".repeat(300)),
        ])])]);
        assert!(is_name(&long));
        for bad in [
            &[][..],
            &[name.clone(), vec![0]].concat(),
            &name[..name.len() - 1],
            &set(&[&set(&[&attribute])]),
            &seq(&[&set(&[])]),
            &seq(&[&set(&[&attribute]), &[0x35, 0]]),
            &seq(&[&set(&[&tlv(0x35, &attribute[2..])])]),
            &seq(&[&set(&[&seq(&[&oid(&[0x55, 4, 3])])])]),
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x84, 0, 0, 0, 0],
        ] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn named_bits_say_how_many_are_unused() {
        assert_eq!(named_bits(0b1010_0000), [3, 2, 5, 0b1010_0000]);
        assert_eq!(named_bits(0b0000_0100), [3, 2, 2, 0b0000_0100]);
    }
}
