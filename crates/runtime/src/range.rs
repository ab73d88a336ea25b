//! Ranges of user and group ids, and the pool from which they are claimed.

use std::fmt;
use std::str::FromStr;

/// Lower ids belong to users and services of the host.
const FIRST: u64 = 65_536;
/// The smallest useful range: images contain ids up to 65,535.
const SMALLEST: u64 = 65_536;
/// Many programs treat larger ids as negative numbers.
const END: u64 = 1 << 31;

/// Ids of the host that a container uses as its ids from 0 on, for users and groups.
/// Its text is `BASE:SIZE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// The id of the container's root on the host.
    pub base: u32,
    /// Number of ids.
    pub size: u32,
}

/// A range or a pool that is outside of the permitted ids, or text that is not a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidRange(String);

impl fmt::Display for InvalidRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidRange {}

impl Range {
    /// A range of permitted ids.
    ///
    /// # Errors
    /// If the base or the size is below 65,536, or the range ends above 2^31.
    pub fn new(base: u32, size: u32) -> Result<Self, InvalidRange> {
        let range = Self { base, size };
        if u64::from(base) < FIRST || u64::from(size) < SMALLEST || range.end() > END {
            return Err(InvalidRange(format!(
                "the range {range} is not permitted: base and size must be 65536 or more, and their sum {END} or less"
            )));
        }
        Ok(range)
    }

    /// Whether an id belongs to both ranges.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        u64::from(self.base) < other.end() && u64::from(other.base) < self.end()
    }

    fn end(&self) -> u64 {
        u64::from(self.base) + u64::from(self.size)
    }

    /// Name of the file with its grant.
    pub(crate) fn file_name(&self) -> String {
        format!("{}-{}", self.base, self.size)
    }

    /// The range of a file name; `None` if grants do not have such names.
    pub(crate) fn from_file_name(name: &str) -> Option<Self> {
        Self::parse(name, '-').ok()
    }

    fn parse(text: &str, separator: char) -> Result<Self, InvalidRange> {
        let number = |digits: &str| {
            // Only one text for each number, so that names of files are unique.
            let canonical = digits == "0" || !digits.starts_with('0');
            let decimal = digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse().ok().filter(|_| canonical && decimal)
        };
        let numbers = text
            .split_once(separator)
            .and_then(|(base, size)| Some((number(base)?, number(size)?)));
        let Some((base, size)) = numbers else {
            return Err(InvalidRange(format!(
                "{text:?} is not a range; write BASE:SIZE in decimal, such as 268435456:1048576"
            )));
        };
        Self::new(base, size)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.base, self.size)
    }
}

impl FromStr for Range {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        Self::parse(text, ':')
    }
}

/// Ranges of one size that follow each other. The default has 1,792 ranges of 2^20 ids,
/// from 2^28 to 2^31.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// The first id of the first range.
    pub first: u32,
    /// Size of each range.
    pub size: u32,
    /// The end of the pool, which is not part of it.
    pub end: u32,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            first: 1 << 28,
            size: 1 << 20,
            end: 1 << 31,
        }
    }
}

impl Pool {
    /// Checks that all ranges are permitted, and that there is at least one.
    ///
    /// # Errors
    /// Names the pool and what is permitted.
    pub fn check(&self) -> Result<(), InvalidRange> {
        let Self { first, size, end } = *self;
        if self.ranges().next().is_none()
            || Range::new(first, size).is_err()
            || u64::from(end) > END
        {
            return Err(InvalidRange(format!(
                "the pool of ranges of {size} ids from {first} to {end} is not permitted: it must have at least one range, begin at 65536 or above and end at {END} or below, and its ranges must have 65536 ids or more"
            )));
        }
        Ok(())
    }

