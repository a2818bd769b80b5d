//! `sizes`: how big something is, in both forms.

use std::io::{self, Write};

use analyses::named::Named;
use analyses::sizes::{Amount, Sizes};
use serde::Serialize;
use snapshot::Snapshot;

use crate::path::NamedJson;
use crate::table::{Align, Table};
use crate::{head, json, text, Style};

/// Coverage, four lines for each thing, the same for all together, and the next command.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, each: &[(Named, Sizes)], together: Option<&Sizes>, style: &Style) -> io::Result<()> {
    head::write_brief(out, snapshot, style)?;
    for (named, sizes) in each {
        let many = if named.nodes.len() > 1 { format!(", {} together", text::grouped(named.nodes.len() as u64)) } else { String::new() };
        part(out, &format!("{}{many}", named.text), sizes, style)?;
    }
    if let Some(together) = together {
        part(out, "all of them together", together, style)?;
    }
    writeln!(out)?;
    match each.first() {
        Some((named, _)) => writeln!(out, "next: {}", style.again.line("path", &[&named.text])),
        None => writeln!(out, "next: {}", style.again.line("retained", &[])),
    }
}

fn part(out: &mut dyn Write, title: &str, sizes: &Sizes, style: &Style) -> io::Result<()> {
    writeln!(out)?;
    head::write_cut(out, &text::escaped(title), style)?;
    let mut table = Table::new(style, &[("         ", Align::Left), ("size", Align::Right), ("objects", Align::Right), ("", Align::Left)]);
    let row = |word: &str, amount: Amount, meaning: &str| -> [String; 4] {
        [word.to_owned(), amount.bytes.to_string(), text::grouped(amount.objects), meaning.to_owned()]
    };
    let rows = [
        row("own", sizes.own, "what sys.getsizeof says"),
        row("footprint", sizes.footprint, "what the allocators spend"),
        row("deep", sizes.deep, "with all that is reached, but no classes, modules, code"),
        row("retained", sizes.retained, "what would go if it went"),
    ];
    rows.iter().for_each(|row| table.fit(row));
    rows.iter().try_for_each(|row| table.row(out, row))
}

/// One JSON object: schema `exuvia/sizes/1`.
pub fn json(out: &mut dyn Write, snapshot: &Snapshot, each: &[(Named, Sizes)], together: Option<&Sizes>) -> io::Result<()> {
    let answer = Answer {
        head: json::Head::new("exuvia/sizes/1", snapshot),
        sizes: each.iter().map(|(named, sizes)| Row { what: NamedJson::new(named), sizes: SizesJson::new(sizes) }).collect(),
        together: together.map(SizesJson::new),
    };
    json::line(out, &answer)
}

#[derive(Serialize)]
struct Answer<'s> {
    #[serde(flatten)]
    head: json::Head<'s>,
    sizes: Vec<Row<'s>>,
    together: Option<SizesJson>,
}

#[derive(Serialize)]
struct Row<'s> {
    what: NamedJson<'s>,
    #[serde(flatten)]
    sizes: SizesJson,
}

#[derive(Serialize)]
struct SizesJson {
    own_bytes: u64,
    footprint_bytes: u64,
    deep_bytes: u64,
    deep_objects: u64,
    retained_bytes: u64,
    retained_objects: u64,
}

impl SizesJson {
    fn new(sizes: &Sizes) -> Self {
        SizesJson {
            own_bytes: sizes.own.bytes.0,
            footprint_bytes: sizes.footprint.bytes.0,
            deep_bytes: sizes.deep.bytes.0,
            deep_objects: sizes.deep.objects,
            retained_bytes: sizes.retained.bytes.0,
            retained_objects: sizes.retained.objects,
        }
    }
}
