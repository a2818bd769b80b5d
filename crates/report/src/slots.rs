//! `slots`: classes that slots would make smaller, in both forms.

use std::io::{self, Write};

use analyses::slots::{Slots, Unslotted};
use serde::Serialize;
use snapshot::Snapshot;

use crate::explain::{written, PlaceJson};
use crate::{head, json, text, Style};

/// Classes of the first screen, of three lines each, so that all of it fits 24 lines.
pub const FIRST_SCREEN: usize = 5;
/// Attributes that a line names.
const NAMED: usize = 12;

/// Coverage, the classes with what to write and what speaks against it, and the next command.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, slots: &Slots, limit: Option<usize>, style: &Style) -> io::Result<()> {
    head::write_brief(out, snapshot, style)?;
    writeln!(out)?;
    if slots.classes.is_empty() {
        writeln!(out, "no class with many instances that slots would make smaller")?;
    }
    let shown = limit.unwrap_or(usize::MAX).min(slots.classes.len());
    slots.classes.iter().take(shown).try_for_each(|class| rows(out, class, limit.is_none(), style))?;
    if slots.classes.len() > shown {
        let more = slots.classes.len() - shown;
        let what = if more == 1 { "more class" } else { "more classes" };
        writeln!(out, "… {} {what} (--limit 0 shows all, and all that speaks against it)", text::grouped(more as u64))?;
    }
    writeln!(out)?;
    match slots.classes.first() {
        Some(first) => writeln!(out, "next: {}", style.again.line("objects", &["--type", &first.type_name])),
        None => writeln!(out, "next: {}", style.again.line("explain", &[])),
    }
}

fn rows(out: &mut dyn Write, class: &Unslotted, all: bool, style: &Style) -> io::Result<()> {
    let place = class.place.as_ref().map(|place| format!(", {}", written(place))).unwrap_or_default();
    let each = class.present_bytes.0 as f64 / class.count.max(1) as f64;
    let first = format!(
        "{:>9}  {} {}, {each:.0} B each now, {} then{place}",
        class.saving_bytes.to_string(),
        text::grouped(class.count),
        text::escaped(&class.type_name),
        class.slotted_bytes,
    );
    head::write_cut(out, &first, style)?;
    let named = if class.attributes.len() > NAMED && !all {
        let names: Vec<&str> = class.attributes.iter().take(NAMED).map(|(name, _)| name.as_str()).collect();
        format!("__slots__ of {} attributes: {}, …", class.attributes.len(), names.join(", "))
    } else {
        class.advice()
    };
    head::write_cut(out, &format!("           {}", text::escaped(&named)), style)?;
    let against: Vec<String> = match class.against.as_slice() {
        [] => vec!["nothing speaks against it".to_owned()],
        some if all => some.iter().map(|one| format!("against: {one}")).collect(),
        some => vec![format!("against: {}", some.join("; "))],
    };
    against.iter().try_for_each(|line| head::write_cut(out, &format!("           {}", text::escaped(line)), style))
}

/// One JSON object: schema `exuvia/slots/1`.
pub fn json(out: &mut dyn Write, snapshot: &Snapshot, slots: &Slots, limit: Option<usize>) -> io::Result<()> {
    let classes = slots.classes.iter().take(limit.unwrap_or(usize::MAX)).map(ClassJson::new).collect();
    json::line(out, &Answer { head: json::Head::new("exuvia/slots/1", snapshot), classes })
}

#[derive(Serialize)]
struct Answer<'s> {
    #[serde(flatten)]
    head: json::Head<'s>,
    classes: Vec<ClassJson<'s>>,
}

#[derive(Serialize)]
struct ClassJson<'s> {
    #[serde(rename = "type")]
    type_name: &'s str,
    count: u64,
    saving_bytes: u64,
    present_bytes: u64,
    slotted_bytes_each: u64,
    attributes: Vec<&'s str>,
    attribute_counts: Vec<u64>,
    against: &'s [String],
    bases: &'s [String],
    is_dataclass: bool,
    advice: String,
    #[serde(rename = "where")]
    place: Option<PlaceJson<'s>>,
}

impl<'s> ClassJson<'s> {
    fn new(class: &'s Unslotted) -> Self {
        ClassJson {
            type_name: &class.type_name,
            count: class.count,
            saving_bytes: class.saving_bytes.0,
            present_bytes: class.present_bytes.0,
            slotted_bytes_each: class.slotted_bytes.0,
            attributes: class.attributes.iter().map(|(name, _)| name.as_str()).collect(),
            attribute_counts: class.attributes.iter().map(|(_, count)| *count).collect(),
            against: &class.against,
            bases: &class.bases,
            is_dataclass: class.is_dataclass,
            advice: class.advice(),
            place: class.place.as_ref().map(PlaceJson::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use analyses::place::Place;
    use memory::Bytes;

    use super::*;

    fn one() -> Slots {
        let class = Unslotted {
            type_index: 0,
            type_name: "app.Point".into(),
            count: 1000,
            saving_bytes: Bytes(104_000),
            present_bytes: Bytes(152_000),
            slotted_bytes: Bytes(48),
            attributes: vec![("x".into(), 1000), ("y".into(), 999)],
            against: vec!["2 different sets of attributes: every instance would pay for all 2".into(), "pickling\x1b".into()],
            bases: Vec::new(),
            is_dataclass: false,
            place: Some(Place { file: "/srv/app/model.py".into(), line: Some(9), near: true }),
        };
        Slots { classes: vec![class] }
    }

    #[test]
    fn a_class_is_told_with_what_to_write_and_what_speaks_against_it() {
        let mut out = Vec::new();
        table(&mut out, &Snapshot::default(), &one(), Some(5), &Style::default()).unwrap();
        let out = String::from_utf8(out).unwrap();
        let wanted = "  102 KiB  1,000 app.Point, 152 B each now, 48 B then, near app/model.py:9\n           \
                      __slots__ = (\"x\", \"y\")\n           \
                      against: 2 different sets of attributes: every instance would pay for all 2; pickling\\u{1b}\n";
        assert!(out.contains(wanted), "{out}");
    }

    #[test]
    fn the_json_has_what_is_promised() {
        let mut out = Vec::new();
        json(&mut out, &Snapshot::default(), &one(), None).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["schema"], "exuvia/slots/1");
        let first = &value["classes"][0];
        assert_eq!((&first["type"], &first["count"], &first["saving_bytes"]), (&"app.Point".into(), &1000.into(), &104_000.into()));
        assert_eq!((first["attributes"].to_string(), &first["where"]["line"]), (r#"["x","y"]"#.to_owned(), &9.into()));
    }
}
