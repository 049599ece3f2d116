//! Texts that match a regular expression: the part of the language that says how a text is built, read once and then
//! written out any number of times.
//!
//! Known: literals, `.`, classes, `\d \w \s` and their opposites, groups, `|`, `?`, `*`, `+`, `{n}`, `{n,}`, `{n,m}`, and
//! `^` and `$` at the ends. Everything else is refused with its place. Characters nobody named (`.`, `[^a]`, `\W`) are
//! printable ASCII; a repetition without an end stops [`OPEN_REPEATS`] after its least.

use velostream_types::Span;

use super::random::Random;

/// How often `*`, `+` and `{n,}` repeat beyond their least.
const OPEN_REPEATS: u32 = 8;
/// Longest text that a pattern may ask for, in characters.
const CHARACTERS_MAX: u64 = 65_536;
/// Deepest nesting of groups.
const DEPTH_MAX: usize = 64;
/// Printable ASCII.
const PRINTABLE: (u32, u32) = (0x20, 0x7e);

/// A pattern that texts are written from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pattern {
    root: Node,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Literal(char),
    Class(Class),
    Repeat { node: Box<Node>, least: u32, most: u32 },
    Sequence(Vec<Node>),
    OneOf(Vec<Node>),
}

/// Why a pattern cannot be used, and where in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refused {
    pub span: Span,
    pub why: String,
}

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Pattern, Refused> {
        let whole = Span::new(0, text.len() as u32);
        let mut reader = Reader { text, at: 0, depth: 0 };
        let root = reader.alternatives()?;
        if reader.at < text.len() {
            return Err(reader.refuse(reader.at, "this ')' closes no group"));
        }
        let characters = root.longest();
        if characters > CHARACTERS_MAX {
            let why = format!("it asks for texts of {characters} characters, more than {CHARACTERS_MAX}");
            return Err(Refused { span: whole, why });
        }
        // What is left are expressions that only the regex crate knows to be malformed.
        if let Err(e) = regex::Regex::new(text) {
            let why = e.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            return Err(Refused { span: whole, why });
        }
        Ok(Pattern { root })
    }

    /// Appends a text that matches.
    pub fn write(&self, random: &mut Random, out: &mut String) {
        self.root.write(random, out);
    }
}

impl Node {
    fn write(&self, random: &mut Random, out: &mut String) {
        match self {
            Node::Literal(c) => out.push(*c),
            Node::Class(class) => out.push(class.pick(random)),
            Node::Repeat { node, least, most } => {
                for _ in 0..random.between(i128::from(*least), i128::from(*most)) {
                    node.write(random, out);
                }
            }
            Node::Sequence(nodes) => nodes.iter().for_each(|node| node.write(random, out)),
            Node::OneOf(nodes) => {
                if let Some(node) = nodes.get(random.below(nodes.len().max(1) as u64) as usize) {
                    node.write(random, out);
                }
            }
        }
    }

    /// Characters of the longest text.
    fn longest(&self) -> u64 {
        match self {
            Node::Literal(_) | Node::Class(_) => 1,
            Node::Repeat { node, most, .. } => node.longest().saturating_mul(u64::from(*most)),
            Node::Sequence(nodes) => nodes.iter().fold(0, |sum, node| sum.saturating_add(node.longest())),
            Node::OneOf(nodes) => nodes.iter().map(Node::longest).max().unwrap_or(0),
        }
    }
}

/// Characters to pick from: ranges without overlap, in order.
#[derive(Clone, Debug, PartialEq)]
struct Class {
    ranges: Vec<(u32, u32)>,
    characters: u64,
}

