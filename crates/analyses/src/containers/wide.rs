//! Strs of two or four bytes a character because of a few: an ellipsis, a dash, a symbol among letters.

use super::groups::{Groups, Key, One};
use super::{Kind, Look};
use crate::slots::rounded;

/// Shorter ones save little more than their head.
const LENGTH_LEAST: u64 = 24;
/// Few is at most one of so many.
const FEW: u64 = 20;
/// `PyBytesObject` with the zero at its end.
const BYTES: u64 = 33;

pub(super) fn count(look: &Look<'_, '_>, groups: &mut Groups) {
    for ((node, wide), (_, encoded)) in look.facts.wide.iter().zip(look.facts.encoded.iter()) {
        let length = look.length(node);
        let type_index = look.type_row(node);
        if length < LENGTH_LEAST || wide > (length / FEW).max(1) || look.ownership.type_row_name(type_index) != "str" {
            continue;
        }
        let Some(site) = look.sites.of_node(node) else { continue };
        let present = look.footprint(node);
        let saving = present.saturating_sub(rounded(BYTES + encoded));
        if saving > 0 {
            groups.add(Key { kind: Kind::Wide, type_index, site, extra: 0 }, One { node, present, saving, items: length, extra: wide });
        }
    }
}
