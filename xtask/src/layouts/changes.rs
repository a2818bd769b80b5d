//! What differs between two tables, and between a table and layouts from elsewhere.
//!
//! Holds: the comparisons, as lines of text in a fixed order. Never: reads debug information.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::dwarf::Place;
use super::table::Table;
use crate::trouble::{Doing, Done};

/// What changed from `old` to `new`, one line for each struct that did.
pub(crate) fn diff(old: &Table, new: &Table) -> Vec<String> {
    let mut lines = Vec::new();
    for name in names(old.structs.keys(), new.structs.keys()) {
        match (old.structs.get(name), new.structs.get(name)) {
            (Some(_), None) => lines.push(format!("- {name}")),
            (None, Some(layout)) => lines.push(format!("+ {name} {}", layout.size)),
            (Some(before), Some(after)) if before != after => {
                let mut words = Vec::new();
                if before.size != after.size {
                    words.push(format!("size {} -> {}", before.size, after.size));
                }
                for field in names(before.fields.keys(), after.fields.keys()) {
                    match (before.fields.get(field), after.fields.get(field)) {
                        (Some(place), None) => words.push(format!("-{field} (was {})", show(place))),
                        (None, Some(place)) => words.push(format!("+{field} {}", show(place))),
                        (Some(one), Some(other)) if one != other => words.push(format!("{field} {} -> {}", show(one), show(other))),
                        _ => {}
                    }
                }
                lines.push(format!("~ {name}: {}", words.join(", ")));
            }
            _ => {}
        }
    }
    lines
}

fn names<'a>(one: impl Iterator<Item = &'a String>, other: impl Iterator<Item = &'a String>) -> BTreeSet<&'a String> {
    one.chain(other).collect()
}

fn show(place: &Place) -> String {
    match place.size {
        Some(size) => format!("{}:{size}", place.offset),
        None => place.offset.to_string(),
    }
}

/// How a comparison with foreign layouts went.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Offsets and sizes that both have, and that agree.
    pub(crate) agreed: usize,
    /// What one has and the other has otherwise.
    pub(crate) differences: Vec<String>,
    /// Fields that only the foreign layouts have, which is no error: the tables hold what is read.
    pub(crate) only_foreign: usize,
}

/// Compares tables with a folder of JSON files `{struct: {"__size": n, field: [offset, bits, size]}}`, named `<set>.<minor>.json` or
/// `<set>.<release>.json`. A file for a minor is compared with `main`, the table of that minor made from an interpreter.
pub(crate) fn compare(
    dir: &Path,
    tables: &BTreeMap<String, Table>,
    main: impl Fn(&str) -> Option<String>,
) -> Done<Vec<(String, String, Comparison)>> {
    let mut results = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(dir).doing(dir.display())?.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.sort();
    for file in files {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some((_, release)) = name.strip_suffix(".json").and_then(|name| name.split_once('.')) else { continue };
        let wanted = match release.split('.').count() {
            1 => main(&format!("3.{release}")),
            _ => [release.to_owned(), format!("{release}-debian")].into_iter().find(|name| tables.contains_key(name)),
        };
        let Some((wanted, table)) = wanted.and_then(|name| tables.get(&name).map(|table| (name, table))) else { continue };
        let text = std::fs::read_to_string(&file).doing(file.display())?;
        let json: Value = serde_json::from_str(&text).doing(file.display())?;
        results.push((name, wanted, compare_one(&json, table)));
    }
    Ok(results)
}

fn compare_one(json: &Value, table: &Table) -> Comparison {
    let mut outcome = Comparison::default();
    for (name, fields) in json.as_object().into_iter().flatten() {
        let Some(layout) = table.structs.get(name) else {
            outcome.only_foreign += fields.as_object().map_or(0, serde_json::Map::len);
            continue;
        };
        let Some(fields) = fields.as_object() else {
            outcome.differences.push(format!("{name}: absent there, {} bytes here", layout.size));
            continue;
        };
        for (field, value) in fields {
            let theirs = if field == "__size" { value.as_u64() } else { value.get(0).and_then(Value::as_u64) };
            let ours = if field == "__size" { Some(layout.size) } else { layout.fields.get(field).map(|place| place.offset) };
            match (theirs, ours) {
                (Some(theirs), Some(ours)) if theirs == ours => outcome.agreed += 1,
                (Some(_), None) => outcome.only_foreign += 1,
                (None, None) => {}
                (theirs, ours) => outcome.differences.push(format!("{name}.{field}: there {theirs:?}, here {ours:?}")),
            }
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_kind_of_change_is_one_word() {
        let old = Table::parse("release 3.12.1\na 16 x=0 y=8:4\nb 8\nc 8 z=0\n").unwrap();
        let new = Table::parse("release 3.13.0\na 24 x=8 w=16\nc 8 z=0\nd 4\n").unwrap();
        assert_eq!(diff(&old, &new), ["~ a: size 16 -> 24, +w 16, x 0 -> 8, -y (was 8:4)", "- b", "+ d 4"]);
        assert_eq!(diff(&old, &old), Vec::<String>::new());
    }

    #[test]
    fn a_foreign_layout_agrees_or_is_named() {
        let table = Table::parse("release 3.12.1\na 16 x=0 y=8\n").unwrap();
        let json =
            serde_json::from_str(r#"{"a": {"__size": 16, "x": [0, null, 8], "y": [4, null, 8], "q": [1, null, 1]}, "n": {"__size": 1}}"#)
                .unwrap();
        let outcome = compare_one(&json, &table);
        assert_eq!((outcome.agreed, outcome.only_foreign), (2, 2));
        assert_eq!(outcome.differences, ["a.y: there Some(4), here Some(8)"]);
    }
}
