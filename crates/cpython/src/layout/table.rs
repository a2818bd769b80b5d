//! One table: the struct offsets of one CPython build, as `cargo xtask layouts` wrote them.
//!
//! Never: a judgement whether the table fits a target (that is `proof`).

use std::collections::HashMap;
use std::fmt;

use super::LayoutError;

/// A CPython release, `3.12.1`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Release {
    /// Always 3 today.
    pub major: u8,
    /// The series: layouts are tabled per minor.
    pub minor: u8,
    /// Bug-fix release within the series.
    pub micro: u8,
}

impl Release {
    /// From `PY_VERSION_HEX`; `None` for pre-releases, whose layouts were never frozen.
    pub fn from_hex(hex: u64) -> Option<Release> {
        if hex & 0xf0 != 0xf0 || hex > u64::from(u32::MAX) {
            return None;
        }
        Some(Release { major: (hex >> 24) as u8, minor: (hex >> 16) as u8, micro: (hex >> 8) as u8 })
    }

    /// From `3.12.1`.
    pub fn parse(text: &str) -> Option<Release> {
        let mut parts = text.split('.').map(|p| p.parse::<u8>().ok());
        let r = Release { major: parts.next()??, minor: parts.next()??, micro: parts.next()?? };
        parts.next().is_none().then_some(r)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)
    }
}

/// The offsets of one build.
#[derive(Clone, Debug)]
pub struct Table {
    /// Name of the table: `3.12.1`, `3.11.2-debian`.
    pub name: String,
    /// Release it was made from.
    pub release: Release,
    structs: HashMap<String, Struct>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Struct {
    size: u64,
    fields: HashMap<String, (u64, Option<u64>)>,
}

impl Table {
    /// Reads the text form: `release X.Y.Z`, then one struct a line, `Name size field=offset field=offset:size`.
    pub fn parse(name: &str, text: &str) -> Result<Table, LayoutError> {
        let mut release = None;
        let mut structs = HashMap::new();
        for (n, line) in text.lines().enumerate() {
            let bad = || LayoutError::BadTable { table: name.to_owned(), line: n + 1 };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut words = line.split_whitespace();
            let first = words.next().ok_or_else(bad)?;
            let second = words.next().ok_or_else(bad)?;
            if first == "release" {
                release = Release::parse(second);
                continue;
            }
            let size = second.parse().map_err(|_| bad())?;
            let mut fields = HashMap::new();
            for word in words {
                let (field, at) = word.split_once('=').ok_or_else(bad)?;
                let (offset, bytes) = match at.split_once(':') {
                    Some((o, b)) => (o, Some(b.parse().map_err(|_| bad())?)),
                    None => (at, None),
                };
                fields.insert(field.to_owned(), (offset.parse().map_err(|_| bad())?, bytes));
            }
            structs.insert(first.to_owned(), Struct { size, fields });
        }
        let release = release.ok_or(LayoutError::BadTable { table: name.to_owned(), line: 0 })?;
        Ok(Table { name: name.to_owned(), release, structs })
    }

    /// Size of a struct, `None` where this release has no such struct.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.structs.get(name).map(|s| s.size)
    }

    /// Offset of a field, `None` where this release has no such field.
    pub fn offset(&self, name: &str, field: &str) -> Option<u64> {
        self.structs.get(name)?.fields.get(field).map(|f| f.0)
    }

    /// Bytes that a field takes, where the table says so.
    pub fn extent(&self, name: &str, field: &str) -> Option<u64> {
        self.structs.get(name)?.fields.get(field)?.1
    }

    /// Offset of a field that this release must have.
    pub fn need(&self, name: &'static str, field: &'static str) -> Result<u64, LayoutError> {
        self.offset(name, field).ok_or_else(|| LayoutError::MissingField { table: self.name.clone(), name, field })
    }

    /// Size of a struct that this release must have.
    pub fn need_size(&self, name: &'static str) -> Result<u64, LayoutError> {
        self.size(name).ok_or_else(|| LayoutError::MissingField { table: self.name.clone(), name, field: "(size)" })
    }

    /// The structs that this release has, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.structs.keys().map(String::as_str).collect();
        all.sort_unstable();
        all
    }

    /// The fields of a struct with their offsets, in their order.
    pub fn fields(&self, name: &str) -> Vec<(&str, u64)> {
        let mut all: Vec<(&str, u64)> =
            self.structs.get(name).into_iter().flat_map(|s| &s.fields).map(|(field, at)| (field.as_str(), at.0)).collect();
        all.sort_by_key(|&(field, at)| (at, field));
        all
    }

    /// The table of a build that has `by` bytes less in a struct, before `from`.
    pub(super) fn shrunk(mut self, structure: &str, from: u64, by: u64) -> Table {
        if let Some(s) = self.structs.get_mut(structure) {
            s.size = s.size.saturating_sub(by);
            for f in s.fields.values_mut().filter(|f| f.0 >= from) {
                f.0 = f.0.saturating_sub(by);
            }
        }
        self
    }

    /// The table under another name.
    pub(super) fn named(self, name: String) -> Table {
        Table { name, ..self }
    }

    /// A table whose every offset from `from` on is `by` larger: for tests that must see a wrong table refused.
    pub fn shifted(&self, structure: &str, from: u64, by: u64) -> Table {
        let mut t = self.clone();
        if let Some(s) = t.structs.get_mut(structure) {
            for f in s.fields.values_mut().filter(|f| f.0 >= from) {
                f.0 += by;
            }
        }
        t
    }

    /// The same, with the struct larger by as much: what one more word in it makes of a table.
    pub fn grown(&self, structure: &str, from: u64, by: u64) -> Table {
        let mut t = self.shifted(structure, from, by);
        if let Some(s) = t.structs.get_mut(structure) {
            s.size += by;
        }
        t
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_and_asked() {
        let t =
            Table::parse("3.12.1", "# card\nrelease 3.12.1\nPyDictObject 48 ma_used=16 ma_keys=32\n_is 100 small=8:24\n").expect("parses");
        assert_eq!(t.offset("PyDictObject", "ma_keys"), Some(32));
        assert_eq!(t.size("PyDictObject"), Some(48));
        assert_eq!(t.extent("_is", "small"), Some(24));
        assert_eq!(t.offset("PyDictObject", "ma_values"), None);
        assert!(Table::parse("x", "PyDictObject 48\n").is_err(), "a table without its release is refused");
        assert!(Table::parse("x", "release 3.12.1\nPyDictObject forty\n").is_err());
    }

    #[test]
    fn hexversions_of_finals_only() {
        assert_eq!(Release::from_hex(0x030c_01f0), Some(Release { major: 3, minor: 12, micro: 1 }));
        assert_eq!(Release::from_hex(0x030f_00b2), None);
    }
}
