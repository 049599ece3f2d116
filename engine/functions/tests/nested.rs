//! Nested values against a tree model: one text for one value however it is written, an order, paths, and the set
//! functions of arrays against plain vectors.

use std::cmp::Ordering;

use proptest::prelude::*;
use velostream_functions::json::{self, Path, Strictness};
use velostream_functions::{Arg, ArgType, Call, RowContext};
use velostream_types::{Batch, DataType, RowMeta, SourceId, Value};

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Null,
    Bool(bool),
    /// Hundredths.
    Number(i32),
    Text(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        (-500i32..500).prop_map(Tree::Number),
        "[a-c\"\\\\/\u{1}\né😀]{0,4}".prop_map(Tree::Text),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::Array),
            prop::collection::btree_map("[a-b0-1é\"]{0,2}", inner, 0..4)
                .prop_map(|members| Tree::Object(members.into_iter().collect())),
        ]
    })
}

/// Decides how a value is written.
struct Noise(u64);

impl Noise {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn space(&mut self, out: &mut String) {
        out.push_str(["", "", " ", "\n\t"][self.below(4) as usize]);
    }

    fn text(&mut self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            match c {
                _ if self.below(4) == 0 => {
                    let mut units = [0; 2];
                    c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04X}")));
                }
                '"' | '\\' => out.extend(['\\', c]),
                '/' if self.below(2) == 0 => out.push_str("\\/"),
                '\n' => out.push_str("\\n"),
                c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
                c => out.push(c),
            }
        }
        out.push('"');
    }

    fn number(&mut self, hundredths: i32, out: &mut String) {
        let sign = if hundredths < 0 { "-" } else { "" };
        let (whole, rest) = (hundredths.abs() / 100, hundredths.abs() % 100);
        out.push_str(&match self.below(3) {
            0 if rest == 0 => format!("{sign}{whole}"),
            1 => format!("{hundredths}e-2"),
            _ => format!("{sign}{whole}.{rest:02}00"),
        });
    }

    fn write(&mut self, tree: &Tree, out: &mut String) {
        self.space(out);
        match tree {
            Tree::Null => out.push_str("null"),
            Tree::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Tree::Number(n) => self.number(*n, out),
            Tree::Text(text) => self.text(text, out),
            Tree::Array(elements) => {
                out.push('[');
                for (i, element) in elements.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    self.write(element, out);
                }
                out.push(']');
            }
            Tree::Object(members) => {
                out.push('{');
                let mut order: Vec<usize> = (0..members.len()).collect();
                order.sort_by_key(|_| self.below(1000));
                for (i, (key, value)) in order.into_iter().map(|i| &members[i]).enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    self.space(out);
                    if self.below(6) == 0 {
                        // Of two members with one key the last counts.
                        self.text(key, out);
                        out.push_str(":[0],");
                    }
                    self.text(key, out);
                    self.space(out);
                    out.push(':');
                    self.write(value, out);
                }
                out.push('}');
            }
        }
        self.space(out);
    }
}

fn written(tree: &Tree, seed: u64) -> String {
    let mut out = String::new();
    Noise(seed).write(tree, &mut out);
    out
}

fn canonical(raw: &str, data_type: &DataType) -> Option<String> {
    let mut out = String::new();
    json::canonical(raw, data_type, Strictness::Declared, &mut out).ok().map(|()| out)
}

/// What a path of keys and indices leads to.
fn follow<'t>(tree: &'t Tree, steps: &[String]) -> Option<&'t Tree> {
    steps.iter().try_fold(tree, |tree, step| match tree {
        Tree::Array(elements) => elements.get(step.parse::<usize>().ok()?),
        Tree::Object(members) => members.iter().find(|(key, _)| key == step).map(|(_, value)| value),
        _ => None,
    })
}

