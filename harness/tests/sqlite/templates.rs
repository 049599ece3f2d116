//! Operators and functions that mean the same here and in SQLite, each as a template in both dialects.
//!
//! In a template `$` and two characters stand for an operand: its kind and a digit that tells operands of one kind apart.
//! `i` integer, `f` float, `s` text, `b` boolean, `t` timestamp are expressions; `a` is a column of ASCII text, `e` one
//! of floats, `w` a timestamp in whole seconds; `n` a number from 0 to 9, `l` a text of one or two letters, `p` a LIKE
//! pattern.

use std::collections::BTreeMap;

use super::draw::Draw;

/// Kind of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Integer,
    Float,
    Text,
    Boolean,
    Time,
    Date,
}

use Kind::{Boolean, Date, Float, Integer, Text, Time};

/// An expression in both dialects.
#[derive(Clone, Debug)]
pub struct Pair {
    pub ours: String,
    pub theirs: String,
    pub kind: Kind,
}

/// Name, kind of result, our words, SQLite's.
type Template = (&'static str, Kind, &'static str, &'static str);

const TEMPLATES: &[Template] = &[
    ("+", Integer, "($i1 + $i2)", "($i1 + $i2)"),
    ("-", Integer, "($i1 - $i2)", "($i1 - $i2)"),
    ("*", Integer, "($i1 * $i2)", "($i1 * $i2)"),
    ("%", Integer, "($i1 % NULLIF($i2, 0))", "($i1 % nullif($i2, 0))"),
    ("MOD", Integer, "MOD($i1, NULLIF($i2, 0))", "($i1 % nullif($i2, 0))"),
    ("negation", Integer, "(-$i1)", "(-$i1)"),
    ("/", Float, "($i1 / $i2)", "(CAST($i1 AS REAL) / $i2)"),
    ("float +", Float, "($f1 + $f2)", "($f1 + $f2)"),
    ("float -", Float, "($f1 - $i1)", "($f1 - $i1)"),
    ("float *", Float, "($f1 * $f2)", "($f1 * $f2)"),
    ("float /", Float, "($f1 / $f2)", "($f1 / $f2)"),
    ("=", Boolean, "($i1 = $f1)", "($i1 = $f1)"),
    ("<>", Boolean, "($s1 <> $s2)", "($s1 <> $s2)"),
    ("<", Boolean, "($s1 < $s2)", "($s1 < $s2)"),
    ("<=", Boolean, "($i1 <= $i2)", "($i1 <= $i2)"),
    (">", Boolean, "($t1 > $t2)", "($t1 > $t2)"),
    (">=", Boolean, "($f1 >= $i1)", "($f1 >= $i1)"),
    ("AND", Boolean, "($b1 AND $b2)", "($b1 AND $b2)"),
    ("OR", Boolean, "($b1 OR $b2 OR $b3)", "($b1 OR $b2 OR $b3)"),
    ("NOT", Boolean, "(NOT $b1)", "(NOT $b1)"),
    ("IS NULL", Boolean, "($s1 IS NULL)", "($s1 IS NULL)"),
    ("IS NOT NULL", Boolean, "($i1 IS NOT NULL)", "($i1 IS NOT NULL)"),
    ("IS DISTINCT FROM", Boolean, "($i1 IS DISTINCT FROM $i2)", "($i1 IS NOT $i2)"),
    ("JSON_OBJECT", Text, "CAST(JSON_OBJECT('a', $i1, 'b', $s1) AS STRING)", "(json_object('a', $i1, 'b', $s1) || '')"),
    (
        "JSON_QUERY",
        Text,
        "JSON_QUERY(JSON_OBJECT('k', JSON_ARRAY($i1, $s1)), 'k')",
        "((json_object('k', json_array($i1, $s1)) -> 'k') || '')",
    ),
    (
        "JSON_ARRAY_LENGTH",
        Integer,
        "JSON_ARRAY_LENGTH(JSON_ARRAY($i1, $s1, NULL))",
        "json_array_length(json_array($i1, $s1, NULL))",
    ),
    ("IS_JSON", Boolean, "IS_JSON(CONCAT('[', $s1, ']'))", "json_valid('[' || coalesce($s1, '') || ']')"),
    (
        "ELEMENT_AT",
        Integer,
        "ELEMENT_AT(ARRAY($i1, $i2, $i3), $n1)",
        "CASE WHEN $n1 > 0 THEN json_array($i1, $i2, $i3) ->> ($n1 - 1) END",
    ),
    ("ARRAY_MAX", Integer, "ARRAY_MAX(ARRAY($i1, $i2))", "(SELECT max(value) FROM json_each(json_array($i1, $i2)))"),
    (
        "ARRAY_CONTAINS",
        Boolean,
        "ARRAY_CONTAINS(ARRAY($s1, $s2), $a1)",
        "EXISTS (SELECT 1 FROM json_each(json_array($s1, $s2)) WHERE value IS $a1)",
    ),
    (
        "ARRAY_JOIN",
        Text,
        "ARRAY_JOIN(ARRAY($s1, $s2), '-')",
        "coalesce((SELECT group_concat(value, '-') FROM json_each(json_array($s1, $s2)) WHERE value IS NOT NULL), '')",
    ),
    ("BETWEEN", Boolean, "($i1 BETWEEN $i2 AND $i3)", "($i1 BETWEEN $i2 AND $i3)"),
    ("NOT BETWEEN", Boolean, "($s1 NOT BETWEEN 'a' AND $s2)", "($s1 NOT BETWEEN 'a' AND $s2)"),
    ("IN", Boolean, "($i1 IN (1, $i2, 3, NULL))", "($i1 IN (1, $i2, 3, NULL))"),
    ("NOT IN", Boolean, "($s1 NOT IN ('a', 'ba', $s2))", "($s1 NOT IN ('a', 'ba', $s2))"),
    ("LIKE", Boolean, "($s1 LIKE $p1)", "($s1 LIKE $p1)"),
    ("NOT LIKE", Boolean, "($s1 NOT LIKE $s2)", "($s1 NOT LIKE $s2)"),
    ("ESCAPE", Boolean, "($s1 LIKE '%!_%' ESCAPE '!')", "($s1 LIKE '%!_%' ESCAPE '!')"),
    (
        "CASE WHEN",
        Integer,
        "CASE WHEN $b1 THEN $i1 WHEN $b2 THEN $i2 ELSE $i3 END",
        "CASE WHEN $b1 THEN $i1 WHEN $b2 THEN $i2 ELSE $i3 END",
    ),
    (
        "CASE of",
        Text,
        "CASE $i1 WHEN 1 THEN $s1 WHEN $i2 THEN $s2 END",
        "CASE $i1 WHEN 1 THEN $s1 WHEN $i2 THEN $s2 END",
    ),
    ("IF", Float, "IF($b1, $f1, $f2)", "iif($b1, $f1, $f2)"),
    ("COALESCE", Text, "COALESCE($s1, $s2, 'x')", "coalesce($s1, $s2, 'x')"),
    ("COALESCE integers", Integer, "COALESCE($i1, $i2)", "coalesce($i1, $i2)"),
    ("IFNULL", Time, "IFNULL($t1, $t2)", "ifnull($t1, $t2)"),
    ("NULLIF", Integer, "NULLIF($i1, $i2)", "nullif($i1, $i2)"),
    ("ISNULL", Boolean, "ISNULL($f1)", "($f1 IS NULL)"),
    ("CAST to text", Text, "CAST($i1 AS STRING)", "CAST($i1 AS TEXT)"),
    ("CAST to integer", Integer, "CAST($e1 AS INTEGER)", "CAST($e1 AS INTEGER)"),
    ("CAST to float", Float, "CAST($i1 AS FLOAT)", "CAST($i1 AS REAL)"),
    ("||", Text, "($s1 || $s2)", "($s1 || $s2)"),
    ("CONCAT", Text, "CONCAT($s1, $i1, $s2)", "concat($s1, $i1, $s2)"),
    ("CONCAT_WS", Text, "CONCAT_WS($s1, $s2, $i1)", "concat_ws($s1, $s2, $i1)"),
    ("UPPER", Text, "UPPER($a1)", "upper($a1)"),
    ("LOWER", Text, "LOWER($a1)", "lower($a1)"),
    ("LENGTH", Integer, "LENGTH($s1)", "length($s1)"),
    ("LEFT", Text, "LEFT($s1, $n1)", "substr($s1, 1, $n1)"),
    ("RIGHT", Text, "RIGHT($s1, $n1)", "CASE WHEN $n1 = 0 AND $s1 IS NOT NULL THEN '' ELSE substr($s1, -$n1) END"),
    ("SUBSTRING", Text, "SUBSTRING($s1, 1 + ABS($i1 % 7), $n1)", "substr($s1, 1 + abs($i1 % 7), $n1)"),
    ("SUBSTRING FROM", Text, "SUBSTRING($s1 FROM $n1)", "CASE $n1 WHEN 0 THEN $s1 ELSE substr($s1, $n1) END"),
    ("SUBSTRING from 0", Text, "SUBSTR($s1, 0, $n1)", "substr($s1, 0, $n1)"),
    ("INSTR", Integer, "INSTR($s1, $s2)", "instr($s1, $s2)"),
    ("POSITION", Integer, "POSITION($l1 IN $s1)", "instr($s1, $l1)"),
    ("REPLACE", Text, "REPLACE($s1, $l1, $s2)", "replace($s1, $l1, $s2)"),
    ("TRANSLATE", Text, "TRANSLATE($s1, 'ab', 'x')", "replace(replace($s1, 'a', 'x'), 'b', '')"),
    ("TRIM", Text, "TRIM($s1)", "trim($s1)"),
    ("TRIM characters", Text, "TRIM(BOTH $l1 FROM $s1)", "trim($s1, $l1)"),
    ("LTRIM", Text, "LTRIM($s1, $l1)", "ltrim($s1, $l1)"),
    ("RTRIM", Text, "RTRIM($s1)", "rtrim($s1)"),
    (
        "LPAD",
        Text,
        "LPAD($s1, $n1, '*')",
        "CASE WHEN length($s1) >= $n1 THEN substr($s1, 1, $n1) ELSE substr('*********', 1, $n1 - length($s1)) || $s1 END",
    ),
    ("RPAD", Text, "RPAD($s1, $n1, '*')", "substr($s1 || '*********', 1, $n1)"),
    ("REPEAT", Text, "REPEAT($s1, $n1)", "replace(hex(zeroblob($n1)), '00', $s1)"),
    ("CHR", Text, "CHR(40 + ABS($i1 % 500))", "CASE WHEN $i1 IS NOT NULL THEN char(40 + abs($i1 % 500)) END"),
    ("STARTS_WITH", Boolean, "STARTS_WITH($s1, $l1)", "(substr($s1, 1, length($l1)) = $l1)"),
    ("ENDS_WITH", Boolean, "ENDS_WITH($s1, $l1)", "(substr($s1, -length($l1)) = $l1)"),
    ("CONTAINS", Boolean, "CONTAINS($s1, $s2)", "(instr($s1, $s2) > 0)"),
    ("SPLIT", Text, "SPLIT($s1, $l1)", "substr($s1, 1, instr($s1 || $l1, $l1) - 1)"),
    ("SPLIT_PART", Text, "SPLIT_PART($s1, ',', 1)", "substr($s1, 1, instr($s1 || ',', ',') - 1)"),
    ("ENCODE", Text, "ENCODE($s1, 'hex')", "lower(hex($s1)) || substr($s1, 1, 0)"),
    ("ABS", Integer, "ABS($i1)", "abs($i1)"),
    ("ABS of floats", Float, "ABS($f1)", "abs($f1)"),
    ("SIGN", Integer, "SIGN($f1)", "sign($f1)"),
    ("ROUND", Float, "ROUND($e1, $n1)", "round($e1, $n1)"),
    ("ROUND to whole", Float, "ROUND($e1)", "round($e1)"),
    ("CEIL", Integer, "CEIL($e1)", "(CAST($e1 AS INTEGER) + ($e1 > CAST($e1 AS INTEGER)))"),
    ("FLOOR", Integer, "FLOOR($e1)", "(CAST($e1 AS INTEGER) - ($e1 < CAST($e1 AS INTEGER)))"),
    ("TRUNC", Float, "TRUNC($e1)", "CAST(CAST($e1 AS INTEGER) AS REAL)"),
    (
        "LEAST",
        Integer,
        "LEAST($i1, $i2)",
        "CASE WHEN $i1 IS NULL THEN $i2 WHEN $i2 IS NULL THEN $i1 ELSE min($i1, $i2) END",
    ),
    (
        "GREATEST",
        Text,
        "GREATEST($s1, $s2)",
        "CASE WHEN $s1 IS NULL THEN $s2 WHEN $s2 IS NULL THEN $s1 ELSE max($s1, $s2) END",
    ),
    (
        "GREATEST of times",
        Time,
        "GREATEST($t1, $t2)",
        "CASE WHEN $t1 IS NULL THEN $t2 WHEN $t2 IS NULL THEN $t1 ELSE max($t1, $t2) END",
    ),
    ("EXTRACT YEAR", Integer, "EXTRACT(YEAR FROM $t1)", "CAST(strftime('%Y', $t1) AS INTEGER)"),
    ("EXTRACT EPOCH", Integer, "EXTRACT(EPOCH FROM $w1)", "unixepoch($w1)"),
    ("EXTRACT MILLISECOND", Integer, "EXTRACT(MILLISECOND FROM $t1)", "CAST(substr($t1, 21, 3) AS INTEGER)"),
    ("YEAR", Integer, "YEAR($t1)", "CAST(strftime('%Y', $t1) AS INTEGER)"),
    ("QUARTER", Integer, "QUARTER($t1)", "((CAST(strftime('%m', $t1) AS INTEGER) + 2) / 3)"),
    ("MONTH", Integer, "MONTH($t1)", "CAST(strftime('%m', $t1) AS INTEGER)"),
    ("WEEK", Integer, "WEEK($t1)", "CAST(strftime('%V', $t1) AS INTEGER)"),
    ("DAY", Integer, "DAY($t1)", "CAST(strftime('%d', $t1) AS INTEGER)"),
    ("DOW", Integer, "DOW($t1)", "CAST(strftime('%w', $t1) AS INTEGER)"),
    ("DOY", Integer, "DOY($t1)", "CAST(strftime('%j', $t1) AS INTEGER)"),
    ("HOUR", Integer, "HOUR($t1)", "CAST(strftime('%H', $t1) AS INTEGER)"),
    ("MINUTE", Integer, "MINUTE($t1)", "CAST(strftime('%M', $t1) AS INTEGER)"),
    ("SECOND", Integer, "SECOND($w1)", "CAST(strftime('%S', $w1) AS INTEGER)"),
    ("DATE_FORMAT", Text, "DATE_FORMAT($w1, '%G-%V %u %j %e %I %p %T')", "strftime('%G-%V %u %j %e %I %p %T', $w1)"),
    ("DATE_TRUNC year", Time, "DATE_TRUNC('year', $t1)", "strftime('%Y-01-01 00:00:00.000', $t1)"),
    ("DATE_TRUNC month", Time, "DATE_TRUNC('month', $t1)", "strftime('%Y-%m-01 00:00:00.000', $t1)"),
    ("DATE_TRUNC week", Date, "DATE(DATE_TRUNC('week', $t1))", "date($t1, '-6 days', 'weekday 1')"),
    ("DATE_TRUNC hour", Time, "DATE_TRUNC('hour', $t1)", "strftime('%Y-%m-%d %H:00:00.000', $t1)"),
    (
        "DATE_ADD days",
        Time,
        "DATE_ADD($t1, $i1 % 1000, 'day')",
        "strftime('%Y-%m-%d %H:%M:%f', $t1, ($i1 % 1000) || ' days')",
    ),
    (
        "DATE_ADD months",
        Time,
        "DATE_ADD($t1, $i1 % 50, 'month')",
        "strftime('%Y-%m-%d %H:%M:%f', $t1, ($i1 % 50) || ' months', 'floor')",
    ),
    ("DATE_SUB", Time, "DATE_SUB($t1, $n1, 'hours')", "strftime('%Y-%m-%d %H:%M:%f', $t1, '-$n1 hours')"),
    ("time - interval", Time, "($t1 - INTERVAL '$n1' MINUTE)", "strftime('%Y-%m-%d %H:%M:%f', $t1, '-$n1 minutes')"),
    ("time + years", Time, "($t1 + INTERVAL '$n1' YEAR)", "strftime('%Y-%m-%d %H:%M:%f', $t1, '+$n1 years', 'floor')"),
    ("DATEDIFF", Integer, "DATEDIFF('day', $w1, $w2)", "((unixepoch($w2) - unixepoch($w1)) / 86400)"),
    (
        "DATEDIFF months",
        Integer,
        "DATEDIFF('month', $t1, $t2)",
        "(strftime('%Y', $t2) * 12 + strftime('%m', $t2) - strftime('%Y', $t1) * 12 - strftime('%m', $t1))",
    ),
    ("LAST_DAY", Date, "LAST_DAY($t1)", "date($t1, 'start of month', '+1 month', '-1 day')"),
    ("UNIX_TIMESTAMP", Integer, "UNIX_TIMESTAMP($w1)", "unixepoch($w1)"),
    (
        "FROM_UNIXTIME",
        Time,
        "FROM_UNIXTIME(($i1 % 1000) * 1000000)",
        "strftime('%Y-%m-%d %H:%M:%f', ($i1 % 1000) * 1000000, 'unixepoch')",
    ),
    ("TO_DATE", Date, "TO_DATE($t1)", "date($t1)"),
];

/// Names of all templates.
pub fn names() -> impl Iterator<Item = &'static str> {
    TEMPLATES.iter().map(|(name, ..)| *name)
}

