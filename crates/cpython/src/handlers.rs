//! What a call that waits stands in: `try` with `finally`, `with`, `try` with `except`. What is in the first two runs when it goes.
//!
//! Holds: [`inside`]. To 3.10 a frame has a stack of its blocks; from 3.11 on the code has a table of handlers, and each handler is covered by
//! the one around it. What the compiler adds is no block: the handler around each generator that turns StopIteration (3.12+), those of await
//! and `async for`, and those that end an `except` clause. Bounded: by [`DEPTH_MOST`] and [`SCAN_MOST`].
//! Sources: `Objects/exception_handling_notes.txt`, `Python/compile.c` and `Python/ceval.c` of 3.8–3.13; numbers of instructions and the
//! units that caches take after them are in `layout/opcodes.txt`, as each interpreter's own `opcode` module says.

use std::sync::OnceLock;

use memory::{Addr, Memory};

use crate::heap::Heap;
use crate::layout::rules::FrameForm;
use crate::lines::bytes;

/// `CO_MAXBLOCKS`.
const BLOCKS_MOST: u64 = 20;
/// `PyTryBlock`: three ints.
const BLOCK_BYTES: u64 = 12;
/// Handlers around one another that are followed.
const DEPTH_MOST: usize = 64;
/// Instructions of a handler that are looked at for what it catches: an expression for classes takes few.
const SCAN_MOST: usize = 256;

/// What a call that waits stands in. In the order in which one is told where there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Inside {
    /// `try` … `finally`: it runs when the call goes.
    Finally,
    /// `with` or `async with`: its exit runs when the call goes.
    With,
    /// A `try` of which the handler does not say more.
    Try,
    /// `try` … `except`.
    Except,
}

/// What the frame of a call that waits stands in; `None` for no block.
pub fn inside(heap: &Heap<'_>, frame: Addr, code: Addr) -> Option<Inside> {
    let numbers = numbers(heap.layout.rules.opcodes)?;
    match heap.layout.rules.frames {
        FrameForm::Interpreter => by_table(heap, frame, code, numbers),
        form => by_blocks(heap, frame, code, numbers, if form == FrameForm::ObjectsStackDepth { 2 } else { 1 }),
    }
}

/// The instructions that tell handlers apart.
#[derive(Clone, Debug, Default)]
struct Numbers {
    push_exc_info: Option<u8>,
    /// Begins what ends a `with` by an exception.
    with: Option<u8>,
    checks: Vec<u8>,
    pop_top: Option<u8>,
    dup_top: Option<u8>,
    reraise: Option<u8>,
    load_const: Option<u8>,
    end_async_for: Option<u8>,
    setup_finally: Option<u8>,
    /// Units of caches after an instruction.
    caches: Vec<u8>,
}

/// By the minor number of the release.
fn numbers(minor: u32) -> Option<&'static Numbers> {
    static ALL: OnceLock<Vec<(u32, Numbers)>> = OnceLock::new();
    let all = ALL.get_or_init(|| include_str!("layout/opcodes.txt").lines().filter(|l| !l.starts_with('#')).filter_map(read).collect());
    all.iter().find(|(of, _)| *of == minor).map(|(_, numbers)| numbers)
}

/// `3.13 PUSH_EXC_INFO=33 … 91:4 …`.
fn read(line: &str) -> Option<(u32, Numbers)> {
    let mut words = line.split(' ');
    let minor = words.next()?.strip_prefix("3.")?.parse().ok()?;
    let mut numbers = Numbers { caches: vec![0; 256], ..Numbers::default() };
    for word in words {
        if let Some((number, units)) = word.split_once(':') {
            *numbers.caches.get_mut(number.parse::<usize>().ok()?)? = units.parse().ok()?;
            continue;
        }
        let (name, number) = word.split_once('=')?;
        let number: u8 = number.parse().ok()?;
        match name {
            "PUSH_EXC_INFO" => numbers.push_exc_info = Some(number),
            "WITH_EXCEPT_START" | "WITH_CLEANUP_START" => numbers.with = Some(number),
            "CHECK_EXC_MATCH" | "CHECK_EG_MATCH" => numbers.checks.push(number),
            "POP_TOP" => numbers.pop_top = Some(number),
            "DUP_TOP" => numbers.dup_top = Some(number),
            "RERAISE" => numbers.reraise = Some(number),
            "LOAD_CONST" => numbers.load_const = Some(number),
            "END_ASYNC_FOR" => numbers.end_async_for = Some(number),
            "SETUP_FINALLY" => numbers.setup_finally = Some(number),
            _ => {}
        }
    }
    Some((minor, numbers))
}

/// To 3.10: the blocks that the frame is in. `unit`: bytes that a handler's place counts.
fn by_blocks(heap: &Heap<'_>, frame: Addr, code: Addr, numbers: &Numbers, unit: usize) -> Option<Inside> {
    let at = |field| heap.layout.table.offset("PyFrameObject", field);
    let count = u64::try_from(heap.image.i32(frame + at("f_iblock")?).ok()?).ok().filter(|n| *n <= BLOCKS_MOST)?;
    let blocks = frame + at("f_blockstack")?;
    let code = bytes(heap, heap.image.addr(code + heap.layout.at.code.co_code?).ok()?)?;
    let block = |i: u64| {
        let (kind, handler) = (heap.image.i32(blocks + i * BLOCK_BYTES).ok()?, heap.image.i32(blocks + i * BLOCK_BYTES + 4).ok()?);
        if numbers.setup_finally.map(i32::from) != Some(kind) {
            return None;
        }
        let handler = code.get(usize::try_from(handler).ok()? * unit..)?;
        let first = handler.first().copied();
        if first == numbers.end_async_for || ends_except(handler, numbers) {
            None
        } else if first == numbers.with {
            Some(Inside::With)
        } else if first == numbers.dup_top || first == numbers.pop_top {
            Some(Inside::Except)
        } else {
            Some(Inside::Finally)
        }
    };
    (0..count).filter_map(block).min()
}

