//! `path`: why objects are alive, in both forms.

use std::io::{self, Write};

use analyses::named::Named;
use analyses::path::{Branch, Excluded, Ways};
use serde::Serialize;
use snapshot::Snapshot;

use crate::table::{Align, Table};
use crate::{head, json, text, Style};

/// Rows of the first screen, so that all of it fits 24 lines.
pub const FIRST_SCREEN: usize = 14;
/// Deeper branches are not moved further to the right.
const INDENT_MOST: u32 = 12;

/// Coverage, what was asked for, the tree, and the next command.
pub fn table(
    out: &mut dyn Write,
    snapshot: &Snapshot,
    named: &[Named],
    ways: &Ways,
    limit: Option<usize>,
    style: &Style,
) -> io::Result<()> {
    head::write_brief(out, snapshot, style)?;
    writeln!(out)?;
    let words: Vec<&str> = named.iter().map(|n| n.text.as_str()).collect();
    head::write_cut(out, &format!("ways to:  {}, {}", text::escaped(&words.join(" ")), text::counted(ways.wanted, "object")), style)?;
    let mut table = Table::new(style, &[("objects", Align::Right), ("way", Align::Left)]);
    let rows: Vec<[String; 2]> = ways.biggest(limit).into_iter().filter_map(|place| ways.branches.get(place)).map(cells).collect();
    rows.iter().for_each(|row| table.fit(row));
    if !rows.is_empty() {
        table.header(out)?;
    }
    rows.iter().try_for_each(|row| table.row(out, row))?;
    let left = ways.branches.len() - rows.len();
    if left > 0 {
        table.row(out, &[String::new(), format!("… {} more (--limit 0 shows all)", text::grouped(left as u64))])?;
    }
    if ways.unreached > 0 {
        let line = format!("no way:   {}: what is excluded alone holds them", text::counted(ways.unreached, "object"));
        head::write_cut(out, &line, style)?;
    }
    writeln!(out, "next: {}", style.again.line("sizes", &words))
}

/// `  .ALL (list)`, `    […] × 1,995 (app.Session)`.
fn cells(branch: &Branch) -> [String; 2] {
    let many = if branch.holders > 1 { format!(" × {}", text::grouped(branch.holders)) } else { String::new() };
    let indent = "  ".repeat(branch.depth.min(INDENT_MOST) as usize);
    let (way, kind) = (text::escaped(&branch.text), text::escaped(&branch.type_name));
    [text::grouped(branch.objects), format!("{indent}{way}{many} ({kind})")]
}

/// One JSON object: schema `exuvia/path/1`.
pub fn json(
    out: &mut dyn Write,
    snapshot: &Snapshot,
    named: &[Named],
    excluded: &Excluded,
    ways: &Ways,
    limit: Option<usize>,
) -> io::Result<()> {
    let shown = ways.biggest(limit);
    let place = |above: u32| shown.binary_search(&(above as usize)).ok();
    let branches = shown.iter().filter_map(|at| ways.branches.get(*at));
    let answer = Answer {
        head: json::Head::new("exuvia/path/1", snapshot),
        what: named.iter().map(NamedJson::new).collect(),
        excluded_types: &excluded.types,
        excluded_names: &excluded.names,
        objects: ways.wanted,
        unreached: ways.unreached,
        branches: branches.map(|branch| BranchJson::new(branch, branch.above.and_then(place))).collect(),
    };
    json::line(out, &answer)
}

#[derive(Serialize)]
struct Answer<'s> {
    #[serde(flatten)]
    head: json::Head<'s>,
    what: Vec<NamedJson<'s>>,
    excluded_types: &'s [String],
    excluded_names: &'s [String],
    objects: u64,
    unreached: u64,
    branches: Vec<BranchJson<'s>>,
}

/// What a word named.
#[derive(Serialize)]
pub(crate) struct NamedJson<'s> {
    text: &'s str,
    kind: &'static str,
    objects: usize,
}

