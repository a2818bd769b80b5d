//! Stacks: of the main thread, of other threads, of threads that ended; and evaluation stacks of Python.
//!
//! Sources: glibc's nptl/allocatestack.c (a stack is mapped with a guard below, its thread's control block at its top, and is
//! kept for the next thread when its own has ended), sysdeps/x86_64/nptl/tls.h (`tcbhead_t`: `tcb` and `self` are its own
//! address), `_PyStackChunk` in Include/cpython/pystate.h (3.11+).

use cpython::roots;
use memory::{Addr, Mapping, Memory, Residency};
use snapshot::Part;

use super::claims::Claims;
use super::{Shares, Sum};
use crate::reach::Reached;

/// `struct pthread` has its stack's address and size within its first bytes (0x690 in glibc 2.31, 0x698 in 2.41).
const PTHREAD_BYTES: u64 = 0xa00;
/// A control block stands at most so far below the end of its stack.
const CONTROL_BLOCK_MOST: u64 = 0x2000;
/// A stack's control block is looked for in at most so many bytes.
const SEARCH_MOST: u64 = 1 << 30;
/// Mappings up to this size are looked at for the first thread's control block.
const LOADER_MOST: u64 = 256 << 10;
/// Chunks of a thread's evaluation stack that are followed.
const CHUNKS_MOST: usize = 1 << 20;
const PAGE: u64 = 4096;

/// Gives stacks to their shares.
pub(super) fn find(reached: &Reached<'_, '_>, residency: &Residency, claims: &mut Claims, shares: &mut Shares) {
    frame_stacks(reached, residency, claims, shares);
    let mut counter = residency.counter();
    let mut below: Option<&Mapping> = None;
    for (mapping, sums) in &residency.mappings {
        let guard = below.filter(|m| m.end == mapping.start && !m.read && !m.write && m.inode == 0);
        below = Some(mapping);
        if sums.rss == 0 || !mapping.write || mapping.inode != 0 || mapping.shared {
            continue;
        }
        if mapping.path == "[stack]" {
            let name = name_of(residency, mapping.start, mapping.end).unwrap_or("main thread");
            claims.take(mapping.start, mapping.end);
            let mut sum = Sum::default();
            sum.add(mapping.len(), counter.count(mapping.start, mapping.end));
            shares.add(Part::Stacks, name, &sum);
            continue;
        }
        let image = reached.world().source.image;
        // Most of a stack was never touched. What is in swap is in the copy too.
        let parts = match sums.swap {
            0 => counter.parts(mapping.start, mapping.end),
            _ => vec![(mapping.start, mapping.end)],
        };
        let found = match guard {
            Some(guard) => stack_above(image, guard, mapping, &parts).map(|end| (end, true)),
            None if mapping.len() <= LOADER_MOST => control_block(image, &parts, mapping.start, mapping.end).map(|_| (mapping.end, false)),
            None => None,
        };
        let Some((end, is_stack)) = found else { continue };
        let mut sum = Sum::default();
        for (start, end) in claims.take(mapping.start, end.min(mapping.end)) {
            sum.add(end.0 - start.0, counter.count(start, end));
        }
        match name_of(residency, mapping.start, end) {
            Some(name) if is_stack => shares.add(Part::Stacks, name, &sum),
            // Where a thread's stack pointer was not told, this may be its stack.
            None if is_stack && residency.threads.iter().any(|t| t.pointer.is_none()) => shares.add(Part::Stacks, "", &sum),
            None if is_stack => shares.add(Part::KeptStacks, "", &sum),
            _ => shares.add(Part::Loader, "", &sum),
        }
    }
}

/// The thread whose stack pointer lies in a range.
fn name_of(residency: &Residency, start: Addr, end: Addr) -> Option<&str> {
    residency.threads.iter().find(|t| t.pointer.is_some_and(|at| start <= at && at < end)).map(|t| t.name.as_str())
}

/// Where the stack ends that begins at a guard; other memory may follow it in the same mapping.
fn stack_above(image: &memory::Image<'_>, guard: &Mapping, mapping: &Mapping, parts: &[(Addr, Addr)]) -> Option<Addr> {
    let end = Addr(mapping.end.0.min(mapping.start.0.saturating_add(SEARCH_MOST)));
    let mut from = mapping.start;
    while let Some(block) = control_block(image, parts, from, end) {
        for offset in (0..PTHREAD_BYTES).step_by(8) {
            let (Ok(start), Ok(bytes)) = (image.u64(block + offset), image.u64(block + offset + 8)) else { break };
            let Some(stack_end) = start.checked_add(bytes) else { continue };
            let near = stack_end > block.0 && stack_end - block.0 <= CONTROL_BLOCK_MOST;
            if guard.start.0 <= start && start <= mapping.start.0 && stack_end % PAGE == 0 && near {
                return Some(Addr(stack_end));
            }
        }
        from = block + 64;
    }
    None
}

/// The first thread control block from `from` to `to` in any of `parts`: it begins with its own address and has it again two words on.
fn control_block(image: &memory::Image<'_>, parts: &[(Addr, Addr)], from: Addr, to: Addr) -> Option<Addr> {
    let first = parts.partition_point(|part| part.1 <= from);
    let parts = parts.get(first..).unwrap_or(&[]).iter().take_while(|part| part.0 < to);
    parts.map(|part| (part.0.max(from), part.1.min(to))).find_map(|(start, end)| block_in(image, start, end))
}

fn block_in(image: &memory::Image<'_>, start: Addr, end: Addr) -> Option<Addr> {
    let bytes = image.slice(start, end.0.saturating_sub(start.0) as usize).ok()?;
    let word = |at: usize| bytes.get(at..at + 8).and_then(|w| w.try_into().ok()).map(u64::from_le_bytes);
    // Aligned to 64 bytes in all builds for x86-64 (TCB_ALIGNMENT), to 16 at least.
    let first = (memory::rounded_up(start.0, 16) - start.0) as usize;
    (first..bytes.len())
        .step_by(16)
        .find(|&at| {
            let own = start.0 + at as u64;
            word(at) == Some(own) && word(at + 16) == Some(own)
        })
        .map(|at| start + at as u64)
}

/// Chunks of evaluation stacks, 3.11+: `previous`, `size`, `top`, and data.
fn frame_stacks(reached: &Reached<'_, '_>, residency: &Residency, claims: &mut Claims, shares: &mut Shares) {
    let world = reached.world();
    let heap = &world.heap;
    let Some(first) = heap.layout.table.offset("_ts", "datastack_chunk") else { return };
    let mut counter = residency.counter();
    let mut sum = Sum::default();
    for &interpreter in &world.interpreters {
        for thread in roots::threads(heap, interpreter).all {
            let mut at = heap.image.addr(thread.at + first).unwrap_or(Addr::NULL);
            for _ in 0..CHUNKS_MOST {
                let (false, Ok(bytes)) = (at.is_null(), heap.image.u64(at + 8)) else { break };
                if bytes % PAGE != 0 || at.0 % PAGE != 0 || at.0.checked_add(bytes).is_none() {
                    break;
                }
                for (start, end) in claims.take(at, at + bytes) {
                    sum.add(end.0 - start.0, counter.count(start, end));
                }
                at = heap.image.addr(at).unwrap_or(Addr::NULL);
            }
        }
    }
    shares.add(Part::FrameStacks, "", &sum);
}
