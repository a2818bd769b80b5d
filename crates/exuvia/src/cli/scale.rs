//! Arguments of `exuvia scale`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use memory::Bytes;

use super::duration;
use super::explain::size;
use super::function::Function;
use crate::trouble::Trouble;

/// Fewer sizes show no growth.
const SIZES_LEAST: usize = 3;
const SIZES_MOST: usize = 100;

/// How the time and the memory of a function grow with the size of its input, and what size fits.
///
/// FUNCTION is called with n, or with what --input makes of n, in a fresh process for each size and repeat, smallest first. held is what
/// the call added and its result holds, peak what it added at its highest, both from the kernel; the process is all of it, with
/// interpreter, imports and input. A call that is over in 0.2 s is made again there, each time with a new input, and the least time counts;
/// the first, where it took ten times as long as the least (a cache). Each is fitted to 1, log n, n, n log n, n², n³ and 2ⁿ by relative
/// error; where the sizes cannot tell two classes apart, both are named. Differences of resident memory below 256 KiB say nothing: choose
/// sizes that take more. A size that is expected to take longer than --run-limit, or more memory than is left here, is not run.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia scale json:dumps --input 'list(range(n))' --sizes 1e3..1e5
  exuvia scale random:randbytes --sizes 1e5..1e7 --points 4 --memory 8GB
  exuvia scale --json math:factorial --sizes 100,1000,5000 --repeat 1")]
#[command(override_usage = "exuvia scale [OPTIONS] MODULE:FUNCTION\n       exuvia scale [OPTIONS] FILE.py:FUNCTION")]
pub(crate) struct Scale {
    /// The function, of one argument: package.module:function as python -m finds it, or file.py:function
    #[arg(value_name = "FUNCTION")]
    function: Option<String>,
    /// From..to in equal factors, or each one: 1e3..1e6, 1000,2000,5000
    #[arg(long, value_name = "SIZES", default_value = "1e3..1e6")]
    sizes: String,
    /// How many sizes there are from..to
    #[arg(long, value_name = "N", default_value_t = 8)]
    points: usize,
    /// An expression of n that makes the argument, with the module's names: 'list(range(n))'
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) input: Option<String>,
    /// Fresh processes for each size
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeat: u32,
    /// The interpreter
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub(crate) python: OsString,
    /// What n fits into this: 8GB, 2GiB [default: what is left on this machine, or in this container]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) memory: Option<Bytes>,
    /// What n is done within this
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) time: Duration,
    /// No call is begun that is expected to take longer; one that does is ended when its process has taken twice that and 10 s, and no
    /// larger one is begun
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) run_limit: Duration,
    /// All runs together; what is known then is the answer
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub(crate) limit: Duration,
    /// Write the plot as an SVG picture
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Write JSON, with a versioned schema
    #[arg(long)]
    pub(crate) json: bool,
}

impl Scale {
    /// As it was written.
    pub(crate) fn named(&self) -> &str {
        self.function.as_deref().unwrap_or_default()
    }

    /// The function.
    pub(crate) fn function(&self) -> Result<Function, Trouble> {
        const FORM: &str = "exuvia scale module:function, or exuvia scale file.py:function (exuvia scale --help has examples)";
        let Some(word) = &self.function else {
            return Err(Trouble::usage("no function was named", "exuvia scale runs one with growing n", FORM));
        };
        Function::read("", word, FORM)
    }

    /// The sizes, growing.
    pub(crate) fn sizes(&self) -> Result<Vec<u64>, Trouble> {
        sizes(&self.sizes, self.points).map_err(|why| {
            Trouble::usage(format!("--sizes {} cannot be used", self.sizes), why, "--sizes 1e3..1e6, or --sizes 1000,2000,5000")
        })
    }
}

/// `1e3..1e6` with so many points in equal factors, `1000,2000,5000` as they are.
fn sizes(text: &str, points: usize) -> Result<Vec<u64>, String> {
    let sizes = match text.split_once("..") {
        Some((low, high)) => {
            let (low, high) = (number(low)?, number(high)?);
            if high <= low {
                return Err(format!("they do not grow: {high} is not above {low}"));
            }
            if !(SIZES_LEAST..=SIZES_MOST).contains(&points) {
                return Err(format!("--points is {points}, and {SIZES_LEAST} to {SIZES_MOST} sizes are of use"));
            }
            let (from, factor) = (low as f64, high as f64 / low as f64);
            let mut sizes: Vec<u64> = (0..points).map(|i| (from * factor.powf(i as f64 / (points - 1) as f64)).round() as u64).collect();
            sizes.dedup();
            sizes
        }
        None => text.split(',').map(number).collect::<Result<Vec<u64>, String>>()?,
    };
    if let Some([before, after]) = sizes.windows(2).find(|pair| pair.first() >= pair.last()) {
        return Err(format!("they do not grow: {after} is not above {before}"));
    }
    match sizes.len() {
        n if n < SIZES_LEAST => Err(format!("growth shows from {SIZES_LEAST} sizes on, these are {n}")),
        n if n > SIZES_MOST => Err(format!("these are {n} sizes, {SIZES_MOST} are enough")),
        _ => Ok(sizes),
    }
}

/// `1000`, `1_000`, `1e3`, `2.5e6`.
fn number(text: &str) -> Result<u64, String> {
    let plain: String = text.trim().chars().filter(|c| *c != '_').collect();
    // Beyond 2^53 not every whole number is one that the fit can have.
    match plain.parse::<f64>() {
        Ok(n) if n.fract() == 0.0 && (1.0..9e15).contains(&n) => Ok(n as u64),
        _ => Err(format!("{:?} is no size: sizes are whole numbers from 1 on", text.trim())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_a_range_or_a_list() {
        assert_eq!(sizes("1e3..1e6", 4).unwrap(), [1000, 10_000, 100_000, 1_000_000]);
        assert_eq!(sizes("1_000,2.5e3, 5000", 8).unwrap(), [1000, 2500, 5000]);
        assert_eq!(sizes("1..4", 8).unwrap(), [1, 2, 3, 4]);
        for (text, points, why) in [
            ("1e6..1e3", 8, "do not grow"),
            ("5..5", 8, "do not grow"),
            ("1000,500,2000", 8, "500 is not above 1000"),
            ("10,10,20", 8, "10 is not above 10"),
            ("10,20", 8, "3 sizes"),
            ("1..2", 8, "3 sizes"),
            ("1..10", 2, "--points is 2"),
            ("many", 8, "no size"),
            ("", 8, "no size"),
            ("0..10", 8, "no size"),
            ("-5,1,2", 8, "no size"),
            ("1.5,2,3", 8, "no size"),
            ("1e3..nan", 8, "no size"),
            ("1e3..1e30", 8, "no size"),
        ] {
            assert!(sizes(text, points).unwrap_err().contains(why), "{text}: {:?}", sizes(text, points));
        }
    }
}
