//! What changed in meaning between series, where numbers alone do not tell. The only comparisons of versions in
//! the project stand here.
//!
//! Sources: CPython's `Include/` and `Objects/` of each release; every rule names the release that brought it.

use super::Release;

/// Where the attributes of an instance without a plain `tp_dictoffset` are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ManagedDict {
    /// No managed dictionaries: 3.8–3.10.
    None,
    /// 3.11: values pointer at −32, dictionary pointer at −24 (`_PyObject_ValuesPointer`, bpo-45340).
    TwoWords,
    /// 3.12: one word at −24; bit 0 set means values − 1, else dictionary (gh-95589).
    TaggedWord,
    /// 3.13+: dictionary pointer at −24, values inline after `tp_basicsize` (gh-115776).
    Inline,
}

/// The shape of the entries of a dictionary's keys object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeysForm {
    /// ≤3.10: 40 bytes of header, `dk_size` slots of 1, 2, 4 or 8 bytes, entries of 24 bytes.
    Wide,
    /// 3.11+: 32 bytes of header, logarithmic sizes, entries of 24 or, for str keys only, 16 bytes (bpo-46845).
    Log2,
}

/// How a thread's stack of frames is reached and what a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameForm {
    /// ≤3.9: frame objects, depth in the pointer `f_stacktop`.
    ObjectsStackTop,
    /// 3.10: frame objects, depth in the int `f_stackdepth`.
    ObjectsStackDepth,
    /// 3.11+: `_PyInterpreterFrame`s on a data stack; frame objects only on demand (bpo-44590).
    Interpreter,
}

/// The states of a suspended or finished generator that change what it refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GeneratorStates {
    /// Smallest `gi_frame_state` at which the frame's contents are no more: 4, and 5 from 3.15, which counts from 0.
    pub cleared_from: i8,
    /// The state of one that has not begun: -2 in 3.11 and 3.12, -3 in 3.13 and 3.14 (which tell `yield from` apart), 0 in 3.15.
    pub created: i8,
    /// The collector is told of the code all the same: 3.14+ (`gen_traverse`).
    pub code_visible: bool,
}

/// What an int's size word means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IntForm {
    /// ≤3.11: `ob_size` is the signed number of digits.
    SignedSize,
    /// 3.12+: `lv_tag`, digits above bit 3 (gh-101291).
    Tag,
}

/// How immortal objects are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Immortality {
    /// ≤3.11: none; static objects of 3.11 start at 999999999.
    None,
    /// 3.12, 3.13: bit 31 of the low word (PEP 683).
    Bit31,
    /// 3.14+: bit 31 of the low 32 bits; above them an overflow of 16 bits and flags of 16, which static objects have (gh-127271).
    Bit31WithFlags,
}

/// What `sys.getsizeof` says of static type objects' pre-header, which is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StaticTypes {
    /// ≤3.10: not counted (`type_is_gc`).
    Without,
    /// 3.11, 3.12: counted, by the flags of their class.
    With,
    /// 3.13+: not counted where their class is `type` itself, but where it is another metaclass (numpy's dtypes).
    WithoutUnderType,
}

/// The rules of one series.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Instance attributes.
    pub managed_dict: ManagedDict,
    /// A weak-reference list head may stand before the object: 3.12+ (gh-95245).
    pub managed_weakref: bool,
    /// Dictionary keys.
    pub keys: KeysForm,
    /// Frames.
    pub frames: FrameForm,
    /// What stands in interpreter frames for objects is tagged in its two lowest bits, and the depth of the stack is a pointer: 3.14+
    /// (`_PyStackRef`, gh-127705).
    pub stack_refs: bool,
    /// The largest `owner` of an interpreter frame: `FRAME_OWNED_BY_CSTACK` is 3, in 3.14 4, and 3.15 has none.
    pub frame_owner_most: u8,
    /// Generators' states; unused where frames are objects.
    pub generators: GeneratorStates,
    /// Whose numbers of instructions it has: the minor of the release.
    pub opcodes: u32,
    /// Ints.
    pub ints: IntForm,
    /// `int.__sizeof__` counts at least one digit: 3.11+ (0 takes 28 bytes there, 24 before).
    pub int_zero_has_digit: bool,
    /// `int.__sizeof__` starts from the class's own `tp_basicsize` less one digit, so subclasses' extras count: 3.12+.
    pub int_counts_basicsize: bool,
    /// Immortal objects.
    pub immortality: Immortality,
    /// Whether `sys.getsizeof` adds the pre-header to static type objects, which have none.
    pub static_types: StaticTypes,
    /// Static built-in types keep `tp_dict`, `tp_subclasses` and `tp_weaklist` per interpreter: 3.12+ (gh-94673).
    pub static_types_per_interpreter: bool,
    /// Legacy strings with a separate `wchar_t` buffer exist: ≤3.11 (PEP 623).
    pub legacy_strings: bool,
    /// A split dictionary's `ma_values` points at a `_dictvalues` struct with a header, not at a bare array: 3.13+.
    pub values_have_header: bool,
    /// Code objects hold their bytecode inline: 3.11+.
    pub code_inline: bool,
    /// Generators embed their frame: 3.11+.
    pub generators_embed_frame: bool,
    /// Bytes of a pymalloc arena: 256 KiB to 3.9, 1 MiB from 3.10 (bpo-37448).
    pub arena_bytes: u64,
    /// Bytes of a pymalloc pool: 4 KiB to 3.9, 16 KiB from 3.10.
    pub pool_bytes: u64,
    /// The allocator's state hangs off the interpreter (3.12: embedded, 3.13+: by pointer) instead of file statics.
    pub obmalloc: ObmallocHome,
    /// The `tp_traverse` of C heap types visits the type: 3.9+ (bpo-40217). Python classes' always does.
    pub c_heap_types_visit_type: bool,
    /// The traverse functions of `typing`'s and `zlib`'s types visit fields that they left out before: 3.14+.
    pub more_is_visited: bool,
    /// `queue.SimpleQueue` has a `__sizeof__` that counts its items' array: 3.15+.
    pub more_is_sized: bool,
    /// Picklers and unpicklers visit what stands in their memo: 3.11.7+, 3.12.1+, 3.13+ (bpo-41422).
    pub picklers_visit_memo: bool,
    /// A dict that was made of inline values is visited, and the values through it: 3.13.1+; 3.13.0 visits them on the instance alone
    /// (gh-130327 tells of both).
    pub inline_values_seen_through_dict: bool,
    /// A full collection untracks dicts that hold nothing that it tracks: ≤3.13 (`untrack_dicts`; gh-127010).
    pub dicts_are_untracked: bool,
    /// Closing a generator that has not begun leaves its frame as it is: 3.12 and 3.13 (`gen_close`).
    pub unbegun_generators_keep_frame: bool,
}

