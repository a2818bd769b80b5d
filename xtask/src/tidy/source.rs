//! Rust source without what is not code.
//!
//! Holds: a lexer for comments, strings and characters, no more of Rust than that. Never: judges.
//! Source: The Rust Reference, "Tokens" and "Comments".

/// `text` with comments and the contents of strings and characters turned to spaces; lines and columns stay where they were.
pub(crate) fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut code = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let end = match (at(i), at(i + 1)) {
            ('/', '/') => (i..chars.len()).find(|&j| at(j) == '\n').unwrap_or(chars.len()),
            ('/', '*') => block_comment_end(&chars, i),
            ('"', _) => string_end(&chars, i),
            ('r', '"' | '#') if !is_word(at(i.wrapping_sub(1))) || at(i.wrapping_sub(1)) == 'b' => match raw_string_end(&chars, i) {
                Some(end) => end,
                None => i,
            },
            ('\'', _) => char_end(&chars, i).unwrap_or(i),
            _ => i,
        };
        if end == i {
            code.push(at(i));
            i += 1;
        } else {
            code.extend(chars[i..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            i = end;
        }
    }
    code
}

/// `code` up to its tests, which stand last in a file.
pub(crate) fn without_tests(code: &str) -> &str {
    code.find("#[cfg(test)]").map_or(code, |at| &code[..at])
}

/// Whether `word` stands in `line` with no letter, digit or underscore beside it.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut i = start;
    while i < chars.len() {
        match (chars.get(i), chars.get(i + 1)) {
            (Some('/'), Some('*')) => {
                depth += 1;
                i += 2;
            }
            (Some('*'), Some('/')) => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() {
        match chars.get(i) {
            Some('\\') => i += 2,
            Some('"') => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], start: usize) -> Option<usize> {
    let hashes = chars[start + 1..].iter().take_while(|&&c| c == '#').count();
    if chars.get(start + 1 + hashes) != Some(&'"') {
        return None;
    }
    let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = start + 2 + hashes;
    (body..chars.len()).find(|&i| chars[i..].starts_with(&closing)).map(|i| i + closing.len()).or(Some(chars.len()))
}

/// The end of a character; `None` where the quote opens a lifetime.
fn char_end(chars: &[char], start: usize) -> Option<usize> {
    match (chars.get(start + 1)?, chars.get(start + 2)) {
        ('\\', _) => (start + 3..chars.len()).find(|&i| chars.get(i) == Some(&'\'')).map(|i| i + 1),
        (_, Some('\'')) => Some(start + 3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_go_and_code_stays() {
        let check = |text: &str, code: &str| assert_eq!(code_only(text).split_whitespace().collect::<Vec<_>>().join(" "), code, "{text}");
        check("a /* x /* y */ z */ b // c\nd", "a b d");
        check(r#"f("a \" b", 'x', '\'', '"') g"#, "f( , , , ) g");
        check("r#\"un\"safe\"# + br\"x\" + var\"y\"", "+ b + var");
        check("fn f<'a>(x: &'a str) -> &'static str { 'q' }", "fn f<'a>(x: &'a str) -> &'static str { }");
        assert_eq!(code_only("\"a\nb\"c").lines().count(), 2, "lines stay");
    }

    #[test]
    fn words_end_where_names_end() {
        assert!(has_word("unsafe {", "unsafe") && has_word("(unsafe)", "unsafe"));
        assert!(!has_word("unsafe_code", "unsafe") && !has_word("forbid_unsafe", "unsafe"));
    }
}
