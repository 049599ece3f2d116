//! What the catalogue says of a function.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use velostream_types::{Column, DataType, Value};

use crate::call::Call;

/// Where a function stands in the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// Text.
    String,
    /// Numbers.
    Math,
    /// Dates, times, intervals.
    DateTime,
    /// JSON text and nested values by path.
    Json,
    /// Choices between values.
    Conditional,
    /// Arrays, maps, structs.
    Collection,
    /// Types, identity, randomness.
    System,
}

impl Group {
    /// Heading in the reference.
    pub const fn title(self) -> &'static str {
        match self {
            Group::String => "String functions",
            Group::Math => "Math functions",
            Group::DateTime => "Date and time functions",
            Group::Json => "JSON functions",
            Group::Conditional => "Conditional functions",
            Group::Collection => "Array, map and struct functions",
            Group::System => "Type and system functions",
        }
    }
}

/// What a parameter takes.
#[derive(Clone, Copy, Debug)]
pub enum Param {
    /// Text.
    Text,
    /// Any value, as its canonical text.
    AsText,
    /// An integer.
    Integer,
    /// Integer, decimal or float, as it is.
    Number,
    /// A number, as a float.
    Float,
    /// TRUE or FALSE.
    Boolean,
    /// Timestamp, date, integer milliseconds or ISO text, as it is; see `Args::instant`.
    Instant,
    /// A span of time.
    Interval,
    /// Text or bytes.
    TextOrBytes,
    /// All parameters of this kind are brought to one type.
    Common,
    /// An array; JSON and text are read as one.
    Array,
    /// A map or struct; JSON and text are read as a map.
    Map,
    /// Any nested value; text is read as JSON.
    Nested,
    /// Any nested value, or text that may be JSON.
    Document,
    /// Anything.
    Any,
    /// What the test accepts; the text names it in messages.
    Is(fn(&DataType) -> bool, &'static str),
}

/// How a parameter takes an argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Taken {
    /// As it is.
    AsIs,
    /// After this cast.
    Cast(DataType),
    /// Not at all: what it takes, for the message.
    Refused(&'static str),
}

impl Param {
    /// How an argument of this type is taken. NULL without a type is taken everywhere.
    pub fn take(self, given: &DataType) -> Taken {
        let only = |ok: bool, what| if ok { Taken::AsIs } else { Taken::Refused(what) };
        if *given == DataType::Null {
            return Taken::AsIs;
        }
        match self {
            Param::Text if *given == DataType::Json => Taken::Cast(DataType::String),
            Param::Text => only(matches!(given, DataType::String), "text"),
            Param::AsText if *given == DataType::String => Taken::AsIs,
            Param::AsText => Taken::Cast(DataType::String),
            Param::Integer if *given == DataType::Json => Taken::Cast(DataType::Integer),
            Param::Integer => only(*given == DataType::Integer, "an INTEGER"),
            Param::Number => only(given.is_numeric(), "a number"),
            Param::Float if *given == DataType::Float => Taken::AsIs,
            Param::Float if given.is_numeric() => Taken::Cast(DataType::Float),
            Param::Float => Taken::Refused("a number"),
            Param::Boolean => only(*given == DataType::Boolean, "a BOOLEAN"),
            Param::Instant => only(
                matches!(given, DataType::Timestamp | DataType::Date | DataType::Integer | DataType::String),
                "a TIMESTAMP, a DATE, INTEGER milliseconds or ISO text",
            ),
            Param::Interval => only(*given == DataType::Interval, "an INTERVAL"),
            Param::TextOrBytes => only(matches!(given, DataType::String | DataType::Bytes), "text or BYTES"),
            Param::Array => match given {
                DataType::Array(_) => Taken::AsIs,
                DataType::String | DataType::Json => Taken::Cast(DataType::array(DataType::Json)),
                _ => Taken::Refused("an ARRAY"),
            },
            Param::Map => match given {
                DataType::Map(_) | DataType::Struct(_) => Taken::AsIs,
                DataType::String | DataType::Json => Taken::Cast(DataType::map(DataType::Json)),
                _ => Taken::Refused("a MAP"),
            },
            Param::Nested if *given == DataType::String => Taken::Cast(DataType::Json),
            Param::Nested => only(given.is_nested(), "an ARRAY, MAP, STRUCT or JSON"),
            Param::Document => {
                only(given.is_nested() || *given == DataType::String, "JSON, its text, an ARRAY, MAP or STRUCT")
            }
            Param::Common | Param::Any => Taken::AsIs,
            Param::Is(test, what) => only(test(given), what),
        }
    }
}

/// An argument as the planner knows it.
#[derive(Clone, Copy, Debug)]
pub struct ArgType<'a> {
    /// Its type, after the parameter's cast.
    pub data_type: &'a DataType,
    /// Its value, if it is a constant.
    pub constant: Option<&'a Value>,
}

