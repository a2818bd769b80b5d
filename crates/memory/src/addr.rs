//! Numbers that must not be confused: an address in a target, an amount of bytes.

use std::fmt;
use std::ops::{Add, Sub};

/// An address in the target's address space. Never a pointer of ours.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Addr(pub u64);

impl Addr {
    /// The null pointer.
    pub const NULL: Addr = Addr(0);

    /// Whether this is a null pointer or lies in the never-mapped first page.
    #[inline]
    pub fn is_null(self) -> bool {
        self.0 < 4096
    }

    /// `self` moved by a signed amount; wraps, as a hostile target may ask for anything.
    #[inline]
    pub fn offset(self, by: i64) -> Addr {
        Addr(self.0.wrapping_add(by as u64))
    }

    /// The address rounded down to a multiple of `align`, a power of two.
    #[inline]
    pub fn align_down(self, align: u64) -> Addr {
        Addr(self.0 & !(align - 1))
    }
}

impl Add<u64> for Addr {
    type Output = Addr;
    #[inline]
    fn add(self, by: u64) -> Addr {
        Addr(self.0.wrapping_add(by))
    }
}

impl Sub<u64> for Addr {
    type Output = Addr;
    #[inline]
    fn sub(self, by: u64) -> Addr {
        Addr(self.0.wrapping_sub(by))
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// An amount of memory, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    /// Binary units with three significant digits: `999 B`, `1.21 KiB`, `56.7 MiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = 0;
        // 1023.5 would print as 1024: go to the next unit already there.
        while value >= 999.5 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        let digits = if value < 9.995 {
            2
        } else if value < 99.95 {
            1
        } else {
            0
        };
        write!(f, "{value:.digits$} {}", UNITS[unit])
    }
}

/// The next multiple of `step`, or the last number that there is: what is rounded up may come from a damaged heap, which claims anything.
pub fn rounded_up(n: u64, step: u64) -> u64 {
    n.checked_next_multiple_of(step).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_show_three_digits_and_binary_units() {
        for (n, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (10_239, "10.0 KiB"),
            (1_048_575, "1.00 MiB"),
            (59_500_000, "56.7 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(Bytes(n).to_string(), shown, "{n}");
        }
    }

    /// The fuzzer's find: a damaged object of 2^64 - 8 bytes, rounded up to blocks.
    #[test]
    fn what_cannot_be_rounded_up_is_the_last_number() {
        assert_eq!((rounded_up(17, 16), rounded_up(32, 16), rounded_up(u64::MAX - 8, 16)), (32, 32, u64::MAX));
    }
}
