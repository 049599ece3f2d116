//! Functions over text. Lengths and positions count characters, positions from 1.

use velostream_types::Column;

use crate::call::Call;
use crate::function::{Function, Group, Param, Returns};

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[
    Function::new("UPPER", Group::String, &[Param::Text], Returns::Text, upper).doc(
        "UPPER(text)",
        "The text in upper case.",
        &[("UPPER('straße')", "STRASSE")],
    ),
    Function::new("LENGTH", Group::String, &[Param::Text], Returns::Integer, length).or(&["LEN"]).doc(
        "LENGTH(text)",
        "Number of characters.",
        &[("LENGTH('añb')", "3"), ("LENGTH('')", "0")],
    ),
    Function::new("LEFT", Group::String, &[Param::Text, Param::Integer], Returns::Text, left).doc(
        "LEFT(text, n)",
        "The first n characters; none for n below 1.",
        &[("LEFT('hello', 2)", "he"), ("LEFT('hello', -1)", "")],
    ),
];

fn upper(call: &mut Call<'_>) -> Column {
    let text = call.args.text(0);
    call.texts(|row, out| {
        text.at(row).chars().flat_map(char::to_uppercase).for_each(|c| out.push(c));
        Ok(true)
    })
}

fn length(call: &mut Call<'_>) -> Column {
    let text = call.args.text(0);
    call.ints(|row| Ok(Some(text.at(row).chars().count() as i64)))
}

fn left(call: &mut Call<'_>) -> Column {
    let (text, n) = (call.args.text(0), call.args.int(1));
    call.pieces(|row| {
        let text = text.at(row);
        let n = usize::try_from(n.at(row)).unwrap_or(0);
        let end = text.char_indices().nth(n).map_or(text.len(), |(at, _)| at);
        Ok(Some(&text[..end]))
    })
}