/// Where pymalloc keeps its state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObmallocHome {
    /// File statics `arenas`, `maxarenas`, `usedpools`: ≤3.11.
    Statics,
    /// Embedded in the interpreter: 3.12 (gh-94673).
    Embedded,
    /// Behind a pointer in the interpreter: 3.13+.
    Pointer,
}

/// The minors of CPython 3 that this version reads.
pub const SERIES: std::ops::RangeInclusive<u8> = 8..=15;

/// The series that this version reads, in words.
pub fn supported() -> String {
    format!("CPython 3.{} to 3.{}", SERIES.start(), SERIES.end())
}

impl Rules {
    /// The rules of a release's series; `None` where the series is not supported.
    pub fn of(release: Release) -> Option<Rules> {
        if release.major != 3 || !SERIES.contains(&release.minor) {
            return None;
        }
        let from = |minor: u8| release.minor >= minor;
        Some(Rules {
            managed_dict: match release.minor {
                0..=10 => ManagedDict::None,
                11 => ManagedDict::TwoWords,
                12 => ManagedDict::TaggedWord,
                _ => ManagedDict::Inline,
            },
            managed_weakref: from(12),
            keys: if from(11) { KeysForm::Log2 } else { KeysForm::Wide },
            frames: match release.minor {
                0..=9 => FrameForm::ObjectsStackTop,
                10 => FrameForm::ObjectsStackDepth,
                _ => FrameForm::Interpreter,
            },
            stack_refs: from(14),
            frame_owner_most: if release.minor == 14 { 4 } else { 3 },
            opcodes: u32::from(release.minor),
            generators: GeneratorStates {
                cleared_from: if from(15) { 5 } else { 4 },
                created: match release.minor {
                    0..=12 => -2,
                    13 | 14 => -3,
                    _ => 0,
                },
                code_visible: from(14),
            },
            ints: if from(12) { IntForm::Tag } else { IntForm::SignedSize },
            int_zero_has_digit: from(11),
            int_counts_basicsize: from(12),
            immortality: match release.minor {
                0..=11 => Immortality::None,
                12 | 13 => Immortality::Bit31,
                _ => Immortality::Bit31WithFlags,
            },
            static_types: match release.minor {
                0..=10 => StaticTypes::Without,
                11 | 12 => StaticTypes::With,
                _ => StaticTypes::WithoutUnderType,
            },
            static_types_per_interpreter: from(12),
            legacy_strings: !from(12),
            values_have_header: from(13),
            code_inline: from(11),
            generators_embed_frame: from(11),
            arena_bytes: if from(10) { 1 << 20 } else { 256 << 10 },
            pool_bytes: if from(10) { 16 << 10 } else { 4 << 10 },
            obmalloc: match release.minor {
                0..=11 => ObmallocHome::Statics,
                12 => ObmallocHome::Embedded,
                _ => ObmallocHome::Pointer,
            },
            c_heap_types_visit_type: from(9),
            more_is_visited: from(14),
            more_is_sized: from(15),
            picklers_visit_memo: from(13) || (release.minor == 12 && release.micro >= 1) || (release.minor == 11 && release.micro >= 7),
            inline_values_seen_through_dict: from(14) || (release.minor == 13 && release.micro >= 1),
            dicts_are_untracked: !from(14),
            unbegun_generators_keep_frame: matches!(release.minor, 12 | 13),
        })
    }
}
