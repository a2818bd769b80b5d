//! What is left when allocators and stacks have theirs: files, shared memory, other allocators, buffers, what libraries mapped for
//! themselves, and the unknown.
//!
//! Sources: proc_pid_maps(5); elf(5) for what follows a file's last mapping (.bss).

use memory::{Addr, Mapping, Residency};
use rustc_hash::FxHashSet;
use snapshot::Part;

use super::claims::Claims;
use super::libraries::Begun;
use super::{Asked, ByType, Shares, Sum};
use crate::outside::bss_end;
use crate::reach::Reached;
use crate::worker::Piece;

/// Gives the rest of every mapping to a share.
pub(super) fn rest(asked: Asked<'_, '_, '_>, claims: &mut Claims, shares: &mut Shares) {
    let Asked { reached, residency, pieces, names } = asked;
    let maps: Vec<Mapping> = residency.mappings.iter().map(|(m, _)| m.clone()).collect();
    let bss = bss(reached, residency, &maps, claims, shares);
    let programs: FxHashSet<(u64, &str)> = maps.iter().filter(|m| m.exec && m.inode != 0).map(|m| (m.inode, m.path.as_str())).collect();
    let allocator = alloc::other::name(&maps);
    let data = maps.iter().filter(|m| m.inode != 0 && m.write && !m.shared).map(|m| (m.start, m.end, m));
    let statics = bss.into_iter().chain(data).filter(|(_, _, file)| programs.contains(&(file.inode, file.path.as_str())));
    let statics: Vec<(Addr, Addr, &str)> = statics.map(|(start, end, file)| (start, end, file.path.as_str())).collect();
    // Another allocator knows its mappings in the same way.
    let begun = if allocator.is_none() { Begun::read(&statics, &maps, reached.world().source.image) } else { Begun::default() };
    let mut counter = residency.counter();
    let mut owned = ByType::default();
    for (mapping, sums) in &residency.mappings {
        if sums.rss == 0 {
            continue;
        }
        let anonymous = !mapping.shared && mapping.inode == 0 && (mapping.path.is_empty() || mapping.path == "[heap]");
        let free = claims.take(mapping.start, mapping.end);
        let parts = free.into_iter().flat_map(|(start, end)| match anonymous {
            true => begun.parts(start, end),
            false => vec![(start, end, None)],
        });
        for (start, end, library) in parts {
            let mut objects = ByType::default();
            if anonymous {
                owned_here(pieces, start, end, &mut counter, &mut objects);
            }
            let mut counted = counter.count(start, end);
            let theirs = objects.total();
            counted.resident = counted.resident.saturating_sub(theirs.counted.resident);
            counted.shared = counted.shared.saturating_sub(theirs.counted.shared);
            counted.huge = counted.huge.saturating_sub(theirs.counted.huge);
            let mut sum = Sum::default();
            sum.add((end.0 - start.0).saturating_sub(theirs.bytes), counted);
            owned.merge(&objects);
            let (part, name) = library.map_or_else(|| kind(mapping, &programs, allocator), |path| (Part::LibraryMappings, path));
            shares.add(part, name, &sum);
        }
    }
    let part = if allocator.is_some() { Part::AllocatorObjects } else { Part::Buffers };
    owned.into_shares(part, names, shares);
}

/// What objects own of a range that no allocator known here has.
fn owned_here(pieces: &[Piece], start: Addr, end: Addr, counter: &mut memory::Counter<'_>, owned: &mut ByType) {
    let first = pieces.partition_point(|piece| piece.at < start);
    let mut behind = start;
    for piece in pieces.get(first..).unwrap_or(&[]).iter().take_while(|piece| piece.at < end) {
        let from = piece.at.max(behind);
        let to = Addr(piece.at.0.saturating_add(piece.bytes)).min(end);
        if from < to {
            owned.add(piece.type_index, to.0 - from.0, counter.count(from, to));
            behind = to;
        }
    }
}

/// Zero-initialized data stands behind a file's last mapping; all of it, with the file's.
fn bss<'m>(
    reached: &Reached<'_, '_>,
    residency: &Residency,
    maps: &'m [Mapping],
    claims: &mut Claims,
    shares: &mut Shares,
) -> Vec<(Addr, Addr, &'m Mapping)> {
    let mut all = Vec::new();
    let image = reached.world().source.image;
    let mut counter = residency.counter();
    for (i, pair) in maps.windows(2).enumerate() {
        let [a, b] = pair else { continue };
        if a.inode == 0 || !a.write || b.inode != 0 || !b.write || !b.path.is_empty() || a.end != b.start {
            continue;
        }
        let Some(end) = bss_end(maps.get(..=i).unwrap_or(&[]), a.inode, image) else { continue };
        all.push((b.start, Addr(end).min(b.end), a));
        let mut sum = Sum::default();
        for (start, end) in claims.take(b.start, Addr(end).min(b.end)) {
            sum.add(end.0 - start.0, counter.count(start, end));
        }
        shares.add(Part::Files, &a.path, &sum);
    }
    all
}

fn kind<'m>(m: &'m Mapping, programs: &FxHashSet<(u64, &str)>, allocator: Option<&'static str>) -> (Part, &'m str) {
    let path = m.path.as_str();
    if path.starts_with("[v") {
        return (Part::Kernel, path);
    }
    let in_memory = ["/dev/shm/", "/memfd:", "/SYSV", "/dev/zero", "/i915", "/anon_hugepage"].iter().any(|start| path.starts_with(start));
    if m.shared && (in_memory || m.inode == 0) {
        return (Part::SharedMemory, path);
    }
    if m.inode != 0 && !in_memory {
        let program = programs.contains(&(m.inode, path));
        return (if program { Part::Files } else { Part::FileMappings }, path);
    }
    match allocator {
        Some(name) => (Part::AllocatorOther, name),
        None if path == "[heap]" => (Part::Unknown, "heap"),
        None => (Part::Unknown, "anonymous"),
    }
}
