//! `cycles`: reference cycles by shape, in both forms.

use std::io::{self, Write};

use analyses::cycles::{Cycles, Shape};
use serde::Serialize;
use snapshot::Snapshot;

use crate::explain::{written, PlaceJson};
use crate::{head, json, text, Style};

/// Shapes of the first screen, of three lines each, so that all of it fits 24 lines.
pub const FIRST_SCREEN: usize = 5;

/// Coverage, the shapes with the edge that breaks each, and the next command.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, cycles: &Cycles, limit: Option<usize>, style: &Style) -> io::Result<()> {
    head::write_brief(out, snapshot, style)?;
    writeln!(out)?;
    if cycles.shapes.is_empty() {
        writeln!(out, "no cycle among instances")?;
    }
    let shown = limit.unwrap_or(usize::MAX).min(cycles.shapes.len());
    cycles.shapes.iter().take(shown).try_for_each(|shape| rows(out, shape, style))?;
    if cycles.shapes.len() > shown {
        writeln!(out, "… {} (--limit 0 shows all)", text::counted((cycles.shapes.len() - shown) as u64, "more shape"))?;
    }
    writeln!(out)?;
    head::write_cut(
        out,
        &format!("left out: {} of the program's own code: classes, modules, namespaces", text::grouped(cycles.code_objects)),
        style,
    )?;
    match cycles.shapes.first().and_then(|shape| snapshot.objects.as_ref()?.addresses().get(shape.example as usize)) {
        Some(first) => writeln!(out, "next: {}", style.again.line("object", &[&first.to_string()])),
        None => writeln!(out, "next: {}", style.again.line("explain", &[])),
    }
}

fn rows(out: &mut dyn Write, shape: &Shape, style: &Style) -> io::Result<()> {
    let state = if shape.garbage { "garbage" } else { "alive" };
    let place = shape.places.first().map(|(_, place)| format!(", {}", written(place))).unwrap_or_default();
    let first = format!(
        "{:>9}  {} × {state}, {}{place}",
        shape.retained_bytes.to_string(),
        text::grouped(shape.count),
        text::counted(shape.objects, "object")
    );
    head::write_cut(out, &first, style)?;
    let width = style.width.map_or(usize::MAX, |width| width.saturating_sub(11));
    writeln!(out, "           {}", text::shortened(&text::escaped(&shape.shape), width))?;
    let broken = format!("break at {} ({})", text::escaped(&shape.break_at.edge), shape.break_at.why.advice());
    writeln!(out, "           {}", text::shortened(&broken, width))
}

/// One JSON object: schema `exuvia/cycles/1`.
pub fn json(out: &mut dyn Write, snapshot: &Snapshot, cycles: &Cycles, limit: Option<usize>) -> io::Result<()> {
    let shapes = cycles.shapes.iter().take(limit.unwrap_or(usize::MAX)).map(|shape| ShapeJson::new(snapshot, shape)).collect();
    json::line(out, &Answer { head: json::Head::new("exuvia/cycles/1", snapshot), shapes, code_objects: cycles.code_objects })
}

#[derive(Serialize)]
struct Answer<'s> {
    #[serde(flatten)]
    head: json::Head<'s>,
    shapes: Vec<ShapeJson<'s>>,
    code_objects: u64,
}

#[derive(Serialize)]
struct ShapeJson<'s> {
    shape: &'s str,
    count: u64,
    garbage: bool,
    retained_bytes: u64,
    objects: u64,
    break_at: &'s str,
    break_why: &'static str,
    break_how: &'static str,
    break_references: u64,
    breaks: u64,
    types: Vec<TypeJson<'s>>,
    #[serde(rename = "where")]
    places: Vec<ClassJson<'s>>,
    example: Option<json::Hex>,
}

#[derive(Serialize)]
struct TypeJson<'s> {
    #[serde(rename = "type")]
    type_name: &'s str,
    count: u64,
}

#[derive(Serialize)]
struct ClassJson<'s> {
    #[serde(rename = "type")]
    type_name: &'s str,
    #[serde(flatten)]
    place: PlaceJson<'s>,
}

impl<'s> ShapeJson<'s> {
    fn new(snapshot: &Snapshot, shape: &'s Shape) -> Self {
        ShapeJson {
            shape: &shape.shape,
            count: shape.count,
            garbage: shape.garbage,
            retained_bytes: shape.retained_bytes.0,
            objects: shape.objects,
            break_at: &shape.break_at.edge,
            break_why: shape.break_at.why.word(),
            break_how: shape.break_at.why.advice(),
            break_references: shape.break_at.references,
            breaks: shape.break_at.breaks,
            types: shape.types.iter().map(|(name, count)| TypeJson { type_name: name, count: *count }).collect(),
            places: shape.places.iter().map(|(name, place)| ClassJson { type_name: name, place: PlaceJson::new(place) }).collect(),
            example: snapshot.objects.as_ref().and_then(|o| o.addresses().get(shape.example as usize)).copied().map(json::Hex),
        }
    }
}

#[cfg(test)]
mod tests {
    use analyses::cycles::{Break, Why};
    use analyses::place::Place;
    use memory::Bytes;

    use super::*;

    fn two() -> Cycles {
        let shape = |garbage, count| Shape {
            tops: Vec::new(),
            shape: "app.Child .parent → app.Parent .children → list [] → app.Child".into(),
            count,
            garbage,
            retained_bytes: Bytes(2048),
            objects: count * 3,
            types: vec![("app.Child".into(), count)],
            break_at: Break { edge: "app.Child .parent → app.Parent".into(), why: Why::Back, references: count, breaks: count },
            places: vec![("app.Child".into(), Place { file: "/srv/app/model\x1b.py".into(), line: Some(9), near: true })],
            example: 0,
        };
        Cycles { shapes: vec![shape(true, 70), shape(false, 1)], code_objects: 1234 }
    }

    #[test]
    fn a_shape_is_told_in_three_lines_with_the_edge_to_break() {
        let mut out = Vec::new();
        table(&mut out, &Snapshot::default(), &two(), Some(1), &Style::default()).unwrap();
        let out = String::from_utf8(out).unwrap();
        let wanted = " 2.00 KiB  70 × garbage, 210 objects, near app/model\\u{1b}.py:9\n           \
                      app.Child .parent → app.Parent .children → list [] → app.Child\n           \
                      break at app.Child .parent → app.Parent (weakref.ref)\n… 1 more shape (--limit 0 shows all)\n\n\
                      left out: 1,234 of the program's own code: classes, modules, namespaces\n";
        assert!(out.contains(wanted), "{out}");
        let mut narrow = Vec::new();
        table(&mut narrow, &Snapshot::default(), &two(), None, &Style { width: Some(60), ..Style::default() }).unwrap();
        let narrow = String::from_utf8(narrow).unwrap();
        assert!(narrow.lines().filter(|line| !line.starts_with("next")).all(|line| text::width(line) <= 60), "{narrow}");
    }

    #[test]
    fn the_json_has_what_is_promised() {
        let mut out = Vec::new();
        json(&mut out, &Snapshot::default(), &two(), None).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["schema"], "exuvia/cycles/1");
        let first = &value["shapes"][0];
        assert_eq!((&first["count"], &first["garbage"], &first["retained_bytes"]), (&70.into(), &true.into(), &2048.into()));
        assert_eq!((&first["break_at"], &first["where"][0]["line"]), (&"app.Child .parent → app.Parent".into(), &9.into()));
    }
}
