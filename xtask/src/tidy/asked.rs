//! What the sources ask of the layout tables, against what the tables have.
//!
//! Holds: the one check, and the reading of calls such as `table.offset("PyListObject", "ob_item")` out of a source.
//! Never: asks whether a table *should* have a field (a release may lack it): only whether any of them has. A name that none
//! has is a typing error, which at run time looks like a field that the release lacks.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{code_only, literals};
use super::{Complaint, Tree};

/// Where the tables stand.
const TABLES: &str = "crates/cpython/src/layout/tables/";
/// Crates whose sources ask them.
const ASKING: &[&str] = &["alloc", "capture", "cpython"];
/// Methods whose first two arguments are a struct and a field.
const OF_FIELDS: &[&str] = &["offset", "need", "extent"];
/// Methods whose argument is a struct.
const OF_STRUCTS: &[&str] = &["size", "need_size"];
/// Lists of Python types and their structs look like lists of structs and fields: those of `builtins`, which are in lower case.
const PAIRS_OF_TYPES: &[&str] = &["classmethod", "staticmethod"];

/// Fields by struct, of all tables together.
type Known<'t> = BTreeMap<&'t str, BTreeSet<&'t str>>;

/// One question: line, struct, and field where one is named.
type Asked = (usize, String, Option<String>);

/// Every struct and field named in a question to a table is in at least one table.
pub(crate) fn fields(tree: &Tree) -> Vec<Complaint> {
    let known = known(tree);
    let mut complaints = Vec::new();
    for (path, _, text) in tree.sources().filter(|(_, krate, _)| ASKING.contains(krate)) {
        for (line, structure, field) in questions(text, &known) {
            let lacks = match (known.get(structure.as_str()), &field) {
                (None, _) => format!("struct {structure}"),
                (Some(fields), Some(field)) if !fields.contains(field.as_str()) => format!("{structure}.{field}"),
                _ => continue,
            };
            complaints.push(format!("{path}:{line}: no table has {lacks}"));
        }
    }
    complaints
}

fn known(tree: &Tree) -> Known<'_> {
    let mut known = Known::new();
    let lines = tree.files.iter().filter(|(path, _)| path.starts_with(TABLES)).flat_map(|(_, text)| text.lines());
    for line in lines.filter(|line| !line.starts_with('#') && !line.starts_with("release ")) {
        let mut words = line.split_whitespace();
        let Some(structure) = words.next() else { continue };
        known.entry(structure).or_default().extend(words.filter_map(|word| word.split_once('=').map(|(field, _)| field)));
    }
    known
}

/// A source, taken apart.
struct Source {
    /// Characters without comments and strings.
    code: Vec<char>,
    strings: Vec<(usize, usize, String)>,
}

/// What a source asks before its tests begin.
fn questions(text: &str, known: &Known<'_>) -> Vec<Asked> {
    let text = text.find("#[cfg(test)]").map_or(text, |at| &text[..at]);
    let source = Source { code: code_only(text).chars().collect(), strings: literals(text) };
    let mut asked = source.groups();
    let constants = source.constants();
    // `|field| table.offset("Struct", field)`, by the name that it is bound to.
    let mut closures: Vec<(String, String)> = Vec::new();
    for (index, (start, end, name)) in source.strings.iter().enumerate() {
        let line = source.line(*start);
        let next = source.strings.get(index + 1).filter(|(next, _, _)| source.between(*end, *next).trim() == ",");
        let Some((caller, first)) = source.caller(*start) else { continue };
        match (caller.as_str(), first) {
            (caller, None) if OF_STRUCTS.contains(&caller) => asked.push((line, name.clone(), None)),
            (caller, None) if OF_FIELDS.contains(&caller) => match next {
                Some((_, _, field)) => asked.push((line, name.clone(), Some(field.clone()))),
                None => {
                    asked.push((line, name.clone(), None));
                    closures.extend(source.closure(*start).map(|bound| (bound, name.clone())));
                }
            },
            (caller, Some(constant)) if OF_FIELDS.contains(&caller) => {
                let structure = constants.iter().find(|(known, _)| *known == constant).map(|(_, value)| value.clone());
                asked.extend(structure.map(|structure| (line, structure, Some(name.clone()))));
            }
            // Lists of pairs, with a number before or not: `("_is", "next")`, `(64, "_is", "next")`.
            ("", _) => {
                if let Some((_, _, field)) = next.filter(|_| known.contains_key(name.as_str()) && !PAIRS_OF_TYPES.contains(&name.as_str()))
                {
                    asked.push((line, name.clone(), Some(field.clone())));
                }
            }
            (caller, None) => {
                // The nearest definition above: a file may bind the same name twice.
                let structure = closures.iter().rev().find(|(bound, _)| bound == caller).map(|(_, structure)| structure.clone());
                asked.extend(structure.map(|structure| (line, structure, Some(name.clone()))));
            }
            _ => {}
        }
    }
    asked
}

impl Source {
    fn line(&self, at: usize) -> usize {
        1 + self.code.iter().take(at).filter(|c| **c == '\n').count()
    }

    fn between(&self, start: usize, end: usize) -> String {
        self.code.get(start..end).unwrap_or(&[]).iter().collect()
    }

