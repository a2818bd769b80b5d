//! Which wanted fields nobody reads: tables hold only what is read.
//!
//! Holds: the words of the sources, and what `fields.txt` asks for beyond them. Never: changes `fields.txt`; a field that is asked for today
//! may be read by the next commit.

use std::collections::BTreeSet;
use std::path::Path;

use super::wanted::WantedStruct;
use crate::trouble::{Doing, Done};

/// Every name in the Rust sources below `root`: `a`, and `a.b` too where dots join names, as in a path within a struct.
pub(crate) fn words(root: &Path) -> Done<BTreeSet<String>> {
    let mut words = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).doing(folder.display())? {
            let entry = entry.doing(folder.display())?;
            let path = entry.path();
            // Links could lead in circles.
            if entry.file_type().doing(path.display())?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                words_of(&std::fs::read_to_string(&path).doing(path.display())?, &mut words);
            }
        }
    }
    Ok(words)
}

fn words_of(text: &str, into: &mut BTreeSet<String>) {
    for word in text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')) {
        let word = word.trim_matches('.');
        into.extend(word.split('.').map(str::to_owned));
        into.insert(word.to_owned());
    }
}

/// `Struct`, where nothing names it, or `Struct.field`.
pub(crate) fn unused(wanted: &[WantedStruct], words: &BTreeSet<String>) -> Vec<String> {
    let mut lines = Vec::new();
    for one in wanted {
        if !words.contains(one.name()) {
            lines.push(one.name().to_owned());
            continue;
        }
        lines.extend(
            one.fields.iter().filter(|field| !words.contains(field.name())).map(|field| format!("{}.{}", one.name(), field.name())),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::wanted;
    use super::*;

    #[test]
    fn what_no_source_names_is_listed() {
        let mut words = BTreeSet::new();
        words_of("table.offset(\"_is\", \"imports.modules\"); at.ma_used; // sysdict, builtins.", &mut words);
        let wanted = wanted::parse("_is: imports.modules sysdict gc.collecting\nPyListObject: ob_item\n").unwrap();
        assert_eq!(unused(&wanted, &words), ["_is.gc.collecting", "PyListObject"]);
    }
}
