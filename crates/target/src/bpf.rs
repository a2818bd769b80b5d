//! Classic BPF, as seccomp filters are written in it: decoded, checked and run on one system call.
//!
//! Holds: [`Filter`], which is a program that the kernel would have accepted, and its run on a [`Call`].
//! Never does: read a process; judge what a result means (`seccomp`).
//! Bounds: a program has at most 4096 instructions and jumps forward only, so each runs at most once.
//! Sources: Documentation/networking/filter.rst; bpf_check_classic and bpf_convert_filter in Linux's net/core/filter.c;
//! seccomp_check_filter in kernel/seccomp.c (which instructions it permits); struct seccomp_data in linux/seccomp.h.

/// BPF_MAXINSNS.
pub(crate) const INSTRUCTIONS_MAX: usize = 4096;
/// BPF_MEMWORDS.
const SCRATCH: usize = 16;
/// sizeof(struct seccomp_data).
const DATA: u32 = 64;
/// AUDIT_ARCH_X86_64: machine 62, 64 bits, little endian.
const ARCH: u32 = 0xc000_003e;

/// One system call of an x86-64 program, as a filter sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Its number.
    pub(crate) number: u32,
    /// Where the program goes on after it.
    pub(crate) instruction: u64,
    /// Its six arguments, those that it does not have too.
    pub(crate) arguments: [u64; 6],
}

impl Call {
    /// The 32-bit word at `offset` of struct seccomp_data: nr, arch, instruction_pointer, args[6].
    fn word(&self, offset: u32) -> u32 {
        let half = |value: u64| if offset % 8 == 0 { value as u32 } else { (value >> 32) as u32 };
        match offset {
            0 => self.number,
            4 => ARCH,
            8 | 12 => half(self.instruction),
            _ => half(self.arguments.get((offset as usize).saturating_sub(16) / 8).copied().unwrap_or(0)),
        }
    }
}

/// One instruction as it is written: struct sock_filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) jt: u8,
    pub(crate) jf: u8,
    pub(crate) k: u32,
}

/// Why a program is none that seccomp accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadFilter {
    #[error("it has {0} instructions")]
    Length(usize),
    #[error("instruction {at} has the code {code:#06x}")]
    Code { at: usize, code: u16 },
    #[error("instruction {at} has the operand {k:#x}")]
    Operand { at: usize, k: u32 },
    #[error("instruction {0} jumps out of it")]
    Jump(usize),
    #[error("it does not end with a return")]
    End,
}

/// A checked program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter(Vec<Op>);

impl Filter {
    /// Checks as the kernel does.
    pub(crate) fn new(program: &[Instruction]) -> Result<Filter, BadFilter> {
        if program.is_empty() || program.len() > INSTRUCTIONS_MAX {
            return Err(BadFilter::Length(program.len()));
        }
        let ops = program.iter().enumerate().map(|(at, i)| decode(at, *i)).collect::<Result<Vec<_>, _>>()?;
        for (at, op) in ops.iter().enumerate() {
            let farthest = match *op {
                Op::Always(by) => by,
                Op::Jump { then, otherwise, .. } => then.max(otherwise),
                _ => continue,
            };
            if farthest >= ops.len() - at - 1 {
                return Err(BadFilter::Jump(at));
            }
        }
        match ops.last() {
            Some(Op::Return(_) | Op::ReturnA) => Ok(Filter(ops)),
            _ => Err(BadFilter::End),
        }
    }

