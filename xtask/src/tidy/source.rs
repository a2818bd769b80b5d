//! Rust source without what is not code.
//!
//! Holds: a lexer for comments, strings and characters, no more of Rust than that; the strings of a source by themselves. Never: judges.
//! Source: The Rust Reference, "Tokens" and "Comments".

/// What is not code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Other {
    Comment,
    Text,
    Char,
}

/// `text` with comments and the contents of strings and characters turned to spaces; lines and columns stay where they were.
pub(crate) fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = chars.clone();
    for (_, start, end) in others(&chars) {
        code[start..end].iter_mut().filter(|c| **c != '\n').for_each(|c| *c = ' ');
    }
    code.into_iter().collect()
}

/// The string literals of `text`: where each begins and ends, in characters, and what stands between the quotes.
pub(crate) fn literals(text: &str) -> Vec<(usize, usize, String)> {
    let chars: Vec<char> = text.chars().collect();
    let strings = others(&chars).into_iter().filter(|(kind, _, _)| *kind == Other::Text);
    let content = |start: usize, end: usize| {
        let all: String = chars[start..end].iter().collect();
        all.trim_start_matches('r').trim_matches('#').trim_matches('"').to_owned()
    };
    strings.map(|(_, start, end)| (start, end, content(start, end))).collect()
}

/// Where comments, strings and characters begin and end.
fn others(chars: &[char]) -> Vec<(Other, usize, usize)> {
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut all = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let found = match (at(i), at(i + 1)) {
            ('/', '/') => Some((Other::Comment, (i..chars.len()).find(|&j| at(j) == '\n').unwrap_or(chars.len()))),
            ('/', '*') => Some((Other::Comment, block_comment_end(chars, i))),
            ('"', _) => Some((Other::Text, string_end(chars, i))),
            ('r', '"' | '#') if !is_word(at(i.wrapping_sub(1))) || at(i.wrapping_sub(1)) == 'b' => {
                raw_string_end(chars, i).map(|end| (Other::Text, end))
            }
            ('\'', _) => char_end(chars, i).map(|end| (Other::Char, end)),
            _ => None,
        };
        i = match found {
            Some((kind, end)) => {
                let end = end.min(chars.len());
                all.push((kind, i, end));
                end
            }
            None => i + 1,
        };
    }
    all
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
    fn strings_are_listed_with_their_places() {
        let found = literals("f(\"a\", // \"no\"\n  r#\"b\"#, '\"', \"\")");
        assert_eq!(found, [(2, 5, "a".to_owned()), (17, 23, "b".to_owned()), (30, 32, String::new())]);
    }

    #[test]
    fn words_end_where_names_end() {
        assert!(has_word("unsafe {", "unsafe") && has_word("(unsafe)", "unsafe"));
        assert!(!has_word("unsafe_code", "unsafe") && !has_word("forbid_unsafe", "unsafe"));
    }
}
