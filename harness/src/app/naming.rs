//! Names of test topics: what the SQL calls `orders` is `test_<run id>_orders` in the broker, as `topic_naming` says.

use velostream_spec::spec::TopicNaming;

/// What names are made of beside the topic's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameParts {
    /// Of this run and query test.
    pub run_id: String,
    /// `now`, s since the epoch.
    pub timestamp_s: i64,
    /// Where no branch is set and the environment knows none: `local`.
    pub branch: Option<String>,
    /// The same: `unknown`.
    pub user: Option<String>,
}

impl NameParts {
    /// With branch and user as the naming and the environment say.
    pub fn new(
        naming: &TopicNaming,
        run_id: &str,
        timestamp_s: i64,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> NameParts {
        let of = |own: &Option<String>, name: &str| own.clone().or_else(|| env(name)).filter(|v| !v.is_empty());
        NameParts {
            run_id: run_id.to_owned(),
            timestamp_s,
            branch: of(&naming.branch, &naming.branch_from_env),
            user: of(&naming.user, &naming.user_from_env),
        }
    }
}

/// The test topic of a topic.
pub fn test_topic(naming: &TopicNaming, parts: &NameParts, base: &str) -> String {
    let name = naming
        .pattern
        .replace("{run_id}", &parts.run_id)
        .replace("{timestamp}", &parts.timestamp_s.to_string())
        .replace("{branch}", &plain(parts.branch.as_deref().unwrap_or("local")))
        .replace("{user}", &plain(parts.user.as_deref().unwrap_or("unknown")))
        .replace("{namespace}", naming.namespace.as_deref().unwrap_or("test"))
        .replace("{base}", base);
    if name.len() <= naming.max_topic_length {
        return name;
    }
    let hash = format!("_{:016x}", hash(&name));
    let tail = if naming.hash_long_names { hash.as_str() } else { "" };
    let mut end = naming.max_topic_length.saturating_sub(tail.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{tail}", &name[..end])
}

/// The text where characters that names of topics cannot have became `_`.
pub fn plain(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.chars().map(|c| if is_plain(c) { c } else { '_' }).collect()
}

/// FNV-1a, 64 bits: the same on every machine.
pub fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_their_parts() {
        let naming = TopicNaming {
            pattern: "{namespace}.{branch}.{user}.{timestamp}.{run_id}.{base}".to_owned(),
            ..TopicNaming::default()
        };
        let env = |name: &str| (name == "GITHUB_REF_NAME").then(|| "feature/ü".to_owned());
        let parts = NameParts::new(&naming, "7f", 60, &env);
        assert_eq!(test_topic(&naming, &parts, "orders"), "test.feature__.unknown.60.7f.orders");
        let own = TopicNaming { branch: Some("main".to_owned()), ..naming };
        assert_eq!(NameParts::new(&own, "7f", 60, &env).branch.as_deref(), Some("main"));
        assert_eq!(test_topic(&TopicNaming::default(), &parts, "orders"), "test_7f_orders");
    }

    #[test]
    fn a_long_name_ends_with_its_hash() {
        let naming = TopicNaming { max_topic_length: 40, ..TopicNaming::default() };
        let parts = NameParts { run_id: "7f".to_owned(), ..NameParts::default() };
        let names = ["a", "b"].map(|last| test_topic(&naming, &parts, &format!("{}{last}", "orders".repeat(20))));
        assert!(names.iter().all(|name| name.len() == 40 && name.starts_with("test_7f_orders")), "{names:?}");
        assert_ne!(names[0], names[1]);
        let cut = TopicNaming { hash_long_names: false, ..naming };
        assert_eq!(test_topic(&cut, &parts, &"x".repeat(99)), format!("test_7f_{}", "x".repeat(32)));
    }
}
