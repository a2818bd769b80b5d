//! A target's memory, taken: the copied bytes, and what it cost the target.
//!
//! Holds: [`Taken`], [`Way`], [`Thread`]. Never does: take it (that is `take` and what it calls).

use std::time::Duration;

use memory::{Bytes, Image, Mapping, Residency};

use crate::copy::Copy;

/// How memory is had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A forked copy of the target was read while the target went on.
    Fork,
    /// The target stood while it was copied.
    Freeze,
    /// The target ran while it was copied.
    Live,
}

/// A thread of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// The kernel's number of it; the first thread has the PID.
    pub tid: i32,
    /// Its short name.
    pub name: String,
}

/// A target's memory; at one moment, unless the way was [`Way::Live`].
#[derive(Debug)]
pub struct Taken {
    pub(crate) copy: Copy,
    pub(crate) mappings: Vec<Mapping>,
    pub(crate) threads: Vec<Thread>,
    pub(crate) gaps: Vec<(String, Bytes)>,
    pub(crate) resident: Bytes,
    pub(crate) residency: Option<Residency>,
    pub(crate) quiet: bool,
    pub(crate) was_stopped: bool,
    pub(crate) way: Way,
    pub(crate) instead: Option<String>,
    pub(crate) cost: Cost,
}

/// What it cost the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The longest time that the whole target stood at a stretch, from the first thread stopped to the last one let go.
    pub pause: Duration,
    /// The time that it stood in all attempts together.
    pub stopped: Duration,
    /// How often it was stopped.
    pub attempts: u32,
    /// How long one thread of it stood to take note of the end of the forked copy.
    pub second_stop: Option<Duration>,
    /// Page faults of the target while a forked copy of it lived, its own among them: an upper limit of what the copy caused.
    pub page_faults: Option<u64>,
    /// The dead copy stays a zombie child of the target until that ends: none of its threads could be used.
    pub zombie: bool,
}

impl Taken {
    /// The copied bytes. Mappings that touch are one segment; never touched anonymous pages read as zeros.
    pub fn image(&self) -> Image<'_> {
        self.copy.image()
    }

    /// What was mapped at the moment, by address.
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// The threads that there were.
    pub fn threads(&self) -> &[Thread] {
        &self.threads
    }

    /// What it cost the target.
    pub fn cost(&self) -> &Cost {
        &self.cost
    }

    /// How it was had.
    pub fn way(&self) -> Way {
        self.way
    }

    /// Why no forked copy was made, where one was wished for or would have been chosen.
    pub fn instead_of_fork(&self) -> Option<&str> {
        self.instead.as_deref()
    }

    /// Whether all [`crate::TakeOptions::quiet_words`] were 0 when the copy was made.
    pub fn quiet(&self) -> bool {
        self.quiet
    }

    /// Whether it was stopped already (job control, SIGSTOP) before we came; it was left so.
    pub fn was_stopped(&self) -> bool {
        self.was_stopped
    }

    /// Bytes copied, before and at the moment.
    pub fn bytes_copied(&self) -> Bytes {
        self.copy.copied()
    }

    /// Bytes in memory or swap of what is copied at the moment, as counted before it.
    pub fn resident_bytes(&self) -> Bytes {
        self.resident
    }

    /// What was in memory at the moment, where [`crate::TakeOptions::residency`] asked for it; while it ran, where the way was
    /// [`Way::Live`].
    pub fn residency(&self) -> Option<&Residency> {
        self.residency.as_ref()
    }

    /// What was not copied: the reason, and bytes of address space.
    pub fn gaps(&self) -> &[(String, Bytes)] {
        &self.gaps
    }
}
