//! `weakrefs`: weak references, weak containers and what pins them, in both forms.

use std::io::{self, Write};

use analyses::weakrefs::{Callbacks, Container, Holders, Pin, Referents, Sums, WeakRefs};
use serde::Serialize;
use snapshot::Snapshot;

use crate::explain::{written, PlaceJson};
use crate::table::{Align, Table};
use crate::{head, json, text, Style};

/// Rows of each list of the first screen, so that all of it fits 24 lines.
pub const FIRST_SCREEN: usize = 4;
/// Functions that are named in one line, and holders.
const NAMED: usize = 3;

/// Coverage, weak containers, weak references by referent and by holder, callbacks, and the next command.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, found: &WeakRefs, limit: Option<usize>, style: &Style) -> io::Result<()> {
    head::write_brief(out, snapshot, style)?;
    head::write_cut(out, &format!("weak:     {}", together(found)), style)?;
    writeln!(out)?;
    let shown = limit.unwrap_or(usize::MAX);
    containers(out, found, shown, style)?;
    writeln!(out)?;
    let columns = [("references", Align::Right), ("objects", Align::Right), ("their size", Align::Right), ("referents", Align::Left)];
    let rows: Vec<[String; 4]> = found.referents.iter().take(shown).map(referents).collect();
    listed(out, &columns, &rows, found.referents.len(), "more type", style)?;
    let named = if limit.is_some() { NAMED } else { usize::MAX };
    for line in [
        format!("held by:  {}", holders(&found.holders, named)),
        format!("callback: {}", callbacks(&found.callbacks, named)),
        format!("finalize: {}", callbacks(&found.finalizes, named)),
    ] {
        head::write_cut(out, &line, style)?;
    }
    match found.containers.iter().find(|c| !c.pins.is_empty()).and_then(|c| c.pins.first()) {
        Some(pin) if style.again.keeps_addresses() => writeln!(out, "next: {}", style.again.line("path", &[&pin.address.to_string()])),
        _ => writeln!(out, "next: {}", style.again.line("explain", &[])),
    }
}

/// `1,204 alive, 3 dead, 90 with a callback, 88.0 KiB`.
fn together(found: &WeakRefs) -> String {
    if !found.linked {
        return "not in this folder, which an earlier program wrote: take a new snapshot".to_owned();
    }
    let Sums { alive, dead, unknown, with_callback, bytes } = found.sums;
    let unknown = if unknown > 0 { format!(", {} to what was not found", text::grouped(unknown)) } else { String::new() };
    format!(
        "{} alive, {} dead{unknown}, {} with a callback, {bytes}",
        text::grouped(alive),
        text::grouped(dead),
        text::grouped(with_callback)
    )
}

fn containers(out: &mut dyn Write, found: &WeakRefs, shown: usize, style: &Style) -> io::Result<()> {
    let columns = [
        ("live", Align::Right),
        ("dead", Align::Right),
        ("own", Align::Right),
        ("referents", Align::Right),
        ("pinned", Align::Right),
        ("weak container", Align::Left),
    ];
    let rows: Vec<[String; 6]> = found.containers.iter().take(shown).map(container).collect();
    listed(out, &columns, &rows, found.containers.len() + found.more_containers as usize, "more container", style)
}