/// What ends `except … as e`: the name becomes None and is deleted.
fn ends_except(handler: &[u8], numbers: &Numbers) -> bool {
    let &[load, _, store, name, delete, same, ..] = handler else { return false };
    // STORE_NAME 90 and DELETE_NAME 91, STORE_GLOBAL 97 and 98, STORE_FAST 125 and 126, STORE_DEREF 137 and 138: to 3.10 always in pairs.
    Some(load) == numbers.load_const && [90, 97, 125, 137].contains(&store) && delete == store + 1 && name == same
}

/// 3.11+: the handler of the instruction, the handler of that handler, and so on.
fn by_table(heap: &Heap<'_>, frame: Addr, code: Addr, numbers: &Numbers) -> Option<Inside> {
    let f = &heap.layout.at.code;
    let layout = &heap.layout.table;
    let field = |name| layout.offset("_PyInterpreterFrame", name);
    let start = code + f.co_code_adaptive?;
    // 3.12 and older keep the instruction itself, newer ones the next.
    let (offset, is_next) = match (field("prev_instr"), field("instr_ptr")) {
        (Some(at), _) => (at, 0),
        (None, at) => (at?, 1),
    };
    let instruction = heap.image.addr(frame + offset).ok()?.0.checked_sub(start.0)? / 2;
    let mut at = instruction.checked_sub(is_next)?;
    let table = bytes(heap, heap.image.addr(code + f.co_exceptiontable?).ok()?)?;
    let mut found: Option<Inside> = None;
    for _ in 0..DEPTH_MOST {
        let Some(handler) = handler_of(table, at) else { break };
        let units = heap.image.slice(start + handler * 2, 2).ok().map(|_| ());
        let kind = units.and_then(|()| told(heap, start + handler * 2, numbers));
        found = [found, kind].into_iter().flatten().min();
        if handler == at {
            break;
        }
        at = handler;
    }
    found
}

/// Where the handler of an instruction is, in units.
fn handler_of(table: &[u8], at: u64) -> Option<u64> {
    let mut rest = table;
    while !rest.is_empty() {
        let mut fields = [0u64; 4];
        for field in &mut fields {
            // Groups of six bits, the highest first; bit 6 says that more follow, bit 7 that an entry begins.
            loop {
                let (&byte, after) = rest.split_first()?;
                rest = after;
                *field = field.checked_mul(64)? | u64::from(byte & 63);
                if byte & 64 == 0 {
                    break;
                }
            }
        }
        let [start, length, target, _] = fields;
        if (start..start.saturating_add(length)).contains(&at) {
            return Some(target);
        }
    }
    None
}

/// What a handler is for; `None` for one that the compiler added.
fn told(heap: &Heap<'_>, handler: Addr, numbers: &Numbers) -> Option<Inside> {
    let unit = |i: usize| heap.image.slice(handler + i as u64 * 2, 2).ok().and_then(|unit| Some((*unit.first()?, *unit.get(1)?)));
    if Some(unit(0)?.0) != numbers.push_exc_info {
        return None;
    }
    let (second, _) = unit(1)?;
    if Some(second) == numbers.with {
        return Some(Inside::With);
    }
    if Some(second) == numbers.pop_top {
        return Some(Inside::Except);
    }
    // An expression for the classes that are caught, and the check; the body of a `finally` ends otherwise.
    let mut at = 1;
    for _ in 0..SCAN_MOST {
        let Some((number, _)) = unit(at) else { return Some(Inside::Try) };
        if numbers.checks.contains(&number) {
            return Some(Inside::Except);
        }
        if Some(number) == numbers.reraise || Some(number) == numbers.pop_top || Some(number) == numbers.push_exc_info {
            return Some(Inside::Finally);
        }
        at += 1 + numbers.caches.get(usize::from(number)).copied().map_or(0, usize::from);
    }
    Some(Inside::Try)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_release_has_its_numbers() {
        for minor in 8..=15 {
            let n = numbers(minor).unwrap();
            assert!(n.with.is_some() && n.pop_top.is_some() && n.end_async_for.is_some() && n.load_const.is_some(), "3.{minor}");
            let by_table = n.push_exc_info.is_some() && n.checks.len() == 2 && n.reraise.is_some() && n.caches.iter().any(|c| *c > 0);
            assert_eq!((by_table, n.setup_finally.is_some()), (minor >= 11, minor < 11), "3.{minor}");
        }
    }

    #[test]
    fn entries_of_the_table_are_numbers_of_six_bits() {
        // 3 to 8 → 70 (two groups), 10 to 11 → 3.
        let table = [0x80 | 3, 5, 64 | 1, 6, 0, 0x80 | 10, 1, 3, 1];
        assert_eq!([2, 3, 7, 8, 10, 11].map(|at| handler_of(&table, at)), [None, Some(70), Some(70), None, Some(3), None]);
        assert_eq!(handler_of(&[0x80 | 3, 64], 3), None);
    }
}
