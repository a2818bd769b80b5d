//! Where resident memory is: every byte of the resident set in exactly one share.
//!
//! Holds: [`Ledger`] and its parts, numbers only. Never does: rank, advise (that is `analyses`).

use serde::{Deserialize, Serialize};

/// What a share of the resident set is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Objects and what they own, in blocks of pymalloc; named by type.
    PymallocObjects,
    /// Blocks of pymalloc in use in which no object was found: free lists, C code.
    PymallocOther,
    /// Blocks of pymalloc that are free, in pools that are in use.
    PymallocFreeBlocks,
    /// Pools of pymalloc that are free, and those that were never used.
    PymallocFreePools,
    /// Headers of pools, what no block fits into, and what alignment loses.
    PymallocOverhead,
    /// Objects and what they own, in chunks of glibc's malloc; named by type.
    MallocObjects,
    /// Chunks in use that no object owns: other libraries, and the interpreter's own.
    MallocOther,
    /// Free chunks in bins.
    MallocFree,
    /// Free chunks kept for quick reuse: fastbins and threads' caches.
    MallocCached,
    /// What was never handed out, at the top of an arena.
    MallocTop,
    /// Headers of arenas and heaps.
    MallocOverhead,
    /// Objects and what they own in another allocator's memory; named by type.
    AllocatorObjects,
    /// The rest of another allocator's memory; named by allocator.
    AllocatorOther,
    /// Blocks in use that no object owns, of another allocator that was walked; named by allocator.
    AllocatorInUse,
    /// Free memory of another allocator that was walked; named by allocator.
    AllocatorFree,
    /// Buffers that objects own in mappings of their own; named by type.
    Buffers,
    /// Evaluation stacks of Python threads, 3.11+.
    FrameStacks,
    /// Stacks of threads; named by thread.
    Stacks,
    /// Stacks of threads that ended, kept for the next.
    KeptStacks,
    /// Thread-local data of the first thread, and the loader's own.
    Loader,
    /// Code and data of mapped programs and libraries; named by file.
    Files,
    /// Memory that a program or library mapped for itself: its static data has the address; named by file.
    LibraryMappings,
    /// Data files that are mapped; named by file.
    FileMappings,
    /// Shared memory; named by what the kernel calls it.
    SharedMemory,
    /// Pages of the kernel in the process (vdso).
    Kernel,
    /// Nothing is known of it but its mapping.
    Unknown,
}

/// A share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// What it is.
    pub part: Part,
    /// Whose: a type, a file, a thread. Empty where the part says it all.
    pub name: String,
    /// How many blocks, chunks or mappings.
    pub count: u64,
    /// Bytes of address space.
    pub bytes: u64,
    /// Of those, in memory.
    pub resident_bytes: u64,
    /// Of those in memory, in pages that other processes map too.
    pub shared_bytes: u64,
    /// Of those in memory, in huge pages.
    #[serde(default)]
    pub huge_bytes: u64,
}

/// What pymalloc says of itself, in the terms of `sys._debugmallocstats()`; bytes of address space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pymalloc {
    /// Arenas.
    pub arenas: u64,
    /// Bytes of an arena.
    pub arena_bytes: u64,
    /// Pools with a block in use.
    pub used_pools: u64,
    /// Pools without.
    pub free_pools: u64,
    /// Bytes of a pool.
    pub pool_bytes: u64,
    /// "bytes in allocated blocks".
    pub allocated_bytes: u64,
    /// "bytes in available blocks".
    pub available_bytes: u64,
    /// "bytes lost to pool headers".
    pub header_bytes: u64,
    /// "bytes lost to quantization".
    pub quantization_bytes: u64,
    /// "bytes lost to arena alignment".
    pub alignment_bytes: u64,
}

/// An arena of glibc's malloc, in the terms of `malloc_info`; bytes of address space but for the last four.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MallocArena {
    /// Its address.
    pub address: u64,
    /// From the system.
    pub system_bytes: u64,
    /// Chunks in bins.
    pub free_chunks: u64,
    /// Their bytes, and the top's.
    pub free_bytes: u64,
    /// Chunks in fastbins.
    pub fast_chunks: u64,
    /// Their bytes.
    pub fast_bytes: u64,
    /// Bytes at the top.
    pub top_bytes: u64,
    /// Threads that use it, where that is known.
    pub threads: Option<u64>,
    /// In memory.
    pub resident_bytes: u64,
    /// Of those, free.
    pub free_resident_bytes: u64,
    /// Of those, in chunks that objects own.
    pub object_resident_bytes: u64,
    /// Whole pages in memory that `malloc_trim(0)` would give back.
    pub trimmable_bytes: u64,
    /// In memory at the top.
    #[serde(default)]
    pub top_resident_bytes: u64,
    /// In memory and free, in chunks that are larger than what has a mapping of its own by default.
    #[serde(default)]
    pub large_free_bytes: u64,
    /// Chunks of that size in use.
    #[serde(default)]
    pub large_chunks: u64,
}

/// Objects of one type that keep arenas of pymalloc alive in which little else is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Their type.
    pub type_name: String,
    /// How many.
    pub count: u64,
    /// What they take.
    pub bytes: u64,
    /// Addresses of some of them.
    #[serde(default)]
    pub samples: Vec<u64>,
}

/// The ledger of a process: the shares' resident bytes add up to `rss_bytes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The sum of smaps' Rss at the stop.
    pub rss_bytes: u64,
    /// What counts as in memory are the pages of a core file that are not zeros: a core does not tell what was.
    #[serde(default)]
    pub of_a_core: bool,
    /// What statm said then: since Linux 6.2 an estimate.
    pub statm_bytes: Option<u64>,
    /// In swap, and so not in memory.
    pub swap_bytes: u64,
    /// In huge pages.
    pub huge_bytes: u64,
    /// All shares, by part and name.
    pub shares: Vec<Share>,
    /// What pymalloc says of itself, where it is in use.
    pub pymalloc: Option<Pymalloc>,
    /// Arenas of glibc's malloc, the main one first.
    pub malloc_arenas: Vec<MallocArena>,
    /// Chunks of glibc's malloc in mappings of their own, by its own count.
    pub malloc_mapped: Option<(u64, u64)>,
    /// Requests of this size have a mapping of their own, where malloc's parameters were found; 128 KiB until a larger one is freed.
    #[serde(default)]
    pub mmap_threshold: Option<u64>,
    /// Arenas of pymalloc with less than a tenth in use: how many, and their bytes in memory.
    pub sparse_arenas: u64,
    /// Their bytes in memory.
    pub sparse_bytes: u64,
    /// What is in use in those.
    pub pins: Vec<Pin>,
    /// What could not be walked, and why.
    pub gaps: Vec<String>,
}