fn listed<const N: usize>(
    out: &mut dyn Write,
    columns: &[(&'static str, Align); N],
    rows: &[[String; N]],
    all: usize,
    more: &str,
    style: &Style,
) -> io::Result<()> {
    let mut table = Table::new(style, columns);
    rows.iter().for_each(|row| table.fit(row));
    table.header(out)?;
    rows.iter().try_for_each(|row| table.row(out, row))?;
    if all > rows.len() {
        writeln!(out, "… {} (--limit 0 shows all)", text::counted((all - rows.len()) as u64, more))?;
    }
    Ok(())
}

/// Its numbers; who pins most of it, or that it does so itself, stands behind its name.
fn container(c: &Container) -> [String; 6] {
    let or_unknown = |n: Option<u64>| n.map_or("?".to_owned(), text::grouped);
    let by = match (c.pins.first(), c.held_by_itself) {
        (Some(pin), itself) if pin.entries >= itself => format!(", by {}", text::escaped(&pin.path)),
        (_, 1..) => ", by its own entries".to_owned(),
        _ => String::new(),
    };
    let pinned = c.pins.iter().map(|pin| pin.entries).sum::<u64>() + c.held_by_itself;
    let (live, dead) = (or_unknown(c.live), or_unknown(c.dead));
    let name = format!("{}{by}", text::escaped(&c.path));
    [live, dead, c.own_bytes.to_string(), c.referents_bytes.to_string(), text::grouped(pinned), name]
}

fn referents(r: &Referents) -> [String; 4] {
    [text::grouped(r.sums.references()), text::grouped(r.objects), r.sums.bytes.to_string(), text::escaped(&r.type_name).into_owned()]
}

/// `2,000 in app.CACHE, 1,000 in app.Child.parent of 1,000, … 12 more`.
fn holders(all: &[Holders], most: usize) -> String {
    let one = |h: &Holders| {
        let of = if h.objects > 1 { format!(" of {}", text::grouped(h.objects)) } else { String::new() };
        format!("{} in {}{of}", text::grouped(h.sums.references()), text::escaped(&h.holder))
    };
    joined(all, most, one)
}

/// `300 of Feed.gone (app/feed.py:12), 20 hold what they wait for, … 2 more`.
fn callbacks(all: &[Callbacks], most: usize) -> String {
    let one = |c: &Callbacks| {
        let place = c.place.as_ref().map(|place| format!(" ({})", written(place))).unwrap_or_default();
        let holding = if c.holding > 0 { format!(", {} hold what they wait for", text::grouped(c.holding)) } else { String::new() };
        format!("{} of {}{place}{holding}", text::grouped(c.count), text::escaped(&c.function))
    };
    joined(all, most, one)
}

fn joined<T>(all: &[T], most: usize, one: impl Fn(&T) -> String) -> String {
    let mut parts: Vec<String> = all.iter().take(most).map(one).collect();
    if all.len() > most {
        parts.push(format!("… {} more", text::grouped((all.len() - most) as u64)));
    }
    if parts.is_empty() {
        return "none".to_owned();
    }
    parts.join(", ")
}

/// One JSON object: schema `exuvia/weakrefs/1`.
pub fn json(out: &mut dyn Write, snapshot: &Snapshot, found: &WeakRefs, limit: Option<usize>) -> io::Result<()> {
    let most = limit.unwrap_or(usize::MAX);
    let answer = Answer {
        head: json::Head::new("exuvia/weakrefs/1", snapshot),
        linked: found.linked,
        weak_references: SumsJson::new(&found.sums),
        containers: found.containers.iter().take(most).map(ContainerJson::new).collect(),
        containers_total: found.containers.len() as u64 + found.more_containers,
        referents: found.referents.iter().take(most).map(ReferentsJson::new).collect(),
        holders: found.holders.iter().take(most).map(HoldersJson::new).collect(),
        callbacks: found.callbacks.iter().take(most).map(CallbacksJson::new).collect(),
        finalize: found.finalizes.iter().take(most).map(CallbacksJson::new).collect(),
    };
    json::line(out, &answer)
}

#[derive(Serialize)]
struct Answer<'s> {
    #[serde(flatten)]
    head: json::Head<'s>,
    linked: bool,
    weak_references: SumsJson,
    containers: Vec<ContainerJson<'s>>,
    containers_total: u64,
    referents: Vec<ReferentsJson<'s>>,
    holders: Vec<HoldersJson<'s>>,
    callbacks: Vec<CallbacksJson<'s>>,
    finalize: Vec<CallbacksJson<'s>>,
}

#[derive(Serialize)]
struct SumsJson {
    alive: u64,
    dead: u64,
    unknown: u64,
    with_callback: u64,
    footprint_bytes: u64,
}

impl SumsJson {
    fn new(s: &Sums) -> Self {
        SumsJson { alive: s.alive, dead: s.dead, unknown: s.unknown, with_callback: s.with_callback, footprint_bytes: s.bytes.0 }
    }
}

#[derive(Serialize)]
struct ContainerJson<'s> {
    path: &'s str,
    #[serde(rename = "type")]
    type_name: &'s str,
    address: json::Hex,
    weak: &'static str,
    entries: u64,
    live: Option<u64>,
    dead: Option<u64>,
    own_footprint_bytes: u64,
    referents_bytes: u64,
    pins: Vec<PinJson<'s>>,
    held_by_itself: u64,
    held_by_itself_bytes: u64,
}

impl<'s> ContainerJson<'s> {
    fn new(c: &'s Container) -> Self {
        ContainerJson {
            path: &c.path,
            type_name: &c.type_name,
            address: json::Hex(c.address),
            weak: c.weak.word(),
            entries: c.entries,
            live: c.live,
            dead: c.dead,
            own_footprint_bytes: c.own_bytes.0,
            referents_bytes: c.referents_bytes.0,
            pins: c.pins.iter().map(PinJson::new).collect(),
            held_by_itself: c.held_by_itself,
            held_by_itself_bytes: c.held_by_itself_bytes.0,
        }
    }
}

#[derive(Serialize)]
struct PinJson<'s> {
    path: &'s str,
    #[serde(rename = "type")]
    type_name: &'s str,
    address: json::Hex,
    entries: u64,
    bytes: u64,
    through: Option<&'s str>,
}

impl<'s> PinJson<'s> {
    fn new(p: &'s Pin) -> Self {
        let (type_name, through) = (p.type_name.as_str(), p.through.as_deref());
        PinJson { path: &p.path, type_name, address: json::Hex(p.address), entries: p.entries, bytes: p.bytes.0, through }
    }
}

