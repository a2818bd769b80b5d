//! Bytes that several findings would save are counted once.
//!
//! Holds: [`once`]. A saving is spread over the objects that it would be made at ([`Saves`]). Where an object of one finding is kept alive by
//! one of another, the part of its bytes that goes with the other anyhow is taken off the later one, and the evidence of both says so.
//! Never: drops bytes without a word. Bounded: one pass over the dominator tree; what stands above an object is followed from finding to
//! finding, never from object to object.

use std::cmp::Reverse;

use graph::Dominators;
use memory::Bytes;
use rustc_hash::FxHashMap;

use crate::finding::{Finding, Saves};
use crate::ownership::Ownership;

/// No object of a finding stands above.
const NONE: u32 = u32::MAX;

/// An object at which findings save bytes.
struct Anchor {
    /// The findings, each with the bytes that it saves here.
    by: Vec<(usize, u64)>,
    retained: u64,
    /// The next anchor above.
    above: u32,
}

/// Takes off each finding what those before it save already. Cycles come first, since they name the edge to change; then the biggest.
/// Of what then saves less than `least` only those on finalizers and on the collector are left: they tell of more than bytes.
pub(crate) fn once(ownership: &Ownership<'_>, findings: &mut Vec<Finding>, least: u64) {
    findings.sort_by_key(|f| (f.id != "cycles", Reverse(f.saving_bytes), f.known, f.title.clone()));
    if findings.len() < 2 {
        return;
    }
    let shared = shared(ownership, findings);
    let mut left: Vec<u64> = findings.iter().map(|f| f.saving_bytes.0).collect();
    let mut said: Vec<(usize, String)> = Vec::new();
    let mut pairs: Vec<((usize, usize), f64)> = shared.into_iter().collect();
    pairs.sort_by_key(|((earlier, later), _)| (*later, *earlier));
    for ((earlier, later), bytes) in pairs {
        let Some(slot) = left.get_mut(later) else { continue };
        let taken = (bytes.round() as u64).min(*slot);
        *slot -= taken;
        let titles = (findings.get(earlier), findings.get(later));
        if let (1.., (Some(first), Some(second))) = (taken, titles) {
            said.push((later, format!("; {taken} bytes more are counted in «{}»", first.title)));
            if *slot < least && !tells_more(second.id) {
                said.push((earlier, format!("; with it goes «{}»", second.title)));
            }
        }
    }
    for (place, text) in said {
        if let Some(finding) = findings.get_mut(place) {
            finding.evidence += &text;
        }
    }
    for (finding, left) in findings.iter_mut().zip(&left) {
        finding.saving_bytes = Bytes(*left);
    }
    findings.retain(|f| f.saving_bytes.0 >= least || tells_more(f.id));
}

/// Whether findings of a family tell of more than bytes: what is lost, what would free it.
fn tells_more(id: &str) -> bool {
    matches!(id, "finalizers" | "gc")
}

/// For each two findings, the earlier first, the bytes that both save.
fn shared(ownership: &Ownership<'_>, findings: &[Finding]) -> FxHashMap<(usize, usize), f64> {
    let mut anchors: Vec<Anchor> = Vec::new();
    // The anchor at each object; then the next one above it, itself included.
    let mut above = vec![NONE; ownership.retained.len()];
    let mut instances: FxHashMap<u32, (usize, f64)> = FxHashMap::default();
    for (place, finding) in findings.iter().enumerate() {
        match &finding.saves {
            Saves::At(objects) => {
                for &(node, bytes) in objects {
                    let Some(number) = above.get_mut(node as usize) else { continue };
                    if *number == NONE {
                        *number = anchors.len() as u32;
                        anchors.push(Anchor { by: Vec::new(), retained: ownership.retained(node).max(1), above: NONE });
                    }
                    if let Some(anchor) = anchors.get_mut(*number as usize) {
                        anchor.by.push((place, bytes));
                    }
                }
            }
            Saves::Nowhere => {}
            Saves::Instances { type_index, count } => {
                instances.insert(*type_index, (place, finding.saving_bytes.0 as f64 / (*count).max(1) as f64));
            }
        }
    }
    let mut sums: FxHashMap<(usize, usize), f64> = FxHashMap::default();
    let mut add = |one: usize, other: usize, bytes: f64| *sums.entry((one.min(other), one.max(other))).or_default() += bytes;
    // Parents come before children.
    for &node in ownership.tree.order() {
        let over = match ownership.tree.above(node) {
            Some(over) if over != Dominators::ROOT => above.get(over as usize).copied().unwrap_or(NONE),
            _ => NONE,
        };
        let Some(here) = above.get_mut(node as usize) else { continue };
        match anchors.get_mut(*here as usize) {
            Some(anchor) => anchor.above = over,
            None => *here = over,
        }
    }
    for anchor in &anchors {
        for (i, &(one, bytes)) in anchor.by.iter().enumerate() {
            for &(other, others) in anchor.by.iter().skip(i + 1).filter(|(other, _)| *other != one) {
                add(one, other, bytes.min(others) as f64);
            }
            over(&anchors, anchor.above, one, bytes as f64, &mut add);
        }
    }
    if !instances.is_empty() {
        for (type_index, above) in ownership.objects.type_indices().iter().zip(&above) {
            if let Some((place, each)) = instances.get(type_index).filter(|_| *above != NONE) {
                over(&anchors, *above, *place, *each, &mut add);
            }
        }
    }
    sums
}