proptest! {
    #[test]
    fn one_text_however_it_is_written(tree in trees(), other in trees(), a: u64, b: u64) {
        let (one, two) = (written(&tree, a), written(&tree, b));
        prop_assert_eq!(json::check(&one), Ok(()), "{}", one);
        let text = canonical(&one, &DataType::Json).expect("well-formed");
        prop_assert_eq!(canonical(&two, &DataType::Json), Some(text.clone()), "{} {}", one, two);
        prop_assert_eq!(canonical(&text, &DataType::Json), Some(text.clone()));
        prop_assert_eq!(json::check(&text), Ok(()));
        prop_assert_eq!(canonical(&written(&other, b), &DataType::Json).expect("well-formed") == text, other == tree);
    }

    #[test]
    fn texts_order_as_their_values_do(rows in prop::collection::vec(prop::collection::vec(-30i32..30, 0..4), 3), s: u64) {
        let of = DataType::array(DataType::decimal(2));
        let tree = |row: &Vec<i32>| Tree::Array(row.iter().map(|n| if *n == 29 { Tree::Null } else { Tree::Number(*n) }).collect());
        let texts: Vec<String> = rows.iter().map(|row| canonical(&written(&tree(row), s), &of).expect("of the type")).collect();
        let model = |row: &Vec<i32>| row.iter().map(|n| if *n == 29 { i32::MIN } else { *n }).collect::<Vec<_>>();
        for (x, a) in rows.iter().zip(&texts) {
            for (y, b) in rows.iter().zip(&texts) {
                prop_assert_eq!(json::compare(a, b, &of), model(x).cmp(&model(y)), "{} {}", a, b);
                prop_assert_eq!(json::compare(a, b, &of) == Ordering::Equal, a == b);
            }
        }
    }

    #[test]
    fn any_json_has_one_order(list in prop::collection::vec(trees(), 3)) {
        let texts: Vec<String> = list.iter().map(|t| canonical(&written(t, 1), &DataType::Json).expect("well-formed")).collect();
        let order = |a: &str, b: &str| json::compare(a, b, &DataType::Json);
        for a in &texts {
            for b in &texts {
                prop_assert_eq!(order(a, b), order(b, a).reverse());
                prop_assert_eq!(order(a, b) == Ordering::Equal, a == b);
                for c in &texts {
                    prop_assert!(order(a, b).is_gt() || order(b, c).is_gt() || order(a, c).is_le(), "{a} {b} {c}");
                }
            }
        }
    }

    #[test]
    fn paths_lead_where_a_tree_says(tree in trees(), steps in prop::collection::vec("[a-b0-1é]{1,2}", 0..4), seed: u64) {
        let raw = written(&tree, seed);
        for path in [format!("$.{}", steps.join(".")), steps.join("."), steps.iter().map(|s| format!(".{s}")).collect()] {
            if steps.is_empty() {
                continue;
            }
            let found = Path::parse(&path).expect("a path").find(&raw).map(|found| canonical(found, &DataType::Json).expect("well-formed"));
            let expect = follow(&tree, &steps).map(|t| canonical(&written(t, 0), &DataType::Json).expect("well-formed"));
            prop_assert_eq!(found, expect, "{} in {}", path, raw);
        }
    }

    #[test]
    fn arrays_are_lists(a in elements(), b in elements(), v in element(), from in -2i64..6, to in -2i64..6) {
        let (x, y) = (array(&a), array(&b));
        let value = v.map_or(Value::Null, Value::Int);
        let check = |name: &str, args: &[&Value], expect: Vec<Option<i64>>| {
            let got = call(name, args);
            assert_eq!(got, Ok(array(&expect)), "{name} of {a:?} {b:?} {v:?} {from} {to}");
        };
        let different = |list: Vec<Option<i64>>| {
            let mut seen = Vec::new();
            list.into_iter().for_each(|n| if !seen.contains(&n) { seen.push(n) });
            seen
        };
        check("ARRAY_DISTINCT", &[&x], different(a.clone()));
        check("ARRAY_UNION", &[&x, &y], different([a.clone(), b.clone()].concat()));
        check("ARRAY_INTERSECT", &[&x, &y], different(a.iter().filter(|n| b.contains(n)).copied().collect()));
        check("ARRAY_EXCEPT", &[&x, &y], different(a.iter().filter(|n| !b.contains(n)).copied().collect()));
        check("ARRAY_CONCAT", &[&x, &y], [a.clone(), b.clone()].concat());
        check("ARRAY_REMOVE", &[&x, &value], a.iter().filter(|n| **n != v).copied().collect());
        check("ARRAY_APPEND", &[&x, &value], [a.clone(), vec![v]].concat());
        check("ARRAY_PREPEND", &[&x, &value], [vec![v], a.clone()].concat());
        check("ARRAY_REVERSE", &[&x], a.iter().rev().copied().collect());
        let mut sorted = a.clone();
        sorted.sort();
        check("ARRAY_SORT", &[&x], sorted.clone());
        sorted.reverse();
        check("ARRAY_SORT", &[&x, &Value::Str("desc".into())], sorted);
        let part = a.iter().zip(1..).filter(|(_, at)| (from..=to).contains(at)).map(|(n, _)| *n).collect();
        check("SLICE", &[&x, &Value::Int(from), &Value::Int(to)], part);
        let numbers = || a.iter().flatten().copied();
        let or_null = |n: Option<i64>| Ok(n.map_or(Value::Null, Value::Int));
        prop_assert_eq!(call("ARRAY_MAX", &[&x]), or_null(numbers().max()));
        prop_assert_eq!(call("ARRAY_MIN", &[&x]), or_null(numbers().min()));
        prop_assert_eq!(call("ARRAY_SUM", &[&x]), or_null(numbers().reduce(|s, n| s + n)));
        prop_assert_eq!(call("CARDINALITY", &[&x]), Ok(Value::Int(a.len() as i64)));
        prop_assert_eq!(call("ARRAY_CONTAINS", &[&x, &value]), Ok(Value::Bool(a.contains(&v))));
        let place = a.iter().position(|n| *n == v).map_or(0, |at| at as i64 + 1);
        prop_assert_eq!(call("ARRAY_POSITION", &[&x, &value]), Ok(Value::Int(place)));
        let nth = usize::try_from(from - 1).ok().and_then(|at| a.get(at).copied().flatten());
        prop_assert_eq!(call("ELEMENT_AT", &[&x, &Value::Int(from)]), or_null(nth));
        let text = numbers().map(|n| n.to_string()).collect::<Vec<_>>().join("-");
        prop_assert_eq!(call("ARRAY_JOIN", &[&x, &Value::Str("-".into())]), Ok(Value::Str(text.into())));
    }

    #[test]
    fn parts_of_a_text_join_to_it(text in "[a,\"é]{1,9}", cut in "[,a]{1,2}") {
        let parts = call("STRING_TO_ARRAY", &[&Value::Str(text.as_str().into()), &Value::Str(cut.as_str().into())]).expect("two strings");
        let Value::Str(parts) = parts else { panic!("{parts:?} is no text") };
        let list: Vec<_> = json::elements(&parts).map(|raw| json::text_of(raw).into_owned()).collect();
        prop_assert_eq!(list.join(&cut), text.clone());
        prop_assert!(list.iter().all(|part| !part.contains(&cut)));
    }
}

