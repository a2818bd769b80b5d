//! A layout table: the text file that `crates/cpython` embeds, one for each build.
//!
//! Holds: its value, how it is written and read back, and how the sightings of many compilation units become one table.
//! Never: finds builds or reads debug information.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::dwarf::{Layout, Place, Seen};
use super::wanted::WantedStruct;
use crate::trouble::{Done, Trouble};

/// Comment lines stay within this many columns.
const COLUMNS: usize = 120;

/// One build's layouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    /// `3.12.1`.
    pub(crate) release: String,
    /// The build in words, after "layout of".
    pub(crate) build: String,
    /// Structs taken over from another table of the same minor: (its name, the structs).
    pub(crate) inherited: Option<(String, BTreeSet<String>)>,
    /// By the names in `fields.txt`.
    pub(crate) structs: BTreeMap<String, Layout>,
}

/// One layout for each wanted struct, or a failure that names the structs on which compilation units disagree.
pub(crate) fn agree(wanted: &[WantedStruct], seen: Vec<Seen>) -> Done<BTreeMap<String, Layout>> {
    let mut best: BTreeMap<String, Seen> = BTreeMap::new();
    let mut disputes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for one in seen {
        match best.get(&one.name) {
            Some(held) if held.rank < one.rank => {}
            Some(held) if held.rank == one.rank => {
                if held.layout != one.layout {
                    disputes.entry(one.name).or_default().extend([held.file.clone(), one.file]);
                }
            }
            _ => {
                disputes.remove(&one.name);
                best.insert(one.name.clone(), one);
            }
        }
    }
    if !disputes.is_empty() {
        let mut text = String::from("structs of one name with different contents; fields.txt needs `Name@file.c` for them:");
        for (name, files) in &disputes {
            let _ = write!(text, "\n  {name}: {}", files.iter().cloned().collect::<Vec<_>>().join(", "));
        }
        return Err(Trouble::new(text));
    }
    // Sizes only where they were asked for: the others would be noise in every diff.
    let mut structs: BTreeMap<String, Layout> = best.into_iter().map(|(name, seen)| (name, seen.layout)).collect();
    for one in wanted {
        if let Some(layout) = structs.get_mut(one.name()) {
            for field in one.fields.iter().filter(|field| !field.sized) {
                if let Some(place) = layout.fields.get_mut(field.name()) {
                    place.size = None;
                }
            }
        }
    }
    Ok(structs)
}

impl Table {
    /// The file's text.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("# layout of {}\n", self.build);
        text.push_str("# made by: cargo xtask layouts   fields asked for: crates/cpython/src/layout/fields.txt\n");
        if let Some((from, structs)) = &self.inherited {
            let _ = writeln!(text, "# inherited from {from}, being private to .c files:");
            let mut line = String::from("#  ");
            for name in structs {
                if line.len() + name.len() + 1 > COLUMNS {
                    let _ = writeln!(text, "{line}");
                    line = String::from("#  ");
                }
                let _ = write!(line, " {name}");
            }
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(text, "release {}", self.release);
        for (name, layout) in &self.structs {
            let _ = write!(text, "{name} {}", layout.size);
            for (field, place) in &layout.fields {
                let _ = match place.size {
                    Some(size) => write!(text, " {field}={}:{size}", place.offset),
                    None => write!(text, " {field}={}", place.offset),
                };
            }
            text.push('\n');
        }
        text
    }