    /// What it returns for `call`: an action and its data (SECCOMP_RET_…).
    pub(crate) fn run(&self, call: &Call) -> u32 {
        let (mut a, mut x, mut scratch, mut at) = (0u32, 0u32, [0u32; SCRATCH], 0usize);
        // Jumps lead forward only: the loop ends with the program.
        while let Some(op) = self.0.get(at) {
            at += 1;
            match *op {
                Op::LoadWord(offset) => a = call.word(offset),
                Op::LoadA(k) => a = k,
                Op::LoadX(k) => x = k,
                Op::RecallA(n) => a = scratch.get(n).copied().unwrap_or(0),
                Op::RecallX(n) => x = scratch.get(n).copied().unwrap_or(0),
                Op::KeepA(n) => keep(&mut scratch, n, a),
                Op::KeepX(n) => keep(&mut scratch, n, x),
                Op::Compute(how, operand) => match how.of(a, operand.value(x)) {
                    Some(result) => a = result,
                    // Division by X = 0 ends the program with 0, which kills.
                    None => return 0,
                },
                Op::Negate => a = a.wrapping_neg(),
                Op::Always(by) => at += by,
                Op::Jump { how, operand, then, otherwise } => at += if how.holds(a, operand.value(x)) { then } else { otherwise },
                Op::AToX => x = a,
                Op::XToA => a = x,
                Op::Return(k) => return k,
                Op::ReturnA => return a,
            }
        }
        0
    }

    /// How many instructions it has.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn keep(scratch: &mut [u32; SCRATCH], n: usize, value: u32) {
    if let Some(slot) = scratch.get_mut(n) {
        *slot = value;
    }
}

/// An instruction of which nothing is left to be checked but where it jumps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    LoadWord(u32),
    LoadA(u32),
    LoadX(u32),
    RecallA(usize),
    RecallX(usize),
    KeepA(usize),
    KeepX(usize),
    Compute(Compute, Operand),
    Negate,
    Always(usize),
    Jump { how: Compare, operand: Operand, then: usize, otherwise: usize },
    AToX,
    XToA,
    Return(u32),
    ReturnA,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operand {
    K(u32),
    X,
}