    /// The name of the call that the string at `at` is an argument of, empty in a tuple, and, if the string is its second
    /// argument, the first one where that is a name or a number.
    fn caller(&self, at: usize) -> Option<(String, Option<String>)> {
        let before = self.between(at.saturating_sub(200), at);
        let before = before.trim_end();
        if let Some(before) = before.strip_suffix('(') {
            return Some((last_word(before), None));
        }
        let (before, first) = before.strip_suffix(',')?.rsplit_once('(')?;
        let first = first.trim();
        (!first.is_empty() && first.chars().all(is_word)).then(|| (last_word(before), Some(first.to_owned())))
    }

    /// `at`, where the string at `start` stands in `let at = |field| …`.
    fn closure(&self, start: usize) -> Option<String> {
        let before = self.between(0, start);
        let statement = before.rsplit([';', '{', '}']).next()?.trim_start();
        let (name, rest) = statement.strip_prefix("let ")?.split_once('=')?;
        rest.trim_start().starts_with('|').then(|| name.trim().to_owned())
    }

    /// `const NAME: &str = "value";`
    fn constants(&self) -> Vec<(String, String)> {
        let value = |(start, _, value): &(usize, usize, String)| {
            let before = self.between(start.saturating_sub(100), *start);
            let name = before.trim_end().strip_suffix('=')?.trim_end().strip_suffix("str")?.rsplit_once("const ")?.1;
            Some((name.split(':').next()?.trim().to_owned(), value.clone()))
        };
        self.strings.iter().filter_map(value).collect()
    }

    /// The groups of the macro `fields!`: `= "PyListObject" { ob_item, allocated; optional }`.
    fn groups(&self) -> Vec<Asked> {
        let mut asked = Vec::new();
        for (start, end, structure) in &self.strings {
            let after = self.between(*end, self.code.len());
            let Some(body) = after.trim_start().strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(body, _)| body) else {
                continue;
            };
            let before = self.between(start.saturating_sub(4), *start);
            if !before.trim_end().ends_with('=') || before.contains("==") {
                continue;
            }
            let names = body.split([',', ';']).map(str::trim).filter(|name| !name.is_empty() && name.chars().all(is_word));
            asked.extend(names.map(|field| (self.line(*start), structure.clone(), Some(field.to_owned()))));
        }
        asked
    }
}

fn last_word(text: &str) -> String {
    let reversed: String = text.chars().rev().take_while(|c| is_word(*c)).collect();
    reversed.chars().rev().collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    const TABLE: (&str, &str) =
        ("crates/cpython/src/layout/tables/3.9.1.txt", "# card\nrelease 3.9.1\n_is 100 next=0 gc=8:24\nPyListObject 40 ob_item=24\n");

    #[track_caller]
    fn check(source: &str, lacking: &[&str]) {
        let found = fields(&tree(&[TABLE, ("crates/cpython/src/objects/list.rs", source)]));
        let lacks: Vec<&str> = found.iter().map(|c| c.split_once("no table has ").map_or("", |(_, lacks)| lacks)).collect();
        assert_eq!(lacks, lacking, "{source}");
    }

    #[test]
    fn questions_that_no_table_answers_are_found() {
        check("t.offset(\"_is\", \"next\"); t.need(\"PyListObject\", \"ob_item\"); t.size(\"_is\");", &[]);
        check("t.offset(\"_is\", \"nxet\");", &["_is.nxet"]);
        check("t\n    .need(\n        \"_si\",\n        \"next\",\n    )", &["struct _si"]);
        check("t.need_size(\"PyLisp\")", &["struct PyLisp"]);
        check("t.extent(\"_is\", field)", &[]);
        check("t.extent(\"_si\", field)", &["struct _si"]);
    }

    #[test]
    fn closures_constants_lists_and_groups_are_read() {
        let closure = "let at = |field| t.offset(\"_is\", field); f(at(\"next\"), at(\"ob_item\"));";
        check(closure, &["_is.ob_item"]);
        let second = "{ let at = |f| t.offset(\"_is\", f); at(\"next\"); } { let at = |f| t.offset(\"PyListObject\", f); at(\"next\"); }";
        check(second, &["PyListObject.next"]);
        check("const NAME: &str = \"_is\"; t.need(NAME, \"gc\"); t.need(NAME, \"cg\");", &["_is.cg"]);
        check("&[(\"_is\", \"next\"), (\"_is\", \"after\")]", &["_is.after"]);
        check("&[(64, \"_is\", \"next\"), (72, \"_is\", \"after\")]", &["_is.after"]);
        check("list: L = \"PyListObject\" { ob_item, allocated; length }", &["PyListObject.allocated", "PyListObject.length"]);
    }

    #[test]
    fn other_words_are_no_questions() {
        check("// t.offset(\"_is\", \"nxet\")\nif x == \"_is\" { nxet }; f(\"a\", \"b\"); size_of(\"x\"); g.field(\"y\");", &[]);
        check("fn f() {}\n#[cfg(test)]\nmod tests { fn g() { t.offset(\"_is\", \"nxet\"); } }", &[]);
        assert_eq!(fields(&tree(&[TABLE, ("crates/report/src/a.rs", "t.offset(\"_is\", \"nxet\")")])), Vec::<String>::new());
    }
}