/// Writes random expressions and counts what they are made of.
pub struct Writer<'w> {
    draw: &'w mut Draw,
    uses: &'w mut BTreeMap<&'static str, u64>,
}

impl<'w> Writer<'w> {
    pub fn new(draw: &'w mut Draw, uses: &'w mut BTreeMap<&'static str, u64>) -> Writer<'w> {
        Writer { draw, uses }
    }

    /// Expression number `n`, at most this deep: every template has its turn.
    pub fn nth(&mut self, n: u64, depth: u32) -> Pair {
        self.written(TEMPLATES[(n % TEMPLATES.len() as u64) as usize], depth)
    }

    /// An expression of this kind.
    fn of(&mut self, kind: Kind, depth: u32) -> Pair {
        if depth == 0 || self.draw.once_in(3) {
            return self.column(kind);
        }
        let fitting: Vec<Template> = TEMPLATES.iter().copied().filter(|t| t.1 == kind).collect();
        let template = *self.draw.pick(&fitting);
        self.written(template, depth)
    }

    fn column(&mut self, kind: Kind) -> Pair {
        let names: &[&str] = match kind {
            Integer => &["i", "j", "2"],
            Float => &["f", "g"],
            Text => &["s", "u", "'ab'"],
            Boolean => &["b"],
            Time | Date => &["ts", "tu"],
        };
        same(self.draw.pick::<&str>(names), kind)
    }

    fn written(&mut self, (name, kind, ours, theirs): Template, depth: u32) -> Pair {
        *self.uses.entry(name).or_default() += 1;
        let mut operands: BTreeMap<&str, Pair> = BTreeMap::new();
        for key in keys(ours).chain(keys(theirs)) {
            if !operands.contains_key(key) {
                let operand = self.operand(key.as_bytes()[0], depth - 1);
                operands.insert(key, operand);
            }
        }
        let filled = |template: &str, text: fn(&Pair) -> &str| {
            operands.iter().fold(template.to_owned(), |done, (key, pair)| done.replace(&format!("${key}"), text(pair)))
        };
        Pair { ours: filled(ours, |p| &p.ours), theirs: filled(theirs, |p| &p.theirs), kind }
    }

    fn operand(&mut self, letter: u8, depth: u32) -> Pair {
        match letter {
            b'i' => self.of(Integer, depth),
            b'f' => self.of(Float, depth),
            b's' => self.of(Text, depth),
            b'b' => self.of(Boolean, depth),
            b't' => self.of(Time, depth),
            b'a' => same("s", Text),
            b'e' => same(if self.draw.once_in(2) { "f" } else { "g" }, Float),
            b'w' => same("tu", Time),
            b'n' => same(&self.draw.below(10).to_string(), Integer),
            b'l' => same(self.draw.pick::<&str>(&["'a'", "'b'", "','", "'ab'", "'é'", "' '"]), Text),
            _ => same(
                self.draw.pick::<&str>(&["'%a%'", "'a_%'", "'_'", "'%b'", "''", "'%'", "'ab\\%'", "'__%_'", "'%é%a%'"]),
                Text,
            ),
        }
    }
}

/// The same words in both dialects.
fn same(text: &str, kind: Kind) -> Pair {
    Pair { ours: text.to_owned(), theirs: text.to_owned(), kind }
}

/// The operands a template names.
fn keys(template: &str) -> impl Iterator<Item = &str> {
    template.split('$').skip(1).filter_map(|rest| rest.get(..2))
}
