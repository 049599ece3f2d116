//! Finds the comment lines of a SQL text: `--` as the first thing on a line, outside strings and block comments.

/// Content of each comment line (behind the dashes) with its byte position, in order.
pub(super) fn comment_lines(text: &str) -> Vec<(usize, &str)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    let mut is_first = true;
    while at < bytes.len() {
        match bytes[at] {
            b'\n' => {
                is_first = true;
                at += 1;
            }
            b' ' | b'\t' | b'\r' => at += 1,
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                let end = text[at..].find('\n').map_or(text.len(), |n| at + n);
                if is_first {
                    let start = at + 2;
                    found.push((start, text[start..end].trim_end_matches('\r')));
                }
                at = end;
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                at = text[at + 2..].find("*/").map_or(text.len(), |n| at + 2 + n + 2);
                is_first = false;
            }
            quote @ (b'\'' | b'"' | b'`') => {
                // A doubled quote closes one string and opens the next, which comes to the same.
                let close = bytes[at + 1..].iter().position(|b| *b == quote);
                at = close.map_or(text.len(), |n| at + 1 + n + 1);
                is_first = false;
            }
            _ => {
                is_first = false;
                at += 1;
            }
        }
    }
    found
}

/// The value without a trailing ` # note` and without quotes around it. A `#` inside quotes belongs to the value.
pub(super) fn value(text: &str) -> &str {
    let text = text.trim();
    let bare = text
        .match_indices('#')
        .find(|(i, _)| text[..*i].ends_with([' ', '\t']) && !is_quoted(text, *i))
        .map_or(text, |(i, _)| text[..i].trim_end());
    for quote in ['"', '\''] {
        if let Some(inner) = bare.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote))
            && !inner.contains(quote)
        {
            return inner;
        }
    }
    bare
}

/// TRUE when byte `at` stands between quotes; a lone apostrophe quotes nothing.
fn is_quoted(text: &str, at: usize) -> bool {
    ['\'', '"'].iter().any(|q| text.matches(*q).count() % 2 == 0 && text[..at].matches(*q).count() % 2 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_are_comments() {
        let text = "-- a\r\n  --b\nSELECT 1 -- no\n, '-- no\n-- no''\n-- no', `x\n-- no`\n/* \n-- no */ -- no\n--\té";
        let found: Vec<&str> = comment_lines(text).into_iter().map(|(_, c)| c).collect();
        assert_eq!(found, [" a", "b", "\té"]);
        for (at, content) in comment_lines(text) {
            assert_eq!(&text[at..at + content.len()], content);
        }
        assert_eq!(comment_lines("'open\n-- x"), []);
        assert_eq!(comment_lines("/* open\n-- x"), []);
    }

    #[test]
    fn values() {
        for (text, expect) in [
            (" 5 # note", "5"),
            (" 'a # b' # c", "a # b"),
            ("\"x\"", "x"),
            ("don't # c", "don't"),
            ("a#b", "a#b"),
            ("status = 'x # y' OR z = 'q'", "status = 'x # y' OR z = 'q'"),
            ("'a' || 'b'", "'a' || 'b'"),
            ("# all", "# all"),
            ("", ""),
        ] {
            assert_eq!(value(text), expect, "{text}");
        }
    }
}
