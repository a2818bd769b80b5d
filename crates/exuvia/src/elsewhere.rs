//! What stands in for `live` where no live process can be read: each question about one is refused in the same words. Snapshots are read
//! as everywhere.
//!
//! Holds: the items of `live`.

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use analyses::scale::Grown;
use report::compare::Comparison;
use snapshot::{Diagnosis, PythonProcess};

use crate::cli::{Compare, Core, Dimension, Function, Imports, Look, Scale};
use crate::look::{Captured, Family, Member, Question};
use crate::trouble::Trouble;

/// A program that runs on: there is none here.
pub(crate) struct Running(Infallible);

impl Running {
    pub(crate) fn finish(self) -> Result<(), Trouble> {
        match self.0 {}
    }
}

/// The folders of looks: there are none here.
pub(crate) struct Looks(Infallible);

impl Looks {
    pub(crate) fn new() -> Result<Looks, Trouble> {
        Err(refused())
    }

    pub(crate) fn begin(&self) -> PathBuf {
        match self.0 {}
    }

    pub(crate) fn done(&self) {
        match self.0 {}
    }

    pub(crate) fn wait(&self, _: Instant) -> bool {
        match self.0 {}
    }

    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        match self.0 {}
    }
}

pub(crate) fn guardian() -> Option<ExitCode> {
    None
}

pub(crate) fn process(_: i32, _: &Look, _: Question<'_>) -> Result<Captured, Trouble> {
    Err(refused())
}

pub(crate) fn program(_: &[OsString], _: &Look, _: Question<'_>) -> Result<(Captured, Option<Running>), Trouble> {
    Err(refused())
}

pub(crate) fn core(_: &Core, _: &Look, _: Question<'_>) -> Result<Captured, Trouble> {
    Err(refused())
}

pub(crate) fn tree(_: i32, _: &Look) -> Result<Vec<Member>, Trouble> {
    Err(refused())
}

pub(crate) fn family(_: i32) -> Result<Family, Trouble> {
    Err(refused())
}

pub(crate) fn roots(_: &[i32]) -> Result<Vec<i32>, Trouble> {
    Err(refused())
}

pub(crate) fn readable(_: i32, _: &Look) -> Result<(), Trouble> {
    Err(refused())
}

pub(crate) fn command_line(_: i32) -> String {
    String::new()
}

pub(crate) fn imports(_: &Imports) -> Result<(Vec<String>, bool), Trouble> {
    Err(refused())
}

pub(crate) fn pythons() -> Result<Vec<PythonProcess>, Trouble> {
    Err(refused())
}

pub(crate) fn called(_: &str) -> Vec<i32> {
    Vec::new()
}

pub(crate) fn diagnose(_: Option<i32>, _: Duration) -> Result<Diagnosis, Trouble> {
    Err(refused())
}

pub(crate) fn compare(_: &Compare, _: Dimension, _: &[String]) -> Result<Comparison, Trouble> {
    Err(refused())
}

pub(crate) fn scale(_: &Scale, _: &Function, _: &[u64]) -> Result<Grown, Trouble> {
    Err(refused())
}

pub(crate) fn diagnose_core(_: &Core) -> Result<Diagnosis, Trouble> {
    Err(refused())
}

fn refused() -> Trouble {
    Trouble::target(
        "live processes cannot be read here",
        format!("supported is Linux on x86-64, this is {} on {}", std::env::consts::OS, std::env::consts::ARCH),
        "exuvia types FOLDER (a folder made by exuvia snapshot on the machine of the process)",
    )
}