impl<'s> NamedJson<'s> {
    pub(crate) fn new(named: &'s Named) -> Self {
        NamedJson { text: &named.text, kind: named.kind.word(), objects: named.nodes.len() }
    }
}

/// A branch; it hangs from the branch `above`, by its place in the list.
#[derive(Serialize)]
struct BranchJson<'s> {
    above: Option<usize>,
    depth: u32,
    path: &'s str,
    steps: u64,
    hold: &'static str,
    #[serde(rename = "type")]
    type_name: &'s str,
    address: json::Hex,
    holders: u64,
    objects: u64,
    is_end: bool,
}

impl<'s> BranchJson<'s> {
    fn new(branch: &'s Branch, above: Option<usize>) -> Self {
        BranchJson {
            above,
            depth: branch.depth,
            path: &branch.text,
            steps: branch.steps,
            hold: branch.hold.word(),
            type_name: &branch.type_name,
            address: json::Hex(branch.address),
            holders: branch.holders,
            objects: branch.objects,
            is_end: branch.is_end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use analyses::named::NamedKind;
    use analyses::ownership::Hold;
    use memory::Addr;

    fn branch(above: Option<u32>, depth: u32, text: &str, type_name: &str, holders: u64, objects: u64) -> Branch {
        let (hold, address) = (Hold::Module, Addr(0x70 + objects));
        let (text, type_name) = (text.to_owned(), type_name.to_owned());
        Branch { above, depth, text, steps: 1, hold, type_name, holders, address, objects, is_end: depth == 1 }
    }

    fn ways() -> (Vec<Named>, Ways) {
        let branches = vec![
            branch(None, 0, "shop.CACHE", "dict", 1, 2001),
            branch(Some(0), 1, "[…]", "shop.Page", 2000, 2000),
            branch(Some(0), 1, ".\u{1b}[2J\u{202e}", "shop.Page", 1, 1),
            branch(None, 0, "thread 0x1: local page", "shop.Page", 1, 3),
        ];
        let named = Named { text: "shop.Page".into(), kind: NamedKind::Type, nodes: (0..2006).collect() };
        (vec![named], Ways { branches, wanted: 2006, unreached: 2 })
    }

    #[test]
    fn the_tree_is_shown_as_it_hangs_and_names_cannot_steer_the_terminal() {
        let (named, ways) = ways();
        let mut out = Vec::new();
        table(&mut out, &Snapshot::default(), &named, &ways, Some(3), &Style::default()).unwrap();
        let out = String::from_utf8(out).unwrap();
        let wanted = [
            "ways to:  shop.Page, 2,006 objects",
            "objects  way",
            "  2,001  shop.CACHE (dict)",
            "  2,000    […] × 2,000 (shop.Page)",
            "      3  thread 0x1: local page (shop.Page)",
            "         … 1 more (--limit 0 shows all)",
            "no way:   2 objects: what is excluded alone holds them",
            "next: exuvia sizes 0 shop.Page",
        ];
        assert_eq!(out.lines().skip(4).collect::<Vec<_>>(), wanted);
        let mut out = Vec::new();
        table(&mut out, &Snapshot::default(), &named, &ways, None, &Style::default()).unwrap();
        assert!(!String::from_utf8(out).unwrap().contains(['\u{1b}', '\u{202e}']));
    }

    #[test]
    fn programs_get_the_places_of_what_is_listed() {
        let (named, ways) = ways();
        let mut out = Vec::new();
        json(&mut out, &Snapshot::default(), &named, &Excluded::default(), &ways, None).unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&answer["schema"], &answer["unreached"]), (&"exuvia/path/1".into(), &2.into()));
        let above: Vec<Option<u64>> = answer["branches"].as_array().unwrap().iter().map(|b| b["above"].as_u64()).collect();
        assert_eq!(above, [None, Some(0), Some(0), None]);
    }
}
