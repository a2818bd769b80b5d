//! The line that a frame is on: its last instruction, and the table of its code that says which line that is of.
//!
//! Holds: [`current_line`] and the three forms of the table. Never: columns, which the newest form has too.
//! Sources: `Objects/lnotab_notes.txt` to 3.10, `Objects/locations.md` and `Objects/codeobject.c` (`PyCode_Addr2Line`) of 3.8–3.13;
//! `Include/internal/pycore_frame.h` (`_PyInterpreterFrame_LASTI`).

use memory::{Addr, Memory};

use crate::heap::Heap;
use crate::layout::rules::FrameForm;
use crate::layout::Fields;
use crate::roots::frame_code;

/// Longest table that is believed.
const TABLE_BOUND: u64 = 1 << 26;
/// Bytes of a code unit, in which 3.10 counts and tables from 3.11 on.
const UNIT: i64 = 2;

/// The line that a frame of either form is on; `None` where its instruction has none, as some that the compiler adds.
pub fn current_line(heap: &Heap<'_>, frame: Addr) -> Option<u32> {
    let code = frame_code(heap, frame).ok().filter(|code| !code.is_null())?;
    let f = &heap.layout.at.code;
    let first = i64::from(heap.image.i32(code + f.co_firstlineno).ok()?);
    let table = |field: Option<u64>| bytes(heap, heap.image.addr(code + field?).ok()?);
    let layout = &heap.layout.table;
    let line = match heap.layout.rules.frames {
        FrameForm::ObjectsStackTop => by_pairs(table(f.co_lnotab)?, first, last_instruction(heap, frame)?),
        FrameForm::ObjectsStackDepth => by_ranges(table(f.co_linetable)?, first, last_instruction(heap, frame)? * UNIT),
        FrameForm::Interpreter => {
            let field = |name| layout.offset("_PyInterpreterFrame", name);
            let at = heap.image.addr(frame + field("prev_instr").or_else(|| field("instr_ptr"))?).ok()?;
            by_locations(table(f.co_linetable)?, first, at.0.wrapping_sub(code.0.wrapping_add(f.co_code_adaptive?)) as i64)
        }
    };
    u32::try_from(line?).ok()
}

/// `f_lasti`, negative before the first.
pub(crate) fn last_instruction(heap: &Heap<'_>, frame: Addr) -> Option<i64> {
    heap.image.i32(frame + heap.layout.table.offset("PyFrameObject", "f_lasti")?).ok().map(i64::from)
}

/// The contents of a bytes object.
pub(crate) fn bytes<'m>(heap: &Heap<'m>, at: Addr) -> Option<&'m [u8]> {
    let n = heap.image.u64(at + Fields::OB_SIZE).ok().filter(|n| *n <= TABLE_BOUND)?;
    if n == 0 {
        return Some(&[]);
    }
    heap.image.slice(at + heap.layout.at.bytes.ob_sval, n as usize).ok()
}

/// To 3.9: pairs of steps, in bytes of code and in lines.
fn by_pairs(table: &[u8], first: i64, at: i64) -> Option<i64> {
    let (mut address, mut line) = (0, first);
    for pair in table.chunks_exact(2) {
        address += i64::from(pair[0]);
        if address > at {
            break;
        }
        line += i64::from(pair[1] as i8);
    }
    Some(line)
}

/// 3.10: ranges, each with its length in bytes and a step in lines; -128 for a range without a line.
fn by_ranges(table: &[u8], first: i64, at: i64) -> Option<i64> {
    if at < 0 {
        return Some(first);
    }
    let (mut end, mut line) = (0, first);
    for range in table.chunks_exact(2) {
        end += i64::from(range[0]);
        let known = range[1] as i8 != i8::MIN;
        if known {
            line += i64::from(range[1] as i8);
        }
        if at < end {
            return known.then_some(line);
        }
    }
    None
}

/// 3.11+: entries whose first byte alone has its highest bit set: a form, a length in code units, and a step in lines that is
/// written in one of five ways.
fn by_locations(table: &[u8], first: i64, at: i64) -> Option<i64> {
    if at < 0 {
        return Some(first);
    }
    let (mut end, mut line) = (0, first);
    let mut rest = table;
    while let Some((&head, after)) = rest.split_first() {
        let length = after.iter().position(|b| b & 0x80 != 0).unwrap_or(after.len());
        let (operands, next) = after.split_at_checked(length)?;
        rest = next;
        let form = head >> 3 & 15;
        let step = match form {
            // Short forms: on the same line.
            0..=9 => Some(0),
            10..=12 => Some(i64::from(form) - 10),
            13 | 14 => Some(signed(operands)),
            _ => None,
        };
        line += step.unwrap_or(0);
        end += (i64::from(head & 7) + 1) * UNIT;
        if at < end {
            return step.map(|_| line);
        }
    }
    None
}

/// A signed number in groups of six bits, the lowest first; the lowest bit is the sign.
fn signed(bytes: &[u8]) -> i64 {
    let mut value = 0i64;
    for (i, b) in bytes.iter().take(6).enumerate() {
        value |= i64::from(b & 63) << (6 * i);
        if b & 64 == 0 {
            break;
        }
    }
    if value & 1 == 1 {
        -(value >> 1)
    } else {
        value >> 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_step_forward_and_back() {
        // Steps of more than 255 bytes or 127 lines take several pairs.
        let table = [4, 1, 255, 0, 1, 127, 0, 3, 2, 0xfe];
        let found: Vec<_> = [-1, 0, 3, 4, 259, 260, 261, 262, 9999].map(|at| by_pairs(&table, 10, at).unwrap_or(0)).to_vec();
        assert_eq!(found, [10, 10, 10, 11, 11, 141, 141, 139, 139]);
    }

    #[test]
    fn ranges_may_have_no_line() {
        let table = [4, 0, 2, 0x80, 6, 5];
        assert_eq!(
            [-2, 0, 2, 4, 6, 10, 12].map(|at| by_ranges(&table, 7, at)),
            [Some(7), Some(7), Some(7), None, Some(12), Some(12), None]
        );
    }

    #[test]
    fn locations_of_every_form() {
        let table = [
            0x80 | 1,
            0x11, // short, 2 units, same line
            0x80 | 11 << 3,
            3,
            9, // one line further, 1 unit
            0x80 | 13 << 3,
            0x05,               // 2 lines back, 1 unit
            0x80 | 15 << 3 | 2, // none, 3 units
            0x80 | 14 << 3,
            0x48,
            0x02,
            0,
            1,
            1, // 68 lines further, 1 unit
        ];
        let found = [-2, 0, 2, 4, 6, 8, 12, 14, 16].map(|at| by_locations(&table, 100, at));
        let line = Some;
        assert_eq!(found, [line(100), line(100), line(100), line(101), line(99), None, None, line(167), None]);
    }
}
