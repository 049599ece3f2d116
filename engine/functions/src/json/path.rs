//! Paths into JSON values: `$`, `.key`, `['key']`, `[n]` from 0, `.n` for either; a leading `$.` may be left out.

use super::scan::{Kind, elements, kind, members, text_of};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A member.
    Key(Box<str>),
    /// An element, from 0.
    Index(usize),
    /// `.7`: an element of an array, a member of an object.
    Either(usize, Box<str>),
}

/// A path, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// From the outside in.
    pub steps: Vec<Step>,
}

impl Path {
    /// Takes a path apart; the error tells what was expected where, in characters from 1.
    pub fn parse(text: &str) -> Result<Path, String> {
        let mut steps = Vec::new();
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        let bare = rest.len() == text.len();
        let mut first = bare && !text.is_empty();
        let at = |rest: &str| text[..text.len() - rest.len()].chars().count() + 1;
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let (step, behind) = bracket(inner)
                    .ok_or_else(|| format!("'[' at {} of the path opens neither ['key'] nor [n]", at(rest)))?;
                steps.push(step);
                rest = behind;
            } else {
                let name = match rest.strip_prefix('.') {
                    Some(name) => name,
                    None if first => rest,
                    None => return Err(format!("'.' or '[' expected at {} of the path", at(rest))),
                };
                let end = name.find(['.', '[']).unwrap_or(name.len());
                if end == 0 {
                    return Err(format!("a key is missing at {} of the path", at(name)));
                }
                let key = &name[..end];
                steps.push(match key.parse() {
                    Ok(n) if key.bytes().all(|b| b.is_ascii_digit()) => Step::Either(n, key.into()),
                    _ => Step::Key(key.into()),
                });
                rest = &name[end..];
            }
            first = false;
        }
        Ok(Path { steps })
    }

    /// The value the path leads to inside a well-formed value.
    pub fn find<'a>(&self, raw: &'a str) -> Option<&'a str> {
        self.steps.iter().try_fold(raw.trim_matches([' ', '\t', '\n', '\r']), |raw, step| step.find(raw))
    }
}

impl Step {
    /// The value one step inside a well-formed value.
    pub fn find<'a>(&self, raw: &'a str) -> Option<&'a str> {
        match (self, kind(raw)) {
            (Step::Key(key) | Step::Either(_, key), Kind::Object) => {
                // Of two members with one key the last counts.
                members(raw).filter(|(name, _)| text_of(name) == **key).last().map(|(_, value)| value)
            }
            (Step::Index(n) | Step::Either(n, _), Kind::Array) => elements(raw).nth(*n),
            _ => None,
        }
    }
}

/// The step that `[` opens and what stands behind its `]`.
fn bracket(inner: &str) -> Option<(Step, &str)> {
    for quote in ['\'', '"'] {
        if let Some(key) = inner.strip_prefix(quote) {
            let end = key.find(quote)?;
            return Some((Step::Key(key[..end].into()), key[end + 1..].strip_prefix(']')?));
        }
    }
    let end = inner.find(']')?;
    Some((Step::Index(inner[..end].trim().parse().ok()?), &inner[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_values() {
        let json = " {\"a\": {\"b\": [10, {\"c d\": true}], \"1\": \"one\"}, \"a.b\": 5, \"x\": 1, \"x\": 2} ";
        for (path, expect) in [
            ("$.a.b[0]", Some("10")),
            ("a.b[1]['c d']", Some("true")),
            ("$['a'].b.0", Some("10")),
            ("a.1", Some("\"one\"")),
            ("$['a.b']", Some("5")),
            ("x", Some("2")),
            ("a.b[2]", None),
            ("a.c", None),
            ("x.y", None),
        ] {
            assert_eq!(Path::parse(path).map(|p| p.find(json)), Ok(expect), "{path}");
        }
        assert_eq!(Path::parse("$").map(|p| p.find(" 1 ")), Ok(Some("1")));
        for (path, why) in [
            ("$a", "'.' or '[' expected at 2 of the path"),
            ("a..b", "a key is missing at 3 of the path"),
            ("a[", "'[' at 2 of the path opens neither ['key'] nor [n]"),
            ("a[-1]", "'[' at 2 of the path opens neither ['key'] nor [n]"),
            ("$.", "a key is missing at 3 of the path"),
        ] {
            assert_eq!(Path::parse(path), Err(why.to_owned()), "{path}");
        }
    }
}
