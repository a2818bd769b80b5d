//! A function as it is named on the command line.
//!
//! Holds: [`Function`]. Never does: import it.

use std::path::Path;

use crate::trouble::Trouble;

/// A function, by where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), allow(dead_code))]
pub(crate) struct Function {
    /// The module's name, or the file.
    pub(crate) place: String,
    pub(crate) is_file: bool,
    pub(crate) name: String,
}

impl Function {
    /// Reads `word`, which stood behind `option`; `advice` is how it is written.
    pub(crate) fn read(option: &str, word: &str, advice: &str) -> Result<Function, Trouble> {
        // A file may have colons in its name, a function not.
        let Some((place, name)) = word.rsplit_once(':').filter(|(place, name)| !place.is_empty() && !name.is_empty()) else {
            let why = "a function is written as module:function or file.py:function";
            return Err(Trouble::usage(format!("{option}{word} names no function"), why, advice));
        };
        let is_file = place.ends_with(".py") || place.contains('/');
        if is_file && !Path::new(place).is_file() {
            return Err(Trouble::usage(format!("cannot import {place}"), "there is no such file", advice));
        }
        Ok(Function { place: place.into(), is_file, name: name.into() })
    }
}