impl Operand {
    fn value(self, x: u32) -> u32 {
        match self {
            Operand::K(k) => k,
            Operand::X => x,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compute {
    Add,
    Subtract,
    Multiply,
    Divide,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}

impl Compute {
    fn of(self, a: u32, b: u32) -> Option<u32> {
        Some(match self {
            Compute::Add => a.wrapping_add(b),
            Compute::Subtract => a.wrapping_sub(b),
            Compute::Multiply => a.wrapping_mul(b),
            Compute::Divide => return a.checked_div(b),
            Compute::And => a & b,
            Compute::Or => a | b,
            Compute::Xor => a ^ b,
            // The processor, and the kernel's interpreter, take five bits of the count.
            Compute::ShiftLeft => a.wrapping_shl(b),
            Compute::ShiftRight => a.wrapping_shr(b),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equal,
    Greater,
    GreaterOrEqual,
    AnyBit,
}

impl Compare {
    fn holds(self, a: u32, b: u32) -> bool {
        match self {
            Compare::Equal => a == b,
            Compare::Greater => a > b,
            Compare::GreaterOrEqual => a >= b,
            Compare::AnyBit => a & b != 0,
        }
    }
}

/// The codes of linux/bpf_common.h that seccomp_check_filter lets pass; remainder, packet loads and bytes are not among them.
fn decode(at: usize, i: Instruction) -> Result<Op, BadFilter> {
    let operand = if i.code & 0x08 == 0 { Operand::K(i.k) } else { Operand::X };
    let bad_operand = BadFilter::Operand { at, k: i.k };
    let slot = || usize::try_from(i.k).ok().filter(|n| *n < SCRATCH).ok_or(bad_operand);
    let compute = |how| match operand {
        Operand::K(0) if how == Compute::Divide => Err(bad_operand),
        Operand::K(32..) if matches!(how, Compute::ShiftLeft | Compute::ShiftRight) => Err(bad_operand),
        _ => Ok(Op::Compute(how, operand)),
    };
    let jump = |how| Ok(Op::Jump { how, operand, then: i.jt.into(), otherwise: i.jf.into() });
    match i.code {
        // BPF_LD|BPF_W|BPF_ABS
        0x20 if i.k < DATA && i.k % 4 == 0 => Ok(Op::LoadWord(i.k)),
        0x20 => Err(bad_operand),
        0x00 => Ok(Op::LoadA(i.k)),
        0x01 => Ok(Op::LoadX(i.k)),
        // BPF_LEN, with either size: the kernel rewrites it to the size of the data.
        0x80 => Ok(Op::LoadA(DATA)),
        0x81 => Ok(Op::LoadX(DATA)),
        0x60 => Ok(Op::RecallA(slot()?)),
        0x61 => Ok(Op::RecallX(slot()?)),
        0x02 => Ok(Op::KeepA(slot()?)),
        0x03 => Ok(Op::KeepX(slot()?)),
        0x04 | 0x0c => compute(Compute::Add),
        0x14 | 0x1c => compute(Compute::Subtract),
        0x24 | 0x2c => compute(Compute::Multiply),
        0x34 | 0x3c => compute(Compute::Divide),
        0x44 | 0x4c => compute(Compute::Or),
        0x54 | 0x5c => compute(Compute::And),
        0x64 | 0x6c => compute(Compute::ShiftLeft),
        0x74 | 0x7c => compute(Compute::ShiftRight),
        0x84 => Ok(Op::Negate),
        0xa4 | 0xac => compute(Compute::Xor),
        0x05 => usize::try_from(i.k).map(Op::Always).map_err(|_| BadFilter::Jump(at)),
        0x15 | 0x1d => jump(Compare::Equal),
        0x25 | 0x2d => jump(Compare::Greater),
        0x35 | 0x3d => jump(Compare::GreaterOrEqual),
        0x45 | 0x4d => jump(Compare::AnyBit),
        0x06 => Ok(Op::Return(i.k)),
        0x16 => Ok(Op::ReturnA),
        0x07 => Ok(Op::AToX),
        0x87 => Ok(Op::XToA),
        code => Err(BadFilter::Code { at, code }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(code: u16, k: u32) -> Instruction {
        Instruction { code, jt: 0, jf: 0, k }
    }

    fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
        Instruction { code, jt, jf, k }
    }

    const CALL: Call =
        Call { number: 56, instruction: 0x1122_3344_5566_7788, arguments: [0xa0a1_a2a3_0000_0400, 1, 2, 3, 4, 0x5000_0000_6000_0000] };

    /// What the program returns that leaves its result in A.
    #[track_caller]
    fn check(program: &[Instruction], expected: u32) {
        let program: Vec<_> = program.iter().copied().chain([op(0x16, 0)]).collect();
        assert_eq!(Filter::new(&program).unwrap().run(&CALL), expected, "{program:x?}");
    }

    #[test]
    fn the_call_is_read_word_by_word() {
        for (offset, expected) in [
            (0, 56),
            (4, 0xc000_003e),
            (8, 0x5566_7788),
            (12, 0x1122_3344),
            (16, 0x400),
            (20, 0xa0a1_a2a3),
            (24, 1),
            (28, 0),
            (56, 0x6000_0000),
            (60, 0x5000_0000),
        ] {
            check(&[op(0x20, offset)], expected);
        }
    }

    #[test]
    fn it_computes_as_the_kernel_does() {
        // A = 7, X = 0 or 3, then one instruction.
        for (code, k, x, expected) in [
            (0x04, 0xffff_ffff, 0, 6),
            (0x0c, 0, 3, 10),
            (0x14, 8, 0, 0xffff_ffff),
            (0x1c, 0, 3, 4),
            (0x24, 0x8000_0001, 0, 0x8000_0007),
            (0x34, 2, 0, 3),
            (0x3c, 0, 3, 2),
            (0x44, 8, 0, 15),
            (0x54, 5, 0, 5),
            (0xa4, 1, 0, 6),
            (0xac, 0, 3, 4),
            (0x64, 31, 0, 0x8000_0000),
            (0x74, 1, 0, 3),
            (0x6c, 0, 33, 14),
            (0x84, 0, 0, 0xffff_fff9),
            (0x80, 0, 0, 64),
            (0x87, 0, 9, 9),
        ] {
            check(&[op(0x01, x), op(0x00, 7), op(code, k)], expected);
        }
        // Scratch memory, both ways, and TAX.
        check(&[op(0x00, 5), op(0x02, 15), op(0x00, 1), op(0x07, 0), op(0x03, 0), op(0x60, 15), op(0x61, 0), op(0x0c, 0)], 6);
        // Division by X = 0 ends the program.
        check(&[op(0x00, 7), op(0x01, 0), op(0x3c, 0), op(0x00, 99)], 0);
    }

    #[test]
    fn it_jumps_as_the_kernel_does() {
        for (code, k, holds) in [
            (0x15, 56, true),
            (0x15, 57, false),
            (0x25, 55, true),
            (0x25, 56, false),
            (0x35, 56, true),
            (0x35, 57, false),
            (0x45, 8, true),
            (0x45, 7, false),
        ] {
            let expected = if holds { 1 } else { 2 };
            check(&[op(0x20, 0), jump(code, k, 0, 2), op(0x00, 1), op(0x05, 1), op(0x00, 2)], expected);
            // The same with X.
            check(&[op(0x20, 0), op(0x01, k), jump(code | 8, 0, 0, 2), op(0x00, 1), op(0x05, 1), op(0x00, 2)], expected);
        }
    }

    #[test]
    fn what_the_kernel_refuses_is_refused() {
        let end = op(0x06, 0);
        for (program, expected) in [
            (vec![], BadFilter::Length(0)),
            (vec![end; 4097], BadFilter::Length(4097)),
            (vec![op(0x00, 1)], BadFilter::End),
            (vec![op(0x05, 1), end], BadFilter::Jump(0)),
            (vec![op(0x05, u32::MAX), end], BadFilter::Jump(0)),
            (vec![jump(0x15, 0, 0, 1), end], BadFilter::Jump(0)),
            (vec![jump(0x15, 0, 255, 0), end], BadFilter::Jump(0)),
            (vec![op(0x20, 64), end], BadFilter::Operand { at: 0, k: 64 }),
            (vec![op(0x20, 2), end], BadFilter::Operand { at: 0, k: 2 }),
            (vec![op(0x60, 16), end], BadFilter::Operand { at: 0, k: 16 }),
            (vec![op(0x34, 0), end], BadFilter::Operand { at: 0, k: 0 }),
            (vec![op(0x64, 32), end], BadFilter::Operand { at: 0, k: 32 }),
            // Remainder, a byte of the packet, an unknown code.
            (vec![op(0x94, 3), end], BadFilter::Code { at: 0, code: 0x94 }),
            (vec![op(0x30, 0), end], BadFilter::Code { at: 0, code: 0x30 }),
            (vec![op(0xffff, 0), end], BadFilter::Code { at: 0, code: 0xffff }),
        ] {
            assert_eq!(Filter::new(&program), Err(expected));
        }
    }

    #[test]
    fn any_program_is_refused_or_ends() {
        // xorshift: the same programs each time.
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        const CODES: [u16; 12] = [0x20, 0x00, 0x01, 0x60, 0x02, 0x0c, 0x3c, 0x6c, 0x05, 0x15, 0x45, 0x94];
        let mut accepted = 0;
        for _ in 0..20_000 {
            let length = random() as usize % 8;
            let mut program: Vec<_> = (0..length)
                .map(|_| {
                    let r = random();
                    jump(CODES[r as usize % CODES.len()], (r >> 8) as u32 % 20, (r >> 40) as u8 % 4, (r >> 48) as u8 % 4)
                })
                .collect();
            program.push(op(0x16, 0));
            if let Ok(filter) = Filter::new(&program) {
                accepted += 1;
                filter.run(&CALL);
            }
        }
        assert!(accepted > 1000, "{accepted}");
    }
}
