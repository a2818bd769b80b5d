//! The list of structs and fields that the tables hold: `crates/cpython/src/layout/fields.txt`.
//!
//! Holds: the parser of that file. Never: looks at a build.
//! Its grammar stands at the head of the file itself.

use crate::trouble::{Done, Trouble};

/// One line of `fields.txt`: a struct and what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedStruct {
    /// Its names, the first of which is written to the table and the first known of which is taken.
    pub(crate) names: Vec<WantedName>,
    /// What is asked of it, in the order of the file.
    pub(crate) fields: Vec<WantedField>,
}

/// One name of a struct: a tag or a typedef.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedName {
    /// As the source has it.
    pub(crate) name: String,
    /// The source file (end of its path) that must define it, where several define one of that name.
    pub(crate) file: Option<String>,
}

/// One field, under all its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedField {
    /// Dotted paths, the first of which is written to the table.
    pub(crate) paths: Vec<String>,
    /// Whether the table holds its size too.
    pub(crate) sized: bool,
}

impl WantedStruct {
    /// The name in the table.
    pub(crate) fn name(&self) -> &str {
        self.names.first().map_or("", |first| first.name.as_str())
    }
}

impl WantedField {
    /// The name in the table.
    pub(crate) fn name(&self) -> &str {
        self.paths.first().map_or("", String::as_str)
    }
}

/// Reads `fields.txt`.
pub(crate) fn parse(text: &str) -> Done<Vec<WantedStruct>> {
    let mut wanted: Vec<WantedStruct> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let wrong = |why: &str| Trouble::new(format!("fields.txt line {}: {why}", number + 1));
        let (head, fields) = line.split_once(':').ok_or_else(|| wrong("no `:` after the struct's name"))?;
        let names: Vec<WantedName> = head.trim().split('|').map(name).collect();
        if names.iter().any(|name| name.name.is_empty() || name.name.contains(' ')) {
            return Err(wrong("an empty name, or a space in one"));
        }
        let fields = fields.split_whitespace().map(field).collect::<Option<Vec<_>>>().ok_or_else(|| wrong("an empty field name"))?;
        let one = WantedStruct { names, fields };
        if wanted.iter().any(|other| other.name() == one.name()) {
            return Err(wrong(&format!("{} is there twice", one.name())));
        }
        for (index, field) in one.fields.iter().enumerate() {
            if one.fields.iter().take(index).any(|other| other.name() == field.name()) {
                return Err(wrong(&format!("{}.{} is there twice", one.name(), field.name())));
            }
        }
        wanted.push(one);
    }
    Ok(wanted)
}

fn name(word: &str) -> WantedName {
    match word.split_once('@') {
        Some((name, file)) => WantedName { name: name.to_owned(), file: Some(file.to_owned()) },
        None => WantedName { name: word.to_owned(), file: None },
    }
}

fn field(word: &str) -> Option<WantedField> {
    let (word, sized) = match word.strip_suffix(':') {
        Some(word) => (word, true),
        None => (word, false),
    };
    let paths: Vec<String> = word.split('|').map(str::to_owned).collect();
    (!paths.iter().any(String::is_empty)).then_some(WantedField { paths, sized })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_hints_alternatives_and_sizes() {
        let wanted =
            parse("# words\n_is: next threads.head|tstate_head types.builtins:  # why\nblock@Modules/_collectionsmodule.c|BLOCK: data:\n")
                .unwrap();
        assert_eq!(wanted.len(), 2);
        assert_eq!(wanted[0].fields[1].paths, ["threads.head", "tstate_head"]);
        assert!(wanted[0].fields[2].sized && !wanted[0].fields[0].sized);
        assert_eq!(wanted[1].name(), "block");
        assert_eq!(wanted[1].names[0].file.as_deref(), Some("Modules/_collectionsmodule.c"));
        assert_eq!((wanted[1].names[1].name.as_str(), &wanted[1].names[1].file), ("BLOCK", &None));
    }

    #[test]
    fn what_is_there_twice_is_refused() {
        assert!(parse("a: x y\na: z\n").unwrap_err().to_string().contains("line 2"));
        assert!(parse("a: x y x\n").unwrap_err().to_string().contains("a.x"));
        assert!(parse("a x\n").is_err());
    }
}