/// What of the bytes that `one` saves below the anchor `from` goes with those findings that save at it, or further up.
fn over(anchors: &[Anchor], from: u32, one: usize, bytes: f64, add: &mut impl FnMut(usize, usize, f64)) {
    let mut number = from;
    while let Some(anchor) = anchors.get(number as usize) {
        let mut others = anchor.by.iter().filter(|(other, _)| *other != one).peekable();
        if others.peek().is_some() {
            others.for_each(|(other, saved)| add(one, *other, bytes * (*saved as f64 / anchor.retained as f64).min(1.0)));
            return;
        }
        number = anchor.above;
    }
}

#[cfg(test)]
mod tests {
    use snapshot::LinkKind;

    use super::*;
    use crate::finding::Sure;
    use crate::testing::Made;

    #[test]
    fn what_two_findings_save_is_counted_in_the_first() {
        let mut made = Made::default();
        let (_, globals) = made.module("app");
        let list = made.object("list", 100, 1);
        made.link(globals, list, LinkKind::Attribute, "LIST");
        let mut rows = Vec::new();
        for _ in 0..9 {
            let row = made.object("app.Row", 100, 1);
            made.link(list, row, LinkKind::Index, "");
            rows.push(row);
        }
        let elsewhere = made.object("app.Row", 100, 1);
        made.link(globals, elsewhere, LinkKind::Attribute, "ROW");
        let snapshot = made.snapshot();
        let ownership = Ownership::of(&snapshot).unwrap();
        let type_index = snapshot.types.iter().position(|t| t.name == "app.Row").unwrap() as u32;
        let finding = |id, title: &str, bytes, saves| Finding {
            id,
            title: title.to_owned(),
            saving_bytes: Bytes(bytes),
            known: Sure::Exact,
            place: None,
            evidence: String::new(),
            saves,
        };
        let slots = || finding("slots", "slots", 500, Saves::Instances { type_index, count: 10 });
        // Half of the list goes, and with it half of nine of the ten instances.
        let mut all = vec![slots(), finding("retained", "bound", 501, Saves::At(vec![(list, 500)]))];
        once(&ownership, &mut all, 1);
        let told: Vec<(&str, u64)> = all.iter().map(|f| (f.title.as_str(), f.saving_bytes.0)).collect();
        assert_eq!(told, [("bound", 501), ("slots", 275)]);
        assert_eq!(all[1].evidence, "; 225 bytes more are counted in «bound»");
        // The same bytes twice: the one on finalizers stays and saves nothing more, another goes and is named.
        let tops = || Saves::At(rows.iter().map(|row| (*row, 100)).collect());
        let mut all = vec![finding("finalizers", "late", 900, tops()), finding("cycles", "break", 900, tops()), slots()];
        once(&ownership, &mut all, 100);
        let told: Vec<(&str, u64)> = all.iter().map(|f| (f.title.as_str(), f.saving_bytes.0)).collect();
        assert_eq!(told, [("break", 900), ("late", 0)]);
        assert_eq!(all[0].evidence, "; with it goes «slots»");
    }
}
