//! Checks of the Rust sources, file by file.
//!
//! Holds: cards, unsafe and its remarks, printing, version comparisons, lengths. Never: reads anything but the given tree.

use super::source::{code_only, has_word, without_tests};
use super::{Complaint, Tree};

/// Lines after which a file is two files.
const LINES_MAX: usize = 600;

/// The one crate with a room for unsafe code, and the room.
const UNSAFE_CRATE: &str = "target";
const UNSAFE_ROOM: &str = "crates/target/src/sys";

/// Crates that may print: the command, and what is never shipped.
const PRINTING: &[&str] = &["exuvia", "testbed"];

/// Code that may compare versions: the layouts, and the tests' own tools, which choose interpreters.
const VERSION_ROOM: &str = "crates/cpython/src/layout";

/// `//!` on the first line, in xtask too.
pub(crate) fn cards(tree: &Tree) -> Vec<Complaint> {
    let xtask = tree.files.iter().filter(|(path, _)| path.starts_with("xtask/src/") && path.ends_with(".rs"));
    let sources = tree.sources().map(|(path, _, text)| (path, text)).chain(xtask.map(|(path, text)| (path.as_str(), text.as_str())));
    sources.filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| format!("{path}: does not open with a `//!` card")).collect()
}

/// The attribute in each crate's root, and the word nowhere but in the room.
pub(crate) fn unsafe_rooms(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, krate, text) in tree.sources() {
        let code = code_only(text);
        let is_root = path.ends_with(&format!("{krate}/src/lib.rs")) || path.ends_with(&format!("{krate}/src/main.rs"));
        if is_root && krate != UNSAFE_CRATE && !code.contains("#![forbid(unsafe_code)]") {
            complaints.push(format!("{path}: no #![forbid(unsafe_code)]"));
        }
        if !path.starts_with(UNSAFE_ROOM) {
            complaints
                .extend(numbered(&code, |line| has_word(line, "unsafe")).map(|n| format!("{path}:{n}: unsafe outside {UNSAFE_ROOM}")));
        }
    }
    complaints
}

/// A remark right above each `unsafe {` and `unsafe impl`; `# Safety` in the documentation of each `unsafe fn`.
pub(crate) fn safety_remarks(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, _, text) in tree.sources() {
        let code = code_only(text);
        let lines: Vec<&str> = text.lines().collect();
        for number in numbered(&code, |line| has_word(line, "unsafe")) {
            let line = code.lines().nth(number - 1).unwrap_or("");
            let wanted = if line.contains("unsafe fn") || line.contains("unsafe extern") { "# Safety" } else { "// SAFETY:" };
            let above = lines[..number - 1]
                .iter()
                .rev()
                .take_while(|line| line.trim_start().starts_with("//") || line.trim_start().starts_with("#["));
            let is_said = above.chain(lines.get(number - 1)).any(|line| line.contains(wanted));
            if !is_said {
                complaints.push(format!("{path}:{number}: unsafe without `{wanted}` above it"));
            }
        }
    }
    complaints
}

/// No printing macro and no standard stream outside the command.
pub(crate) fn printing(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, _, text) in tree.sources().filter(|(_, krate, _)| !PRINTING.contains(krate)) {
        let code = code_only(text);
        let macros = ["println!", "eprintln!", "print!", "eprint!", "dbg!"];
        let prints = |line: &str| {
            macros.iter().any(|name| has_word(line, name.trim_end_matches('!')) && line.contains(name)) || writes_to_stream(line)
        };
        complaints.extend(numbered(without_tests(&code), prints).map(|n| format!("{path}:{n}: prints")));
    }
    complaints
}

/// Whether a standard stream is taken for more than to hand its descriptor on.
fn writes_to_stream(line: &str) -> bool {
    ["stdout()", "stderr()"].iter().any(|stream| {
        line.match_indices(stream).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let is_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
            !is_name && ![".as_fd", ".as_raw_fd"].iter().any(|taken| line[at + stream.len()..].starts_with(taken))
        })
    })
}

/// No comparison with a version, and no release written down, outside the layouts.
pub(crate) fn versions(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, krate, text) in tree.sources() {
        if path.starts_with(VERSION_ROOM) || krate == "testbed" {
            continue;
        }
        let code = code_only(text);
        complaints.extend(numbered(without_tests(&code), names_a_version).map(|n| format!("{path}:{n}: compares or names a version")));
    }
    complaints
}

fn names_a_version(line: &str) -> bool {
    let squeezed: String = line.split_whitespace().collect();
    let compared = ["minor", "micro", "release.0", "release.1", "version.0", "version.1", "hexversion"].iter().any(|name| {
        ["==", "!=", ">=", "<=", "<", ">"].iter().any(|sign| {
            squeezed.match_indices(&format!("{name}{sign}")).any(|(at, found)| {
                // `minor<<8` is a shift and `fn minor<T>` a parameter.
                let after = squeezed[at + found.len()..].chars().next().unwrap_or(' ');
                after.is_ascii_digit() || (*sign != "<" && *sign != ">")
            })
        })
    });
    let matched = squeezed.contains("matchrelease") || squeezed.contains("match(major,minor") || squeezed.contains("matchminor");
    let written = (6..=20).any(|minor| squeezed.contains(&format!("(3,{minor}")))
        || squeezed.contains("Minor(")
        || squeezed.contains("Release{major");
    compared || matched || written
}