fn element() -> impl Strategy<Value = Option<i64>> {
    prop::option::of(-3i64..4)
}

fn elements() -> impl Strategy<Value = Vec<Option<i64>>> {
    prop::collection::vec(element(), 0..7)
}

/// The array as a column would give it.
fn array(list: &[Option<i64>]) -> Value {
    let texts: Vec<String> = list.iter().map(|n| n.map_or("null".to_owned(), |n| n.to_string())).collect();
    Value::Str(format!("[{}]", texts.join(",")).into())
}

/// The function over constants; text that begins like an array is one of integers.
fn call(name: &str, args: &[&Value]) -> Result<Value, String> {
    let function = velostream_functions::find(name).expect("a function of the registry");
    let typed = |value: &Value| match value {
        Value::Str(text) if text.starts_with('[') => (Value::Json(text.clone()), DataType::array(DataType::Integer)),
        other => (other.clone(), other.data_type()),
    };
    let owned: Vec<(Value, DataType)> = args.iter().map(|value| typed(value)).collect();
    let types: Vec<ArgType<'_>> =
        owned.iter().map(|(value, data_type)| ArgType { data_type, constant: Some(value) }).collect();
    let result = function.result_type(&types, &DataType::Null)?;
    let batch = Batch::new(Vec::new(), 1, RowMeta::plain(SourceId(0), 0, 0));
    let context = RowContext { batch: &batch, now_ns: 0, run_start_ms: 0, seed: 0, site: 0 };
    let views: Vec<(Arg<'_>, &DataType)> = owned.iter().map(|(value, t)| (Arg::Const(value), t)).collect();
    let mut call = Call::new(context, &views, &result, None, None);
    let column = (function.kernel)(&mut call);
    match call.into_failures().pop() {
        Some(failure) => Err(failure.fail.message),
        None => Ok(column.value(0)),
    }
}