    /// The table that `text` is.
    pub(crate) fn parse(text: &str) -> Done<Table> {
        let mut table = Table { release: String::new(), build: String::new(), inherited: None, structs: BTreeMap::new() };
        for (number, line) in text.lines().enumerate() {
            let wrong = || Trouble::new(format!("line {}: not a line of a layout table: {line}", number + 1));
            if let Some(comment) = line.strip_prefix('#') {
                if let Some(build) = comment.strip_prefix(" layout of ") {
                    table.build = build.to_owned();
                } else if let Some(from) = comment.strip_prefix(" inherited from ") {
                    let from = from.split(',').next().unwrap_or(from);
                    table.inherited = Some((from.to_owned(), BTreeSet::new()));
                } else if let (Some(names), Some((_, structs))) = (comment.strip_prefix("   "), table.inherited.as_mut()) {
                    structs.extend(names.split_whitespace().map(str::to_owned));
                }
                continue;
            }
            let mut words = line.split_whitespace();
            let (Some(name), Some(size)) = (words.next(), words.next()) else { return Err(wrong()) };
            if name == "release" {
                table.release = size.to_owned();
                continue;
            }
            let mut layout = Layout { size: size.parse().map_err(|_| wrong())?, fields: BTreeMap::new() };
            for word in words {
                let (field, place) = word.split_once('=').ok_or_else(wrong)?;
                let (offset, size) = match place.split_once(':') {
                    Some((offset, size)) => (offset, Some(size.parse().map_err(|_| wrong())?)),
                    None => (place, None),
                };
                layout.fields.insert(field.to_owned(), Place { offset: offset.parse().map_err(|_| wrong())?, size });
            }
            table.structs.insert(name.to_owned(), layout);
        }
        Ok(table)
    }

    /// Only the structs that `other` did not inherit.
    pub(crate) fn without(&self, other: &Table) -> Table {
        let mut table = self.clone();
        if let Some((_, inherited)) = &other.inherited {
            table.structs.retain(|name, _| !inherited.contains(name));
        }
        table
    }

    /// Takes over from `older` what this build's headers do not say.
    pub(crate) fn inherit(&mut self, name: &str, older: &Table) {
        let missing: BTreeSet<String> = older.structs.keys().filter(|name| !self.structs.contains_key(*name)).cloned().collect();
        for name in &missing {
            if let Some(layout) = older.structs.get(name) {
                self.structs.insert(name.clone(), layout.clone());
            }
        }
        self.inherited = Some((name.to_owned(), missing));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::wanted;
    use super::*;

    fn seen(name: &str, rank: usize, file: &str, size: u64, offset: u64) -> Seen {
        let fields = BTreeMap::from([("x".to_owned(), Place { offset, size: Some(8) })]);
        Seen { name: name.to_owned(), rank, file: file.to_owned(), layout: Layout { size, fields } }
    }

    #[test]
    fn a_table_reads_back_as_it_was_written() {
        let wanted = wanted::parse("a: x:\nb: x\n").unwrap();
        let structs = agree(&wanted, vec![seen("a", 0, "a.c", 16, 8), seen("b", 0, "a.c", 24, 0)]).unwrap();
        let mut table = Table { release: "3.12.1".into(), build: "CPython 3.12.1, a test".into(), inherited: None, structs };
        assert!(table.text().contains("\na 16 x=8:8\nb 24 x=0\n"), "{}", table.text());
        assert_eq!(Table::parse(&table.text()).unwrap(), table);
        let mut older = table.clone();
        older.structs.extend((0..40).map(|n| (format!("private_struct_number_{n}"), Layout::default())));
        table.inherit("3.12.0", &older);
        assert_eq!(table.inherited.as_ref().unwrap().1.len(), 40);
        assert_eq!(Table::parse(&table.text()).unwrap(), table);
    }

    #[test]
    fn what_another_inherited_can_be_left_out() {
        let table = Table::parse("release 3.12.1\na 16 x=8\nb 24 x=0\n").unwrap();
        let other = Table { inherited: Some(("3.12.0".into(), BTreeSet::from(["b".to_owned()]))), ..table.clone() };
        assert_eq!(table.without(&other).structs.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(table.without(&table), table);
    }

    #[test]
    fn a_dispute_is_named_and_a_better_name_ends_it() {
        let wanted = wanted::parse("a|b: x\n").unwrap();
        let two = vec![seen("a", 1, "one.c", 16, 0), seen("a", 1, "two.c", 24, 0)];
        let text = agree(&wanted, two.clone()).unwrap_err().to_string();
        assert!(text.contains("a: one.c, two.c"), "{text}");
        let three = [two, vec![seen("a", 0, "three.c", 32, 0)]].concat();
        assert_eq!(agree(&wanted, three).unwrap().get("a").unwrap().size, 32);
    }

    #[test]
    fn what_is_not_a_table_is_refused() {
        assert!(Table::parse("PyObject\n").is_err());
        assert!(Table::parse("PyObject 16 ob_type\n").is_err());
        assert!(Table::parse("PyObject 16 ob_type=x\n").is_err());
    }
}