/// Type of a call.
#[derive(Clone, Copy, Debug)]
pub enum Returns {
    /// BOOLEAN
    Boolean,
    /// INTEGER
    Integer,
    /// FLOAT
    Float,
    /// STRING
    Text,
    /// BYTES
    Bytes,
    /// DATE
    Date,
    /// TIMESTAMP
    Timestamp,
    /// TIME
    Time,
    /// INTERVAL
    Interval,
    /// JSON
    Json,
    /// The type of this argument.
    SameAs(usize),
    /// The common type of the `Param::Common` arguments.
    Common,
    /// What the rule says, or why there is no such call.
    By(fn(&[ArgType<'_>]) -> Result<DataType, String>),
}

/// What NULL arguments do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nulls {
    /// Any NULL argument makes the result NULL; the kernel sees other rows only.
    Propagate,
    /// The kernel sees every row.
    Handled,
}

/// What a kernel made of constant arguments at deploy: a compiled pattern, a time zone.
pub type Prepared = Arc<dyn Any + Send + Sync>;

/// Looks at the constant arguments of a call, by position.
pub type Prepare = fn(&[Option<&Value>]) -> Result<Option<Prepared>, BadConstant>;

/// A constant argument that can never be right.
#[derive(Clone, Debug, PartialEq)]
pub struct BadConstant {
    /// Which argument.
    pub argument: usize,
    /// What is wrong with it.
    pub message: String,
}

/// One entry of the catalogue.
#[derive(Clone, Copy)]
pub struct Function {
    /// Canonical name, upper case.
    pub name: &'static str,
    /// Other names, upper case.
    pub aliases: &'static [&'static str],
    /// Where it stands in the reference.
    pub group: Group,
    /// How it is written: `LPAD(text, length[, fill])`.
    pub signature: &'static str,
    /// What it gives, in one line.
    pub doc: &'static str,
    /// Calls and their results as text; the first is shown in the reference, all are run by a test.
    pub examples: &'static [(&'static str, &'static str)],
    /// What is taken, by position.
    pub params: &'static [Param],
    /// How many of the last parameters may be left out.
    pub optional: usize,
    /// The last parameter may be repeated.
    pub variadic: bool,
    /// NULL rule.
    pub nulls: Nulls,
    /// Type rule.
    pub returns: Returns,
    /// Looks at constant arguments once, at deploy.
    pub prepare: Option<Prepare>,
    /// A row may fail.
    pub fails: bool,
    /// Two calls with equal arguments may differ: never folded, never shared.
    pub volatile: bool,
    /// Computes the column.
    pub kernel: fn(&mut Call<'_>) -> Column,
}

impl Function {
    /// An entry that takes every parameter, propagates NULL and cannot fail.
    pub const fn new(
        name: &'static str,
        group: Group,
        params: &'static [Param],
        returns: Returns,
        kernel: fn(&mut Call<'_>) -> Column,
    ) -> Function {
        Function {
            name,
            aliases: &[],
            group,
            signature: "",
            doc: "",
            examples: &[],
            params,
            optional: 0,
            variadic: false,
            nulls: Nulls::Propagate,
            returns,
            prepare: None,
            fails: false,
            volatile: false,
            kernel,
        }
    }

    /// How it is written, what it gives, and calls with their results.
    pub const fn doc(
        mut self,
        signature: &'static str,
        doc: &'static str,
        examples: &'static [(&'static str, &'static str)],
    ) -> Function {
        self.signature = signature;
        self.doc = doc;
        self.examples = examples;
        self
    }

    /// Other names.
    pub const fn or(mut self, aliases: &'static [&'static str]) -> Function {
        self.aliases = aliases;
        self
    }

    /// The last `n` parameters may be left out.
    pub const fn optional(mut self, n: usize) -> Function {
        self.optional = n;
        self
    }

    /// The last parameter may be repeated.
    pub const fn variadic(mut self) -> Function {
        self.variadic = true;
        self
    }

    /// The kernel sees NULL arguments.
    pub const fn sees_nulls(mut self) -> Function {
        self.nulls = Nulls::Handled;
        self
    }

    /// A row may fail.
    pub const fn fails(mut self) -> Function {
        self.fails = true;
        self
    }

    /// Calls are never folded.
    pub const fn volatile(mut self) -> Function {
        self.volatile = true;
        self
    }

    /// Looks at constants at deploy.
    pub const fn prepare(mut self, prepare: Prepare) -> Function {
        self.prepare = Some(prepare);
        self
    }

    /// Fewest and most arguments; no most for variadic functions.
    pub const fn arity(&self) -> (usize, Option<usize>) {
        let least = self.params.len() - self.optional;
        (least, if self.variadic { None } else { Some(self.params.len()) })
    }

    /// Type of a call over arguments of these types, of which those of `Param::Common` have this one; or why there is no
    /// such call.
    pub fn result_type(&self, args: &[ArgType<'_>], common: &DataType) -> Result<DataType, String> {
        Ok(match self.returns {
            Returns::Boolean => DataType::Boolean,
            Returns::Integer => DataType::Integer,
            Returns::Float => DataType::Float,
            Returns::Text => DataType::String,
            Returns::Bytes => DataType::Bytes,
            Returns::Date => DataType::Date,
            Returns::Timestamp => DataType::Timestamp,
            Returns::Time => DataType::Time,
            Returns::Interval => DataType::Interval,
            Returns::Json => DataType::Json,
            Returns::SameAs(i) => args.get(i).map_or(DataType::Null, |a| a.data_type.clone()),
            Returns::Common => common.clone(),
            Returns::By(rule) => return rule(args),
        })
    }

    /// The parameter that argument number `i` meets.
    pub fn param(&self, i: usize) -> Option<Param> {
        match self.params.get(i) {
            None if self.variadic => self.params.last().copied(),
            param => param.copied(),
        }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Function {
    /// Names are unique.
    fn eq(&self, other: &Function) -> bool {
        self.name == other.name
    }
}
