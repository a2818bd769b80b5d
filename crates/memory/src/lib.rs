//! Bytes at foreign addresses.
//!
//! Holds: [`Addr`], the [`Image`] (segments of a target's memory that were copied), the [`Memory`] trait
//! that live targets, copies and fake worlds pass, and what was mapped where ([`Mapping`], [`Module`]) and what of it was in
//! memory ([`Residency`]).
//! Never does: IO, unsafe, knowledge of Python.

#![forbid(unsafe_code)]

mod addr;
mod image;
mod mapping;
mod residency;

pub use addr::{rounded_up, Addr, Bytes};
pub use image::{Image, Segment};
pub use mapping::{Mapping, Module};
pub use residency::{Counted, Counter, Residency, Run, Sums, ThreadStack};

/// Why bytes could not be had. `Null` and `Absent` never collapse: a null pointer is a fact about the
/// target, an absent page a fact about what we could read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The address is zero or within the first page.
    #[error("null pointer")]
    Null,
    /// No copied or mapped byte stands at this address.
    #[error("{len} bytes at {at} are not mapped or were not copied")]
    Absent {
        /// First byte wanted.
        at: Addr,
        /// How many bytes were wanted.
        len: usize,
    },
}

/// Something that holds a target's bytes: a live process, a frozen copy, a fake world. It only reads.
pub trait Memory {
    /// Fills `into` with the bytes at `at`, or fails whole.
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Fault>;

    /// One byte.
    #[inline]
    fn u8(&self, at: Addr) -> Result<u8, Fault> {
        let mut b = [0; 1];
        self.read(at, &mut b)?;
        Ok(b[0])
    }

    /// A little-endian `u32`.
    #[inline]
    fn u32(&self, at: Addr) -> Result<u32, Fault> {
        let mut b = [0; 4];
        self.read(at, &mut b)?;
        Ok(u32::from_le_bytes(b))
    }

    /// A little-endian `i32`.
    #[inline]
    fn i32(&self, at: Addr) -> Result<i32, Fault> {
        self.u32(at).map(|v| v as i32)
    }

    /// A little-endian `u64`.
    #[inline]
    fn u64(&self, at: Addr) -> Result<u64, Fault> {
        let mut b = [0; 8];
        self.read(at, &mut b)?;
        Ok(u64::from_le_bytes(b))
    }

    /// A little-endian `i64`.
    #[inline]
    fn i64(&self, at: Addr) -> Result<i64, Fault> {
        self.u64(at).map(|v| v as i64)
    }

    /// A pointer. Null is a value here, not a fault.
    #[inline]
    fn addr(&self, at: Addr) -> Result<Addr, Fault> {
        self.u64(at).map(Addr)
    }

    /// A C string of at most `max` bytes; a longer one is cut. Invalid UTF-8 is replaced.
    fn c_str(&self, at: Addr, max: usize) -> Result<String, Fault> {
        let mut out = Vec::new();
        let mut a = at;
        while out.len() < max {
            let b = self.u8(a)?;
            if b == 0 {
                break;
            }
            out.push(b);
            a = a + 1;
        }
        Ok(String::from_utf8_lossy(&out).into_owned())
    }
}
