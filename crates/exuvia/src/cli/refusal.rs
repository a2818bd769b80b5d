//! Arguments that clap refuses, in our words.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::CommandFactory;

use super::Cli;
use crate::trouble::Trouble;

/// clap's error as three lines.
pub(super) fn refusal(e: &clap::Error, command: Option<&OsString>) -> Trouble {
    let rendered = e.render().to_string();
    let mut lines = rendered.lines().map(str::trim).filter(|l| !l.is_empty());
    let what = lines.next().unwrap_or_default().trim_start_matches("error: ").trim_end_matches(':').to_string();
    let rest: Vec<&str> = lines.collect();
    let pick = |mark: &str| rest.iter().find_map(|l| l.strip_prefix(mark)).map(|l| l.trim().to_string());
    let known = command.and_then(|c| c.to_str()).filter(|c| Cli::command().get_subcommands().any(|s| s.get_name() == *c));
    // "invalid value 'x' for '--mode <MODE>': the reason" carries its own why.
    let (what, reason) = match what.split_once("': ") {
        Some((head, reason)) => (format!("{head}'"), Some(reason.to_string())),
        None => (what, None),
    };
    let listed = || {
        rest.first()
            .filter(|l| !["Usage", "For more", "tip:"].iter().any(|word| l.starts_with(word)))
            .map(|l| l.trim_matches(['[', ']']).to_string())
    };
    let why = reason
        .or_else(|| match e.kind() {
            ErrorKind::ArgumentConflict => Some("one target is looked at at a time".to_string()),
            ErrorKind::MissingRequiredArgument => listed().map(|missing| format!("{missing} is missing")),
            ErrorKind::InvalidValue if what.contains("a value is required") => Some("the option takes a value".to_string()),
            _ => None,
        })
        // A tip to write what is no option behind `--` would start it as a program.
        .or_else(|| pick("tip:").filter(|tip| !tip.contains("as a value")))
        .or_else(listed)
        .or_else(|| pick("Usage:").map(|u| format!("usage: {u}")))
        .unwrap_or_else(|| "it is not among the commands and options".into());
    let help = known.map_or("exuvia --help".to_string(), |c| format!("exuvia {c} --help"));
    Trouble::usage(what, why, help)
}