#[derive(Serialize)]
struct ReferentsJson<'s> {
    #[serde(rename = "type")]
    type_name: &'s str,
    objects: u64,
    references: u64,
    with_callback: u64,
    footprint_bytes: u64,
}

impl<'s> ReferentsJson<'s> {
    fn new(r: &'s Referents) -> Self {
        let Sums { with_callback, bytes, .. } = r.sums;
        ReferentsJson {
            type_name: &r.type_name,
            objects: r.objects,
            references: r.sums.references(),
            with_callback,
            footprint_bytes: bytes.0,
        }
    }
}

#[derive(Serialize)]
struct HoldersJson<'s> {
    holder: &'s str,
    #[serde(rename = "type")]
    type_name: &'s str,
    objects: u64,
    #[serde(flatten)]
    sums: SumsJson,
}

impl<'s> HoldersJson<'s> {
    fn new(h: &'s Holders) -> Self {
        HoldersJson { holder: &h.holder, type_name: &h.type_name, objects: h.objects, sums: SumsJson::new(&h.sums) }
    }
}

#[derive(Serialize)]
struct CallbacksJson<'s> {
    function: &'s str,
    #[serde(rename = "where")]
    place: Option<PlaceJson<'s>>,
    count: u64,
    holding: u64,
    pinning: u64,
    pinned_bytes: u64,
}

impl<'s> CallbacksJson<'s> {
    fn new(c: &'s Callbacks) -> Self {
        CallbacksJson {
            function: &c.function,
            place: c.place.as_ref().map(PlaceJson::new),
            count: c.count,
            holding: c.holding,
            pinning: c.pinning,
            pinned_bytes: c.pinned_bytes.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use analyses::weakrefs::Weak;
    use memory::{Addr, Bytes};

    use super::*;

    fn found() -> WeakRefs {
        let sums = |alive| Sums { alive, dead: 3, unknown: 0, with_callback: 2, bytes: Bytes(72 * alive) };
        let pin = Pin {
            path: "app.\u{202e}HISTORY".into(),
            type_name: "list".into(),
            address: Addr(0x10),
            entries: 1500,
            bytes: Bytes(3 << 20),
            through: None,
        };
        let cache = Container {
            path: "app.CACHE".into(),
            type_name: "weakref.WeakValueDictionary".into(),
            address: Addr(0x20),
            weak: Weak::Values,
            entries: 2003,
            live: Some(2000),
            dead: Some(3),
            own_bytes: Bytes(200 << 10),
            referents_bytes: Bytes(4 << 20),
            pins: vec![pin],
            held_by_itself: 0,
            held_by_itself_bytes: Bytes(0),
        };
        WeakRefs {
            linked: true,
            sums: sums(2100),
            containers: vec![cache.clone(), Container { path: "app.META".into(), pins: Vec::new(), held_by_itself: 7, ..cache }],
            referents: vec![Referents { type_name: "app.Page".into(), objects: 1000, sums: sums(2000) }],
            holders: vec![Holders { holder: "app.Child.parent".into(), type_name: "app.Child".into(), objects: 20, sums: sums(20) }],
            callbacks: vec![Callbacks { function: "gone".into(), count: 30, holding: 4, ..Callbacks::default() }],
            ..WeakRefs::default()
        }
    }

    #[test]
    fn the_table_has_containers_referents_holders_and_callbacks() {
        let mut out = Vec::new();
        table(&mut out, &Snapshot::default(), &found(), Some(1), &Style::default()).unwrap();
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = out.lines().skip(3).collect();
        let wanted = [
            "weak:     2,100 alive, 3 dead, 2 with a callback, 148 KiB",
            "",
            " live  dead      own  referents  pinned  weak container",
            "2,000     3  200 KiB   4.00 MiB   1,500  app.CACHE, by app.\\u{202e}HISTORY",
            "… 1 more container (--limit 0 shows all)",
            "",
            "references  objects  their size  referents",
            "     2,003    1,000     141 KiB  app.Page",
            "held by:  23 in app.Child.parent of 20",
            "callback: 30 of gone, 4 hold what they wait for",
            "finalize: none",
            "next: exuvia path 0 0x10",
        ];
        assert_eq!(lines, wanted, "{out}");
        let mut out = Vec::new();
        table(&mut out, &Snapshot::default(), &WeakRefs::default(), Some(FIRST_SCREEN), &Style::default()).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("not in this folder"));
    }

    #[test]
    fn the_json_has_everything() {
        let mut out = Vec::new();
        json(&mut out, &Snapshot::default(), &found(), None).unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(answer["schema"], "exuvia/weakrefs/1");
        let cache = &answer["containers"][0];
        assert_eq!((&cache["live"], &cache["pins"][0]["entries"], &cache["weak"]), (&2000.into(), &1500.into(), &"values".into()));
        assert_eq!((&answer["weak_references"]["dead"], &answer["callbacks"][0]["holding"]), (&3.into(), &4.into()));
    }
}
