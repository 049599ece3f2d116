//! Variables in values: `${VAR}`, `${VAR:default}`, `${VAR:-default}`, `${VAR:?message}`, `${A|B:default}`.
//!
//! A variable that is set but empty counts as not set where a default or message is given. Defaults may hold variables
//! again. `$${` is a literal `${`; a `$` in front of anything else is itself.

/// Defaults nest this deep at most; deeper is a mistake, and bounds the recursion.
const DEPTH_MAX: usize = 16;

/// Why a value could not be expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VarError {
    /// No such variable and no default; with the user's own message.
    Unset {
        /// Name or names as written.
        name: String,
        /// Text behind `:?`.
        message: Option<String>,
    },
    /// Not a variable.
    Malformed {
        /// What is wrong.
        reason: &'static str,
    },
}

/// The environment as the resolver sees it.
pub type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// `text` with its variables replaced.
pub fn expand(text: &str, env: Env<'_>) -> Result<String, VarError> {
    expand_nested(text, env, 0)
}

fn expand_nested(text: &str, env: Env<'_>, depth: usize) -> Result<String, VarError> {
    if depth > DEPTH_MAX {
        return Err(VarError::Malformed { reason: "defaults are nested too deeply" });
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at]);
            out.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let inside = &rest[at + 2..];
        let end = closing_brace(inside).ok_or(VarError::Malformed { reason: "\"${\" has no \"}\"" })?;
        out.push_str(&variable(&inside[..end], env, depth)?);
        rest = &inside[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Position of the `}` that closes a variable whose inside starts `text`.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0usize;
    let bytes = text.as_bytes();
    for (i, b) in bytes.iter().enumerate() {
        match b {
            b'{' if i > 0 && bytes[i - 1] == b'$' => open += 1,
            b'}' if open == 0 => return Some(i),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}

fn variable(inside: &str, env: Env<'_>, depth: usize) -> Result<String, VarError> {
    let (names, fallback) = match inside.split_once(':') {
        Some((names, fallback)) => (names, Some(fallback)),
        None => (inside, None),
    };
    let well_formed = |n: &str| {
        n.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && n.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
    };
    if !names.split('|').all(well_formed) {
        return Err(VarError::Malformed { reason: "the name between \"${\" and \"}\" is no variable name" });
    }
    // Without a fallback an empty variable is a value; with one it is treated as not set, as shells do.
    let value = names.split('|').find_map(|n| env(n).filter(|v| fallback.is_none() || !v.is_empty()));
    match (value, fallback) {
        (Some(value), _) => Ok(value),
        (None, None) => Err(VarError::Unset { name: names.to_owned(), message: None }),
        (None, Some(fallback)) => match fallback.strip_prefix('?') {
            Some(message) => {
                let message = (!message.is_empty()).then(|| message.to_owned());
                Err(VarError::Unset { name: names.to_owned(), message })
            }
            None => expand_nested(fallback.strip_prefix('-').unwrap_or(fallback), env, depth + 1),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("kafka-1".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn values() {
        let check = |text: &str, expect: &str| assert_eq!(expand(text, &env).as_deref(), Ok(expect), "{text}");
        check("plain $ {x}", "plain $ {x}");
        check("${HOST}:9092", "kafka-1:9092");
        check("${NO:localhost:9092}", "localhost:9092");
        check("${NO:-x}${NO:}", "x");
        check("${EMPTY}|${EMPTY:-d}", "|d");
        check("${NO|HOST:d}", "kafka-1");
        check("${NO:${HOST}/a}/b", "kafka-1/a/b");
        check("$${HOST}", "${HOST}");
        check("${HOST:?needed}", "kafka-1");
    }

    #[test]
    fn mistakes() {
        let unset = |name: &str, message: Option<&str>| {
            Err(VarError::Unset { name: name.to_owned(), message: message.map(str::to_owned) })
        };
        assert_eq!(expand("a${NO}", &env), unset("NO", None));
        assert_eq!(expand("${EMPTY:?set it}", &env), unset("EMPTY", Some("set it")));
        assert!(matches!(expand("${HOST", &env), Err(VarError::Malformed { .. })));
        assert!(matches!(expand("${}", &env), Err(VarError::Malformed { .. })));
        assert!(matches!(expand("${a b}", &env), Err(VarError::Malformed { .. })));
        let deep = format!("{}x{}", "${N:".repeat(500), "}".repeat(500));
        assert!(matches!(expand(&deep, &env), Err(VarError::Malformed { .. })));
    }

    proptest! {
        #[test]
        fn text_without_variables_is_itself(text in "[a-z{}: $é]{0,40}") {
            prop_assume!(!text.contains("${"));
            prop_assert_eq!(expand(&text, &env), Ok(text));
        }

        #[test]
        fn nothing_panics(text in "[$\\{\\}:?|A-Zé-]{0,60}") {
            let _ = expand(&text, &env);
        }
    }
}
