//! Kafka's rule for topic names: what `CreateTopics` and automatic creation refuse with INVALID_TOPIC_EXCEPTION.

use std::fmt;

/// Longest topic name Kafka accepts, in bytes.
pub const TOPIC_NAME_MAX: usize = 249;

/// Why a text is no topic name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicNameError {
    /// It is empty.
    Empty,
    /// It is `.` or `..`.
    Dots,
    /// It is longer than [`TOPIC_NAME_MAX`]; its length.
    TooLong(usize),
    /// A character outside `A-Z a-z 0-9 . _ -` and its byte position.
    Character(char, usize),
}

impl fmt::Display for TopicNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopicNameError::Empty => f.write_str("a topic name must not be empty"),
            TopicNameError::Dots => f.write_str("a topic cannot be named \".\" or \"..\""),
            TopicNameError::TooLong(n) => write!(f, "a topic name has at most {TOPIC_NAME_MAX} characters, not {n}"),
            TopicNameError::Character(c, at) => {
                write!(f, "{c:?} at position {at} is not allowed in a topic name: use letters, digits, '.', '_', '-'")
            }
        }
    }
}

impl std::error::Error for TopicNameError {}

/// Checks a topic name by Kafka's rule.
pub fn check_topic_name(name: &str) -> Result<(), TopicNameError> {
    match name {
        "" => return Err(TopicNameError::Empty),
        "." | ".." => return Err(TopicNameError::Dots),
        _ => {}
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if let Some((at, c)) = name.char_indices().find(|(_, c)| !legal(*c)) {
        return Err(TopicNameError::Character(c, at));
    }
    if name.len() > TOPIC_NAME_MAX { Err(TopicNameError::TooLong(name.len())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule() {
        let check = |name: &str, want| assert_eq!(check_topic_name(name), want, "{name:?}");
        check("orders.v1_a-B", Ok(()));
        check("", Err(TopicNameError::Empty));
        check("..", Err(TopicNameError::Dots));
        check("a b", Err(TopicNameError::Character(' ', 1)));
        check(&"x".repeat(249), Ok(()));
        check(&"x".repeat(250), Err(TopicNameError::TooLong(250)));
    }
}
