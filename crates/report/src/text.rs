//! Words and widths: escaping what came from a target, shortening, grouping, percentages.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// `s` with everything that a terminal might obey or hide made visible: control characters, escape sequences,
/// direction overrides, zero-width and private characters, line breaks. A backslash is doubled, so that nothing
/// that is shown can stand for two things.
pub fn escaped(s: &str) -> Cow<'_, str> {
    shown(s, |c| c != '\\' && !steers(c))
}

/// The same with backslashes left alone: for lines of ours in which a name or a word for a shell stands, quoted already.
pub fn visible(s: &str) -> Cow<'_, str> {
    shown(s, |c| !steers(c))
}

/// Whether a terminal might obey or hide it.
pub(crate) fn steers(c: char) -> bool {
    // escape_debug escapes what Unicode does not call printable, the format characters (bidi) among it; and what needs it in a literal.
    !matches!(c, '\'' | '"' | '\\') && (c.escape_debug().len() != 1 || c.width() == Some(0))
}

fn shown(s: &str, plain: impl Fn(char) -> bool) -> Cow<'_, str> {
    if s.chars().all(&plain) {
        return Cow::Borrowed(s);
    }
    let mut out = String::with_capacity(s.len() + 8);
    for c in s.chars() {
        if plain(c) {
            out.push(c);
        } else if c.escape_debug().len() == 1 {
            out.extend(c.escape_unicode());
        } else {
            out.extend(c.escape_debug());
        }
    }
    Cow::Owned(out)
}

/// Columns that `s` takes on a terminal.
pub fn width(s: &str) -> usize {
    s.width()
}

/// `s` in at most `max` columns, its middle replaced by `…`; the end keeps more than the front, since the last part
/// of a dotted name says most.
pub fn shortened(s: &str, max: usize) -> Cow<'_, str> {
    if width(s) <= max {
        return Cow::Borrowed(s);
    }
    let Some(room) = max.checked_sub(1) else { return Cow::Borrowed("") };
    let front = prefix(s.chars(), room / 3);
    let back: String = prefix(s.chars().rev(), room - width(&front)).chars().rev().collect();
    Cow::Owned(format!("{front}…{back}"))
}

/// `s` in at most `max` columns, cut at its end.
pub fn cut(s: &str, max: usize) -> Cow<'_, str> {
    if width(s) <= max {
        return Cow::Borrowed(s);
    }
    let Some(room) = max.checked_sub(1) else { return Cow::Borrowed("") };
    Cow::Owned(format!("{}…", prefix(s.chars(), room)))
}

/// `s` as lines of at most `max` columns, broken at spaces; a word that is longer has a line of its own. A number keeps its `%`.
pub fn folded(s: &str, max: usize) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in s.split(' ') {
        match words.last_mut() {
            Some(number) if word.starts_with('%') => *number = format!("{number} {word}"),
            _ => words.push(word.to_string()),
        }
    }
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(&word) <= max => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// `1,234,567`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(d);
    }
    out
}

/// `99.98 %` of `whole`. Rounded down, and up where it is not zero: `100 %` is said of all alone, `0 %` of nothing alone.
pub fn percent(part: u64, whole: u64) -> String {
    if part >= whole {
        return if whole == 0 { "0 %".into() } else { "100 %".into() };
    }
    let hundredths = (u128::from(part) * 10_000 / u128::from(whole)) as u64;
    match hundredths {
        0 if part == 0 => "0 %".into(),
        0 => "<0.01 %".into(),
        h => format!("{}.{:02} %", h / 100, h % 100),
    }
}

/// `1 object`, `2 objects`.
pub fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// `1 process`, `2 processes`.
pub(crate) fn processes(n: u64) -> String {
    format!("{} process{}", grouped(n), if n == 1 { "" } else { "es" })
}

/// A time that a person compares: `12.3 ms`, `1.24 s`.
pub fn duration_ms(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.2} s", ms / 1000.0),
    }
}