/// Sources longer than a reader's patience.
pub(crate) fn lengths(tree: &Tree) -> Vec<Complaint> {
    let is_source = |path: &str| [".rs", ".py", ".sh"].iter().any(|end| path.ends_with(end));
    tree.files
        .iter()
        .filter(|(path, _)| is_source(path))
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{path}: {lines} lines, more than {LINES_MAX}"))
        .collect()
}

/// Numbers, from 1, of the lines that `is_hit` takes.
fn numbered<'a>(code: &'a str, is_hit: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = usize> + 'a {
    code.lines().enumerate().filter(move |(_, line)| is_hit(line)).map(|(index, _)| index + 1)
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    #[test]
    fn a_file_without_a_card_is_found() {
        let files = [("crates/a/src/lib.rs", "//! Holds a.\n"), ("crates/a/src/x/y.rs", "use z;\n"), ("xtask/src/main.rs", "\n//! late\n")];
        assert_eq!(cards(&tree(&files)).len(), 2);
        assert_eq!(cards(&tree(&files[..1])), Vec::<String>::new());
    }

    #[test]
    fn unsafe_outside_its_room_is_found() {
        let good = [
            ("crates/a/src/lib.rs", "//! A.\n#![forbid(unsafe_code)]\n// unsafe in words\nconst X: &str = \"unsafe\";\n"),
            ("crates/target/src/lib.rs", "//! T.\n"),
            ("crates/target/src/sys/mod.rs", "// SAFETY: x.\nunsafe { y() }\n"),
        ];
        assert_eq!(unsafe_rooms(&tree(&good)), Vec::<String>::new());
        let bad = [
            ("crates/a/src/lib.rs", "//! A, without #![forbid(unsafe_code)].\n"),
            ("crates/a/src/b.rs", "fn f() {\n    unsafe { g() }\n}\n"),
            ("crates/target/src/maps.rs", "unsafe fn f() {}\n"),
        ];
        let complaints = unsafe_rooms(&tree(&bad));
        assert_eq!(complaints.len(), 3, "{complaints:?}");
        assert!(complaints.iter().any(|complaint| complaint.contains("b.rs:2")), "{complaints:?}");
    }

    #[test]
    fn unsafe_without_its_remark_is_found() {
        let check = |text: &str| safety_remarks(&tree(&[("crates/target/src/sys/x.rs", text)])).len();
        assert_eq!(check("// SAFETY: the kernel writes no more than was asked.\n// Second line.\nlet x = unsafe { f() };\n"), 0);
        assert_eq!(check("/// # Safety\n/// Call it once.\n#[inline]\npub unsafe fn f() {}\n"), 0);
        assert_eq!(check("let x = unsafe { f() };\n"), 1);
        assert_eq!(check("// SAFETY: said too early.\nlet y = 1;\nlet x = unsafe { f() };\n"), 1);
        assert_eq!(check("/// Does it.\npub unsafe fn f() {}\n"), 1);
    }

    #[test]
    fn printing_is_found_outside_the_command() {
        let print = "fn f() {\n    println!(\"x\");\n    std::io::stderr().flush();\n}\n";
        assert_eq!(printing(&tree(&[("crates/report/src/a.rs", print)])).len(), 2);
        assert_eq!(printing(&tree(&[("crates/exuvia/src/a.rs", print)])), Vec::<String>::new());
        let handed_on = "let fd = std::io::stderr().as_fd().try_clone_to_owned();\n";
        assert_eq!(printing(&tree(&[("crates/target/src/a.rs", handed_on)])), Vec::<String>::new());
        let tests = "fn f() {}\n// println!(\"x\")\n#[cfg(test)]\nmod tests { fn g() { println!(\"x\"); } }\n";
        assert_eq!(printing(&tree(&[("crates/report/src/a.rs", tests)])), Vec::<String>::new());
    }

    #[test]
    fn versions_are_found_outside_the_layouts() {
        let check = |line: &str| versions(&tree(&[("crates/cpython/src/objects/dict.rs", line)])).len();
        for bad in [
            "if self.minor >= 11 {",
            "if minor < 12 {",
            "let new = release.1 < 12;",
            "if version == (3, 13) {",
            "Minor(12) => x,",
            "match release.minor {",
            "if r.micro == 0 {",
            "let r = Release { major: 3, minor: 12, micro: 1 };",
        ] {
            assert_eq!(check(bad), 1, "{bad}");
        }
        for good in
            ["// since 3.12: minor >= 12", "let text = \"(3, 12)\";", "let hex = minor << 8;", "f(3, minor)", "let kind = rules.frames;"]
        {
            assert_eq!(check(good), 0, "{good}");
        }
        assert_eq!(versions(&tree(&[("crates/cpython/src/layout/rules.rs", "if minor >= 11 {")])), Vec::<String>::new());
    }

    #[test]
    fn a_long_file_is_found() {
        let long = "x\n".repeat(LINES_MAX + 1);
        assert_eq!(lengths(&tree(&[("crates/a/src/lib.rs", &long), ("docs/a.md", &long)])).len(), 1);
        assert_eq!(lengths(&tree(&[("crates/a/src/lib.rs", &long[2..])])), Vec::<String>::new());
    }
}