impl Class {
    /// The class of these ranges, which may overlap; surrogates are no characters. `None` if nothing is left.
    fn of(mut ranges: Vec<(u32, u32)>, negated: bool) -> Option<Class> {
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::new();
        for (from, to) in ranges.into_iter().flat_map(|r| [(r.0, r.1.min(0xd7ff)), (r.0.max(0xe000), r.1)]) {
            match merged.last_mut() {
                _ if from > to => {}
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        if negated {
            let mut rest = Vec::new();
            let mut from = PRINTABLE.0;
            for (start, end) in &merged {
                if *start > from {
                    rest.push((from, (start - 1).min(PRINTABLE.1)));
                }
                from = from.max(end.saturating_add(1));
            }
            rest.push((from, PRINTABLE.1));
            rest.retain(|(from, to)| from <= to);
            merged = rest;
        }
        let characters = merged.iter().map(|(from, to)| u64::from(to - from) + 1).sum();
        (characters > 0).then_some(Class { ranges: merged, characters })
    }

    fn pick(&self, random: &mut Random) -> char {
        let mut nth = random.below(self.characters) as u32;
        for (from, to) in &self.ranges {
            match to - from {
                last if nth <= last => return char::from_u32(from + nth).unwrap_or(char::REPLACEMENT_CHARACTER),
                last => nth -= last + 1,
            }
        }
        char::REPLACEMENT_CHARACTER
    }
}

/// The ranges of `\d`, `\w` and `\s`.
fn shorthand(letter: char) -> Option<Vec<(u32, u32)>> {
    let range = |from: char, to: char| (u32::from(from), u32::from(to));
    match letter {
        'd' => Some(vec![range('0', '9')]),
        'w' => Some(vec![range('0', '9'), range('A', 'Z'), range('_', '_'), range('a', 'z')]),
        's' => Some(vec![range(' ', ' ')]),
        _ => None,
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.at += if found { c.len_utf8() } else { 0 };
        found
    }

    /// About the text from `start` to where the reader stands, or the character there.
    fn refuse(&self, start: usize, why: impl Into<String>) -> Refused {
        let end = if self.at > start { self.at } else { start + self.peek().map_or(0, char::len_utf8) };
        Refused { span: Span::new(start as u32, end as u32), why: why.into() }
    }

    fn alternatives(&mut self) -> Result<Node, Refused> {
        let mut branches = vec![self.sequence()?];
        while self.take('|') {
            branches.push(self.sequence()?);
        }
        Ok(if branches.len() == 1 { branches.remove(0) } else { Node::OneOf(branches) })
    }

    fn sequence(&mut self) -> Result<Node, Refused> {
        let mut nodes = Vec::new();
        while let Some(c) = self.peek().filter(|c| !matches!(c, '|' | ')')) {
            let start = self.at;
            self.next();
            let node = match c {
                '^' if nodes.is_empty() && self.depth == 0 => continue,
                '$' if self.depth == 0 && matches!(self.peek(), None | Some('|')) => continue,
                '^' | '$' => return Err(self.refuse(start, "anchors stand at the ends of a pattern")),
                '(' => self.group(start)?,
                '[' => Node::Class(self.class(start)?),
                '.' => Node::Class(self.some(start, vec![PRINTABLE], false)?),
                '\\' => self.escape(start)?,
                '?' | '*' | '+' | '{' => return Err(self.refuse(start, "there is nothing to repeat")),
                literal => Node::Literal(literal),
            };
            nodes.push(self.repeated(node)?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Sequence(nodes) })
    }

    fn group(&mut self, start: usize) -> Result<Node, Refused> {
        if self.take('?') && !self.take(':') {
            self.next();
            return Err(self.refuse(start, "only (…) and (?:…) are groups; looking around and flags are not supported"));
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.refuse(start, format!("groups are nested deeper than {DEPTH_MAX}")));
        }
        let node = self.alternatives()?;
        self.depth -= 1;
        if self.take(')') { Ok(node) } else { Err(self.refuse(start, "this group is not closed")) }
    }

    fn some(&self, start: usize, ranges: Vec<(u32, u32)>, negated: bool) -> Result<Class, Refused> {
        Class::of(ranges, negated).ok_or_else(|| self.refuse(start, "no printable ASCII character is in this class"))
    }

    /// What `\` and the next character stand for, outside classes.
    fn escape(&mut self, start: usize) -> Result<Node, Refused> {
        let letter = self.next().ok_or_else(|| self.refuse(start, "nothing follows the '\\'"))?;
        let small = letter.to_ascii_lowercase();
        if let Some(ranges) = shorthand(small) {
            return self.some(start, ranges, small != letter).map(Node::Class);
        }
        self.character(start, letter).map(Node::Literal)
    }

    /// The one character that `\` and `letter` stand for.
    fn character(&self, start: usize, letter: char) -> Result<char, Refused> {
        match letter {
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            '<' | '>' => Err(self.refuse(start, "this escape is not supported")),
            c if c.is_ascii_punctuation() => Ok(c),
            _ => Err(self.refuse(start, "this escape is not supported")),
        }
    }

    fn class(&mut self, start: usize) -> Result<Class, Refused> {
        let negated = self.take('^');
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        let mut first = true;
        loop {
            let here = self.at;
            let c = self.next().ok_or_else(|| self.refuse(start, "this class is not closed"))?;
            let from = match c {
                ']' if !first => return self.some(start, ranges, negated),
                '[' => return Err(self.refuse(here, "classes inside classes are not supported; write '\\['")),
                '&' | '~' | '-' if self.peek() == Some(c) => {
                    return Err(self.refuse(here, "set operations are not supported"));
                }
                '\\' => {
                    let letter = self.next().ok_or_else(|| self.refuse(start, "this class is not closed"))?;
                    if let Some(several) = shorthand(letter) {
                        ranges.extend(several);
                        first = false;
                        continue;
                    }
                    self.character(here, letter)?
                }
                c => c,
            };
            first = false;
            let mut to = from;
            if self.text[self.at..].starts_with('-') && !self.text[self.at..].starts_with("-]") {
                self.next();
                let place = self.at;
                to = match self.next() {
                    Some('\\') => match self.next() {
                        Some(letter) => self.character(place, letter)?,
                        None => return Err(self.refuse(start, "this class is not closed")),
                    },
                    Some('[') => {
                        return Err(self.refuse(place, "classes inside classes are not supported; write '\\['"));
                    }
                    Some(c) => c,
                    None => return Err(self.refuse(start, "this class is not closed")),
                };
            }
            if to < from {
                return Err(self.refuse(here, format!("'{to}' comes before '{from}'")));
            }
            ranges.push((u32::from(from), u32::from(to)));
        }
    }

    /// `node` with the repetitions behind it.
    fn repeated(&mut self, mut node: Node) -> Result<Node, Refused> {
        loop {
            let start = self.at;
            let (least, most) = match self.peek() {
                Some('?') => (0, 1),
                Some('*') => (0, OPEN_REPEATS),
                Some('+') => (1, 1 + OPEN_REPEATS),
                Some('{') => {
                    let (least, most) = self.counts(start)?;
                    self.take('?');
                    node = Node::Repeat { node: Box::new(node), least, most };
                    continue;
                }
                _ => return Ok(node),
            };
            self.next();
            // A lazy repetition matches the same texts.
            self.take('?');
            node = Node::Repeat { node: Box::new(node), least, most };
        }
    }

    /// `{n}`, `{n,}` or `{n,m}`
    fn counts(&mut self, start: usize) -> Result<(u32, u32), Refused> {
        let length = self.text[start..].find('}').map(|end| end + 1);
        self.at = length.map_or(self.text.len(), |length| start + length);
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| u64::from(*n) <= CHARACTERS_MAX);
        let inner = self.text[start..self.at].trim_start_matches('{').trim_end_matches('}');
        let counts = match inner.split_once(',') {
            None => number(inner).map(|n| (n, n)),
            Some((least, "")) => number(least).map(|n| (n, n + OPEN_REPEATS)),
            Some((least, most)) => number(least).zip(number(most)),
        };
        match counts {
            Some((least, most)) if least <= most && length.is_some() => Ok((least, most)),
            Some((least, most)) if length.is_some() => Err(self.refuse(start, format!("{least} is more than {most}"))),
            _ => Err(self.refuse(start, format!("repetitions are {{n}}, {{n,}} or {{n,m}}, up to {CHARACTERS_MAX}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_matches_its_pattern() {
        let patterns = [
            "SENSOR-[0-9]{4}",
            "",
            "abc",
            "a|bc|",
            "(ab|c){2,5}d?",
            r"^\d{3}-\w+@\w*\.(com|org)$",
            r"[^a-z]{10}",
            r"[]a]+",
            r"[a\]\-^]{3}",
            r"[-a]{4}[a-]{4}",
            r"\D\W\S\s",
            r".{0,20}",
            r"(?:x{2}){3,}",
            r"(a?)*b+?",
            "[äöüß]{5}→[α-ω]{2}",
            r"\.\*\+\?\(\)\[\]\{\}\|\^\$\\\-\/",
            r"[\d\sA-F_]{8}",
            "^a|b$",
            r"[\x20-\x7e]",
            "a{3}{2}",
            r"\t\n\r",
            "([A-Z]{2}[0-9]{2} ?){4}",
            "[\u{d700}-\u{e010}]{40}",
            "]}",
        ];
        let mut random = Random::of(11, &[]);
        for text in patterns {
            let Ok(pattern) = Pattern::parse(text) else {
                assert_eq!(text, r"[\x20-\x7e]", "only this one is refused");
                continue;
            };
            let matcher = regex::Regex::new(&format!("^(?:{text})$")).expect("a regular expression");
            let mut out = String::new();
            for _ in 0..500 {
                out.clear();
                pattern.write(&mut random, &mut out);
                assert!(matcher.is_match(&out), "{text} gave {out:?}");
            }
        }
    }

    #[test]
    fn whatever_is_taken_as_a_pattern_gives_texts_that_match() {
        const PIECES: [&str; 30] = [
            "a", "b", "é", "[", "]", "^", "-", "\\", "d", "W", "s", "(", ")", "(?:", "{", "}", "{2}", "{1,3}", "?",
            "*", "+", "|", ".", ",", "0", "9", "$", "[a-z]", "[^", "/",
        ];
        let mut random = Random::of(12, &[]);
        let mut taken = 0;
        for _ in 0..20_000 {
            let text: String =
                (0..1 + random.below(8)).map(|_| PIECES[random.below(PIECES.len() as u64) as usize]).collect();
            let Ok(pattern) = Pattern::parse(&text) else { continue };
            taken += 1;
            let matcher = regex::Regex::new(&format!("^(?:{text})$")).expect("a regular expression");
            for _ in 0..3 {
                let mut out = String::new();
                pattern.write(&mut random, &mut out);
                assert!(matcher.is_match(&out), "{text} gave {out:?}");
            }
        }
        assert!(taken > 2_000, "{taken}");
    }

    #[test]
    fn choices_are_all_made() {
        let pattern = Pattern::parse("(a|[bc])x{0,2}").expect("a pattern");
        let mut seen = std::collections::BTreeSet::new();
        let mut random = Random::of(1, &[]);
        for _ in 0..500 {
            let mut out = String::new();
            pattern.write(&mut random, &mut out);
            seen.insert(out);
        }
        assert_eq!(seen.len(), 9, "{seen:?}");
    }

    #[test]
    fn what_cannot_be_written_is_refused_with_its_place() {
        for (text, start, end, why) in [
            ("ab(?=c)", 2, 5, "only (…) and (?:…) are groups; looking around and flags are not supported"),
            ("a(b", 1, 3, "this group is not closed"),
            ("ab)", 2, 3, "this ')' closes no group"),
            ("[ab", 0, 3, "this class is not closed"),
            ("x[z-a]", 2, 5, "'a' comes before 'z'"),
            ("*a", 0, 1, "there is nothing to repeat"),
            ("a{2,1}", 1, 6, "2 is more than 1"),
            ("a{,3}", 1, 5, "repetitions are {n}, {n,} or {n,m}, up to 65536"),
            ("a{", 1, 2, "repetitions are {n}, {n,} or {n,m}, up to 65536"),
            (r"a\bc", 1, 3, "this escape is not supported"),
            (r"\p{L}", 0, 2, "this escape is not supported"),
            ("a^b", 1, 2, "anchors stand at the ends of a pattern"),
            ("a$b", 1, 2, "anchors stand at the ends of a pattern"),
            ("[[:alpha:]]", 1, 2, "classes inside classes are not supported; write '\\['"),
            ("[a&&b]", 2, 3, "set operations are not supported"),
            (r"[^ -~]", 0, 6, "no printable ASCII character is in this class"),
            ("(a{999}){999}", 0, 13, "it asks for texts of 998001 characters, more than 65536"),
            (r"a\", 1, 2, "nothing follows the '\\'"),
        ] {
            let refused = Pattern::parse(text).expect_err(text);
            assert_eq!((refused.span, refused.why.as_str()), (Span::new(start, end), why), "{text}");
        }
        let deep = format!("{}a{}", "(".repeat(100), ")".repeat(100));
        assert_eq!(Pattern::parse(&deep).expect_err("too deep").why, "groups are nested deeper than 64");
    }
}