    /// Number of ranges.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges().count()
    }

    /// Whether there is no range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges().next().is_none()
    }

    /// Whether it is one of the ranges.
    #[must_use]
    pub fn contains(&self, range: &Range) -> bool {
        self.size == range.size
            && range.base >= self.first
            && range.end() <= u64::from(self.end)
            && (range.base - self.first).checked_rem(self.size) == Some(0)
    }

    /// All ranges in ascending order.
    pub fn ranges(&self) -> impl Iterator<Item = Range> + use<> {
        let Self { first, size, end } = *self;
        std::iter::successors(Some(first), move |base| base.checked_add(size))
            .take_while(move |base| size > 0 && u64::from(*base) + u64::from(size) <= end.into())
            .map(move |base| Range { base, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_parsed_strictly() {
        let range = Range {
            base: 65_536,
            size: 65_536,
        };
        assert_eq!("65536:65536".parse(), Ok(range));
        let last: Range = "2146435072:1048576".parse().unwrap();
        assert_eq!(last.end(), END);
        for wrong in [
            "",
            ":",
            "65536",
            "65536:",
            ":65536",
            "65535:65536",
            "65536:65535",
            "2146435073:1048576",
            "4294967295:4294967295",
            "4294967296:65536",
            "+65536:65536",
            "065536:65536",
            "0:65536",
            "65536:0",
            "00:65536",
            " 65536:65536",
            "65536:65536\n",
            "65536:65536:1",
            "65536-65536",
            "0x10000:65536",
            "-65536:65536",
            "٦5536:65536",
        ] {
            assert!(wrong.parse::<Range>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_default_pool_has_1792_ranges() {
        let pool = Pool::default();
        assert_eq!(pool.check(), Ok(()));
        assert_eq!(pool.len(), 1792);
        assert_eq!(pool.ranges().last().map(|r| r.end()), Some(END));
    }

    #[test]
    fn pools_without_ranges_or_outside_of_the_permitted_ids_are_refused() {
        let pool = |first, size, end| Pool { first, size, end }.check();
        assert!(pool(65_536, 65_536, 131_072).is_ok());
        assert!(pool(65_536, 65_536, 131_071).is_err());
        assert!(pool(65_535, 65_536, 1 << 20).is_err());
        assert!(pool(65_536, 65_535, 1 << 20).is_err());
        assert!(pool(65_536, 0, 1 << 20).is_err());
        assert!(pool(65_536, 65_536, (1 << 31) + 1).is_err());
        assert!(pool(u32::MAX, u32::MAX, u32::MAX).is_err());
    }

    proptest! {
        #[test]
        fn text_and_file_name_determine_the_range(base in 65_536u32..1 << 30, size in 65_536u32..1 << 30) {
            let range = Range::new(base, size).unwrap();
            prop_assert_eq!(range.to_string().parse(), Ok(range));
            prop_assert_eq!(Range::from_file_name(&range.file_name()), Some(range));
        }

        #[test]
        fn any_text_is_refused_or_canonical(text in "[0-9:+ -]{0,24}") {
            if let Ok(range) = text.parse::<Range>() {
                prop_assert_eq!(range.to_string(), text);
                prop_assert!(Range::new(range.base, range.size).is_ok());
            }
        }

        #[test]
        fn ranges_of_a_pool_do_not_overlap(first in 65_536u32..1 << 20, size in 65_536u32..1 << 18, count in 1u32..8, rest in 0u32..65_536) {
            let pool = Pool { first, size, end: first + count * size + rest };
            let ranges: Vec<Range> = pool.ranges().collect();
            prop_assert_eq!(ranges.len(), pool.len());
            prop_assert!(ranges.iter().all(|r| pool.contains(r)));
            for pair in ranges.windows(2) {
                prop_assert!(!pair[0].overlaps(&pair[1]));
            }
        }

        #[test]
        fn overlap_is_a_common_id(a in (0u32..40, 1u32..20), b in (0u32..40, 1u32..20)) {
            let (x, y) = (Range { base: a.0, size: a.1 }, Range { base: b.0, size: b.1 });
            let common = (a.0..a.0 + a.1).any(|id| (b.0..b.0 + b.1).contains(&id));
            prop_assert_eq!(x.overlaps(&y), common);
        }
    }
}