/// `s` as one word of a POSIX shell. What a terminal might obey is written in octal, `$'\033'`, which is POSIX's since 2024 and
/// older in bash, ksh and zsh.
pub fn shell_quoted(s: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !s.is_empty() && s.chars().all(plain) {
        return s.to_string();
    }
    if !s.contains(steers) {
        return format!("'{}'", s.replace('\'', r"'\''"));
    }
    let mut out = String::from("$'");
    for c in s.chars() {
        match c {
            '\'' | '\\' => out.extend(['\\', c]),
            c if steers(c) => c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| out += &format!("\\{byte:03o}")),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// As many characters as fit in `max` columns.
fn prefix(chars: impl Iterator<Item = char>, max: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for c in chars {
        used += c.width().unwrap_or(0);
        if used > max {
            break;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_target_can_steer_a_terminal() {
        for (raw, shown) in [
            ("app.models.Session", "app.models.Session"),
            ("it's \"quoted\"", "it's \"quoted\""),
            ("größe.Größe", "größe.Größe"),
            ("red\x1b[31m", r"red\u{1b}[31m"),
            ("two\nlines\r\t", r"two\nlines\r\t"),
            ("bell\x07", r"bell\u{7}"),
            ("c1\u{9b}31m", r"c1\u{9b}31m"),
            ("over\u{202e}ride", r"over\u{202e}ride"),
            ("zero\u{200b}width", r"zero\u{200b}width"),
            ("isolate\u{2066}", r"isolate\u{2066}"),
            ("combining e\u{301}", r"combining e\u{301}"),
            (r"back\slash", r"back\\slash"),
            ("nul\0", r"nul\0"),
        ] {
            assert_eq!(escaped(raw), shown);
        }
    }

    #[test]
    fn words_for_a_shell_cannot_steer_a_terminal_either() {
        for (raw, quoted) in [
            ("app.models.Session", "app.models.Session"),
            ("", "''"),
            ("it's \\n", r"'it'\''s \n'"),
            ("größe", "'größe'"),
            ("a\x1b[2J'\\\u{202e}1", r"$'a\033[2J\'\\\342\200\2561'"),
        ] {
            assert_eq!(shell_quoted(raw), quoted);
            assert_eq!(visible(quoted), quoted);
        }
        assert_eq!(visible("a\\b\x1b"), r"a\b\u{1b}");
    }

    #[test]
    fn long_names_lose_their_middle() {
        for (s, max, shown) in [
            ("app.models.Session", 18, "app.models.Session"),
            ("app.models.Session", 10, "app…ession"),
            ("app.models.Session", 1, "…"),
            ("app.models.Session", 0, ""),
            ("店.模型.会话", 8, "店….会话"),
        ] {
            let got = shortened(s, max);
            assert_eq!(got, shown);
            assert!(width(&got) <= max);
        }
        assert_eq!(cut("one two three", 8), "one two…");
        assert_eq!(folded("one two three", 8), ["one two", "three"]);
        assert_eq!(folded("one /a/path/that/is/long three", 8), ["one", "/a/path/that/is/long", "three"]);
        assert_eq!(folded("", 8), [""]);
        assert_eq!(folded("noise of 1.5 % then", 12), ["noise of", "1.5 % then"]);
    }

    #[test]
    fn numbers_say_no_more_than_they_know() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        for (part, whole, shown) in [
            (0, 0, "0 %"),
            (0, 7, "0 %"),
            (7, 7, "100 %"),
            (999_999, 1_000_000, "99.99 %"),
            (1, 1_000_000, "<0.01 %"),
            (1, 8, "12.50 %"),
            (u64::MAX - 1, u64::MAX, "99.99 %"),
        ] {
            assert_eq!(percent(part, whole), shown);
        }
        assert_eq!([0.5, 12.34, 250.0, 1234.0].map(duration_ms), ["0.50 ms", "12.3 ms", "250 ms", "1.23 s"]);
    }
}
